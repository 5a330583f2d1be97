"""A new home for the sandbox's user, on an engine that remaps user ids.

The sandbox leaves the remapping (`userns=host`), so that ids in the project are the host's. But the
files of its image belong to remapped ids, and a new volume is filled with them: the user could not
write at home. Root gives a new volume to the user before the sandbox has it.
"""

from __future__ import annotations

from claudy.errors import APIError
from claudy.sandbox.leave import remove
from claudy.sandbox.probe import probe_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from claudy.engine.client import Engine
    from claudy.sandbox.plan import Mount, Plan

_NOT_FOUND = 404
_PATIENCE = 60.0


def give_home(engine: Engine, plan: Plan) -> None:
    """Make the volume of the plan's home if it is not there, as its user's own.

    Args:
        engine: the engine.
        plan: of a sandbox; does nothing unless it leaves the daemon's remapping.

    Raises:
        APIError: the engine refuses.
    """
    home = _home(plan)
    if plan.userns != "host" or home is None:
        return
    try:
        engine.call("GET", f"/volumes/{home.source}")
    except APIError as error:
        if error.status != _NOT_FOUND:
            raise
    else:
        return
    volume = {"Name": home.source, "Labels": dict(home.labels)}
    engine.call("POST", "/volumes/create", body=volume)
    body = {
        "Image": plan.image,
        "User": "0:0",
        "Entrypoint": ["chown", "-R", plan.user, home.target],
        "Cmd": [],
        "Labels": {"claudy.probe": "home"},
        "HostConfig": {
            "Mounts": [{"Type": "volume", "Source": home.source, "Target": home.target}],
            "NetworkMode": "none",
            "UsernsMode": plan.userns,
        },
    }
    container = str(engine.call("POST", "/containers/create", probe_name(), body)["Id"])
    try:
        engine.call("POST", f"/containers/{container}/start")
        engine.call("POST", f"/containers/{container}/wait", timeout=_PATIENCE)
    except APIError:
        pass  # an image without chown has no use for a home either
    finally:
        remove(engine, container)


def _home(plan: Plan) -> Mount | None:
    """Return the mount of the user's home."""
    target = dict(plan.env).get("HOME")
    mounts = (mount for mount in plan.mounts if mount.kind == "volume" and mount.target == target)
    return next(mounts, None)
