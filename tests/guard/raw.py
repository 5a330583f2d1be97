"""Requests as an attacker writes them: bytes on a Unix socket."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 30


class Answer(NamedTuple):
    """What came back.

    Attributes:
        status: HTTP status; 0 when the connection was closed without an answer.
        body: everything after the head, as it came.
        head: the head.
    """

    status: int
    body: bytes
    head: bytes

    @property
    def message(self) -> str:
        """The error message of a refusal."""
        try:
            return str(json.loads(self.content)["message"])
        except (ValueError, KeyError, TypeError):
            return ""

    @property
    def content(self) -> bytes:
        """The body without chunk framing."""
        if b"transfer-encoding: chunked" not in self.head.lower():
            return self.body
        rest, pieces = self.body, []
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            length = int(size, 16)
            pieces.append(rest[:length])
            rest = rest[length + 2 :]
            if not length:
                break
        return b"".join(pieces)

    @property
    def json(self) -> Any:
        """The JSON value of the body."""
        return json.loads(self.content)


def exchange(path: Path, data: bytes, *, half_close: bool = False) -> Answer:
    """Send bytes and read until the other side closes."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(SECONDS)
        sock.connect(str(path))
        try:
            sock.sendall(data)
            if half_close:
                sock.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass
        received = b""
        try:
            while block := sock.recv(65536):
                received += block
        except ConnectionResetError:
            pass
    head, _, body = received.partition(b"\r\n\r\n")
    status = int(head[9:12]) if head.startswith(b"HTTP/1.") else 0
    return Answer(status, body, head)


def request(
    path: Path, method: str, target: str, body: Any = None, headers: dict[str, str] | None = None
) -> Answer:
    """Send one well-formed request; a body that is not bytes is sent as JSON."""
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {"Host": "docker", "Connection": "close", **(headers or {})}
    if body is not None:
        fields.setdefault("Content-Type", "application/json")
    fields["Content-Length"] = str(len(data))
    head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in fields.items())
    return exchange(path, head.encode() + b"\r\n" + data)
