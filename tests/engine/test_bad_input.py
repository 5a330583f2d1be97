"""What a user can get wrong: a clear error, the right exit code, nothing left, no traceback."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from claudy.host.probe import answers, is_up
from tests.engines.shell import wait_for
from tests.running.fixtures import LINGERING

if TYPE_CHECKING:
    from tests.engines.engine import Engine
    from tests.engines.values import OrdinaryUser
    from tests.running.program import Claudy, Done

NONE = ("--docker", "none")
ODD_NAMES = (
    "with space",
    "new\nline",
    "quo'te\"s",
    "ünïcödé-日本",
    "-leading-dash",
    "a,comma",
    "per%cent=equals",
    "x" * 200,
)


def refused(done: Done, code: int, *words: str) -> None:
    """Assert that a run was refused in one clear error."""
    assert done.code == code, done.said
    assert "Traceback" not in done.said
    assert "Unexpected" not in done.said
    for word in words:
        assert word in done.said


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_project_paths_work(claudy: Claudy, project: Path, name: str) -> None:
    odd = project / name
    odd.mkdir()
    done = claudy.run(*NONE, "--", "sh", "-c", "pwd; touch made", cwd=odd)
    assert (done.code, done.text) == (0, "/workspace\n"), done.said
    assert (odd / "made").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (("--no-such-option",), 2, "--no-such-option"),
        (("--host", "unix:///x", "--context", "default"), 2, "--context"),
        (("--docker", "yes"), 2, "guard, host, none"),
        (("--memory", "lots"), 2, "512m"),
        (("--cpus", "many"), 2, "CPUs"),
        (("--pids-limit", "-1"), 2, "whole number"),
        ((*NONE, "-v", "nonsense"), 2, "SRC:DST"),
        ((*NONE, "-v", "./missing:/x"), 2, "does not exist"),
        ((*NONE, "-p", "http"), 2, "--publish"),
        ((*NONE, "-p", "99999:1"), 2, "--publish"),
        ((*NONE, "-e", "=x"), 2, "no name"),
        ((*NONE, "--image", "nope:missing", "--pull", "never"), 125, "nope:missing"),
        (("no-such-directory",), 2, "No such directory"),
        (("docter",), 2, "Try: claudy doctor"),
        (("--sudo", "docter"), 2, "Try: claudy doctor"),
        (("a-file",), 2, "not a directory"),
        (("one", "two"), 2, "two"),
        (("--context", "no-such-context"), 125, "no-such-context"),
    ],
)
def test_refusals(
    claudy: Claudy, project: Path, arguments: tuple[str, ...], code: int, word: str
) -> None:
    (project / "a-file").write_text("")
    refused(claudy.run(*arguments, cwd=project), code, word, "Try:")


@pytest.mark.parametrize("wide", ["/", "HOME"])
def test_the_whole_machine_is_not_opened_unasked(claudy: Claudy, project: Path, wide: str) -> None:
    directory = claudy.environment["HOME"] if wide == "HOME" else wide
    refused(claudy.run(*NONE, directory, cwd=project), 2, "--yes")


def test_sockets_that_are_none(claudy: Claudy, project: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "directory").mkdir()
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(tmp_path / "stale"))
    stale.close()
    for name, word in (
        ("file", "it is a file"),
        ("directory", "it is a directory"),
        ("stale", "nobody listens"),
        ("missing", "does not exist"),
    ):
        elsewhere = claudy.with_environment(DOCKER_HOST=f"unix://{tmp_path}/{name}")
        refused(elsewhere.run("--", "true", cwd=project), 125, word, "DOCKER_HOST")
    assert os.path.exists(tmp_path / "file")


def test_an_engine_that_may_not_be_used_is_there(
    engine: Engine, ordinary_user: OrdinaryUser, tmp_path: Path
) -> None:
    """Whoever installs one is in no group of it yet: nobody waits for what will not come."""
    child = os.fork()
    if not child:
        code = 1
        try:
            os.setgroups([])
            os.setgid(ordinary_user.gid)
            os.setuid(ordinary_user.uid)
            code = (answers(str(engine.socket)), is_up(str(engine.socket))) != (False, True)
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert is_up(str(engine.socket))
    assert not is_up(str(tmp_path / "missing"))


@pytest.mark.once
def test_an_engine_that_never_answers(claudy: Claudy, project: Path, hang: str) -> None:
    done = claudy.with_environment(DOCKER_HOST=hang).run("--", "true", cwd=project)
    refused(done, 125, hang.removeprefix("unix://"))


def test_settings_files(claudy: Claudy, project: Path) -> None:
    (project / ".claudy.toml").write_text('dokcer = "none"\n')
    refused(claudy.run("--", "true", cwd=project), 2, "'docker'")
    (project / ".claudy.toml").write_text("docker = [\n")
    refused(claudy.run("--", "true", cwd=project), 2, "TOML")
    (project / ".claudy.toml").write_text('docker = "none"\nnetwork = "host"\nsudo = true\n')
    done = claudy.run("--", "true", cwd=project)
    assert done.code == 0, done.said
    assert "claudy trust" in done.said


def test_a_home_that_can_t_be_written_to(claudy: Claudy, project: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    elsewhere = claudy.with_environment(XDG_STATE_HOME=str(tmp_path / "file"))
    done = elsewhere.run("--docker", "guard", "--", "true", cwd=project)
    refused(done, 125, str(tmp_path / "file"), "can't be used for claudy's state")


def test_a_guard_whose_state_can_t_be_used_says_so_and_ends(claudy: Claudy, project: Path) -> None:
    state = Path(claudy.environment["XDG_STATE_HOME"], "claudy/guard")
    (state / f"project-{claudy.sandboxes(project).id}" / "start.lock").mkdir(parents=True)
    command = "timeout 20 docker start $(docker create busybox true)"
    done = claudy.run("--docker", "guard", "--", "sh", "-c", command, cwd=project)
    assert done.code in {1, 125}  # where the engine follows links, claudy itself needs it
    assert "start.lock can't be used for claudy's state: Is a directory" in done.said

    owned = f"label=claudy.project={project}"
    for one in claudy.engine.cli("ps", "--all", "--quiet", "--filter", owned).stdout.split():
        claudy.engine.cli("rm", "--force", one)

    def guards() -> list[str]:
        lines = subprocess.run(["ps", "-ewwo", "args"], capture_output=True, text=True, check=True)
        return [line for line in lines.stdout.splitlines() if f" --project {project}" in line]

    wait_for(lambda: not guards(), LINGERING, "the guard to end")
