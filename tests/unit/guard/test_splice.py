"""Large answers pass unchanged, whatever they hold, and end with the side that ends."""

from __future__ import annotations

import errno
import os
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from claudy.guard.daemon import ClientGone, Watched
from claudy.guard.splice import pass_all

if TYPE_CHECKING:
    from collections.abc import Iterator

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def daemon() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def client() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.mark.parametrize("spliced", [True, False])
@pytest.mark.parametrize("size", [0, 1, 65536, 65537, 5_000_003])
def test_all_bytes_pass(
    daemon: Pair, client: Pair, size: int, spliced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not spliced:

        def none_left() -> None:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        monkeypatch.setattr(os, "pipe", none_left)
    data = os.urandom(size)
    got = bytearray()

    def send() -> None:
        daemon[1].sendall(data)
        daemon[1].shutdown(socket.SHUT_WR)

    def receive() -> None:
        while piece := client[1].recv(65536):
            got.extend(piece)

    threads = [threading.Thread(target=send), threading.Thread(target=receive)]
    for thread in threads:
        thread.start()
    pass_all(Watched(daemon[0], client[0]), client[0])
    client[0].shutdown(socket.SHUT_WR)
    for thread in threads:
        thread.join()
    assert bytes(got) == data


def test_a_client_that_hangs_up_ends_it(daemon: Pair, client: Pair) -> None:
    client[1].close()
    with pytest.raises((ClientGone, BrokenPipeError)):
        pass_all(Watched(daemon[0], client[0]), client[0])


def test_pipes_are_closed_again(daemon: Pair, client: Pair) -> None:
    before = len(os.listdir("/proc/self/fd"))
    daemon[1].sendall(b"x" * 150_000)
    daemon[1].shutdown(socket.SHUT_WR)
    pass_all(Watched(daemon[0], client[0]), client[0])
    assert len(os.listdir("/proc/self/fd")) == before
