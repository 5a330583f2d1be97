"""Streams pass in both directions, end one by one, wait for who is slow, and never end by time."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from claudy.guard import relay
from claudy.guard.http import allow_silence

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 20
MANY = 64 << 20
FEW = 4 << 20
"""More than the kernel keeps for four sockets, and far less than what is sent."""


@contextlib.contextmanager
def relayed() -> Iterator[tuple[socket.socket, socket.socket, threading.Thread]]:
    """Yield a client, a daemon, and the thread that relays between them."""
    client, ours = socket.socketpair()
    daemon, theirs = socket.socketpair()
    words: dict[str, Any] = {"to_client": b"", "to_daemon": b""}
    thread = threading.Thread(target=relay.relay, args=(ours, theirs), kwargs=words)
    with client, ours, daemon, theirs:
        for sock in (client, daemon):
            sock.settimeout(SECONDS)
        thread.start()
        try:
            yield client, daemon, thread
        finally:
            client.close()
            daemon.close()
            thread.join(SECONDS)
            assert not thread.is_alive()


def test_a_client_that_has_said_all_is_answered() -> None:
    with relayed() as (client, daemon, thread):
        client.sendall(b"asked")
        client.shutdown(socket.SHUT_WR)
        assert daemon.recv(100) == b"asked"
        assert daemon.recv(100) == b""
        for word in (b"one", b"two"):
            daemon.sendall(word)
            assert client.recv(100) == word
        assert thread.is_alive()
        daemon.shutdown(socket.SHUT_WR)
        assert client.recv(100) == b""


@pytest.mark.parametrize("direction", ["to the client", "to the daemon"])
def test_who_does_not_read_is_waited_for(direction: str) -> None:
    with relayed() as (client, daemon, _):
        source, sink = (daemon, client) if direction == "to the client" else (client, daemon)
        source.setblocking(False)
        block = bytes(1 << 16)
        sent = 0
        while select.select([], [source], [], 0.3)[1]:
            sent += source.send(block)
            assert sent < FEW, "somebody keeps what nobody reads"
        source.settimeout(SECONDS)

        def send() -> None:
            source.sendall(bytes(MANY - sent))
            source.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        got = 0
        while data := sink.recv(1 << 20):
            got += len(data)
        sender.join()
        assert got == MANY


def test_silence_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits without a limit, whatever limit the request before has left on the connection."""
    waits: list[tuple[Any, ...]] = []
    real = select.poll

    class Poll:
        """A poll that notes how long it is to wait."""

        def __init__(self) -> None:
            self._poll = real()
            self.register, self.unregister = self._poll.register, self._poll.unregister

        def poll(self, *seconds: float) -> list[tuple[int, int]]:
            """Wait as the real one."""
            waits.append(seconds)
            return self._poll.poll(*seconds)

    monkeypatch.setattr("claudy.guard.relay.select.poll", Poll)
    client, ours = socket.socketpair()
    daemon, theirs = socket.socketpair()
    ours.settimeout(0.01)
    allow_silence(ours, 0.01)
    words: dict[str, Any] = {"to_client": b"", "to_daemon": b""}
    thread = threading.Thread(target=relay.relay, args=(ours, theirs), kwargs=words)
    with client, ours, daemon, theirs:
        thread.start()
        thread.join(0.3)
        assert thread.is_alive()
        client.sendall(b"late")
        daemon.settimeout(SECONDS)
        assert daemon.recv(100) == b"late"
        daemon.shutdown(socket.SHUT_RDWR)
        thread.join(SECONDS)
    assert set(waits) == {()}
