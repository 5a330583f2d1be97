"""Plan the sidecar of a sandbox, with its image built."""

from __future__ import annotations

import os

from claudy.engine.jsonc import dumps
from claudy.errors import ClaudyError
from claudy.sandbox.guarding import guard_state
from claudy.sandbox.guardplan import MARK, arguments
from claudy.sandbox.sidecar import LOG, PROJECT_ROOT, RUN, STATE, UPSTREAM, Sidecar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from claudy.engine.identity import EngineFacts
    from claudy.sandbox.launch import Launch
    from claudy.sandbox.resolve import User
    from claudy.settings.model import Settings


def plan_sidecar(
    launch: Launch, settings: Settings, facts: EngineFacts, user: User, host_path: str, *, dry: bool
) -> Sidecar:
    """Return how the sidecar of a sandbox is started; its image is there then.

    Args:
        launch: the launch.
        settings: those of the guard are read.
        facts: which engine it is.
        user: who may connect.
        host_path: the project's path on the daemon's file system.
        dry: build and write nothing.

    Raises:
        ClaudyError: this engine can't be guarded from here.
    """
    if facts.remote:
        raise ClaudyError(
            f"The guard needs the project's files, and {facts.name or 'this engine'} is another"
            " machine's.",
            "claudy --docker none, or --docker host if you trust what runs inside",
        )
    project = launch.request.project
    state = f"claudy-guard-{project.slug}"
    places = {
        "listen": f"{RUN}/docker.sock",
        "upstream": UPSTREAM,
        "ledger": STATE,
        "log": LOG,
        "root": PROJECT_ROOT,
    }
    image = _image(launch, facts, dry=dry)
    if not dry:
        _mark(guard_state(launch.request.env, project.slug), state, image)
    return Sidecar(
        launch.endpoint,
        launch.engine.api,
        directory=f"{launch.base}/{launch.name}@guard",
        sandbox=launch.name,
        project=project.path,
        host_path=host_path,
        state=state,
        image=image,
        argv=tuple(arguments(launch, settings, facts, user, host_path, places)),
        upstream=facts.socket_source,
        read_only=settings["read_only"],
        # Remapped ids could not use the engine's socket.
        userns="host" if facts.userns else "",
        security=("label=disable",) if facts.label_disable else (),
    )


def _image(launch: Launch, facts: EngineFacts, *, dry: bool) -> str:
    """Return the reference of the sidecar's image, building it if it is not there."""
    from claudy.image.events import Done
    from claudy.image.guardimage import ensure_guard_image, guard_recipe
    from claudy.image.images import find_image
    from claudy.image.reference import platform_of
    from claudy.image.workshop import Workshop

    request = launch.request
    recipe = guard_recipe(platform_of(facts.arch))
    if dry or find_image(launch.engine, recipe.reference):
        return recipe.reference
    workshop = Workshop(launch.engine, request.env, request.progress, request.confirm)
    try:
        ensure_guard_image(workshop, recipe)
    except ClaudyError:
        request.progress(Done(failed=True))
        raise
    except BaseException:
        request.progress(Done())
        raise
    request.progress(Done())
    return recipe.reference


def _mark(directory: str, volume: str, image: str) -> None:
    """Write down for the commands of the host where a guard's memory is."""
    try:
        os.makedirs(directory, 0o700, exist_ok=True)
        with open(f"{directory}/{MARK}", "wb") as file:
            file.write(dumps({"volume": volume, "image": image}))
    except OSError as error:
        raise ClaudyError(
            f"{directory} can't be written: {error.strerror}.", f"ls -ld {directory}"
        ) from error
