"""The real WebRTC peers behind a signaling server: the program `media_peers`, asked by lines."""
from __future__ import annotations

import asyncio
import itertools
import json
import os
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("MEDIA_PEERS", ROOT / "target" / "debug" / "examples" / "media_peers"))
END_SECONDS = 10
LINE_BYTES = 1 << 22


class PeerFailed(RuntimeError):
    """A peer could not do what it was asked; the text is its own."""


class MediaPeers:
    """The running program; all methods belong to the loop that made it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._reading = asyncio.ensure_future(self._read())

    @classmethod
    async def start(cls) -> MediaPeers:
        """Starts the program."""
        if not PROGRAM.is_file():
            raise PeerFailed(f"{PROGRAM} is missing: run `cargo build --example media_peers`")
        pipe = asyncio.subprocess.PIPE
        return cls(await asyncio.create_subprocess_exec(str(PROGRAM), stdin=pipe, stdout=pipe, limit=LINE_BYTES))

    async def ask(self, peer: str, what: str, **more: Any) -> dict[str, Any]:
        """Has a peer do something; raises `PeerFailed` with its reason."""
        number = next(self._numbers)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        line = json.dumps({"id": number, "peer": peer, "do": what, **more})
        assert self._process.stdin
        self._process.stdin.write(line.encode() + b"\n")
        await self._process.stdin.drain()
        told = await asyncio.wait_for(answer, 15)
        if "error" in told:
            raise PeerFailed(told["error"])
        return told

    async def stop(self) -> None:
        """Ends all peers and the program."""
        assert self._process.stdin
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), END_SECONDS)
        except asyncio.TimeoutError:
            self._process.kill()
            await self._process.wait()
        self._reading.cancel()

    async def _read(self) -> None:
        assert self._process.stdout
        while line := await self._process.stdout.readline():
            told = json.loads(line)
            answer = self._asked.pop(told.get("id", 0), None)
            if answer and not answer.done():
                answer.set_result(told)
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(PeerFailed("the program media_peers has ended"))
