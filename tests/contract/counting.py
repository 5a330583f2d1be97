"""A Unix socket in front of a real engine that writes down which requests pass.

Those of a guard are not claudy's: nobody waits for them.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

SECONDS = 60
_ID = re.compile(r"[0-9a-f]{64}")


class Counting:
    """Relays every connection to an engine and notes each request.

    Args:
        path: where it listens.
        engine: path of the engine's socket.
    """

    def __init__(self, path: Path, engine: Path) -> None:
        self.host = f"unix://{path}"
        self._engine = engine
        self._requests: list[str] = []
        self._lock = threading.Lock()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        until = time.monotonic() + SECONDS
        for thread in self._threads:
            thread.join(max(until - time.monotonic(), 0))
        left = [thread.name for thread in self._threads if thread.is_alive()]
        assert not left, f"still open: {left}"

    def taken(self) -> list[str]:
        """Return the requests since the last time, as `GET /containers/ID/json`."""
        with self._lock:
            found, self._requests = self._requests, []
        return found

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                engine = socket.socket(socket.AF_UNIX)
                engine.connect(str(self._engine))
                back = threading.Thread(target=self._relay, args=(engine, client), daemon=True)
                there = threading.Thread(
                    target=self._relay, args=(client, engine, back), daemon=True
                )
                self._threads += [there, back]
                there.start()
                back.start()

    def _relay(
        self, source: socket.socket, sink: socket.socket, back: threading.Thread | None = None
    ) -> None:
        reader = _Requests() if back else None
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if reader is not None and back is not None:
                    # What is open in the end says what it was for.
                    line = data.partition(b"\r")[0][:200].decode("latin-1")
                    back.name = threading.current_thread().name = line
                    with self._lock:
                        self._requests += reader.feed(data)
                sink.sendall(data)
        threading.current_thread().name += " (over)"
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
        if not back:  # the engine's side ends last
            source.close()
            sink.close()


class _Requests:
    """Finds the request lines in what one client sends."""

    def __init__(self) -> None:
        self._data = b""
        self._raw = False

    def feed(self, data: bytes) -> list[str]:
        found: list[str] = []
        self._data += data
        while not self._raw and b"\r\n\r\n" in self._data:
            head, _, rest = self._data.partition(b"\r\n\r\n")
            line, *fields = head.decode("latin-1").split("\r\n")
            headers = {k.lower(): v.strip() for k, _, v in (one.partition(":") for one in fields)}
            length = int(headers.get("content-length", "0"))
            if len(rest) < length:
                break
            self._data = rest[length:]
            self._raw = "upgrade" in headers
            method, target, _ = line.split(" ")
            path = re.sub(r"^/v[0-9.]+", "", target.partition("?")[0])
            if headers.get("user-agent") != "claudy-guard":
                found.append(f"{method} {_ID.sub('ID', path)}")
        return found
