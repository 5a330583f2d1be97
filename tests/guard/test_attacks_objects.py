"""Attacks on what is there: the host's containers, images, networks, volumes, builds and events."""

# ruff: noqa: E501 - one attack is one line
from __future__ import annotations

import gzip
import io
import json
import os
import re
import subprocess
import tarfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tests.guard.conftest import AT_ONCE
from tests.guard.raw import exchange, request

if TYPE_CHECKING:
    from tests.guard.conftest import Guard, Host

CONTAINER_REQUESTS = {
    "inspect": "GET /containers/{ref}/json",
    "top": "GET /containers/{ref}/top",
    "logs": "GET /containers/{ref}/logs?stdout=1",
    "changes": "GET /containers/{ref}/changes",
    "export": "GET /containers/{ref}/export",
    "stats": "GET /containers/{ref}/stats?stream=0",
    "resize": "POST /containers/{ref}/resize?h=1&w=1",
    "start": "POST /containers/{ref}/start",
    "stop": "POST /containers/{ref}/stop?t=0",
    "restart": "POST /containers/{ref}/restart?t=0",
    "kill": "POST /containers/{ref}/kill",
    "update": "POST /containers/{ref}/update",
    "rename": "POST /containers/{ref}/rename?name=stolen",
    "pause": "POST /containers/{ref}/pause",
    "unpause": "POST /containers/{ref}/unpause",
    "attach": "POST /containers/{ref}/attach?stream=1&stdin=1&stdout=1",
    "web socket": "GET /containers/{ref}/attach/ws?stream=1",
    "wait": "POST /containers/{ref}/wait",
    "remove": "DELETE /containers/{ref}?force=1&v=1",
    "stat a file": "HEAD /containers/{ref}/archive?path=/etc",
    "copy out": "GET /containers/{ref}/archive?path=/etc",
    "copy in": "PUT /containers/{ref}/archive?path=/",
    "exec": "POST /containers/{ref}/exec",
    "commit": "POST /commit?container={ref}&repo=stolen",
    "checkpoints": "GET /containers/{ref}/checkpoints",
    "checkpoint": "POST /containers/{ref}/checkpoints",
    "delete a checkpoint": "DELETE /containers/{ref}/checkpoints/x",
}
BODIES = {
    "update": {"Memory": 0},
    "exec": {"Cmd": ["id"]},
    "commit": {},
    "checkpoint": {"CheckpointID": "x", "CheckpointDir": "/etc"},
    "copy in": b"",
}
REFS = ["id", "prefix", "name", "slashed", "sandbox"]


def named(host: Host, guard: Guard, how: str) -> str:
    return {
        "id": host.container,
        "prefix": host.container[:12],
        "name": host.container_name,
        "slashed": f"%2F{host.container_name}",
        "sandbox": guard.name,
    }[how]


@pytest.mark.parametrize("how", REFS)
@pytest.mark.parametrize("what", CONTAINER_REQUESTS)
def test_container_of_the_host(guard: Guard, untouched: Host, what: str, how: str) -> None:
    method, _, target = CONTAINER_REQUESTS[what].partition(" ")
    where = target.replace("{ref}", named(untouched, guard, how))
    answer = guard.ask(method, where, BODIES.get(what))
    assert answer.status in {403, 404}, answer.body
    assert b"hunter2" not in answer.body


