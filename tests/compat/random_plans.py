"""Seeded random plans over everything that the original's elements can be set to.

A scenario is one thread group of one thread; its number and seed decide it alone, so that it can be run again by itself.
The server's behaviour stands in the plan (paths and messages are scripts, see `scripted_server`), and nothing depends
on how fast anything is: a reply comes at once or never, or is held until the next message.
"""
from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tests.compat import jmx
from tests.compat.jmx import Element

SILENT_MS = 600
"""Read timeout where nothing may come."""
PATIENT_MS = 4000
"""Read timeout where something should come."""


@dataclass(frozen=True)
class Place:
    """Where a scenario runs: ports of the servers and the directory of the payload files."""

    plain: int
    secure: int
    refused: int
    files: Path


@dataclass(frozen=True)
class Batch:
    """What one JVM is started with, and the scenarios it runs."""

    properties: dict[str, str]
    arguments: tuple[str, ...]
    java: tuple[str, ...]
    kind: str


WORDS = ("alpha", "beta", "gamma", "delta", "epsilon")
TEXTS = ("hello", "", " padded ", "two words", "line1\nline2", "tab\there", "é ü ß", "日本語", "😀", '{"a":1,"b":"x"}', "<a>&amp;</a>",
         "x" * 125, "y" * 126, "z" * 127, "w" * 4000, "v" * 65535, "u" * 65536, "0xca fe", "^@", "a^@b^@", "C:\\temp\\x",
         "${websocket.last_frame_final}", "${__intSum(1,2)}", "${undefined}", "!t:one", "\r\n")
HEXES = ("cafe", "ca fe", "0xca 0xfe", "0xca fe 1", "abc", "a", "", " ", "0x", "0x1ff", "0xg", "zz", "CA FE", "c a f e",
         "-1", "0x-1", "ca  fe", "ca\tfe", "ca\nfe", " cafe", "cafe ", "00" * 200, "0x00 0x01 0x7f 0x80 0xff", "#ff", "010",
         "0Xff", "ff,00", "0xcafe", "${__char(48)}f", "+f", "0x+f", "é", "0xca0xfe")
SCRIPTS = (
    "t:reply", "t:a t:b t:c", "b:cafe", "b:", "t:", "r:200", "r:70000", "p:hi t:after", "p: t:after", "o:hi t:after", "o: b:00",
    "p:1 p:2 t:after", "b:01 t:text", "t:noise t:noise2 t:wanted", "tf:part1 k:part2", "tf:a kf:b k:c", "bf:0102 k:03",
    "tf:a p:mid k:b", "hold t:late", "hold t:late1 t:late2", "c:1000:bye", "c:1001:going", "c:4000:", "c", "c:1011:two_words",
    "t:last c:1000:bye", "c:1000:bye fin", "fin", "t:last fin", "rst", "t:a_b", "z:compressed", "z:one z:two", "Z:fresh",
    "zf:longer_compressed_text", "z:mixed t:plain", "b:" + "ab" * 40, "b:" + "cd" * 15, "b:" + "cd" * 16, "b:" + "cd" * 17,
    "t:é", "t:multi\nline", "t:" + "x" * 300, "x:8105", "x:8105 fin", "x:810568656c6c6f", "x:c10161", "x:830161", "x:8b00", "x:817e0001",
    "x:81850000000068656c6c6f", "x:8102c328", "x:0000", "x:800178", "x:8801ff", "x:880203e8ff", "x:897e0080" + "61" * 128, "x:090161",
    "x:8108 s:350 x:696e20 s:350 x:7469 s:350 x:6d6531 t:after", "x:8104 s:1000 x:6c617465 t:after",
)
HEADERS = (("X-Plain", "1"), ("X-Empty", ""), ("", "nameless"), ("Origin", "http://example.org"), ("Host", "other.example"),
           ("Connection", "close"), ("upgrade", "h2c"), ("Sec-WebSocket-Key", "abc"), ("Sec-WebSocket-Version", "8"),
           ("Sec-WebSocket-Protocol", "chat, superchat"), ("X-Twice", "a"), ("X-Twice", "b"), ("x-twice", "c"),
           ("User-Agent", "JMeter"), ("Authorization", "Bearer ${token}"), ("X-Spaces", "  v  "), ("Cookie", "own=1"),
           ("X-Utf", "é"), ("Accept-Encoding", "gzip"), ("X-Variable", "${__threadNum}"), ("X-Colon", "a:b"))
