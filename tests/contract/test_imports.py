"""What the paths walked twenty times a day import: little, and none of the slow modules."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Each of these takes as long as Python's own start, or longer, alone or with what it pulls in.
SLOW = {
    "asyncio", "click", "dataclasses", "docker", "enum", "functools", "hashlib", "http", "inspect",
    "json", "logging", "pathlib", "platformdirs", "re", "requests", "rich", "shutil", "socket",
    "ssl", "subprocess", "tempfile", "threading", "tomllib", "typer", "typing", "urllib",
}  # fmt: skip
_ASK = """
import sys
before = set(sys.modules)
{statement}
print(*sorted(set(sys.modules) - before))
"""


def imports(statement: str) -> set[str]:
    """Return the modules that a statement imports in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-S", "-E", "-c", _ASK.format(statement=statement)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("statement", "most"),
    [
        ("import claudy.__main__", 12),
        ("import claudy.cli.launching", 45),
        ("import claudy.cli.listing", 45),
        ("import claudy.cli.launching, claudy.sandbox.remembered, claudy.sandbox.guarding", 52),
    ],
)
def test_fast_paths_import_little(statement: str, most: int) -> None:
    found = imports(statement)
    assert not found & SLOW
    assert len(found) <= most, sorted(found)


def test_the_parser_is_not_loaded_for_a_plain_launch_or_listing() -> None:
    for module in ("claudy.cli.launching", "claudy.cli.listing"):
        found = imports(f"import {module}")
        assert not [name for name in found if name.startswith(("typer", "claudy.cli.app"))]


def test_one_command_does_not_import_the_others() -> None:
    load = "from claudy.cli.app import load_command; load_command('trust')"
    found = imports(f"import site; site.main(); {load}")
    assert "claudy.cli.trust" in found
    assert not {"claudy.cli.doctor", "claudy.cli.build_image", "claudy.cli.containers"} & found
