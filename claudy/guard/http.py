"""The client's side of HTTP/1.1: one request on one connection.

h11 parses; what it lets through and a Go server reads differently is refused first: bare line
feeds, obsolete folding, both or several length fields, transfer codings other than `chunked`,
other versions. The connection carries one request, so nothing can be smuggled behind it.
"""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import time
from typing import TYPE_CHECKING, NamedTuple

import h11

from claudy.guard.body import Body
from claudy.guard.refusal import Denied, invalid
from claudy.guard.strictjson import MAX_SIZE, dump

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_HEAD = 64 * 1024
HEAD_SECONDS = 20.0
BODY_SECONDS = 60.0  # silence allowed while a body is sent
BLOCK = 65536
_REQUEST_LINE = re.compile(rb"(GET|HEAD|POST|PUT|DELETE|OPTIONS|PATCH) (\S+) HTTP/1\.1")
_LENGTH = re.compile(rb"[0-9]{1,15}")
_ONCE = {b"content-length", b"transfer-encoding", b"host", b"upgrade", b"expect", b"content-type"}
_REASONS = {101: b"UPGRADED", 200: b"OK", 201: b"Created", 204: b"No Content"}


class Head(NamedTuple):
    """What a request says before its body."""

    method: str
    target: bytes
    headers: Mapping[str, str]
    upgrade: str
    has_body: bool
    fields: tuple[tuple[str, str], ...] = ()

    def all_values(self, name: str) -> list[str]:
        """Return the values of a field that may be repeated."""
        return [value for key, value in self.fields if key == name]


