"""`claudy trust`: accept what the project's `.claudy.toml` asks for."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from claudy.cli import options
from claudy.cli.app import typer_app
from claudy.cli.console import Console
from claudy.errors import ClaudyError, Declined
from claudy.host.places import PROJECT_FILE
from claudy.sandbox.project import find_project
from claudy.settings.load import load_own, read_bytes, read_text
from claudy.settings.trust import accept, privileged, revoke

app = typer_app()


@app.command("trust")
def trust(
    directory: Annotated[
        str, typer.Argument(metavar="[DIRECTORY]", help="The project.", show_default=False)
    ] = ".",
    *,
    remove: Annotated[bool, typer.Option("--remove", help="Take it back.")] = False,
    yes: options.Yes = False,
    no_input: options.NoInput = False,
) -> int:
    """Accept what the project's .claudy.toml asks for."""
    console = Console(os.environ, yes=yes, no_input=no_input)
    project = find_project(directory).path
    path = f"{project}/{PROJECT_FILE}"
    if remove:  # whatever is there now: what runs in the project decides that
        known = revoke(path, os.environ)
        console.notice(f"{path} is {'no longer' if known else 'not'} trusted.")
        return 0
    if not os.path.lexists(path):
        message = f"There is no {path}: nothing waits for your trust."
        raise ClaudyError(message, "claudy config set --project KEY VALUE")
    content = read_bytes(path, follow=False)
    parsed = read_text(path, content)
    # An image is used without trust, but not pulled with the user's logins.
    names = privileged(parsed, load_own(os.environ)) + ("image",) * ("image" in parsed)
    if not names:
        console.notice(f"{path} asks for nothing that needs your trust.")
        return 0
    for name in names:
        console.result(f"{name} = {parsed[name]!r}")
    # All names once more: what is above may be too long for the screen.
    question = f"Let {path} set {', '.join(names)}, as long as the file stays as it is?"
    if not console.confirm(question):
        raise Declined("Nothing was changed.")
    accept(path, content, os.environ)
    console.notice(f"{path} is trusted.")
    return 0
