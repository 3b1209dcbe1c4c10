"""The documentation names everything that a user can meet: columns, properties, codes, settings; and its links lead somewhere."""

from __future__ import annotations

import re
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PLUGIN = ROOT / "jmeter-plugin/src/main/java/io/github/jmeterwebrtc/jmeter"


def text(path: Path) -> str:
    """The content of a source file."""
    return path.read_text(encoding="utf-8")


def java() -> str:
    """All Java sources of the product."""
    folders = (PLUGIN, ROOT / "java/src/main/java")
    return "\n".join(text(path) for folder in folders for path in sorted(folder.rglob("*.java")))


class Documentation(unittest.TestCase):
    def assert_names(self, document: str, names: set[str]) -> None:
        """The document names each of these as code or emphasised."""
        self.assertGreater(len(names), 1, "the source was read wrongly")
        said = text(ROOT / "docs" / document)
        self.assertEqual(sorted(name for name in names if not re.search(rf"[`*]{re.escape(name)}[`*]", said)), [])

    def test_names_every_column(self) -> None:
        self.assert_names("results.md", set(re.findall(r'"(webrtc_\w+)"', text(PLUGIN / "result/Columns.java"))) - {"webrtc_"})

    def test_names_every_response_code_of_a_call(self) -> None:
        words = dict(re.findall(r'(\w+) = "([A-Z_]+)" \{', text(ROOT / "src/diagnosis/cause.rs")))
        of_calls = re.findall(r"=> Cause::(\w+)", text(ROOT / "src/signaling/outcome.rs"))
        of_the_plugin = set(re.findall(r' = "([A-Z_]+)"', text(PLUGIN / "result/Codes.java")))
        self.assert_names("results.md", {words[name] for name in of_calls} | of_the_plugin)

    def test_is_about_one_list_of_codes(self) -> None:
        elsewhere = set(re.findall(r'(?:failure|evidence|Breach)\([^;]*?"([A-Z]+_[A-Z_]+)"', java()))
        self.assertEqual(elsewhere, set(), "a code of the plugin's own stands beside the one list")

    def test_names_every_property(self) -> None:
        names = set(re.findall(r'"(webrtc\.[a-zA-Z_.]+)"', java()))
        # The key of an object among the variables of a thread.
        self.assert_names("properties.md", names - {"webrtc.websocket.connections"})

    def test_names_every_setting_of_webrtc_defaults(self) -> None:
        self.assert_names("elements.md", set(re.findall(r'"WebRTC\.(\w+)"', text(PLUGIN / "config/WebRtcDefaults.java"))))

    def test_names_every_field_of_the_samplers(self) -> None:
        fields: set[str] = set()
        for folder in ("websocket", "call", "lab", "preflight"):
            for path in sorted((PLUGIN / folder).glob("*.java")):
                fields |= set(re.findall(r'public static final String [A-Z_]+ = "(\w+)";', text(path)))
        values = {"thread", "test", "text", "regex", "WebRTC connect"}
        self.assert_names("elements.md", fields - values)

    def test_links_lead_somewhere(self) -> None:
        for document in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
            for link in re.findall(r"\]\(([^)#]+)\)", text(document)):
                if "://" not in link:
                    self.assertTrue((document.parent / link).exists(), f"{document.name}: {link}")


if __name__ == "__main__":
    unittest.main()
