"""Where engines put their sockets, and which one of them is alive.

Reached only when the platform's default socket is missing or refuses connections.
"""

from __future__ import annotations

import errno
import os

from claudy.host.endpoint import DEFAULT_CONTEXT, Endpoint, EndpointError, under

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

PATIENCE = 0.5  # seconds an engine has to answer when it is one of several places to look


def paths(env: Mapping[str, str], home: str, platform: str, uid: int, root: str) -> tuple[str, ...]:
    """Return the candidate socket paths in order, without repeats.

    Args:
        env: the process environment.
        home: home directory of the user.
        platform: `sys.platform`, or `wsl2`.
        uid: user id.
        root: directory that stands for `/`, for tests.
    """
    if platform == "darwin":
        found = _darwin(env, home, root)
    elif platform == "wsl2":
        found = ["/var/run/docker.sock", "/run/docker.sock"]
    else:
        found = _linux(env, home, uid)
    return tuple(dict.fromkeys(found))


def _linux(env: Mapping[str, str], home: str, uid: int) -> list[str]:
    """Return the places on Linux: rootful, rootless, Docker Desktop, Podman."""
    runtime = env.get("XDG_RUNTIME_DIR") or f"/run/user/{uid}"
    return [
        "/var/run/docker.sock",
        "/run/docker.sock",
        f"{runtime}/docker.sock",
        f"/run/user/{uid}/docker.sock",
        f"{home}/.docker/run/docker.sock",
        f"{home}/.docker/desktop/docker.sock",
        f"{runtime}/podman/podman.sock",
        "/run/podman/podman.sock",
    ]


def _darwin(env: Mapping[str, str], home: str, root: str) -> list[str]:
    """Return the places on macOS: each product's socket in the home directory."""
    colima = env.get("COLIMA_HOME") or f"{home}/.colima"
    machine = f"{home}/.local/share/containers/podman/machine"
    temporary = (env.get("TMPDIR") or "/tmp").rstrip("/")  # noqa: S108 - podman's place
    return [
        "/var/run/docker.sock",
        f"{home}/.docker/run/docker.sock",
        f"{home}/.orbstack/run/docker.sock",
        f"{colima}/docker.sock",
        *(f"{colima}/{name}/docker.sock" for name in _below(colima, root)),
        f"{home}/.rd/docker.sock",
        *(f"{home}/.lima/{name}/sock/docker.sock" for name in _below(f"{home}/.lima", root)),
        f"{temporary}/podman/podman-machine-default-api.sock",
        f"{machine}/podman.sock",
        *(f"{machine}/{name}/podman.sock" for name in _below(machine, root)),
    ]


def _below(directory: str, root: str) -> list[str]:
    """Return the names of the visible subdirectories: profiles, instances."""
    top = under(root, directory)
    try:
        return sorted(
            name
            for name in os.listdir(top)
            if not name.startswith(("_", ".")) and os.path.isdir(f"{top}/{name}")
        )
    except OSError:
        return []


def the_only_live(
    endpoint: Endpoint, found: Iterable[str], *, is_live: Callable[[str], bool], root: str
) -> Endpoint | None:
    """Return the endpoint of the single live socket among the candidates.

    Args:
        endpoint: the implicit default that failed.
        found: candidate paths.
        is_live: whether an engine answers at this path.
        root: directory that stands for `/`, for tests.

    Raises:
        EndpointError: `several-engines`.
    """
    if endpoint.explicit:
        return None
    live: dict[tuple[int, int], str] = {}
    for path in found:
        try:
            status = os.stat(under(root, path))
        except OSError:
            continue
        identity = (status.st_dev, status.st_ino)
        if path != endpoint.path and identity not in live and is_live(under(root, path)):
            live[identity] = path
    if not live:
        return None
    sockets = list(live.values())
    if len(sockets) > 1:
        raise EndpointError(
            "several-engines",
            f"Nothing answers at {endpoint.url} (from: {endpoint.source}), and several other"
            f" engines do: {', '.join('unix://' + path for path in sockets)}.",
            f"claudy --host unix://{sockets[0]}",
        )
    (path,) = sockets
    return Endpoint(
        url="unix://" + path,
        source=f"the only live socket, as nothing answers at {endpoint.path}",
        tls=None,
        context=DEFAULT_CONTEXT,
        kind="unix",
        path=path,
        explicit=False,
    )


def live_instead(
    endpoint: Endpoint,
    error: BaseException,
    *,
    env: Mapping[str, str],
    home: str,
    platform: str,
    uid: int,
) -> Endpoint | None:
    """Return the one engine that lives elsewhere, after connecting to the default has failed.

    Args:
        endpoint: what `resolve` returned.
        error: how connecting to it failed; its cause tells a missing socket from a forbidden one.
        env: the process environment.
        home: home directory of the user.
        platform: `sys.platform`.
        uid: user id.

    Returns:
        None if there is no other, the choice was explicit or the failure was another one.

    Raises:
        EndpointError: `several-engines`.
    """
    cause = error.__cause__
    if not isinstance(cause, OSError) or cause.errno not in {errno.ENOENT, errno.ECONNREFUSED}:
        return None
    found = paths(env, home, platform, uid, "/")
    return the_only_live(endpoint, found, is_live=answers, root="/")


def answers(path: str) -> bool:
    """Return whether an engine answers a ping at this socket within half a second."""
    try:
        return _ping(path)
    except OSError:
        return False


def is_up(path: str) -> bool:
    """Return whether an engine is at this socket, even if this user may not use it."""
    try:
        return _ping(path)
    except PermissionError:
        return True
    except OSError:
        return False


def _ping(path: str) -> bool:
    import _socket

    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        sock.settimeout(PATIENCE)
        sock.connect(path)
        sock.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
        return sock.recv(16).startswith(b"HTTP/1.")
    finally:
        sock.close()
