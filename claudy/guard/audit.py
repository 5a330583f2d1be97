"""The log of refused requests: one JSON object a line, bounded."""

from __future__ import annotations

import json
import os
import threading
import time

MAX_SIZE = 4 * 1024 * 1024
_MAX_TEXT = 500


class Audit:
    """A log file that is turned over once.

    Args:
        path: the file; empty: nothing is written.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()

    def refusal(self, method: str, target: str, status: int, reason: str) -> None:
        """Write down one refused request; never fails the request it is about."""
        self._write(
            {
                "refused": f"{method} {target}"[:_MAX_TEXT],
                "status": status,
                "reason": reason[:_MAX_TEXT],
            }
        )

    def event(self, text: str) -> None:
        """Write down what happened to the guard itself."""
        self._write({"event": text[:_MAX_TEXT]})

    def _write(self, entry: dict[str, object]) -> None:
        if not self._path:
            return
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        line = json.dumps({"time": stamp, **entry}) + "\n"
        try:
            with self._lock:
                if os.path.exists(self._path) and os.path.getsize(self._path) > MAX_SIZE:
                    os.replace(self._path, f"{self._path}.1")
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
                number = os.open(self._path, flags, 0o600)
                try:
                    os.write(number, line.encode())
                finally:
                    os.close(number)
        except OSError:
            return