COMMANDS = {
    "logs": ["logs", "{c}"],
    "exec": ["exec", "{c}", "id"],
    "attach": ["attach", "--no-stdin", "{c}"],
    "cp out": ["cp", "{c}:/etc/passwd", "-"],
    "inspect": ["container", "inspect", "{c}"],
    "inspect of any kind": ["inspect", "{c}"],
    "stop": ["stop", "-t", "0", "{c}"],
    "kill": ["kill", "{c}"],
    "rm": ["rm", "-v", "{c}"],
    "restart": ["restart", "-t", "0", "{c}"],
    "pause": ["pause", "{c}"],
    "rename": ["rename", "{c}", "stolen"],
    "update": ["update", "--memory", "64m", "{c}"],
    "commit": ["commit", "{c}", "stolen"],
    "export": ["export", "{c}"],
    "top": ["top", "{c}"],
    "stats": ["stats", "--no-stream", "{c}"],
    "diff": ["diff", "{c}"],
    "port": ["port", "{c}"],
    "wait": ["wait", "{c}"],
    "connect": ["network", "connect", "bridge", "{c}"],
    "disconnect": ["network", "disconnect", "-f", "{n}", "{c}"],
    "network rm": ["network", "rm", "{n}"],
    "network inspect": ["network", "inspect", "{n}"],
    "volume rm": ["volume", "rm", "-f", "{v}"],
    "volume inspect": ["volume", "inspect", "{v}"],
    "rmi": ["rmi", "-f", "{t}"],
    "tag over": ["tag", "debian:trixie-slim", "{t}"],
    "push": ["push", "{t}"],
    "swarm init": ["swarm", "init"],
    "service ls": ["service", "ls"],
    "secret ls": ["secret", "ls"],
    "plugin install": ["plugin", "install", "--grant-all-permissions", "x/y"],
    "login": ["login", "-u", "a", "-p", "b", "127.0.0.1:1"],
    "unknown filter": ["container", "ls", "--filter", "nosuch=1"],
    "list before it": ["container", "ls", "--filter", "before={c}"],
    "list since it": ["container", "ls", "--filter", "since={c}"],
    "start": ["start", "{c}"],
    "unpause": ["unpause", "{c}"],
    "cp in": ["cp", "/etc/hostname", "{c}:/"],
    "import from an address": ["import", "http://169.254.169.254/latest"],
    "macvlan": ["network", "create", "-d", "macvlan", "-o", "parent=eth0", "mv"],
    "ipvlan": ["network", "create", "-d", "ipvlan", "iv"],
    "overlay": ["network", "create", "-d", "overlay", "ov"],
    "bridge name": ["network", "create", "-o", "com.docker.network.bridge.name=docker0", "bn"],
    "container interface": ["network", "create", "-o", "com.docker.network.container_iface_prefix=x", "ci"],
    "public subnet": ["network", "create", "--subnet", "8.8.8.0/24", "ps"],
    "wide subnet": ["network", "create", "--subnet", "0.0.0.0/0", "ws"],
    "ipam driver": ["network", "create", "--ipam-driver", "x", "id"],
    "config only": ["network", "create", "--config-only", "co"],
    "host network": ["network", "create", "-d", "host", "hn"],
    "network with an id for a name": ["network", "create", "abcdefabcdef"],
    "volume of root": ["volume", "create", "-o", "type=none", "-o", "o=bind", "-o", "device=/", "vr"],
    "volume of a disk": ["volume", "create", "-o", "type=ext4", "-o", "device=/dev/vda", "vd"],
    "volume of nfs": ["volume", "create", "-o", "type=nfs", "-o", "o=addr=127.0.0.1", "-o", "device=:/", "vn"],
    "volume of overlay": ["volume", "create", "-o", "type=overlay", "-o", "o=lowerdir=/,upperdir=/tmp,workdir=/tmp", "-o", "device=overlay", "vo"],
    "tmpfs volume with a bind": ["volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=bind", "vt"],
    "volume driver": ["volume", "create", "-d", "other", "vx"],
    "volume of that name": ["volume", "create", "{v}"],
    "build in the host's network": ["build", "--network", "host", "-"],
    "build in a container's network": ["build", "--network", "container:{c}", "-"],
    "build in a foreign network": ["build", "--network", "{n}", "-"],
    "build below a cgroup": ["build", "--cgroup-parent", "/x", "-"],
    "build with a security option": ["build", "--security-opt", "seccomp=unconfined", "-"],
    "build from an address": ["build", "http://127.0.0.1/x.tar"],
    "tag like an id": ["tag", "busybox", "abcdefabcdef"],
    "metadata registry": ["pull", "169.254.169.254/x"],
}  # fmt: skip


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_command(guard: Guard, untouched: Host, words: list[str]) -> None:
    names = {
        "{c}": untouched.container_name, "{n}": untouched.network_name,
        "{v}": untouched.volume, "{t}": untouched.tag,
    }  # fmt: skip
    filled = []
    for word in words:
        for mark, name in names.items():
            word = word.replace(mark, name)  # noqa: PLW2901
        filled.append(word)
    done = guard.cli(*filled, input="FROM busybox\n", check=False, timeout=60)
    assert done.returncode != 0, done.stdout
    assert "hunter2" not in done.stdout


