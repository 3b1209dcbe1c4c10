"""Calls through a real JMeter: iterations, bad input, failures that say why."""

from __future__ import annotations

from tests.jmeter.plans import (
    call,
    close_socket,
    defaults,
    exchange,
    hang_up,
    media_check,
    once,
    open_socket,
    think,
    thread_group,
)
from tests.jmeter.runs import RealJMeter

PING = '{"type":"ping"}'


class Calls(RealJMeter):
    def test_use_the_same_socket_and_session_in_three_iterations(self) -> None:
        lab = self.lab()
        run = self.run_plan(
            thread_group(
                "iterating",
                once(open_socket(lab.port)),
                call(),
                think(500),
                media_check(),
                exchange(PING),
                threads=3,
                loops=3,
            )
        )
        self.assertEqual(run.failed(), [])
        calls, checks = run.labelled("WebRTC connect"), run.labelled("WebRTC media check")
        self.assertEqual(sorted(row["responseMessage"] for row in calls), ["OK"] * 3 + ["existing call"] * 6)
        self.assertEqual(len(checks), 9)
        self.assertEqual(len({row["webrtc_selectedPair"] for row in checks}), 3, "one pair of sockets per thread")
        self.assertTrue(all(int(row["webrtc_packetsReceived"]) > 0 for row in checks))
        counters = lab.stop()
        self.assertEqual((counters["socketsOpened"], counters["callsAnswered"]), (3, 3))
        self.assertEqual(run.counters["udpSockets"]["opened"], 3)

    def test_are_one_row_each_with_their_phases_in_columns(self) -> None:
        lab = self.lab()
        run = self.run_plan(
            thread_group("one", open_socket(lab.port), call(), think(300), hang_up(), close_socket()),
            jvm=["-Xcheck:jni"],
        )
        self.assertEqual(run.failed(), [])
        self.assertEqual([row["label"] for row in run.rows], ["WebSocket open", "WebRTC connect", "WebRTC hang up", "WebSocket close"])
        opened, connected, *_ = run.rows
        for column in ("tcpMs", "upgradeMs"):
            self.assertGreater(float(opened[f"webrtc_{column}"]), 0, column)
            self.assertEqual(connected[f"webrtc_{column}"], "", "a row carries its own phases only")
        for column in ("gatherMs", "iceMs", "dtlsMs", "firstRtpMs"):
            self.assertGreaterEqual(float(connected[f"webrtc_{column}"]), 0, column)
        self.assertLessEqual(int(connected["Connect"]), int(connected["Latency"]))
        self.assertLessEqual(int(connected["Latency"]), int(connected["elapsed"]))
        self.assert_ended_cleanly(run)

    def test_that_nobody_answers_fail_with_their_own_code(self) -> None:
        lab = self.lab(faults={"neverAnswer": True})
        run = self.run_plan(thread_group("unanswered", open_socket(lab.port), call(answerTimeout=500)))
        (unanswered,) = run.labelled("WebRTC connect")
        self.assertEqual(unanswered["success"], "false")
        self.assertEqual(unanswered["responseCode"], "SIGNALING_TIMEOUT")
        self.assertEqual(unanswered["webrtc_cause"], "SIGNALING_TIMEOUT")
        self.assert_ended_cleanly(run)

    def test_without_candidates_fail_by_ice_and_not_by_their_websocket(self) -> None:
        lab = self.lab(faults={"dropCandidates": True})
        run = self.run_plan(thread_group("deaf", open_socket(lab.port), call(connectTimeout=1500), exchange(PING)))
        (deaf,) = run.labelled("WebRTC connect")
        self.assertEqual(deaf["responseCode"], "ICE_FAILED")
        self.assertEqual(run.labelled("WebSocket request-response")[0]["success"], "true")

    def test_with_bad_input_are_refused_by_field_name_before_any_packet_while_others_go_on(self) -> None:
        lab = self.lab()
        bad = {
            "iceServers": ("[{urls]", "not a url", '[{"urls":"http://127.0.0.1:1"}]', '[{"urls":"stun:127.0.0.1:99999"}]'),
            "connectTimeout": ("-1", "soon", "99999999999999"),
            "codecs": ("speex",),
            "sourceAddress": ("256.1.1.1",),
            "iceTransportPolicy": ("some",),
        }
        groups = []
        for name, values in bad.items():
            for number, value in enumerate(values):
                label = f"{name} {number}"
                groups.append(thread_group(label, defaults(**{name: value}), open_socket(lab.port), call(label)))
        run = self.run_plan(
            *groups,
            thread_group("good", open_socket(lab.port), call(), think(300), hang_up(), threads=5, loops=2),
        )
        for name, values in bad.items():
            for number, value in enumerate(values):
                (row,) = run.labelled(f"{name} {number}")
                self.assertEqual(row["success"], "false", (name, value))
                self.assertIn(name, row["responseMessage"], value)
        self.assertEqual([row["success"] for row in run.labelled("WebRTC connect")], ["true"] * 10)
        self.assertEqual(run.counters["udpSockets"]["opened"], 10, "a refused call opens nothing")
        counters = lab.stop()
        self.assertEqual((counters["callsAnswered"], counters["stunRequests"]), (10, 0))
        self.assert_ended_cleanly(run)

    def test_refuse_bad_fields_of_a_websocket_by_name(self) -> None:
        lab = self.lab()
        bad = {
            "port": ("0", "70000", "http"),
            "server": ("",),
            "readTimeout": ("-5", "soon"),
            "connectTimeout": ("0", "99999999999"),
            "pingInterval": ("-1", "often"),
        }
        samplers = [
            open_socket(**{"port": lab.port, "name": f"{name} {value}", name: value})
            for name, values in bad.items()
            for value in values
        ]
        run = self.run_plan(thread_group("bad", *samplers))
        self.assertEqual(len(run.failed()), len(samplers))
        for row in run.rows:
            self.assertEqual(row["responseCode"], "Sampler error", row["label"])
        self.assertEqual(lab.stop()["socketsOpened"], 0)
