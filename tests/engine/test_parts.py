"""Parts of the project that are mounted on their own: what runs inside can put a link there."""

from __future__ import annotations

import subprocess
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
    mounting.engine.cli("pause", other)  # a signal would wake it
    assert mounting.run(*LIST, cwd=project).code == 125
    mounting.engine.cli("unpause", other)
    mounting.engine.cli("stop", other)
    assert mounting.run(*LIST, cwd=project).text == "own\n"


def test_a_link_is_found_by_every_name_of_the_project(
    claudy: Claudy, project: Path, part: Path, outside: Path, tmp_path: Path
) -> None:
    (tmp_path / "alias").symlink_to(project)
    swap(part, outside)
    for name in (f"{tmp_path}/alias/part", f"{project}/part", f"{tmp_path}/alias/../alias/part"):
        done = claudy.run("-v", f"{name}:/x", *LIST, cwd=project)
        assert (done.code, done.text) == (2, ""), name
        assert "leads out of the project" in done.said


@pytest.mark.usefixtures("part")
def test_what_ends_a_sandbox_does_not_mount_what_it_swapped(
    mounting: Claudy, project: Path, outside: Path
) -> None:
    """--recreate: planned while the sandbox was running, started when it is gone."""
    keep = ("--keep", *LIST[:-3], "--", "sh", "-c")
    swapping = (
        "trap : TERM; (while ! [ -e /workspace/go ]; do :; done; cd /workspace; mv part was;"
        f" ln -s {outside} part) >/dev/null 2>&1 &"
    )
    without = mounting.with_environment(CLAUDY_VOLUMES=None)
    assert without.run(*keep, swapping, cwd=project).code == 0
    try:
        with mounting.start("--recreate", *LIST, cwd=project, stdout=subprocess.PIPE) as launch:
            (project / "go").touch()
            out, _ = launch.communicate(timeout=60)
        assert b"private" not in out
    finally:
        without.run("rm", "-y", cwd=project)


@pytest.mark.usefixtures("part")
def test_a_kept_sandbox_with_parts_is_made_anew_not_restarted(
    mounting: Claudy, project: Path
) -> None:
    keep = ("--keep", *LIST[:-3], "--", "true")
    assert mounting.run(*keep, cwd=project).code == 0
    try:
        done = mounting.run("restart", "-y", cwd=project)
        assert done.code == 125
        assert "may be a link by now" in done.said
        assert "--recreate" in done.said
    finally:
        assert mounting.run("rm", "-y", cwd=project).code == 0
