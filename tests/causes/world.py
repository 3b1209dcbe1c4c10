"""What one run of a provocation sets up and takes down, and what is read out of it."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, AsyncContextManager, Awaitable, Callable, TypeVar

from tests.causes.namespaces import Namespace
from tests.causes.programs import Lab, Line, Program, ProgramError, Softphone

#: Addresses on loopback of a namespace; not of 127/8, so that TURN servers relay to them, and each of a network of its own, as if
#: something could lie between.
LAB, PHONE, TURN, MEDDLER, OTHER_PHONE = "10.77.1.1", "10.77.2.2", "10.77.3.3", "10.77.4.4", "10.77.5.5"
HERE = tuple(f"{address}/32" for address in (LAB, PHONE, TURN, MEDDLER, OTHER_PHONE))

Entered = TypeVar("Entered")


@dataclass(frozen=True)
class Verdict:
    """What a run was said to have failed of."""

    cause: str
    confidence: str
    also: tuple[str, ...] = ()
    starved: bool = False
    evidence: tuple[str, ...] = ()
    #: The response code: what failed.
    code: str = ""

    @staticmethod
    def of(lines: list[Line]) -> Verdict | None:
        """The verdict of the first line that failed, or that has one though it did not fail; `None` when there is no such."""

        def is_verdict(value: dict[str, Any]) -> bool:
            return isinstance(value.get("cause"), str) and "confidence" in value

        result = next((line["result"] for line in lines if not line["ok"] or _nearest(line["result"], is_verdict)), None)
        if result is None:
            return None
        found = _nearest(result, is_verdict)
        starved = _nearest(result, lambda value: "starved" in value) or {}
        code = (_nearest(result, lambda value: isinstance(value.get("code"), (str, int))) or {}).get("code", "")
        if found is None:
            return Verdict("NONE", "none", starved=bool(starved.get("starved")), code=str(code))
        return Verdict(
            found["cause"],
            found["confidence"],
            tuple(other["cause"] for other in found.get("also", ())),
            bool(starved.get("starved")),
            tuple(evidence["fact"] for evidence in found.get("evidence", ())),
            str(code),
        )


def _nearest(value: Any, matches: Callable[[dict[str, Any]], bool]) -> dict[str, Any] | None:
    """The object nearest to the root that matches."""
    level = [value]
    while level:
        for item in level:
            if isinstance(item, dict) and matches(item):
                return item
        level = [below for item in level for below in (item.values() if isinstance(item, dict) else item if isinstance(item, list) else ())]
    return None


@dataclass
class World:
    """The namespaces, servers and softphones of one run; use as `async with`."""

    folder: Path
    _stack: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    async def __aenter__(self) -> World:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    async def __aexit__(self, *ended: Any) -> None:
        await self._stack.aclose()

    async def enter(self, thing: AsyncContextManager[Entered]) -> Entered:
        """Starts something that ends with the run."""
        return await self._stack.enter_async_context(thing)

    async def namespace(self) -> Namespace:
        """A namespace with all addresses of `HERE` on loopback."""
        return await self.enter(Namespace(*HERE))

    async def bare_namespace(self) -> Namespace:
        """A namespace that is still to get its addresses."""
        return await self.enter(Namespace())

    async def lab(self, namespace: Namespace, address: str = LAB, **config: Any) -> Lab:
        """A lab, ready."""
        return await self.enter(Lab(namespace, self.folder, address, **config))

    async def softphone(self, namespace: Namespace, *steps: Line, resolving: bool = False, through: tuple[str, ...] = ()) -> Program:
        """A softphone that is on its way through its steps."""
        return await self.enter(Softphone(namespace, list(steps), resolving, through))

    async def lines(self, namespace: Namespace, *steps: Line, deadline_s: float = 60, resolving: bool = False) -> list[Line]:
        """All a softphone says about its steps."""
        return await (await self.softphone(namespace, *steps, resolving=resolving)).lines(deadline_s)


async def until(condition: Callable[[], Awaitable[bool]], seconds: float, what: str) -> None:
    """Polls until the condition holds."""
    try:
        async with asyncio.timeout(seconds):
            while not await condition():
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise ProgramError(f"{what} did not come within {seconds:g} s") from None


# --- Steps of a softphone -------------------------------------------------------------------------------------


def opening(server: str = LAB, *, port: int = 8080, scheme: str = "ws", socket: str = "ws", may_fail: bool = False, **config: Any) -> Line:
    """Opens a WebSocket to a server of the namespace."""
    chosen = {"url": f"{scheme}://{server}:{port}/", "sourceAddress": PHONE, **config}
    return {"do": "open", "socket": socket, "config": {name: value for name, value in chosen.items() if value is not None}, "mayFail": may_fail}


def calling(to: str = "tone", *, session: str = "call", socket: str = "ws", ice_servers: list[Line] | None = None, **config: Any) -> Line:
    """Places a call; `config` is of the session where it has such a field, else of the call."""
    return {"do": "call", "session": session, "socket": socket, "config": {"to": to, **_split(ice_servers, config)}}


def answering(*, session: str = "call", socket: str = "ws", ice_servers: list[Line] | None = None, **config: Any) -> Line:
    """Answers the next call."""
    return {"do": "answer", "session": session, "socket": socket, "config": _split(ice_servers, config)}


_OF_CALL = ("answerTimeoutMs", "firstRtpTimeoutMs", "awaitMedia", "byeTimeoutMs")


def _split(ice_servers: list[Line] | None, config: dict[str, Any]) -> Line:
    session = {"sourceAddress": PHONE, **{name: value for name, value in config.items() if name not in _OF_CALL}}
    session = {name: value for name, value in session.items() if value is not None}
    if ice_servers:
        session["iceServers"] = ice_servers
    return {"session": session, **{name: value for name, value in config.items() if name in _OF_CALL}}


def stun(host: str, port: int = 3478) -> Line:
    """A STUN server of the ICE configuration."""
    return {"urls": [f"stun:{host}:{port}"]}


def turn(host: str = TURN, port: int = 3478, username: str = "alice", credential: str = "wonder", query: str = "", scheme: str = "turn") -> Line:
    """A TURN server of the ICE configuration."""
    return {"urls": [f"{scheme}:{host}:{port}{query}"], "username": username, "credential": credential}


def registering(name: str, socket: str = "ws") -> Line:
    """Makes a socket reachable."""
    return {"do": "register", "socket": socket, "name": name}


def holding_call(ms: int, session: str = "call") -> Line:
    """Holds a call until it is lost."""
    return {"do": "holdCall", "session": session, "ms": ms}


def holding_socket(ms: int, socket: str = "ws") -> Line:
    """Holds a socket until it ends."""
    return {"do": "holdSocket", "socket": socket, "ms": ms}


def hanging_up(session: str = "call") -> Line:
    """Hangs up."""
    return {"do": "hangUp", "session": session, "deadlineMs": 8000}
