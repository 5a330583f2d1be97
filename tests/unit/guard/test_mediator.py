"""What a client of BuildKit sees of a build that is refused, spoken in HTTP/2."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import h2.config
import h2.connection
import h2.events
import pytest

from claudy.guard.buildkit.mediator import Call, Mediator, NotYet
from claudy.guard.refusal import Denied

if TYPE_CHECKING:
    from collections.abc import Iterator

SOLVE, STATUS, PING = "/c/Solve", "/c/Status", "/b/Ping"
SECONDS = 10


def check(call: Call, data: bytes) -> bytes:
    """Refuse every build that does not say please; what is about one names it in its message."""
    call.build, _, manners = data.decode().partition(" ")
    if call.path == SOLVE:
        if manners:
            call.build, call.begins = "", call.build
            return data
        raise Denied(403, "claudy guard: no.")
    if call.path == PING:
        raise NotYet
    return data


@pytest.fixture
def client() -> Iterator[socket.socket]:
    """Return a connection to a mediator whose daemon answers nothing."""
    ours, theirs = socket.socketpair()
    daemon, end = socket.socketpair()
    mediator = Mediator(theirs, daemon, check, lambda *_: None)
    thread = threading.Thread(target=mediator.run, kwargs={"first_down": b"", "first_up": b""})
    thread.start()
    ours.settimeout(SECONDS)
    yield ours
    ours.close()
    thread.join(SECONDS)
    for sock in (theirs, daemon, end):
        sock.close()


def ask(connection: h2.connection.H2Connection, path: str, build: str) -> int:
    """Send a call about a build; returns its stream."""
    stream = connection.get_next_available_stream_id()
    head = [(":method", "POST"), (":scheme", "http"), (":authority", "x"), (":path", path)]
    connection.send_headers(stream, head)
    message = build.encode()
    body = b"\0" + len(message).to_bytes(4, "big") + message
    connection.send_data(stream, body, end_stream=True)
    return stream


def statuses(
    sock: socket.socket, connection: h2.connection.H2Connection, streams: set[int]
) -> dict[int, str]:
    """Return the gRPC status of each call when all have ended."""
    sock.sendall(connection.data_to_send())
    found: dict[int, str] = {}
    while set(found) != streams:
        data = sock.recv(65536)
        assert data, f"closed with {found}"
        for event in connection.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
                headers = {str(n): str(v) for n, v in event.headers or []}
                found[event.stream_id] = headers["grpc-status"]
        sock.sendall(connection.data_to_send())
    return found


def test_a_refused_build_ends_all_that_waits_for_it(client: socket.socket) -> None:
    config = h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
    connection = h2.connection.H2Connection(config)
    connection.initiate_connection()
    # Its progress and its frontend's first call are asked for before and after it is refused.
    early = [ask(connection, path, "mine") for path in (STATUS, PING)]
    solve = ask(connection, SOLVE, "mine")
    late = [ask(connection, path, "mine") for path in (STATUS, PING)]
    found = statuses(client, connection, {*early, solve, *late})
    assert found[solve] == "7"
    # No error from the progress: it would be told instead of the refusal.
    assert [found[stream] for stream in (*early, *late)] == ["0", "7", "0", "7"]


def test_another_build_is_waited_for(client: socket.socket) -> None:
    config = h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
    connection = h2.connection.H2Connection(config)
    connection.initiate_connection()
    waiting = ask(connection, PING, "other")
    solve = ask(connection, SOLVE, "mine")
    assert statuses(client, connection, {solve}) == {solve: "7"}
    client.settimeout(0.2)  # ten times what is parked is looked at
    with pytest.raises(TimeoutError):
        statuses(client, connection, {waiting})


def test_a_refused_ref_may_be_used_anew(client: socket.socket) -> None:
    config = h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
    connection = h2.connection.H2Connection(config)
    connection.initiate_connection()
    first = ask(connection, SOLVE, "mine")
    assert statuses(client, connection, {first}) == {first: "7"}
    ask(connection, SOLVE, "mine please")
    progress = ask(connection, STATUS, "mine")
    client.settimeout(0.2)
    with pytest.raises(TimeoutError):  # it is the daemon's to tell, who tells nothing here
        statuses(client, connection, {progress})
