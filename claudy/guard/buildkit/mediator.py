"""HTTP/2 between a client and the daemon, ended on both sides.

Every call that a build makes has one request message, so each is whole and checked before it goes
on. Answers may be streams and are passed on as they come, with the client's flow control.
"""

from __future__ import annotations

import select
from typing import TYPE_CHECKING

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from claudy.guard.refusal import Denied

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

BLOCK = 65536
MAX_MESSAGE = 16 * 1024 * 1024
MAX_STREAMS = 256
PARKED_MS = 20
PREFIX = 5  # compression flag and length of a gRPC message
OK_STATUS, UNIMPLEMENTED, DENIED_STATUS = 0, 12, 7
BUILD = "buildkit-controlapi-buildid"
_PASSED = {"grpc-timeout", BUILD}
_HIDDEN = {":status", "date"}


class NotYet(Exception):
    """A call for a build that is not begun yet; clients send both at once."""


class Call:
    """A call of the client.

    Attributes:
        path: the method.
        headers: of the client's request.
        request: the message so far.
        build: ref of the build that it is about, set by the check; empty: of none.
        begins: ref of the build that it begins, set by the check that lets it.
        finish: what to do with a whole answer before it is passed on; None: a stream.
    """

    def __init__(self, path: str, headers: dict[str, str]) -> None:
        self.path, self.headers = path, headers
        self.request = bytearray()
        self.build = self.begins = ""
        self.finish: Callable[[bytes], None] | None = None
        self.upstream = 0
        self.answer = bytearray()
        self.pending: list[tuple[bytes, int]] = []
        self.trailers: list[tuple[str, str]] | None = None
        self.started = False