class Client:
    """One connection from the sandbox, carrying one request.

    Args:
        sock: the accepted connection.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self._answered = False
        self._length: int | None = 0

    # -- the request -------------------------------------------------------------------------

    def read_head(self) -> Head | None:
        """Read the request's head; None when the client closes without one.

        Raises:
            Denied: it is malformed, ambiguous or takes too long.
        """
        raw, rest = self._receive_head()
        if not raw:
            return None
        _check(raw)
        self._h11.receive_data(raw + rest)
        try:
            event = self._h11.next_event()
        except h11.RemoteProtocolError as error:
            raise invalid(f"malformed request: {error}") from error
        if not isinstance(event, h11.Request):
            raise invalid("malformed request")
        fields = tuple((n.decode("ascii"), v.decode("latin-1")) for n, v in event.headers)
        headers = dict(fields)
        has_body = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
        chunked = "transfer-encoding" in headers
        self._length = None if chunked else int(headers.get("content-length", "0"))
        options = {part.strip().lower() for part in headers.get("connection", "").split(",")}
        upgrade = headers.get("upgrade", "").strip().lower() if "upgrade" in options else ""
        return Head(event.method.decode(), event.target, headers, upgrade, has_body, fields)

    def _receive_head(self) -> tuple[bytes, bytes]:
        deadline = time.monotonic() + HEAD_SECONDS
        buffer = b""
        while (end := buffer.find(b"\r\n\r\n")) < 0:
            if len(buffer) > MAX_HEAD:
                raise Denied(431, "claudy guard: the request head is too long.")
            left = deadline - time.monotonic()
            if left <= 0:
                raise Denied(408, "claudy guard: the request head took too long.")
            self.sock.settimeout(left)
            try:
                data = self.sock.recv(BLOCK)
            except TimeoutError:
                continue
            if not data:
                return b"", b""
            buffer += data
            if buffer.startswith(b"PRI "):
                raise invalid("HTTP/2 is not spoken here")
        self.sock.settimeout(None)
        return buffer[: end + 4], buffer[end + 4 :]

    def upload(self) -> Iterator[list[memoryview]]:
        """Yield a large body as it arrives; what is yielded is gone when more is asked for.

        Raises:
            Denied: the framing is broken or the client is silent for too long.
        """
        self._continue()
        self.sock.settimeout(None)
        allow_silence(self.sock, BODY_SECONDS)
        yield from Body(self.sock, self.early_bytes(), self._length).pieces()
        allow_silence(self.sock, 0)

    def _continue(self) -> None:
        if self._h11.they_are_waiting_for_100_continue:
            self._raw(self._h11.send(h11.InformationalResponse(status_code=100, headers=[])))

    def body(self) -> Iterator[bytes | bytearray]:
        """Yield the request's body in pieces as they arrive.

        Raises:
            Denied: the framing is broken or the client is silent for too long.
        """
        self._continue()
        self.sock.settimeout(BODY_SECONDS)
        held = bytearray()  # a client's small chunks go on together
        while True:
            try:
                event = self._h11.next_event()
                if event is h11.NEED_DATA:
                    if held:
                        yield held
                        held = bytearray()
                    self._h11.receive_data(self.sock.recv(4 * BLOCK))
                    continue
            except h11.RemoteProtocolError as error:
                raise invalid(f"malformed body: {error}") from error
            except TimeoutError as error:
                raise Denied(408, "claudy guard: the request body took too long.") from error
            if not isinstance(event, h11.Data):
                break
            held += event.data
            if len(held) >= BLOCK:
                yield held
                held = bytearray()
        if held:
            yield held
        self.sock.settimeout(None)

    def read_body(self, limit: int = MAX_SIZE) -> bytes:
        """Return the whole body.

        Raises:
            Denied: it is longer than limit bytes.
        """
        pieces, size = [], 0
        for piece in self.body():
            size += len(piece)
            if size > limit:
                raise Denied(413, f"claudy guard: the body is larger than {limit} bytes.")
            pieces.append(piece)
        return b"".join(pieces)

    def early_bytes(self) -> bytes:
        """Return what the client sent after its request, for the stream that follows."""
        return self._h11.trailing_data[0]

    # -- the answer --------------------------------------------------------------------------

    @property
    def answered(self) -> bool:
        """Whether the head of the answer is out."""
        return self._answered

    def send_head(self, status: int, headers: Mapping[str, str]) -> None:
        """Send the head of the answer; the body follows, or a raw stream after 101."""
        self._answered = True
        self._raw(_head(status, headers))

    def send(self, data: bytes | memoryview) -> None:
        """Send bytes of a body or stream."""
        self._raw(data)

    def send_chunk(self, data: bytes) -> None:
        """Send one chunk of a chunked body."""
        if data:
            self._raw(b"%x\r\n%b\r\n" % (len(data), data))

    def end_chunks(self) -> None:
        """Send the end of a chunked body."""
        self._raw(b"0\r\n\r\n")

    def answer(
        self,
        status: int,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        *,
        head: bool = False,
    ) -> None:
        """Send a whole answer; without its body for a HEAD request."""
        fields = {"Content-Type": "application/json", **(headers or {}), "Connection": "close"}
        if status not in {204, 304}:
            fields["Content-Length"] = str(len(body))
        else:
            fields.pop("Content-Type", None)
        self._answered = True
        self._raw(_head(status, fields) + (b"" if head or status in {204, 304} else body))

    def answer_json(
        self, status: int, value: object, headers: Mapping[str, str] | None = None
    ) -> None:
        """Send a JSON answer, with the newline that the daemon sends."""
        self.answer(status, dump(value) + b"\n", headers)

    def _raw(self, data: bytes | memoryview | None) -> None:
        if data:
            if self.sock.gettimeout() is not None:
                self.sock.settimeout(None)
            self.sock.sendall(data)

    def close(self) -> None:
        """Close the connection so that the client still reads what was sent."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)
            # Unread bytes would turn the close into a reset and lose the answer.
            self.sock.settimeout(0.5)
            for _ in range(64):
                if not self.sock.recv(BLOCK):
                    break
        self.sock.close()


def allow_silence(sock: socket.socket, seconds: float) -> None:
    """Set the kernel's own time-out (0: none): Python's costs a `poll` for each read."""
    whole = int(seconds)
    limit = struct.pack("@ll", whole, int((seconds - whole) * 1e6))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    """Return the head of an answer."""
    lines = [b"HTTP/1.1 %d %b" % (status, _REASONS.get(status, b""))]
    lines += [f"{name}: {value}".encode("latin-1") for name, value in headers.items()]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _check(raw: bytes) -> None:
    """Refuse what two parsers could read differently."""
    lines = raw[:-4].split(b"\r\n")
    if any(b"\n" in line or b"\r" in line or b"\0" in line for line in lines):
        raise invalid("bare line ends or NUL in the request head")
    if any(line[:1] in b" \t" for line in lines):
        raise invalid("folded or empty header line")
    if not _REQUEST_LINE.fullmatch(lines[0]):
        raise invalid("malformed request line")
    seen: dict[bytes, bytes] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        key = name.lower()
        if not colon or key != key.strip():
            raise invalid("malformed header line")
        if key in _ONCE and key in seen:
            raise invalid(f"two {key.decode('latin-1')} fields")
        seen[key] = value.strip(b" \t")
    if b"content-length" in seen and b"transfer-encoding" in seen:
        raise invalid("both content-length and transfer-encoding")
    if not _LENGTH.fullmatch(seen.get(b"content-length", b"0")):
        raise invalid("malformed content-length")
    if seen.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
        raise invalid("a transfer coding other than chunked")
