"""Read the addresses that are not a plain unix socket: tcp with TLS, ssh, named pipes.

Separate from `endpoint`, because the launch with a local engine never needs it.
"""

from __future__ import annotations

import os

from claudy.host.endpoint import (
    DEFAULT_CONTEXT,
    DEFAULT_SOCKET,
    PORT,
    TLS,
    TLS_PORT,
    Endpoint,
    EndpointError,
    under,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

PIPE = "//./pipe/docker_engine"


def from_environment(
    url: str,
    source: str,
    *,
    env: Mapping[str, str],
    home: str,
    platform: str,
    wants_tls: bool,
    root: str,
) -> Endpoint:
    """Return the endpoint of `--host`, DOCKER_HOST or the default, with TLS from the environment.

    Args:
        url: the address, stripped; empty for the platform's default.
        source: what decided it, empty for the default.
        env: the process environment.
        home: home directory of the user.
        platform: `sys.platform`.
        wants_tls: DOCKER_TLS_VERIFY or DOCKER_TLS is set to anything, even to 0.
        root: directory that stands for `/`, for tests.
    """
    switch = "DOCKER_TLS_VERIFY" if env.get("DOCKER_TLS_VERIFY") else "DOCKER_TLS"
    if not url and wants_tls:
        url, source = f"tcp://localhost:{TLS_PORT}", source or switch
    elif not url:
        url, source = "npipe://" + PIPE, source or "default"
    _refuse_path(url, source)
    tls = None
    if wants_tls and not url.startswith(("ssh://", "npipe://")):
        tls = _tls(env, home, switch, root)
    return remote(url, source, platform, tls)


def remote(
    url: str, source: str, platform: str, tls: TLS | None, context: str = DEFAULT_CONTEXT
) -> Endpoint:
    """Return the endpoint of a tcp, ssh or npipe address.

    Args:
        url: the address; without a scheme it is tcp, as in the docker CLI.
        source: what decided it.
        platform: `sys.platform`.
        tls: TLS settings for tcp.
        context: name of the context it comes from.

    Raises:
        EndpointError: `endpoint-invalid`, `named-pipe` or `bare-path`.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "tcp", url
    if scheme == "tcp":
        host, port, path = _tcp(rest, url, source, tls)
        shown = f"[{host}]" if ":" in host else host
        return Endpoint(
            f"tcp://{shown}:{port}{path}", source, tls, context, "tcp", path, (host, port)
        )
    if scheme == "ssh":
        host, port, path = _ssh(rest, url, source)
        return Endpoint(url, source, None, context, "ssh", path, (host, port))
    if scheme == "npipe":
        if platform != "win32":
            raise EndpointError(
                "named-pipe",
                f"{url} (from: {source}) is a Windows named pipe, and this is not Windows.",
                "unset DOCKER_HOST" if source == "DOCKER_HOST" else "docker context use default",
            )
        return Endpoint("npipe://" + (rest or PIPE), source, None, context, "npipe", rest or PIPE)
    raise _invalid(url, source, "the address must start with unix://, tcp:// or ssh://")


def _refuse_path(url: str, source: str) -> None:
    """Refuse a path without a scheme, which the docker CLI takes for a host name."""
    if "://" in url or not url.startswith(("/", "./", "~", "../")):
        return
    asked = url if url.startswith("/") else DEFAULT_SOCKET
    raise EndpointError(
        "bare-path",
        f"{url} (from: {source}) has no scheme, so Docker reads it as"
        f" tcp://localhost:{PORT}{url}; did you mean unix://{asked}?",
        f"export DOCKER_HOST=unix://{asked}"
        if source == "DOCKER_HOST"
        else f"claudy --host unix://{asked}",
    )


def _tcp(rest: str, url: str, source: str, tls: TLS | None) -> tuple[str, int, str]:
    """Split host, port and base path of a tcp address."""
    authority, slash, tail = rest.partition("/")
    default = TLS_PORT if tls and not authority else PORT
    if authority.startswith("["):
        host, bracket, port = authority[1:].partition("]:")
        if not bracket:
            raise _invalid(url, source, "expected tcp://[IPV6]:PORT")
    else:
        host, _, port = authority.partition(":")
    if "@" in host or not (port or "0").isdecimal() or int(port or 0) > 65535:  # noqa: PLR2004
        raise _invalid(url, source, "expected tcp://HOST:PORT")
    return host or "localhost", int(port or default), slash + tail if tail else ""


def _ssh(rest: str, url: str, source: str) -> tuple[str, int, str]:
    """Split user@host, port and socket path of an ssh address."""
    authority, slash, tail = rest.partition("/")
    user, at, where = authority.rpartition("@")
    if where.startswith("["):
        host, _, port = where[1:].partition("]")
        port = port.removeprefix(":")
    else:
        host, _, port = where.partition(":")
    # ssh would take a leading dash for an option (docker/cli connhelper refuses it as well).
    if not host or host.startswith("-") or user.startswith("-") or ":" in user:
        raise _invalid(url, source, "expected ssh://USER@HOST")
    if port and not port.isdecimal():
        raise _invalid(url, source, f"{port!r} is not a port")
    return user + at + host, int(port or 0), slash + tail if tail else ""


def _tls(env: Mapping[str, str], home: str, switch: str, root: str) -> TLS:
    """Return the TLS settings of the environment: the CA is needed, the client's pair is not."""
    directory = env.get("DOCKER_CERT_PATH") or env.get("DOCKER_CONFIG") or home + "/.docker"
    ca, cert, key = (f"{directory}/{name}.pem" for name in ("ca", "cert", "key"))
    if not os.path.isfile(under(root, ca)):
        raise EndpointError(
            "tls-files-missing",
            f"{switch} is set (to {env[switch]!r}; any value, even 0, turns TLS on), and {ca}"
            " does not exist.",
            f"unset {switch}",
        )
    return TLS(
        ca,
        cert if os.path.isfile(under(root, cert)) else "",
        key if os.path.isfile(under(root, key)) else "",
        verify=bool(env.get("DOCKER_TLS_VERIFY")),
    )


def _invalid(url: str, source: str, why: str) -> EndpointError:
    """Return the error for an address that means nothing."""
    return EndpointError(
        "endpoint-invalid",
        f"{url!r} (from: {source}) is not an address of a Docker engine: {why}.",
        "unset DOCKER_HOST" if source == "DOCKER_HOST" else "docker context ls",
    )
