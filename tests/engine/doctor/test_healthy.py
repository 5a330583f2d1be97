"""An engine that works: doctor finds nothing, says what it saw, and leaves nothing."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.engines.shell import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.engines.engine import Engine
    from tests.running.program import Claudy

PROVEN = (
    "sandbox", "user", "ping", "tools", "bind-mount", "ownership", "sibling", "terminal",
)  # fmt: skip


@pytest.fixture(scope="module")
def ready(claudy: Claudy, tmp_path_factory: pytest.TempPathFactory) -> Claudy:
    """Return claudy with its own image built."""
    done = claudy.run("build-image", cwd=tmp_path_factory.mktemp("build"), timeout=600)
    assert done.code == 0, done.said
    return claudy


def examine(claudy: Claudy, project: Path, *words: str) -> dict[str, Any]:
    """Return doctor's JSON."""
    done = claudy.run("doctor", "--json", *words, cwd=project)
    found: dict[str, Any] = json.loads(done.text)
    assert found["ok"] is (done.code == 0), done.text
    return found


def statuses(document: dict[str, Any]) -> dict[str, str]:
    return {check["id"]: check["status"] for check in document["checks"]}


def well(document: dict[str, Any]) -> bool:
    """Whether there is nothing to say, but that an old engine is old."""
    found = statuses(document)
    old = next(c for c in document["checks"] if c["id"] == "patches")
    if found["patches"] == "warn":
        assert old["finding"] == "engine-outdated"
        assert old["data"]["version"].startswith("20.10."), old
        del found["patches"]
    return set(found.values()) <= {"ok", "skip"}


def shown(document: dict[str, Any]) -> str:
    """Return what a failed assertion should show, all of it: pytest shortens lists."""
    return "\n".join(f"{c['id']}: {c['status']}: {c['seen']}" for c in document["checks"])


def left(engine: Engine) -> list[Any]:
    """Return what of doctor's is in an engine: containers by name, volumes by label."""
    named = {"all": 1, "filters": {"name": ["claudy-doctor-"]}}
    containers = engine.api.request("GET", "/containers/json", named)
    wanted = {"filters": {"label": ["claudy.doctor"]}}
    volumes = engine.api.request("GET", "/volumes", wanted)["Volumes"] or []
    return [*containers, *volumes]


def send_image(ready: Claudy, target: Engine) -> None:
    """Copy claudy's image from the engine of this run to another one."""
    names = ready.engine.cli("images", "--format", "{{.Repository}}:{{.Tag}}", "hal9000").stdout
    program = [str(ready.engine.program), "-H"]
    with subprocess.Popen(
        [*program, ready.engine.host, "save", *names.split()], stdout=subprocess.PIPE
    ) as save:
        subprocess.run(
            [*program, target.host, "load"], stdin=save.stdout, check=True, capture_output=True
        )


def test_all_is_proven_and_nothing_to_say(ready: Claudy, project: Path) -> None:
    document = examine(ready, project)
    found = statuses(document)
    assert well(document), shown(document)
    assert {found[name] for name in PROVEN} == {"ok"}, shown(document)
    assert os.listdir(project) == []
    assert left(ready.engine) == []


def test_chosen_image_whose_registry_is_down(ready: Claudy, project: Path) -> None:
    """The remedy goes on in claudy's own image."""
    broken = ready.with_environment(CLAUDY_IMAGE="127.0.0.1:1/team/image:1")
    launch = broken.run("--", "true", cwd=project)
    assert launch.code == 125
    doctor = broken.run("doctor", "--json", "registry", cwd=project)
    (found,) = (c for c in json.loads(doctor.text)["checks"] if c["id"] == "registry")
    assert (found["status"], found["finding"]) == ("fail", "registry-down")
    assert found["seen"] in launch.said
    assert f"Try: {found['remedy']}" in launch.said
    program, *words = shlex.split(found["remedy"])
    assert program == "claudy"
    done = broken.run(*words, "--", "echo", "hello from inside", cwd=project)
    assert (done.code, done.text) == (0, "hello from inside\n"), done.said


def test_project_of_an_ordinary_user(ready: Claudy, project: Path) -> None:
    os.chown(project, 4321, 4321)
    document = examine(ready, project)
    assert well(document), shown(document)
    by_id = {check["id"]: check for check in document["checks"]}
    assert by_id["ownership"]["data"] == {"uid": 4321, "gid": 4321}
    assert by_id["user"]["data"]["user"] == "4321:4321"


