"""Licences: which expressions may be redistributed, and that every text gets into the notices once."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path

from scripts.third_party_notices import accepted, notices


class Licences(unittest.TestCase):
    def test_with_an_acceptable_choice_are_accepted(self) -> None:
        for expression in ("MIT", "MIT/Apache-2.0", "GPL-3.0 OR MIT", "(MIT OR GPL-3.0) AND Unicode-3.0"):
            self.assertTrue(accepted(expression), expression)
        self.assertTrue(accepted("Apache-2.0 WITH LLVM-exception"))

    def test_without_an_acceptable_choice_are_refused(self) -> None:
        for expression in ("", "GPL-3.0", "MIT AND GPL-3.0", "MIT OR", "(MIT", "MIT MIT"):
            self.assertFalse(accepted(expression), expression)


class Notices(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def crate(self, name: str, licence: str, text: str | None) -> dict[str, str]:
        """A crate with a licence file in a folder of its own."""
        folder = Path(self.folder.name) / name
        folder.mkdir()
        if text:
            (folder / "LICENSE").write_text(text, encoding="utf-8")
        manifest = str(folder / "Cargo.toml")
        return {"name": name, "version": "1.0.0", "license": licence, "repository": "", "manifest_path": manifest}

    def test_carry_equal_texts_once(self) -> None:
        text = notices([self.crate("a", "MIT", "Permission is\ngranted"), self.crate("b", "MIT", "Permission is granted")])
        self.assertEqual(text.count("Permission is"), 1)
        self.assertIn("b 1.0.0 · MIT · crates.io [1]", text)

    def test_refuse_a_licence_text_that_is_missing(self) -> None:
        with self.assertRaisesRegex(SystemExit, "a 1.0.0: MIT asks for its text"):
            notices([self.crate("a", "MIT", None)])

    def test_refuse_a_licence_that_is_not_accepted(self) -> None:
        with self.assertRaisesRegex(SystemExit, "a 1.0.0: licence 'GPL-3.0' is not accepted"):
            notices([self.crate("a", "GPL-3.0", "text")])


if __name__ == "__main__":
    unittest.main()
