"""aiortc as a softphone: sends a 400 Hz tone, decodes and counts what it gets.

aiortc gathers everything before it has an SDP; in trickle mode the candidates are therefore taken out of the SDP and sent one
by one, which exercises the other side exactly as a trickling peer does.
"""

from __future__ import annotations

import array
import asyncio
import fractions
import math
import time
import uuid
from typing import Any

import aioice.ice
import aiortc
from aiortc.mediastreams import MediaStreamError
from aiortc.sdp import candidate_from_sdp
from av import AudioFrame

from . import command_line, ending, signaling
from .ending import CallFailed, Ending

SAMPLE_RATE = 48_000
FRAME_SAMPLES = 960
TONE_HZ = 400
TONE_AMPLITUDE = 8_000
#: Decoded samples above this are sound, not the rounding noise of a codec.
AUDIBLE = 200


def _loopback_only(use_ipv4: bool, use_ipv6: bool) -> list[str]:
    """Host addresses for aioice: it leaves 127.0.0.1 out by itself, and the suite stays on loopback."""
    return ["127.0.0.1"] if use_ipv4 else []


aioice.ice.get_host_addresses = _loopback_only


class Tone(aiortc.MediaStreamTrack):
    """20 ms frames of a sine until `silence` is called; from then on `recv` waits, so that nothing is sent any more."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._start: float | None = None
        self._frames = 0
        self._stopped = False
        self._forever = asyncio.Event()
        samples = (TONE_AMPLITUDE * math.sin(2 * math.pi * TONE_HZ * n / SAMPLE_RATE) for n in range(FRAME_SAMPLES))
        self._samples = array.array("h", (round(sample) for sample in samples)).tobytes()

    def silence(self) -> None:
        """Ends sending after the current packet."""
        self._stopped = True

    async def recv(self) -> AudioFrame:
        if self._start is None:
            self._start = time.monotonic()
        await asyncio.sleep(self._start + self._frames * FRAME_SAMPLES / SAMPLE_RATE - time.monotonic())
        if self._stopped:
            await self._forever.wait()
        frame = AudioFrame(format="s16", layout="mono", samples=FRAME_SAMPLES)
        frame.planes[0].update(self._samples)
        frame.sample_rate = SAMPLE_RATE
        frame.time_base = fractions.Fraction(1, SAMPLE_RATE)
        frame.pts = self._frames * FRAME_SAMPLES
        self._frames += 1
        return frame


class Softphone:
    """One call of aiortc."""

    def __init__(self, options: command_line.Options, report: Ending) -> None:
        self._options = options
        self._report = report
        servers = [aiortc.RTCIceServer(options.stun)] if options.stun else []
        self._connection = aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=servers))
        self._tone = Tone()
        self._settled = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._connection.on("connectionstatechange", self._state_changed)
        self._connection.on("track", self._track_came)

    async def run(self) -> None:
        """The call from the first to the last message; closes everything in the end, also after a failure."""
        phone = await signaling.Signaling.open(self._options.signaling, self._report)
        try:
            if self._options.role == "caller":
                await self._call(phone)
            else:
                await self._answer(phone)
        finally:
            for task in self._tasks:
                task.cancel()
            await self._connection.close()
            await phone.close()
            for outcome in await asyncio.gather(*self._tasks, return_exceptions=True):
                if isinstance(outcome, Exception):
                    self._report.note(f"a task of the call failed: {outcome!r}")

    async def _call(self, phone: signaling.Signaling) -> None:
        call = str(uuid.uuid4())
        if self._options.video:
            raise CallFailed("aiortc cannot have its first line refused: it wants ICE credentials there")
        self._connection.addTransceiver(self._tone, "sendrecv")
        self._limit_codecs()
        await self._connection.setLocalDescription(await self._connection.createOffer())
        sdp, candidates = self._split(self._connection.localDescription.sdp)
        await phone.send("offer", call=call, to=self._options.call, sdp=sdp)
        await self._trickle(phone, call, candidates)
        answer = await phone.expect("answer", 15)
        await self._connection.setRemoteDescription(aiortc.RTCSessionDescription(answer["sdp"], "answer"))
        self._tasks.append(asyncio.create_task(self._take_candidates(phone, answer["sdp"])))
        await self._connected()
        await self._talk()
        mine = await self._hush()
        await phone.send("bye", call=call, media=mine)
        bye = await phone.expect("bye", 5)
        await self._settle(bye)

    async def _answer(self, phone: signaling.Signaling) -> None:
        await phone.send("register", name=self._options.answer_as)
        await phone.expect("registered", 5)
        ending.say("registered")
        offer = await phone.expect("offer", self._options.deadline_s)
        call = offer["call"]
        # aiortc matches codecs when it is given the offer: what limits them has to be there before.
        self._connection.addTransceiver(self._tone, "sendrecv")
        self._limit_codecs()
        await self._connection.setRemoteDescription(aiortc.RTCSessionDescription(offer["sdp"], "offer"))
        await self._connection.setLocalDescription(await self._connection.createAnswer())
        sdp, candidates = self._split(self._connection.localDescription.sdp)
        await phone.send("answer", call=call, sdp=sdp)
        await self._trickle(phone, call, candidates)
        self._tasks.append(asyncio.create_task(self._take_candidates(phone, offer["sdp"])))
        await self._connected()
        bye = await phone.expect("bye", self._options.deadline_s)
        await self._hush()
        await self._settle(bye)
        await phone.send("bye", call=call, media=await self._counted())

    def _limit_codecs(self) -> None:
        if self._options.codec == "opus":
            return
        codecs = aiortc.RTCRtpSender.getCapabilities("audio").codecs
        for transceiver in self._connection.getTransceivers():
            transceiver.setCodecPreferences([codec for codec in codecs if codec.mimeType.lower() == "audio/pcmu"])

    def _split(self, sdp: str) -> tuple[str, list[str]]:
        """The SDP to send and the candidates to send apart (none unless trickling)."""
        if not self._options.trickle:
            return sdp, []
        lines = sdp.splitlines()
        candidates = [line.removeprefix("a=") for line in lines if line.startswith("a=candidate:")]
        kept = [line for line in lines if not line.startswith(("a=candidate:", "a=end-of-candidates"))]
        return "\r\n".join(kept) + "\r\n", candidates

    async def _trickle(self, phone: signaling.Signaling, call: str, candidates: list[str]) -> None:
        if not self._options.trickle:
            return
        for candidate in [*candidates, ""]:
            await phone.send("candidate", call=call, candidate={"candidate": candidate, "sdpMid": "0", "sdpMLineIndex": 0})

    async def _take_candidates(self, phone: signaling.Signaling, remote_sdp: str) -> None:
        """Applies remote candidates as they come, until the end of candidates."""
        while "a=end-of-candidates" not in remote_sdp:
            init: dict[str, Any] = await phone.candidates.get()
            text = init.get("candidate", "")
            if not text:
                await self._connection.addIceCandidate(None)
                return
            candidate = candidate_from_sdp(text.removeprefix("candidate:"))
            candidate.sdpMid = init.get("sdpMid")
            candidate.sdpMLineIndex = init.get("sdpMLineIndex")
            try:
                await self._connection.addIceCandidate(candidate)
            except ValueError as refused:
                self._report.note(f"candidate refused: {refused}")

    async def _connected(self) -> None:
        try:
            await asyncio.wait_for(self._settled.wait(), 15)
        except TimeoutError:
            raise CallFailed(f"not connected within 15 s; connectionState {self._connection.connectionState}") from None
        if self._report.state != "connected":
            raise CallFailed(f"connectionState {self._report.state} instead of connected")

    async def _state_changed(self) -> None:
        state = self._connection.connectionState
        self._report.note(f"connectionState {state}")
        if state != "closed":
            self._report.state = state
        if state in ("connected", "failed"):
            self._settled.set()

    def _track_came(self, track: aiortc.MediaStreamTrack) -> None:
        self._report.heard = False
        self._tasks.append(asyncio.create_task(self._listen(track)))

    async def _listen(self, track: aiortc.MediaStreamTrack) -> None:
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            if isinstance(frame, AudioFrame):
                loudest = max(array.array("h", bytes(frame.planes[0])), default=0)
                self._report.heard = self._report.heard or loudest > AUDIBLE

    async def _talk(self) -> None:
        """Holds the call, and longer where the packets asked for are late."""
        give_up = time.monotonic() + self._options.hold_s * ending.PATIENCE
        await asyncio.sleep(self._options.hold_s)
        while time.monotonic() < give_up:
            counted = await self._counted()
            if min(counted["packetsSent"], counted["packetsReceived"]) >= self._options.packets:
                return
            await asyncio.sleep(0.1)

    async def _hush(self) -> dict[str, float]:
        """Stops sending and returns the accounts once the last packet is out."""
        self._tone.silence()
        await asyncio.sleep(0.1)
        return await self._counted()

    async def _settle(self, bye: dict[str, Any]) -> None:
        """Waits, at most 500 ms, until everything that the other side says it sent has come."""
        theirs = bye.get("media")
        self._report.peer_accounts = theirs
        give_up = time.monotonic() + 0.5
        while await self._counted() and theirs and self._report.packets_received < theirs["packetsSent"]:
            if time.monotonic() > give_up:
                return
            await asyncio.sleep(0.02)

    async def _counted(self) -> dict[str, float]:
        """Accounts by getStats, also kept in the report."""
        lost = jitter = 0
        received = sent = bytes_sent = 0
        for stats in (await self._connection.getStats()).values():
            if stats.type == "outbound-rtp":
                sent, bytes_sent = stats.packetsSent, stats.bytesSent
            elif stats.type == "inbound-rtp":
                received, lost, jitter = stats.packetsReceived, stats.packetsLost, stats.jitter
        self._report.packets_sent, self._report.packets_received, self._report.packets_lost = sent, received, lost
        for transceiver in self._connection.getTransceivers():
            negotiated = transceiver._codecs  # noqa: SLF001 - aiortc has no public getParameters
            self._report.codec = negotiated[0].name.lower() if negotiated else None
        return signaling.accounts(
            packetsSent=sent,
            bytesSent=bytes_sent,
            packetsReceived=received,
            packetsLost=lost,
            jitter=jitter / (SAMPLE_RATE if self._report.codec == "opus" else 8_000),
        )


def main() -> None:
    """Runs one call."""
    options = command_line.parse()
    report = Ending(peer="aiortc", version=aiortc.__version__)

    async def softphone() -> None:
        await Softphone(options, report).run()

    ending.end_with(ending.run(report, options.deadline_s, softphone))


if __name__ == "__main__":
    main()
