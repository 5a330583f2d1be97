"""The engine client against a server on a real Unix socket that answers what a test says."""

from __future__ import annotations

import errno
import os
import socket
import threading
from typing import TYPE_CHECKING, Self

import pytest

from claudy.engine import client
from claudy.engine.client import NEWEST, Engine
from claudy.engine.wire import translate
from claudy.errors import (
    APIError,
    EngineDenied,
    EngineError,
    EngineGone,
    EngineTimeout,
    NoEngine,
)
from claudy.host.endpoint import Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

PING = b"HTTP/1.1 200 OK\r\nApi-Version: 1.45\r\nContent-Length: 2\r\n\r\nOK"


def answer(body: bytes, status: str = "200 OK", kind: str = "application/json") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Server:
    """Answers each request on each connection with the next of its answers.

    Args:
        path: where it listens.
        connections: for every connection its answers; it is closed after the last one.
    """

    def __init__(self, path: Path, *connections: list[bytes]) -> None:
        self.requests: list[bytes] = []
        self.endpoint = Endpoint(
            url=f"unix://{path}", source="test", tls=None, context="", kind="unix", path=str(path)
        )
        self._connections = connections
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        for answers in self._connections:
            connection, _ = self._listener.accept()
            with connection:
                for one in answers:
                    request = self._read(connection)
                    if not request:
                        break
                    self.requests.append(request)
                    connection.sendall(one)

    @staticmethod
    def _read(connection: socket.socket) -> bytes:
        data = b""
        while b"\r\n\r\n" not in data:
            more = connection.recv(65536)
            if not more:
                return b""
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:")),
            0,
        )
        while len(body) < length:
            body += connection.recv(65536)
        return head + b"\r\n\r\n" + body


@pytest.fixture
def serve(tmp_path: Path) -> Callable[..., Server]:
    """Return a function that makes the server."""
    return lambda *connections: Server(tmp_path / "engine.sock", *connections)


def test_the_version_is_settled_once(serve: Callable[..., Server]) -> None:
    with serve([PING, answer(b'{"a":1}'), answer(b"[]")]) as server:
        engine = Engine(server.endpoint)
        assert engine.call("GET", "/x", {"all": True}) == {"a": 1}
        assert engine.call("POST", "/y", body={"b": "ü"}) == []
        assert engine.api == "1.45"
        engine.close()
    first, second, third = server.requests
    assert first.startswith(b"GET /_ping HTTP/1.1\r\n")
    assert second.startswith(b"GET /v1.45/x?all=1 HTTP/1.1\r\n")
    assert third.startswith(b"POST /v1.45/y HTTP/1.1\r\n")
    assert third.endswith('{"b":"ü"}'.encode())


def test_a_known_version_needs_no_ping(serve: Callable[..., Server]) -> None:
    with serve([answer(b"{}")]) as server:
        engine = Engine(server.endpoint, api="1.41")
        engine.call("GET", "/x")
        engine.close()
    assert server.requests[0].startswith(b"GET /v1.41/x ")


def test_a_newer_engine_is_spoken_to_as_this_client_can(serve: Callable[..., Server]) -> None:
    with serve([PING.replace(b"1.45", b"9.99")]) as server:
        engine = Engine(server.endpoint)
        assert engine.api == f"{NEWEST[0]}.{NEWEST[1]}"
        engine.close()


def test_an_older_engine_is_refused(serve: Callable[..., Server]) -> None:
    with serve([PING.replace(b"1.45", b"1.40")]) as server:
        engine = Engine(server.endpoint)
        with pytest.raises(EngineError, match=r"speaks 1\.40, claudy 1\.41"):
            engine.call("GET", "/x")
        engine.close()


def test_a_refusal_has_the_engine_s_words(serve: Callable[..., Server]) -> None:
    words = answer(b'{"message":"no such thing: \xc3\xbc"}', "404 Not Found")
    with serve(
        [words, answer(b"plain words\n", "500 Oh", "text/plain"), answer(b"", "502 Oh")]
    ) as s:
        engine = Engine(s.endpoint, api="1.41")
        for status, detail in (
            (404, "no such thing: ü"),
            (500, "plain words"),
            (502, "status 502"),
        ):
            with pytest.raises(APIError) as caught:
                engine.call("DELETE", "/x")
            assert (caught.value.status, caught.value.detail) == (status, detail)
            assert caught.value.request == "DELETE /x"
        engine.close()


def test_a_kept_connection_that_was_closed_is_replaced(serve: Callable[..., Server]) -> None:
    with serve([answer(b"1")], [answer(b"2")]) as server:
        engine = Engine(server.endpoint, api="1.41")
        assert engine.call("GET", "/a") == 1
        assert engine.call("GET", "/b") == 2
        engine.close()


def test_a_connection_that_closes_instead_of_answering_is_an_error(
    serve: Callable[..., Server],
) -> None:
    with serve([b""], [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"]) as server:
        engine = Engine(server.endpoint, api="1.41")
        for _ in range(2):
            with pytest.raises(EngineGone):
                engine.call("GET", "/a")


def test_an_upload_is_sent_in_chunks(serve: Callable[..., Server]) -> None:
    with serve([answer(b'{"one":1}\n{"two":2}\n')]) as server:
        engine = Engine(server.endpoint, api="1.41")
        response = engine.stream("POST", "/build", body=iter([b"abc", b"", b"de"]))
        assert list(engine.events(response)) == [{"one": 1}, {"two": 2}]
    assert b"Transfer-Encoding: chunked" in server.requests[0]


def test_what_passes_by_itself_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = Endpoint(url="tcp://h:1", source="t", tls=None, context="", kind="tcp", path="")
    pauses: list[float] = []
    tries: list[str] = []

    def refuse(number: int) -> Callable[[Endpoint, float], None]:
        def dial(to: Endpoint, timeout: float) -> None:
            tries.append(f"{to.url} {timeout}")
            error = OSError(number, os.strerror(number))
            raise translate(error, to) from error

        return dial

    monkeypatch.setattr(client, "dial", refuse(errno.EAGAIN))
    with pytest.raises(EngineError):
        Engine(endpoint, sleep=pauses.append).connect()
    assert pauses == [1, 2, 4]
    assert tries == ["tcp://h:1 5.0"] * 4

    for number, kind in (
        (errno.ENOENT, NoEngine),
        (errno.ECONNREFUSED, NoEngine),
        (errno.EACCES, EngineDenied),
        (errno.EHOSTUNREACH, EngineError),
        (errno.ENETUNREACH, EngineError),
        (errno.ETIMEDOUT, EngineTimeout),
    ):
        pauses.clear()
        monkeypatch.setattr(client, "dial", refuse(number))
        with pytest.raises(kind):
            Engine(endpoint, sleep=pauses.append).connect()
        assert not pauses
