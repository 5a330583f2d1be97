"""Attacks by what is mounted, by networks and their names, and by the classic builder's cache."""

# ruff: noqa: E501 - one attack is one line
from __future__ import annotations

import io
import json
import os
import secrets
import socket
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tests.guard.conftest import AT_ONCE, running_guard
from tests.guard.raw import request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.engines.engine import Engine
    from tests.guard.conftest import Guard

NETWORK_FILES: dict[str, dict[str, Any]] = {
    "named volume": {"Binds": ["taken-{word}:/etc/hosts:nocopy"]},
    "anonymous volume": {"Binds": ["/etc/resolv.conf"]},
    "workspace": {"Binds": ["/workspace:/etc/hosts"]},
    "below the workspace": {"Binds": ["/workspace/made:/etc/hostname:ro"]},
    "other spelling": {"Binds": ["/workspace:/x/..//etc/./hosts/"]},
    "socket": {"Binds": ["/var/run/docker.sock:/etc/hosts"]},
    "mount of a volume": {"Mounts": [{"Type": "volume", "Source": "taken-{word}", "Target": "/etc/hosts", "VolumeOptions": {"NoCopy": True}}]},
    "mount of the workspace": {"Mounts": [{"Type": "bind", "Source": "/workspace", "Target": "//etc/resolv.conf"}]},
}  # fmt: skip


@pytest.fixture(scope="module")
def read_only(
    engine: Engine, run_label: str, word: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Guard]:
    """Return a guard of a read-only project."""
    root = tmp_path_factory.mktemp("read-only")
    yield from running_guard(engine, run_label, f"read-only-{word}", root, "--read-only")


@pytest.mark.parametrize("how", NETWORK_FILES)
@pytest.mark.usefixtures("untouched")
def test_mount_at_a_network_file(guard: Guard, word: str, how: str) -> None:
    """Who joins the network gets what is at its path later: by then another's volume."""
    host_config = json.loads(json.dumps(NETWORK_FILES[how]).replace("{word}", word))
    answer = guard.create(host_config)
    assert answer.status == 403, answer.body
    assert "is handed on" in answer.message


@pytest.mark.usefixtures("untouched")
def test_volume_of_the_body_at_a_network_file(guard: Guard) -> None:
    assert guard.create(Volumes={"/etc//hosts": {}}).status == 403


def test_tmpfs_at_a_network_file_is_not_handed_on(guard: Guard) -> None:
    for host_config in (
        {"Tmpfs": {"/etc/hosts": ""}},
        {"Mounts": [{"Type": "tmpfs", "Target": "/etc/hosts"}]},
    ):
        made = guard.create(host_config)
        assert made.status == 201, made.body
        full = made.json["Id"]
        guard.ask("POST", f"/containers/{full}/start")
        found = request(guard.engine.socket, "GET", f"/containers/{full}/json").json
        assert f"/containers/{full}/hosts" in found["HostsPath"]
        guard.ask("DELETE", f"/containers/{full}?force=1")


@pytest.mark.parametrize("version", ["/v1.41", ""], ids=["old", "newest"])
@pytest.mark.parametrize("options", [{}, {"ReadOnlyNonRecursive": True}], ids=["plain", "option"])
@pytest.mark.usefixtures("untouched")
def test_what_is_mounted_in_a_read_only_project(
    read_only: Guard, version: str, options: dict[str, bool]
) -> None:
    """It is read-only too, whatever version a client says it speaks."""
    engine = read_only.engine
    if os.geteuid() != 0 or engine.place is None:
        pytest.skip("needs a test engine and root, to mount where its daemon is")
    mount = {"Type": "bind", "Source": "/workspace", "Target": "/w", "BindOptions": options}
    body = {"Image": "busybox", "Cmd": ["touch", "/w/below/x"], "HostConfig": {"Mounts": [mount]}}
    below = read_only.project / "below"
    below.mkdir(exist_ok=True)
    there = ["nsenter", "-t", str(engine.pid), "-m"]
    subprocess.run([*there, "mount", "-t", "tmpfs", "tmpfs", str(below)], check=True)
    try:
        made = read_only.ask("POST", f"{version}/containers/create", body)
        if options:
            assert made.status == 403, made.body
            return
        full = made.json["Id"]
        read_only.cli("start", full)
        code = read_only.cli("wait", full).stdout.strip()
        assert code == ("1" if recursive(engine) else "0")
    finally:
        subprocess.run([*there, "umount", str(below)], check=True)


