"""The same random plans through the original plugin and through ours in strict mode; results and wire must be equal.

usage: python3 -m tests.compat.differential [--seed N] [--count N] [--scenarios N] [--against original|ours] [--only sSEEDnNUMBER]
`--against original` runs the original against itself: it proves that a difference is not chance.
Scenarios that differ are run again without the others, twice, and count only when they differ every time.
"""
from __future__ import annotations

import argparse
import contextlib
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.compat import homes, jmeter_process, jmx, random_plans, results
from tests.compat.random_plans import Place, Scenario
from tests.compat.scripted_server import ScriptedServer

DEADLINE_S = 600
"""Of one run: most of its time are read timeouts, but a busy machine may need minutes for the rest."""
STRICT = {"webrtc.websocket.compat": "strict"}
Outcome = tuple[dict[str, list[results.Sample]], dict[str, list[str]]]


class Bench:
    """Servers and homes of one comparison."""

    def __init__(self, against: str, place: Place, plain: ScriptedServer, secure: ScriptedServer, certificates: Path) -> None:
        self.place, self._plain, self._secure, self._certificates = place, plain, secure, certificates
        self.certificates_seen = 0
        """How many connections came with a client certificate."""
        self.original, self.version = homes.original()
        self.ours = self.original if against == "original" else homes.ours()

    def compare(self, seed: int, numbers: list[int], directory: Path) -> dict[int, list[str]]:
        """Differences by scenario number."""
        want = self._run("original", seed, numbers, directory / "original")
        got = self._run("ours", seed, numbers, directory / "ours")
        found = {}
        for number in numbers:
            name = f"s{seed}n{number}"
            lines = results.differences(want[0].get(name, []), got[0].get(name, []))
            lines += _wire_differences(want[1].get(name, []), got[1].get(name, []))
            if not want[0].get(name):
                lines.append("the original gave no sample at all")
            if lines:
                found[number] = lines
        return found

    def _run(self, side: str, seed: int, numbers: list[int], directory: Path) -> Outcome:
        plan = jmx.test_plan(*(Scenario(seed, n, self.place).element() for n in numbers))
        jmx.write(directory / "plan.jmx", plan)
        options = random_plans.batch(seed)
        arguments, java = list(options.arguments), list(options.java)
        if options.kind == "proxy":
            arguments += ["-H", "127.0.0.1", "-P", str(self.place.plain)]
            arguments += ["-N", "localhost"] if seed % 2 else []
            arguments += ["-u", "user", "-a", "secret"] if seed % 4 < 2 else []
        elif options.kind == "certificates":
            java += [f"-Djavax.net.ssl.keyStore={self._certificates}/client.p12", "-Djavax.net.ssl.keyStorePassword=changeit",
                     "-Djavax.net.ssl.keyStoreType=PKCS12"]
        self._plain.recorder.take(), self._secure.recorder.take()
        home, strict = (self.original, {}) if side == "original" else (self.ours, STRICT)
        run = jmeter_process.run(home, directory / "plan.jmx", directory, options.properties | strict, arguments, java,
                                  deadline=DEADLINE_S)
        time.sleep(0.5)
        samples: dict[str, list[results.Sample]] = {}
        for sample in results.read(run.results):
            samples.setdefault(str(sample["thread"]).split(" ")[0], []).append(sample)
        wire = self._plain.recorder.take()
        for name, events in self._secure.recorder.take().items():
            wire.setdefault(name, []).extend(events)
        self.certificates_seen += sum(event.startswith("CERTIFICATE ") for events in wire.values() for event in events)
        return samples, wire


def _wire_differences(want: list[str], got: list[str]) -> list[str]:
    """A close frame that only one side's server has heard is no difference; the rows say whether it was sent.

    A client that ends TCP right behind its close frame, with frames of the server unread, makes its kernel send an RST.
    That takes the close frame back where the server has not read it yet, which is chance with the original too.
    """
    heard_by_both = set(want) & set(got)
    want, got = ([event for event in events if not event.startswith("FRAME 88") or event in heard_by_both]
                 for events in (want, got))
    if want == got:
        return []
    for i, (a, b) in enumerate(zip([*want, "(nothing)"], [*got, "(nothing)"], strict=False)):
        if a != b:
            return [f"wire event {i + 1}: want {a[:400]!r}, got {b[:400]!r}"]
    return [f"wire: want {len(want)} events, got {len(got)}"]


@contextlib.contextmanager
def bench(against: str) -> Iterator[Bench]:
    """Starts the servers; ends them after."""
    directory = homes.TARGET / "differential"
    certificates = make_certificates(homes.TARGET / "certificates")
    random_plans.write_files(directory / "files")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(certificates / "client.pem")
    with socket.create_server(("127.0.0.1", 0)) as refused, ScriptedServer() as plain, ScriptedServer(context) as secure:
        port = refused.getsockname()[1]
        refused.close()
        yield Bench(against, Place(plain.port, secure.port, port, directory / "files"), plain, secure, certificates)


def make_certificates(directory: Path) -> Path:
    """Self-signed server and client certificates, made once by `openssl`."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in ("server", "client"):
        if not (directory / f"{name}.pem").is_file():
            _openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", "-subj", f"/CN={name}.example",
                     "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", f"{directory}/{name}.key",
                     "-out", f"{directory}/{name}.pem")
    if not (directory / "client.p12").is_file():
        _openssl("pkcs12", "-export", "-inkey", f"{directory}/client.key", "-in", f"{directory}/client.pem",
                 "-out", f"{directory}/client.p12", "-passout", "pass:changeit", "-name", "client")
    return directory


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60)


def hunt(seeds: list[int], scenarios: int, against: str, only: int | None = None) -> int:
    """Compares every seed; prints what differs; returns the number of scenarios that do."""
    failed = compared = 0
    with bench(against) as b:
        print(f"original {b.version} against {b.ours.name}", flush=True)
        for seed in seeds:
            directory = homes.TARGET / "differential" / f"{against}-{seed}"
            numbers = list(range(scenarios)) if only is None else [only]
            b.certificates_seen = 0
            suspects = b.compare(seed, numbers, directory)
            compared += len(numbers)
            if only is None and random_plans.batch(seed).kind == "certificates" and b.certificates_seen == 0:
                failed += 1
                print(f"seed {seed}: no client has shown a certificate", flush=True)
            for again in (1, 2):
                if suspects:
                    suspects = b.compare(seed, sorted(suspects), directory / f"again{again}")
            failed += len(suspects)
            for number in sorted(suspects):
                print(f"s{seed}n{number}:", *suspects[number][:8], sep="\n    ", flush=True)
    print(f"{compared - failed} scenarios equal, {failed} differ")
    return failed


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1, help="first seed")
    parser.add_argument("--count", type=int, default=5, help="number of seeds, one JVM per seed and side")
    parser.add_argument("--scenarios", type=int, default=40, help="scenarios per seed")
    parser.add_argument("--against", choices=("ours", "original"), default="ours")
    parser.add_argument("--only", help="one scenario, as sSEEDnNUMBER")
    options = parser.parse_args()
    seeds, only = list(range(options.seed, options.seed + options.count)), None
    if options.only:
        seed, _, number = options.only[1:].partition("n")
        seeds, only = [int(seed)], int(number)
    return 1 if hunt(seeds, options.scenarios, options.against, only) else 0


if __name__ == "__main__":
    sys.exit(main())