HOST_DEVICE = {"type": "none", "o": "bind", "device": "/"}
# The same as raw requests, and what has no command of its own.
RAW: dict[str, tuple[str, dict[str, Any] | None]] = {
    "connect": ("POST /networks/bridge/connect", {"Container": "{c}"}),
    "connect to its network": ("POST /networks/{n}/connect", {"Container": "{own}"}),
    "disconnect": ("POST /networks/{n}/disconnect", {"Container": "{c}", "Force": True}),
    "disconnect from the bridge": ("POST /networks/bridge/disconnect", {"Container": "{c}"}),
    "network inspect": ("GET /networks/{n}", None),
    "network rm": ("DELETE /networks/{n}", None),
    "volume inspect": ("GET /volumes/{v}", None),
    "volume rm": ("DELETE /volumes/{v}?force=1", None),
    "push": ("POST /images/{t}/push", {}),
    "macvlan": ("POST /networks/create", {"Name": "mv", "Driver": "macvlan", "Options": {"parent": "eth0"}}),
    "ipvlan": ("POST /networks/create", {"Name": "iv", "Driver": "ipvlan"}),
    "overlay": ("POST /networks/create", {"Name": "ov", "Driver": "overlay"}),
    "host network": ("POST /networks/create", {"Name": "hn", "Driver": "host"}),
    "bridge name": ("POST /networks/create", {"Name": "bn", "Options": {"com.docker.network.bridge.name": "docker0"}}),
    "bridge name in capitals": ("POST /networks/create", {"Name": "bn", "options": {"com.docker.network.bridge.name": "docker0"}}),
    "address of a bridge": ("POST /networks/create", {"Name": "ba", "Options": {"com.docker.network.bridge.host_binding_ipv4": "0.0.0.0"}}),  # noqa: S104
    "public subnet": ("POST /networks/create", {"Name": "ps", "IPAM": {"Config": [{"Subnet": "8.8.8.0/24"}]}}),
    "wide subnet": ("POST /networks/create", {"Name": "ws", "IPAM": {"Config": [{"Subnet": "0.0.0.0/0"}]}}),
    "ipam driver": ("POST /networks/create", {"Name": "id", "IPAM": {"Driver": "x"}}),
    "ipam options": ("POST /networks/create", {"Name": "io", "IPAM": {"Options": {"a": "b"}}}),
    "config only": ("POST /networks/create", {"Name": "co", "ConfigOnly": True}),
    "config from": ("POST /networks/create", {"Name": "cf", "ConfigFrom": {"Network": "{n}"}}),
    "ingress": ("POST /networks/create", {"Name": "in", "Ingress": True}),
    "swarm scope": ("POST /networks/create", {"Name": "ss", "Scope": "swarm"}),
    "network with an id for a name": ("POST /networks/create", {"Name": "abcdefabcdef"}),
    "network with claudy's label": ("POST /networks/create", {"Name": "cl", "Labels": {"claudy.project": "x"}}),
    "volume of root": ("POST /volumes/create", {"Name": "vr", "DriverOpts": HOST_DEVICE}),
    "volume of a disk": ("POST /volumes/create", {"Name": "vd", "DriverOpts": {"type": "ext4", "device": "/dev/vda"}}),
    "volume of nfs": ("POST /volumes/create", {"Name": "vn", "DriverOpts": {"type": "nfs", "o": "addr=127.0.0.1", "device": ":/"}}),
    "volume of overlay": ("POST /volumes/create", {"Name": "vo", "DriverOpts": {"type": "overlay", "o": "lowerdir=/,upperdir=/tmp,workdir=/tmp", "device": "overlay"}}),
    "tmpfs volume with a bind": ("POST /volumes/create", {"Name": "vt", "DriverOpts": {"type": "tmpfs", "device": "tmpfs", "o": "bind"}}),
    "volume driver": ("POST /volumes/create", {"Name": "vx", "Driver": "other"}),
    "volume of that name": ("POST /volumes/create", {"Name": "{v}"}),
    "volume of claudy's name": ("POST /volumes/create", {"Name": "claudy-home-x"}),
    "volume with claudy's label": ("POST /volumes/create", {"Name": "vl", "Labels": {"claudy.project": "x"}}),
    "cluster volume": ("POST /volumes/create", {"Name": "vc", "ClusterVolumeSpec": {"Group": "x"}}),
}  # fmt: skip


@pytest.mark.parametrize(("line", "body"), RAW.values(), ids=RAW)
def test_raw(guard: Guard, untouched: Host, line: str, body: dict[str, Any] | None) -> None:
    own = guard.create().json["Id"] if "{own}" in str(body) else ""
    names = {
        "{c}": untouched.container, "{n}": untouched.network, "{v}": untouched.volume,
        "{t}": untouched.tag.removesuffix(":latest"), "{own}": own,
    }  # fmt: skip
    before = made_there(guard)
    asked = json.dumps([line, body])
    for mark, name in names.items():
        asked = asked.replace(mark, name)
    line, body = json.loads(asked)
    method, _, target = line.partition(" ")
    answer = guard.ask(method, target, body)
    assert answer.status in {400, 403, 404}, answer.body
    assert made_there(guard) == before
    if own:
        guard.cli("rm", own)


def made_there(guard: Guard) -> list[set[str]]:
    """Return the networks and volumes of the engine."""
    sock = guard.engine.socket
    networks = {net["Id"] for net in request(sock, "GET", "/networks").json}
    volumes = request(sock, "GET", "/volumes").json["Volumes"] or []
    return [networks, {volume["Name"] for volume in volumes}]