class Mediator:
    """One client's connection to /grpc.

    Args:
        client: its socket.
        daemon: a connection of its own, already upgraded.
        check: returns the message to forward, sets `call.finish`; raises Denied or NotYet.
            LookupError means that the call is not offered.
        refusal: told about what is refused.
        reason: returns why a build fails where the daemon can't know it, by the build's ref; empty:
            it does.
    """

    def __init__(
        self,
        client: socket.socket,
        daemon: socket.socket,
        check: Callable[[Call, bytes], bytes],
        refusal: Callable[[str, Denied], None],
        reason: Callable[[str], str] = lambda _: "",
    ) -> None:
        self._sockets = {"down": client, "up": daemon}
        server = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        # An error's text may end with a space, which a field's value must not.
        asker = h2.config.H2Configuration(
            client_side=True, header_encoding="utf-8", validate_inbound_headers=False
        )
        self._down = h2.connection.H2Connection(server)
        self._up = h2.connection.H2Connection(asker)
        self._check, self._refusal, self._reason = check, refusal, reason
        self._calls: dict[int, Call] = {}
        self._parked: list[int] = []
        self._refused: dict[str, str] = {}
        """Builds that were refused, with the reason: any of their calls may be answered first."""
        self._by_upstream: dict[int, int] = {}

    def run(self, *, first_down: bytes, first_up: bytes) -> None:
        """Mediate until one side closes."""
        self._down.initiate_connection()
        self._up.initiate_connection()
        # An error has the whole Dockerfile with it, as a field of the answer's head.
        self._up.update_settings({h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE: MAX_MESSAGE})
        self._flush()
        poll = select.poll()
        for sock in self._sockets.values():
            sock.settimeout(None)
            poll.register(sock, select.POLLIN)
        try:
            self._take("down", first_down)
            self._take("up", first_up)
            while True:
                for number, _ in poll.poll(PARKED_MS if self._parked else None):
                    side = next(s for s, sock in self._sockets.items() if sock.fileno() == number)
                    data = self._sockets[side].recv(BLOCK)
                    if not data:
                        return
                    self._take(side, data)
                self._retry()
        except h2.exceptions.ProtocolError:
            self._flush()

    def _retry(self) -> None:
        """Look again at calls that came before their build."""
        waiting, self._parked = self._parked, []
        for stream in waiting:
            self._forward(stream)
        if waiting:
            self._flush()

    def _take(self, side: str, data: bytes) -> None:
        if not data:
            return
        connection = self._down if side == "down" else self._up
        for event in connection.receive_data(data):
            if side == "down":
                self._from_client(event)
            else:
                self._from_daemon(event)
        self._flush()

    def _flush(self) -> None:
        for side, connection in (("down", self._down), ("up", self._up)):
            if data := connection.data_to_send():
                self._sockets[side].sendall(data)

    # -- the client --------------------------------------------------------------------------

    def _from_client(self, event: h2.events.Event) -> None:  # noqa: C901 - one branch an event
        if isinstance(event, h2.events.RequestReceived):
            headers = {str(name): str(value) for name, value in event.headers or []}
            if len(self._calls) >= MAX_STREAMS:
                self._down.reset_stream(event.stream_id, h2.errors.ErrorCodes.REFUSED_STREAM)
                return
            self._calls[event.stream_id] = Call(headers.get(":path", ""), headers)
        elif isinstance(event, h2.events.DataReceived):
            self._down.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            call = self._calls.get(event.stream_id)
            if call is not None:
                call.request += event.data
                if len(call.request) > MAX_MESSAGE:
                    self._fail(
                        event.stream_id, DENIED_STATUS, "claudy guard: the message is too large."
                    )
        elif isinstance(event, h2.events.StreamEnded):
            self._forward(event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            call = self._calls.pop(event.stream_id, None)
            if call is not None and call.upstream:
                self._by_upstream.pop(call.upstream, None)
                self._up.reset_stream(call.upstream, h2.errors.ErrorCodes.CANCEL)
        elif isinstance(event, h2.events.WindowUpdated | h2.events.RemoteSettingsChanged):
            for stream in list(self._calls):
                self._push(stream)

    def _forward(self, stream: int) -> None:
        """Send a whole request on, after its check."""
        call = self._calls.get(stream)
        if call is None:
            return
        try:
            message = self._check(call, _message(bytes(call.request)))
        except NotYet:
            if call.build in self._refused:
                self._fail(stream, DENIED_STATUS, self._refused[call.build])
            else:
                self._parked.append(stream)
            return
        except LookupError:
            self._fail(stream, UNIMPLEMENTED, f"claudy guard: {call.path} is not offered here.")
            return
        except Denied as denied:
            self._refusal(call.path, denied)
            self._fail(stream, DENIED_STATUS, denied.message)
            self._end_build(call.build, denied.message)
            return
        self._refused.pop(call.begins, None)
        if call.build in self._refused:
            self._fail(stream, OK_STATUS, "")
            return
        call.upstream = self._up.get_next_available_stream_id()
        self._by_upstream[call.upstream] = stream
        kept = [(n, v) for n, v in call.headers.items() if n in _PASSED]
        head = [
            (":method", "POST"), (":scheme", "http"), (":authority", "localhost"),
            (":path", call.path), ("content-type", "application/grpc"), ("te", "trailers"), *kept,
        ]  # fmt: skip
        self._up.send_headers(call.upstream, head)
        data = b"\0" + len(message).to_bytes(4, "big") + message
        # The daemon's windows are far larger than a request; one that is not fits no build.
        window = self._up.local_flow_control_window(call.upstream)
        size = self._up.max_outbound_frame_size
        if len(data) > window:
            self._up.reset_stream(call.upstream)
            self._fail(stream, DENIED_STATUS, "claudy guard: the message is too large.")
            return
        for start in range(0, len(data), size):
            self._up.send_data(call.upstream, data[start : start + size])
        self._up.end_stream(call.upstream)

    def _end_build(self, build: str, reason: str) -> None:
        """End what goes on for a build that was refused: its client waits for that.

        Without an error, which would be told instead of the refusal.
        """
        if not build:
            return
        self._refused[build] = reason
        for stream, call in list(self._calls.items()):
            if call.build == build and call.upstream:
                self._by_upstream.pop(call.upstream, None)
                self._up.reset_stream(call.upstream, h2.errors.ErrorCodes.CANCEL)
                self._fail(stream, OK_STATUS, "")

    def _fail(self, stream: int, status: int, text: str) -> None:
        call = self._calls.pop(stream, None)
        trailers = [("grpc-status", str(status)), ("grpc-message", _percent(text))]
        if call is None or not call.started:
            trailers = [(":status", "200"), ("content-type", "application/grpc"), *trailers]
        self._down.send_headers(stream, trailers, end_stream=True)

    # -- the daemon --------------------------------------------------------------------------

    def _from_daemon(self, event: h2.events.Event) -> None:
        number = getattr(event, "stream_id", None)
        stream = self._by_upstream.get(number or 0)
        call = self._calls.get(stream) if stream is not None else None
        if isinstance(event, h2.events.DataReceived):
            if call is None or stream is None or call.finish is not None:
                self._up.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                if call is not None:
                    call.answer += event.data
                return
            call.pending.append((event.data, event.flow_controlled_length))
            self._push(stream)
        elif call is None or stream is None:
            return
        elif isinstance(event, h2.events.ResponseReceived):
            headers = [(str(n), str(v)) for n, v in event.headers or []]
            if any(name == "grpc-status" for name, _ in headers):
                call.trailers = headers  # an answer that is only its end
                return
            call.started = True
            self._down.send_headers(
                stream, [(":status", "200"), *(pair for pair in headers if pair[0] not in _HIDDEN)]
            )
        elif isinstance(event, h2.events.TrailersReceived):
            call.trailers = [(str(n), str(v)) for n, v in event.headers or []]
        elif isinstance(event, h2.events.StreamEnded):
            self._end(stream, call)
        elif isinstance(event, h2.events.StreamReset):
            self._forget(stream, call)
            self._down.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)

    def _end(self, stream: int, call: Call) -> None:
        good = dict(call.trailers or []).get("grpc-status") == "0"
        build = call.begins or call.headers.get(BUILD, "")
        if not good and (reason := self._reason(build)):
            self._by_upstream.pop(call.upstream, None)
            self._fail(stream, DENIED_STATUS, reason)
            return
        if call.finish is not None:
            if good:
                try:
                    call.finish(_message(bytes(call.answer)))
                except Denied as denied:
                    self._refusal(call.path, denied)
                    self._by_upstream.pop(call.upstream, None)
                    self._fail(stream, DENIED_STATUS, denied.message)
                    return
            call.finish = None
            if call.answer:
                call.pending.append((bytes(call.answer), 0))
        call.trailers = call.trailers or [("grpc-status", "14")]
        self._push(stream)

    def _push(self, stream: int) -> None:
        """Send the client what its window lets through, and the end after that."""
        call = self._calls.get(stream)
        if call is None:
            return
        while call.pending:
            data, credit = call.pending[0]
            room = min(
                self._down.local_flow_control_window(stream), self._down.max_outbound_frame_size
            )
            if data and room <= 0:
                return
            if data:
                self._down.send_data(stream, data[:room])
            if len(data) > room:
                call.pending[0] = (data[room:], credit)
                continue
            call.pending.pop(0)
            if credit:
                self._up.acknowledge_received_data(credit, call.upstream)
        if call.trailers is not None and call.finish is None:
            trailers = [pair for pair in call.trailers if pair[0] not in _HIDDEN]
            if not call.started:
                trailers = [(":status", "200"), *trailers]
            self._down.send_headers(stream, trailers, end_stream=True)
            self._forget(stream, call)

    def _forget(self, stream: int, call: Call) -> None:
        self._calls.pop(stream, None)
        self._by_upstream.pop(call.upstream, None)


def _message(data: bytes) -> bytes:
    """Return the one message of a gRPC body."""
    if len(data) < PREFIX or data[0] or int.from_bytes(data[1:PREFIX], "big") != len(data) - PREFIX:
        raise Denied(400, "claudy guard: not one plain gRPC message.")
    return data[PREFIX:]


def _percent(text: str) -> str:
    """Return a text in the form of gRPC's `grpc-message`."""
    return "".join(
        chr(byte) if 0x20 <= byte <= 0x7E and byte != 0x25 else f"%{byte:02X}"  # noqa: PLR2004
        for byte in text.encode()
    )
