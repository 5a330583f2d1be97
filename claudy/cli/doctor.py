"""`claudy doctor`."""

from __future__ import annotations

from claudy.cli.app import typer_app

app = typer_app()


@app.command("doctor")
def doctor() -> int:
    """Say what is wrong and mend it."""
    raise NotImplementedError
