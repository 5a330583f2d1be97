"""The daemon's side: one connection per request, never reused."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import threading
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import quote, urlencode

from claudy.engine.removing import removes_safely
from claudy.engine.wire import Response
from claudy.guard.refusal import Denied
from claudy.guard.splice import in_the_background, widen
from claudy.guard.strictjson import dump

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Query = Sequence[tuple[str, str]]
    Piece = bytes | list[memoryview]

OLDEST, NEWEST = (1, 41), (1, 51)
CONNECT_SECONDS = 5.0
_PARTS = 1000  # sendmsg takes 1024
_HANG_UP = select.POLLHUP | select.POLLERR


class Kept(NamedTuple):
    """A body in a file, at its beginning."""

    file: IO[bytes]


class ClientGone(Exception):
    """The client closed its connection while the daemon was still answering."""


class Watched:
    """The daemon's socket, read only as long as the client is there.

    Args:
        sock: connection to the daemon.
        client: the sandbox's connection; None: nobody to watch.
    """

    def __init__(self, sock: socket.socket, client: socket.socket | None) -> None:
        self._sock = sock
        self._poll = None
        if client is not None:
            self._poll = select.poll()
            self._poll.register(sock, select.POLLIN)
            self._client = client.fileno()
            self._poll.register(client, 0)

    def recv(self, size: int, /) -> bytes:
        """Return what the daemon sends; raise ClientGone when the client hangs up first."""
        self.wait()
        return self._sock.recv(size)

    def recv_into(self, buffer: memoryview, /) -> int:
        """Take what the daemon sends; raise ClientGone when the client hangs up first."""
        self.wait()
        return self._sock.recv_into(buffer)

    def wait(self) -> None:
        """Wait until the daemon sends something; raise ClientGone when the client hangs up."""
        if self._poll is not None:
            ready = dict(self._poll.poll())
            if ready.get(self._client, 0) & _HANG_UP and len(ready) == 1:
                raise ClientGone

    def sendall(self, data: bytes | memoryview, /) -> None:
        """Send to the daemon."""
        self._sock.sendall(data)

    def settimeout(self, value: float | None, /) -> None:
        """Set the socket's time-out in seconds."""
        self._sock.settimeout(value)

    def shutdown(self, how: int, /) -> None:
        """Shut a direction down."""
        self._sock.shutdown(how)

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self._sock.fileno()

    def close(self) -> None:
        """Close the connection."""
        self._sock.close()