@pytest.mark.parametrize("mode", ["none", "guard"])
def test_other_modes(ready: Claudy, project: Path, mode: str) -> None:
    document = examine(ready, project, "--docker", mode)
    found = statuses(document)
    # behind the guard the sandbox has a network of its own; the guard carries the sibling's port
    assert found["sibling"] == ("skip" if mode == "none" else "ok"), shown(document)
    assert well(document), shown(document)
    assert found["bind-mount"] == "ok"
    assert found["ping"] == ("skip" if mode == "none" else "ok"), shown(document)


def test_read_only_project(ready: Claudy, project: Path) -> None:
    document = examine(ready.with_environment(CLAUDY_READ_ONLY="1"), project)
    by_id = {check["id"]: check for check in document["checks"]}
    assert well(document), shown(document)
    assert by_id["bind-mount"]["data"] == {"there": True, "back": False}
    assert by_id["ownership"]["status"] == "skip"


@pytest.mark.once
@pytest.mark.parametrize("kind", ["rootless", "userns"])
def test_engines_that_map_users(
    ready: Claudy,
    project: Path,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    kind: str,
) -> None:
    other: Engine = request.getfixturevalue(f"{kind}_engine")
    send_image(ready, other)
    if kind == "rootless":
        # its files are an ordinary user's, and so is the project
        base = tmp_path_factory.getbasetemp()
        for path in (project, *project.parents):
            if path.is_relative_to(base) or path.name.startswith("pytest-"):
                path.chmod(0o755)
        os.chown(project, os.stat(other.socket).st_uid, -1)
        # An engine of another user does not see the directory of this user's guard.
        ready = ready.with_environment(CLAUDY_DOCKER="host")
    document = examine(ready.with_environment(DOCKER_HOST=other.host), project)
    found = statuses(document)
    by_id = {check["id"]: check for check in document["checks"]}
    assert by_id["daemon"]["data"][kind] is True
    wanted = {name: "ok" for name in PROVEN if name != "sibling"}
    assert {name: found[name] for name in wanted} == wanted, shown(document)
    assert not {"fail", "crash"} & set(found.values()), shown(document)


def test_plain_report(ready: Claudy, project: Path) -> None:
    done = ready.run("doctor", cwd=project)
    assert done.code == 0
    lines = done.text.splitlines()
    assert lines[0].startswith("ok    place")
    assert "\x1b" not in done.text
    assert lines[-1].endswith(" s")
    assert done.said == ""


def test_pretty_report_on_a_terminal(ready: Claudy, project: Path) -> None:
    with ready.terminal("doctor", cwd=project, size=(50, 100)) as terminal:
        terminal.expect("Which engine")
        terminal.expect("Throw-away sandbox")
        terminal.expect(" ok, ")
        assert terminal.end() == (0, None)


def test_only_some_checks(ready: Claudy, project: Path) -> None:
    document = examine(ready, project, "answer")
    assert list(statuses(document)) == ["project", "endpoint", "connection", "answer"]


def test_fresh_containers_are_no_leftovers(ready: Claudy, project: Path, label: str) -> None:
    """Somebody may be about to start it; `tests/unit/doctor` has older ones."""
    sandbox = "claudy.sandbox=claudy-dead-00000000"
    ready.engine.cli("create", "--label", label, "--label", sandbox, "busybox")
    assert statuses(examine(ready, project, "leftovers"))["leftovers"] == "ok"


def test_a_doctor_that_is_interrupted_leaves_nothing(ready: Claudy, project: Path) -> None:
    with ready.start("doctor", cwd=project) as doctor:
        wait_for(lambda: left(ready.engine), 30, "the throw-away container")
        doctor.terminate()
        doctor.communicate(timeout=30)
    wait_for(lambda: not left(ready.engine), 30, "doctor's containers to go")
    assert os.listdir(project) == []


@pytest.mark.parametrize("kind", ["pipe", "link", "text"])
def test_what_runs_in_the_project_can_t_mislead_it(ready: Claudy, project: Path, kind: str) -> None:
    """It sees doctor's files come, and puts something else in their place."""
    put = {"pipe": "mkfifo $f", "link": "ln -s /etc/passwd $f", "text": "echo other >$f"}[kind]
    script = (
        "echo on; while :; do for f in .claudy-doctor-*; do"
        f" [ -e $f.seen ] || [ ! -e $f ] || {{ : >$f.seen; rm $f; {put}; }}; done; done"
    )
    ready = ready.with_environment(CLAUDY_DOCKER="none", CLAUDY_IMAGE="busybox")
    with ready.start("--", "sh", "-c", script, cwd=project) as session:
        assert session.stdout
        assert session.stdout.read(3) == b"on\n"
        found = examine(ready, project, "bind-mount")
        session.terminate()
    (check,) = (one for one in found["checks"] if one["id"] == "bind-mount")
    assert (check["status"], check["finding"]) == ("fail", "project-tampered"), shown(found)
    assert found["seconds"] < 15
