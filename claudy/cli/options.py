"""Options that several commands share, declared once."""

from __future__ import annotations

from typing import Annotated

import typer

Host = Annotated[
    str | None,
    typer.Option("-H", "--host", metavar="URL", help="Engine to use, as in the docker CLI."),
]
Context = Annotated[
    str | None,
    typer.Option("-c", "--context", metavar="NAME", help="Docker context to use."),
]
Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object.")]
Yes = Annotated[bool, typer.Option("-y", "--yes", help="Answer every question with yes.")]
NoInput = Annotated[
    bool, typer.Option("--no-input", help="Never ask; a needed answer is an error.")
]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No notices and no progress.")]
Debug = Annotated[bool, typer.Option("--debug", help="Say what is decided; tracebacks.")]
Version = Annotated[bool, typer.Option("--version", help="Print the version.")]
