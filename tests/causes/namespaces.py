"""Network namespaces of the provocations: each run has its own, so that runs do not meet and nothing is left behind.

Names begin with `jwc-` and carry the id of the process that made them; those of a process that is gone are removed by
`remove_stale`. Needs root (CAP_SYS_ADMIN, CAP_NET_ADMIN), iproute2, nftables and util-linux.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import itertools
import os
import re
import shutil
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

PREFIX = "jwc-"
HANDLES = Path("/run/netns")
RESOLVERS = Path("/etc/netns")
CLONE_NEWNET = 0x40000000
COMMAND_DEADLINE_S = 30

_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count(1)


class CommandError(Exception):
    """A command of setting up failed; its text says which one and why."""


async def command(*arguments: str, stdin: str | None = None) -> str:
    """Runs a command of setting up to its end and returns its output."""
    process = await asyncio.create_subprocess_exec(
        *arguments,
        stdin=asyncio.subprocess.PIPE if stdin is not None else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, errors = await asyncio.wait_for(process.communicate(stdin.encode() if stdin is not None else None), COMMAND_DEADLINE_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise CommandError(f"{' '.join(arguments)} did not end within {COMMAND_DEADLINE_S} s") from None
    if process.returncode != 0:
        raise CommandError(f"{' '.join(arguments)} ended with {process.returncode}: {errors.decode(errors='replace').strip()}\n{stdin or ''}")
    return output.decode(errors="replace")


class Namespace:
    """One network namespace with loopback up and `addresses` (`IP/bits`) on it; use as `async with`."""

    def __init__(self, *addresses: str) -> None:
        self.name = f"{PREFIX}{os.getpid()}-{next(_numbers)}"
        self._addresses = addresses

    async def __aenter__(self) -> Namespace:
        await command("ip", "netns", "add", self.name)
        try:
            lines = ["link set lo up", *(f"addr add {address} dev lo" for address in self._addresses)]
            await self.ip(*lines)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        shutil.rmtree(RESOLVERS / self.name, ignore_errors=True)
        await command("ip", "netns", "delete", self.name)

    async def ip(self, *lines: str) -> None:
        """Commands of ip(8) inside, one per line."""
        await command("ip", "-netns", self.name, "-batch", "-", stdin="\n".join(lines) + "\n")

    async def nft(self, rules: str) -> None:
        """Rules of nft(8) inside."""
        await command(*self.entered("nft", "-f", "-"), stdin=rules)

    async def sysctl(self, **values: str) -> None:
        """Kernel parameters inside; `__` stands for a dot: `net__ipv4__ip_local_port_range="40000 40009"`."""
        settings = [f"{name.replace('__', '.')}={value}" for name, value in values.items()]
        await command(*self.entered("sysctl", "--quiet", "--write", *settings))

    async def drop(self, *matches: str, chain: str = "input") -> None:
        """Drops what matches, silently: on loopback an input rule is what loss on the way looks like."""
        await self.nft(_table([f"{match} counter drop" for match in matches], chain))

    async def reject(self, match: str, how: str, chain: str = "input") -> None:
        """Refuses what matches with an ICMP message or an RST."""
        await self.nft(_table([f"{match} reject with {how}"], chain))

    async def dropped(self) -> int:
        """How many packets `drop` has dropped so far."""
        listed = await command(*self.entered("nft", "list", "ruleset"))
        return sum(int(packets) for packets in re.findall(r"counter packets (\d+)", listed))

    async def pass_everything(self) -> None:
        """Takes all rules away."""
        await self.nft("flush ruleset\n")

    def name_servers(self, *servers: str, options: str = "timeout:1 attempts:1") -> None:
        """What programs that are started with `resolving=True` find in /etc/resolv.conf."""
        folder = RESOLVERS / self.name
        folder.mkdir(parents=True, exist_ok=True)
        lines = [f"nameserver {server}" for server in servers] + [f"options {options}"]
        (folder / "resolv.conf").write_text("\n".join(lines) + "\n", encoding="ascii")

    def entered(self, *arguments: str, resolving: bool = False) -> list[str]:
        """A command line that runs inside; with `resolving` it sees `name_servers`, but no control groups."""
        if resolving:
            return ["ip", "netns", "exec", self.name, *arguments]
        return ["nsenter", f"--net={HANDLES / self.name}", *arguments]

    async def socket(self, family: socket.AddressFamily, kind: socket.SocketKind, protocol: int = 0) -> socket.socket:
        """A non-blocking socket inside, for this process: a socket stays in the namespace it was made in."""
        loop = asyncio.get_running_loop()
        made = await loop.run_in_executor(_visitors, self._made_inside, family, kind, protocol)
        made.setblocking(False)
        return made

    def _made_inside(self, family: socket.AddressFamily, kind: socket.SocketKind, protocol: int) -> socket.socket:
        with open("/proc/thread-self/ns/net", "rb") as home, open(HANDLES / self.name, "rb") as there:
            _enter(there.fileno())
            try:
                return socket.socket(family, kind, protocol)
            finally:
                _enter(home.fileno())


#: Threads that step into a namespace to make a socket there, and back.
_visitors = ThreadPoolExecutor(max_workers=2, thread_name_prefix="namespace")


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")


def _table(rules: list[str], chain: str) -> str:
    body = "\n".join(f"    {rule}" for rule in rules)
    return f"table inet faults {{\n  chain {chain} {{\n    type filter hook {chain} priority 0;\n{body}\n  }}\n}}\n"


async def remove_stale() -> None:
    """Removes namespaces of processes of ours that no longer run, and ends what still runs in them."""
    if not HANDLES.is_dir():
        return
    for handle in HANDLES.iterdir():
        process = handle.name.removeprefix(PREFIX).partition("-")[0]
        if handle.name.startswith(PREFIX) and process.isdecimal() and not Path("/proc", process).exists():
            with contextlib.suppress(CommandError):
                for inside in (await command("ip", "netns", "pids", handle.name)).split():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(inside), signal.SIGKILL)
                await command("ip", "netns", "delete", handle.name)
            shutil.rmtree(RESOLVERS / handle.name, ignore_errors=True)
