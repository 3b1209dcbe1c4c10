"""The preflight: on the command line without JMeter, and as a sampler."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

from tests.jmeter.plans import PACKAGE, Node, defaults, node, thread_group
from tests.jmeter.runs import JMETER_HOME, RealJMeter
from tests.ports import free_port
from tests.jmeter.turn_server import PASSWORD, USER, TurnServer


def preflight(name: str = "WebRTC preflight", **properties: Any) -> Node:
    """WebRTC Preflight."""
    test_class = f"{PACKAGE}.preflight.PreflightSampler"
    return node(test_class, f"{test_class}Gui", name, **properties)


class Doctor(RealJMeter):
    def doctor(self, *arguments: str, limit: int | None = None) -> subprocess.CompletedProcess[str]:
        """Runs the jar alone, in a folder where nothing else is."""
        alone = self.folder / "alone"
        alone.mkdir(exist_ok=True)
        (jar,) = (JMETER_HOME / "lib/ext").glob("jmeter-webrtc-[0-9]*.jar")
        shutil.copy(jar, alone / "jmeter-webrtc.jar")
        command = ["java", "-Xmx64m", "-jar", "jmeter-webrtc.jar", *arguments]
        if limit:
            command = ["bash", "-c", f'ulimit -n {limit} && exec "$@"', "bash", *command]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=alone)

    def checks(self, *arguments: str) -> dict[str, dict[str, Any]]:
        """The checks of a report by their ids."""
        done = self.doctor("doctor", "--json", *arguments)
        return {check["id"]: check for check in json.loads(done.stdout)["checks"]}

    def test_needs_neither_jmeter_nor_slf4j_and_prints_a_table(self) -> None:
        lab = self.lab()
        servers = ["--signaling", f"ws://127.0.0.1:{lab.port}/", "--ice-servers", lab.stun_url]
        done = self.doctor("doctor", "--softphones", "2", *servers)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        self.assertIn("this machine can hold the test", done.stdout)
        self.assertEqual(lab.stop()["socketsOpened"], 1)

    def test_exits_with_1_when_a_check_failed_and_with_2_when_nothing_was_checked(self) -> None:
        failed = self.doctor("doctor", "--softphones", "2000", limit=1500)
        self.assertEqual(failed.returncode, 1, failed.stdout + failed.stderr)
        self.assertRegex(failed.stdout, r"FAIL +file descriptors +4256 needed, 1500 allowed")
        for arguments in (("doctor", "--softphones", "many"), ("examine",), ()):
            wrong = self.doctor(*arguments)
            self.assertEqual((wrong.returncode, wrong.stdout), (2, ""), arguments)
            self.assertTrue(wrong.stderr, arguments)

    def test_asks_a_turn_server_by_udp_tcp_and_tls_with_credentials_and_gives_the_relays_back(self) -> None:
        with TurnServer(self.folder) as turn:
            urls = f"turn:127.0.0.1:{turn.port},turn:127.0.0.1:{turn.port}?transport=tcp,turns:localhost:{turn.tls_port}"
            secret = self.folder / "secret"
            secret.write_text(PASSWORD + "\n", encoding="utf-8")
            right = self.checks("--insecure", "--ice-servers", urls, "--username", USER, "--credential", f"@{secret}")
            for url in urls.split(","):
                check = right[f"iceServer:{url}"]
                self.assertEqual(check["status"], "pass", check)
                self.assertTrue(check["facts"]["relayedAddress"].startswith("127.0.0.1:"), check)
            self.assertEqual(turn.log().count("refreshed, realm=<example.org>, username=<phone>, lifetime=0"), 3, turn.log())

            wrong = self.checks("--insecure", "--ice-servers", urls, "--username", USER, "--credential", "wrong")
            for url in urls.split(","):
                check = wrong[f"iceServer:{url}"]
                self.assertEqual((check["status"], check["facts"]["errorCode"]), ("fail", 401), check)
            strict = self.checks("--ice-servers", urls, "--username", USER, "--credential", PASSWORD)
            self.assertIn("TLS: invalid peer certificate", strict[f"iceServer:turns:localhost:{turn.tls_port}"]["finding"])


class Preflight(RealJMeter):
    def test_is_one_sample_however_many_threads_and_iterations_there_are(self) -> None:
        lab = self.lab()
        servers = json.dumps([{"urls": lab.stun_url}])
        run = self.run_plan(
            defaults(iceServers=servers),
            thread_group("setup", preflight(softphones=2, signalingUrl=f"ws://127.0.0.1:{lab.port}/"), threads=3, loops=3),
        )
        self.assertEqual(run.failed(), [])
        self.assertEqual(len(run.rows), 1)
        self.assertIn("this machine can hold the test", run.log)

    def test_fails_by_the_first_failed_check_with_all_of_them_as_evidence(self) -> None:
        closed = free_port()
        servers = json.dumps([{"urls": f"stun:127.0.0.1:{closed}"}])
        run = self.run_plan(
            defaults(iceServers=servers),
            thread_group("setup", preflight(softphones=2, signalingUrl=f"ws://127.0.0.1:{closed}/", timeout="1000")),
        )
        (row,) = run.rows
        self.assertEqual((row["success"], row["responseCode"]), ("false", "CHECK_FAILED"))
        self.assertTrue(row["responseMessage"].startswith("Preflight failed: signaling WebSocket"), row["responseMessage"])
        self.assertRegex(row["webrtc_evidence"], r"signaling WebSocket: .*; STUN .*closed")
        self.assert_ended_cleanly(run)

    def test_refuses_bad_fields_by_name(self) -> None:
        run = self.run_plan(thread_group("bad", preflight(softphones=0)))
        (row,) = run.rows
        self.assertEqual(row["responseCode"], "CONFIG")
        self.assertIn("softphones: '0'", row["responseMessage"])
