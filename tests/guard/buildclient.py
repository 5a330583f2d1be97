"""A BuildKit client that says what no real one does: files as an attacker names them."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from typing import TYPE_CHECKING, NamedTuple

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from claudy.guard.buildkit import policy
from claudy.guard.buildkit.wire import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

DIFF_COPY = "/moby.filesync.v1.FileSync/DiffCopy"
HEALTH, SERVING = "/grpc.health.v1.Health/Check", 1
STAT, REQ, DATA, FIN = 0, 1, 2, 3
DIRECTORY = 1 << 31  # Go's os.ModeDir
SECONDS = 30
OK = [(":status", "200"), ("content-type", "application/grpc")]


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number: int, value: int | bytes) -> bytes:
    """Return a field of a message in protobuf's form."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def stat(path: str, mode: int = 0o644, size: int = 0, *more: bytes) -> bytes:
    """Return a packet that names a file."""
    found = field(1, path.encode()) + field(2, mode) + field(5, size) + b"".join(more)
    return field(2, found)


class Sent(NamedTuple):
    """What came of a call.

    Attributes:
        status: of gRPC; -1: the connection was closed.
        message: of the error.
        data: the answer's message, with its prefix.
    """

    status: int
    message: str
    data: bytes = b""


def build(
    path: Path,
    packets: Sequence[bytes],
    dockerfile: bytes = b"FROM busybox\nCOPY . /x\n",
    pieces: Callable[[bytes], list[bytes]] = lambda message: [message],
) -> Sent:
    """Build with a context of these packets.

    Args:
        path: socket of the engine or guard.
        packets: of the context, before the one that ends the list.
        dockerfile: what to build.
        pieces: how a gRPC message is cut into frames.
    """
    with _control(path, packets, dockerfile, pieces) as (control, session):
        request = {"Ref": os.urandom(12).hex(), "Session": session, "Frontend": "dockerfile.v0"}
        solve = control.ask(policy.SOLVE, encode(request, policy.SOLVE_REQUEST))
        return control.answer(solve)


@contextlib.contextmanager
def frontend(path: Path, dockerfile: bytes) -> Iterator[Callable[[str, bytes], Sent]]:
    """Begin a build whose steps the client asks for; yields how it calls the engine's bridge.

    Args:
        path: socket of the engine or guard.
        dockerfile: what the engine's own frontend reads.
    """
    with _control(path, [], dockerfile, lambda message: [message]) as (control, session):
        ref = os.urandom(12).hex()
        control.ask(policy.SOLVE, encode({"Ref": ref, "Session": session}, policy.SOLVE_REQUEST))
        bridge = policy.BRIDGE_SOLVE.removesuffix("Solve")
        yield lambda name, message: control.answer(control.ask(bridge + name, message, ref))


@contextlib.contextmanager
def _control(
    path: Path,
    packets: Sequence[bytes],
    dockerfile: bytes,
    pieces: Callable[[bytes], list[bytes]],
) -> Iterator[tuple[_Control, str]]:
    """Serve files on a session; yields a connection for calls, and the session's id."""
    name = os.urandom(12).hex()
    headers = {
        "X-Docker-Expose-Session-Uuid": name,
        "X-Docker-Expose-Session-Name": "evil",
        "X-Docker-Expose-Session-Sharedkey": name,
        "X-Docker-Expose-Session-Grpc-Method": DIFF_COPY,
    }
    session, control = _upgraded(path, "/session", headers), _upgraded(path, "/grpc", {})
    with session, control:
        server = threading.Thread(target=_serve, args=(session, packets, dockerfile, pieces))
        server.start()
        try:
            yield _Control(control), name
        finally:
            for sock in (control, session):
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
            server.join()


def _upgraded(path: Path, target: str, headers: dict[str, str]) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(SECONDS)
    sock.connect(str(path))
    lines = {"Host": "docker", "Connection": "Upgrade", "Upgrade": "h2c", **headers}
    head = f"POST {target} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items())
    sock.sendall(head.encode() + b"\r\n")
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += sock.recv(1)
    assert answer.startswith(b"HTTP/1.1 101"), answer
    return sock


