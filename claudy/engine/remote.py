"""Connections to engines that are not behind a Unix socket: tcp, TLS, ssh."""

from __future__ import annotations

import shlex
import socket
import ssl
import subprocess
import time

from claudy.engine.tls import TlsSocket
from claudy.errors import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO

    from claudy.engine.wire import Socket
    from claudy.host.endpoint import Endpoint

# Less than the client's patience with an answer: ssh then says itself what it waits for.
_SSH_CONNECT = 4  # seconds
_SSH_FAREWELL = 2.0  # seconds that ssh has to end after it has closed its output


class NoAnswer(TimeoutError):
    """Nobody has answered the attempt to connect: not a host, and no engine that hangs."""

    connecting = True


class SshError(ConnectionError):
    """ssh, or the docker command on the other machine, has ended before an engine answered.

    Args:
        words: what it said.
        code: its exit code; 255 is ssh's own.
    """

    def __init__(self, words: str, code: int) -> None:
        super().__init__(words)
        self.words = words
        self.code = code


def dial_tcp(endpoint: Endpoint, timeout: float) -> Socket:
    """Connect over TCP, with TLS where the endpoint has key material.

    Args:
        endpoint: a tcp endpoint.
        timeout: seconds, for connection and handshake each.
    """
    host, port = endpoint.address
    sock = _connect(host, port, timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    tls = endpoint.tls
    if tls is None:
        return sock
    try:
        context = ssl.create_default_context(cafile=tls.ca or None)
        if not tls.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if tls.cert:
            context.load_cert_chain(tls.cert, tls.key or None)
        sock.settimeout(timeout)
        return TlsSocket(sock, context, host)
    except BaseException:
        sock.close()
        raise


def _connect(host: str, port: int, timeout: float) -> socket.socket:
    """Connect to the first address of a host that answers, all within one time."""
    deadline = time.monotonic() + timeout
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for number, (family, kind, protocol, _, address) in enumerate(addresses, 1):
        sock = socket.socket(family, kind, protocol)
        try:
            left = deadline - time.monotonic()
            sock.settimeout(max(left / (len(addresses) - number + 1), 0.1))
            sock.connect(address)
        except BaseException as error:
            sock.close()
            if isinstance(error, TimeoutError) and number == len(addresses):
                raise NoAnswer from error
            if number == len(addresses) or not isinstance(error, OSError):
                raise
        else:
            return sock
    raise AssertionError


def dial_ssh(endpoint: Endpoint) -> Socket:
    """Connect through `ssh … docker system dial-stdio`, as the docker CLI does.

    The child ends when the socket is closed. It asks nothing: a prompt inside a launcher would
    hang it.
    """
    ours, theirs = socket.socketpair()
    host, port = endpoint.address
    command = ["ssh", "-T", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={_SSH_CONNECT}"]
    command += ["-p", str(port)] if port else []
    docker = ["docker", *(["--host", f"unix://{endpoint.path}"] if endpoint.path else [])]
    try:
        process = subprocess.Popen(
            [*command, "--", host, shlex.join([*docker, "system", "dial-stdio"])],
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        ours.close()
        from claudy.host.diagnose_remote import ssh_client_missing
        from claudy.host.finding import as_error

        raise as_error(ssh_client_missing(endpoint), EngineError) from error
    finally:
        theirs.close()
    return SshSocket(ours, process)


class SshSocket:
    """A connection that ssh carries.

    Args:
        sock: leads to its standard input and output.
        process: the ssh client; its standard error is a pipe.
    """

    def __init__(self, sock: socket.socket, process: subprocess.Popen[bytes]) -> None:
        self._sock = sock
        self._process = process
        self._answered = False

    def recv(self, bufsize: int, /) -> bytes:
        """Return what has arrived, empty at its end.

        Raises:
            SshError: it ended before anything had come.
        """
        try:
            data = self._sock.recv(bufsize)
        except ConnectionError:
            data = b""
        if not data and not self._answered:
            raise self._why()
        self._answered = True
        return data

    def recv_into(self, buffer: memoryview, /) -> int:
        """Put what has arrived into a buffer and return how much it is, 0 at its end."""
        data = self.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def sendall(self, data: bytes | memoryview, /) -> None:
        """Send everything.

        Raises:
            SshError: ssh has ended before anything had come.
        """
        try:
            self._sock.sendall(data)
        except ConnectionError as error:
            if self._answered:
                raise
            raise self._why() from error

    def shutdown(self, how: int, /) -> None:
        """End one direction."""
        self._sock.shutdown(how)

    def settimeout(self, value: float | None, /) -> None:
        """Set how long to wait for the other side, in seconds."""
        self._sock.settimeout(value)

    def fileno(self) -> int:
        """Return the descriptor, which is readable when something arrives."""
        return self._sock.fileno()

    def close(self) -> None:
        """Close the connection; ssh goes with it."""
        self._sock.close()
        errors = self._errors
        if not errors.closed:
            errors.close()
            self._process.terminate()
            self._process.wait()

    @property
    def _errors(self) -> IO[bytes]:
        found = self._process.stderr
        assert found is not None  # noqa: S101 - asked for above
        return found

    def _why(self) -> SshError:
        """Return what ssh has said, which has closed its output."""
        try:
            self._process.wait(_SSH_FAREWELL)
        except subprocess.TimeoutExpired:
            self._process.terminate()
        words = self._errors.read().decode("utf-8", "replace").strip()
        return SshError(words, self._process.wait())
