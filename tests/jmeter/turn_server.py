"""coturn on loopback for the time of a `with` block: UDP, TCP and TLS, long-term credentials."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType

from demo.processes import RunError, terminate
from tests.jmeter.runs import wait_until
from tests.ports import free_port

USER, PASSWORD = "phone", "s3cret"
#: For as long it must have opened and closed no UDP socket before those that it has count as its own.
STEADY_S = 0.5


class TurnServer:
    """A TURN server with one user."""

    def __init__(self, folder: Path, *options: str) -> None:
        program = shutil.which("turnserver")
        if program is None:
            raise RunError("turnserver is missing; on Debian and Ubuntu: apt-get install coturn")
        self.port, self.tls_port, self._log = free_port(), free_port(), folder / "turnserver.log"
        certificate, key = folder / "turn.pem", folder / "turn.key"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
            + ["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"]
            + ["-keyout", str(key), "-out", str(certificate)],
            check=True,
            capture_output=True,
            timeout=60,
        )
        self._command = [
            *(program, "-n", "--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1", "--lt-cred-mech", "--realm=example.org"),
            *(f"--listening-port={self.port}", f"--tls-listening-port={self.tls_port}", f"--user={USER}:{PASSWORD}"),
            *(f"--cert={certificate}", f"--pkey={key}", "--no-dtls", "--no-cli", "--allow-loopback-peers"),
            *(f"--pidfile={folder / 'turnserver.pid'}", "--log-file=stdout", "--simple-log", "--verbose"),
            f"--userdb={folder / 'turndb'}",
            *options,
        ]
        self.certificate = certificate

    def __enter__(self) -> TurnServer:
        with self._log.open("w", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, text=True, start_new_session=True
            )
        try:
            wait_until(self._answers, 30, "the TURN server")
            self._own = self._settled()
        except BaseException:
            terminate(self._process)
            raise
        return self

    def _answers(self) -> bool:
        """Whether it answers a Binding request over UDP, and listens for TCP and TLS."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
            probe.settimeout(0.5)
            probe.sendto(bytes.fromhex("000100002112a442") + os.urandom(12), ("127.0.0.1", self.port))
            probe.recv(1500)
            for port in (self.port, self.tls_port):
                socket.create_connection(("127.0.0.1", port), timeout=0.5).close()
            return True
        return False

    def log(self) -> str:
        """What it has said so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def urls(self) -> dict[str, str]:
        """Its URL by the transport towards it; `turns:` goes by the name that its certificate has."""
        return {
            "UDP": f"turn:127.0.0.1:{self.port}",
            "TCP": f"turn:127.0.0.1:{self.port}?transport=tcp",
            "TLS": f"turns:localhost:{self.tls_port}",
        }

    def allocations(self) -> int:
        """The allocations that it has now: its UDP sockets other than those it had before there was any."""
        return self._sockets() - self._own

    def _settled(self) -> int:
        """Its own UDP sockets, once it has closed those that it only tries out while it starts."""
        counted, since = self._sockets(), time.monotonic()

        def steady() -> bool:
            nonlocal counted, since
            now = self._sockets()
            if now != counted:
                counted, since = now, time.monotonic()
            return time.monotonic() - since >= STEADY_S

        wait_until(steady, 30, "a TURN server that opens no more sockets")
        return counted

    def _sockets(self) -> int:
        """Its UDP sockets other than those it listens on."""
        owned = set()
        for descriptor in Path(f"/proc/{self._process.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                owned.add(os.readlink(descriptor))
        rows = Path("/proc/net/udp").read_text(encoding="utf-8").splitlines()[1:]
        sockets = (row.split() for row in rows)
        # By inode: the table is read in pieces, and a row may come twice while others come and go.
        ports = {fields[9]: int(fields[1].split(":")[1], 16) for fields in sockets if f"socket:[{fields[9]}]" in owned}
        return sum(port not in (self.port, self.tls_port) for port in ports.values())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        terminate(self._process)
