"""What the guard has written down, on a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from claudy.guard.audit import Audit
from claudy.sandbox.guarding import guard_log
from claudy.sandbox.project import find_project

if TYPE_CHECKING:
    from pathlib import Path


def test_what_a_sandbox_has_asked_for_is_no_order_to_the_terminal(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "XDG_STATE_HOME": str(tmp_path / "state")}
    (tmp_path / "project").mkdir()
    log = guard_log(environment, find_project(str(tmp_path / "project")))
    os.makedirs(os.path.dirname(log))
    Audit(log).refusal(
        "POST", "/x", 403, "\x1b]0;title\x07\x1b[2J\n2026-01-01T00:00:00Z forged \x9b"
    )
    done = subprocess.run(
        [sys.executable, "-m", "claudy", "logs", "--guard"],
        cwd=tmp_path / "project",
        env=environment | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = done.stdout.splitlines()
    assert line.isprintable()
    assert r"403 POST /x: \x1b]0;title\x07\x1b[2J\n2026" in line
