"""What the demo says about a run: percentiles, the summary's shape, and every problem that it must name."""

from __future__ import annotations

import copy
import unittest

from demo.summary import CONNECT_LABEL, OPEN_LABEL, percentile, phases, problems, summary, table

COUNTERS = {
    "softphones": {"started": 2, "connected": 2, "failed": 0, "talking": 0, "ended": 2, "open": 0},
    "webSockets": {"opened": 2, "open": 0, "failed": 0},
    "udpSockets": {"opened": 2, "open": 0},
    "media": {"packetsSent": 100, "packetsReceived": 98, "packetsLost": 0, "packetsSkipped": 0, "socketDrops": 0},
    "generator": {
        "cpuSeconds": 1.5,
        "rssMiB": 200.0,
        "receiveBufferErrors": 0,
        "scheduleLagP99Ms": 1.25,
        "loopLagP99Ms": 2.0,
    },
}
LAB = {
    "socketsOpened": 2,
    "socketsOpen": 0,
    "callsAnswered": 2,
    "callsOpen": 0,
    "callsFailed": 0,
    "packetsSent": 98,
    "packetsReceived": 100,
    "packetsLost": 0,
    "socketDrops": 0,
    "stunRequests": 2,
}


def row(label: str, success: bool = True, code: str = "200", message: str = "OK", **columns: str) -> dict[str, str]:
    """A row of a JTL."""
    return {
        "label": label,
        "success": str(success).lower(),
        "responseCode": code,
        "responseMessage": message,
        **{f"webrtc_{name}": value for name, value in columns.items()},
    }


ROWS = [
    row(OPEN_LABEL, dnsMs="0.5", tcpMs="0.2", upgradeMs="1.0"),
    row(OPEN_LABEL, dnsMs="1.5", tcpMs="0.4", upgradeMs="3.0"),
    row(CONNECT_LABEL, gatherMs="1.0", iceMs="20.0", dtlsMs="5.0", firstRtpMs="2.0"),
    row(CONNECT_LABEL, gatherMs="2.0", iceMs="40.0", dtlsMs="9.0", firstRtpMs="4.0"),
]


class Percentile(unittest.TestCase):
    def test_of_nothing_is_nothing(self) -> None:
        self.assertIsNone(percentile([], 0.5))

    def test_is_a_value_that_was_measured(self) -> None:
        self.assertEqual(percentile([4, 1, 3, 2], 0.5), 2)
        self.assertEqual(percentile(range(1, 101), 0.95), 95)
        self.assertEqual(percentile([7], 0.95), 7)


class Phases(unittest.TestCase):
    def test_come_from_the_samples_that_own_them(self) -> None:
        rows = [*ROWS, row("WebRTC hang up", gatherMs="999", iceMs="999")]
        self.assertEqual(phases(rows)["ice"], {"p50Ms": 20.0, "p95Ms": 40.0})

    def test_of_failed_samples_do_not_count(self) -> None:
        rows = [*ROWS, row(CONNECT_LABEL, success=False, iceMs="30000")]
        self.assertEqual(phases(rows)["ice"]["p95Ms"], 40.0)

    def test_without_a_value_are_null(self) -> None:
        rows = [row(OPEN_LABEL, dnsMs=""), row(OPEN_LABEL, dnsMs="null")]
        self.assertEqual(phases(rows)["dns"], {"p50Ms": None, "p95Ms": None})


class Summary(unittest.TestCase):
    def test_has_exactly_the_promised_shape(self) -> None:
        result = summary(2, ROWS, COUNTERS, 12.3456)
        self.assertEqual(
            list(result),
            [
                "softphones",
                "connected",
                "failed",
                "webSocketsOpened",
                "udpSocketsOpened",
                "packetsSent",
                "packetsReceived",
                "packetsLost",
                "phases",
                "generator",
                "wallSeconds",
            ],
        )
        self.assertEqual(list(result["phases"]), ["dns", "tcp", "upgrade", "gather", "ice", "dtls", "firstRtp"])
        self.assertEqual(
            result["generator"],
            {"cpuSeconds": 1.5, "rssMiB": 200.0, "receiveBufferErrors": 0, "scheduleLagP99Ms": 1.25},
        )
        self.assertEqual(result["wallSeconds"], 12.346)

    def test_counts_a_softphone_that_never_called_as_failed(self) -> None:
        result = summary(3, ROWS, COUNTERS, 1.0)
        self.assertEqual((result["connected"], result["failed"]), (2, 1))

    def test_table_shows_both_sides(self) -> None:
        text = table(summary(2, ROWS, COUNTERS, 1.0), COUNTERS, LAB)
        self.assertIn("100 received by the lab", text)
        self.assertIn("98 sent by the lab", text)


class Problems(unittest.TestCase):
    def found(self, rows: list[dict[str, str]] = ROWS, **changes: dict[str, int]) -> list[str]:
        """The problems of a good run with some counters changed: `generator_media={...}`, `lab={...}`."""
        counters, lab = copy.deepcopy(COUNTERS), dict(LAB)
        for name, values in changes.items():
            (lab if name == "lab" else counters[name]).update(values)
        return problems(2, rows, counters, lab)

    def test_of_a_good_run_are_none(self) -> None:
        self.assertEqual(self.found(), [])

    def test_name_a_failed_sample_with_its_count(self) -> None:
        failed = row("WebSocket close", success=False, code="X", message="why")
        self.assertEqual(self.found([*ROWS, failed, failed]), ["2 × WebSocket close: X why"])

    def test_name_a_packet_that_no_counter_explains(self) -> None:
        self.assertEqual(
            self.found(lab={"packetsReceived": 99}),
            ["generator to lab: 100 packets sent, 99 received, 0 dropped by the kernel"],
        )

    def test_accept_a_packet_that_the_kernel_dropped(self) -> None:
        self.assertEqual(self.found(lab={"packetsReceived": 99, "socketDrops": 1}), [])

    def test_name_a_packet_received_that_nobody_sent(self) -> None:
        self.assertEqual(
            self.found(media={"packetsReceived": 99}),
            ["lab to generator: 98 packets sent, 99 received, 0 dropped by the kernel"],
        )

    def test_name_what_was_left_open(self) -> None:
        self.assertEqual(self.found(udpSockets={"open": 1}), ["udpSockets left open in the generator: 1 instead of 0"])
        self.assertEqual(self.found(lab={"callsOpen": 1}), ["calls left open in the lab: 1 instead of 0"])

    def test_name_a_call_that_only_one_side_knows(self) -> None:
        self.assertEqual(self.found(lab={"callsAnswered": 1}), ["calls answered, by the lab: 1 instead of 2"])

    def test_name_silence(self) -> None:
        silent = {"packetsSent": 0, "packetsReceived": 0}
        self.assertEqual(
            self.found(media=silent, lab=silent),
            ["generator to lab: no packet was sent", "lab to generator: no packet was sent"],
        )


if __name__ == "__main__":
    unittest.main()
