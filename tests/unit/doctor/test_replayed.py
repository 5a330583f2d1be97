"""Engines that this machine can't have: their answers replayed over a real socket.

The documents say which are recorded and which synthesised; the refusals are synthesised after
Docker's documentation and public reports.
"""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from claudy.doctor.checks import CHECKS
from claudy.doctor.context import Context, Question
from claudy.doctor.runner import run_checks, selected
from claudy.host.finding import Host
from tests.unit.doctor.replay import Replay

if TYPE_CHECKING:
    from pathlib import Path

    from claudy.doctor.model import Outcome

SOCKET = "/var/run/docker.sock"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return an empty home with a runtime directory and a project in it."""
    (tmp_path / "run").mkdir(mode=0o700)
    (tmp_path / "project").mkdir()
    return tmp_path


def ask(home: Path, replay: Replay, *ids: str) -> dict[str, Outcome]:
    """Return the outcomes of checks against a replayed engine, whose own socket is asked for."""
    env = {
        "DOCKER_HOST": replay.url,
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(home / "run"),
        "XDG_CACHE_HOME": str(home / "cache"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_STATE_HOME": str(home / "state"),
        "PATH": os.environ["PATH"],
    }
    host = Host(env, str(home), "linux", os.getuid(), frozenset(os.getgroups()))
    context = Context(
        Question(host, str(home / "project"), {"image": "some/image", "docker": "host"})
    )
    with closing(context):
        report = run_checks(selected(CHECKS, ids or ["sandbox"]), context)
    return {result.check.id: result.outcome for result in report.results}


def finding(outcome: Outcome) -> str:
    assert outcome.finding, outcome
    return outcome.finding.id


@pytest.mark.parametrize(
    ("name", "source", "groups"),
    [
        ("docker-desktop", SOCKET, ["991"]),
        ("orbstack", SOCKET, ["991"]),
        ("colima", SOCKET, ["991"]),
        ("rancher-desktop", SOCKET, ["991"]),
        ("lima", SOCKET, ["991"]),
        ("lima-rootless", f"/run/user/{os.getuid()}/docker.sock", []),
        ("podman-machine", "the connected socket", ["991"]),
        ("podman", "the connected socket", []),
        ("linux-rootless", "the connected socket", []),
        ("snap", "the connected socket", None),
        ("selinux", "the connected socket", None),
    ],
)
def test_create_body_mounts_the_engines_own_socket(
    home: Path, name: str, source: str, groups: list[str] | None
) -> None:
    with Replay(home / "d.sock", name) as replay:
        outcomes = ask(home, replay)
        (body,) = replay.created
    assert outcomes["daemon"].status == "ok", outcomes["daemon"]
    mounts = {mount["Target"]: mount["Source"] for mount in body["HostConfig"]["Mounts"]}
    expected = str(home / "d.sock") if source == "the connected socket" else source
    assert mounts[SOCKET] == expected
    assert mounts["/workspace"] == str(home / "project")
    if groups is not None:
        assert body["HostConfig"]["GroupAdd"] == groups
    labelled = "label=disable" in body["HostConfig"]["SecurityOpt"]
    assert labelled is name.startswith(("podman", "selinux"))


@pytest.mark.parametrize(
    ("name", "words", "code"),
    [
        (
            "docker-desktop",
            "Mounts denied: The path /srv/app is not shared from the host and is not known.",
            "project-not-shared",
        ),
        (
            "docker-desktop",
            "enhanced container isolation: docker socket mount denied for container with image x",
            "socket-mount-denied",
        ),
        (
            "colima",
            "creating mount source path: mkdir /u/.colima/docker.sock: operation not supported",
            "mount-source-wrong",
        ),
        (
            "snap",
            "creating mount source path '/srv/app': mkdir /srv/app: read-only file system",
            "snap-confined",
        ),
    ],
)
def test_refused_sandbox(home: Path, name: str, words: str, code: str) -> None:
    with Replay(home / "d.sock", name, refusal=words) as replay:
        outcome = ask(home, replay)["sandbox"]
    assert (outcome.status, finding(outcome)) == ("fail", code)
    assert words.rstrip(".") in outcome.seen
    assert outcome.finding
    assert outcome.finding.remedy


def test_engine_that_is_starting(home: Path) -> None:
    with Replay(home / "d.sock", "docker-desktop-starting") as replay:
        outcome = ask(home, replay)["daemon"]
    assert (outcome.status, finding(outcome)) == ("fail", "engine-starting")


def test_windows_containers(home: Path) -> None:
    with Replay(home / "d.sock", "docker-desktop-windows-containers") as replay:
        outcomes = ask(home, replay)
    assert finding(outcomes["daemon"]) == "windows-containers"
    assert outcomes["sandbox"].status == "skip"


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        ({"ping": {"Api-Version": "1.40"}}, "Upgrade the Docker engine"),
        ({"version": {"MinAPIVersion": "1.99"}}, "git pull && ./install.sh, in a clone of claudy"),
    ],
    ids=["engine too old", "engine too new"],
)
def test_no_api_version_in_common(home: Path, changes: dict[str, Any], remedy: str) -> None:
    with Replay(home / "d.sock", "linux-rootful", **changes) as replay:
        outcome = ask(home, replay, "answer")["answer"]
    assert finding(outcome) == "api-mismatch"
    assert outcome.finding
    assert outcome.finding.remedy.startswith(remedy)


def test_an_engine_on_the_edge_is_spoken_to(home: Path) -> None:
    with Replay(home / "d.sock", "linux-rootful", ping={"Api-Version": "1.41"}) as replay:
        assert ask(home, replay, "answer")["answer"].status == "ok"
