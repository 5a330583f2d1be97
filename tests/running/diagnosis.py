"""Notes how long a launch that can't succeed took to say why, for the benchmark.

Nothing is asserted here: a busy machine is no fault. `python -m bench diagnosis` runs the doctor's
tests with a file to write to, and judges what is in it.
"""

from __future__ import annotations

import json
import os
import time

FILE = "CLAUDY_TEST_DIAGNOSES"
"""Variable: the file that gets a JSON object a line, `{"finding", "test", "seconds"}`."""


class Watch:
    """Runs from its making to `stop`."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._took = 0.0

    def stop(self) -> None:
        """The launch has ended."""
        self._took = time.monotonic() - self._began

    def note(self, finding: str) -> None:
        """Say what had been found, if anybody wants to know."""
        path = os.environ.get(FILE)
        if not path:
            return
        test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition("::")[2].partition(" ")[0]
        with open(path, "a", encoding="utf-8") as file:
            entry = {"finding": finding, "test": test, "seconds": round(self._took, 3)}
            file.write(json.dumps(entry) + "\n")
