"""Plan the guard of a sandbox: which kind it is, and its command line."""

from __future__ import annotations

import os
import sys

from claudy.errors import ClaudyError
from claudy.record import replace
from claudy.sandbox.guarding import Guard, guard_log, guard_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from claudy.engine.identity import EngineFacts
    from claudy.sandbox.launch import Launch
    from claudy.sandbox.plan import Plan
    from claudy.sandbox.resolve import User
    from claudy.sandbox.sidecar import Sidecar
    from claudy.settings.model import Settings

MARK = "sidecar"  # file in that directory: a volume of the engine keeps the last guard's memory
_BUDGET = ("memory", "cpus", "pids", "containers", "ports")


def plan_guard(
    launch: Launch, settings: Settings, facts: EngineFacts, user: User, host_path: str, *, dry: bool
) -> Guard | Sidecar:
    """Return how the guard of a sandbox is started.

    Args:
        launch: the launch.
        settings: those of the guard are read.
        facts: which engine it is.
        user: who may connect.
        host_path: the project's path on the daemon's file system.
        dry: change nothing.

    Raises:
        ClaudyError: this engine can't be guarded from here.
    """
    upstream = launch.endpoint.path if launch.endpoint.kind == "unix" else ""
    directory = f"{launch.base}/{launch.name}@guard"
    runs = settings["guard_runs"]
    if runs == "auto" and not (upstream and _shares_files(launch, facts, directory)):
        runs = "sidecar"
    if runs == "sidecar":
        from claudy.sandbox.sidecarplan import plan_sidecar

        return plan_sidecar(launch, settings, facts, user, host_path, dry=dry)
    if facts.vm or facts.remote or not upstream:
        raise ClaudyError(
            "The guard needs an engine that runs on this machine itself and has a Unix socket;"
            f" {facts.name or 'this one'} does not.",
            "claudy --docker none, or --docker host if you trust what runs inside",
        )
    project = launch.request.project
    state = guard_state(launch.request.env, project.slug)
    if not dry:
        try:
            os.makedirs(state, 0o700, exist_ok=True)
            if os.path.exists(f"{state}/{MARK}"):
                os.unlink(f"{state}/{MARK}")
        except OSError as error:
            raise ClaudyError(
                f"{error.filename or state} can't be used for claudy's state: {error.strerror}.",
                f"ls -ld {state}",
            ) from error
    # -P: a directory named `claudy` in the project must never be what is imported.
    # Not -m: `runpy` imports more than the guard does until it listens.
    argv = [sys.executable, "-P", "-c", "from claudy.guard.__main__ import run; run()", "serve"]
    places = {
        "listen": f"{directory}/docker.sock",
        "upstream": upstream,
        "ledger": state,
        "log": guard_log(launch.request.env, project),
    }
    given = arguments(launch, settings, facts, user, host_path, places)
    return Guard(directory, (*argv, *given))


def _shares_files(launch: Launch, facts: EngineFacts, directory: str) -> bool:
    """Whether the engine sees a directory that claudy makes under the same name, and its socket."""
    if facts.vm or os.path.realpath(facts.socket_source) != os.path.realpath(launch.endpoint.path):
        return False
    from claudy.host.whereami import to_host, where_am_i

    place = where_am_i(env=launch.request.env, platform=launch.request.platform)
    if not place.nested:
        return True
    from claudy.engine.facts import own_mounts

    mounts = own_mounts(launch.engine, launch.request.env)
    return mounts is None or to_host(directory, place, mounts) == directory


def arguments(
    launch: Launch,
    settings: Settings,
    facts: EngineFacts,
    user: User,
    host_path: str,
    places: Mapping[str, str],
) -> list[str]:
    """Return the guard's command line.

    Args:
        launch: the launch.
        settings: those of the guard are read.
        facts: which engine it is.
        user: who may connect.
        host_path: the project's path on the daemon's file system.
        places: options that say where the guard finds and puts things.
    """
    project = launch.request.project
    options = {
        **places,
        "project": project.path,
        "project-id": project.slug,
        "sandbox": launch.name,
        "uid": user.uid,
        "gid": user.gid,
        "visibility": settings["visibility"],
        "grace": 30,
    }
    if host_path != project.path:
        options["host-path"] = host_path
    budget = {key: settings[f"budget_{key}"] for key in _BUDGET}
    budget["cpus"] = budget["cpus"] / 1e9 if budget["cpus"] else 0
    said = ",".join(f"{key}={value}" for key, value in budget.items() if value)
    if said:
        options["budget"] = said
    argv = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    argv += ["--share-build-cache"] if settings["build_cache"] == "shared" else []
    argv += ["--publish-all-interfaces"] if settings["publish_all"] else []
    # Its addresses in the networks are those of a network namespace, not of the machine.
    argv += ["--publish-on-loopback-only"] if facts.rootless else []
    return argv + (["--read-only"] if settings["read_only"] else [])


def moved(plan: Plan, guard: Guard | Sidecar, name: str) -> tuple[Plan, Guard | Sidecar]:
    """Return a plan and its guard for a sandbox of another name.

    Args:
        plan: has that name already.
        guard: of the sandbox that was planned first.
        name: the other name.
    """
    other = guard.renamed(name)
    before, after = guard.mounted, other.mounted
    mounts = tuple(
        replace(mount, source=after) if mount.source == before else mount for mount in plan.mounts
    )
    return replace(plan, mounts=mounts), other
