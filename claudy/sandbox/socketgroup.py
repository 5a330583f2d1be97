"""The group that may use the Docker socket, as seen from inside a container.

Only on native Linux with a rootful engine is it the group that the host shows. Elsewhere a
container with the socket mounted is asked, once for an engine and a socket.
"""

from __future__ import annotations

import os
import stat

from claudy.errors import APIError, ClaudyError
from claudy.sandbox.probe import probe_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from claudy.engine.client import Engine
    from claudy.engine.identity import EngineFacts

OVERFLOW = 65534
_PROBE = "/run/claudy-probe.sock"


def socket_group(
    engine: Engine, facts: EngineFacts, image: str, env: Mapping[str, str]
) -> int | None:
    """Return the numeric group that opens the socket inside, None if no group does.

    Args:
        engine: the engine.
        facts: which engine it is.
        image: image to ask with.
        env: the process environment, for the cache's place.

    Raises:
        ClaudyError: the mount source is not the daemon's socket.
    """
    if facts.gid_rule == "none" or facts.rootless:
        return None
    if facts.gid_rule == "stat":
        status = os.stat(engine.endpoint.path)
        return status.st_gid if status.st_mode & stat.S_IWGRP else None
    return _asked(engine, facts, image, env)


def _asked(engine: Engine, facts: EngineFacts, image: str, env: Mapping[str, str]) -> int | None:
    """Return the group from the cache, or ask."""
    import json

    from claudy.engine.facts import socket_identity
    from claudy.host.places import cache_dir

    path = f"{cache_dir(env)}/socket-group.json"
    stamp = [
        engine.endpoint.url,
        facts.version,
        facts.socket_source,
        *socket_identity(engine.endpoint),
    ]
    try:
        with open(path, encoding="utf-8") as file:
            kept = json.load(file)
        if kept["stamp"] == stamp:
            return kept["group"] if isinstance(kept["group"], int) else None
    except (OSError, ValueError, KeyError, TypeError):
        pass
    group = ask_inside(engine, facts, image)
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"stamp": stamp, "group": group}, file)
    except OSError:
        pass  # a cache
    return group


def ask_inside(engine: Engine, facts: EngineFacts, image: str) -> int | None:
    """Ask a container without network what the mounted socket looks like.

    Raises:
        ClaudyError: it is a directory or a file there: the mount source is wrong.
    """
    from claudy.sandbox.leave import remove

    body = {
        "Image": image,
        "User": "0:0",
        "Entrypoint": ["stat", "-L", "-c", "%F %u %g %a", _PROBE],
        "Cmd": [],
        "Labels": {"claudy.probe": "socket-group"},
        "HostConfig": {
            "NetworkMode": "none",
            "SecurityOpt": ["label=disable"] if facts.label_disable else [],
            "Mounts": [{"Type": "bind", "Source": facts.socket_source, "Target": _PROBE}],
        },
    }
    container = str(engine.call("POST", "/containers/create", probe_name(), body)["Id"])
    try:
        waiting = engine.begin("POST", f"/containers/{container}/wait", {"condition": "next-exit"})
        engine.call("POST", f"/containers/{container}/start")
        waiting.finish()
        response = engine.stream("GET", f"/containers/{container}/logs", {"stdout": True})
        said = response.read()[8:].decode("utf-8", "replace").strip()
        response.close()
    except APIError as error:
        raise ClaudyError(
            f"The socket {facts.socket_source} can't be mounted by the engine: {error.detail}",
            "claudy doctor",
        ) from error
    finally:
        remove(engine, container)
    kind, _, rest = said.rpartition("socket")
    fields = rest.split()
    if kind or not said.startswith("socket") or len(fields) != 3:  # noqa: PLR2004
        raise ClaudyError(
            f"{facts.socket_source} is not the engine's socket on its own file system"
            f" (seen inside: {said or 'nothing'}).",
            "claudy config set socket_source /path/on/the/engines/machine",
        )
    group, mode = int(fields[1]), int(fields[2], 8)
    return group if mode & stat.S_IWGRP and group != OVERFLOW else None
