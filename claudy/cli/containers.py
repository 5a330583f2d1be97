"""The small commands over sandboxes and what they started.

Reading asks nothing. What changes something says what, and asks, unless `--yes` is given; stopping
a sandbox in which nobody is asks nothing either.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from claudy.cli import options
from claudy.cli.app import typer_app
from claudy.cli.console import Console
from claudy.cli.listing import show
from claudy.cli.scene import Scene
from claudy.cli.tables import printable
from claudy.containers.connect import here, open_engine
from claudy.containers.lifecycle import GRACE
from claudy.errors import UsageError
from claudy.sandbox.guarding import guard_log, guard_state
from claudy.sandbox.project import find_project

if TYPE_CHECKING:
    from claudy.containers.container import Container

app = typer_app()

Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[NAME]...",
        help="Sandboxes, containers they started, or compose services; default: the sandbox here.",
        show_default=False,
    ),
]
Name = Annotated[
    str,
    typer.Argument(
        metavar="[NAME]",
        help="A sandbox, a container it started, or a compose service; default: the sandbox here.",
        show_default=False,
    ),
]
Time = Annotated[
    int,
    typer.Option(
        "-t",
        "--time",
        min=0,
        metavar="SECONDS",
        help="How long processes have to end by themselves.",
    ),
]


def _console(
    *, as_json: bool = False, yes: bool = False, no_input: bool = False, debug: bool = False
) -> Console:
    return Console(os.environ, as_json=as_json, yes=yes, no_input=no_input, debug=debug)


@app.command("ps")
def ps(
    *,
    everything: Annotated[
        bool, typer.Option("-a", "--all", help="Also the containers that they started.")
    ] = False,
    as_json: options.Json = False,
    host: options.Host = None,
    context: options.Context = None,
    debug: options.Debug = False,
) -> int:
    """List the sandboxes."""
    engine = open_engine(os.environ, host=host, context=context, project=here())
    return show(_console(as_json=as_json, debug=debug), engine, everything=everything)


@app.command("status")
def status(
    name: Name = "",
    *,
    as_json: options.Json = False,
    host: options.Host = None,
    context: options.Context = None,
    debug: options.Debug = False,
) -> int:
    """Show the engine, and how a sandbox and what it started are."""
    from claudy.cli.status import report

    scene = Scene(_console(as_json=as_json, debug=debug), host, context)
    return report(scene, scene.named([name]) if name else scene.around())


@app.command("logs")
def logs(
    name: Annotated[
        str,
        typer.Argument(
            metavar="[NAME]",
            help="A container that was started, or a compose service; default: the only one.",
            show_default=False,
        ),
    ] = "",
    *,
    tail: Annotated[
        int | None,
        typer.Option("-n", "--tail", min=0, metavar="N", help="Only the last N lines."),
    ] = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until it ends.")] = False,
    guard: Annotated[
        bool, typer.Option("--guard", help="What the guard of this project has refused.")
    ] = False,
    host: options.Host = None,
    context: options.Context = None,
    debug: options.Debug = False,
) -> int:
    """Print what a container that the sandbox started has written."""
    from claudy.containers.logs import read_guard_log, read_logs

    if guard:
        from claudy.containers.guardlog import find_memory, read_sidecar_log

        project = find_project(name or ".")
        if memory := find_memory(guard_state(os.environ, project.slug)):
            engine = open_engine(os.environ, host=host, context=context, project=project.path)
            lines = read_sidecar_log(engine, memory, tail=tail, follow=follow)
        else:
            lines = read_guard_log(guard_log(os.environ, project), tail=tail, follow=follow)
        for line in lines:
            # What a sandbox has asked for is no order to this terminal.
            _console(debug=debug).result(printable(line))
        return 0

    scene = Scene(_console(debug=debug), host, context)
    around = () if name else scene.around()
    found = scene.named([name]) if name else tuple(c for c in around if not c.is_sandbox)
    if not found:
        scene.console.notice("Nothing that was started for this project is there.")
        return 0
    if len(found) > 1:
        names = ", ".join(c.name for c in found)
        raise UsageError(f"There is more than one: {names}.", f"claudy logs {found[0].name}")
    for stream, data in read_logs(scene.engine, found[0].id, tail=tail, follow=follow):
        scene.console.pass_on(stream, data)
    return 0


@app.command("stats")
def stats(
    names: Names = None,
    *,
    as_json: options.Json = False,
    host: options.Host = None,
    context: options.Context = None,
    debug: options.Debug = False,
) -> int:
    """Show the CPU, memory, network and disk that they use."""
    from claudy.cli.status import report_usage

    scene = Scene(_console(as_json=as_json, debug=debug), host, context)
    return report_usage(scene, scene.named(names) if names else scene.around())


@app.command("stop")
def stop(
    names: Names = None,
    *,
    time: Time = GRACE,
    host: options.Host = None,
    context: options.Context = None,
    yes: options.Yes = False,
    no_input: options.NoInput = False,
    debug: options.Debug = False,
) -> int:
    """Stop a sandbox or containers; the home of a sandbox stays."""
    from claudy.containers.lifecycle import remove_container
    from claudy.containers.lifecycle import stop as stop_container

    scene = Scene(_console(yes=yes, no_input=no_input, debug=debug), host, context)
    found = scene.named(names)
    if not found:
        return scene.say_nothing_here()
    scene.ask_about_sessions(found, f"Stop {', '.join(c.name for c in found)}?")

    def act(container: Container) -> None:
        if container.state in ("running", "paused", "restarting"):
            stop_container(scene.engine, container, scene.registry, grace=time)
        elif container.is_sandbox:
            remove_container(scene.engine, container, scene.registry)

    return scene.each(found, "Stopping", act)


@app.command("restart")
def restart(
    names: Names = None,
    *,
    time: Time = GRACE,
    host: options.Host = None,
    context: options.Context = None,
    yes: options.Yes = False,
    no_input: options.NoInput = False,
    debug: options.Debug = False,
) -> int:
    """Restart containers, or a sandbox that is kept (--keep)."""
    from claudy.containers.lifecycle import require_restartable
    from claudy.containers.lifecycle import restart as restart_container

    scene = Scene(_console(yes=yes, no_input=no_input, debug=debug), host, context)
    found = scene.named(names)
    if not found:
        return scene.say_nothing_here()
    for container in found:
        require_restartable(container, scene.registry)
    question = f"Restart {', '.join(c.name for c in found)}?"
    if not scene.ask_about_sessions(found, question):
        scene.ask(question)
    return scene.each(
        found,
        "Restarting",
        lambda c: restart_container(scene.engine, c, scene.registry, grace=time),
    )


@app.command("rm")
def rm(
    names: Names = None,
    *,
    volumes: Annotated[
        bool,
        typer.Option(
            "--volumes", help="Also the sandbox's home: its history, caches and logins are lost."
        ),
    ] = False,
    host: options.Host = None,
    context: options.Context = None,
    yes: options.Yes = False,
    no_input: options.NoInput = False,
    debug: options.Debug = False,
) -> int:
    """Remove a sandbox or containers by force."""
    from claudy.containers.homes import homes_of, remove_home
    from claudy.containers.lifecycle import remove_container

    scene = Scene(_console(yes=yes, no_input=no_input, debug=debug), host, context)
    found = scene.named(names)
    projects = {c.project for c in found if c.is_sandbox}
    projects |= {scene.project} if scene.project and not names else set()
    homes = homes_of(scene.engine, projects) if volumes else ()
    if not names:
        scene.registry.forget_all_but({c.name for c in scene.containers})
    if not found and not homes:
        return scene.say_nothing_here()
    lost = " History, caches and logins in it are lost." if homes else ""
    question = f"Remove {', '.join([*(c.name for c in found), *homes])}?{lost}"
    if not scene.ask_about_sessions(found, question):
        scene.ask(question)
    scene.each(
        found,
        "Removing",
        lambda c: remove_container(scene.engine, c, scene.registry),
    )
    for home in homes:
        remove_home(scene.engine, home)
        scene.console.result(home)
    return 0


@app.command("prune")
def prune(
    *,
    volumes: Annotated[
        bool,
        typer.Option(
            "--volumes",
            help="Also homes and guards' memory of projects without a sandbox.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("-n", "--dry-run", help="Say what would be removed; change nothing.")
    ] = False,
    as_json: options.Json = False,
    host: options.Host = None,
    context: options.Context = None,
    yes: options.Yes = False,
    no_input: options.NoInput = False,
    debug: options.Debug = False,
) -> int:
    """Remove what claudy made and nobody uses."""
    from claudy.cli.pruning import run_prune

    console = _console(as_json=as_json, yes=yes, no_input=no_input, debug=debug)
    engine = open_engine(os.environ, host=host, context=context, project=here())
    return run_prune(console, engine, volumes=volumes, dry_run=dry_run)
