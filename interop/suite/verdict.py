"""What must be true of a call, as a pure function of what both sides said about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeGuard

#: Packets that each direction must have carried; a caller hangs up only after as many (or after waiting long in vain).
ENOUGH_PACKETS = 100

Document = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """What a case asked for: the codec that is spoken; whether the lab answers, so that the answerer's accounts are those of its
    `bye`; whether the answerer sends back what it gets; whether the peer sends video, which our side counts."""

    codec: str
    answered_by_lab: bool
    echoed: bool = False
    filmed: bool = False


def faults(asked: Asked, caller: Document | None, answerer: Document | None) -> list[str]:
    """Every way in which the call was not right; none = passed.

    `caller` and `answerer` are last lines (`softphones/ending.py`), `None` where a program printed none. The answerer is
    ignored where the lab answered.
    """
    if asked.answered_by_lab:
        found = _side("caller", asked, caller)
        if _ended(caller):
            lab = {"peerAccounts": None, **caller["peerAccounts"]}
            found += _both(caller, lab) + (_echo(lab) if asked.echoed else [])
        return found
    found = _side("caller", asked, caller) + _side("answerer", asked, answerer)
    if _ended(caller) and _ended(answerer):
        found += _both(caller, answerer)
        counted = [side["otherPacketsReceived"] for side in (caller, answerer) if "otherPacketsReceived" in side]
        if asked.filmed and not any(counted):
            found.append("no video packet was received")
        if not asked.filmed and any(counted):
            found.append(f"{max(counted)} packets came that are none of the audio line")
    return found


def _ended(side: Document | None) -> TypeGuard[Document]:
    return side is not None and side.get("event") == "ended" and side.get("peerAccounts") is not None


def _side(who: str, asked: Asked, side: Document | None) -> list[str]:
    """Faults that one side shows by itself."""
    if side is None:
        return [f"{who}: ended without a report"]
    if side.get("event") != "ended":
        return [f"{who}: {side.get('reason', 'failed without a reason')}"]
    found = []
    if side["state"] != "connected":
        found.append(f"{who}: connectionState {side['state']} at the end")
    if side["codec"] != asked.codec:
        found.append(f"{who}: sent {side['codec']} instead of {asked.codec}")
    if side["heard"] is False:
        found.append(f"{who}: decoded only silence")
    if side.get("remoteCandidateType") == "prflx":
        found.append(f"{who}: knows the other side's address from its checks only: its candidates were not understood")
    if side["peerAccounts"] is None:
        found.append(f"{who}: the other side's bye had no accounts")
    return found


def _echo(lab: Document) -> list[str]:
    """An echo cannot say more than it heard."""
    sent, received = lab["packetsSent"], lab["packetsReceived"]
    return [f"the echo sent {sent} packets after {received} received"] if sent > received else []


def _both(caller: Document, answerer: Document) -> list[str]:
    """Faults in the accounts of both sides together."""
    found = []
    for who, side in (("caller", caller), ("answerer", answerer)):
        for direction in ("packetsSent", "packetsReceived"):
            if side[direction] < ENOUGH_PACKETS:
                found.append(f"{who}: {direction} is {side[direction]}, expected at least {ENOUGH_PACKETS}")
        if side["packetsLost"] != 0:
            found.append(f"{who}: packetsLost is {side['packetsLost']}")
    for sender, receiver, sent, received in (
        ("caller", "answerer", caller["packetsSent"], answerer["packetsReceived"]),
        ("answerer", "caller", answerer["packetsSent"], caller["packetsReceived"]),
    ):
        if sent != received:
            found.append(f"the {sender} sent {sent} packets, the {receiver} received {received}")
    if answerer["peerAccounts"] is not None and answerer["peerAccounts"]["packetsSent"] != caller["packetsSent"]:
        found.append(f"the caller's bye said {answerer['peerAccounts']['packetsSent']} packets, it sent {caller['packetsSent']}")
    if caller["peerAccounts"]["packetsSent"] != answerer["packetsSent"]:
        found.append(
            f"the answerer's bye said {caller['peerAccounts']['packetsSent']} packets, it sent {answerer['packetsSent']}"
        )
    return found
