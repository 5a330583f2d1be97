"""Which command a command line means."""

from __future__ import annotations

import pytest

from claudy.cli.app import split_command


@pytest.mark.parametrize(
    ("words", "command", "rest"),
    [
        ([], "run", []),
        (["ps"], "ps", []),
        (["ps", "--json"], "ps", ["--json"]),
        (["./ps"], "run", ["./ps"]),
        (["-H", "unix:///x", "ps"], "ps", ["-H", "unix:///x"]),
        (["--host=unix:///x", "ps"], "ps", ["--host=unix:///x"]),
        (["--json", "ps"], "ps", ["--json"]),
        (["-H", "ps"], "run", ["-H", "ps"]),
        (["-e", "rm", "dir"], "run", ["-e", "rm", "dir"]),
        (["--new", "dir"], "run", ["--new", "dir"]),
        (["dir", "ps"], "run", ["dir", "ps"]),
        (["--docker", "none", "."], "run", ["--docker", "none", "."]),
        (["config", "set", "image", "x"], "config", ["set", "image", "x"]),
        (["run", "ps"], "run", ["ps"]),
    ],
)
def test_the_first_free_word_decides(words: list[str], command: str, rest: list[str]) -> None:
    assert split_command(words) == (command, rest)
