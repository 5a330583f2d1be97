"""On an engine that remaps user ids, the sandbox's user is at home."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.engines.shell import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.engines.engine import Engine
    from tests.running.program import Claudy

UID = 1234


@pytest.mark.once
def test_the_home_belongs_to_the_user(
    claudy: Claudy, userns_engine: Engine, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    os.chown(project, UID, UID)
    there = claudy.with_environment(DOCKER_HOST=userns_engine.host)
    words = ("--docker", "none", "--image", "busybox:latest", "--", "sh", "-ec")
    wanted = {"label": [f"claudy.project={project.resolve()}"]}
    for script, said in (
        ("mkdir ~/.docker; echo kept >~/.docker/x; stat -c %u ~ ~/.docker/x", "1234\n1234\n"),
        ("cat ~/.docker/x; touch here; stat -c %u here", "kept\n1234\n"),
    ):
        done = there.run(*words, script, cwd=project, timeout=300)
        assert (done.code, done.text) == (0, said), done.said
        assert (project / "here").exists() == ("here" in script)

    def gone() -> bool:
        query = {"all": 1, "filters": wanted}
        return not userns_engine.api.request("GET", "/containers/json", query)

    wait_for(gone, 5, "the sandbox to go")
    assert not userns_engine.api.request(
        "GET", "/containers/json", {"all": 1, "filters": {"label": ["claudy.probe"]}}
    )
