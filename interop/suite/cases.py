"""The calls of the suite: every peer in both roles, against the lab and against our own softphone."""

from __future__ import annotations

from dataclasses import dataclass

from .verdict import Asked

#: The answering peers of the lab (`src/signaling/json.rs`).
LAB_PEERS = ("tone", "echo")
OURS = "jmeter-webrtc"


@dataclass(frozen=True)
class Case:
    """One call. `caller` and `answerer` are names of peers; an answerer of `LAB_PEERS` is the lab itself."""

    peer: str
    name: str
    caller: str
    answerer: str
    codec: str
    trickle: bool

    @property
    def asked(self) -> Asked:
        """What the verdict is to hold the call to."""
        return Asked(codec=self.codec, answered_by_lab=self.answerer in LAB_PEERS)


def cases_of(peer: str) -> list[Case]:
    """The calls that `peer` takes part in."""
    return [
        Case(peer, "calls the lab: opus, trickle", peer, "tone", "opus", True),
        Case(peer, "calls the lab's echo: pcmu, all candidates in the SDP", peer, "echo", "pcmu", False),
        Case(peer, "calls our softphone: opus, all candidates in the SDP", peer, OURS, "opus", False),
        Case(peer, "answers our softphone: opus, trickle", OURS, peer, "opus", True),
        Case(peer, "answers our softphone: pcmu, all candidates in the SDP", OURS, peer, "pcmu", False),
    ]
