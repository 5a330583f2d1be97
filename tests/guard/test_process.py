"""The guard as a process of this machine, as `claudy` starts it: one after another, two at once."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.engines.shell import wait_for
from tests.guard.inside import SECONDS, Inside
from tests.running.fixtures import LINGERING, claudy, claudy_command, claudy_without_image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.running.program import Claudy

__all__ = ["claudy", "claudy_command", "claudy_without_image"]

PROCESS = {"CLAUDY_DOCKER": "guard", "CLAUDY_GUARD_RUNS": "process"}
LAUNCHES = 20


@pytest.fixture
def inside(claudy: Claudy, tmp_path: Path) -> Iterator[Inside]:
    """Return an empty project; nothing of it may be left but memory and home."""
    project = (tmp_path / "project").resolve()
    project.mkdir()
    found = Inside(claudy.with_environment(**PROCESS), project)
    yield found
    found.assert_nothing_left()
    wait_for(lambda: not sockets(found), LINGERING, "the guards to go")


def sockets(inside: Inside) -> list[Path]:
    """Return what the guards of a project have in the runtime directory."""
    base = Path(inside.claudy.environment["XDG_RUNTIME_DIR"], "claudy")
    return list(base.glob(f"*{inside.name.rpartition('-')[2]}*@guard*"))


def ledger(inside: Inside) -> Path:
    """Return the file that says what the project owns."""
    state = Path(inside.claudy.environment["XDG_STATE_HOME"], "claudy/guard")
    (found,) = state.glob(f"*{inside.name.rpartition('-')[2]}/ledger.json")
    return found


def engine_id(inside: Inside) -> bytes:
    """Return the id of the engine, as it says itself."""
    return str(inside.api.request("GET", "/info")["ID"]).encode()


def test_quick_launches_one_after_another(inside: Inside) -> None:
    """The guard of the one before is still on its way out when the next has its socket."""
    for number in range(LAUNCHES):
        words = ("--", "docker", "ps")  # a client alone can't answer that
        done = inside.claudy.run(*words, cwd=inside.project, timeout=SECONDS)
        assert done.code == 0, f"launch {number}: {done.said}"


def test_two_launch_all_the_time(inside: Inside) -> None:
    """Two terminals of one project: some launches join, some are the first, all have Docker."""
    loop = f'i=0; while [ $i -lt {LAUNCHES // 2} ]; do "$@" || exit 9; i=$((i+1)); done'
    program = inside.claudy.by(("sh", "-c", loop, "sh"))
    words = ("--", "docker", "info", "-f", "{{.ID}}")  # what the client alone can't say
    with (
        program.start(*words, cwd=inside.project) as one,
        program.start(*words, cwd=inside.project) as two,
    ):
        for process in (one, two):
            out, said = process.communicate(timeout=SECONDS)
            assert process.returncode == 0, said.decode()
            assert len(out.split()) == LAUNCHES // 2
            assert set(out.split()) == {engine_id(inside)}


def test_two_sandboxes_of_one_project(inside: Inside) -> None:
    """Each has a guard of its own, and both have the project's ledger."""
    with inside.session() as one, inside.session("--new") as two:
        assert len([path for path in sockets(inside) if path.is_dir()]) == 2
        assert one.ask("docker run -d --name ours busybox sleep 600 >/dev/null; echo $?") == "0"
        assert two.ask("docker exec ours echo entered") == "entered"
        assert two.ask("docker run -d --name other busybox sleep 600 >/dev/null; echo $?") == "0"
        assert one.ask("docker exec other echo entered") == "entered"
        # Both write at the same time; none of what either made may be forgotten.
        loop = "for i in 1 2 3 4 5 6 7 8; do docker create busybox >/dev/null || echo lost; done"
        for shell in (one, two):
            shell.process.stdin.write(f"{loop}; echo done\n".encode())
        assert [shell.process.stdout.readline() for shell in (one, two)] == [b"done\n"] * 2
        assert len(json.loads(ledger(inside).read_text())["containers"]) == 18
        count = "docker ps -aq --filter ancestor=busybox --filter status=created | wc -l"
        assert [one.ask(count), two.ask(count)] == ["16", "16"]
        assert one.ask("docker rm -f other") == "other"
        assert two.ask("docker rm -f ours") == "ours"
        assert two.ask("docker container prune -f >/dev/null; echo $?") == "0"
        assert [one.ask(count), two.ask(count)] == ["0", "0"]
        assert not json.loads(ledger(inside).read_text())["intents"]


def test_the_second_guard_dies_alone(inside: Inside) -> None:
    with inside.session() as one:
        with inside.session("--new") as two:
            assert one.ask("docker run -d --name kept busybox sleep 600 >/dev/null; echo $?") == "0"
            assert two.ask("docker exec kept echo entered") == "entered"
        assert one.has_docker()
        assert one.ask("docker rm -f kept") == "kept"


def test_killed_guard_is_started_again_and_closed_meanwhile(inside: Inside) -> None:
    with inside.session() as shell:
        (noted,) = (path for path in sockets(inside) if path.name.endswith("@guard.pid"))
        os.kill(int(noted.read_text()), signal.SIGKILL)
        # Nothing else listens there: either nobody answers, or the next guard does.
        wait_for(shell.has_docker, SECONDS, "another guard")


def test_what_is_refused_is_said_and_logged(inside: Inside) -> None:
    with inside.session() as shell:
        said = shell.ask("docker run --privileged busybox 2>&1 | tail -n +1 | head -1")
        assert "claudy guard: HostConfig.Privileged" in said
        running = inside.claudy.run("logs", "--guard", cwd=inside.project)
        assert "Privileged" in running.text, running.said
    ended = inside.claudy.run("logs", "--guard", "-n", "1", cwd=inside.project)
    assert ended.text.count("\n") == 1, ended.said
    assert "403 POST" in ended.text
    assert "Privileged" in ended.text
