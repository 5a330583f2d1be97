"""`claudy run`, which is `claudy` itself: open the project's sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperCommand

from claudy.cli import options
from claudy.cli.app import typer_app
from claudy.cli.console import print_plain
from claudy.cli.launching import console_for, launch_with

if TYPE_CHECKING:
    import click

app = typer_app()
List = list[str] | None


class Run(TyperCommand):
    """The command, whose words after `--` never come to the parser: they are not options."""

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Return what its usage shows."""
        return [*super().collect_usage_pieces(ctx), "[-- COMMAND [ARGS...]]"]


@app.command("run", cls=Run)
def run(
    ctx: typer.Context,
    directory: Annotated[
        str, typer.Argument(metavar="[DIRECTORY]", help="The project.", show_default=False)
    ] = ".",
    *,
    docker: Annotated[
        str | None,
        typer.Option(metavar="guard|host|none", help="How the sandbox reaches Docker."),
    ] = None,
    host: options.Host = None,
    context: options.Context = None,
    image: Annotated[
        str | None, typer.Option(metavar="REF", help="Use that image instead of the bundled one.")
    ] = None,
    pull: Annotated[
        str | None, typer.Option(metavar="missing|always|never", help="When to pull it.")
    ] = None,
    env: Annotated[
        List,
        typer.Option("-e", "--env", metavar="K[=V]", help="Environment inside; K passes it on."),
    ] = None,
    volumes: Annotated[
        List, typer.Option("-v", "--volume", metavar="SRC:DST[:ro]", help="Mount something more.")
    ] = None,
    publish: Annotated[
        List, typer.Option("-p", "--publish", metavar="PORT", help="Publish, as in docker run.")
    ] = None,
    network: Annotated[
        str | None, typer.Option(metavar="NAME", help="Network of the sandbox.")
    ] = None,
    cpus: Annotated[str | None, typer.Option(metavar="N", help="Limit of CPUs.")] = None,
    memory: Annotated[str | None, typer.Option(metavar="SIZE", help="Limit of memory.")] = None,
    pids_limit: Annotated[str | None, typer.Option(metavar="N", help="Limit of processes.")] = None,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Mount the project read-only.")
    ] = False,
    sudo: Annotated[bool, typer.Option("--sudo", help="Passwordless sudo inside.")] = False,
    new: Annotated[bool, typer.Option("--new", help="A second sandbox of this project.")] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave it running after the last session.")
    ] = False,
    recreate: Annotated[bool, typer.Option("--recreate", help="Replace a running one.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the docker run line; change nothing.")
    ] = False,
    yes: options.Yes = False,
    no_input: options.NoInput = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
    version: options.Version = False,
) -> int:
    """Open the project's sandbox (same as claudy without a command)."""
    if version:
        from claudy import __version__

        return print_plain(f"claudy {__version__}")
    options = {
        "docker": docker,
        "host": host,
        "context": context,
        "image": image,
        "pull": pull,
        "env": env,
        "volumes": volumes,
        "publish": publish,
        "network": network,
        "cpus": cpus,
        "memory": memory,
        "pids_limit": pids_limit,
        "read_only": read_only,
        "sudo": sudo,
        "new": new,
        "keep": keep,
        "recreate": recreate,
        "dry_run": dry_run,
        "yes": yes,
        "no_input": no_input,
        "quiet": quiet,
        "debug": debug,
    }
    return launch_with(console_for(options), directory, options, ctx.obj or ())
