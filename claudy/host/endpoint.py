"""Decide which Docker engine to talk to, as the docker CLI does, and say why.

Source: docker/cli `cli/command/cli.go` (resolveContextName, resolveDefaultDockerEndpoint) and
`opts/hosts.go`, compared with the CLI itself in `tests/unit/host/test_docker_cli.py`.
"""

from __future__ import annotations

import errno
import os

from claudy.errors import FAILED, USAGE, ClaudyError
from claudy.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DEFAULT_SOCKET = "/var/run/docker.sock"
DEFAULT_CONTEXT = "default"
PORT = 2375
TLS_PORT = 2376


class EndpointError(ClaudyError):
    """No endpoint can be derived from the options, the environment and the context store.

    Args:
        code: stable id of the finding, the same that `claudy doctor` reports.
    """

    code = "endpoint"

    def __init__(self, code: str, message: str, hint: str = "", exit_code: int = FAILED) -> None:
        super().__init__(message, hint, exit_code)
        self.code = code


@record
class TLS:
    """Files and strictness of a TLS connection.

    Args:
        ca: path of the PEM file with the certificate authority, empty for the system's.
        cert: path of the client certificate, empty for none.
        key: path of the client's key, empty for none.
        verify: whether the server's certificate is checked.
    """

    ca: str
    cert: str
    key: str
    verify: bool


@record
class Endpoint:
    """Where the client connects.

    Args:
        url: the address in the docker CLI's own spelling.
        source: what decided it, for people: `--host`, `DOCKER_HOST`, `default` ...
        tls: TLS settings, None for a plain connection.
        context: name of the docker context, `default` if there is none.
        kind: `unix`, `tcp`, `ssh` or `npipe`.
        path: path of the unix socket or pipe, or the base path of a tcp address.
        address: host and port for tcp; `user@host` and port (0: ssh's own) for ssh.
        explicit: False only for the platform's default, the one case in which probing may follow.
        notes: surprises that change nothing, such as a context that DOCKER_HOST overrides.
    """

    url: str
    source: str
    tls: TLS | None
    context: str
    kind: str
    path: str
    address: tuple[str, int] = ("", 0)
    explicit: bool = True
    notes: tuple[str, ...] = ()


@record
class _Here:
    """What an address is resolved against."""

    env: Mapping[str, str]
    home: str
    platform: str
    root: str


def resolve(
    *,
    env: Mapping[str, str],
    home: str,
    platform: str,
    uid: int,  # noqa: ARG001 - part of the contract that `probe` shares
    host: str | None = None,
    context: str | None = None,
    root: str = "/",
    host_source: str = "--host",
    context_source: str = "--context",
) -> Endpoint:
    """Resolve the endpoint: option, DOCKER_HOST, DOCKER_CONTEXT, currentContext, default.

    Args:
        env: the process environment.
        home: home directory of the user.
        platform: `sys.platform`.
        uid: user id.
        host: value of `--host`, None or empty if not given.
        context: value of `--context`, None or empty if not given.
        root: directory that stands for `/`, for tests.
        host_source: where the value of `host` comes from, if a setting gave it.
        context_source: likewise for `context`.

    Raises:
        EndpointError: with exit code 2 for contradicting options, else 125.
    """
    if host and context:
        raise EndpointError(
            "host-and-context",
            f"{host_source} and {context_source} are both given, and each names an engine.",
            "Give only one of them.",
            USAGE,
        )
    here = _Here(env, home, platform, root)
    if host:
        return _plain(host, host_source, here)
    config = env.get("DOCKER_CONFIG") or home + "/.docker"
    name, via, notes = (
        (context, context_source, ()) if context else _context_name(env, config, home, root)
    )
    if name == DEFAULT_CONTEXT:
        value = env.get("DOCKER_HOST", "")
        if value:
            found = _plain(value, "DOCKER_HOST", here)
            return _noted(found, notes + _overridden(env, config, root))
        via = f"context default ({via})" if via else ""
        return _noted(_plain("", via, here), notes)
    from claudy.host.contexts import load

    stored = load(name, via, config, root)
    if stored.url.startswith("unix://") or not stored.url:
        url = stored.url or "unix://" + DEFAULT_SOCKET
        return _unix(url, f"context {name} ({via})", name)
    from claudy.host.address import remote

    return remote(stored.url, f"context {name} ({via})", platform, stored.tls, context=name)


def _context_name(
    env: Mapping[str, str], config: str, home: str, root: str
) -> tuple[str, str, tuple[str, ...]]:
    """Return the name of the context, what decided it, and notes."""
    if env.get("DOCKER_HOST"):
        return DEFAULT_CONTEXT, "", ()
    if env.get("DOCKER_CONTEXT"):
        return env["DOCKER_CONTEXT"], "DOCKER_CONTEXT", ()
    name, note = _current_context(config, root)
    if name:
        path = config + "/config.json"
        shown = "~" + path[len(home) :] if path.startswith(home + "/") else path
        return name, f"currentContext in {shown}", ()
    return DEFAULT_CONTEXT, "", (note,) if note else ()


