"""The help of every command shows all of it and fits a terminal of 80 columns."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from claudy.cli.app import COMMANDS
from claudy.cli.quick import SUBCOMMANDS
from claudy.cli.shells.words import flatten, read_parser

ROOT = Path(__file__).parents[2]
ALL = dict(flatten(read_parser(COMMANDS)))


def help_of(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "claudy", *words, "--help"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_fast_path_knows_every_command() -> None:
    assert set(COMMANDS) == SUBCOMMANDS


def test_the_top_shows_the_launch_options_and_every_command() -> None:
    text = help_of()
    assert max(map(len, text.splitlines())) <= 80
    for flag in ALL["run"].flags:
        for name in flag.names:
            assert f"{name}" in text
    for name in COMMANDS:
        assert f"\n  {name} " in text
    assert "..." not in text.partition("Commands:")[2]


def test_what_is_run_inside_is_shown() -> None:
    usage = "claudy [OPTIONS] [DIRECTORY] [-- COMMAND [ARGS...]]\n"
    assert usage in help_of()
    assert help_of("run").startswith(f"Usage: {usage}")


@pytest.mark.parametrize("path", sorted(ALL))
def test_a_command_shows_all_of_it(path: str) -> None:
    text = help_of(*path.split())
    assert max(map(len, text.splitlines())) <= 80
    assert text.startswith("Usage: claudy")
    for flag in ALL[path].flags:
        for name in flag.names:
            assert name in text
        if flag.names != ("-h", "--help"):
            assert flag.help
    for value in ALL[path].arguments:
        assert value.shown in text
