"""When a sandbox comes and when it goes."""

from __future__ import annotations

import json
import os
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.running.fixtures import LINGERING, assert_nothing_left, registry_entries
from tests.running.program import SECONDS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.engines.engine import Engine
    from tests.running.program import Claudy


TIMES = 30


@pytest.fixture(name="claudy")
def without_docker(claudy: Claudy) -> Claudy:
    """Return claudy that starts a sandbox in half the time, without a network of its own."""
    return claudy.with_environment(CLAUDY_DOCKER="none", CLAUDY_NETWORK="host")


def test_names_labels_and_environment(claudy: Claudy, project: Path) -> None:
    with claudy.start("--", "cat", cwd=project) as session:
        sandboxes = claudy.sandboxes(project)
        sandboxes.wait_running()
        found = sandboxes.only()
        name = f"claudy-project-{sandboxes.id}"
        assert found["Name"] == f"/{name}"
        labels = found["Config"]["Labels"]
        assert labels["claudy.sandbox"] == name
        assert labels["claudy.project"] == str(project.resolve())
        assert {"claudy.created", "claudy.version"} <= labels.keys()
        assert "no-new-privileges" in found["HostConfig"]["SecurityOpt"]
        env = dict(pair.partition("=")[::2] for pair in found["Config"]["Env"])
        assert env["CLAUDY"] == "1"
        assert env["CLAUDY_SANDBOX"] == name
        assert env["CLAUDY_PROJECT_ID"] == sandboxes.id
        assert env["CLAUDY_HOST_WORKSPACE"] == str(project.resolve())
        assert session.stdin
        session.stdin.close()
        assert session.wait(LINGERING) == 0


def test_new_is_a_second_sandbox(claudy: Claudy, project: Path) -> None:
    with claudy.start("--", "cat", cwd=project) as session:
        claudy.sandboxes(project).wait_running()
        second = claudy.run("--new", "--", "sh", "-c", "echo $CLAUDY_SANDBOX", cwd=project)
        assert second.text == f"claudy-project-{claudy.sandboxes(project).id}-2\n"
        assert session.stdin
        session.stdin.close()


def test_keep_leaves_it_running_until_it_is_removed(claudy: Claudy, project: Path) -> None:
    assert claudy.run("--keep", "--", "sh", "-c", "touch ~/mark", cwd=project).code == 0
    claudy.sandboxes(project).wait_running()
    assert claudy.run("--", "sh", "-c", "test -e ~/mark", cwd=project).code == 0
    claudy.sandboxes(project).wait_running()
    assert claudy.run("rm", "--yes", cwd=project).code == 0


def test_keep_is_kept_when_the_registry_is_lost(claudy: Claudy, project: Path) -> None:
    """As a runtime directory is, with its user's last login."""
    assert claudy.run("--keep", "--", "true", cwd=project).code == 0
    sandbox = claudy.sandboxes(project).only()["Id"]
    for entry in registry_entries(claudy, project):
        shutil.rmtree(entry)
    assert claudy.run("--", "true", cwd=project).code == 0
    assert claudy.sandboxes(project).only()["Id"] == sandbox
    assert claudy.run("rm", "--yes", cwd=project).code == 0


def test_recreate_asks_when_somebody_is_in_it(claudy: Claudy, project: Path) -> None:
    with claudy.start("--", "cat", cwd=project) as session:
        claudy.sandboxes(project).wait_running()
        refused = claudy.run("--recreate", "--", "true", cwd=project)
        assert refused.code == 2
        assert "--yes" in refused.said
        assert session.poll() is None
        assert claudy.run("--recreate", "--yes", "--", "true", cwd=project).code == 0
        assert session.wait(LINGERING) == 128 + signal.SIGKILL


def test_one_after_the_other(claudy: Claudy, project: Path) -> None:
    codes = [claudy.run("--", "true", cwd=project).code for _ in range(TIMES)]
    assert codes == [0] * TIMES


