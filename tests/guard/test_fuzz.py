"""A fuzzer with the daemon as the oracle: what is accepted must mean there what it meant here."""

# ruff: noqa: E501 - tables

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from claudy.guard import strictjson
from claudy.guard.policy import objects
from claudy.guard.policy.create import (
    CONFIG,
    DEFAULT_CAPS,
    HOST_CONFIG,
    commit_body,
    create_body,
    update_body,
)
from claudy.guard.policy.rules import Budget, No
from claudy.guard.refusal import Denied
from claudy.guard.target import parse
from tests.guard.raw import exchange, request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.guard.conftest import Guard, Host

CASES = int(os.environ.get("CLAUDY_FUZZ_CASES", "150"))
LIMITS = settings(
    max_examples=CASES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2000),
    st.sampled_from(
        [
            "",
            "host",
            "none",
            "bridge",
            "private",
            "container:x",
            "/",
            "/workspace",
            "ALL",
            "no",
            "always",
            "a:b",
        ]
    ),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["Name", "Type", "Source", "Target", "80/tcp", "x"]), inner, max_size=3), max_leaves=5
)  # fmt: skip
NAMES = [row.name for row in HOST_CONFIG]
SPELLINGS = st.sampled_from(NAMES).flatmap(
    lambda name: st.sampled_from(
        [name, name, name, name.lower(), name.replace("s", "\u017f"), name + " "]
    )
)
DANGEROUS: dict[str, Callable[[Any], bool]] = {
    "Privileged": lambda v: not v,
    "PidMode": lambda v: v == "",
    "UTSMode": lambda v: v == "",
    "UsernsMode": lambda v: v == "",
    "IpcMode": lambda v: v in {"", "private", "shareable", "none"},
    "NetworkMode": lambda v: v in {"default", "bridge", "none", ""},
    "Devices": lambda v: not v,
    "DeviceRequests": lambda v: not v,
    "DeviceCgroupRules": lambda v: not v,
    "CgroupParent": lambda v: not v,
    "SecurityOpt": lambda v: set(v or []) <= {"no-new-privileges"},
    "VolumesFrom": lambda v: not v,
    "OomKillDisable": lambda v: not v,
    "VolumeDriver": lambda v: v in {"", "local"},
    "CapAdd": lambda v: {c.upper().removeprefix("CAP_") for c in v or []} <= DEFAULT_CAPS,
    "RestartPolicy": lambda v: v["Name"] in {"", "no", "on-failure"},
    "MaskedPaths": lambda v: "/proc/kcore" in v,
    "ReadonlyPaths": lambda v: "/proc/sys" in v,
    "Cgroup": lambda v: not v,
    "Runtime": lambda v: v == "runc",
    "StorageOpt": lambda v: not v,
    "Links": lambda v: not v,
    "OomScoreAdj": lambda v: v >= 0,
    "Sysctls": lambda v: all(name.startswith("net.") for name in v or {}),
    "Ulimits": lambda v: not {one["Name"] for one in v or []} & {"nice", "rtprio"},
    "BlkioDeviceReadBps": lambda v: not v,
    "LogConfig": lambda v: v["Type"] in {"json-file", "local", "none"} and "pad" not in str(v),
    "PortBindings": lambda v: all(e["HostIp"] for bound in (v or {}).values() for e in bound),
}