def recursive(engine: Engine) -> bool:
    """Whether its read-only mounts cover what is below: not before 25.0."""
    return int(engine.api_version.partition(".")[2]) >= 44


def test_writable_below_a_writable_project(guard: Guard) -> None:
    mount = {"Type": "bind", "Source": "/workspace", "Target": "/w", "ReadOnly": True,
             "BindOptions": {"ReadOnlyNonRecursive": True}}  # fmt: skip
    assert guard.create({"Mounts": [mount]}).status == 201


@pytest.mark.usefixtures("untouched")
def test_missing_sources_are_not_made_in_a_read_only_project(read_only: Guard) -> None:
    made = {"Type": "bind", "Source": "/workspace/made/by", "Target": "/x",
            "BindOptions": {"CreateMountpoint": True}}  # fmt: skip
    for host_config in ({"Binds": ["/workspace/made/by/guard:/x"]}, {"Mounts": [made]}):
        answer = read_only.create(host_config)
        assert answer.status == 400, answer.body
        assert "does not exist" in answer.message
    assert not (read_only.project / "made").exists()


@pytest.mark.parametrize(("asked", "got"), [(-1, 600), (86400, 600), (30, 30), (0, 0)])
@pytest.mark.usefixtures("untouched")
def test_stop_timeout(guard: Guard, asked: int, got: int) -> None:
    """An engine that is stopped waits for the longest of all."""
    full = guard.create(StopTimeout=asked).json["Id"]
    found = request(guard.engine.socket, "GET", f"/containers/{full}/json").json
    assert found["Config"]["StopTimeout"] == got


# -- networks --------------------------------------------------------------------------------


def made_with(guard: Guard, subnet: str) -> Any:
    """Create a network with a subnet, and remove it again."""
    body = {"Name": f"net-{secrets.token_hex(3)}", "EnableIPv6": ":" in subnet,
            "IPAM": {"Config": [{"Subnet": subnet}]}}  # fmt: skip
    answer = guard.ask("POST", "/networks/create", body)
    if answer.status == 201:
        guard.cli("network", "rm", answer.json["Id"])
    return answer


@pytest.mark.parametrize(
    "subnet", ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/15", "fd99::/32", "fc00::/7"]
)
@pytest.mark.usefixtures("untouched")
def test_large_subnet(guard: Guard, subnet: str) -> None:
    assert made_with(guard, subnet).status == 403


@pytest.mark.usefixtures("untouched")
def test_subnet_with_a_name_server_of_the_host(guard: Guard) -> None:
    """It is behind the default route: no other route tells of it."""
    words = [line.split() for line in Path("/etc/resolv.conf").read_text().splitlines()]
    servers = [line[1] for line in words if line[:1] == ["nameserver"]]
    mine = [one for one in servers if one.startswith(("10.", "192.168."))]
    if not mine or guard.engine.place is None:
        pytest.skip("needs a name server in a private subnet")
    answer = made_with(guard, mine[0].rpartition(".")[0] + ".0/24")
    assert answer.status == 403, answer.body
    assert "name server" in answer.message


@pytest.mark.usefixtures("untouched")
def test_subnet_with_an_address_of_the_host(guard: Guard) -> None:
    if os.geteuid() != 0 or guard.engine.place is None:
        pytest.skip("needs a test engine and root, to give it an address")
    subprocess.run(["ip", "addr", "add", "10.78.0.7/32", "dev", "lo"], check=True)
    try:
        answer = made_with(guard, "10.78.0.0/24")
    finally:
        subprocess.run(["ip", "addr", "del", "10.78.0.7/32", "dev", "lo"], check=True)
    assert answer.status == 403, answer.body


@pytest.mark.usefixtures("untouched")
def test_subnet_with_somebody_that_the_host_is_connected_with(guard: Guard) -> None:
    if guard.engine.place is None:
        pytest.skip("needs the network that the guard is in")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connected:
        connected.connect(("10.79.0.9", 9))
        answer = made_with(guard, "10.79.0.0/24")
    assert answer.status == 403, answer.body
    assert "connected with" in answer.message
    assert made_with(guard, "10.79.0.0/24").status == 201