def test_fifty_at_once_in_ten_projects(claudy: Claudy, tmp_path: Path) -> None:
    projects = [tmp_path / f"p{number}" for number in range(10)]
    for project in projects:
        project.mkdir()

    def launch(number: int) -> tuple[int, str, str]:
        project = projects[number % 10]
        script = f"echo {number} >> seen; echo $CLAUDY_SANDBOX; sleep 0.2"
        option = ("--docker", "none") if number % 2 else ()  # another way through the launch
        done = claudy.run(*option, "--", "sh", "-c", script, cwd=project, timeout=300)
        return done.code, done.text.strip(), done.said

    with ThreadPoolExecutor(50) as pool:
        results = list(pool.map(launch, range(50)))
    assert [(code, said) for code, _, said in results if code] == []
    for number, project in enumerate(projects):
        assert len({results[n][1] for n in range(number, 50, 10)}) == 1
        seen = (project / "seen").read_text().split()
        assert sorted(map(int, seen)) == list(range(number, 50, 10))
        assert_nothing_left(claudy, project)


def test_what_a_killed_session_left_is_cleared_by_the_last_one(
    claudy: Claudy, project: Path
) -> None:
    with claudy.start("--", "cat", cwd=project) as session:
        claudy.sandboxes(project).wait_running()
        (entry,) = (one for one in registry_entries(claudy, project) if one.is_dir())
        (entry / f"s-{'0' * 32}").touch()  # a seat whose lock nobody holds
        assert session.stdin
        session.stdin.close()
        assert session.wait(LINGERING) == 0
    assert_nothing_left(claudy, project)


def test_joined_before_the_first_process_handles_signals(
    claudy: Claudy, engine: Engine, project: Path, tmp_path: Path, label: str
) -> None:
    # The first process takes a second to come to its shell, and a joiner two to the command.
    slow = "#!/bin/busybox sh\n[ $$ = 1 ] || busybox sleep 1\nbusybox sleep 1\nexec busybox sh"
    (tmp_path / "sh").write_text(slow + ' "$@"\n')
    (tmp_path / "sh").chmod(0o755)
    (tmp_path / "Dockerfile").write_text("FROM busybox\nCOPY sh /slow\nRUN mv /slow /bin/sh\n")
    image = engine.cli("build", "--quiet", f"--label={label}", str(tmp_path)).stdout.strip()
    words = ("--image", image, "--")
    with claudy.start(*words, "busybox", "sleep", "0.3", cwd=project) as first:
        claudy.sandboxes(project).wait_running()
        joined = claudy.run(*words, "busybox", "echo", "joined", cwd=project)
        assert (joined.code, joined.text) == (0, "joined\n"), joined.said
        assert first.wait(LINGERING) == 0
    assert_nothing_left(claudy, project)


def test_removed_under_a_session(claudy: Claudy, engine: Engine, project: Path) -> None:
    with claudy.start("--", "cat", cwd=project) as session:
        claudy.sandboxes(project).wait_running()
        engine.cli("rm", "-f", claudy.sandboxes(project).only()["Id"])
        assert session.wait(LINGERING) == 128 + signal.SIGKILL


def test_a_leftover_with_the_name_is_replaced(
    claudy: Claudy, engine: Engine, project: Path
) -> None:
    name = f"claudy-project-{claudy.sandboxes(project).id}"
    label = f"claudy.project={project.resolve()}"
    engine.cli("create", "--name", name, "--label", label, "busybox:latest", "true")
    assert claudy.run("--", "true", cwd=project).code == 0


def test_a_stranger_with_the_name_is_left_alone(
    claudy: Claudy, engine: Engine, project: Path, label: str
) -> None:
    name = f"claudy-project-{claudy.sandboxes(project).id}"
    engine.cli("run", "-d", "--label", label, "--name", name, "busybox:latest", "sleep", "600")
    done = claudy.run("--", "true", cwd=project)
    assert done.code == 125
    assert name in done.said
    assert engine.cli("inspect", "-f", "{{.State.Running}}", name).stdout.strip() == "true"
    engine.cli("rm", "-f", name)


