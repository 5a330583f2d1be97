"""`claudy completion`: print the completion script of a shell, as it is shipped."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from claudy.cli import options
from claudy.cli.app import typer_app
from claudy.cli.console import Console
from claudy.errors import ClaudyError, UsageError

app = typer_app()
FILES = {
    "bash": "claudy.bash",
    "zsh": "_claudy",
    "fish": "claudy.fish",
    "powershell": "claudy.ps1",
}


@app.command("completion")
def completion(
    shell: Annotated[
        str, typer.Argument(metavar="bash|zsh|fish|powershell", help="The shell it is for.")
    ],
    *,
    debug: options.Debug = False,
) -> int:
    """Print a completion script; its first lines say where it goes."""
    if shell not in FILES:
        known = ", ".join(FILES)
        raise UsageError(f"There is no completion for {shell!r}.", f"use one of {known}")
    path = f"{completions_folder()}/{FILES[shell]}"
    try:
        with open(path, encoding="utf-8") as file:
            script = file.read()
    except OSError as error:
        raise ClaudyError(
            f"{path} can't be read: {error.strerror}.", "./install.sh, in a clone of claudy"
        ) from error
    Console(os.environ, debug=debug).pass_on(1, script.encode())
    return 0


def completions_folder() -> str:
    """Return where the scripts are: inside the installed package, or in the source tree."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    installed = f"{package}/_completions"
    return installed if os.path.isdir(installed) else f"{os.path.dirname(package)}/completions"
