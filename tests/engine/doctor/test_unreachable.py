"""Addresses at which no engine can be: no way there, nobody who answers, one who hangs."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.engine.doctor.test_ssh import diagnosed, sh
from tests.engines.certificates import certificates

if TYPE_CHECKING:
    from tests.engine.doctor.machine import Machine

FAR = "192.0.2.1"  # TEST-NET-1 (RFC 5737): nobody's address
HELLO = "claudy --image busybox -- echo hello from inside"


def assert_launches_after(machine: Machine, remedy: str, url: str, **env: str) -> None:
    env = {"DOCKER_HOST": url, **env}
    done = machine.run("sh", "-c", f"{{ {remedy}; }} && {HELLO}", env=env)
    assert (done.code, done.out) == (0, "hello from inside\n"), done.err


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (("iptables -I OUTPUT", "iptables -D OUTPUT", "-d {far} -j DROP"), "nothing comes back"),
        (("ip route add", "ip route del", "unreachable {far}"), "No route to host"),
        (("ip route add", "ip route del", "throw {far}"), "Network is unreachable"),
    ],
    ids=["blackhole", "host unreachable", "network unreachable"],
)
def test_no_way_there(machine: Machine, trouble: tuple[str, str, str], said: str) -> None:
    machine.start_engine()
    make, undo, rule = (word.format(far=FAR) for word in trouble)
    url = f"tcp://{FAR}:2375"
    sh(machine, f"{make} {rule}")
    try:
        found = diagnosed(machine, url)
    finally:
        sh(machine, f"{undo} {rule}")
    assert found["finding"] == "engine-unreachable"
    assert said in found["seen"]
    assert_launches_after(machine, found["remedy"], url)


def test_engine_behind_tcp_hangs(machine: Machine) -> None:
    url = "tcp://127.0.0.1:2375"
    machine.start_engine(f"-H unix:///run/docker.sock -H {url}")
    machine.signal_engine("STOP")
    found = diagnosed(machine, url)
    machine.signal_engine("CONT")
    assert found["finding"] == "engine-hangs"
    assert_launches_after(machine, found["remedy"], url)


def test_tls_unexpected(machine: Machine) -> None:
    url = "tcp://127.0.0.1:2375"
    machine.start_engine(f"-H unix:///run/docker.sock -H {url} --tls=false")
    keys = machine.root / "root/keys"
    shutil.copytree(certificates(), keys)
    env = {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/root/keys"}
    # Over tcp the guard is a sidecar, whose image this machine could not make: no network.
    env["CLAUDY_DOCKER"] = "none"
    try:
        found = diagnosed(machine, url, **env)
        assert (found["finding"], found["remedy"]) == (
            "tls-unexpected",
            "unset DOCKER_TLS_VERIFY DOCKER_TLS",
        )
        assert_launches_after(machine, found["remedy"], url, **env)
    finally:
        shutil.rmtree(keys)
