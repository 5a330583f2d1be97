"""Parts of the project that are mounted on their own: what runs inside can put a link there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.running.program import Claudy

LIST = ("--docker", "none", "--image", "busybox", "--", "ls", "/x")


@pytest.fixture
def part(project: Path) -> Path:
    """Return a directory of the project, mounted at /x by what `mounting` launches."""
    (project / "part").mkdir()
    (project / "part/own").touch()
    return project / "part"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Return a directory of the host."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/private").touch()
    return tmp_path / "outside"


@pytest.fixture
def mounting(claudy: Claudy) -> Claudy:
    return claudy.with_environment(CLAUDY_VOLUMES="./part:/x")


def swap(part: Path, outside: Path) -> None:
    part.rename(part.with_suffix(".was"))
    part.symlink_to(outside)


def test_a_part_that_has_become_a_link_is_not_mounted(
    mounting: Claudy, project: Path, part: Path, outside: Path
) -> None:
    for _ in range(3):  # also when it is remembered how the last one was started
        done = mounting.run(*LIST, cwd=project)
        assert (done.code, done.text) == (0, "own\n"), done.said
    swap(part, outside)
    done = mounting.run(*LIST, cwd=project)
    assert (done.code, done.text) == (2, "")
    assert f"{part} leads out of the project, to {outside}" in done.said
    done = mounting.run(*LIST[:-3], "-v", f"{outside}:/y", "--", "ls", "/y", cwd=project)
    assert done.code == 2
    alone = mounting.with_environment(CLAUDY_VOLUMES=None)
    done = alone.run(*LIST[:-3], "-v", f"{outside}:/y", "--", "ls", "/y", cwd=project)
    assert (done.code, done.text) == (0, "private\n"), done.said


def test_a_link_within_the_project_is_mounted(mounting: Claudy, project: Path, part: Path) -> None:
    part.rename(project / "real")
    part.symlink_to("real")
    done = mounting.run(*LIST, cwd=project)
    assert (done.code, done.text) == (0, "own\n"), done.said


def test_a_project_s_file_mounts_nothing_unasked(claudy: Claudy, project: Path, part: Path) -> None:
    (project / ".claudy.toml").write_text(f'volumes = ["./{part.name}:/x"]\n')
    done = claudy.run(*LIST, cwd=project)
    assert done.code != 0
    assert "claudy trust" in done.said
    assert claudy.run("trust", "--yes", cwd=project).code == 0
    assert claudy.run(*LIST, cwd=project).text == "own\n"


@pytest.mark.usefixtures("part")
def test_nothing_is_mounted_beside_what_could_swap_it(
    mounting: Claudy, project: Path, label: str
) -> None:
    other = mounting.engine.cli(
        "run", "-d", "--stop-timeout", "1", "--label", label, "--label",
        f"claudy.project={project.resolve()}", "busybox", "sleep", "1000",
    ).stdout.strip()  # fmt: skip
    done = mounting.run(*LIST, cwd=project)
    assert (done.code, done.text) == (125, "")
    assert "could put a link in the place of" in done.said
    mounting.engine.cli("stop", other)
    assert mounting.run(*LIST, cwd=project).text == "own\n"


def test_a_kept_sandbox_is_not_restarted_over_a_link(
    mounting: Claudy, project: Path, part: Path, outside: Path
) -> None:
    keep = ("--keep", *LIST[:-3], "--", "true")
    assert mounting.run(*keep, cwd=project).code == 0
    try:
        assert mounting.run("restart", "-y", cwd=project).code == 0
        swap(part, outside)
        done = mounting.run("restart", "-y", cwd=project)
        assert done.code == 125
        assert f"which now leads to {outside}" in done.said
    finally:
        assert mounting.run("rm", "-y", cwd=project).code == 0
