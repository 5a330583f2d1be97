"""claudy and the engine in different places: remote engines, claudy inside containers."""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.engine.doctor.machine import SOCKET
from tests.engine.doctor.test_broken_engine import HELLO
from tests.engine.doctor.test_broken_engine import diagnosed as machine_diagnosed
from tests.engine.doctor.test_chosen import assert_mended, chosen, diagnosed
from tests.engine.doctor.test_image_and_disk import checks

if TYPE_CHECKING:
    from subprocess import CompletedProcess

    from tests.engine.doctor.machine import Machine
    from tests.engines.engine import Engine
    from tests.running.program import Claudy

__all__ = ["chosen"]

TREE = Path(__file__).parents[3]
ELSEWHERE = "/run/user/0/docker.sock"  # where root's rootless engine would be
DOCKERFILE = """\
FROM debian:trixie-slim
RUN apt-get update && apt-get install -y --no-install-recommends python3
"""


def test_remote_engine(chosen: Claudy, project: Path, machine: Machine) -> None:
    """The machine's engine has other files: /workspace would be empty."""
    address = machine.address()
    machine.start_engine(f"--tls=false -H unix:///run/docker.sock -H tcp://{address}:2375")
    broken = chosen.with_environment(DOCKER_HOST=f"tcp://{address}:2375")
    found = diagnosed(broken, project)
    assert found["finding"] == "engine-remote"
    assert_mended(broken, found["remedy"], project)


def test_tcp_engine_of_this_machine(machine: Machine) -> None:
    """On loopback, and by its own name the same machine: it can mount the project."""
    machine.start_engine("-H unix:///run/docker.sock -H tcp://127.0.0.1:2375")
    env = {"DOCKER_HOST": "tcp://127.0.0.1:2375"}
    done = machine.claudy("--docker", "none", "--", "echo", "hello", env=env)
    assert (done.code, done.out) == (0, "hello\n"), done.err


def test_engine_in_another_place(machine: Machine) -> None:
    """Nothing at the default socket, one engine in a known place: it is used, and said."""
    assert machine.run("mkdir", "-p", os.path.dirname(ELSEWHERE)).code == 0
    machine.start_engine(f"-H unix://{SOCKET} -H unix://{ELSEWHERE}")
    assert machine.run("rm", SOCKET).code == 0
    done = machine.claudy(*HELLO)
    assert (done.code, done.out) == (0, "hello from inside\n"), done.err
    assert f"Using unix://{ELSEWHERE} (the only live socket" in done.err
    found = checks(machine.claudy("doctor", "--json", "connection", "socket-source").out)
    assert found["connection"]["data"]["url"] == f"unix://{ELSEWHERE}"
    assert found["socket-source"]["data"]["source"] == ELSEWHERE


def test_several_engines_in_other_places(machine: Machine) -> None:
    """Which one is meant is for the user to say."""
    other = "/root/.docker/run/docker.sock"
    assert machine.run("mkdir", "-p", "/root/.docker/run", os.path.dirname(ELSEWHERE)).code == 0
    machine.start_engine(f"-H unix://{SOCKET} -H unix://{ELSEWHERE} -H unix://{other}")
    assert machine.run("rm", SOCKET).code == 0
    found = machine_diagnosed(machine)
    assert found["finding"] == "several-engines"
    assert f"unix://{ELSEWHERE}, unix://{other}" in found["seen"]
    assert found["remedy"] == f"claudy --host unix://{ELSEWHERE}"
    done = machine.claudy(*found["remedy"].split()[1:], *HELLO)
    assert (done.code, done.out) == (0, "hello from inside\n"), done.err


@pytest.fixture
def apart(chosen: Claudy, machine: Machine) -> Claudy:
    """Return claudy with an engine whose socket is here, and whose files are not.

    As with the engine of a virtual machine that does not share the project.
    """
    machine.start_engine()
    return chosen.with_environment(
        DOCKER_HOST=f"unix://{machine.at(SOCKET)}",
        CLAUDY_SOCKET_SOURCE=SOCKET,
        CLAUDY_DOCKER="none",  # the guard's image would have to be made there first
    )


