"""Sockets to an endpoint and HTTP/1.1 on them: just what the Engine API needs.

Uses the C module `_socket` for Unix sockets: `socket` imports `selectors` and `enum`. TCP with TLS
and ssh import what they need when they are asked for.
"""

from __future__ import annotations

import _socket
import errno

from claudy.errors import EngineDenied, EngineError, EngineGone, EngineTimeout, EngineTLS, NoEngine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Protocol

    from claudy.host.endpoint import Endpoint

    class Socket(Protocol):
        """What claudy uses of a socket; a TLS socket and a socket pair to ssh have it too."""

        def recv(self, bufsize: int, /) -> bytes: ...
        def recv_into(self, buffer: memoryview, /) -> int: ...
        def sendall(self, data: bytes | memoryview, /) -> None: ...
        def settimeout(self, value: float | None, /) -> None: ...
        def shutdown(self, how: int, /) -> None: ...
        def fileno(self) -> int: ...
        def close(self) -> None: ...


CHUNK = 65536
MAX_HEAD = 256 * 1024

# Nobody listens: asking again in a second changes nothing.
_NOBODY = {errno.ENOENT, errno.ECONNREFUSED, errno.ENOTSOCK, errno.ENOTDIR, errno.EISDIR}
_DENIED = {errno.EACCES, errno.EPERM}


def dial(endpoint: Endpoint, timeout: float) -> Socket:
    """Connect to an endpoint.

    Args:
        endpoint: where; unix, tcp (TLS when it has key material) or ssh.
        timeout: seconds for the connection to stand.

    Raises:
        NoEngine: nothing listens there.
        EngineDenied: this user may not connect.
        EngineTimeout: no answer in time.
        EngineTLS: the TLS handshake failed.
        EngineError: anything else, with errno's text.
    """
    try:
        if endpoint.kind == "unix":
            sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
            try:
                sock.settimeout(timeout)
                sock.connect(endpoint.path)
            except BaseException:
                sock.close()
                raise
            return sock
        from claudy.engine.remote import dial_ssh, dial_tcp

        return dial_tcp(endpoint, timeout) if endpoint.kind == "tcp" else dial_ssh(endpoint)
    except OSError as error:
        raise translate(error, endpoint) from error


def translate(error: OSError, endpoint: Endpoint) -> EngineError:
    """Return the engine error that an OSError on this endpoint means, with doctor's words."""
    import os

    from claudy.host.diagnose import diagnose
    from claudy.host.finding import as_error, this_host

    kind: type[EngineError] = EngineError
    if isinstance(error, TimeoutError):
        kind = EngineTimeout
    elif type(error).__module__ == "ssl":
        kind = EngineTLS
    elif error.errno in _DENIED:
        kind = EngineDenied
    elif error.errno in _NOBODY:
        kind = NoEngine
    elif isinstance(error, ConnectionError):
        kind = EngineGone
    return as_error(diagnose(error, endpoint, this_host(os.environ)), kind)


def quote(text: str) -> str:
    """Percent-encode a path segment or query value (RFC 3986 unreserved characters stay)."""
    return "".join(
        chr(byte)
        if chr(byte).isascii() and (chr(byte).isalnum() or byte in b"-._~")
        else f"%{byte:02X}"
        for byte in text.encode("utf-8", "surrogateescape")
    )


def target(path: str, query: Mapping[str, str | int | bool] | None) -> str:
    """Return the origin-form request target; booleans become 1 and 0."""
    if not query:
        return path
    pairs = (
        f"{quote(key)}={quote(str(int(value)) if isinstance(value, bool) else str(value))}"
        for key, value in query.items()
    )
    return f"{path}?{'&'.join(pairs)}"


def request_head(method: str, where: str, headers: Mapping[str, str]) -> bytes:
    """Return the bytes of a request line and its headers."""
    lines = [
        f"{method} {where} HTTP/1.1",
        "Host: docker",
        *(f"{k}: {v}" for k, v in headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class Response:
    """One HTTP response, read from a socket as it comes.

    Attributes:
        status: HTTP status code.
        headers: header fields, names in lower case.
        reusable: after the whole body was read: the connection can carry another request.
    """

    def __init__(self, sock: Socket, *, no_body: bool = False) -> None:
        self._sock = sock
        self._buffer = b""
        self.reusable = False
        head = self._read_until(b"\r\n\r\n", MAX_HEAD)
        while head.startswith(b"HTTP/1.1 100"):
            head = self._read_until(b"\r\n\r\n", MAX_HEAD)
        first, *lines = head.decode("latin-1").split("\r\n")
        version, _, rest = first.partition(" ")
        if not version.startswith("HTTP/1.") or not rest[:3].isdigit():
            raise OSError(errno.EPROTO, f"not an HTTP answer: {first[:80]!r}")
        self.status = int(rest[:3])
        self.headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(":")
            self.headers[name.strip().lower()] = value.strip()
        self._chunked = "chunked" in self.headers.get("transfer-encoding", "").lower()
        length = self.headers.get("content-length", "")
        self._left = int(length) if length.isdigit() and not self._chunked else -1
        if no_body or self.status in (204, 304):
            self._left, self._chunked = 0, False
        self._keep = self.headers.get("connection", "").lower() != "close"
        self._done = False

    def _fill(self) -> None:
        data = self._sock.recv(CHUNK)
        if not data:
            raise ConnectionResetError(errno.ECONNRESET, "closed in the middle of an answer")
        self._buffer += data

    def _read_until(self, mark: bytes, limit: int) -> bytes:
        while (end := self._buffer.find(mark)) < 0:
            if len(self._buffer) > limit:
                raise OSError(errno.EPROTO, "answer head too long")
            self._fill()
        found = self._buffer[:end]
        self._buffer = self._buffer[end + len(mark) :]
        return found

    def blocks(self) -> Iterator[bytes]:
        """Yield the body in pieces as they arrive."""
        if self._done:
            return
        if self._chunked:
            yield from self._chunks()
        elif self._left >= 0:
            while self._left:
                if not self._buffer:
                    self._fill()
                piece, self._buffer = self._buffer[: self._left], self._buffer[self._left :]
                self._left -= len(piece)
                yield piece
        else:
            self._keep = False
            while piece := self._buffer or self._sock.recv(CHUNK):
                self._buffer = b""
                yield piece
        self._done = True
        self.reusable = self._keep and not self._buffer

    def _chunks(self) -> Iterator[bytes]:
        while True:
            line = self._read_until(b"\r\n", 1024)
            try:
                size = int(line.split(b";")[0], 16)
            except ValueError:
                raise OSError(errno.EPROTO, f"not a chunk size: {line[:80]!r}") from None
            if not size:
                while self._read_until(b"\r\n", MAX_HEAD):
                    pass
                return
            while size:
                if not self._buffer:
                    self._fill()
                piece, self._buffer = self._buffer[:size], self._buffer[size:]
                size -= len(piece)
                yield piece
            self._read_until(b"\r\n", 2)

    def read(self) -> bytes:
        """Return the whole (rest of the) body."""
        return b"".join(self.blocks())

    def lines(self) -> Iterator[bytes]:
        """Yield the body line by line, without line ends."""
        rest = b""
        for block in self.blocks():
            *whole, rest = (rest + block).split(b"\n")
            yield from (line for line in whole if line.strip())
        if rest.strip():
            yield rest

    def take(self) -> tuple[Socket, bytes]:
        """Return the socket and what was already read of the raw stream after a hijack."""
        self._done = True
        return self._sock, self._buffer

    def close(self) -> None:
        """Close the connection."""
        self._sock.close()
