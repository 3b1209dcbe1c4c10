"""The guide for existing plans says what the code does: its table of differences is the closed list, and its texts exist."""

from __future__ import annotations

import re
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
GUIDE = (ROOT / "docs/run-the-plan-you-have.md").read_text(encoding="utf-8")
DROPIN = ROOT / "jmeter-plugin/src/main/java/io/github/jmeterwebrtc/jmeter/dropin"
MAPPING = ROOT / "jmeter-dropin/src/main/resources/META-INF/resources/org.apache.jmeter.nameupdater.properties"

#: Texts of JMeter itself.
OF_JMETER = {"CannotResolveClassException", "rejected as already defined"}
#: Texts of rustls, which a test of our own provokes: tests/compat/test_verification.py.
OF_RUSTLS = {"invalid peer certificate"}


def section(title: str) -> str:
    """The text below a heading."""
    return re.split(r"^## ", GUIDE.split(f"\n## {title}", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


class Guide(unittest.TestCase):
    def test_lists_every_difference_with_its_switch_and_no_other(self) -> None:
        behaviour = (DROPIN / "Behaviour.java").read_text(encoding="utf-8")
        switches = {f"webrtc.websocket.fix.{name}" for name in re.findall(r'\bfix\("(\w+)"\)', behaviour)}
        self.assertGreater(len(switches), 5, "the source was read wrongly")
        listed = re.findall(r"\| `(webrtc\.websocket\.fix\.\w+)` \|", section("What is different: mode `fixed`"))
        self.assertEqual(sorted(listed), sorted(switches))

    def test_explains_only_messages_that_exist(self) -> None:
        sources = "".join(path.read_text(encoding="utf-8") for folder, kind in (("jmeter-plugin/src/main", "java"), ("src", "rs"))
                          for path in sorted((ROOT / folder).rglob(f"*.{kind}")))
        explained = re.findall(r"^\| `([^`]+)` \|", section("Troubleshooting by message"), flags=re.MULTILINE)
        self.assertGreater(len(explained), 20)
        self.assertEqual([text for text in explained if text not in sources and text not in OF_JMETER | OF_RUSTLS], [])

    def test_the_command_that_gives_old_names_back_does_so_for_every_class(self) -> None:
        command = re.search(r"^sed .*(?= plan\.jmx$)", section("Take it out again"), flags=re.MULTILINE)
        assert command
        pairs = [line.split("=") for line in MAPPING.read_text(encoding="utf-8").splitlines() if "=" in line and line[0] != "#"]
        self.assertEqual(len(pairs), 22)
        with tempfile.TemporaryDirectory() as folder:
            plan = Path(folder) / "plan.jmx"
            plan.write_text("\n".join(f'<{new} guiclass="{new}"/>' for _old, new in pairs), encoding="utf-8")
            subprocess.run(["bash", "-c", command.group(0) + ' "$1"', "bash", str(plan)], check=True, timeout=30)
            self.assertEqual(plan.read_text(encoding="utf-8"), "\n".join(f'<{old} guiclass="{old}"/>' for old, _new in pairs))


if __name__ == "__main__":
    unittest.main()
