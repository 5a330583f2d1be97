"""The least that anything between client and daemon can do: pass bytes on and look at none.

Run as `python -m bench.bare_relay LISTEN DAEMON`, two paths of Unix sockets; the kernel moves the
bytes. What `docker cp` loses through this is the price of one more process on the way, whoever
writes it; the rest of what it loses through the guard is the guard's.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_AT_ONCE = 256 * 1024


def _carry(source: socket.socket, sink: socket.socket) -> None:
    reader, writer = os.pipe()
    with contextlib.suppress(OSError):
        while size := os.splice(source.fileno(), writer, _AT_ONCE):
            while size:
                size -= os.splice(reader, sink.fileno(), size)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
    os.close(reader)
    os.close(writer)


def _serve(listen: str, daemon: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(listen)
        listener.listen()
        while True:
            client, _ = listener.accept()
            server = socket.socket(socket.AF_UNIX)
            server.connect(daemon)
            for ends in ((client, server), (server, client)):
                threading.Thread(target=_carry, args=ends, daemon=True).start()


@contextlib.contextmanager
def relaying(directory: Path, daemon: str) -> Iterator[str]:
    """Have one running; yields the path of its socket."""
    path = directory / "bare.sock"
    command = [sys.executable, "-m", "bench.bare_relay", str(path), daemon]
    with subprocess.Popen(command, cwd=Path(__file__).resolve().parent.parent) as process:
        try:
            while not path.exists() and process.poll() is None:
                time.sleep(0.01)
            yield str(path)
        finally:
            process.kill()
            path.unlink(missing_ok=True)


if __name__ == "__main__":
    _serve(*sys.argv[1:])
