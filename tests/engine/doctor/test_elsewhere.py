"""claudy and the engine in different places: remote engines, claudy inside containers."""

from __future__ import annotations

import json
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.engine.doctor.test_chosen import assert_mended, chosen, diagnosed

if TYPE_CHECKING:
    from subprocess import CompletedProcess

    from tests.engine.doctor.machine import Machine
    from tests.engines.engine import Engine
    from tests.running.program import Claudy

__all__ = ["chosen"]

TREE = Path(__file__).parents[3]
DOCKERFILE = """\
FROM debian:trixie-slim
RUN apt-get update && apt-get install -y --no-install-recommends python3
"""


def test_remote_engine(chosen: Claudy, project: Path, machine: Machine) -> None:
    """The machine's engine has other files: /workspace would be empty."""
    address = machine.address()
    machine.start_engine(f"-H unix:///run/docker.sock -H tcp://{address}:2375")
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
    inner = "CLAUDY_IMAGE=busybox python3 -m claudy . -- cat here"
    done = claudy.run(
        *("--image", python_image, *tree, *variables, "--", "sh", "-c", inner), cwd=project
    )
    assert (done.code, done.text) == (0, "the project's own file\n"), done.said
