"""`claudy build-image`: build, pull or push the bundled image."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from claudy.cli import options
from claudy.cli.app import typer_app
from claudy.cli.console import Console
from claudy.cli.progress import Progress
from claudy.containers.connect import here, open_engine
from claudy.engine.facts import known_engine
from claudy.errors import ClaudyError, UsageError
from claudy.image.context import make_recipe, parse_build_arg
from claudy.image.events import Done
from claudy.image.images import find_image, tag_image
from claudy.image.make import make_bundled, push_bundled
from claudy.image.names import parse_name
from claudy.image.reference import REPOSITORY, parse_platform, platform_of
from claudy.image.workshop import Workshop
from claudy.record import replace
from claudy.settings.load import load

if TYPE_CHECKING:
    from collections.abc import Iterable

    from claudy.engine.client import Engine
    from claudy.image.context import Recipe

app = typer_app()
_STALE = 1


@app.command("build-image")
def build_image(
    *,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Build it anew, every step of it.")
    ] = False,
    pull: Annotated[
        bool, typer.Option("--pull", help="Build it anew on the newest base image.")
    ] = False,
    platform: Annotated[
        str, typer.Option(metavar="P", help="As linux/arm64; default: the engine's own.")
    ] = "",
    build_arg: Annotated[
        list[str] | None,
        typer.Option(metavar="K[=V]", help="Argument of the Dockerfile; K takes it from here."),
    ] = None,
    tag: Annotated[str, typer.Option(metavar="T", help="One more name for the image.")] = "",
    push: Annotated[
        str, typer.Option(metavar="REGISTRY", help="Push it as REGISTRY/hal9000:<hash>.")
    ] = "",
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether it is up to date: 0 yes, 1 no.")
    ] = False,
    host: options.Host = None,
    context: options.Context = None,
    yes: options.Yes = False,
    no_input: options.NoInput = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> int:
    """Build, pull or push the bundled image."""
    console = Console(os.environ, quiet=quiet, debug=debug, yes=yes, no_input=no_input)
    if check and (push or tag or no_cache or pull):
        raise UsageError("--check changes nothing and goes with no other action.", "leave one out")
    _require_names(tag, push)
    progress = Progress(console)
    project = here()
    engine = open_engine(os.environ, host=host, context=context, project=project)
    workshop = Workshop(engine, os.environ, progress, console.confirm)
    recipe = _recipe(workshop, build_arg or (), platform)
    if check:
        return _check(console, workshop.engine, recipe.reference)
    registry = "" if no_cache or pull else load({}, os.environ, project)["registry"]
    try:
        make_bundled(workshop, recipe, registry=registry, no_cache=no_cache, fresh_base=pull)
        names = _give_names(workshop, recipe.reference, tag, push)
    except ClaudyError:
        progress(Done(failed=True))
        raise
    finally:
        progress(Done())
    console.result("\n".join(names))
    return 0


def _require_names(tag: str, push: str) -> None:
    """Refuse names that the engine would refuse after a long build."""
    if tag and ("@" in tag or tag != tag.strip()):
        raise UsageError(f"--tag {tag!r} is not NAME[:TAG].", "give NAME[:TAG]")
    for reference in (tag, f"{push.rstrip('/')}/{REPOSITORY}" if push else ""):
        if reference:
            parse_name(reference)


def _recipe(workshop: Workshop, build_args: Iterable[str], platform: str) -> Recipe:
    """Return what to build: for the engine's own platform unless another one is named."""
    given = dict(parse_build_arg(text, workshop.env) for text in build_args)
    if platform:
        return make_recipe(given, parse_platform(platform))
    recipe = make_recipe(given, "")  # refuses unknown arguments before the engine is asked
    facts = known_engine(workshop.engine, workshop.env).facts
    return replace(recipe, platform=platform_of(facts.arch))


def _check(console: Console, engine: Engine, reference: str) -> int:
    """Say whether the image is there as it has to be now."""
    if find_image(engine, reference):
        console.result(f"{reference} is up to date")
        return 0
    console.result(f"{reference} is not built yet")
    return _STALE


def _give_names(workshop: Workshop, reference: str, tag: str, push: str) -> list[str]:
    """Tag and push the image and return everything that it is called."""
    names = [reference]
    if tag:
        name = parse_name(tag)
        names.append(f"{name.repository}:{name.tag}")
        tag_image(workshop.engine, reference, names[-1])
    if push:
        names.append(push_bundled(workshop, reference, push))
    return names