class _Control:
    """A connection to /grpc."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        config = h2.config.H2Configuration(header_encoding="utf-8")
        self._connection = h2.connection.H2Connection(config)
        self._connection.initiate_connection()
        self._found: dict[int, dict[str, str]] = {}
        self._data: dict[int, bytes] = {}

    def ask(self, path: str, message: bytes, build: str = "") -> int:
        """Send a call; returns its stream."""
        stream = self._connection.get_next_available_stream_id()
        head = {
            ":method": "POST", ":scheme": "http", ":authority": "x", ":path": path,
            "content-type": "application/grpc", "te": "trailers",
        }  # fmt: skip
        if build:
            head["buildkit-controlapi-buildid"] = build
        self._connection.send_headers(stream, list(head.items()))
        data = b"\0" + len(message).to_bytes(4, "big") + message
        self._connection.send_data(stream, data, end_stream=True)
        self._sock.sendall(self._connection.data_to_send())
        self._found[stream], self._data[stream] = {}, b""
        return stream

    def answer(self, stream: int) -> Sent:
        """Wait for the end of a call."""
        found = self._found[stream]
        while "grpc-status" not in found:
            data = self._sock.recv(65536)
            if not data:
                return Sent(-1, "closed")
            for event in self._connection.receive_data(data):
                number = getattr(event, "stream_id", None) or 0
                if isinstance(event, h2.events.DataReceived):
                    self._connection.acknowledge_received_data(event.flow_controlled_length, number)
                    self._data[number] += event.data or b""
                elif isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
                    self._found[number] |= {str(k): str(v) for k, v in event.headers or []}
                elif isinstance(event, h2.events.StreamReset):
                    self._found[number]["grpc-status"] = "-1"
            self._sock.sendall(self._connection.data_to_send())
        return Sent(
            int(found["grpc-status"]), found.get("grpc-message", ""), self._data.pop(stream)
        )


class _Files:
    """What is sent on one stream of files."""

    def __init__(self, packets: Sequence[bytes], content: bytes) -> None:
        self.first, self.content, self.held = [*packets, b"\x08\0"], content, b""

    def answer(self, data: bytes) -> tuple[list[bytes], bool]:
        """Return the packets that answer, and whether they are the last."""
        self.held += data
        said: list[bytes] = []
        while len(self.held) >= 5:
            size = int.from_bytes(self.held[1:5], "big")
            if len(self.held) < 5 + size:
                break
            packet, self.held = self.held[5 : 5 + size], self.held[5 + size :]
            kind = packet[1] if packet[:1] == b"\x08" else STAT
            if kind == REQ:
                number = packet[2:]  # the field `ID`, absent for the first
                said += [field(1, DATA) + number + field(4, self.content)]
                said += [field(1, DATA) + number]
            elif kind == FIN:
                return [*said, field(1, FIN)], True
        return said, False


def _serve(  # noqa: C901 - one branch an event
    sock: socket.socket,
    packets: Sequence[bytes],
    dockerfile: bytes,
    pieces: Callable[[bytes], list[bytes]],
) -> None:
    """Answer the daemon's calls until it, or a guard, closes."""
    config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
    connection = h2.connection.H2Connection(config)
    connection.initiate_connection()
    streams: dict[int, _Files] = {}

    def send(stream: int, said: list[bytes]) -> None:
        for message in said:
            for piece in pieces(b"\0" + len(message).to_bytes(4, "big") + message):
                connection.send_data(stream, piece)

    with contextlib.suppress(OSError, h2.exceptions.ProtocolError):
        sock.sendall(connection.data_to_send())
        while data := sock.recv(65536):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    headers = {str(k): str(v) for k, v in event.headers or []}
                    number = event.stream_id or 0
                    if headers[":path"] == HEALTH:  # asked each second; else the session ends
                        connection.send_headers(number, OK)
                        connection.send_data(number, b"\0\0\0\0\2" + field(1, SERVING))
                        connection.send_headers(number, [("grpc-status", "0")], end_stream=True)
                        continue
                    if headers[":path"] != DIFF_COPY:
                        trailers = [*OK, ("grpc-status", "12")]
                        connection.send_headers(number, trailers, end_stream=True)
                        continue
                    if headers.get("dir-name") == "dockerfile":
                        mine = [stat("Dockerfile", 0o644, len(dockerfile))]
                    else:
                        mine = list(packets)
                    streams[number] = _Files(mine, dockerfile)
                    connection.send_headers(number, OK)
                    send(number, streams[number].first)
                elif isinstance(event, h2.events.DataReceived):
                    number = event.stream_id or 0
                    if number not in streams:
                        continue  # the question of a call that was not taken
                    connection.acknowledge_received_data(event.flow_controlled_length, number)
                    said, last = streams[number].answer(event.data or b"")
                    send(number, said)
                    if last:
                        connection.send_headers(number, [("grpc-status", "0")], end_stream=True)
            sock.sendall(connection.data_to_send())
