"""A project with what claudy and the docker CLI trust in it is not opened without a question."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.running.program import Claudy


@pytest.mark.parametrize("how", ["CLAUDY_CONFIG", "config", "DOCKER_CONFIG", "config.json"])
def test_it_is_asked_about(claudy: Claudy, project: Path, tmp_path: Path, how: str) -> None:
    if how == "CLAUDY_CONFIG":
        (project / "own.toml").touch()
        asked = claudy.with_environment(CLAUDY_CONFIG="own.toml")
    elif how == "config":
        (project / "own.toml").touch()
        place = tmp_path / "config/claudy/config.toml"
        place.parent.mkdir(parents=True)
        place.symlink_to(project / "own.toml")
        asked = claudy.with_environment(XDG_CONFIG_HOME=str(tmp_path / "config"))
    else:
        (project / "docker").mkdir()
        (project / "docker/config.json").write_text(json.dumps({"credsStore": "x/evil"}))
        place = project / "docker"
        if how == "config.json":
            place = tmp_path / "docker"
            place.mkdir()
            (place / "config.json").symlink_to(project / "docker/config.json")
        asked = claudy.with_environment(DOCKER_CONFIG=str(place))
    done = asked.run("--docker", "none", "--image", "busybox", "--", "true", cwd=project)
    assert done.code == 2
    assert "what they trust" in done.said
    assert "--yes" in done.said
