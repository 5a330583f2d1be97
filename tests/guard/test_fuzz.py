"""A fuzzer with the daemon as the oracle: what is accepted must mean there what it meant here."""

# ruff: noqa: E501 - tables

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from claudy.guard import strictjson
from claudy.guard.policy.create import CONFIG, DEFAULT_CAPS, HOST_CONFIG, create_body
from claudy.guard.policy.rules import Budget
from claudy.guard.refusal import Denied
from claudy.guard.target import parse
from tests.guard.raw import exchange, request

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.guard.conftest import Guard

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
}


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
        found = request(guard.engine.socket, "GET", f"/containers/{full}/json").json
        for name, harmless in DANGEROUS.items():
            assert harmless(found["HostConfig"][name]), (name, found["HostConfig"][name])
        for mount in found["HostConfig"].get("Mounts") or []:
            if mount["Type"] == "bind":
                assert (mount["Source"] + "/").startswith(f"{guard.project}/")
        assert not [b for b in found["HostConfig"]["Binds"] or [] if b.startswith("/") and ":" in b]
    finally:
        request(guard.engine.socket, "DELETE", f"/containers/{full}?force=1&v=1")


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


@LIMITS
@given(
    st.dictionaries(
        st.sampled_from([*(r.name for r in CONFIG), "HostConfig", "x"]), VALUES, max_size=5
    )
)
def test_rules_never_break(body: dict[str, Any]) -> None:
    from claudy.guard.policy.rules import No

    try:
        checked = create_body(body, Nobody())
    except (Denied, No):
        return
    assert create_body(checked, Nobody()) == checked


PIECES = st.sampled_from(
    [b"POST", b"GET", b" ", b"/_ping", b"/containers/create", b" HTTP/1.1", b"\r\n", b"\n", b"Host: d", b"Content-Length: 5",
     b"Transfer-Encoding: chunked", b"Connection: Upgrade", b"Upgrade: h2c", b"\r\n\r\n", b"0\r\n\r\n", b"5\r\nhello\r\n", b"\0", b"{}"]
)  # fmt: skip


@LIMITS
@given(st.lists(PIECES, max_size=14).map(b"".join))
def test_framing_gets_one_answer_at_most(guard: Guard, data: bytes) -> None:
    answer = exchange(guard.socket, data, half_close=True)
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
