"""What passes through a file: the daemon waits for nobody, and is done before that is said."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from claudy.guard.daemon import Watched
from claudy.guard.spool import pass_kept

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Pair = tuple[socket.socket, socket.socket]
FIRST = b"beginning "
DATA = os.urandom(1_000_003) * 24  # more than the kernel keeps for a socket


@contextlib.contextmanager
def daemon() -> Iterator[tuple[Watched, threading.Thread]]:
    """Yield a connection on which DATA arrives, and the thread that has sent it when it ends."""
    ours, theirs = socket.socketpair()

    def send() -> None:
        with theirs:
            theirs.sendall(DATA)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield Watched(ours, None), thread
    finally:
        ours.close()
        thread.join()


@pytest.fixture
def client() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_the_daemon_does_not_wait_for_the_client(client: Pair, tmp_path: Path) -> None:
    over = threading.Event()
    with daemon() as (source, sending):
        passing = threading.Thread(
            target=pass_kept, args=(source, client[0], FIRST, str(tmp_path), over.set)
        )
        passing.start()
        sending.join()
        assert over.wait(30)
        assert passing.is_alive()  # nothing has been read yet
        got = bytearray()
        while len(got) < len(FIRST) + len(DATA):
            got += client[1].recv(65536)
        passing.join()
    assert bytes(got) == FIRST + DATA
    assert not os.listdir(tmp_path)


def test_who_has_read_all_finds_that_it_is_over(client: Pair, tmp_path: Path) -> None:
    small = os.urandom(150_000)  # less than a socket takes: all of it could be there before
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(small[:100_000])
        client[1].setblocking(False)
        got = bytearray()

        def drain() -> None:
            with contextlib.suppress(BlockingIOError):
                while piece := client[1].recv(65536):
                    got.extend(piece)

        before: list[int] = []

        def over() -> None:
            drain()
            before.append(len(got))

        theirs.sendall(small[100_000:])
        theirs.shutdown(socket.SHUT_WR)
        pass_kept(Watched(ours, None), client[0], FIRST, str(tmp_path), over)
        drain()
    assert before[0] <= len(FIRST) + len(small) - 65536
    assert bytes(got) == FIRST + small


def test_it_is_not_over_before_the_daemon_is_because_the_client_is_gone(
    client: Pair, tmp_path: Path
) -> None:
    client[1].close()
    ended = []
    with daemon() as (source, sending), pytest.raises(BrokenPipeError):
        pass_kept(
            source, client[0], FIRST, str(tmp_path), lambda: ended.append(_sent(source, sending))
        )
    assert ended == [True]


def test_it_is_not_over_before_the_daemon_is_because_nothing_can_be_kept(
    client: Pair, tmp_path: Path
) -> None:
    ended = []
    with daemon() as (source, sending), pytest.raises(FileNotFoundError):
        pass_kept(
            source, client[0], b"", f"{tmp_path}/no", lambda: ended.append(_sent(source, sending))
        )
    assert ended == [True]


def _sent(source: Watched, sending: threading.Thread) -> bool:
    """Whether the daemon has sent all, and all of it was taken."""
    if source.recv(1):
        return False
    sending.join(30)
    return not sending.is_alive()