class Answer:
    """The daemon's answer and its connection."""

    def __init__(self, sock: socket.socket, response: Response, watched: Watched) -> None:
        self.sock = sock
        self.watched = watched
        self.response = response
        self.status = response.status
        self.headers = response.headers

    def read(self) -> bytes:
        """Return the whole body and close."""
        try:
            return self.response.read()
        finally:
            self.close()

    def close(self) -> None:
        """Close the connection."""
        self.sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Daemon:
    """Requests to the daemon at a Unix socket.

    Args:
        path: path of its socket.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._offered: tuple[int, int] | None = None
        self._removes_unwatched: bool | None = None
        self._lock = threading.Lock()

    def connect(self) -> socket.socket:
        """Return a new connection.

        Raises:
            Denied: 503, nobody answers.
        """
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(CONNECT_SECONDS)
            sock.connect(self._path)
            sock.settimeout(None)
        except OSError as error:
            sock.close()
            with self._lock:
                self._offered = self._removes_unwatched = None  # another version may come back
            text = "claudy guard: the Docker daemon does not answer. Start it again on the host."
            raise Denied(503, text) from error
        return sock

    @property
    def newest(self) -> tuple[int, int]:
        """Newest API version that both the daemon and this table know.

        Raises:
            Denied: 503, the daemon is older than API 1.41 or does not answer.
        """
        return min(self.offered, NEWEST)

    @property
    def offered(self) -> tuple[int, int]:
        """Newest API version that the daemon speaks, which tells of what it has mended.

        Raises:
            Denied: 503, the daemon is older than API 1.41 or does not answer.
        """
        with self._lock:
            known = self._offered
        if known is None:
            with self._open(b"GET", "/_ping", [], [], b"", None) as answer:
                major, _, minor = answer.headers.get("api-version", "").partition(".")
            offered = (int(major), int(minor)) if major.isdigit() and minor.isdigit() else (0, 0)
            if offered < OLDEST:
                raise Denied(503, "claudy guard: this Docker daemon is not known to the guard.")
            known = offered
            with self._lock:
                self._offered = known
        return known

    @property
    def removes_unwatched(self) -> bool:
        """Whether nobody is held still while it removes directories: it follows no links there.

        Or it can't pause anybody, as a rootless one without cgroups, and has its user's rights.

        Raises:
            Denied: 503, the daemon does not answer.
        """
        with self._lock:
            known = self._removes_unwatched
        if known is None:
            _, found = self.json("GET", "/version")
            known = removes_safely(found or {})
            if not known:
                _, about = self.json("GET", "/info")
                known = (about or {}).get("CgroupDriver") == "none"
            with self._lock:
                self._removes_unwatched = known
        return known

    def open(
        self,
        method: str,
        path: str,
        query: Query = (),
        *,
        version: tuple[int, int] | None = None,
        body: bytes | Kept | Iterable[Piece] | None = None,
        headers: Mapping[str, str] | None = None,
        repeated: Query = (),
        client: socket.socket | None = None,
    ) -> Answer:
        """Send a request and return the answer with its body unread.

        Args:
            method: HTTP method.
            path: path below the version, in its decoded form.
            query: pairs; values decoded.
            version: API version; None: the newest.
            body: bytes, a file, or pieces that are sent chunked.
            headers: further fields, already checked.
            repeated: fields that are there more than once, already checked.
            client: whose hang-up ends the request.

        Raises:
            Denied: 503, the daemon can't be reached or breaks off.
            ClientGone: the client hung up first.
        """
        numbers = version or self.newest
        where = f"/v{numbers[0]}.{numbers[1]}{path}"
        fields = [*(headers or {}).items(), *repeated]
        return self._open(method.encode(), where, query, fields, body, client)

    def _open(
        self,
        method: bytes,
        where: str,
        query: Query,
        headers: Query,
        body: bytes | Kept | Iterable[Piece] | None,
        client: socket.socket | None,
    ) -> Answer:
        target = quote(where, safe="/:@+=~,") + (f"?{urlencode(list(query))}" if query else "")
        upgraded = any(name == "Connection" for name, _ in headers)
        fields = [
            ("User-Agent", "claudy-guard"),
            *([] if upgraded else [("Connection", "close")]),
            *headers,
        ]
        sock = self.connect()
        try:
            if body is None or isinstance(body, bytes):
                fields.append(("Content-Length", str(len(body or b""))))
                sock.sendall(_head(method, target, fields) + (body or b""))
            elif isinstance(body, Kept):
                size = os.fstat(body.file.fileno()).st_size
                fields.append(("Content-Length", str(size)))
                sock.sendall(_head(method, target, fields))
                _send_file(sock, body.file)
            else:
                fields.append(("Transfer-Encoding", "chunked"))
                sock.sendall(_head(method, target, fields))
                _send_chunks(sock, body)
            watched = Watched(sock, client)
            return Answer(sock, Response(watched, no_body=method == b"HEAD"), watched)
        except OSError as error:
            sock.close()
            raise _broken_off() from error
        except BaseException:
            sock.close()
            raise

    def json(
        self,
        method: str,
        path: str,
        query: Query = (),
        body: Any = None,
        *,
        version: tuple[int, int] | None = None,
    ) -> tuple[int, Any]:
        """Make a small request.

        Returns:
            Status and JSON value; None when the answer is not JSON.
        """
        data = None if body is None else dump(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        answer = self.open(method, path, query, version=version, body=data, headers=headers)
        try:
            raw = answer.read()
        except OSError as error:
            raise _broken_off() from error
        try:
            return answer.status, json.loads(raw)
        except ValueError:
            return answer.status, None


def _broken_off() -> Denied:
    return Denied(503, "claudy guard: the Docker daemon closed the connection.")


def _head(method: bytes, target: str, fields: Query) -> bytes:
    lines = [f"{method.decode()} {target} HTTP/1.1", "Host: docker"]
    lines += [f"{name}: {value}" for name, value in fields]
    if any(char in line for line in lines for char in "\r\n\0"):
        raise Denied(400, "claudy guard: a header field has a line end.")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _send_file(sock: socket.socket, file: IO[bytes]) -> None:
    """Send a file without a copy of it here; stop when the daemon has refused it already."""
    widen(sock)
    with in_the_background(), contextlib.suppress(BrokenPipeError, ConnectionResetError):
        sock.sendfile(file)


def _send_chunks(sock: socket.socket, pieces: Iterable[Piece]) -> None:
    """Send a chunked body; stop when the daemon has refused it already."""
    widen(sock)
    for piece in pieces:
        if piece:
            parts = piece if isinstance(piece, list) else [piece]
            size = sum(map(len, parts))
            try:
                _send_together(sock, [b"%x\r\n" % size, *parts, b"\r\n"])
            except (BrokenPipeError, ConnectionResetError):
                return
    try:
        sock.sendall(b"0\r\n\r\n")
    except (BrokenPipeError, ConnectionResetError):
        return


def _send_together(sock: socket.socket, parts: list[bytes | memoryview]) -> None:
    """Send all parts, at once as a rule."""
    if len(parts) > _PARTS:
        sock.sendall(b"".join(parts))
        return
    left = sum(map(len, parts)) - sock.sendmsg(parts)
    if left:
        sock.sendall(b"".join(parts)[-left:])
