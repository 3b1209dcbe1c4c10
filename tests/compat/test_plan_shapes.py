"""Plans as people build them: the original and ours give the same labels, counts and successes."""
from __future__ import annotations

import unittest
from collections import Counter

from tests.compat import homes, jmeter_process, jmx, results, shapes
from tests.compat.homes import Home
from tests.compat.scripted_server import ScriptedServer

Account = Counter[tuple[object, object]]


class PlanShapesTest(unittest.TestCase):
    """Samples by label and success, in both modes."""

    def test_every_shape_gives_what_the_original_gives_in_both_modes(self) -> None:
        original, _version = homes.original()
        ours = homes.ours()
        for name in shapes.ALL:
            want = _account(original, name, "original", {})
            self.assertTrue(want, name)
            for mode in ("strict", "fixed"):
                with self.subTest(shape=name, mode=mode):
                    got = _account(ours, name, mode, {"webrtc.websocket.compat": mode})
                    self.assertEqual(got, want)


def _account(home: Home, shape: str, run_name: str, properties: dict[str, str]) -> Account:
    directory = homes.TARGET / "shapes" / f"{shape}-{run_name}"
    directory.mkdir(parents=True, exist_ok=True)
    with ScriptedServer() as server:
        groups = shapes.ALL[shape](server.port, directory)
        plan = jmx.write(directory / "plan.jmx", jmx.test_plan(*groups))
        run = jmeter_process.run(home, plan, directory, properties)
    return Counter((sample["label"], sample["success"]) for sample in results.read(run.results))


if __name__ == "__main__":
    unittest.main()
