"""Nothing of a project begins to run while a guard makes it stand still for an old engine."""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from claudy.guard.opening import FROZEN
from claudy.guard.start import LOCK
from claudy.sandbox.guarding import guard_state
from claudy.sandbox.project import slug_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.running.program import Claudy

AWHILE = 1.5  # seconds in which a sandbox would run, were it not kept from that
NONE = ("--docker", "none", "--image", "busybox")
MARK = ("--", "touch", "/workspace/ran")


def follows_links(claudy: Claudy) -> bool:
    version = claudy.engine.api.request("GET", "/version")["ApiVersion"]
    return tuple(map(int, version.split("."))) < (1, 45)


@pytest.fixture(name="ledger")
def ledger_of(claudy: Claudy, project: Path) -> Path:
    """Return the directory of the project's guards."""
    path = guard_state(claudy.environment, slug_of(str(project.resolve())))
    os.makedirs(path, 0o700, exist_ok=True)
    return Path(path)


@pytest.fixture
def still(ledger: Path) -> Iterator[int]:
    """Hold the lock as a guard does that lets the engine mount."""
    number = os.open(ledger / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(number, fcntl.LOCK_EX)
    yield number
    os.close(number)


def test_a_launch_waits(claudy: Claudy, project: Path, still: int) -> None:
    with claudy.start(*NONE, *MARK, cwd=project) as launch:
        try:
            launch.wait(AWHILE)
        except subprocess.TimeoutExpired:
            pass
        ran = (project / "ran").exists()
        assert ran != follows_links(claudy)  # newer engines need no wait
        fcntl.flock(still, fcntl.LOCK_UN)
        assert launch.wait(60) == 0
    assert (project / "ran").exists()


def test_nothing_is_woken_and_says_why(claudy: Claudy, project: Path, ledger: Path) -> None:
    if not follows_links(claudy):
        return
    assert claudy.run(*NONE, "--keep", "--", "true", cwd=project).code == 0
    try:
        name = claudy.sandboxes(project).only()["Name"].lstrip("/")
        with open(ledger / LOCK, "w") as lock, ThreadPoolExecutor() as pool:
            fcntl.flock(lock, fcntl.LOCK_EX)
            claudy.engine.cli("pause", name)
            commands = (
                (*NONE, *MARK),
                (*NONE, "--new", *MARK),
                ("restart", "--yes", name),
                ("stop", "--yes", name),
            )
            for done in pool.map(lambda words: claudy.run(*words, cwd=project), commands):
                assert done.code == 125, done.said
                assert "stands still" in done.said
            assert claudy.sandboxes(project).only()["State"]["Paused"]
        assert not (project / "ran").exists()
    finally:
        claudy.run("rm", "--yes", cwd=project)


def test_what_a_dead_guard_has_paused_is_let_go_first(
    claudy: Claudy, project: Path, ledger: Path
) -> None:
    """A new guard lets it go, and only then the new sandbox runs."""
    (ledger / FROZEN).write_text('["x"]')
    began = time.monotonic()
    done = claudy.run("--image", "busybox", *MARK, cwd=project)
    assert done.code == 0, done.said
    assert time.monotonic() - began < 10
    if follows_links(claudy):
        assert not (ledger / FROZEN).exists()


def test_doctor_s_container_waits(claudy: Claudy, project: Path, still: int) -> None:
    if not follows_links(claudy):
        return
    done = claudy.run("doctor", "bind-mount", cwd=project)
    assert "stands still" in done.text
    fcntl.flock(still, fcntl.LOCK_UN)
    done = claudy.run("doctor", "bind-mount", cwd=project)
    assert done.code == 0, done.text