def test_dry_run_is_the_container_that_is_started(claudy: Claudy, project: Path) -> None:
    done = claudy.run("--dry-run", "--", "echo", "a b", cwd=project)
    assert done.code == 0
    assert done.text.startswith("docker run --rm ")
    assert done.text.endswith("echo 'a b'\n")
    assert claudy.sandboxes(project).all() == []


def test_the_guard_goes_with_its_sandbox(claudy: Claudy, project: Path) -> None:
    done = claudy.run("--docker", "guard", "--", "docker", "ps", "--format", "json", cwd=project)
    assert done.code == 0, done.said
    assert json.loads(done.text.splitlines()[0])["State"] == "running"
    runtime = claudy.environment["XDG_RUNTIME_DIR"]
    assert not [name for name in os.listdir(f"{runtime}/claudy") if "@guard" in name]


def test_a_killed_guard_is_started_again(claudy: Claudy, project: Path) -> None:
    with claudy.start("--docker", "guard", "--", "sh", cwd=project) as session:
        assert session.stdin
        assert session.stdout
        session.stdin.write(b"docker ps -q | wc -l\n")  # a client alone can't answer that
        assert int(session.stdout.readline()) > 0
        runtime = f"{claudy.environment['XDG_RUNTIME_DIR']}/claudy"
        (pid_file,) = (name for name in os.listdir(runtime) if name.endswith("@guard.pid"))
        with open(f"{runtime}/{pid_file}") as file:
            os.kill(int(file.read()), signal.SIGKILL)
        session.stdin.write(b"until docker ps >/dev/null 2>&1; do :; done; echo again; exit\n")
        assert session.stdout.readline() == b"again\n"
        assert session.wait(LINGERING + 5) == 0


def test_terminated_leaves_nothing(claudy: Claudy, project: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGHUP):
        with claudy.start("--", "sleep", "600", cwd=project) as session:
            claudy.sandboxes(project).wait_process("sleep 600")
            session.send_signal(number)
            assert session.wait(LINGERING + 5) == 128 + number
    with claudy.start("--", "sleep", "600", cwd=project) as session:
        claudy.sandboxes(project).wait_process("sleep 600")
        session.send_signal(signal.SIGINT)
        assert session.wait(LINGERING + 5) == 130


def test_who_stops_what_ends_a_session_keeps_nobody_waiting(claudy: Claudy, project: Path) -> None:
    stops = (
        "echo on; while :; do for entry in /proc/[0-9]*; do"
        " grep -qs 'claudy-en[d]' $entry/cmdline && kill -STOP ${entry#/proc/}; done; done"
    )
    stays = "trap '' HUP TERM; echo on; while :; do sleep 1; done"
    with claudy.start("--", "sh", "-c", stops, cwd=project) as first:
        assert first.stdout
        assert first.stdout.readline() == b"on\n"
        with claudy.start("--", "sh", "-c", stays, cwd=project) as second:
            assert second.stdout
            assert second.stdout.readline() == b"on\n"
            second.terminate()
            try:
                assert second.wait(SECONDS) == 128 + signal.SIGTERM
            finally:
                second.kill()
        assert claudy.run("--", "true", cwd=project).code == 0
        first.terminate()
        assert first.wait(LINGERING + 5) == 128 + signal.SIGTERM


def test_killed_leaves_nothing(claudy: Claudy, project: Path) -> None:
    with claudy.start("--", "sleep", "600", cwd=project) as session:
        claudy.sandboxes(project).wait_process("sleep 600")
        session.kill()
        assert session.wait(LINGERING) == -signal.SIGKILL
        claudy.sandboxes(project).wait_gone(LINGERING)
