"""Fixtures of the tests that run claudy; imported by the `conftest.py` of each folder with such."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.engines.shell import EngineError, wait_for
from tests.running.program import Claudy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.engines.engine import Engine

_ROOT = Path(__file__).parents[2]
LINGERING = 5.0
"""Seconds after which nothing of a sandbox may be left (product.md's promise for `kill -9`)."""
_KEPT = ("PATH", "LANG", "TMPDIR")


@pytest.fixture(scope="session")
def claudy_command(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Return the console script, made for this tree where it is not installed."""
    installed = Path(sys.executable).with_name("claudy")
    if installed.exists():
        return (str(installed),)
    script = tmp_path_factory.mktemp("bin") / "claudy"
    script.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path[0] = {str(_ROOT)!r}\n"
        "from claudy.__main__ import main\nsys.exit(main())\n"
    )
    script.chmod(0o755)
    return (str(script),)


@pytest.fixture(scope="session")
def claudy_without_image(
    engine: Engine, claudy_command: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> Claudy:
    """Return claudy with a home and places of its own; the engine may not have the image yet."""
    home = tmp_path_factory.mktemp("home")
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    docker = {"DOCKER_HOST": engine.host, "DOCKER_CONFIG": str(engine.settings)}
    environment = kept | docker | places(home)
    return Claudy(claudy_command, environment, engine)


@pytest.fixture(scope="session")
def claudy(claudy_without_image: Claudy) -> Claudy:
    """Return claudy with a home and places of its own, and the engine of this run."""
    # Once for an engine; after that a launch finds it.
    built = claudy_without_image.run("build-image", cwd="/", timeout=900)
    assert built.code == 0, built.said
    return claudy_without_image


def places(home: Path) -> dict[str, str]:
    """Return the variables that keep all of claudy's files below a home directory."""
    runtime = home / "run"
    runtime.mkdir(mode=0o700)
    return {
        "HOME": str(home),
        "USER": "tester",
        "XDG_RUNTIME_DIR": str(runtime),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "XDG_STATE_HOME": str(home / ".local/state"),
    }


@pytest.fixture
def project(tmp_path: Path, claudy: Claudy) -> Iterator[Path]:
    """Return an empty project; fails if anything of its sandbox is left when the test is over."""
    path = tmp_path / "project"
    path.mkdir()
    yield path
    assert_nothing_left(claudy, path)


def assert_nothing_left(claudy: Claudy, project: Path) -> None:
    """Fail if a project's sandbox, or its entry in the registry, is still there after 5 s."""
    claudy.sandboxes(project).wait_gone(LINGERING)
    try:
        wait_for(lambda: not registry_entries(claudy, project), LINGERING, "an empty registry")
    except EngineError as error:
        left = [str(f) for e in registry_entries(claudy, project) for f in (e, *e.rglob("*"))]
        raise AssertionError(f"left in the registry: {' '.join(left)}") from error


def registry_entries(claudy: Claudy, project: Path) -> list[Path]:
    """Return what claudy has noted of a project's sandboxes in its runtime directory."""
    registry = Path(claudy.environment["XDG_RUNTIME_DIR"], "claudy")
    return list(registry.glob(f"*{claudy.sandboxes(project).id}*"))


@pytest.fixture(scope="module")
def shared(claudy: Claudy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a project whose sandbox runs already, held open by a session that does nothing."""
    path = tmp_path_factory.mktemp("shared")
    with claudy.start("--", "cat", cwd=path, stdout=subprocess.PIPE) as holder:
        assert holder.stdin
        assert holder.stdout
        holder.stdin.write(b"open\n")
        assert holder.stdout.read(5) == b"open\n"
        yield path
        holder.stdin.close()
        assert holder.wait(LINGERING) == 0
    assert_nothing_left(claudy, path)
