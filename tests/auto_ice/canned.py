"""Descriptions and candidates as plans have them: recorded once, pasted since.

They are well-formed and long dead: nobody listens where they point, and nobody has the key of their fingerprint.
"""
from __future__ import annotations

UFRAG = "cAnN"
PASSWORD = "cannedPasswordOfLongAgo01"
FINGERPRINT = ":".join(f"{byte:02X}" for byte in range(0xC0, 0xE0))
SSRC = "3735928559"
CANDIDATE = f"candidate:1510613869 1 udp 2122063615 127.0.0.77 9 typ host generation 0 ufrag {UFRAG} network-id 3"
"""Nothing ever answers there."""


ROOM = "a=x-room:7"
"""A line that only one server understands."""


def _head(mids: list[str]) -> list[str]:
    return ["v=0", "o=- 8902712796288835407 2 IN IP4 127.0.0.1", "s=-", "t=0 0", f"a=group:BUNDLE {' '.join(mids)}",
            "a=extmap-allow-mixed", "a=msid-semantic: WMS stream0"]


def _transport(setup: str, mid: str, candidates: bool) -> list[str]:
    lines = ["c=IN IP4 0.0.0.0", "a=rtcp:9 IN IP4 0.0.0.0"]
    if candidates:
        lines.append(f"a={CANDIDATE}")
    return lines + [f"a=ice-ufrag:{UFRAG}", f"a=ice-pwd:{PASSWORD}", "a=ice-options:trickle",
                    f"a=fingerprint:sha-256 {FINGERPRINT}", f"a=setup:{setup}", f"a=mid:{mid}"]


def _audio(setup: str, mid: str, candidates: bool) -> list[str]:
    return ["m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126", *_transport(setup, mid, candidates),
            "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level", "a=sendrecv", "a=msid:stream0 track0", "a=rtcp-mux",
            "a=rtpmap:111 opus/48000/2", "a=rtcp-fb:111 transport-cc", "a=fmtp:111 minptime=10;useinbandfec=1",
            "a=rtpmap:63 red/48000/2", "a=fmtp:63 111/111", "a=rtpmap:9 G722/8000", "a=rtpmap:0 PCMU/8000",
            "a=rtpmap:8 PCMA/8000", "a=rtpmap:13 CN/8000", "a=rtpmap:110 telephone-event/48000",
            "a=rtpmap:126 telephone-event/8000", f"a=ssrc:{SSRC} cname:cannedCname", f"a=ssrc:{SSRC} msid:stream0 track0"]


def _video(setup: str, mid: str, candidates: bool) -> list[str]:
    return ["m=video 9 UDP/TLS/RTP/SAVPF 96 97", *_transport(setup, mid, candidates), "a=sendrecv",
            "a=msid:stream0 track1", "a=rtcp-mux", "a=rtcp-rsize", "a=rtpmap:96 VP8/90000", "a=rtcp-fb:96 nack",
            "a=rtcp-fb:96 nack pli", "a=rtpmap:97 rtx/90000", "a=fmtp:97 apt=96", "a=ssrc-group:FID 2718281828 3141592653",
            "a=ssrc:2718281828 cname:cannedCname", "a=ssrc:3141592653 cname:cannedCname"]


def sdp(kind: str, *, candidates: bool = True, video: bool = False, room: bool = False, newline: str = "\r\n") -> str:
    """An offer or an answer of a browser, with audio, and if wanted with video or a line of an application of its own."""
    setup = "actpass" if kind == "offer" else "active"
    lines = _head(["0", "1"] if video else ["0"]) + ([ROOM] if room else []) + _audio(setup, "0", candidates)
    if video:
        lines += _video(setup, "1", candidates)
    return newline.join(lines) + newline
