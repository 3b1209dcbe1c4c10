"""How messages carry a description: every shape that a plan may have, put on and taken off.

A shape turns an event (`offer`, `answer`, `candidate`, `bye`, `ready`, `status`, `ok`, `refused`, `decline`) of a dialog into one message and back. Taking off is
strict, as a server is: a length that does not fit, broken base64 or bad XML raises `Malformed`.
"""
from __future__ import annotations

import base64
import binascii
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote
from xml.sax.saxutils import escape, quoteattr

KINDS = ("offer", "answer")


class Malformed(ValueError):
    """A message is not what its shape says; the text says how."""


@dataclass(frozen=True)
class Event:
    """What a message says: its kind, its dialog, a description or a candidate."""

    kind: str
    dialog: str
    text: str = ""
    extra: Any = None


@dataclass(frozen=True)
class Shape:
    """One way to write events."""

    name: str
    put_on: Callable[[Event], str]
    take_off: Callable[[str], Event]


def _dumps(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _loads(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise Malformed(f"not JSON: {error}: {text[:80]!r}") from error


# --- raw, JSON and what is around JSON ---------------------------------------------------------------------------------

def _raw_on(event: Event) -> str:
    return event.text if event.kind in KINDS else f"{event.kind} {event.dialog} {event.text}".rstrip()


def _raw_off(message: str) -> Event:
    if message.startswith("v=0"):
        return Event("answer" if re.search(r"^a=setup:(active|passive)", message, re.M) else "offer", "", message)
    # Nothing names a dialog: there is one on a socket.
    kind, _, rest = message.partition(" ")
    return Event(kind, "", rest.partition(" ")[2])


def _json_object(event: Event) -> dict[str, Any]:
    said: dict[str, Any] = {"type": event.kind, "sessionId": event.dialog}
    if event.kind in KINDS:
        said["sdp"] = event.text
    elif event.kind == "candidate":
        said["candidate"] = event.extra or {"candidate": event.text, "sdpMid": "0", "sdpMLineIndex": 0}
    elif event.text:
        said["text"] = event.text
    return said


def _object_event(said: Any) -> Event:
    if not isinstance(said, dict) or "type" not in said:
        raise Malformed(f"no event: {str(said)[:80]}")
    if said["type"] == "candidate":
        return Event("candidate", str(said.get("sessionId", "")), said["candidate"]["candidate"], said["candidate"])
    return Event(said["type"], str(said.get("sessionId", "")), said.get("sdp", said.get("text", "")))


def _json_on(event: Event) -> str:
    # As people indent it by hand.
    return json.dumps(_json_object(event), indent=2)


def _nested_on(event: Event) -> str:
    return _dumps({"channel": "calls", "to": "bob", "payload": _dumps(_json_object(event))})


def _nested_off(message: str) -> Event:
    return _object_event(_loads(_loads(message)["payload"]))


def _base64_on(event: Event) -> str:
    action = {"offer": "SDP_OFFER", "answer": "SDP_ANSWER", "candidate": "ICE_CANDIDATE"}.get(event.kind, event.kind)
    payload = base64.b64encode(_dumps(_json_object(event)).encode()).decode()
    return _dumps({"action": action, "messagePayload": payload})


def _strict_base64(text: str, alphabet: bytes | None = None) -> str:
    try:
        return base64.b64decode(text, altchars=alphabet, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Malformed(f"bad base64: {error}: {text[:40]!r}") from error


def _base64_off(message: str) -> Event:
    return _object_event(_loads(_strict_base64(_loads(message)["messagePayload"])))


def _base64url_on(event: Event) -> str:
    # Unpadded, as in tokens (RFC 7515 §2).
    return _dumps({"sessionId": event.dialog, "data": base64.urlsafe_b64encode(
        _dumps(_json_object(event)).encode()).decode().rstrip("=")})


def _base64url_off(message: str) -> Event:
    text = _loads(message)["data"]
    if "=" in text or "+" in text or "/" in text:
        raise Malformed(f"no unpadded base64url: {text[:40]!r}")
    return _object_event(_loads(_strict_base64(text + "=" * (-len(text) % 4), b"-_")))


def _socket_io_on(event: Event) -> str:
    return "42" + _dumps([event.kind, _json_object(event)])


def _socket_io_off(message: str) -> Event:
    if not message.startswith("42"):
        raise Malformed(f"no Socket.IO event: {message[:20]!r}")
    return _object_event(_loads(message[2:])[1])


def _signalr_on(event: Event) -> str:
    return _dumps({"type": 1, "target": "signal", "arguments": [_json_object(event)]}) + "\x1e"


def _signalr_off(message: str) -> Event:
    if not message.endswith("\x1e"):
        raise Malformed("a record of SignalR ends with 0x1E")
    return _object_event(_loads(message[:-1])["arguments"][0])


# --- XML, STOMP, SIP, forms ------------------------------------------------------------------------------------------

def _xml_on(event: Event) -> str:
    return f"<signal kind={quoteattr(event.kind)} session={quoteattr(event.dialog)}><body>{_xml_text(event.text)}</body></signal>"


def _xml_text(text: str) -> str:
    return escape(text).replace("\r", "&#xD;")


def _xml_off(message: str) -> Event:
    try:
        element = ET.fromstring(message)
    except ET.ParseError as error:
        raise Malformed(f"bad XML: {error}") from error
    text = element.findtext("body") or ""
    if text.startswith("v=0") and "\r\n" not in text:
        raise Malformed("the line ends are not CR LF any more")
    return Event(element.get("kind", ""), element.get("session", ""), text)


def _stomp_on(event: Event) -> str:
    body = _dumps(_json_object(event))
    return (f"SEND\ndestination:/app/calls\ncontent-type:application/json\ncontent-length:{len(body.encode())}\n\n"
            f"{body}\0")


def _stomp_off(message: str) -> Event:
    head, _, rest = message.partition("\n\n")
    body = rest.rstrip("\n")
    if not body.endswith("\0"):
        raise Malformed("a STOMP frame ends with NUL")
    length = re.search(r"^content-length:(\d+)$", head, re.M)
    if not length or int(length.group(1)) != len(body[:-1].encode()):
        raise Malformed(f"content-length is {length and length.group(1)}, the body has {len(body[:-1].encode())} bytes")
    return _object_event(_loads(body[:-1]))


def _sip_on(event: Event) -> str:
    start = {"offer": "INVITE sip:bob@lab SIP/2.0", "bye": "BYE sip:bob@lab SIP/2.0", "ack": "ACK sip:bob@lab SIP/2.0",
             "status": "INFO sip:bob@lab SIP/2.0", "ready": "OPTIONS sip:bob@lab SIP/2.0",
             "refused": "SIP/2.0 488 Not Acceptable Here"}.get(event.kind, "SIP/2.0 200 OK")
    method = {"bye": "BYE", "ok": "BYE", "ack": "ACK", "status": "INFO", "ready": "OPTIONS"}.get(event.kind, "INVITE")
    tag = "" if event.kind == "offer" else ";tag=there"
    body = event.text if event.kind in KINDS else ""
    kind = "Content-Type: application/sdp\r\n" if body else ""
    return (f"{start}\r\nVia: SIP/2.0/WS df7jal23ls0d.invalid;branch=z9hG4bK56sdasks\r\nMax-Forwards: 70\r\n"
            f"To: <sip:bob@lab>{tag}\r\nFrom: <sip:alice@lab>;tag=asdyka899\r\nCall-ID: {event.dialog}\r\n"
            f"CSeq: {2 if method == 'BYE' else 1} {method}\r\nContact: <sip:alice@df7jal23ls0d.invalid;transport=ws;ob>\r\n"
            f"{kind}Content-Length: {len(body.encode())}\r\n\r\n{body}")


def _sip_compact_on(event: Event) -> str:
    message = _sip_on(event)
    for long, short in (("Content-Length", "l"), ("Content-Type", "c"), ("Call-ID", "i"), ("Via", "v"), ("From", "f"), ("To", "t")):
        message = re.sub(rf"(?m)^{long}:", f"{short}:", message, count=1)
    return message


def _sip_off(message: str) -> Event:
    head, _, body = message.partition("\r\n\r\n")
    fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:])
    length = int(fields.get("Content-Length", fields.get("l", "-1")))
    if length != len(body.encode()):
        raise Malformed(f"Content-Length is {length}, the body has {len(body.encode())} bytes")
    first = head.split(" ", 2)
    dialog = fields.get("Call-ID", fields.get("i", ""))
    if first[0] == "SIP/2.0":
        return Event("answer" if body else "ok", dialog, body)
    return Event({"INVITE": "offer", "BYE": "bye", "ACK": "ack", "INFO": "status", "OPTIONS": "ready"}.get(first[0], first[0]), dialog, body)


def _form_on(event: Event) -> str:
    field = "sdp" if event.kind in KINDS else "text"
    return f"type={event.kind}&session_id={quote(event.dialog)}&{field}={quote(event.text, safe='')}"


def _form_off(message: str) -> Event:
    if re.search(r"[\r\n ]", message):
        raise Malformed("a form has no line ends and blanks")
    fields = {name: values[0] for name, values in parse_qs(message, strict_parsing=True, keep_blank_values=True).items()}
    return Event(fields["type"], fields["session_id"], fields.get("sdp", fields.get("text", "")))


# --- products ----------------------------------------------------------------------------------------------------------

def _janus_on(event: Event) -> str:
    ids = {"session_id": 4124813703597065, "handle_id": 8244467842892561, "transaction": "t3"}
    if event.kind in KINDS:
        return _dumps({"janus": "message", **ids, "body": {"audio": True, "video": False},
                       "jsep": {"type": event.kind, "sdp": event.text}})
    if event.kind == "candidate":
        candidate = event.extra or {"candidate": event.text, "sdpMid": "0", "sdpMLineIndex": 0}
        return _dumps({"janus": "trickle", **ids, "candidate": candidate if event.text else {"completed": True}})
    return _dumps({"janus": "hangup" if event.kind == "bye" else event.kind, **ids})


def _janus_off(message: str) -> Event:
    said = _loads(message)
    if (said.get("session_id"), said.get("handle_id")) != (4124813703597065, 8244467842892561):
        raise Malformed("the ids have changed")
    if "jsep" in said:
        return Event(said["jsep"]["type"], "8244467842892561", said["jsep"]["sdp"])
    if said["janus"] == "trickle":
        return Event("candidate", "8244467842892561", said["candidate"].get("candidate", ""), said["candidate"])
    return Event("bye" if said["janus"] == "hangup" else said["janus"], "8244467842892561")


def _kurento_on(event: Event) -> str:
    where = {"object": f"{event.dialog}_kurento.WebRtcEndpoint", "sessionId": event.dialog}
    if event.kind == "offer":
        return _dumps({"jsonrpc": "2.0", "id": 5, "method": "invoke", "params": {
            **where, "operation": "processOffer", "operationParams": {"offer": event.text}}})
    if event.kind == "answer":
        return _dumps({"id": 5, "result": {"sessionId": event.dialog, "value": event.text}, "jsonrpc": "2.0"})
    if event.kind == "candidate":
        candidate = event.extra or {"candidate": event.text, "sdpMid": "0", "sdpMLineIndex": 0}
        return _dumps({"jsonrpc": "2.0", "method": "onEvent", "params": {"value": {
            "type": "IceCandidateFound", "object": where["object"], "data": {
                "source": where["object"], "type": "IceCandidateFound", "candidate": {
                    "__module__": "kurento", "__type__": "IceCandidate", **candidate}}}}})
    if event.kind == "bye":
        return _dumps({"jsonrpc": "2.0", "id": 9, "method": "release", "params": where})
    if event.kind == "gather":
        return _dumps({"jsonrpc": "2.0", "id": 6, "method": "invoke", "params": {
            **where, "operation": "gatherCandidates", "operationParams": {}}})
    if event.kind in ("status", "ready"):
        return _dumps({"jsonrpc": "2.0", "id": 8, "method": event.kind, "params": where})
    return _dumps({"id": 6, "result": {"sessionId": event.dialog}, "jsonrpc": "2.0"})


def _kurento_off(message: str) -> Event:
    said = _loads(message)
    parameters = said.get("params", {})
    dialog = str(parameters.get("sessionId", ""))
    if parameters.get("operation") == "processOffer":
        return Event("offer", dialog, parameters["operationParams"]["offer"])
    if parameters.get("operation") == "addIceCandidate":
        candidate = parameters["operationParams"]["candidate"]
        return Event("candidate", dialog, candidate["candidate"], candidate)
    if parameters.get("operation") == "gatherCandidates":
        return Event("gather", dialog)
    return Event("bye" if said.get("method") == "release" else str(said.get("method")), dialog)


def kurento_candidate(dialog: str, candidate: str) -> str:
    """`addIceCandidate`, which only a client sends."""
    return _dumps({"jsonrpc": "2.0", "id": 7, "method": "invoke", "params": {
        "object": f"{dialog}_kurento.WebRtcEndpoint", "operation": "addIceCandidate", "operationParams": {"candidate": {
            "__type__": "IceCandidate", "__module__": "kurento", "candidate": candidate, "sdpMid": "0", "sdpMLineIndex": 0}},
        "sessionId": dialog}})


def _genesys_on(event: Event) -> str:
    method = {"candidate": "iceCandidate", "bye": "terminate"}.get(event.kind, event.kind)
    parameters: dict[str, Any] = {"sessionId": event.dialog}
    if event.kind in KINDS:
        parameters["sdp"] = event.text
    elif event.kind == "candidate":
        parameters["sdp"] = f"m=0 9 RTP/AVP 0\r\na={event.text}\r\n" if event.text else "a=end-of-candidates\r\n"
    elif event.text:
        parameters["reason"] = event.text
    call = _dumps({"jsonrpc": "2.0", "method": method, "params": parameters, "id": "4263"})
    return (f'<iq xmlns="jabber:client" id="85ec" type="set" from="user1@org1.orgspan.com/da4b" to="gjoll-1@conversation.gjoll.lab">'
            f'<genesys-webrtc xmlns="genesys">{escape(call)}</genesys-webrtc></iq>')


def _genesys_off(message: str) -> Event:
    try:
        element = ET.fromstring(message)
    except ET.ParseError as error:
        raise Malformed(f"bad XML: {error}") from error
    call = element.find("{genesys}genesys-webrtc")
    if call is None:
        return Event(element.tag.rpartition("}")[2], "")
    said = _loads(call.text or "")
    parameters = said["params"]
    if said["method"] == "iceCandidate":
        candidate = re.search(r"^a=(candidate:[^\r\n]*)\r$", parameters["sdp"], re.M)
        return Event("candidate", parameters["sessionId"], candidate.group(1) if candidate else "")
    return Event("bye" if said["method"] == "terminate" else said["method"], parameters["sessionId"], parameters.get("sdp", ""))


def _sdpfrag_on(event: Event) -> str:
    if event.kind != "candidate":
        return _json_on(event)
    line = f"a={event.text}\r\n" if event.text else "a=end-of-candidates\r\n"
    fragment = f"a=ice-ufrag:cAnN\r\na=ice-pwd:cannedPasswordOfLongAgo01\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n{line}"
    return _dumps({"type": "trickle", "sessionId": event.dialog, "sdpfrag": fragment})


def _sdpfrag_off(message: str) -> Event:
    said = _loads(message)
    if said["type"] != "trickle":
        return _object_event(said)
    candidate = re.search(r"^a=(candidate:[^\r\n]*)\r$", said["sdpfrag"], re.M)
    ufrag = re.search(r"^a=ice-ufrag:(\S+)\r$", said["sdpfrag"], re.M)
    return Event("candidate", said["sessionId"], candidate.group(1) if candidate else "", {
        "usernameFragment": ufrag.group(1) if ufrag else None})


ALL = {shape.name: shape for shape in (
    Shape("raw", _raw_on, _raw_off),
    Shape("json", _json_on, lambda message: _object_event(_loads(message))),
    Shape("json_in_json", _nested_on, _nested_off),
    Shape("base64", _base64_on, _base64_off),
    Shape("base64url", _base64url_on, _base64url_off),
    Shape("xml", _xml_on, _xml_off),
    Shape("sip", _sip_on, _sip_off),
    Shape("sip_compact", _sip_compact_on, _sip_off),
    Shape("socket_io", _socket_io_on, _socket_io_off),
    Shape("signalr", _signalr_on, _signalr_off),
    Shape("stomp", _stomp_on, _stomp_off),
    Shape("form", _form_on, _form_off),
    Shape("sdpfrag", _sdpfrag_on, _sdpfrag_off),
    Shape("janus", _janus_on, _janus_off),
    Shape("kurento", _kurento_on, _kurento_off),
    Shape("genesys", _genesys_on, _genesys_off),
)}
"""Every shape by name."""
