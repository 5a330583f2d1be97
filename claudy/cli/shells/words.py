"""The parser as plain values: which words there are, and what may follow them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from claudy.cli.app import CONTEXT, load_command
from claudy.record import record

if TYPE_CHECKING:
    from collections.abc import Iterable

CHOICE, DIRECTORY, FILE, TEXT, NOTHING = "choice", "directory", "file", "text", "nothing"
_DIRECTORIES = ("DIRECTORY", "DIR")
_FILES = ("SRC:DST", "FILE", "PATH")


@record
class Value:
    """What may be written in a place.

    Args:
        kind: `choice`, `directory`, `file`, `text`, or `nothing`.
        choices: for a choice: the words.
        shown: how the help calls it.
        many: whether it may be repeated.
    """

    kind: str
    choices: tuple[str, ...] = ()
    shown: str = ""
    many: bool = False


@record
class Flag:
    """An option.

    Args:
        names: how it is written, `-H` and `--host`.
        help: what it does, one line.
        value: what follows it; `nothing` for a switch.
    """

    names: tuple[str, ...]
    help: str
    value: Value


@record
class Words:
    """A command.

    Args:
        name: its name; for a command below another one just the last word.
        help: what it does, one line.
        flags: its options.
        arguments: what it takes beside them, in order.
        commands: commands below it.
    """

    name: str
    help: str
    flags: tuple[Flag, ...]
    arguments: tuple[Value, ...]
    commands: tuple[Words, ...] = ()

    @property
    def argument(self) -> Value:
        """What its first argument is."""
        return self.arguments[0] if self.arguments else Value(NOTHING)

    @property
    def with_values(self) -> tuple[str, ...]:
        """Names of the options that are followed by a value."""
        return tuple(n for flag in self.flags if flag.value.kind != NOTHING for n in flag.names)


def read_parser(names: Iterable[str]) -> tuple[Words, ...]:
    """Return the commands of these names, in their order."""
    return tuple(_words(load_command(name), name) for name in names)


def _words(command: click.Command, name: str) -> Words:
    command.context_settings.update(CONTEXT)
    context = click.Context(command, info_name=name, **CONTEXT)  # type: ignore[arg-type]
    below = command.commands if isinstance(command, click.Group) else {}
    parameters = command.get_params(context)
    return Words(
        name=name,
        help=command.get_short_help_str(200).rstrip("."),
        flags=tuple(_flag(one) for one in parameters if isinstance(one, click.Option)),
        arguments=tuple(_argument(one) for one in parameters if isinstance(one, click.Argument)),
        commands=tuple(_words(one, key) for key, one in below.items()),
    )


def _flag(option: click.Option) -> Flag:
    # The short ones first: click's own order of -h and --help differs from run to run.
    names = tuple(
        sorted((*option.opts, *option.secondary_opts), key=lambda name: (len(name), name))
    )
    help_text = (option.help or "").rstrip(".")
    if option.is_flag or option.count:
        return Flag(names, help_text, Value(NOTHING))
    return Flag(names, help_text, _value(option.metavar or "", many=option.multiple))


def _argument(argument: click.Argument) -> Value:
    shown = argument.metavar or (argument.name or "").upper()
    return _value(shown, many=argument.nargs == -1)


def _value(shown: str, *, many: bool) -> Value:
    """Return what a metavar stands for."""
    word = shown.strip("[].")
    if "|" in word:
        return Value(CHOICE, tuple(word.split("|")), shown, many)
    if word == "KEY":
        from claudy.settings.model import SETTINGS

        return Value(CHOICE, tuple(setting.name for setting in SETTINGS), shown, many)
    if word == "CHECK":
        from claudy.doctor.checks import CHECKS

        return Value(CHOICE, tuple(check.id for check in CHECKS), shown, many)
    if word.startswith(_DIRECTORIES):
        return Value(DIRECTORY, (), shown, many)
    if word.startswith(_FILES):
        return Value(FILE, (), shown, many)
    return Value(TEXT, (), shown, many)


def flatten(commands: Iterable[Words]) -> list[tuple[str, Words]]:
    """Return the commands that take words of their own, each with its whole name."""
    found: list[tuple[str, Words]] = []
    for words in commands:
        below = [(f"{words.name} {one.name}", one) for one in words.commands]
        found += below or [(words.name, words)]
    return found
