"""What `websocket.thread.stop.policy` does at the end of a thread, whatever other elements the thread has."""
from __future__ import annotations

import time
import unittest

from tests.auto_ice.plans import auto_ice
from tests.compat import homes, jmeter_process, jmx
from tests.compat.scripted_server import ScriptedServer

#: For a server that is behind with reading.
PATIENCE_S = 10
#: A close frame with status 1000.
FAREWELL = r"FRAME 88 masked 22 b'\x03\xe8test thread finished'"


class StopPolicyTest(unittest.TestCase):
    """A connection that its thread leaves open, with `wsClose`."""

    def setUp(self) -> None:
        self.server = self.enterContext(ScriptedServer())
        self.open = jmx.open_connection("open", server="127.0.0.1", port=str(self.server.port), path="/e?sc=left")

    def test_a_connection_that_is_left_open_gets_a_close_frame(self) -> None:
        self.assertIn(FAREWELL, self.wire("alone", self.open))

    def test_an_element_in_front_that_hears_of_the_end_first_changes_nothing(self) -> None:
        self.assertIn(FAREWELL, self.wire("behind-another", auto_ice(), self.open))

    def wire(self, name: str, *elements: jmx.Element) -> list[str]:
        """What the server was sent, once it has read the last frame or a while has passed."""
        directory = homes.TARGET / "stop-policy" / name
        plan = jmx.write(directory / "plan.jmx", jmx.test_plan(jmx.thread_group("leaver", *elements)))
        jmeter_process.run(homes.ours(), plan, directory, {"websocket.thread.stop.policy": "wsClose"})
        sent: list[str] = []
        give_up = time.monotonic() + PATIENCE_S
        while FAREWELL not in sent and time.monotonic() < give_up:
            sent += self.server.recorder.take().get("left", [])
            time.sleep(0.05)
        return sent


if __name__ == "__main__":
    unittest.main()