@pytest.mark.parametrize("how", ["commit", "load", "import", "tag"])
def test_command_over_a_tag_of_the_host(guard: Guard, untouched: Host, how: str) -> None:
    full = guard.create().json["Id"]
    file = guard.project / "over.tar"
    file.write_bytes(archive(untouched.tag, CONFIG))
    words = {
        "commit": ["commit", full, untouched.tag],
        "load": ["load", "-i", str(file)],
        "import": ["import", str(file), untouched.tag],
        "tag": ["tag", "debian:trixie-slim", untouched.tag],
    }[how]
    done = guard.cli(*words, check=False)
    assert done.returncode != 0
    assert "claudy guard" in done.stderr
    guard.cli("rm", full)


@pytest.mark.parametrize("kind", ["container", "network", "volume", "image", "system"])
@pytest.mark.parametrize("words", [[], ["--filter", "label!=none"]], ids=["all", "label!="])
def test_command_prune(guard: Guard, untouched: Host, kind: str, words: list[str]) -> None:
    """Of what the host has lying about nothing goes."""
    cli = untouched.engine.cli
    label = ("--label", "claudy.test=x")
    stopped = cli("create", *label, "busybox").stdout.strip()
    volume = cli("volume", "create", *label).stdout.strip()
    network = cli("network", "create", *label, f"spare-{untouched.network_name}").stdout.strip()
    more = {"image": ["-a"], "system": ["-a", "--volumes"]}.get(kind, [])
    if kind == "volume" and untouched.engine.api_version != "1.41":  # where it is not implied
        more = ["-a"]
    try:
        done = guard.cli(kind, "prune", "-f", *more, *words, check=False)
        assert done.returncode == 0, done.stderr
        cli("inspect", stopped)
        cli("volume", "inspect", volume)
        cli("network", "inspect", network)
    finally:
        cli("rm", stopped)
        cli("volume", "rm", volume)
        cli("network", "rm", network)


ENDPOINTS = [
    "POST /swarm/init", "POST /swarm/join", "GET /swarm", "POST /services/create", "GET /nodes",
    "POST /plugins/pull?remote=x", "GET /plugins/privileges?remote=x", "POST /plugins/x/enable",
    "POST /plugins/create", "GET /secrets", "POST /configs/create", "PUT /volumes/x", "POST /auth",
    "POST /session", "POST /build/cancel?id=x", "GET /debug/pprof", "GET /debug/vars",
    "GET /nosuch", "POST /containers/x/copy", "OPTIONS /containers/create", "PATCH /containers/create",
    "POST /images/create?fromSrc=http://169.254.169.254/latest",
    "POST /images/create?fromSrc=127.0.0.1:2375",
    "POST /build?remote=http://127.0.0.1/", "POST /build?networkmode=host", "POST /build?version=2",
    "POST /build?securityopt=x", "POST /build?outputs=[]", "POST /build?cgroupparent=/x",
]  # fmt: skip


@pytest.mark.parametrize("line", ENDPOINTS)
@pytest.mark.usefixtures("untouched")
def test_endpoint(guard: Guard, line: str) -> None:
    method, _, target = line.partition(" ")
    body: dict[str, str] | None = {} if method in {"POST", "PUT"} else None
    answer = guard.ask(method, target, body)
    assert answer.status in {400, 403, 404, 503}
    assert "unix" not in answer.message


@pytest.mark.parametrize(
    "action", ["GET /distribution/{}/json", "POST /images/create?fromImage={}"]
)
@pytest.mark.usefixtures("untouched")
def test_registry_at_an_address_of_secrets(guard: Guard, action: str) -> None:
    method, _, target = action.format("169.254.169.254/x").partition(" ")
    answer = guard.ask(method, target)
    assert answer.status == 403, answer.body
    assert "is not a registry" in answer.message


# -- exec ------------------------------------------------------------------------------------


def test_exec_of_the_host(guard: Guard, untouched: Host) -> None:
    for method, what in (("GET", "json"), ("POST", "start"), ("POST", "resize?h=1&w=1")):
        for ref in (untouched.exec, untouched.exec[:12]):
            answer = guard.ask(method, f"/exec/{ref}/{what}", {} if what == "start" else None)
            assert answer.status == 404


@pytest.mark.usefixtures("untouched")
def test_exec_privileged(guard: Guard) -> None:
    full = guard.create().json["Id"]
    guard.cli("start", full)
    answer = guard.ask("POST", f"/containers/{full}/exec", {"Cmd": ["id"], "Privileged": True})
    assert answer.status == 403
    assert guard.cli("exec", "--privileged", full, "id", check=False).returncode != 0
    guard.cli("rm", "-f", full)


# -- scope -----------------------------------------------------------------------------------