def test_project_that_the_engine_does_not_see(
    apart: Claudy, project: Path, machine: Machine, tmp_path: Path
) -> None:
    """Homes are what engines in a virtual machine do see; here it is shared with the engine's."""
    (project / "here").write_text("the project's own file\n")
    found = diagnosed(apart, project)
    assert found["finding"] == "project-not-visible"
    assert str(project) in found["seen"]
    home = tmp_path / "home"
    home.mkdir()
    machine.share(home)
    claudy = f'claudy() {{ {" ".join(apart.command)} --image busybox "$@"; }}'
    done = subprocess.run(
        ["sh", "-c", f"{claudy}; {found['remedy']} -- cat here"],
        cwd=project, env={**apart.environment, "HOME": str(home)}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "the project's own file\n"), done.stderr


def test_project_that_is_silently_another_directory(
    apart: Claudy, project: Path, machine: Machine
) -> None:
    """The engine has a directory of that name: it mounts that, and nobody complains."""
    assert machine.run("mkdir", "-p", str(project)).code == 0
    (project / "here").write_text("the project's own file\n")
    assert apart.run("--image", "busybox", "--", "cat", "here", cwd=project).code == 1
    doctor = apart.run("doctor", "--json", "--image", "busybox", "bind-mount", cwd=project)
    assert doctor.code == 1
    found = checks(doctor.text)["bind-mount"]
    assert (found["status"], found["finding"]) == ("fail", "project-not-visible")
    assert os.listdir(project) == ["here"]


def test_socket_source_that_does_not_exist(chosen: Claudy, project: Path, tmp_path: Path) -> None:
    broken = chosen.with_environment(
        CLAUDY_SOCKET_SOURCE="/run/nowhere.sock", XDG_CONFIG_HOME=str(tmp_path)
    )
    before = volumes(chosen)
    found = diagnosed(broken, project)
    assert found["finding"] == "mount-source-wrong"
    # Where the guard was to keep its socket; the ledger's place and the home are the project's.
    assert not [name for name in volumes(chosen) - before if name.endswith("-socket")]
    assert_mended(broken, pasteable(found["remedy"], broken), project)


def volumes(claudy: Claudy) -> set[str]:
    found = claudy.engine.api.request("GET", "/volumes")["Volumes"]
    return {str(volume["Name"]) for volume in found or ()}


def test_socket_source_that_is_no_socket(chosen: Claudy, project: Path, tmp_path: Path) -> None:
    """The engine mounts it without a word; only inside one sees what it is."""
    broken = chosen.with_environment(
        CLAUDY_SOCKET_SOURCE=str(tmp_path), CLAUDY_DOCKER="host", XDG_CONFIG_HOME=str(tmp_path)
    )
    doctor = broken.run("doctor", "--json", "--image", "busybox", "ping", cwd=project)
    assert doctor.code == 1
    found = checks(doctor.text)["ping"]
    assert (found["status"], found["finding"]) == ("fail", "mount-source-wrong")
    assert "is directory, not a socket" in found["seen"]
    assert_mended(broken, pasteable(found["remedy"], broken), project)


def test_socket_source_that_is_no_socket_behind_the_guard(
    chosen: Claudy, project: Path, tmp_path: Path
) -> None:
    broken = chosen.with_environment(
        CLAUDY_SOCKET_SOURCE=str(tmp_path), CLAUDY_DOCKER="guard", XDG_CONFIG_HOME=str(tmp_path)
    )
    before = volumes(chosen)
    found = diagnosed(broken, project)
    assert found["finding"] == "mount-source-wrong"
    assert "is not a socket" in found["seen"]
    assert not [name for name in volumes(chosen) - before if name.endswith("-socket")]
    assert_mended(broken, pasteable(found["remedy"], broken), project)


def pasteable(remedy: str, claudy: Claudy) -> str:
    """Return a remedy with the claudy of this test in it."""
    return remedy.replace("claudy config", f"{' '.join(claudy.command)} config")


@pytest.fixture(scope="module")
def python_image(engine: Engine) -> str:
    """Return an image with Python, to run claudy in."""
    name = "claudy-test-nested"
    engine.cli("build", "-t", name, "-", input=DOCKERFILE)
    return name


