"""HTTP on real sockets, however the bytes are cut; failures told apart."""

from __future__ import annotations

import errno
import os
import socket
import threading
import urllib.parse
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claudy.engine.wire import Response, dial, quote, request_head, target, translate
from claudy.errors import (
    EngineDenied,
    EngineError,
    EngineGone,
    EngineTimeout,
    EngineTLS,
    NoEngine,
)
from claudy.host.endpoint import TLS, Endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_CUTS = st.lists(st.integers(1, 400), max_size=12)


def at(path: Path | str) -> Endpoint:
    return Endpoint(
        url=f"unix://{path}", source="test", tls=None, context="", kind="unix", path=str(path)
    )


@contextmanager
def send(data: bytes, cuts: list[int], *, close: bool = True) -> Iterator[socket.socket]:
    """Give a socket from which data arrives, cut at these lengths."""
    ours, theirs = socket.socketpair()

    def write() -> None:
        rest = data
        for length in cuts:
            theirs.sendall(rest[:length])
            rest = rest[length:]
        theirs.sendall(rest)
        if close:
            theirs.close()

    thread = threading.Thread(target=write)
    thread.start()
    with ours, theirs:
        yield ours
        thread.join()


def chunked(body: bytes, sizes: list[int]) -> bytes:
    pieces, rest = b"", body
    for size in sizes:
        if rest[:size]:
            pieces += b"%X;ext=1\r\n%b\r\n" % (len(rest[:size]), rest[:size])
            rest = rest[size:]
    if rest:
        pieces += b"%x\r\n%b\r\n" % (len(rest), rest)
    return pieces + b"0\r\nTrailer: x\r\n\r\n"


@settings(deadline=None)
@given(st.binary(max_size=1000), _CUTS)
def test_a_body_with_a_length(body: bytes, cuts: list[int]) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX-One:  two \r\n\r\n" % len(body)
    with send(head + body, cuts) as sock:
        response = Response(sock)
        assert response.status == 200
        assert response.headers["x-one"] == "two"
        assert response.read() == body
        assert response.reusable


@settings(deadline=None)
@given(st.binary(max_size=1000), st.lists(st.integers(1, 300), max_size=6), _CUTS)
def test_a_chunked_body(body: bytes, sizes: list[int], cuts: list[int]) -> None:
    head = b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n"
    with send(head + chunked(body, sizes), cuts) as sock:
        response = Response(sock)
        assert response.status == 201
        assert response.read() == body
        assert response.read() == b""
        assert response.reusable


@settings(deadline=None)
@given(st.binary(max_size=1000), _CUTS)
def test_a_body_until_the_end_of_the_connection(body: bytes, cuts: list[int]) -> None:
    with send(b"HTTP/1.1 200 OK\r\n\r\n" + body, cuts) as sock:
        response = Response(sock)
        assert response.read() == body
        assert not response.reusable


@settings(deadline=None)
@given(st.lists(st.binary(max_size=50).map(lambda b: b.replace(b"\n", b"")), max_size=8), _CUTS)
def test_lines_come_whole(lines: list[bytes], cuts: list[int]) -> None:
    body = b"\n".join(lines)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with send(head + chunked(body, [7, 1, 30]), cuts) as sock:
        assert list(Response(sock).lines()) == [line for line in lines if line.strip()]


@pytest.mark.parametrize("head", [b"HTTP/1.1 204 No Content", b"HTTP/1.1 304 Not Modified"])
def test_answers_without_a_body_leave_the_connection_usable(head: bytes) -> None:
    with send(head + b"\r\n\r\n", [], close=False) as sock:
        response = Response(sock)
        assert response.read() == b""
        assert response.reusable


def test_the_answer_to_head_has_no_body() -> None:
    with send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", [], close=False) as sock:
        response = Response(sock, no_body=True)
        assert response.read() == b""
        assert response.reusable


def test_connection_close_is_heeded() -> None:
    head = b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 1\r\n\r\nx"
    with send(head, []) as sock:
        response = Response(sock)
        assert response.read() == b"x"
        assert not response.reusable


def test_an_interim_answer_is_skipped() -> None:
    data = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"
    with send(data, []) as sock:
        response = Response(sock)
        assert (response.status, response.read()) == (200, b"x")