# What clients send, and what they may not; random values alone seldom get as far as the daemon.
_MOUNT = {"Type": "tmpfs", "Target": "/m"}
PLAUSIBLE: dict[str, tuple[Any, ...]] = {
    "Hostname": ("a", "", "a\nb"),
    "Domainname": ("a.b",),
    "User": ("root", "0:0", "nobody", "99999999999"),
    "AttachStdin": (True,),
    "AttachStdout": (True,),
    "AttachStderr": (True,),
    "ExposedPorts": ({"80/tcp": {}}, {"0": {}}, {"1-65535/udp": {}}, {"80/x": {}}),
    "Tty": (True,),
    "OpenStdin": (True,),
    "StdinOnce": (True,),
    "Env": (["A=b"], ["=", "A"], [""]),
    "Cmd": (["true"], ["sh", "-c", "echo x"], "true", [""], []),
    "Healthcheck": tuple({"Test": test, "Interval": 1000000, "Timeout": 1000000} for test in (
        ["CMD", "true"], ["CMD"], ["CMD-SHELL"], ["NONE"], [], [""], ["CMD", ""], "CMD",
    )),
    "ArgsEscaped": (True,),
    "Volumes": ({"/v": {}}, {"/etc": {}}, {"/etc/hosts": {}}, {"/../x": {}}),
    "WorkingDir": ("/", "/new/one", "x"),
    "Entrypoint": ([""], ["/bin/true"], "", []),
    "NetworkDisabled": (True,),
    "MacAddress": ("02:42:ac:11:00:77", "ff:ff:ff:ff:ff:ff"),
    "OnBuild": ([], ["RUN x"]),
    "Labels": ({"a": "b"}, {"": ""}, {"claudy.x": ""}),
    "StopSignal": ("TERM", "0", "999", "RTMIN+1"),
    "StopTimeout": (0, 1, -1, 2**31),
    "Shell": ([], [""], ["/bin/sh", "-c"]),
    "Binds": (["/workspace:/b"], ["/workspace/new:/b:ro"], ["/:/b"], ["/b"], ["b"], ["fuzz-vol:/b"]),
    "Mounts": ([_MOUNT], [{**_MOUNT, "TmpfsOptions": {"SizeBytes": 4096, "Mode": 0}}],
               [{"Type": "volume", "Target": "/m"}], [{"Type": "bind", "Source": "/etc", "Target": "/m"}],
               [{"Type": "bind", "Source": "/workspace", "Target": "/etc/hosts"}]),
    "Tmpfs": ({"/t": "size=1m"}, {"/etc/hosts": ""}, {"/": ""}, {"/t": "size=0,mode=9"}),
    "VolumesFrom": (["x"], []),
    "VolumeDriver": ("local", "nfs"),
    "ContainerIDFile": ("/etc/x",),
    "LogConfig": tuple({"Type": kind, "Config": options} for kind in ("", "json-file", "local", "none", "syslog") for options in (
        {}, {"max-size": "1", "max-file": "999"}, {"max-file": "9999"}, {"tag": "{{.Name}}"}, {"tag": '{{pad "a" 9 9}}'},
        {"mode": "non-blocking", "max-buffer-size": "0"}, {"compress": "true", "max-size": "1k", "max-file": "2"},
    )),
    "NetworkMode": ("default", "bridge", "none", "host", "container:x"),
    "PortBindings": ({"80/tcp": [{"HostPort": ""}]}, {"80/tcp": None}, {"80/tcp": [{"HostIp": "0.0.0.0"}]},  # noqa: S104
                     {"80/udp": [{"HostIp": "::1"}]}, {"1-3/tcp": [{}]}, {"80/tcp": [{"HostPort": "80"}]}),
    "PublishAllPorts": (True,),
    "RestartPolicy": ({"Name": "always"}, {"Name": "on-failure", "MaximumRetryCount": 1}, {"Name": "x"}),
    "AutoRemove": (False,),
    "ConsoleSize": ([], [1], [24, 80], [65535, 65535]),
    "Annotations": ({}, {"a": "b"}),
    "CapAdd": (["CHOWN"], ["cap_chown"], ["SYS_ADMIN"], ["ALL"]),
    "CapDrop": (["ALL"], ["x"], ["CHOWN"]),
    "CgroupnsMode": ("private", "host"),
    "Cgroup": ("", "container:x"),
    "Dns": (["1.1.1.1"], ["::1"], ["::::"], ["1.2.3.4.5"]),
    "DnsOptions": (["ndots:1"], [""], ["\u2028"]),
    "DnsSearch": (["a.b"], ["."], [""]),
    "ExtraHosts": (["a:1.1.1.1"], ["a:host-gateway"], ["a"], [":"], ["a b:1.1.1.1"]),
    "GroupAdd": (["0"], ["x"], ["-1"]),
    "IpcMode": ("private", "shareable", "host"),
    "PidMode": ("", "host", "container:x"),
    "UTSMode": ("", "host"),
    "UsernsMode": ("", "host"),
    "Links": ([], ["x:y"]),
    "OomScoreAdj": (0, 1000, -1000),
    "Privileged": (False, True),
    "ReadonlyRootfs": (True,),
    "SecurityOpt": (["no-new-privileges"], ["seccomp=unconfined"]),
    "StorageOpt": ({}, {"size": "1g"}),
    "ShmSize": (0, 4096, 2**62),
    "Sysctls": ({"net.ipv4.ip_forward": "1"}, {"net.": "1"}, {"net..x": ""}, {"kernel.msgmax": "1"}),
    "Runtime": ("runc", "io.containerd.runc.v2"),
    "Isolation": ("default", "process"),
    "MaskedPaths": ([],),
    "ReadonlyPaths": ([],),
    "Init": (True, False),
    "CpuShares": (0, 2, 262144),
    "Memory": (0, 64 << 20, 1, 2**62),
    "NanoCpus": (0, 10**8, 2**62),
    "CgroupParent": ("", "/x"),
    "BlkioWeight": (0, 10, 1000),
    **dict.fromkeys(
        ("BlkioWeightDevice", "BlkioDeviceReadBps", "BlkioDeviceWriteBps", "BlkioDeviceReadIOps",
         "BlkioDeviceWriteIOps"), ([], [{"Path": "/dev/null", "Rate": 1}])),
    "CpuPeriod": (0, 100000, 1),
    "CpuQuota": (-1, 50000, 2**62),
    "CpuRealtimePeriod": (0, 1),
    "CpuRealtimeRuntime": (0, 1),
    "CpusetCpus": ("0", "0-18446744073709551615", "-", ","),
    "CpusetMems": ("0", "0-99999999999"),
    "Devices": ([], [{"PathOnHost": "/dev/null", "PathInContainer": "/x", "CgroupPermissions": "r"}]),
    "DeviceCgroupRules": ([], ["a *:* rwm"]),
    "DeviceRequests": ([], [{"Count": -1}]),
    "KernelMemory": (0, 1),
    "KernelMemoryTCP": (0, 1),
    "MemoryReservation": (0, 32 << 20),
    "MemorySwap": (0, -1, 64 << 20),
    "MemorySwappiness": (-1, 0, 100),
    "OomKillDisable": (False, True),
    "PidsLimit": (0, -1, 1, 2**62),
    "Ulimits": ([{"Name": "nofile", "Soft": 1, "Hard": 0}], [{"Name": "core", "Soft": -1, "Hard": -1}], [{"Name": "nice", "Soft": 1, "Hard": 1}]),
    **dict.fromkeys(("CpuCount", "CpuPercent", "IOMaximumIOps", "IOMaximumBandwidth"), (0, 1)),
}  # fmt: skip
FIELDS = [(row.name, value) for row in (*CONFIG, *HOST_CONFIG) if row.name != "Image" for value in PLAUSIBLE[row.name]]  # fmt: skip
CONFIG_NAMES = {row.name for row in CONFIG}


