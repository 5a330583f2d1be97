"""Which daemons the guard speaks with, and how new an API it lets clients speak.

A fake stands for daemons that are older and newer than any of the test engines.
"""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from claudy.guard.daemon import NEWEST, Daemon
from claudy.guard.refusal import Denied

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def daemon(path: Path, version: str) -> Iterator[Daemon]:
    """Answer pings at a socket with an API version, or with none."""
    said = f"Api-Version: {version}\r\n" if version else ""
    answer = f"HTTP/1.1 200 OK\r\n{said}Content-Length: 2\r\nConnection: close\r\n\r\nOK"

    def serve() -> None:
        while True:
            client, _ = listener.accept()
            with client:
                if not client.recv(65536):
                    return
                client.sendall(answer.encode())

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        yield Daemon(str(path))
        with socket.socket(socket.AF_UNIX) as last:
            last.connect(str(path))
        thread.join()


@pytest.mark.parametrize("version", ["", "1.40", "1.24", "0.99", "x.y", "1", "-1.45"])
def test_an_unknown_daemon_is_not_spoken_with(tmp_path: Path, version: str) -> None:
    with daemon(tmp_path / "sock", version) as found:
        for _ in range(2):
            with pytest.raises(Denied, match="not known to the guard") as error:
                _ = found.newest
            assert error.value.status == 503


@pytest.mark.parametrize(
    ("version", "newest"), [("1.41", (1, 41)), ("1.45", (1, 45)), ("1.99", NEWEST), ("2.0", NEWEST)]
)
def test_the_newest_version_is_one_that_both_know(
    tmp_path: Path, version: str, newest: tuple[int, int]
) -> None:
    with daemon(tmp_path / "sock", version) as found:
        assert found.newest == newest


def test_a_daemon_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(Denied, match="does not answer") as error:
        _ = Daemon(str(tmp_path / "nobody")).newest
    assert error.value.status == 503
