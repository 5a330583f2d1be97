"""What a project's last launch started, so that the next one can start it again at once.

Kept in the cache with everything that it was worked out from. If any of that is different now, the
long way is taken. Only the image can't be looked at from here: whether its name still means the
same image is asked while the engine creates the container.
"""

from __future__ import annotations

import marshal
import os
import sys
import time

from claudy import __version__
from claudy.host.places import cache_dir
from claudy.record import replace
from claudy.sandbox.plan import Mount, Plan, Port
from claudy.sandbox.start import Image, Prepared, parts_of_project

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from claudy.sandbox.launch import Launch

CREATED = "claudy.created"
CREATED_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
# What decides the sandbox's COMPOSE_PROJECT_NAME.
_COMPOSE = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml", ".env")


def recall(launch: Launch) -> Prepared | None:
    """Return what to start if it is known from the last launch, with today's date.

    Args:
        launch: a launch, for which `inputs` are known.
    """
    try:
        with open(_path(launch), "rb") as file:
            stamp, plan, notices, settings, image, guard, api = marshal.load(file)  # noqa: S302
    except (OSError, ValueError, EOFError, TypeError):
        return None
    if stamp != _stamp(launch):
        return None
    launch.engine.use_api(api)
    found = None
    if guard:
        from claudy.sandbox.guarding import restored

        found = restored(guard, launch.engine)
    return Prepared(launch, settings, _read_plan(plan), notices, found, Image(*image), known=True)


def remember(prepared: Prepared) -> None:
    """Keep what is being started, if the next launch may do the same unasked."""
    launch, plan = prepared.launch, prepared.plan
    settings, project = prepared.settings, launch.request.project
    if (
        launch.inputs is None
        or launch.inputs[0] != launch.endpoint.url  # a settings file names the engine
        or settings["pull"] == "always"
        or launch.too_wide()  # the user is asked every time
        or plan.mounts[0].source != project.path  # depends on claudy's own container
        or parts_of_project(plan, project.path)  # where a link may be by now
    ):
        return
    guard = prepared.guard.kept if prepared.guard else ()
    kept = (
        _stamp(launch),
        _written_plan(plan),
        prepared.notices,
        {name: settings[name] for name in ("env", "keep", "pull")},
        (prepared.image.reference, prepared.image.id),
        guard,
        launch.engine.api,
    )
    path = _path(launch)
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with open(f"{path}.{os.getpid()}", "wb") as file:
            marshal.dump(kept, file)
        os.replace(f"{path}.{os.getpid()}", path)
    except OSError:
        pass  # a cache


def _path(launch: Launch) -> str:
    return f"{cache_dir(launch.request.env)}/plans/{launch.seat.name}"


def _stamp(launch: Launch) -> tuple[Any, ...]:
    """Return all that the plan depends on, beside what decides about joining too."""
    project = launch.request.project
    files = [f"{project.path}/{name}" for name in _COMPOSE]
    # The engine is another one when its socket is; the package when its folder is.
    files += [launch.endpoint.path, "/etc/passwd", os.path.dirname(__file__)]
    return (
        __version__,
        sys.version_info[:2],
        sys.executable,
        launch.inputs,
        (project.path, project.uid, project.gid),
        tuple(_look(path) for path in files),
    )


def _look(path: str) -> tuple[int, ...]:
    try:
        status = os.stat(path)
    except OSError:
        return ()
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _written_plan(plan: Plan) -> dict[str, Any]:
    return {
        **vars(plan),
        "mounts": tuple(tuple(vars(mount).items()) for mount in plan.mounts),
        "ports": tuple(tuple(vars(port).items()) for port in plan.ports),
    }


def _read_plan(kept: dict[str, Any]) -> Plan:
    mounts = tuple(Mount(**dict(mount)) for mount in kept["mounts"])
    ports = tuple(Port(**dict(port)) for port in kept["ports"])
    plan = Plan(**{**kept, "mounts": mounts, "ports": ports})
    now = time.strftime(CREATED_FORMAT, time.gmtime())
    return replace(
        plan,
        labels=_dated(plan.labels, now),
        mounts=tuple(replace(m, labels=_dated(m.labels, now)) for m in plan.mounts),
    )


def _dated(labels: tuple[tuple[str, str], ...], now: str) -> tuple[tuple[str, str], ...]:
    return tuple((key, now if key == CREATED else value) for key, value in labels)
