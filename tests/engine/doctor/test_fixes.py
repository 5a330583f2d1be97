"""`--fix` where an engine runs: the image and what dead sandboxes left, each asked for.

Installing, starting and clearing the way for an engine, and the group, are in `test_broken_engine`.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.engine.small import small_tree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.engines.engine import Engine
    from tests.running.program import Claudy, Done

DOCKER = Path(__file__).parents[3] / "docker"
DEAD = "claudy-dead-00000000"
AN_HOUR_ON = """\
import time
_now = time.time
time.time = lambda: _now() + 3600
"""


def entries(done: Done) -> dict[str, dict[str, Any]]:
    """Return the checks of doctor's JSON by id."""
    return {check["id"]: check for check in json.loads(done.text)["checks"]}


def names(engine: Engine) -> list[str]:
    """Return the names of the engine's containers."""
    return engine.cli("ps", "-a", "--format", "{{.Names}}").stdout.split()


def only_mine_is_left(engine: Engine, dead: str) -> bool:
    """Whether the dead sandbox is gone, and a container that claudy did not make is not."""
    return {dead, f"{dead}-mine"} & set(names(engine)) == {f"{dead}-mine"}


@pytest.fixture
def later(claudy: Claudy, tmp_path: Path) -> Claudy:
    """Return claudy an hour from now, as what is younger than two minutes may be in use.

    Only its clock is not real: the engine's can't be moved alone.
    """
    (tmp_path / "sitecustomize.py").write_text(AN_HOUR_ON)
    return claudy.with_environment(PYTHONPATH=str(tmp_path), NO_COLOR="1")


@pytest.fixture
def dead(claudy: Claudy, label: str) -> str:
    """Return the name of a container of a sandbox that never came to life."""
    marks = ("--label", label, "--label", f"claudy.sandbox={DEAD}")
    claudy.engine.cli("create", "--name", DEAD, *marks, "busybox")
    claudy.engine.cli("create", "--name", f"{DEAD}-mine", "--label", label, "busybox")
    return DEAD


def test_leftovers_are_named_and_launches_do_not_mind(
    later: Claudy, project: Path, dead: str
) -> None:
    found = entries(later.run("doctor", "--json", "leftovers", cwd=project))["leftovers"]
    assert (found["status"], found["finding"], found["fixable"]) == ("warn", "leftovers", True)
    assert found["data"]["containers"] == [dead]
    assert later.run("--image", "busybox", "--", "true", cwd=project).code == 0


def test_leftovers_stay_when_declined_and_go_when_agreed(
    later: Claudy, project: Path, dead: str
) -> None:
    with later.terminal("doctor", "--fix", "leftovers", cwd=project) as terminal:
        terminal.expect("Remove 1 container of dead sandboxes:")
        terminal.expect(f"docker rm -f {dead}")
        terminal.expect("Do it? [y/N] ")
        terminal.enter("n")
        assert terminal.end() == (0, None)
    assert dead in names(later.engine)
    with later.terminal("doctor", "--fix", "leftovers", cwd=project) as terminal:
        terminal.expect("Do it? [y/N] ")
        terminal.enter("y")
        terminal.expect(f"removing {dead}")
        terminal.expect("Changed:")
        terminal.expect("leftovers: warn")
        terminal.expect("6 ok")
        assert terminal.end() == (0, None)
    assert only_mine_is_left(later.engine, dead)


def test_leftovers_without_a_question(later: Claudy, project: Path, dead: str) -> None:
    done = later.run("doctor", "--fix", "--json", "-y", "leftovers", cwd=project)
    (fix,) = json.loads(done.text)["fixes"]
    assert (fix["id"], fix["problem"]) == ("remove-leftovers", "")
    assert fix["commands"] == [f"docker rm -f {dead}"]
    assert entries(done)["leftovers"]["status"] == "ok"
    assert only_mine_is_left(later.engine, dead)


@pytest.fixture
def imageless(claudy: Claudy, tmp_path: Path, label: str) -> Iterator[Claudy]:
    """Return claudy on an engine that does not have its image, which is a small one.

    Nor another version of it: those lose their names until the test is over.
    """
    cli = claudy.engine.cli
    names = cli("images", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}", "hal9000").stdout
    kept = dict(line.split() for line in names.splitlines())
    for name, image in kept.items():
        cli("tag", image, f"claudy-test-{name}")
        cli("rmi", name)
    root = tmp_path / "tree"
    root.mkdir()
    try:
        with small_tree(root, label, claudy) as small:
            shutil.copy(DOCKER / "claudy-init", root / "docker")
            init = "/usr/libexec/claudy/init"
            small.write(more=f"COPY claudy-init {init}\nRUN chmod 755 {init}")
            yield small.command(claudy)
    finally:
        for name in kept:
            cli("tag", f"claudy-test-{name}", name)
            cli("rmi", f"claudy-test-{name}")


def test_a_missing_image_is_built_and_claudy_launches(
    imageless: Claudy, project: Path, label: str
) -> None:
    before = entries(imageless.run("doctor", "--json", "image", cwd=project))["image"]
    assert (before["status"], before["finding"]) == ("fail", "image-missing")
    with imageless.terminal("doctor", "--fix", "image", cwd=project) as declined:
        declined.expect("Build the image of the sandbox:")
        declined.expect("claudy build-image")
        declined.expect("Do it? [y/N] ")
        declined.enter("n")
        assert declined.end() == (1, None)
    after = entries(imageless.run("doctor", "--json", "image", cwd=project))["image"]
    assert after["finding"] == "image-missing"
    done = imageless.run("doctor", "--fix", "-y", "image", cwd=project, timeout=600)
    assert done.code == 0, done.said
    assert "changed image: fail -> ok" in done.text
    assert "Building hal9000:" in done.said
    launch = imageless.run("--", "cat", "/etc/label", cwd=project)
    assert (launch.code, launch.text) == (0, f"{label}\n"), launch.said


@pytest.mark.first(2)
def test_the_guards_image_is_built_and_claudy_launches(claudy: Claudy, project: Path) -> None:
    """Doctor builds nothing unasked, not even the image of a guard that runs in a container."""
    beside = claudy.with_environment(CLAUDY_GUARD_RUNS="sidecar")
    found = claudy.engine.cli("images", "-q", "claudy-guard").stdout.split()
    if found:
        claudy.engine.cli("rmi", "-f", *dict.fromkeys(found))
    before = beside.run("doctor", "--json", "sandbox", cwd=project)
    image = entries(before)["image"]
    assert (image["finding"], image["remedy"]) == ("guard-image-missing", "claudy -- true")
    assert entries(before)["sandbox"]["status"] == "skip"
    done = beside.run("doctor", "--fix", "--json", "-y", "ping", cwd=project, timeout=600)
    assert done.code == 0, done.said
    assert entries(done)["sandbox"]["data"]["guard"] == "container"
    assert entries(done)["ping"]["status"] == "ok"
    assert beside.run("--", "true", cwd=project).code == 0
    assert entries(claudy.run("doctor", "--json", "ping", cwd=project))["sandbox"]["data"][
        "guard"
    ] == ("process")
