"""install.sh by itself: an ordinary user, places with spaces in their names, no network."""

from __future__ import annotations

import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.engines.layout import USER_ID
from tests.setup.tree import TREE, copy_tree, package_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

_PATH = "/usr/bin:/bin"


@dataclass(frozen=True)
class Place:
    """A copy of the tree and a home for it.

    Args:
        tree: The copy.
        home: The home directory.
        user: The command prefix that becomes its owner.
    """

    tree: Path
    home: Path
    user: tuple[str, ...]

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command there, as that user, with nothing else in the environment."""
        settings = {"HOME": str(self.home), "PATH": _PATH, **package_settings(), **variables}
        environment = [f"{name}={value}" for name, value in settings.items()]
        return subprocess.run(
            [*self.user, "env", "-i", *environment, *command],
            cwd=self.home, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip


@pytest.fixture
def place() -> Iterator[Place]:
    """Return a tree and a home whose names have spaces, an ordinary user's if root runs this."""
    # Not in pytest's own directory, which other users can't enter.
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="claudy test ") as name:
        folder = Path(name)
        place = Place(folder / "my clone", folder / "my home", ())
        copy_tree(place.tree)
        place.home.mkdir()
        if os.geteuid() == 0:
            for path in (folder, *folder.glob("**/*")):
                os.chown(path, USER_ID, USER_ID, follow_symlinks=False)
            user = ("setpriv", f"--reuid={USER_ID}", f"--regid={USER_ID}", "--clear-groups")
            place = Place(place.tree, place.home, user)
        yield place


def test_an_ordinary_user_installs_for_itself_and_no_network_breaks_nothing(place: Place) -> None:
    new_enough = "import ensurepip, sys; sys.exit(sys.version_info < (3, 11))"
    if place.run("/usr/bin/python3", "-c", new_enough).returncode:
        pytest.skip("needs a Python 3.11 or newer with venv in /usr/bin")
    script = str(place.tree / "install.sh")
    command = place.home / ".local/bin/claudy"
    installations = place.home / ".local/share/claudy"
    away = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0"}

    place.run("mkdir", "-p", str(installations / "venv-of-an-older-one"))
    done = place.run("sh", script)
    assert done.returncode == 0, done.stderr
    assert f"is at {command}" in done.stderr
    assert f'export PATH="{command.parent}:$PATH"' in done.stderr
    version = place.run(str(command), "--version")
    assert version.returncode == 0, version.stderr
    (installed,) = installations.iterdir()

    done = place.run("sh", script, **away)
    assert done.returncode == 1
    assert "nothing was changed: pip could not install claudy" in done.stderr.splitlines()[-1]
    assert list(installations.iterdir()) == [installed]
    assert place.run(str(command), "--version").stdout == version.stdout


def test_an_unknown_option_is_named() -> None:
    done = subprocess.run(
        ["sh", str(TREE / "install.sh"), "--opne"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("install.sh: unknown option --opne; see:")
