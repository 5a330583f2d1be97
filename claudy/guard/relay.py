"""Bytes in both directions, with half-close and back-pressure, until both ends are done."""

from __future__ import annotations

import contextlib
import select
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Look = Callable[[bytes], bytes]

BLOCK = 65536
_READ = select.POLLIN | select.POLLHUP | select.POLLERR


class _Way:
    """One direction: at most one block is held, so a slow reader slows the writer."""

    def __init__(
        self, source: socket.socket, sink: socket.socket, first: bytes, look: Look | None
    ) -> None:
        self.source, self.sink, self._look = source, sink, look
        self.held = memoryview(look(first) if look else first)
        self.open = True

    def read(self) -> None:
        try:
            data = self.source.recv(BLOCK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.held = memoryview(self._look(data) if self._look else data)
            self.write()
        else:
            self._finish()

    def write(self) -> None:
        try:
            sent = self.sink.send(self.held)
        except BlockingIOError:
            return
        except OSError:
            self.held = memoryview(b"")
            self.open = False
            return
        self.held = self.held[sent:]

    def _finish(self) -> None:
        self.open = False
        with contextlib.suppress(OSError):
            self.sink.shutdown(socket.SHUT_WR)


def relay(  # noqa: C901 - one loop over both ways
    client: socket.socket,
    daemon: socket.socket,
    *,
    to_client: bytes,
    to_daemon: bytes,
    looks: tuple[Look, Look] | None = None,
) -> None:
    """Relay until the daemon is done, or the client is gone altogether.

    Args:
        client: the sandbox's connection.
        daemon: the daemon's connection.
        to_client: bytes already read from the daemon.
        to_daemon: bytes already read from the client.
        looks: see what goes to the client and what goes to the daemon, and return what of it may
            go on now; what they raise ends the relay.
    """
    client.setblocking(False)
    daemon.setblocking(False)
    see_down, see_up = looks or (None, None)
    down = _Way(daemon, client, to_client, see_down)  # first: what was asked, then the answers
    up = _Way(client, daemon, to_daemon, see_up)
    hung_up = False
    poll = select.poll()
    while (down.open or down.held) and not (hung_up and not up.open and not up.held):
        wanted = {client.fileno(): 0, daemon.fileno(): 0}
        for way in (up, down):
            if way.held:
                wanted[way.sink.fileno()] |= select.POLLOUT
            elif way.open:
                wanted[way.source.fileno()] |= select.POLLIN
        for number, events in wanted.items():
            # A hang-up is reported for ever: watch for it only where something is wanted, and on
            # the client until it was seen once.
            if events or (number == client.fileno() and not hung_up):
                poll.register(number, events)
            else:
                with contextlib.suppress(KeyError):
                    poll.unregister(number)
        for number, events in poll.poll():
            if number == client.fileno() and events & (select.POLLHUP | select.POLLERR):
                hung_up = True
            for way in (up, down):
                if number == way.sink.fileno() and way.held and events & ~select.POLLIN:
                    way.write()
                elif number == way.source.fileno() and way.open and not way.held and events & _READ:
                    way.read()
