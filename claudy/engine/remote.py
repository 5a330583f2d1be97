"""Connections to engines that are not behind a Unix socket: tcp, TLS, ssh."""

from __future__ import annotations

import socket
import ssl
import subprocess

from claudy.engine.tls import TlsSocket
from claudy.errors import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from claudy.engine.wire import Socket
    from claudy.host.endpoint import Endpoint


def dial_tcp(endpoint: Endpoint, timeout: float) -> Socket:
    """Connect over TCP, with TLS where the endpoint has key material.

    Args:
        endpoint: a tcp endpoint.
        timeout: seconds, for connection and handshake each.
    """
    host, port = endpoint.address
    sock = socket.create_connection((host, port), timeout)
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
        return TlsSocket(sock, context, host)
    except BaseException:
        sock.close()
        raise


def dial_ssh(endpoint: Endpoint) -> Socket:
    """Connect through `ssh … docker system dial-stdio`, as the docker CLI does.

    The child ends when the socket is closed. It asks nothing: a prompt inside a launcher would
    hang it.
    """
    ours, theirs = socket.socketpair()
    host, port = endpoint.address
    command = ["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5"]
    command += ["-p", str(port)] if port else []
    try:
        subprocess.Popen(
            [*command, "--", host, "docker", "system", "dial-stdio"],
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        ours.close()
        message = f"{endpoint.url} needs the ssh client, and there is none on the PATH."
        raise EngineError(message, "install openssh-client") from error
    finally:
        theirs.close()
    return ours
