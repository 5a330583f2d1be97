"""Who the sandbox's processes are, and whom the files belong to that they make."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.engines.engine import Engine
    from tests.engines.values import OrdinaryUser
    from tests.running.program import Claudy

SOMEBODY = 23456


def test_files_belong_to_the_owner_of_the_project(claudy: Claudy, project: Path) -> None:
    os.chown(project, SOMEBODY, SOMEBODY + 1)
    script = "touch made; id -u; id -g; whoami; cd; pwd; touch kept; git init -q /workspace"
    done = claudy.run("--", "sh", "-ec", script, cwd=project)
    assert done.code == 0, done.said
    uid, gid, name, home = done.text.split()
    assert (uid, gid, home) == (str(SOMEBODY), str(SOMEBODY + 1), "/home/claudy")
    assert name
    for path in ("made", ".git"):
        status = (project / path).stat()
        assert (status.st_uid, status.st_gid) == (SOMEBODY, SOMEBODY + 1)
    # The home survives the sandbox.
    assert claudy.run("--", "test", "-e", "/home/claudy/kept", cwd=project).code == 0


def test_roots_project_has_root_inside_and_says_so(claudy: Claudy, project: Path) -> None:
    done = claudy.run("--", "sh", "-c", "id -u; touch made", cwd=project)
    assert (done.code, done.text) == (0, "0\n")
    assert "you are root inside" in done.said
    assert (project / "made").stat().st_uid == 0


@pytest.mark.once
def test_rootless_root_inside_is_the_user_outside(
    rootless_engine: Engine, claudy: Claudy, ordinary_user: OrdinaryUser, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    os.chown(project, ordinary_user.uid, ordinary_user.gid)
    for parent in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        parent.chmod(0o755)
    theirs = claudy.with_environment(DOCKER_HOST=rootless_engine.host)
    options = (
        "--image",
        "busybox:latest",
        "--pull",
        "never",
        "--docker",
        "none",
        "--network",
        "host",
    )
    done = theirs.run(*options, "--", "sh", "-c", "id -u; touch made", cwd=project)
    assert (done.code, done.text) == (0, "0\n"), done.said
    assert (project / "made").stat().st_uid == ordinary_user.uid


def test_no_new_privileges_unless_sudo_is_asked_for(claudy: Claudy, project: Path) -> None:
    os.chown(project, SOMEBODY, SOMEBODY)
    refused = claudy.run("--docker", "none", "--", "sudo", "-n", "id", "-u", cwd=project)
    assert refused.code != 0
    allowed = claudy.run("--docker", "none", "--sudo", "--", "sudo", "-n", "id", "-u", cwd=project)
    assert (allowed.code, allowed.text) == (0, "0\n"), allowed.said


def test_read_only(claudy: Claudy, project: Path) -> None:
    done = claudy.run("--docker", "none", "--read-only", "--", "touch", "made", cwd=project)
    assert done.code == 1
    assert b"Read-only file system" in done.err
    assert not list(project.iterdir())
