"""`claudy config`: every setting, its value and where it came from."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer

from claudy.cli import options
from claudy.cli.app import typer_app
from claudy.cli.console import Console
from claudy.cli.tables import printable
from claudy.errors import ClaudyError, SettingsError
from claudy.host.places import PROJECT_FILE, config_file
from claudy.sandbox.project import find_project
from claudy.settings.load import load, read_bytes, read_text, require_known
from claudy.settings.model import BY_NAME, SETTINGS, parse

app = typer_app()
Project = Annotated[bool, typer.Option("--project", help="The project's file, not yours.")]


@app.callback()
def config() -> None:
    """Show and change settings, and where each came from."""


@app.command("show")
def show(*, as_json: options.Json = False) -> int:
    """Show every setting, its value and its source."""
    console = Console(os.environ)
    settings = load({}, os.environ, find_project(".").path)
    if as_json:
        import json

        values = {
            name: {"value": value.value, "source": value.source}
            for name, value in settings.values.items()
        }
        document = {"schema": 1, "settings": values, "untrusted": list(settings.withheld)}
        console.result(json.dumps(document, indent=2))
        return 0
    width = max(len(setting.name) for setting in SETTINGS)
    for setting in SETTINGS:
        value = settings.values[setting.name]
        shown = spell(setting.name, value.value)
        line = f"{setting.name:{width}} = {shown}"
        console.result(f"{line:{width + 28}}  # {printable(value.source)}")
    for name in settings.withheld:
        console.notice(f"{settings.project_file} also sets {name}; it waits for: claudy trust")
    return 0


@app.command("path")
def path(*, project: Project = False) -> int:
    """Print the path of the settings file."""
    Console(os.environ).result(_file(project=project))
    return 0


@app.command("set")
def set_value(
    name: Annotated[str, typer.Argument(metavar="KEY", help="The setting.")],
    value: Annotated[str, typer.Argument(help="Its value; empty: back to the default.")],
    *,
    project: Project = False,
) -> int:
    """Change a setting in the file."""
    name = name.replace("-", "_")
    require_known(name, "claudy config set")
    file = _file(project=project)
    content = _read(file, project=project) if os.path.exists(file) else {}
    if value == "":
        content.pop(name, None)
    else:
        parse(BY_NAME[name], value, "claudy config set")
        content[name] = _toml_value(name, value)
    write_file(file, content)
    Console(os.environ).notice(f"{file}: {name} {'removed' if value == '' else 'set'}.")
    return 0


@app.command("edit")
def edit(*, project: Project = False) -> int:
    """Open the settings file in your editor and check it afterwards."""
    import shlex
    import subprocess

    file = _file(project=project)
    if project and os.path.islink(file):
        raise SettingsError(f"{file} is a link, to {os.path.realpath(file)}.", f"rm {file}")
    if not os.path.exists(file):
        write_file(file, {})
    editor = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    try:
        code = subprocess.run([*editor, file], check=False).returncode
    except OSError as error:
        message = f"The editor {editor[0]!r} can't be started: {error.strerror}."
        raise ClaudyError(message, "EDITOR=nano claudy config edit") from error
    if code:
        raise ClaudyError(f"The editor {editor[0]!r} ended with {code}.")
    for name, raw in _read(file, project=project).items():
        parse(BY_NAME[name], raw, file)
    return 0


def _file(*, project: bool) -> str:
    return f"{find_project('.').path}/{PROJECT_FILE}" if project else config_file(os.environ)


def _read(path: str, *, project: bool) -> dict[str, Any]:
    """Return what a settings file says; a project's may be a link to what is the user's alone."""
    return read_text(path, read_bytes(path, follow=not project))


def spell(name: str, value: Any) -> str:
    """Return a value as it would be written in the file."""
    import json

    if name.endswith("cpus"):
        return f"{value / 1e9:g}"
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def _toml_value(name: str, value: str) -> Any:
    """Return what to write for a word from the command line."""
    default = BY_NAME[name].default
    if isinstance(default, bool):
        return BY_NAME[name].parse(value)
    if isinstance(default, tuple):
        return list(BY_NAME[name].parse(value))
    return int(value) if isinstance(default, int) and value.isdigit() else value


def write_file(path: str, content: dict[str, Any]) -> None:
    """Write a settings file at once or not at all.

    Raises:
        SettingsError: it can't be written.
    """
    import tomli_w

    # Of a name that nobody knows, and new: in a project a link may wait in its place.
    temporary = f"{path}.{os.urandom(8).hex()}"
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(temporary, "xb") as file:
            tomli_w.dump(content, file)
        os.replace(temporary, path)
    except OSError as error:
        raise SettingsError(f"{path} can't be written: {error.strerror}.") from error