class Nobody:
    """A context in which nothing is owned."""

    budget = Budget()
    all_interfaces = False
    checks_caches = True

    def container(self, ref: str) -> str:
        raise Denied(404, ref)

    def network(self, ref: str) -> str:
        raise Denied(404, ref)

    def network_id(self, ref: str) -> str:
        raise Denied(404, ref)

    def visible_image(self, ref: str) -> str:
        return ref


@LIMITS
@given(st.dictionaries(SPELLINGS, VALUES, max_size=6))
def test_created_containers_are_harmless(guard: Guard, host_config: dict[str, Any]) -> None:
    answer = guard.ask(
        "POST", "/containers/create", {"Image": "busybox", "HostConfig": host_config}
    )
    assert answer.status in {201, 400, 403, 404, 409, 500}
    assert "not understood" not in answer.message
    if answer.status != 201:
        return
    full = answer.json["Id"]
    try:
        require_harmless(guard, full)
    finally:
        request(guard.engine.socket, "DELETE", f"/containers/{full}?force=1&v=1")


def require_harmless(guard: Guard, full: str) -> None:
    found = request(guard.engine.socket, "GET", f"/containers/{full}/json").json
    for name, harmless in DANGEROUS.items():
        value = found["HostConfig"].get(name)
        assert harmless(value), (name, value)
    for mount in found["HostConfig"].get("Mounts") or []:
        if mount["Type"] == "bind":
            assert (mount["Source"] + "/").startswith(f"{guard.project}/")
    assert not [b for b in found["HostConfig"]["Binds"] or [] if b.startswith("/") and ":" in b]
    assert "/etc/hosts" not in [mount["Destination"] for mount in found["Mounts"]]


