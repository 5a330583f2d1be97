"""A TLS connection that carries a session: both directions at once, each ended alone."""

from __future__ import annotations

import fcntl
import os
import select
import shutil
import socket
import ssl
import subprocess
import sys
import termios
import threading
from typing import TYPE_CHECKING

import pytest

from claudy.engine.tls import TlsSocket

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HOST = "localhost"
MUCH = os.urandom(3 << 19)
SHUT_WR = 1


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with a certificate for this host and its key."""
    openssl = shutil.which("openssl")
    if not openssl:
        pytest.skip("needs openssl")
    where = tmp_path_factory.mktemp("keys")
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={HOST}"),
            *("-addext", f"subjectAltName=DNS:{HOST}", "-days", "2"),
            *("-keyout", str(where / "key.pem"), "-out", str(where / "cert.pem")),
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    return where


def trusting(keys: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(keys / "cert.pem"))


def serve(keys: Path, talk: Callable[[ssl.SSLSocket], None]) -> socket.socket:
    """Return a connection whose other end speaks TLS, in a thread."""
    ours, theirs = socket.socketpair()
    ours.settimeout(20)
    theirs.settimeout(20)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0
    context.load_cert_chain(keys / "cert.pem", keys / "key.pem")

    def run() -> None:
        try:
            with context.wrap_socket(theirs, server_side=True) as server:
                talk(server)
        except OSError:
            theirs.close()  # the handshake failed, as some tests want

    threading.Thread(target=run, daemon=True).start()
    return ours


def all_of(receive: Callable[[int], bytes]) -> bytes:
    found = b""
    while piece := receive(65536):
        found += piece
    return found


def test_what_is_sent_ends_and_what_comes_goes_on(keys: Path) -> None:
    def answer_after_the_end(server: ssl.SSLSocket) -> None:
        server.sendall(all_of(server.recv)[::-1])

    tls = TlsSocket(serve(keys, answer_after_the_end), trusting(keys), HOST)
    tls.sendall(MUCH)
    tls.shutdown(SHUT_WR)
    assert all_of(tls.recv) == MUCH[::-1]
    tls.close()


def test_both_directions_at_once(keys: Path) -> None:
    def echo(server: ssl.SSLSocket) -> None:
        while piece := server.recv(4096):
            server.sendall(piece)

    tls = TlsSocket(serve(keys, echo), trusting(keys), HOST)

    def send() -> None:
        tls.sendall(memoryview(MUCH))
        tls.shutdown(SHUT_WR)

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    assert all_of(tls.recv) == MUCH
    sender.join(20)
    assert not sender.is_alive()
    tls.close()


def test_what_came_before_the_end_of_ours_is_kept(keys: Path) -> None:
    def talk_first(server: ssl.SSLSocket) -> None:
        server.sendall(b"early ")
        all_of(server.recv)
        server.sendall(b"late")

    tls = TlsSocket(serve(keys, talk_first), trusting(keys), HOST)
    assert tls.recv(2) == b"ea"
    tls.shutdown(SHUT_WR)
    assert all_of(tls.recv) == b"rly late"
    tls.close()


def test_what_has_arrived_is_returned_at_once(keys: Path) -> None:
    """Who waits for the descriptor before each call misses nothing, wherever records are cut."""

    def talk_and_wait(server: ssl.SSLSocket) -> None:
        for size in (1, 16384, 70000, 5, 200_000):
            server.sendall(MUCH[:size])
        server.recv(1)  # the other side has it all

    tls = TlsSocket(serve(keys, talk_and_wait), trusting(keys), HOST)
    left = 1 + 16384 + 70000 + 5 + 200_000
    ready = select.poll()
    ready.register(tls.fileno(), select.POLLIN)
    while left:
        assert ready.poll(20_000), f"{left} bytes are held back"
        left -= len(tls.recv(65536))
    tls.close()


def test_the_end_is_seen_that_came_with_the_last_data(keys: Path) -> None:
    """As an engine ends a session: within TLS, and the connection stays."""
    overhead, alert = 22, 24  # of a record of TLS 1.3; a whole one with an alert

    def talk_and_end(server: ssl.SSLSocket) -> None:
        server.sendall(b"last")
        server.unwrap()  # waits for our own end

    tls = TlsSocket(serve(keys, talk_and_end), trusting(keys), HOST)
    waiting = bytearray(4)
    while int.from_bytes(waiting, sys.byteorder) < len(b"last") + overhead + alert:
        fcntl.ioctl(tls.fileno(), termios.FIONREAD, waiting)
    assert tls.recv(65536) == b"last"
    ready = select.poll()
    ready.register(tls.fileno(), select.POLLIN)
    assert ready.poll(20_000), "nobody hears of the end"
    assert tls.recv(65536) == b""
    tls.shutdown(SHUT_WR)
    tls.close()


def test_a_certificate_that_nobody_vouches_for(keys: Path) -> None:
    sock = serve(keys, lambda _server: None)
    with pytest.raises(ssl.SSLCertVerificationError):
        TlsSocket(sock, ssl.create_default_context(), HOST)
    sock.close()


def test_something_that_does_not_speak_tls() -> None:
    ours, theirs = socket.socketpair()
    theirs.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with pytest.raises(ssl.SSLError, match=r"(?i)wrong_version_number|record layer failure"):
        TlsSocket(ours, ssl.create_default_context(), HOST)
    for end in (ours, theirs):
        end.close()