def test_what_follows_an_upgrade_is_kept() -> None:
    with send(b"HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\n\r\nfirst", []) as sock:
        response = Response(sock)
        assert response.status == 101
        assert response.take() == (sock, b"first")


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"HTTP/1.1 200",
        b"",
    ],
)
def test_a_connection_that_ends_early_is_an_error(data: bytes) -> None:
    with send(data, []) as sock, pytest.raises(ConnectionResetError):
        Response(sock).read()


@pytest.mark.parametrize(
    "data", [b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/2 200\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n"]
)
def test_what_is_not_http_is_an_error(data: bytes) -> None:
    with send(data, []) as sock, pytest.raises(OSError, match="not an HTTP answer") as caught:
        Response(sock)
    assert isinstance(translate(caught.value, at("/x")), EngineError)


def test_a_chunk_size_that_is_none_is_an_error() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with send(head + b"zz\r\n", []) as sock, pytest.raises(OSError, match="chunk"):
        Response(sock).read()


def test_an_endless_head_is_an_error() -> None:
    ours, theirs = socket.socketpair()

    def flood() -> None:
        try:
            while True:
                theirs.sendall(b"x" * 65536)
        except OSError:
            theirs.close()

    thread = threading.Thread(target=flood)
    thread.start()
    with ours, pytest.raises(OSError, match="too long"):
        Response(ours)
    thread.join()


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_quoting_is_that_of_urllib(text: str) -> None:
    assert quote(text) == urllib.parse.quote(text, safe="-._~")


def test_a_query_is_spelled() -> None:
    query: dict[str, str | int | bool] = {
        "all": True,
        "t": 10,
        "filters": '{"label":["a=b"]}',
        "v": False,
    }
    assert target("/x", query) == (
        "/x?all=1&t=10&filters=%7B%22label%22%3A%5B%22a%3Db%22%5D%7D&v=0"
    )
    assert target("/x", {}) == target("/x", None) == "/x"


def test_a_request_is_spelled() -> None:
    head = request_head("POST", "/v1.41/x", {"Content-Length": "0"})
    assert head == b"POST /v1.41/x HTTP/1.1\r\nHost: docker\r\nContent-Length: 0\r\n\r\n"


# -- what is wrong with an endpoint, on a real file system ---------------------------------------


def test_no_socket(tmp_path: Path) -> None:
    with pytest.raises(NoEngine, match="the socket does not exist"):
        dial(at(tmp_path / "none"), 1)


def test_nobody_listens(tmp_path: Path) -> None:
    path = tmp_path / "stale"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    with pytest.raises(NoEngine, match="nobody listens"):
        dial(at(path), 1)


def test_a_file_and_a_directory_are_no_sockets(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NoEngine, match="it is a file"):
        dial(at(tmp_path / "file"), 1)
    with pytest.raises(NoEngine, match="it is a directory"):
        dial(at(tmp_path), 1)
    with pytest.raises(NoEngine):
        dial(at(tmp_path / "file" / "below"), 1)


def test_a_path_that_no_socket_can_have(tmp_path: Path) -> None:
    with pytest.raises(EngineError):
        dial(at(tmp_path / ("x" * 200)), 1)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(errno.EACCES, os.strerror(errno.EACCES)), EngineDenied),
        (OSError(errno.EPERM, os.strerror(errno.EPERM)), EngineDenied),
        (TimeoutError("timed out"), EngineTimeout),
        (ConnectionResetError(errno.ECONNRESET, "reset"), EngineGone),
        (BrokenPipeError(errno.EPIPE, "pipe"), EngineGone),
        (OSError(errno.ENETUNREACH, "unreachable"), EngineError),
    ],
)
def test_failures_are_told_apart(error: OSError, kind: type[EngineError]) -> None:
    found = translate(error, at("/nonexistent"))
    assert type(found) is kind
    assert "unix:///nonexistent" in found.message
    assert found.hint


def test_tls_failures_are_told_apart() -> None:
    import ssl

    place = Endpoint(
        url="tcp://host:2376",
        source="test",
        tls=TLS("/ca.pem", "", "", verify=True),
        context="",
        kind="tcp",
        path="",
        address=("host", 2376),
    )
    found = translate(ssl.SSLCertVerificationError("self-signed certificate"), place)
    assert type(found) is EngineTLS
    assert "tcp://host:2376" in found.message
