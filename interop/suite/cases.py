"""The calls of the suite: every peer in both roles, against the lab and against our own softphone."""

from __future__ import annotations

from dataclasses import dataclass

from .verdict import Asked

#: The answering peers of the lab (`src/signaling/json.rs`).
LAB_PEERS = ("tone", "echo")
OURS = "jmeter-webrtc"
#: Peers that can offer a video line, which our side has to refuse without losing the audio line behind it. aiortc cannot: it
#: wants ICE credentials in a refused line, which no RFC asks for, and the pion softphone has no video codec.
OFFER_VIDEO = ("Chromium",)
#: Peers with a camera and a data channel beside the audio line: our side receives the video and opens the channel.
FILM = ("Chromium",)


@dataclass(frozen=True)
class Side:
    """One side of a call: the name of a peer, and `opus` (all codecs that the stack has) or `pcmu` (only that one)."""

    name: str
    codecs: str = "opus"


@dataclass(frozen=True)
class Case:
    """One call that `peer` takes part in. An answerer out of `LAB_PEERS` is the lab itself."""

    peer: str
    name: str
    caller: Side
    answerer: Side
    trickle: bool
    video: bool = False
    film: bool = False

    @property
    def answered_by_lab(self) -> bool:
        """Whether there is no program for the answerer, because the lab answers."""
        return self.answerer.name in LAB_PEERS

    @property
    def asked(self) -> Asked:
        """What the verdict is to hold the call to: all stacks prefer Opus, so PCMU is what a side without Opus leaves."""
        codec = "pcmu" if "pcmu" in (self.caller.codecs, self.answerer.codecs) else "opus"
        return Asked(codec=codec, answered_by_lab=self.answered_by_lab, echoed=self.answerer.name == "echo", filmed=self.film)


def cases_of(peer: str) -> list[Case]:
    """The calls that `peer` takes part in."""
    theirs, ours = Side(peer), Side(OURS)
    with_video = [
        Case(peer, "calls our softphone with a video line first: trickle", theirs, ours, True, video=True),
        Case(peer, "calls our softphone with a video line first: all candidates in the SDP", theirs, ours, False, video=True),
    ]
    filmed = [
        Case(peer, "calls our softphone with its camera and a data channel: trickle", theirs, ours, True, film=True),
        Case(peer, "answers our softphone with its camera and a data channel: trickle", ours, theirs, True, film=True),
    ]
    return [
        Case(peer, "calls the lab: opus, trickle", theirs, Side("tone"), True),
        Case(peer, "calls the lab's echo with pcmu only: all candidates in the SDP", Side(peer, "pcmu"), Side("echo"), False),
        Case(peer, "calls our softphone: opus, all candidates in the SDP", theirs, ours, False),
        Case(peer, "calls our softphone that has pcmu only: trickle", theirs, Side(OURS, "pcmu"), True),
        Case(peer, "answers our softphone: opus, trickle", ours, theirs, True),
        Case(peer, "answers our softphone with pcmu only: all candidates in the SDP", ours, Side(peer, "pcmu"), False),
        *(with_video if peer in OFFER_VIDEO else []),
        *(filmed if peer in FILM else []),
    ]
