"""An engine that stops in the middle of a session."""

from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.running.program import SECONDS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.engines.engine import Engine
    from tests.running.program import Claudy


@pytest.mark.parametrize(
    ("mode", "force"),
    [("guard", False), ("guard", True), ("none", False), ("none", True), ("sidecar", False)],
    ids=["guard-stopped", "guard-killed", "none-stopped", "none-killed", "sidecar-stopped"],
)
def test_the_session_ends_nothing_is_left_and_the_next_one_works(
    claudy: Claudy, project: Path, engine: Engine, mode: str, *, force: bool
) -> None:
    if engine.place is None:
        pytest.skip("the machine's own engine is not the tests' to stop")
    if mode == "sidecar":
        claudy, mode = claudy.with_environment(CLAUDY_GUARD_RUNS="sidecar"), "guard"
    docker = ("--docker", mode)
    lasting = ("--", "sh", "-c", "echo open; exec sleep 1000")
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with claudy.start(*docker, *lasting, cwd=project, **pipes) as session:
        assert session.stdout
        assert session.stderr
        assert session.stdout.read(5) == b"open\n"
        with engine.stopped(force=force):
            code = session.wait(SECONDS)
        said = session.stderr.read().decode()
    assert "Traceback" not in said
    if force:
        # Nobody knows how the command ended.
        assert code == 125, said
        assert str(engine.socket) in said
        assert "Try: " in said
    else:
        # An engine that is told to stop ends the command, and says how.
        assert code == 128 + signal.SIGKILL
    done = claudy.run(*docker, "--", "echo", "again", cwd=project)
    assert (done.code, done.text) == (0, "again\n"), done.said
