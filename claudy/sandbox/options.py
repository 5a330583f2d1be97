"""Read the values that have `docker run`'s own syntax: mounts, ports, environment."""

from __future__ import annotations

import os

from claudy.errors import UsageError
from claudy.sandbox.plan import Mount, Port

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_MAX_PORT = 65535


def parse_volume(text: str, project: str, labels: tuple[tuple[str, str], ...]) -> Mount:
    """Parse `SRC:DST[:ro|rw]`.

    Args:
        text: the option's value; a source with a slash is a path, relative to the project, else the
            name of a volume.
        project: real path of the project.
        labels: labels of a volume that is made on the way.

    Raises:
        UsageError: it has another form, or the path does not exist.
    """
    parts = text.split(":")
    mode = parts.pop() if len(parts) > 2 and parts[-1] in ("ro", "rw") else "rw"  # noqa: PLR2004
    source, target = ":".join(parts[:-1]), parts[-1]
    if not source or not target.startswith("/"):
        raise UsageError(
            f"--volume {text!r} is not SRC:DST[:ro], with an absolute path as DST.",
            "claudy -v ./data:/data:ro",
        )
    if "/" not in source and source not in (".", ".."):
        return Mount("volume", source, target, mode == "ro", labels)
    said = os.path.normpath(os.path.join(project, os.path.expanduser(source)))
    path = os.path.realpath(said)
    if _enters(said, project) and path != project and not is_below(path, project):
        # What runs inside can put a link there.
        raise UsageError(
            f"--volume {text!r}: {said} leads out of the project, to {path}.",
            f"claudy -v {path}:{target}, if that is what you want",
        )
    if not os.path.exists(path):
        raise UsageError(f"--volume {text!r}: {path} does not exist.", f"mkdir -p {path!r}")
    return Mount("bind", path, target, mode == "ro")


def _enters(path: str, project: str) -> bool:
    """Whether a path leads through the project, also by another name of it."""
    while path != "/":
        path = os.path.dirname(path)
        real = os.path.realpath(path)
        if real == project or is_below(real, project):
            return True
    return False


def is_below(path: str, top: str) -> bool:
    """Whether an absolute path is below a directory, by its words."""
    return path.startswith(top.rstrip("/") + "/")


def parse_ports(texts: Iterable[str]) -> tuple[Port, ...]:
    """Parse `[[ADDRESS:]HOST:]CONTAINER[/PROTOCOL]`, with ranges of equal length.

    Raises:
        UsageError: it has another form, or a port is out of range.
    """
    ports: list[Port] = []
    for text in texts:
        rest, _, protocol = text.partition("/")
        front, _, container = rest.rpartition(":")
        address, _, host = front.rpartition(":") if not front.endswith("]") else (front, "", "")
        inside, outside = _range(container), _range(host) if host else ()
        bad = (
            not inside
            or (host and len(outside) != len(inside))
            or protocol not in ("", "tcp", "udp", "sctp")
        )
        if bad:
            raise UsageError(
                f"--publish {text!r} is not [[ADDRESS:]HOST:]CONTAINER[/PROTOCOL].",
                "claudy -p 127.0.0.1:8080:80",
            )
        ports += [
            Port(number, outside[n] if outside else 0, address.strip("[]"), protocol or "tcp")
            for n, number in enumerate(inside)
        ]
    return tuple(ports)


def _range(text: str) -> tuple[int, ...]:
    """Return the ports of `N` or `N-M`, nothing if it is neither."""
    low, dash, high = text.partition("-")
    if not (low.isascii() and low.isdigit()) or (dash and not (high.isascii() and high.isdigit())):
        return ()
    first, last = int(low), int(high or low)
    return tuple(range(first, last + 1)) if 0 < first <= last <= _MAX_PORT else ()


def parse_env(texts: Iterable[str], env: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Parse `K=V`, and `K` as this environment has it; one that is not set is left out.

    Raises:
        UsageError: the name is empty.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name:
            raise UsageError(f"--env {text!r} has no name.", "claudy -e NAME=value")
        if equals:
            found[name] = value
        elif name in env:
            found[name] = env[name]
    return tuple(found.items())