def nested(
    engine: Engine, image: str, label: str, *words: str, mounts: dict[str, str], workdir: str
) -> CompletedProcess[str]:
    """Run claudy in a container that has the engine's socket."""
    volumes = {
        str(engine.socket): "/var/run/docker.sock",
        f"{TREE}": "/opt/claudy",
        sysconfig.get_path("purelib"): "/opt/site",
        **mounts,
    }
    options = [f"--volume={source}:{target}" for source, target in volumes.items()]
    variables = {
        "PYTHONPATH": "/opt/claudy:/opt/site",
        "PYTHONDONTWRITEBYTECODE": "1",
        "CLAUDY_IMAGE": "busybox",
    }
    options += [f"--env={key}={value}" for key, value in variables.items()]
    return engine.cli(
        "run", "--rm", "--label", label, f"--workdir={workdir}", *options, image,
        "python3", "-m", "claudy", *words, check=False,
    )  # fmt: skip


def failed(done: CompletedProcess[str]) -> dict[str, Any]:
    """Return the one failed check of doctor's JSON."""
    (check,) = (c for c in json.loads(done.stdout)["checks"] if c["status"] == "fail")
    found: dict[str, Any] = check
    return found


def test_project_is_translated_through_the_containers_mounts(
    engine: Engine, python_image: str, label: str, project: Path
) -> None:
    (project / "here").write_text("the project's own file\n")
    place: dict[str, Any] = {
        "mounts": {str(project.parent): "/srv/work"},
        "workdir": "/srv/work/project",
    }
    done = nested(engine, python_image, label, "--", "cat", "here", **place)
    assert (done.returncode, done.stdout) == (0, "the project's own file\n"), done.stderr
    doctor = nested(engine, python_image, label, "doctor", "--json", "bind-mount", **place)
    checks = {c["id"]: c for c in json.loads(doctor.stdout)["checks"]}
    assert checks["files"]["data"]["path"] == str(project)
    assert checks["bind-mount"]["status"] == "ok", doctor.stdout


def test_project_that_only_the_container_has(engine: Engine, python_image: str, label: str) -> None:
    place: dict[str, Any] = {"mounts": {}, "workdir": "/srv"}
    launch = nested(engine, python_image, label, "--", "true", **place)
    assert launch.returncode == 125
    check = failed(nested(engine, python_image, label, "doctor", "--json", **place))
    assert check["finding"] == "nested-unmounted"
    assert check["seen"] in launch.stderr
    assert check["remedy"] in launch.stderr


def test_claudy_inside_a_claudy_sandbox(claudy: Claudy, python_image: str, project: Path) -> None:
    (project / "here").write_text("the project's own file\n")
    tree = [f"--volume={TREE}:/opt/claudy:ro"]
    variables = ["-e", "PYTHONPATH=/opt/claudy", "-e", "PYTHONDONTWRITEBYTECODE=1"]
    inner = "CLAUDY_DOCKER=host CLAUDY_IMAGE=busybox python3 -m claudy . -- cat here"
    outer = ("--docker", "host", "--image", python_image, *tree, *variables)
    done = claudy.run(*outer, "--", "sh", "-c", inner, cwd=project)
    assert (done.code, done.text) == (0, "the project's own file\n"), done.said


def test_claudy_inside_a_sandbox_with_the_guard(
    claudy: Claudy, python_image: str, project: Path
) -> None:
    """A sandbox that the sandbox made would be joined from the host: the guard refuses it."""
    tree = [f"--volume={TREE}:/opt/claudy:ro"]
    variables = ["-e", "PYTHONPATH=/opt/claudy", "-e", "PYTHONDONTWRITEBYTECODE=1"]
    inner = "CLAUDY_IMAGE=busybox python3 -m claudy . -- true"
    outer = ("--docker", "guard", "--image", python_image, *tree, *variables)
    done = claudy.run(*outer, "--", "sh", "-c", inner, cwd=project)
    assert done.code == 125
    assert "behind claudy's guard" in done.said
    assert "On the host: claudy --new" in done.said
