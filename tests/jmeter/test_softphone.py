"""Softphones of a profile through a real JMeter: registered, called, cut off, refused, stopped."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from demo.processes import Lab
from demo.summary import Row
from tests.jmeter.cutting_proxy import CuttingProxy
from tests.jmeter.listeners import data_writer, xml_samples
from tests.jmeter.plans import (
    Node,
    answer_call,
    call,
    call_control,
    call_sampler,
    csv_data_set,
    hang_up,
    lab_server,
    media_check,
    once,
    only_if,
    register,
    think,
    thread_group,
    together,
    unregister,
)
from tests.jmeter.runs import JMETER_HOME, ROOT, RealJMeter, free_port
from tests.jmeter.test_stopping import STOP_SECONDS
from tests.jmeter.turn_server import PASSWORD, USER, TurnServer

PROFILES = ROOT / "profiles"


def at(url: str | None, token: str = "agent-${__threadNum}") -> dict[str, str]:
    """Parameters of the profile `genesys` for a lab: each thread is a user of its own."""
    assert url is not None
    return {"api": url, "streaming": url.replace("http", "ws", 1), "token": token}


class Softphones(RealJMeter):
    def genesys(self, **settings: object) -> Lab:
        """A lab with a Genesys Cloud counterpart of these settings."""
        return self.lab(genesys=settings)

    def test_take_three_calls_place_one_and_log_out(self) -> None:
        lab = self.genesys(callEveryMs=500)
        taken = [answer_call(), think(300), media_check(), hang_up(), think(200)]
        run = self.run_plan(
            thread_group(
                "agents",
                register(at(lab.genesys_url)),
                *taken * 3,
                call("outbound", to="+49301234567"),
                think(300),
                hang_up(),
                unregister(),
                threads=2,
            ),
            jvm=["-Xcheck:jni"],
        )
        self.assertEqual(run.failed(), [])
        counts = {label: len(run.labelled(label)) for label in ("register", "answer", "outbound", "WebRTC hang up", "unregister")}
        self.assertEqual(counts, {"register": 2, "answer": 6, "outbound": 2, "WebRTC hang up": 8, "unregister": 2})
        for row in run.labelled("register"):
            self.assertLessEqual(int(row["Connect"]), int(row["Latency"]))
            self.assertLessEqual(int(row["Latency"]), int(row["elapsed"]))
            for column in ("httpMs", "tcpMs", "upgradeMs", "loginMs"):
                self.assertGreater(float(row[f"webrtc_{column}"]), 0, column)
        for row in [*run.labelled("answer"), *run.labelled("outbound")]:
            self.assertEqual(row["webrtc_state"], "connected")
            self.assertGreaterEqual(float(row["webrtc_firstRtpMs"]), 0)
        self.assertTrue(all(int(row["webrtc_packetsReceived"]) > 0 for row in run.labelled("WebRTC media check")))
        self.assertEqual(run.labelled("WebRTC lost"), [])
        self.assert_ended_cleanly(run)
        counters = lab.stop()
        self.assertGreaterEqual(counters["callsAnswered"], 8)
        self.assertEqual((counters["socketsOpened"], counters["socketsOpen"]), (2, 0))
        for kind in ("softphones", "webSockets", "udpSockets"):
            self.assertEqual(run.counters[kind]["open"], 0, kind)

    def test_of_the_plain_json_profile_account_for_every_packet_with_the_other_side(self) -> None:
        lab = self.lab()
        phone = register({"url": lab.signaling_url, "user": "user-${__threadNum}"}, profile="json")
        calls = [call("tone", to="tone"), think(500), hang_up()]
        run = self.run_plan(thread_group("users", phone, *calls * 2, unregister(), threads=3))
        self.assertEqual(run.failed(), [])
        ends = run.labelled("WebRTC hang up")
        self.assertEqual(len(ends), 6)
        sent, received = (sum(int(row[f"webrtc_packets{way}"]) for row in ends) for way in ("Sent", "Received"))
        counters = lab.stop()
        self.assertEqual((counters["packetsReceived"], counters["packetsSent"]), (sent, received))
        self.assertEqual((counters["packetsLost"], counters["callsAbandoned"]), (0, 0))

    def test_of_users_from_a_csv_file_are_one_line_each_and_found_by_their_names(self) -> None:
        (self.folder / "users.csv").write_text("anna,bert\nbert,anna\n", encoding="utf-8")
        lab = self.lab()
        url = lab.signaling_url
        both = think(1).with_children(together(2, 30_000))
        run = self.run_plan(
            thread_group(
                "users",
                csv_data_set("users.csv", "user,other"),
                register({"url": url, "user": "${user}"}, profile="json"),
                both,
                register({"url": url, "user": "${other}"}, "the other's name", profile="json", softphone="second"),
                only_if("'${user}' == 'anna'", call("call", to="${other}"), think(500), hang_up()),
                only_if("'${user}' == 'bert'", answer_call()),
                both,
                unregister(),
                threads=2,
                loops=3,
            )
        )
        said = sorted(row["responseMessage"] for row in run.labelled("the other's name"))
        self.assertEqual(len(said), 2, said)
        for user, message in zip(("anna", "bert"), said):
            self.assertIn(f"NAME_IN_USE: '{user}' is registered", message)
        # To bert the call is lost when anna hangs up.
        self.assertEqual([row["webrtc_cause"] for row in run.labelled("WebRTC lost")], ["ENDED_BY_PEER"])
        self.assertEqual(len(run.failed()), 3, run.failed())
        counts = {label: len(run.labelled(label)) for label in ("register", "call", "answer", "WebRTC hang up", "unregister")}
        self.assertEqual(counts, {"register": 2, "call": 1, "answer": 1, "WebRTC hang up": 1, "unregister": 2})
        counters = lab.stop()
        self.assertEqual((counters["callsRelayed"], counters["messagesRefused"]), (1, 2))
        self.assertEqual((counters["socketsOpened"], counters["socketsOpen"]), (4, 0))

    def test_of_a_profile_copied_out_of_the_jar_are_registered(self) -> None:
        (jar,) = (JMETER_HOME / "lib/ext").glob("jmeter-webrtc-[0-9]*.jar")
        with zipfile.ZipFile(jar) as archive:
            inside = {Path(name) for name in archive.namelist() if name.endswith(".json")}
            copied = archive.read("META-INF/profiles/json.json")
        self.assertEqual(inside, {Path("META-INF/profiles") / path.relative_to(PROFILES) for path in PROFILES.rglob("*.json")})
        (self.folder / "own.json").write_bytes(copied)
        lab = self.lab()
        phone = register({"url": lab.signaling_url, "user": "anna"}, profile="own")
        run = self.run_plan(thread_group("user", phone, unregister()), **{"webrtc.profiles.dir": str(self.folder)})
        self.assertEqual(run.failed(), [])

    def test_begin_a_sample_when_the_call_comes_in_and_not_when_somebody_waits(self) -> None:
        lab = self.genesys(callEveryMs=3000)
        run = self.run_plan(thread_group("agent", register(at(lab.genesys_url)), answer_call(), hang_up()))
        self.assertEqual(run.failed(), [])
        (registered,), (answered,) = run.labelled("register"), run.labelled("answer")
        waited = int(answered["timeStamp"]) - int(registered["timeStamp"]) - int(registered["elapsed"])
        self.assertGreater(waited, 1500, "the wait for the call is before the sample")

    def test_are_registered_once_in_three_iterations(self) -> None:
        lab = self.genesys(callEveryMs=300)
        run = self.run_plan(thread_group("agent", register(at(lab.genesys_url)), answer_call(), hang_up(), loops=3))
        self.assertEqual(run.failed(), [])
        self.assertEqual(
            [row["responseMessage"] for row in run.labelled("register")], ["OK"] + ["existing registration"] * 2
        )
        self.assertEqual({row["elapsed"] for row in run.labelled("register")[1:]}, {"0"})
        self.assertEqual(lab.stop()["socketsOpened"], 1)

    def test_of_another_user_are_registered_anew(self) -> None:
        (self.folder / "tokens.csv").write_text("early\nlate\n", encoding="utf-8")
        lab = self.genesys()
        shift = [csv_data_set("tokens.csv", "token"), register(at(lab.genesys_url, "${token}"))]
        run = self.run_plan(thread_group("shift", *shift, loops=2))
        self.assertEqual([row["responseMessage"] for row in run.labelled("register")], ["OK", "OK"])
        self.assertEqual(lab.stop()["socketsOpened"], 2)

    def test_have_names_within_their_thread(self) -> None:
        lab = self.genesys(callEveryMs=300)
        url = lab.genesys_url
        run = self.run_plan(
            thread_group(
                "two lines",
                register(at(url, "one"), softphone="one"),
                register(at(url, "two"), softphone="two"),
                answer_call("answer one", softphone="one", callName="a"),
                answer_call("answer two", softphone="two", callName="b"),
                hang_up("hang up a", callName="a"),
                hang_up("hang up b", callName="b"),
                unregister("unregister two", softphone="two"),
                answer_call("answer nobody", softphone="two"),
                call("call by nobody"),
                call_sampler("Call", "call by name", to="1", softphone="two"),
                unregister("unregister nobody"),
            )
        )
        refused = {row["label"]: row for row in run.rows if row["success"] == "false"}
        self.assertEqual(set(refused), {"answer nobody", "call by nobody", "call by name", "unregister nobody"}, run.failed())
        self.assertEqual({row["responseCode"] for row in refused.values()}, {"CONFIG"})
        self.assertIn("softphone: there is no softphone 'two'", refused["call by name"]["responseMessage"])
        self.assertIn("connectionId", refused["call by nobody"]["responseMessage"], "as without softphones")

    def test_control_their_calls(self) -> None:
        lab = self.genesys(callEveryMs=300)
        commands = ("mute", "unmute", "hold", "resume")
        run = self.run_plan(
            thread_group(
                "agent",
                register(at(lab.genesys_url)),
                answer_call(),
                think(300),
                *map(call_control, commands),
                call_control("dtmf", digits="12#"),
                call_control("transfer", to="+4930"),
                hang_up(),
                call_control("mute"),
            )
        )
        (after,) = [row for row in run.rows if row["success"] == "false"]
        self.assertIn("there is no call", after["responseMessage"], "the one after the hang-up")
        self.assertEqual(len(run.labelled("mute")), 2)

    def test_restart_ice_when_they_are_told_to(self) -> None:
        account = {"server": "${webrtc_labSipServer}", "aor": "sip:anna@lab.example", "password": "secret"}
        plain = {"url": "${webrtc_labJsonUrl}", "user": "anna"}
        xml = self.folder / "results.xml"
        run = self.run_plan(
            lab_server("sip"),
            thread_group(
                "user",
                register(account, profile="sip"),
                call(),
                think(500),
                call_control("restartIce"),
                think(1000),
                media_check("before"),
                think(500),
                media_check("after", minPacketsReceived=10),
                hang_up(),
                register(plain, "register json", profile="json", softphone="json"),
                call_sampler("Call", "call json", to="tone", softphone="json"),
                call_control("restartIce"),
                hang_up(),
            ),
            data_writer(xml, xml=True, response_data=True),
        )
        self.assertEqual(run.failed(), ["restartIce: CONFIG 'restartIce' cannot be done: profile 'json' does not say how"])
        self.assertEqual([row["success"] for row in run.labelled("restartIce")], ["true", "false"])
        ends = [sample for sample in xml_samples(xml) if sample.get("lb") == "WebRTC hang up"]
        data = [json.loads(sample.findtext("responseData") or "") for sample in ends]
        restarts = [[state for _, machine, state in of["timeline"] if machine == "iceRestart"] for of in data]
        self.assertEqual(restarts, [["local"], []])

    def test_go_on_talking_while_their_server_is_away_and_are_registered_again(self) -> None:
        lab = self.genesys(callEveryMs=300)
        port = int((lab.genesys_url or "").rsplit(":", 1)[1])
        with CuttingProxy(port, after=3, away=1) as proxy:
            run = self.run_plan(
                thread_group(
                    "agent",
                    register(at(proxy.url)),
                    answer_call(),
                    think(8000),
                    media_check(),
                    register(at(proxy.url), "register again"),
                    think(200),
                    media_check("check again"),
                    hang_up(),
                )
            )
            self.assertGreaterEqual(proxy.upgrades, 2, "it came back")
        self.assertEqual(run.failed(), [])
        self.assertEqual(run.labelled("WebRTC lost"), [])
        (again,) = run.labelled("register again")
        self.assertRegex(again["responseMessage"], "^(existing registration|registered again); it was lost before: [A-Z_]+: ")

    def test_that_are_pushed_out_by_their_own_user_are_warned_of(self) -> None:
        lab = self.genesys()
        desk = {**at(lab.genesys_url, "same"), "jidResource": "desk"}
        # One of them is registered when the other comes; then each pushes the other out by turns.
        twins = thread_group("twins", register(desk), think(10_000), register(desk, "register again"), threads=2, ramp=6)
        run = self.run_plan(twins)
        # A login that takes longer than the other one's pause is pushed out itself.
        self.assertTrue(all("DUPLICATE_IDENTITY" in failure for failure in run.failed()), run.failed())
        self.assertEqual(run.log.count("A user is logged in"), 1, "once")
        told = [row["responseMessage"] for row in run.labelled("register again")]
        self.assertTrue(any("it was lost before: DUPLICATE_IDENTITY: " in message for message in told), told)
        self.assertEqual(run.log.count("lost its registration (DUPLICATE_IDENTITY)"), 1, "once, too")


class VendorsRule(RealJMeter):
    RULE = "Ask before you test."

    def said_once(self, url: str, success: str) -> None:
        """Registers three softphones twice, of a profile whose vendor has this host: its rule is said once."""
        profile = json.loads((PROFILES / "json.json").read_text(encoding="utf-8"))
        vendors = {**profile, "vendorDomains": ["127.0.0.1"], "notice": self.RULE}
        (self.folder / "vendors.json").write_text(json.dumps(vendors), encoding="utf-8")
        # The lab may hold a name for a moment longer than the softphone that had it.
        phone = register({"url": url, "user": "user-${__threadNum}-${__counter(TRUE,)}"}, profile="vendors.json")
        run = self.run_plan(thread_group("users", phone, unregister(), threads=3, loops=2))
        self.assertEqual([row["success"] for row in run.labelled("register")], [success] * 6, run.failed())
        self.assertEqual([line for line in run.output if self.RULE in line], [f"WebRTC softphones: {self.RULE}"])
        self.assertEqual(run.log.count(self.RULE), 1)

    def test_for_load_tests_is_said_once_however_many_register(self) -> None:
        self.said_once(self.lab().signaling_url, "true")

    def test_for_load_tests_is_said_once_where_none_of_them_can_register(self) -> None:
        self.said_once(f"ws://127.0.0.1:{free_port()}/", "false")


class Refusals(RealJMeter):
    def refused(self, url: str, seconds: float = 60, **parameters: str) -> Row:
        """The row of a registration that fails."""
        run = self.run_plan(thread_group("agent", register({**at(url), **parameters}, timeout="8000"), answer_call()), seconds=seconds)
        row, then = run.rows
        self.assertEqual(row["success"], "false")
        self.assertEqual(then["responseCode"], "CONFIG", "there is no softphone then")
        self.assertTrue(row["webrtc_cause"] and row["webrtc_evidence"], row)
        self.assert_ended_cleanly(run)
        return row

    def test_of_a_token_say_401(self) -> None:
        lab = self.lab(genesys={})
        row = self.refused(lab.genesys_url or "", token="!")
        self.assertIn("401", row["responseMessage"] + row["webrtc_evidence"])

    def test_by_sasl_say_the_condition(self) -> None:
        lab = self.lab(genesys={"faults": {"saslFailure": "not-authorized"}})
        row = self.refused(lab.genesys_url or "")
        self.assertIn("not-authorized", row["responseMessage"] + row["webrtc_evidence"])

    def test_of_too_many_requests_say_429_and_when_to_come_again(self) -> None:
        lab = self.lab(genesys={"faults": {"tooManyRequests": 1000, "retryAfterS": 7}})
        row = self.refused(lab.genesys_url or "")
        self.assertEqual(row["webrtc_cause"], "UPGRADE_RATE_LIMITED")
        self.assertIn("429", row["responseMessage"] + row["webrtc_evidence"])
        self.assertIn("7", row["webrtc_evidence"])

    def test_by_nobody_say_that_nobody_listens(self) -> None:
        row = self.refused(f"http://127.0.0.1:{free_port()}")
        self.assertEqual(row["webrtc_cause"], "CONNECT_REFUSED")

    def test_of_bad_fields_name_them_before_any_packet(self) -> None:
        lab = self.lab(genesys={})
        good = at(lab.genesys_url)
        (self.folder / "broken.json").write_text('{\n  "profile": 2}', encoding="utf-8")
        bad = [
            register(good, "unknown", profile="nobody"),
            register(good, "broken", profile="broken"),
            register(good, "file", profile=str(self.folder / "broken.json")),
            register({**good, "tokn": "x"}, "parameter"),
            register({**good, "token": "${nowhere}"}, "variable"),
            register(good, "timeout", timeout="soon"),
            register(good, "source", WebRTC__sourceAddress="256.1.1.1"),
        ]
        run = self.run_plan(thread_group("bad", *bad), **{"webrtc.profiles.dir": str(self.folder)})
        self.assertEqual({row["responseCode"] for row in run.rows}, {"CONFIG"}, run.failed())
        said = {row["label"]: row["responseMessage"] for row in run.rows}
        named = {
            "unknown": "genesys",
            "broken": "broken.json:1",
            "file": "broken.json:1",
            "parameter": "tokn",
            "variable": "'token'",
            "timeout": "timeout: 'soon'",
            "source": "sourceAddress",
        }
        for label, text in named.items():
            self.assertIn(text, said[label])
        self.assertEqual(lab.stop()["socketsOpened"], 0)


class RelayOnly(RealJMeter):
    """A server that names no STUN service: what "force TURN" of a station comes to."""

    def answered(self, **settings: object) -> Row:
        """The row of a call that such a server sends."""
        lab = self.lab(genesys={"stun": False, "callEveryMs": 300, **settings})
        run = self.run_plan(thread_group("agent", register(at(lab.genesys_url)), answer_call(), hang_up()))
        self.assertEqual(run.labelled("register")[0]["success"], "true")
        return run.labelled("answer")[0]

    def test_calls_go_through_the_relay(self) -> None:
        with TurnServer(self.folder) as turn:
            service = {"host": "127.0.0.1", "port": turn.port, "username": USER, "credential": PASSWORD}
            row = self.answered(turn=service)
        self.assertEqual(row["success"], "true", row)
        self.assertTrue(row["webrtc_selectedPair"].startswith("relay "), row)

    def test_calls_fail_by_a_relay_that_does_not_answer(self) -> None:
        row = self.answered(faults={"deadRelay": True})
        self.assertEqual((row["success"], row["webrtc_cause"]), ("false", "TURN_SILENT"), row)


class Waiting(RealJMeter):
    """Threads that wait for a call when the test ends."""

    def waiting(self, then: str | None, **group: int) -> None:
        """Ends the test while ten softphones wait, and expects JMeter to end at once."""
        lab = self.lab(genesys={})
        nodes: list[Node] = [once(register(at(lab.genesys_url))), answer_call(incomingTimeout="120000")]
        registered = lambda rows: sum(row["label"] == "register" for row in rows) == 10  # noqa: E731
        run = self.run_plan(
            thread_group("agents", *nodes, threads=10, **group), when=registered if then else None, then=then, seconds=60
        )
        if run.stop_seconds is not None:
            self.assertLess(run.stop_seconds, STOP_SECONDS)
        answers = run.labelled("answer")
        self.assertEqual(len(answers), 10)
        self.assertEqual({row["responseCode"] for row in answers}, {"CANCELLED"})
        self.assert_ended_cleanly(run)
        self.assertEqual(lab.stop()["socketsOpen"], 0)

    def test_end_at_a_stop(self) -> None:
        self.waiting("StopTestNow")

    def test_end_at_a_shutdown(self) -> None:
        self.waiting("Shutdown")

    def test_end_with_their_scheduler(self) -> None:
        self.waiting(None, duration=10)

    def test_in_vain_is_a_sample_that_took_as_long_as_it_waited(self) -> None:
        lab = self.lab(genesys={})
        run = self.run_plan(thread_group("agent", register(at(lab.genesys_url)), answer_call(incomingTimeout="1500")))
        (answer,) = run.labelled("answer")
        self.assertEqual(answer["responseCode"], "SIGNALING_TIMEOUT")
        self.assertGreaterEqual(int(answer["elapsed"]), 1400)