def _current_context(config: str, root: str) -> tuple[str, str]:
    """Return `currentContext` of config.json, and a note if the file can't be read as JSON."""
    path = config + "/config.json"
    try:
        fd = os.open(under(root, path), os.O_RDONLY | os.O_CLOEXEC)
    except OSError as e:
        missing = e.errno in {errno.ENOENT, errno.ENOTDIR}
        return "", "" if missing else f"{path} can't be read: {e.strerror}"
    with open(fd, "rb") as file:
        content = file.read()
    if b"currentcontext" not in content.lower():
        return "", ""
    from claudy.host.contexts import current_context

    return current_context(content, path)


def _overridden(env: Mapping[str, str], config: str, root: str) -> tuple[str, ...]:
    """Return a note if DOCKER_HOST hides a context that was chosen elsewhere."""
    name = env.get("DOCKER_CONTEXT") or _current_context(config, root)[0]
    if name in {"", DEFAULT_CONTEXT}:
        return ()
    return (f"DOCKER_HOST overrides the context {name!r}",)


def _plain(value: str, source: str, here: _Here) -> Endpoint:
    """Return the endpoint of an address, or the platform's default for an empty one."""
    url = value.strip()
    wants_tls = bool(here.env.get("DOCKER_TLS_VERIFY") or here.env.get("DOCKER_TLS"))
    if url.startswith("unix://"):
        return _unix(url, source)
    if not url and not wants_tls and here.platform != "win32":
        explicit = bool(source)
        return Endpoint(
            url="unix://" + DEFAULT_SOCKET,
            source=source or "default",
            tls=None,
            context=DEFAULT_CONTEXT,
            kind="unix",
            path=DEFAULT_SOCKET,
            explicit=explicit,
        )
    from claudy.host.address import from_environment

    return from_environment(
        url,
        source,
        env=here.env,
        home=here.home,
        platform=here.platform,
        wants_tls=wants_tls,
        root=here.root,
    )


def _unix(url: str, source: str, context: str = DEFAULT_CONTEXT) -> Endpoint:
    """Return the endpoint of a unix:// address."""
    path = url.removeprefix("unix://") or DEFAULT_SOCKET
    if not path.startswith("/") or "://" in path:
        raise EndpointError(
            "endpoint-invalid",
            f"{url} (from: {source}) is not a socket: the path after unix:// must be absolute.",
            f"export DOCKER_HOST=unix://{DEFAULT_SOCKET}",
        )
    return Endpoint(
        url="unix://" + path, source=source, tls=None, context=context, kind="unix", path=path
    )


def _noted(endpoint: Endpoint, notes: tuple[str, ...]) -> Endpoint:
    """Return the endpoint with further notes."""
    if not notes:
        return endpoint
    from claudy.record import replace

    return replace(endpoint, notes=endpoint.notes + notes)


def under(root: str, path: str) -> str:
    """Return where `path` is found below the directory that stands for `/`."""
    return path if root == "/" else root.rstrip("/") + path


def probe(
    endpoint: Endpoint,
    *,
    env: Mapping[str, str],
    home: str,
    platform: str,
    uid: int,
    is_live: Callable[[str], bool],
    root: str = "/",
) -> Endpoint | None:
    """Look for the one engine that listens elsewhere, after the implicit default failed.

    Call it only after ENOENT or ECONNREFUSED, never after EACCES.

    Args:
        endpoint: what `resolve` returned.
        env: the process environment.
        home: home directory of the user.
        platform: `sys.platform`, or `wsl2`.
        uid: user id.
        is_live: whether an engine answers at this socket path; must not take long.
        root: directory that stands for `/`, for tests.

    Returns:
        The endpoint of the single live socket; None if there is none or the choice was explicit.

    Raises:
        EndpointError: more than one socket is live; the message lists them.
    """
    from claudy.host.probe import the_only_live

    return the_only_live(
        endpoint, candidates(env, home, platform, uid, root=root), is_live=is_live, root=root
    )


def candidates(
    env: Mapping[str, str], home: str, platform: str, uid: int, *, root: str = "/"
) -> tuple[str, ...]:
    """Return the socket paths to try, in order, for a platform.

    Args:
        env: the process environment.
        home: home directory of the user.
        platform: `sys.platform`, or `wsl2`.
        uid: user id.
        root: directory that stands for `/`, for tests.
    """
    from claudy.host.probe import paths

    return paths(env, home, platform, uid, root)