def test_chosen_subnets(guard: Guard) -> None:
    for subnet in ("10.79.0.0/16", "192.168.213.0/24", "fd79:1::/48"):
        answer = made_with(guard, subnet)
        assert answer.status == 201, answer.body


@pytest.mark.parametrize("digits", [64, 12], ids=["id", "prefix"])
@pytest.mark.usefixtures("untouched")
def test_network_of_the_host_by_its_id(guard: Guard, digits: int) -> None:
    host = request(guard.engine.socket, "GET", "/networks/host").json["Id"][:digits]
    answers = [
        guard.create({"NetworkMode": host}),
        guard.create(NetworkingConfig={"EndpointsConfig": {host: {}}}),
        guard.ask("POST", f"/build?networkmode={host}", context("FROM busybox\n")),
    ]
    full = guard.create().json["Id"]
    answers.append(guard.ask("POST", f"/networks/{host}/connect", {"Container": full}))
    assert [answer.status for answer in answers] == [403] * 4, [one.body for one in answers]


def test_bridge_by_its_id(guard: Guard) -> None:
    bridge = request(guard.engine.socket, "GET", "/networks/bridge").json["Id"]
    done = guard.cli("run", "-d", *AT_ONCE, "--network", bridge, "busybox", "sleep", "9")
    guard.cli("rm", "-f", done.stdout.strip())


# -- the classic builder's cache -------------------------------------------------------------


def context(dockerfile: str) -> bytes:
    """Return a build's context."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as tar:
        member = tarfile.TarInfo("Dockerfile")
        member.size = len(dockerfile)
        tar.addfile(member, io.BytesIO(dockerfile.encode()))
    return held.getvalue()


@pytest.mark.usefixtures("untouched")
def test_build_with_names_of_its_own(guard: Guard) -> None:
    """The layers would be the host's next build's, whose step is the same to the cache."""
    text = "FROM busybox\nRUN cat /etc/hosts > /got\n"
    done = guard.cli("build", "--add-host", "a.test:10.0.0.1", "-", input=text, check=False)
    assert done.returncode != 0
    assert "DOCKER_BUILDKIT=1" in done.stderr


@pytest.mark.usefixtures("untouched")
def test_build_in_an_own_network(guard: Guard) -> None:
    network = guard.cli("network", "create", "of-a-build").stdout.strip()
    for name in ("of-a-build", network, network[:12]):
        answer = guard.ask("POST", f"/build?networkmode={name}", context("FROM busybox\n"))
        assert answer.status == 403, answer.body
    guard.cli("network", "rm", network)


@pytest.mark.usefixtures("untouched")
def test_cache_from_an_image_that_lies(guard: Guard) -> None:
    """Older engines believe an image how its layers were made (CVE-2024-24557)."""
    word = secrets.token_hex(3)
    guard.cli("build", "-t", f"lies-{word}", "-", input=f"FROM busybox\nRUN echo bad-{word} > /f\n")
    saved = guard.ask("GET", f"/images/get?names=lies-{word}").content
    guard.cli("rmi", "-f", f"lies-{word}")
    held = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(saved)) as old,
        tarfile.open(fileobj=held, mode="w") as new,
    ):
        for member in old:
            data = old.extractfile(member).read() if member.isreg() else b""  # type: ignore[union-attr]
            if b'"rootfs"' in data or member.name == "manifest.json":
                changed = data.replace(f"echo bad-{word} ".encode(), f"echo good-{word} ".encode())
                data, member.size = changed, len(changed)
            new.addfile(member, io.BytesIO(data) if member.isreg() else None)
    loaded = guard.ask("POST", "/images/load", held.getvalue())
    assert b"Loaded image" in loaded.content, loaded.content
    text = f"FROM busybox\nRUN echo good-{word} > /f\n"
    query = quote(json.dumps([f"lies-{word}"]))
    built = guard.ask("POST", f"/build?cachefrom={query}&t=built-{word}", context(text))
    assert b"Successfully tagged" in built.content, built.content
    of_the_host = {"DOCKER_HOST": guard.engine.host}
    guard.cli("build", "-t", f"mine-{word}", "-", input=text, env=of_the_host)
    said = guard.cli("run", "--rm", f"mine-{word}", "cat", "/f", env=of_the_host).stdout
    guard.cli("rmi", f"mine-{word}", env=of_the_host)
    assert said == f"good-{word}\n"
