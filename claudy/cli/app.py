"""The parser: every command and option, by typer. Commands are imported when they are run."""

from __future__ import annotations

import functools
import importlib
import os
from typing import TYPE_CHECKING

import click
import typer
from typer.core import TyperGroup

from claudy.cli.console import Console, guarded
from claudy.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "run": "claudy.cli.run",
    "doctor": "claudy.cli.doctor",
    "build-image": "claudy.cli.build_image",
    "ps": "claudy.cli.containers",
    "status": "claudy.cli.containers",
    "logs": "claudy.cli.containers",
    "stats": "claudy.cli.containers",
    "stop": "claudy.cli.containers",
    "restart": "claudy.cli.containers",
    "rm": "claudy.cli.containers",
    "prune": "claudy.cli.containers",
    "config": "claudy.cli.config",
    "trust": "claudy.cli.trust",
    "completion": "claudy.cli.completion",
}
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 80}


def load_command(name: str) -> click.Command:
    """Return one command, importing its module only.

    Every command module has `app`, a typer application whose commands carry the names above.
    """
    found = _load_module(COMMANDS[name])
    if isinstance(found, TyperGroup) and name in found.commands:
        return found.commands[name]
    found.name = name
    return found


@functools.cache
def _load_module(module: str) -> click.Command:
    """Return all commands of a module: the help asks for each of them, and they take a while."""
    app: typer.Typer = importlib.import_module(module).app
    return typer.main.get_command(app)


class Commands(click.Group):
    """The top level: finds commands by name; its own options are those of `run`."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return all names in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return a command by name."""
        return load_command(cmd_name) if cmd_name in COMMANDS else None

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what claudy is, the options of a launch, and the commands."""
        formatter.write_text(
            "claudy: your project in a container in which Docker works as on the host."
        )
        formatter.write_paragraph()
        usages = (
            ("claudy", "[OPTIONS] [DIRECTORY] [-- COMMAND [ARGS...]]"),
            ("claudy", "COMMAND [OPTIONS] ..."),
        )
        for program, arguments in usages:
            formatter.write_usage(program, arguments)
        run = load_command("run")
        with click.Context(run, info_name="claudy", **CONTEXT) as inner:  # type: ignore[arg-type]
            run.format_options(inner, formatter)
        rows = []
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                rows.append((name, command.get_short_help_str(65)))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def top_level() -> Commands:
    """Return the whole parser, for help, completions and the reference."""
    return Commands("claudy", context_settings=CONTEXT)


def run_app(words: Sequence[str]) -> int:
    """Parse a command line and run it.

    Returns:
        The process's exit code.
    """
    options = list(words[: words.index("--")]) if "--" in words else list(words)
    command = list(words[len(options) + 1 :])
    debug = "--debug" in options or bool(os.environ.get("CLAUDY_DEBUG"))
    console = Console(os.environ, debug=debug, as_json="--json" in options)
    return guarded(console, lambda: _dispatch(options, command, "--" in words))


def _dispatch(options: list[str], command: list[str], separated: bool) -> int:
    if options and options[0] in ("-h", "--help"):
        return _invoke(top_level(), ["--help"])
    if options == ["--version"]:
        return _invoke(top_level(), ["--version"])
    name, rest = split_command(options)
    parser = load_command(name)
    if name != "run" and separated:
        rest = [*rest, "--", *command]
    return _invoke(parser, rest, name, command)


def split_command(options: Sequence[str]) -> tuple[str, list[str]]:
    """Return the command's name and its arguments.

    The first word that is neither an option nor an option's value decides; options before it are
    the command's own: `claudy -H URL ps` is `claudy ps -H URL`.
    """
    if not options:
        return "run", []
    if options[0] in COMMANDS:
        return options[0], list(options[1:])
    takes_value = _value_options()
    skip = False
    for at, word in enumerate(options):
        if skip:
            skip = False
        elif word.startswith("-") and word != "-":
            skip = word in takes_value
        elif word in COMMANDS:
            return word, [*options[:at], *options[at + 1 :]]
        else:
            break
    return "run", list(options)


def _value_options() -> set[str]:
    """Return the launch options that are followed by a value."""
    return {
        name
        for parameter in load_command("run").params
        if isinstance(parameter, click.Option) and not parameter.is_flag
        for name in parameter.opts
    }


def _invoke(
    parser: click.Command, arguments: list[str], name: str = "", after: Sequence[str] = ()
) -> int:
    """Run a parsed command; usage errors are claudy's own.

    Args:
        parser: the command.
        arguments: its words.
        name: its name.
        after: for `run`, the words after `--`: the command to run inside, never options.
    """
    parser.context_settings.update(CONTEXT)
    program = "claudy" if name in ("", "run") else f"claudy {name}"
    try:
        found = parser.main(arguments, prog_name=program, standalone_mode=False, obj=list(after))
    except click.UsageError as error:
        hint = f"{program} --help"
        raise UsageError(f"{error.format_message().rstrip('.')}.", hint) from error
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.Abort as error:
        raise KeyboardInterrupt from error
    return found if isinstance(found, int) else 0


def typer_app() -> typer.Typer:
    """Return an application for one command's module, without rich and without completion."""
    return typer.Typer(
        add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False,
        context_settings=CONTEXT,
    )  # fmt: skip
