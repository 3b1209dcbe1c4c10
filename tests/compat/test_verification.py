"""Whom a drop-in element trusts: everybody, unless somebody asks for more."""
from __future__ import annotations

import ssl
import subprocess
import unittest
from pathlib import Path

from tests.compat import homes, jmeter_process, jmx, results
from tests.compat.jmx import Element
from tests.compat.scripted_server import ScriptedServer

DIRECTORY = homes.TARGET / "verification"
VERIFY = {"webrtc.websocket.verify": "true"}
REFUSED = "invalid peer certificate"


class VerificationTest(unittest.TestCase):
    """A server whose certificate nobody but its owner knows."""

    server: ScriptedServer
    trust_store: Path

    @classmethod
    def setUpClass(cls) -> None:
        certificate, key = _certificate(DIRECTORY)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        cls.trust_store = _trust_store(certificate)
        cls.server = cls.enterClassContext(ScriptedServer(context))

    def test_everybody_is_trusted_by_default(self) -> None:
        self.assertEqual(self._messages("default", {}), ["Switching Protocols"])

    def test_an_unknown_certificate_is_refused_where_verification_is_asked_for(self) -> None:
        for mode in ("fixed", "strict"):
            with self.subTest(mode):
                message, = self._messages(f"refused-{mode}", VERIFY | {"webrtc.websocket.compat": mode})
                self.assertTrue(message.startswith("WebSocket I/O error: "), message)
                self.assertIn(REFUSED, message)

    def test_jmeters_trust_store_is_heeded(self) -> None:
        java = [f"-Djavax.net.ssl.trustStore={self.trust_store}", "-Djavax.net.ssl.trustStorePassword=changeit"]
        self.assertEqual(self._messages("trusted", VERIFY, java=java), ["Switching Protocols"])

    def test_a_simple_config_element_decides_for_its_scope(self) -> None:
        message, = self._messages("asked-in-scope", {}, jmx.simple_config({"verifyCertificate": "true"}))
        self.assertIn(REFUSED, message)
        self.assertEqual(self._messages("spared-in-scope", VERIFY, jmx.simple_config({"verifyCertificate": "false"})),
                         ["Switching Protocols"])

    def _messages(self, name: str, properties: dict[str, str], *elements: Element, java: list[str] | None = None) -> list[str]:
        group = jmx.thread_group("secure", *elements, jmx.open_connection(
            "open", TLS=True, server="127.0.0.1", port=str(self.server.port), path="/e"))
        directory = DIRECTORY / name
        run = jmeter_process.run(homes.ours(), jmx.write(directory / "plan.jmx", jmx.test_plan(group)), directory, properties, java=java)
        return [str(sample["message"]) for sample in results.read(run.results)]


def _certificate(directory: Path) -> tuple[Path, Path]:
    directory.mkdir(parents=True, exist_ok=True)
    certificate, key = directory / "server.pem", directory / "server.key"
    _run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", "-subj", "/CN=server.example",
         "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE",
         "-keyout", str(key), "-out", str(certificate))
    return certificate, key


def _trust_store(certificate: Path) -> Path:
    store = certificate.with_name("trust.p12")
    store.unlink(missing_ok=True)
    _run("keytool", "-importcert", "-noprompt", "-alias", "server", "-file", str(certificate), "-keystore", str(store),
         "-storetype", "PKCS12", "-storepass", "changeit")
    return store


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=60)


if __name__ == "__main__":
    unittest.main()