TEXT_COMPARISONS = ("IsPlain", "Contains", "NotContains", "Equals", "NotEquals", "StartsWith", "NotStartsWith", "EndsWith",
                    "NotEndsWith", "ContainsRegex", "NotContainsRegex", "EqualsRegex", "NotEqualsRegex")
BINARY_COMPARISONS = ("IsPlain", "Contains", "NotContains", "Equals", "NotEquals", "StartsWith", "NotStartsWith", "EndsWith",
                      "NotEndsWith")
ASSERTION_COMPARISONS = ("", "Equals", "Contains", "StartsWith", "NotEquals", "NotContains", "NotStartsWith")
HEAD_NAMES = ("keepalive", "lower", "noconnection", "noupgrade", "otherupgrade", "noaccept", "wrongaccept", "nothing",
              "noreason", "otherreason", "http10", "cookies", "nospace", "padded", "colon", "protocol", "lflines", "garbage",
              "oddline", "empty", "half", "200", "204", "301", "400", "401", "403", "404", "429", "500", "503", "hang")


def batch(seed: int) -> Batch:
    """The options of the JVM that a seed stands for; every third seed runs through a proxy or with certificates."""
    rng = random.Random(f"batch {seed}")
    properties: dict[str, str] = {}
    if (policy := rng.choice(("", "", "none", "tcpClose", "wsClose", "WSCLOSE", "bogus"))):
        properties["websocket.thread.stop.policy"] = policy
    if rng.random() < 0.3:
        properties["websocket.result.size_includes_filtered_frames"] = rng.choice(("true", "false"))
    if rng.random() < 0.3:
        properties["subresults.disable_renaming"] = "true"
    if rng.random() < 0.2:
        properties["https.use.cached.ssl.context"] = "false"
    kind = ("direct", "direct", "proxy", "direct", "certificates")[seed % 5]
    return Batch(properties, (), (), kind)