@settings(LIMITS, max_examples=CASES // 3)
@given(st.lists(st.sampled_from(FIELDS), max_size=4, unique_by=lambda field: field[0]))
def test_the_daemon_survives_what_is_started(guard: Guard, fields: list[tuple[str, Any]]) -> None:
    """A health check, a log and a restart are at work in the daemon itself."""
    body: dict[str, Any] = {"Image": "busybox", "Cmd": ["sleep", "0.1"], "HostConfig": {}}
    for name, value in fields:
        (body if name in CONFIG_NAMES else body["HostConfig"])[name] = value
    before = guard.engine.pid
    answer = guard.ask("POST", "/containers/create", body)
    assert answer.status in {201, 400, 403, 404, 409, 500}, answer.body
    if answer.status != 201:
        return
    full = answer.json["Id"]
    try:
        require_harmless(guard, full)
        if guard.ask("POST", f"/containers/{full}/start").status == 204:
            guard.ask("GET", f"/containers/{full}/logs?stdout=1&details=1")
            guard.ask("POST", f"/containers/{full}/wait")
    finally:
        gone = request(guard.engine.socket, "DELETE", f"/containers/{full}?force=1&v=1")
    assert gone.status == 204
    assert guard.engine.pid == before


@LIMITS
@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_json_is_refused_or_read_as_others_do(data: bytes) -> None:
    try:
        value = strictjson.parse(data)
    except Denied:
        return
    assert json.loads(strictjson.dump(value)) == value


@LIMITS
@given(st.text(alphabet="/abcjson.%2e?&=;:@v14containers~\\# ", max_size=60))
def test_targets_have_one_meaning(text: str) -> None:
    try:
        found = parse(text.encode())
    except Denied:
        return
    assert found.path.startswith("/")
    assert not set(found.path.split("/")) & {".", ".."}
    assert "//" not in found.path
    assert "%" not in found.path


RULES = [
    create_body, update_body, commit_body, objects.network_body, objects.connect_body,
    objects.disconnect_body, objects.volume_body, objects.exec_body, objects.exec_start_body,
]  # fmt: skip


def bodies(rule: Any) -> st.SearchStrategy[tuple[Any, Any]]:
    names = [*(row.name for row in rule.table), "x"]
    return st.tuples(st.just(rule), st.dictionaries(st.sampled_from(names), VALUES, max_size=5))


@LIMITS
@given(st.one_of([bodies(rule) for rule in RULES]))
def test_rules_never_break(found: tuple[Any, Any]) -> None:
    rule, body = found
    try:
        checked = rule(body, Nobody())
    except (Denied, No):
        return
    assert rule(checked, Nobody()) == checked


WORDS = st.sampled_from(
    ["", "0", "1", "true", "True", "2", "-1", "x", "running", "created", "exited", "busybox", "fuzz", "fuzz=1", "fuzz=2",
     "fuzz-one", "/fuzz-one", "^/?fuzz", ".*", "(", "bridge", "none", "80", "80/tcp", "[]", "\0", "\u017f", "claudy.project"]
)  # fmt: skip
FILTER_NAMES = st.sampled_from(
    ["id", "name", "status", "ancestor", "label", "exited", "volume", "network", "publish", "expose", "health", "is-task",
     "since", "before", "Label", "label!", "isolation", "x", ""]
)  # fmt: skip
FILTERS = st.dictionaries(
    FILTER_NAMES,
    st.lists(WORDS, max_size=3) | st.dictionaries(WORDS, st.booleans(), max_size=2) | WORDS,
    max_size=3,
).map(json.dumps)
PAIRS = st.one_of(
    st.tuples(st.sampled_from(["all", "limit", "size", "since", "before", "All", "x"]), WORDS),
    st.tuples(st.sampled_from(["filters", "filters", "FILTERS"]), FILTERS | WORDS),
)


@pytest.fixture(scope="module")
def listed(guard: Guard, host: Host) -> Iterator[None]:
    """Have containers of the project's, beside the host's, that lists tell apart."""
    assert host.container
    guard.cli("create", "--name", "fuzz-one", "--label", "fuzz=1", "busybox")
    guard.cli(
        "run",
        "-d",
        "--name",
        "fuzz-two",
        "--label",
        "fuzz=2",
        "--expose",
        "80",
        "busybox",
        "sleep",
        "1000",
    )
    yield
    guard.cli("rm", "-f", "fuzz-one", "fuzz-two")


@LIMITS
@pytest.mark.usefixtures("listed")
@given(st.lists(PAIRS, max_size=4), st.booleans())
def test_lists_are_what_the_daemon_takes_the_query_for(
    guard: Guard, pairs: list[tuple[str, str]], twice: bool
) -> None:
    query = urlencode(pairs)
    target = f"/containers/json?{quote(query, safe='=&') if twice else query}"
    answer = guard.ask("GET", target)
    assert answer.status in {200, 400, 403, 404, 500}, answer.body
    assert "not understood" not in answer.message
    if answer.status != 200:
        return
    raw = request(guard.engine.socket, "GET", target)
    assert raw.status == 200, raw.body
    owned = guard.owned()["containers"]
    shown, there = ([entry["Id"] for entry in one.json] for one in (answer, raw))
    assert [full for full in shown if full in owned] == [full for full in there if full in owned]
    assert set(shown) <= set(there)


PIECES = st.sampled_from(
    [b"POST", b"GET", b" ", b"/_ping", b"/containers/create", b" HTTP/1.1", b"\r\n", b"\n", b"Host: d", b"Content-Length: 5",
     b"Transfer-Encoding: chunked", b"Connection: Upgrade", b"Upgrade: h2c", b"\r\n\r\n", b"0\r\n\r\n", b"5\r\nhello\r\n", b"\0", b"{}"]
)  # fmt: skip


def containers(guard: Guard) -> set[str]:
    """Return the ids of all containers that the daemon has."""
    found = request(guard.engine.socket, "GET", "/containers/json?all=1").json
    return {entry["Id"] for entry in found}


@LIMITS
@given(st.lists(PIECES, max_size=14).map(b"".join))
def test_framing_gets_one_answer_at_most(guard: Guard, data: bytes) -> None:
    before = containers(guard)
    answer = exchange(guard.socket, data, half_close=True)
    assert containers(guard) == before
    assert answer.status in {0, 101, 200, 400, 403, 404, 408, 413, 431}
    assert b"HTTP/1.1 2" not in answer.body


@pytest.mark.parametrize("name", NAMES)
def test_every_field_alone_with_odd_values(guard: Guard, name: str) -> None:
    odd: tuple[Any, ...] = (
        "\0",
        ["\0"],
        {"": ""},
        [[]],
        [None],
        {"a": None},
        -(2**63),
        "x" * 5000,
        [{}],
        1.5,
    )
    for value in odd:
        answer = guard.create({name: value})
        assert "not understood" not in answer.message, (name, value)
        if answer.status == 201:
            request(guard.engine.socket, "DELETE", f"/containers/{answer.json['Id']}?force=1&v=1")
