"""Find out what a launch has to start: settings, engine, user, image, plan."""

from __future__ import annotations

import time

from claudy.engine.client import Engine
from claudy.engine.facts import known_engine
from claudy.errors import ClaudyError, Declined, EngineError, NoEngine
from claudy.record import replace
from claudy.sandbox.resolve import build_plan, sandbox_user
from claudy.sandbox.sessionenv import session_env
from claudy.sandbox.start import Image, Prepared
from claudy.settings.load import load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from claudy.engine.facts import Known
    from claudy.sandbox.launch import Launch, Request
    from claudy.sandbox.plan import Plan, Session
    from claudy.settings.model import Settings

ROOT_NOTICE = "The project belongs to root, so you are root inside."
HOST_NOTICE = (
    "Docker's own socket is inside (--docker host): what runs here is as good as root on the host."
)


def planned(request: Request) -> tuple[Plan, Session]:
    """Return what a launch would start, changing nothing."""
    from claudy.sandbox.launch import Launch, endpoint_for

    launch = Launch(request, endpoint_for(request))
    prepared = prepare(launch, dry=True)
    taken = session_env(prepared.settings["env"], request.env, tty=launch.session.tty)
    return prepared.plan, replace(launch.session, env=taken)


def prepare(launch: Launch, *, dry: bool = False) -> Prepared:
    """Find out what to start for a launch: settings, engine, user, image, plan.

    Args:
        launch: the launch.
        dry: build and pull nothing; the plan names the image that would be run.

    Raises:
        ClaudyError: it can't be started; the error says why.
    """
    request = launch.request
    project = request.project
    wide = launch.too_wide()
    if wide and not request.confirm(f"{project.path} is {wide}; open it in a sandbox?", "--yes"):
        raise Declined(f"{project.path} was not opened.")
    settings = load(request.flags, request.env, project.path)
    follow_endpoint(launch, settings)
    known = reach(launch, settings)
    require_local(launch, known)
    user = sandbox_user(project, known.facts)
    facts, endpoint = known.facts, launch.endpoint
    explain = request.explain
    explain(f"endpoint {endpoint.url} (from: {endpoint.source})")
    for note in endpoint.notes:
        explain(note)
    explain(f"engine {facts.kind} {facts.version}, API {known.api}")
    explain(f"mount source of the socket: {facts.socket_source}: {facts.socket_source_reason}")
    explain(f"group of the socket: {facts.gid_rule}: {facts.gid_reason}")
    explain(f"user inside: {user.name} {user.uid}:{user.gid}, home {user.home}")
    notices = [ROOT_NOTICE] if user.uid == 0 and not known.facts.rootless else []
    if settings.withheld:
        notices.append(
            f"{settings.project_file} asks for {', '.join(settings.withheld)}; that waits until"
            " you accept it: claudy trust"
        )
    from claudy.image.ensure import ensure_image

    ready = ensure_image(
        launch.engine,
        settings,
        user,
        facts=known.facts,
        env=request.env,
        dry=dry,
        progress=request.progress,
        confirm=request.confirm,
    )
    group = guard = None
    path = host_path(launch, known)
    if settings["docker"] == "guard":
        from claudy.sandbox.guardplan import plan_guard

        guard = plan_guard(launch, settings, known.facts, user, path, dry=dry)
    if settings["docker"] == "host":
        notices.append(HOST_NOTICE)
        from claudy.sandbox.socketgroup import socket_group

        group = socket_group(launch.engine, known.facts, ready.base, request.env)
    plan = build_plan(
        project,
        settings,
        known.facts,
        user,
        ready.image,
        has_init=ready.has_init,
        socket_group=group,
        guard_dir=guard.mounted if guard else "",
        host_path=path,
        now=time.time(),
    )
    explain(f"image {ready.image}, from {ready.base}")
    explain(f"mode {settings['docker']} (from: {settings.source('docker')})")
    image = Image(ready.reference, ready.base)
    return Prepared(launch, settings, plan, tuple(notices), guard, image)


def follow_endpoint(launch: Launch, settings: Settings) -> None:
    """Use the engine that a settings file names."""
    if not settings["host"] and not settings["context"]:
        return
    from claudy.settings.engine import endpoint_of

    request = launch.request
    launch.use_endpoint(
        endpoint_of(
            settings,
            env=request.env,
            home=request.home,
            platform=request.platform,
            uid=request.uid,
        )
    )


def reach(launch: Launch, settings: Settings) -> Known:
    """Return what is known about the engine; look for another socket if the default has none."""
    request = launch.request
    try:
        return known_engine(launch.engine, request.env, settings["socket_source"])
    except NoEngine as error:
        import errno

        from claudy.host.endpoint import probe

        cause = error.__cause__
        absent = isinstance(cause, OSError) and cause.errno in (errno.ENOENT, errno.ECONNREFUSED)
        found = None
        if absent:
            found = probe(
                launch.endpoint,
                env=request.env,
                home=request.home,
                platform=request.platform,
                uid=request.uid,
                is_live=is_live,
            )
        if found is not None:
            request.notify(f"Using {found.url} ({found.source}).")
            launch.use_endpoint(found)
        elif not absent or launch.endpoint.explicit or not bring_engine(launch):
            raise
        return known_engine(launch.engine, request.env, settings["socket_source"])


def bring_engine(launch: Launch) -> bool:
    """Offer to install or start an engine where the default one is missing.

    Returns:
        Whether there is one now.
    """
    from claudy.errors import ConfirmationNeeded
    from claudy.host.install import plan_install, run_plan, survey
    from claudy.host.probe import is_up

    request = launch.request
    plan = plan_install(survey(env=request.env, platform=request.platform, uid=request.uid))
    if not plan.steps:
        return False
    lines = "\n".join(f"  {step.line}  # {step.why}" for step in plan.steps)
    question = f"No Docker engine answers at {launch.endpoint.url}. {plan.title}?\n{lines}\n"
    try:
        if not request.confirm(question, "--yes"):
            return False
    except ConfirmationNeeded:
        return False
    # Who has installed it may not be in its group yet, which is said next, not waited for.
    run_plan(plan, notify=request.notify, is_live=lambda: is_up(launch.endpoint.path))
    return True


def is_live(path: str) -> bool:
    """Whether an engine answers at a Unix socket."""
    from claudy.host.endpoint import Endpoint

    url = f"unix://{path}"
    try:
        Engine(
            Endpoint(url=url, source="probed", tls=None, context="", kind="unix", path=path)
        ).ping()
    except EngineError:
        return False
    return True


def require_local(launch: Launch, known: Known) -> None:
    """Refuse an engine on another machine, where the project is not."""
    from claudy.host.finding import as_error
    from claudy.host.refusals import engine_remote, windows_containers

    if known.facts.os_type == "windows":
        raise as_error(windows_containers(launch.endpoint), EngineError)
    if known.facts.remote:
        raise as_error(engine_remote(launch.endpoint), EngineError)


def host_path(launch: Launch, known: Known) -> str:
    """Return the project's path on the daemon's file system."""
    request = launch.request
    from claudy.host.whereami import to_host, where_am_i

    place = where_am_i(env=request.env, platform=request.platform)
    if not place.nested:
        return request.project.path
    from claudy.engine.facts import own_mounts

    mounts = own_mounts(launch.engine, request.env)
    if mounts is None and not place.host_workspace:
        return request.project.path
    found = to_host(request.project.path, place, mounts or ())
    if found is None:
        from claudy.host.finding import as_error
        from claudy.host.refusals import nested_unmounted

        raise as_error(nested_unmounted(request.project.path, known.facts.name), ClaudyError)
    return found