class Scenario:
    """Builds one scenario; `element` is its thread group."""

    def __init__(self, seed: int, number: int, place: Place) -> None:
        self._rng = random.Random(f"{seed} {number}")
        self._place = place
        self._count = 0
        self.name = f"s{seed}n{number}"
        self.secure = self._rng.random() < 0.15
        self._deflate = self._rng.random() < 0.15

    def element(self) -> Element:
        """The thread group."""
        rng = self._rng
        group = jmx.thread_group(self.name, loops=rng.choice((1, 1, 1, 2)))
        group.holding(jmx.user_variables({"token": "secret", "server": "127.0.0.1"}))
        if self._deflate:
            value = rng.choice(("permessage-deflate", "permessage-deflate; client_max_window_bits", "Permessage-Deflate",
                                "x-webkit-deflate-frame", "permessage-deflate; server_no_context_takeover"))
            group.holding(jmx.header_manager([("Sec-WebSocket-Extensions", value)]))
        elif rng.random() < 0.4:
            group.holding(self._headers())
        if rng.random() < 0.2:
            group.holding(jmx.cookie_manager([("c1", "v1"), ("c2", "v2")][: rng.randint(1, 2)]))
        if rng.random() < 0.2:
            group.holding(self._filter())
        if rng.random() < 0.15:
            group.holding(jmx.simple_config(self._address(), "defaults"))
        steps = [self._open() if rng.random() < 0.75 else self._step()]
        steps += [self._step() for _ in range(rng.randint(2, 7))]
        if rng.random() < 0.15:
            cut = rng.randrange(len(steps))
            steps = [*steps[:cut], jmx.controller("GenericController", "inner", None, *self._scoped(), *steps[cut:])]
        return group.holding(*steps)

    def _scoped(self) -> list[Element]:
        return [self._rng.choice((self._headers, self._filter))()]

    def _label(self, kind: str) -> str:
        self._count += 1
        return f"{self._count} {kind}"

    def _step(self) -> Element:
        rng = self._rng
        kinds = (self._open, self._request_response, self._request_response, self._request_response, self._request_response,
                 self._read, self._read, self._write, self._ping, self._close)
        element = rng.choice(kinds)()
        if rng.random() < 0.15:
            element.holding(self._filter())
        if rng.random() < 0.05:
            element.holding(self._filter(), self._filter())
        if rng.random() < 0.07:
            element.holding(self._headers())
        if rng.random() < 0.03:
            element.holding(jmx.cookie_manager([("inner", "1")], name="inner cookies"))
        if rng.random() < 0.1:
            element.holding(self._assertion())
        if rng.random() < 0.06:
            element.holding(self._pre_processor(element))
        return element

    # --- where to --------------------------------------------------------------------------------------------------

    def _port(self) -> str:
        return str(self._place.secure if self.secure else self._place.plain)

    def _path(self) -> str:
        rng, tag = self._rng, f"sc={self.name}"
        kind = rng.random()
        if kind < 0.6:
            return f"/e?{tag}"
        if kind < 0.75:
            return f"/s/{quote(rng.choice(SCRIPTS))}?{tag}"
        if kind < 0.88:
            return f"/h/{rng.choice(HEAD_NAMES)}?{tag}"
        return rng.choice((f"e?{tag}", f"/e?{tag}#part", f"/e?{tag}&q=%20", f"/e/é?{tag}", f"/e/{{x}}?{tag}", f"/e//x?{tag}",
                           f"/e/a|b?{tag}", f"/e?{tag}&u=http://x/y", f"/e;p=1?{tag}", "", "/", f"?{tag}", f"/e?{tag}&d=^\"",
                           f"/e b?{tag}", f" /e?{tag}", f"/e?{tag} "))

    def _address(self) -> dict[str, jmx.Value]:
        rng = self._rng
        values: dict[str, jmx.Value] = {"server": "127.0.0.1", "port": self._port(), "path": self._path()}
        if self.secure or rng.random() < 0.7:
            values["TLS"] = self.secure
        if rng.random() < 0.7:
            values["connectTimeout"] = "20000"
        if rng.random() < 0.06:
            key = rng.choice(("server", "port", "connectTimeout", "TLS"))
            values[key] = rng.choice({
                "server": ("localhost", "${server}", "", "no.such.host.invalid", "127.0.0.1 ", "ws://127.0.0.1", "127.1", "a b"),
                "port": (f" {self._port()} ", "", "abc", "0", "-1", "65535", "65536", "99999999999", str(self._place.refused), "${p}", "80.0"),
                "connectTimeout": ("", "0", "1", "-5", "999999", "1000000", "abc", " 2000 ", "1e3"),
                "TLS": (not self.secure,),
            }[key])
        if rng.random() < 0.02:
            del values[rng.choice(tuple(values))]
        return values

    def _read_timeout(self, patient: bool = True) -> dict[str, jmx.Value]:
        rng = self._rng
        if rng.random() < 0.04:
            return {"readTimeout": rng.choice(("", "-1", "10000000", "abc", f" {SILENT_MS} ", "99999999999", "1.5"))}
        return {"readTimeout": str(SILENT_MS if not patient or rng.random() < 0.9 else PATIENT_MS)}

    # --- what to send ----------------------------------------------------------------------------------------------

    def _payload(self, reading: bool) -> dict[str, jmx.Value]:
        rng = self._rng
        values: dict[str, jmx.Value] = {}
        kind = rng.random()
        if kind < 0.55:
            values["requestData"] = "!" + rng.choice(SCRIPTS)
            if rng.random() < 0.8:
                values["payloadType"] = "Text"
        elif kind < 0.75:
            values["requestData"] = rng.choice(TEXTS)
            values["payloadType"] = rng.choice(("Text", "Text", "TextStomp"))
        elif kind < 0.92:
            values["requestData"] = rng.choice(HEXES)
            values |= rng.choice(({"payloadType": "Binary"}, {"payloadType": "Binary"}, {"binaryPayload": True}))
        else:
            values["requestData"] = rng.choice((*TEXTS, *HEXES))
            values |= rng.choice(({"payloadType": "bogus"}, {"payloadType": ""}, {"payloadType": "Text", "binaryPayload": True},
                                  {"payloadType": "binary"}, {"binaryPayload": False}, {"payloadType": "Any"}))
        if rng.random() < 0.08:
            values["loadDataFromFile"] = True
            values["dataFile"] = rng.choice(("text.txt", "binary.bin", "empty", "large.bin", "latin1.txt", "missing", ".", "crlf.txt",
                                             "long.txt", "stomp.txt"))
            values["dataFile"] = f"{self._place.files}/{values['dataFile']}" if rng.random() < 0.85 else rng.choice(("", "missing"))
        elif rng.random() < 0.5:
            values |= {"loadDataFromFile": False, "dataFile": ""}
        if not reading and rng.random() < 0.1:
            values["readTimeout"] = str(SILENT_MS)
        return values

    def _open(self) -> Element:
        return jmx.open_connection(self._label("open"), **self._address(), **self._read_timeout())

    def _request_response(self) -> Element:
        fresh = self._rng.random()
        values = self._address() | self._payload(reading=True) | self._read_timeout()
        if fresh < 0.96:
            values["createNewConnection"] = fresh < 0.15
        return jmx.request_response(self._label("rr"), **values)

    def _read(self) -> Element:
        rng = self._rng
        values = self._address() | self._read_timeout()
        if rng.random() < 0.95:
            values["createNewConnection"] = rng.random() < 0.1
        values |= rng.choice(({"dataType": "Text"}, {"dataType": "Text"}, {"dataType": "Any"}, {"dataType": "Any"}, {"dataType": "Binary"},
                              {"dataType": "Binary"}, {}, {"binaryPayload": True}, {"dataType": ""}, {"dataType": "bogus"}))
        if rng.random() < 0.5:
            values["optional"] = rng.random() < 0.6
        return jmx.single_read(self._label("read"), **values)

    def _write(self) -> Element:
        values = self._address() | self._payload(reading=False)
        if self._rng.random() < 0.95:
            values["createNewConnection"] = self._rng.random() < 0.1
        return jmx.single_write(self._label("write"), **values)

    def _ping(self) -> Element:
        kind = self._rng.choice(({"type": "PingPong"}, {"type": "PingPong"}, {"type": "Pong"}, {}, {"type": ""}, {"type": "bogus"}))
        return jmx.ping_pong(self._label("ping"), **kind, **self._read_timeout())

    def _close(self) -> Element:
        rng = self._rng
        code = rng.choice(("1000", "1000", "1000", "4321", "1001", "", "abc", "999", "70000", "1005", "0", "-1", " 1000 ", "65535", None))
        return jmx.close(self._label("close"), **({} if code is None else {"statusCode": code}), **self._read_timeout())

    # --- what stands around ----------------------------------------------------------------------------------------

    def _headers(self) -> Element:
        rng = self._rng
        return jmx.header_manager(rng.sample(HEADERS, rng.randint(0, 5)), f"headers {rng.randint(1, 99)}")

    def _filter(self) -> Element:
        rng = self._rng
        kind = rng.randrange(4)
        if kind == 0:
            values: dict[str, jmx.Value] = {} if rng.random() < 0.1 else {"replyToPing": rng.random() < 0.5}
            if rng.random() < 0.6:
                values["filterType"] = rng.choice(("FilterAll", "FilterPingOnly", "FilterPongOnly", "FilterAll", "bogus"))
            return jmx.ping_filter(f"pf{rng.randint(1, 9)}", **values)
        if kind == 1:
            values = {"comparisonType": rng.choice(BINARY_COMPARISONS), "matchValue": rng.choice(
                ("ca", "cafe", "0xca 0xfe", "", "00", "zz", "ab ab", "01")), "matchPosition": rng.choice(("", "", "0", "1", "99", "-1", "x"))}
            if rng.random() < 0.1:
                del values[rng.choice(tuple(values))]
            elif rng.random() < 0.05:
                values["comparisonType"] = rng.choice(("bogus", "ContainsRegex"))
            return jmx.binary_filter(f"bf{rng.randint(1, 9)}", **values)
        values = {"comparisonType": rng.choice(TEXT_COMPARISONS), "matchValue": rng.choice(
            ("noise", "reply", "a", "", "wanted", "[ab]", ".*e.*", "part\\d", "(", "after", "x+", "Noise", "^t", "hello", "multi.line", "(?s)m.*e", "line$"))}
        if rng.random() < 0.1:
            del values[rng.choice(tuple(values))]
        elif rng.random() < 0.05:
            values["comparisonType"] = "bogus"
        return jmx.text_filter(f"tf{rng.randint(1, 9)}", **values)

    def _assertion(self) -> Element:
        rng = self._rng
        if rng.random() < 0.5:
            values: dict[str, jmx.Value] = {
                "comparisonType": rng.choice(ASSERTION_COMPARISONS),
                "compareValue": rng.choice(("ca", "cafe", "0xca 0xfe", "", "zz", "72 65", "abc", "ab" * 40))}
            if rng.random() < 0.1:
                del values[rng.choice(tuple(values))]
            return jmx.binary_assertion("binary", **values)
        return jmx.response_assertion(rng.choice(("reply", "OK", "101", "Upgrade")), rng.choice(
            ("Assertion.response_data", "Assertion.response_code", "Assertion.response_message", "Assertion.response_headers",
             "Assertion.sample_label", "Assertion.request_data")), rng.choice((2, 16)))

    def _pre_processor(self, element: Element) -> Element:
        """A script that sets a property by the method that old scripts use."""
        rng = self._rng
        kind = element.test.rsplit(".", 1)[1]
        lines = {
            "RequestResponseWebSocketSampler": ('sampler.setRequestData("from script")', "sampler.setCreateNewConnection(true)",
                                                f'sampler.setReadTimeout("{SILENT_MS}")'),
            "SingleWriteWebSocketSampler": ('sampler.setRequestData("from script " + sampler.getPort())',
                                            "sampler.setCreateNewConnection(false)"),
            "SingleReadWebSocketSampler": ("sampler.setOptional(true)", f'sampler.setReadTimeout("{SILENT_MS}")'),
            "OpenWebSocketSampler": (f'sampler.setPath("/e?sc={self.name}")', "sampler.setTLS(sampler.getTLS())"),
            "PingPongSampler": (f'sampler.setReadTimeout("{SILENT_MS}")',),
            "CloseWebSocketSampler": ('sampler.setStatusCode("4001")',),
        }[kind]
        return jmx.script("PreProcessor", rng.choice(lines))


def write_files(directory: Path) -> None:
    """The payload files that scenarios name."""
    directory.mkdir(parents=True, exist_ok=True)
    contents = {"text.txt": "from file é".encode(), "binary.bin": bytes((1, 2, 255)), "empty": b"", "latin1.txt": "caf\xe9".encode("latin1"),
                "large.bin": bytes(range(256)) * 2, "crlf.txt": b"a\r\nb\r\n", "long.txt": b"0123456789" * 50, "stomp.txt": b"a^@b"}
    for name, content in contents.items():
        (directory / name).write_bytes(content)
