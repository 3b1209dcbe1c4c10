"""The command line that every softphone of the suite understands."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

CODECS = ("opus", "pcmu")


@dataclass(frozen=True)
class Options:
    """What a softphone is asked to do.

    `codec` is `opus` for all codecs that the stack has in its own order, and `pcmu` for that one alone. Exactly one of `call` (a
    name to call) and `answer_as` (the name to register) is set.
    """

    signaling: str
    stun: str | None
    call: str | None
    answer_as: str | None
    codec: str
    trickle: bool
    video: bool
    film: bool
    hold_s: float
    packets: int
    deadline_s: float

    @property
    def role(self) -> str:
        """`caller` or `answerer`."""
        return "caller" if self.answer_as is None else "answerer"


def parse(arguments: list[str] | None = None) -> Options:
    """Reads the command line (`sys.argv` by default); wrong arguments end the program with status 2 and a usage line."""
    parser = argparse.ArgumentParser(description="One call over plain JSON signaling, with both audio directions counted.")
    parser.add_argument("--signaling", required=True, help="ws:// URL of the signaling server")
    parser.add_argument("--stun", help="stun:host:port (default none)")
    role = parser.add_mutually_exclusive_group(required=True)
    role.add_argument("--call", help="name to call")
    role.add_argument("--answer-as", help="name to register; answers the first call")
    parser.add_argument("--codec", choices=CODECS, default="opus", help="opus: all that the stack has; pcmu: only that one")
    parser.add_argument("--full", action="store_true", help="all candidates in the SDP instead of trickled")
    parser.add_argument("--video", action="store_true", help="caller: offer a video line, before the audio line")
    parser.add_argument("--film", action="store_true", help="audio, video and a data channel; a browser sends its fake camera")
    parser.add_argument("--hold-s", type=float, default=3.5, help="caller: least seconds of audio before it hangs up")
    parser.add_argument("--packets", type=int, default=100, help="caller: least packets each way before it hangs up")
    parser.add_argument("--deadline-s", type=float, default=40.0, help="seconds the whole run may take")
    given = parser.parse_args(arguments)
    return Options(
        signaling=given.signaling,
        stun=given.stun,
        call=given.call,
        answer_as=given.answer_as,
        codec=given.codec,
        trickle=not given.full,
        video=given.video,
        film=given.film,
        hold_s=given.hold_s,
        packets=given.packets,
        deadline_s=given.deadline_s,
    )
