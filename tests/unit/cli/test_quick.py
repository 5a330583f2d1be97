"""What is read without the option parser is what the parser would have read."""

from __future__ import annotations

from typing import Any

import click
import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from claudy.cli.app import CONTEXT, load_command, split_command
from claudy.cli.quick import LISTS, SUBCOMMANDS, SWITCHES, VALUES, read

RUN = load_command("run")
OPTIONS = [p for p in RUN.params if isinstance(p, click.Option)]
NAMES = sorted([*VALUES, *LISTS, *SWITCHES])


def parsed(words: list[str]) -> tuple[str, dict[str, Any]] | None:
    """Return what the parser makes of a command line; None if it is none of a launch."""
    name, rest = split_command(words)
    if name != "run":
        return None
    try:
        with RUN.make_context("claudy", rest, **CONTEXT) as context:  # type: ignore[arg-type]
            found = dict(context.params)
    except (click.UsageError, click.exceptions.Exit):
        return None
    directory = found.pop("directory")
    given = {k: list(v) if isinstance(v, tuple) else v for k, v in found.items()}
    return directory, {k: v for k, v in given.items() if v not in (None, False, [])}


def test_it_knows_every_option_but_those_that_ask_about_claudy() -> None:
    known = {name for option in OPTIONS for name in (*option.opts, *option.secondary_opts)}
    assert known - set(NAMES) == {"--version"}
    assert set(NAMES) <= known
    for option in OPTIONS:
        for name in set(option.opts) - {"--version"}:
            kind = SWITCHES if option.is_flag else LISTS if option.multiple else VALUES
            assert kind[name] == option.name


words = st.lists(
    st.one_of(
        st.sampled_from(NAMES),
        st.builds("{}={}".format, st.sampled_from(NAMES), st.sampled_from(["", "x", "a=b", "-"])),
        st.builds("{}{}".format, st.sampled_from(NAMES), st.sampled_from(["", "x", "q"])),
        st.sampled_from(["", "-", ".", "dir", "-qy", "--dock", "-h", "--help", "--version", "-x"]),
        st.sampled_from(sorted(SUBCOMMANDS)),
        st.text(max_size=4),
    ),
    max_size=5,
)


@for_all(words)
def test_it_reads_what_the_parser_reads_or_nothing(line: list[str]) -> None:
    found = read(line)
    assert found is None or found == parsed(line)


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ("--docker none", {"docker": "none"}),
        ("--docker=none --image=", {"docker": "none", "image": ""}),
        ("-e A=1 --env B -p 80 --publish=81", {"env": ["A=1", "B"], "publish": ["80", "81"]}),
        ("--keep --new -q", {"keep": True, "new": True, "quiet": True}),
        ("--memory 1g --memory 2g", {"memory": "2g"}),
    ],
)
@pytest.mark.parametrize("directory", ["", "my-app"])
def test_plain_ways_to_write_them_need_no_parser(
    line: str, options: dict[str, Any], directory: str
) -> None:
    for where in ([*line.split(), *directory.split()], [*directory.split(), *line.split()]):
        assert read(where) == (directory or ".", options)


@pytest.mark.parametrize("line", ["-qy", "--dock none", "--cpus", "--cpus -1", "a b", "ps", "-"])
def test_what_is_not_plain_is_the_parsers(line: str) -> None:
    assert read(line.split()) is None