def test_hidden_facts_are_not_found_by_filtering(guard: Guard, untouched: Host) -> None:
    for filters in (
        {"label": ["secret=42"]}, {"volume": [untouched.volume]}, {"network": [untouched.network_name]},
        {"label": ["secret"], "name": [untouched.container_name]}, {"exited": ["0"]}, {"health": ["none"]},
    ):  # fmt: skip
        answer = guard.ask("GET", f"/containers/json?all=1&filters={quote(json.dumps(filters))}")
        assert untouched.container not in {c["Id"] for c in answer.json}


def test_lists_tell_no_secrets(guard: Guard, untouched: Host) -> None:
    for target in (
        "/containers/json?all=1",
        "/containers/json?size=1",
        "/networks",
        "/volumes",
        "/system/df",
        "/info",
    ):
        body = guard.ask("GET", target).body
        assert b"hunter2" not in body
        assert b"secret" not in body
        assert untouched.volume.encode() not in body
        assert untouched.network_name.encode() not in body


@pytest.mark.usefixtures("untouched")
def test_bridge_does_not_tell_its_members(guard: Guard) -> None:
    members = guard.ask("GET", "/networks/bridge").json["Containers"]
    assert all(full in guard.owned()["containers"] for full in members)


@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"container": ["{host}"]},
        {"label": ["secret=42"]},
        {"type": ["container"]},
        {"event": ["exec_create"]},
    ],
    ids=str,
)
def test_events_of_the_host_are_not_told(
    guard: Guard, host: Host, filters: dict[str, list[str]]
) -> None:
    text = json.dumps(filters).replace("{host}", host.container)
    target = f"/events?since=1&until=1000000000000&filters={quote(text)}"
    command = [
        "curl",
        "-sN",
        "--max-time",
        "2",
        "--unix-socket",
        str(guard.socket),
        f"http://d{target}",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as stream:
        host.engine.cli("exec", host.container, "true")
        host.engine.cli("tag", host.tag, f"{host.tag}x")
        host.engine.cli("rmi", f"{host.tag}x")
        out = stream.communicate()[0]
    assert host.container.encode() not in out
    assert b"secret" not in out


@pytest.mark.parametrize("kind", ["containers", "images", "networks", "volumes"])
@pytest.mark.parametrize(
    "filters",
    [{}, {"label!": ["none"]}, {"until": ["1s"]}, {"all": ["true"]}, {"dangling": ["false"]}],
    ids=str,
)
def test_prune(guard: Guard, untouched: Host, kind: str, filters: dict[str, list[str]]) -> None:
    stopped = untouched.engine.cli("create", "--label", "claudy.test=x", "busybox").stdout.strip()
    spare = untouched.engine.cli("volume", "create", "--label", "claudy.test=x").stdout.strip()
    try:
        answer = guard.ask("POST", f"/{kind}/prune?filters={quote(json.dumps(filters))}")
        assert answer.status == 200
        untouched.engine.cli("inspect", stopped)
        untouched.engine.cli("volume", "inspect", spare)
    finally:
        untouched.engine.cli("rm", stopped)
        untouched.engine.cli("volume", "rm", spare)


def test_images_label_does_not_make_a_container_ours(guard: Guard, untouched: Host) -> None:
    """A container that the host runs from an image built inside inherits the image's labels."""
    labels = {"claudy.owner": guard.name, "claudy.project": str(guard.project)}
    lines = "".join(f"LABEL {name}={value}\n" for name, value in labels.items())
    guard.cli("build", "-t", "guard-test-forger", "-", input=f"FROM busybox\n{lines}")
    full = untouched.engine.cli(
        "run", "-d", "--label", "claudy.test=x", "guard-test-forger", "sleep", "99"
    ).stdout.strip()
    try:
        for method, target in (
            ("DELETE", f"/containers/{full}?force=1"),
            ("GET", f"/containers/{full}/json"),
        ):
            assert guard.ask(method, target).status == 404
        guard.ask("POST", "/containers/prune")
        assert guard.ask(
            "GET", f"/containers/json?filters={quote(json.dumps({'label': list(labels)}))}"
        ).json == [
            c
            for c in guard.ask("GET", "/containers/json").json
            if c["Id"] in guard.owned()["containers"]
        ]
    finally:
        untouched.engine.cli("rm", "-f", full)
        guard.cli("rmi", "guard-test-forger")


# -- images ----------------------------------------------------------------------------------


def archive(tag: str, config: bytes = b"{}", **extra: bytes) -> bytes:
    files = {
        "manifest.json": json.dumps(
            [{"Config": "config.json", "RepoTags": [tag], "Layers": []}]
        ).encode(),
        "config.json": config,
        **{name.replace("__", "/"): data for name, data in extra.items()},
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


CONFIG = json.dumps(
    {
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": []},
    }
).encode()


@pytest.mark.usefixtures("untouched")
def test_health_check_without_a_command_from_an_image(guard: Guard) -> None:
    """The daemon ends when it is due, and all containers of the host with it."""
    config = {**json.loads(CONFIG), "config": {"Healthcheck": {"Test": ["CMD"]}}}
    tag = "guard-test-health:1"
    answer = guard.ask("POST", "/images/load", archive(tag, json.dumps(config).encode()))
    assert answer.status == 200, answer.body
    before = guard.owned().get("containers", {}).keys()
    answer = guard.create(Image=tag)
    assert answer.status == 403, answer.body
    assert guard.owned().get("containers", {}).keys() == before
    query = quote(json.dumps({"ancestor": [tag]}))
    found = request(guard.engine.socket, "GET", f"/containers/json?all=1&filters={query}")
    assert found.json == []
    check = {"Test": ["CMD", "true"]}
    guard.cli("rm", guard.create(Image=tag, Healthcheck=check).json["Id"])
    guard.cli("rmi", tag)


def test_load_over_a_tag_of_the_host(guard: Guard, untouched: Host) -> None:
    answer = guard.ask(
        "POST",
        "/images/load",
        archive(untouched.tag, CONFIG),
        **{"Content-Type": "application/x-tar"},
    )
    assert answer.status == 403


def test_load_over_a_tag_in_other_words(guard: Guard, untouched: Host) -> None:
    for name in (
        f"docker.io/library/{untouched.tag}",
        untouched.tag.removesuffix(":latest"),
        f"library/{untouched.tag}",
    ):
        assert guard.ask("POST", "/images/load", archive(name, CONFIG)).status == 403


def test_load_with_tags_in_the_old_file(guard: Guard, untouched: Host) -> None:
    name = untouched.tag.removesuffix(":latest")
    old = json.dumps({name: {"latest": "0" * 64}}).encode()
    guard.ask("POST", "/images/load", archive("guard-test-load:1", CONFIG, repositories=old))
    guard.cli("rmi", "guard-test-load:1", check=False)


@pytest.mark.parametrize(
    "oddity", ["twice", "link", "hard link", "dots", "absolute", "device", "not a tar", "cut"]
)
def test_load_of_an_odd_archive(guard: Guard, untouched: Host, oddity: str) -> None:
    buffer = io.BytesIO(archive("guard-test-odd:1", CONFIG))
    with tarfile.open(fileobj=buffer, mode="a") as tar:
        member = tarfile.TarInfo({"dots": "../../etc/x", "absolute": "/etc/x"}.get(oddity, "x"))
        if oddity == "twice":
            evil = json.dumps(
                [{"Config": "config.json", "RepoTags": [untouched.tag], "Layers": []}]
            ).encode()
            member = tarfile.TarInfo("./manifest.json")
            member.size = len(evil)
            tar.addfile(member, io.BytesIO(evil))
        elif oddity in {"link", "hard link"}:
            member.type = tarfile.SYMTYPE if oddity == "link" else tarfile.LNKTYPE
            member.linkname = "/etc/passwd"
            tar.addfile(member)
        elif oddity == "device":
            member.type = tarfile.BLKTYPE
            tar.addfile(member)
        else:
            tar.addfile(member)
    data = buffer.getvalue()
    data = b"nonsense" * 1000 if oddity == "not a tar" else data[:700] if oddity == "cut" else data
    assert guard.ask("POST", "/images/load", data).status == 400


TOPS = {
    "age for an id": "-oetimes=PID -e e f -oargs",
    "heading of two words": "-e e f -ostart,etimes,pid,args",
    "column in front": "-o args,pid",
    "renamed": "-o pid=X,etimes=PID",
    "no heading": "axh",
    "no heading in words": "-e --no-headers",
    "two lists": "-o pid -o etimes=PID",
    "sorted": "-ef --sort pid",
    "of a user": "-u root",
    "more lines": "-ef\n-o args",
}


@pytest.mark.parametrize("words", TOPS.values(), ids=TOPS)
@pytest.mark.usefixtures("untouched")
def test_top_tells_of_no_other_process(guard: Guard, words: str) -> None:
    """The daemon runs ps as root on the host, and leaves out what it takes for others'."""
    full = guard.cli("run", "-d", *AT_ONCE, "busybox", "sleep", "1000").stdout.strip()
    answer = guard.ask("GET", f"/containers/{full}/top?ps_args={quote(words)}")
    assert answer.status in {400, 403}, answer.body
    guard.cli("rm", "-f", full)


@pytest.mark.parametrize(
    "words", ["", "-ef", "aux", "-eF", "axu", "-eo pid,comm", "-o pid,user,args", "ax -o pid,%cpu"]
)
def test_top_as_it_is_used(guard: Guard, words: str) -> None:
    full = guard.cli("run", "-d", *AT_ONCE, "busybox", "sleep", "1000").stdout.strip()
    found = [
        request(socket, "GET", f"/containers/{full}/top?ps_args={quote(words)}").json
        for socket in (guard.socket, guard.engine.socket)
    ]
    assert [len(one["Processes"]) for one in found] == [1, 1], found
    assert found[0]["Titles"] == found[1]["Titles"]
    assert len(found[0]["Processes"][0]) == len(found[0]["Titles"])
    guard.cli("rm", "-f", full)


@pytest.mark.usefixtures("untouched")
def test_subnet_over_a_route_of_the_host(guard: Guard) -> None:
    """Routes of either family: what the engine's machine sends there would go to a container."""
    if os.geteuid() != 0 or guard.engine.place is None:
        pytest.skip("needs a test engine and root, to give it a route")
    for route, subnet in (("10.77.0.0/16", "10.77.3.0/24"), ("fd77:1::/48", "fd77:1:0:5::/64")):
        family = "-6" if ":" in route else "-4"
        subprocess.run(["ip", family, "route", "add", route, "dev", "lo"], check=True)
        try:
            body = {"Name": "over", "EnableIPv6": ":" in route,
                    "IPAM": {"Config": [{"Subnet": subnet}]}}  # fmt: skip
            answer = guard.ask("POST", "/networks/create", body)
            assert answer.status == 403, answer.body
            assert route in answer.message
        finally:
            subprocess.run(["ip", family, "route", "del", route, "dev", "lo"], check=True)


@pytest.mark.parametrize("checked", [None, False, True])
def test_a_second_network_of_a_name_is_not_made(
    guard: Guard, untouched: Host, checked: bool | None
) -> None:
    """The host could neither join, start in, nor remove its own by that name any more."""
    body = {"Name": untouched.network_name, "CheckDuplicate": checked}
    answer = guard.ask("POST", "/networks/create", body)
    assert answer.status == 403, answer.body
    assert "not made in this sandbox" in answer.message
    untouched.engine.cli("network", "inspect", untouched.network_name)


@pytest.mark.parametrize("how", ["members", "name", "attributes", "holes"])
@pytest.mark.usefixtures("untouched")
def test_load_of_an_archive_that_grows(guard: Guard, how: str) -> None:
    """A little when it is sent, gigabytes when it is unpacked: the guard does not hold them."""
    header = tarfile.TarInfo("x")
    if how == "members":
        parts = [tarfile.TarInfo("x").tobuf()] * 1_000_000
    else:
        kinds = {"name": tarfile.GNUTYPE_LONGNAME, "attributes": tarfile.XHDTYPE}
        header.type = kinds.get(how, tarfile.GNUTYPE_SPARSE)
        header.size = 4 << 30
        parts = [header.tobuf(), *([bytes(1 << 20)] * 2048)]
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1) as file:
        for part in parts:
            file.write(part)
    answer = guard.ask("POST", "/images/load", packed.getvalue())
    assert answer.status == 400, answer.body
    worker = int(Path(f"/proc/{guard.pid}/task/{guard.pid}/children").read_text())
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{worker}/status").read_text())
    assert peak
    assert int(peak[1]) < 200_000


TAGGING = ["tag", "commit", "import", "build"]


@pytest.mark.parametrize("how", TAGGING)
@pytest.mark.parametrize("form", ["{t}", "docker.io/library/{t}", "library/{t}"])
def test_tag_of_the_host_is_not_moved(guard: Guard, untouched: Host, how: str, form: str) -> None:
    tag = form.replace("{t}", untouched.tag)
    repo, _, label = tag.rpartition(":")
    full = guard.create().json["Id"]
    if how == "tag":
        answer = guard.ask("POST", f"/images/debian:trixie-slim/tag?repo={repo}&tag={label}")
        assert answer.status == 403
    elif how == "commit":
        assert guard.ask("POST", f"/commit?container={full}&repo={repo}&tag={label}").status == 403
    elif how == "import":
        answer = guard.ask(
            "POST", f"/images/create?fromSrc=-&repo={repo}&tag={label}", archive("x")
        )
        assert answer.status == 403
    else:
        done = guard.cli(
            "build", "-t", tag, "-", input=f"FROM busybox\nRUN echo {form} > /x\n", check=False
        )
        assert done.returncode != 0
        assert "is not moved from here" in done.stdout + done.stderr
    guard.cli("rm", full)


def test_image_of_the_host_is_not_deleted(guard: Guard, untouched: Host) -> None:
    image = untouched.engine.cli("image", "inspect", "-f", "{{.Id}}", "busybox").stdout.strip()
    for ref in (image, image[7:19], untouched.tag, "busybox", "busybox:latest", image[7:]):
        assert guard.ask("DELETE", f"/images/{ref}?force=1").status in {403, 404, 409}


@pytest.mark.usefixtures("untouched")
def test_own_tag_on_an_image_of_the_host_can_go_again(guard: Guard) -> None:
    guard.cli("tag", "busybox", "guard-test-alias:1")
    guard.cli("rmi", "guard-test-alias:1")


def test_deleting_by_id_spares_the_tags_of_the_host(guard: Guard, untouched: Host) -> None:
    guard.cli(
        "build", "-t", "guard-test-shared:1", "-", input="FROM busybox\nRUN echo shared > /x\n"
    )
    image = guard.cli("image", "inspect", "-f", "{{.Id}}", "guard-test-shared:1").stdout.strip()
    kept = f"{untouched.tag.removesuffix(':latest')}:kept"
    untouched.engine.cli("tag", image, kept)
    try:
        guard.ask("DELETE", f"/images/{image}?force=1")
        guard.ask("POST", f"/images/prune?filters={quote(json.dumps({'dangling': ['false']}))}")
        assert request(untouched.engine.socket, "GET", f"/images/{kept}/json").status == 200
    finally:
        untouched.engine.cli("rmi", kept, check=False)


# -- two sandboxes of other projects ----------------------------------------------------------


@pytest.mark.usefixtures("untouched")
def test_subpath_swapped_before_start(guard: Guard) -> None:
    for word, act in (("create", ["start"]), ("restart", ["restart", "-t", "0"])):
        inside = guard.project / f"swap-{word}"
        inside.mkdir()
        command = ["sh", "-c", "ls -a /d > /out; exec sleep 1000"]
        full = guard.create({"Binds": [f"/workspace/swap-{word}:/d"]}, Cmd=command).json["Id"]
        if word == "restart":
            guard.cli("start", full)
        inside.rmdir()
        os.symlink("/etc", inside)
        guard.cli(*act, full, check=False)
        done = guard.cli("cp", f"{full}:/out", "-", check=False)
        assert "passwd" not in done.stdout
        inside.unlink()
        guard.cli("rm", "-f", full)


@pytest.mark.usefixtures("untouched")
def test_subpath_swapped_all_the_time(guard: Guard) -> None:
    """A process in a sandbox's container swaps a directory for a link while it is mounted."""
    (guard.project / "race").mkdir()
    script = (
        "cd /w/race; mkdir real; ln -s /etc evil; i=0;"
        "while :; do mv real d 2>/dev/null; mv d real 2>/dev/null; mv evil d 2>/dev/null; mv d evil 2>/dev/null; done"
    )
    swapper = guard.create({"Binds": ["/workspace:/w"]}, Cmd=["sh", "-c", script]).json["Id"]
    guard.cli("start", swapper)
    seen = []
    try:
        for _ in range(12):
            answer = guard.create(
                {
                    "Mounts": [
                        {
                            "Type": "bind",
                            "Source": "/workspace/race/d",
                            "Target": "/d",
                            "ReadOnly": True,
                        }
                    ]
                },
                Cmd=["ls", "/d"],
            )
            if answer.status != 201:
                continue
            full = answer.json["Id"]
            guard.ask("POST", f"/containers/{full}/start")
            guard.ask("POST", f"/containers/{full}/wait")
            seen.append(guard.cli("logs", full, check=False).stdout)
            guard.cli("rm", "-f", full)
    finally:
        guard.cli("rm", "-f", swapper)
    assert not [text for text in seen if "passwd" in text]


@pytest.mark.usefixtures("untouched")
def test_sandbox_runs_again_after_a_guarded_start(guard: Guard) -> None:
    (guard.project / "calm").mkdir()
    guard.cli("run", "--rm", "-v", "/workspace/calm:/d", "busybox", "true")
    found = json.loads(guard.engine.cli("inspect", guard.name).stdout)[0]
    assert found["State"]["Status"] == "running"


@pytest.mark.usefixtures("untouched")
def test_many_threads_of_one_attack(guard: Guard) -> None:
    body = {"Image": "busybox", "HostConfig": {"Privileged": True}}
    statuses: list[int] = []

    def attack() -> None:
        statuses.append(guard.ask("POST", "/containers/create", body).status)

    threads = [threading.Thread(target=attack) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [403] * 40


@pytest.mark.usefixtures("untouched")
def test_grpc_upgrade(guard: Guard) -> None:
    data = b"POST /grpc HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    answer = exchange(guard.socket, data, half_close=True)
    assert answer.status == 101
    assert b"moby" not in answer.body
