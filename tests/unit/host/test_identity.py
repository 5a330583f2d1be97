"""Which engine it is and what to mount: a golden table over recorded and synthesised answers.

Each document in `engines/` says whether it was recorded from a real engine or synthesised after
public documentation and reports.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from claudy.engine.identity import EngineFacts, EngineStarting, identify
from claudy.host.endpoint import Endpoint, resolve

ENGINES = Path(__file__).parent / "engines"
SOCKET = "/var/run/docker.sock"
SAME = "the path that the client connects to"
MACHINE = "/home/u/.local/share/containers/podman/machine/podman.sock"


def documents(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ENGINES / f"{name}.json").read_text())
    return found


def at(url: str, platform: str = "linux") -> Endpoint:
    return resolve(env={"DOCKER_HOST": url}, home="/nonexistent", platform=platform, uid=1000)


def facts(name: str, url: str = f"unix://{SOCKET}", **known: Any) -> EngineFacts:
    found = documents(name)
    known = {"platform": "linux", "uid": 1000, **known}
    return identify(
        endpoint=at(url, known["platform"]),
        ping=found["ping"],
        version=found["version"],
        info=found["info"],
        **known,
    )


@pytest.mark.parametrize(
    ("name", "url", "platform", "expected"),
    [
        # engine, connect, platform -> kind, mount source, gid rule
        ("linux-rootful", SOCKET, "linux", ("docker", SOCKET, "stat")),
        ("linux-rootful", "/srv/d.sock", "linux", ("docker", SAME, "stat")),
        ("linux-rootless", "/run/user/1000/docker.sock", "linux", ("docker", SAME, "ask")),
        ("linux-userns", SOCKET, "linux", ("docker", SOCKET, "stat")),
        ("snap", SOCKET, "linux", ("docker", SOCKET, "stat")),
        ("selinux", SOCKET, "linux", ("docker", SOCKET, "stat")),
        ("docker-desktop", SOCKET, "darwin", ("docker-desktop", SOCKET, "ask")),
        (
            "docker-desktop",
            "/Users/u/.docker/run/docker.sock",
            "darwin",
            ("docker-desktop", SOCKET, "ask"),
        ),
        (
            "docker-desktop",
            "/home/u/.docker/desktop/docker.sock",
            "linux",
            ("docker-desktop", SOCKET, "ask"),
        ),
        ("docker-desktop", "/run/docker.sock", "linux", ("docker-desktop", SOCKET, "ask")),
        ("orbstack", "/Users/u/.orbstack/run/docker.sock", "darwin", ("orbstack", SOCKET, "ask")),
        ("colima", "/Users/u/.colima/work/docker.sock", "darwin", ("colima", SOCKET, "ask")),
        (
            "linux-rootful",
            "/home/u/.colima/default/docker.sock",
            "linux",
            ("colima", SOCKET, "ask"),
        ),
        (
            "rancher-desktop",
            "/Users/u/.rd/docker.sock",
            "darwin",
            ("rancher-desktop", SOCKET, "ask"),
        ),
        ("rancher-desktop-wsl", SOCKET, "linux", ("rancher-desktop", SOCKET, "ask")),
        (
            "lima",
            "/Users/u/.lima/docker-rootful/sock/docker.sock",
            "darwin",
            ("lima", SOCKET, "ask"),
        ),
        (
            "lima-rootless",
            "/Users/u/.lima/docker/sock/docker.sock",
            "darwin",
            ("lima", "/run/user/1000/docker.sock", "ask"),
        ),
        ("podman", "/run/user/1000/podman/podman.sock", "linux", ("podman", SAME, "ask")),
        (
            "podman-machine",
            "/T/podman/podman-machine-default-api.sock",
            "darwin",
            ("podman", SOCKET, "ask"),
        ),
        ("podman-machine", MACHINE, "linux", ("podman", SOCKET, "ask")),
    ],
)
def test_what_to_mount(name: str, url: str, platform: str, expected: tuple[str, str, str]) -> None:
    found = facts(name, "unix://" + url, platform=platform)
    source = SAME if found.socket_source == url != SOCKET else found.socket_source
    assert (found.kind, source, found.gid_rule) == expected
    assert found.socket_source_reason
    assert found.gid_reason
    assert not found.remote


@pytest.mark.parametrize("url", ["tcp://far:2375", "ssh://me@far", "tcp://localhost:2375"])
def test_remote_engines_mount_their_own_socket(url: str) -> None:
    found = facts("linux-remote", url, hostname="near")
    assert (found.socket_source, found.gid_rule, found.remote) == (SOCKET, "ask", True)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "[::1]"])
def test_loopback_engine_of_this_machine_is_not_remote(host: str) -> None:
    url = f"tcp://{host}:2375"
    assert not facts("linux-rootful", url, hostname="workstation").remote
    assert facts("linux-rootful", url, hostname="").remote
    assert facts("linux-rootful", "tcp://far:2375", hostname="workstation").remote


@pytest.mark.parametrize(
    ("name", "traits"),
    [
        ("linux-rootful", set()),
        ("linux-rootless", {"rootless"}),
        ("linux-userns", {"userns"}),
        ("snap", {"snap"}),
        ("selinux", {"selinux", "label_disable"}),
        ("podman", {"rootless", "label_disable"}),
        ("docker-desktop", {"desktop", "vm"}),
        ("orbstack", {"vm"}),
    ],
)
def test_traits(name: str, traits: set[str]) -> None:
    found = facts(name)
    every = ("rootless", "userns", "selinux", "snap", "desktop", "vm", "remote", "label_disable")
    assert {trait for trait in every if getattr(found, trait)} == traits


def test_versions_and_platform() -> None:
    found = facts("linux-rootful")
    assert (found.version, found.api, found.min_api) == ("20.10.24+dfsg1", "1.41", "1.12")
    assert (found.os_type, found.arch, found.name) == ("linux", "amd64", "workstation")
    assert facts("docker-desktop").arch == "arm64"
    assert facts("docker-desktop-windows-containers").os_type == "windows"


def test_only_a_version_means_ready() -> None:
    with pytest.raises(EngineStarting) as caught:
        facts("docker-desktop-starting")
    assert f"unix://{SOCKET} (from: DOCKER_HOST)" in caught.value.message
    assert caught.value.hint


def test_desktop_is_known_by_its_beginning() -> None:
    found = documents("docker-desktop")
    found["info"]["OperatingSystem"] = "Docker Desktop 4.99 (linux)"
    found["version"]["Platform"] = None
    known = identify(
        endpoint=at("unix://" + SOCKET),
        ping={},
        version=found["version"],
        info=found["info"],
        platform="darwin",
        uid=501,
    )
    assert known.desktop


def test_inside_a_container_the_source_is_that_of_its_own_mount() -> None:
    mounts = [{"Destination": "/run/docker.sock", "Source": "/run/user/7/docker.sock"}]
    found = facts("linux-rootful", mounts=mounts)
    assert (found.socket_source, found.gid_rule) == ("/run/user/7/docker.sock", "ask")
    # a VM's literal path stays, whatever the container was given
    assert facts("docker-desktop", mounts=mounts).socket_source == SOCKET


def test_a_setting_overrides_the_source() -> None:
    found = facts("docker-desktop", source="/elsewhere.sock")
    assert (found.socket_source, found.socket_source_reason) == (
        "/elsewhere.sock",
        "a setting says so",
    )


@pytest.mark.parametrize("path", sorted(ENGINES.glob("*.json")), ids=lambda path: path.stem)
def test_every_document_says_where_it_is_from(path: Path) -> None:
    found = json.loads(path.read_text())
    assert found["origin"] in {"recorded", "synthesised"}
    assert found["of"]
