"""The plan's two spellings make the same container: the API's body and the `docker run` line."""

from __future__ import annotations

import shlex
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from claudy.sandbox.plan import Mount, Plan, Port, Session, create_body, docker_run, shell_line

if TYPE_CHECKING:
    from pathlib import Path

    from tests.engines.engine import Engine

SESSION = Session("0123456789abcdef" * 2, ("echo", "a b", "", "$HOME", "-x"))
# Not the plan's: what the engine makes up, and how this client is connected.
_OWN = {"Id", "Created", "Name", "Path", "Args", "LogPath", "HostnamePath", "HostsPath",
        "ResolvConfPath", "State", "GraphDriver", "Mounts", "NetworkSettings"}  # fmt: skip


def plans(project: str, label: str, suffix: str) -> dict[str, tuple[Plan, Session]]:
    """Return plans that use every field, by what they are about."""
    key, _, value = label.partition("=")
    plain = Plan("", "busybox:latest", "0:0", labels=((key, value),), init=("/bin/sh", "-c", "x"))
    home = (("claudy.sandbox", f"x-{suffix}"), (key, value))

    def of(**fields: Any) -> Plan:
        from claudy.record import replace

        return replace(plain, **fields)

    return {
        "plain": (plain, SESSION),
        "a terminal": (plain, Session("a" * 32, (), tty=True, rows=40, columns=120)),
        "no input": (plain, Session("b" * 32, ("true",), stdin=False)),
        "a session's environment": (plain, Session("c" * 32, env=(("TERM", "xterm"), ("E", "")))),
        "user and names": (of(user="1234:5678", hostname="my-app", groups=("998", "0")), SESSION),
        "environment": (of(env=(("A", "1"), ("B", "a b=c"), ("C", "l1\nl2"), ("D", ""))), SESSION),
        "labels": (of(labels=(("k", "v=w"), ("odd", 'quo"te and space'), (key, value))), SESSION),
        "mounts": (
            of(
                mounts=(
                    Mount("bind", project, "/workspace"),
                    Mount("bind", f'{project}/o,dd "name"', "/odd", read_only=True),
                    Mount("volume", f"claudy-home-{suffix}", "/home/claudy", labels=home),
                )
            ),
            SESSION,
        ),
        "ports": (
            of(
                ports=(
                    Port(80, 18080, "127.0.0.1"),
                    Port(80, 0, "127.0.0.1"),
                    Port(53, 0, "", "udp"),
                    Port(90, 19090),
                )
            ),
            SESSION,
        ),
        "limits": (of(cpus=1_500_000_000, memory=64 << 20, pids=100), SESSION),
        "fine limits": (of(cpus=333_333_333), SESSION),
        "security": (of(security=("no-new-privileges", "label=disable")), SESSION),
        "network": (of(network="host"), SESSION),
        "no network": (of(network="none"), SESSION),
        "hosts": (of(extra_hosts=("db:10.0.0.1",)), SESSION),
        "kept": (of(keep=True), SESSION),
    }


CASES = sorted(plans("/p", "a=b", "x"))


def normal(found: dict[str, Any]) -> dict[str, Any]:
    """Return what two inspections have to have in common; unset is spelled in many ways."""
    kept = {key: value for key, value in found.items() if key not in _OWN}
    config = {key: value for key, value in found["Config"].items() if value}
    if config.get("Hostname") == found["Id"][:12]:
        del config["Hostname"]
    host = {key: value for key, value in found["HostConfig"].items() if value and value != -1}
    host.pop("ConsoleSize", None)  # the CLI's own terminal
    for mount in host.get("Mounts", ()):
        if not mount.get("VolumeOptions", {}).get("DriverConfig", True):
            del mount["VolumeOptions"]["DriverConfig"]  # the CLI spells an empty one
    # The CLI takes one word as the entry point; what is run is both, one after the other.
    config["Cmd"] = [*config.pop("Entrypoint"), *config.get("Cmd", [])]
    if config.get("Tty"):
        config.pop("StdinOnce", None)  # a terminal that goes away must not end the input of a shell
    if host.get("RestartPolicy", {}).get("Name") in ("", "no"):
        host.pop("RestartPolicy", None)
    if host.get("NetworkMode") in ("default", "bridge"):
        del host["NetworkMode"]
    kept |= {"Config": config, "HostConfig": host}
    return kept


@pytest.mark.parametrize("case", CASES)
def test_both_spellings_make_the_same_container(
    engine: Engine, label: str, tmp_path: Path, case: str
) -> None:
    from claudy.record import replace

    (tmp_path / 'o,dd "name"').mkdir()
    suffix = label.rpartition("=")[2]
    plan, session = plans(str(tmp_path), label, suffix)[case]
    created = engine.api.request(
        "POST",
        "/containers/create",
        {"name": f"body-{suffix}"},
        create_body(replace(plan, name=f"body-{suffix}"), replace(session, id="")),
    )
    argv = docker_run(replace(plan, name=f"line-{suffix}"), session)
    assert argv[:2] == ["docker", "run"]
    # As a shell reads the line that --dry-run prints.
    printed = shlex.split(shell_line(argv))
    assert printed == argv
    engine.cli("create", *printed[2:])

    body = engine.api.request("GET", f"/containers/{created['Id']}/json")
    line = engine.api.request("GET", f"/containers/line-{suffix}/json")
    for one in (body, line):
        one["Config"]["Env"] = sorted(one["Config"]["Env"] or ())  # in no order of its own
    assert normal(body) == normal(line)
    mounts = [
        sorted((m["Type"], m["Destination"], m["RW"]) for m in one["Mounts"])
        for one in (body, line)
    ]
    assert mounts[0] == mounts[1]
    assert len(mounts[0]) == len(plan.mounts)


def test_the_line_gives_the_terminal_no_orders() -> None:
    words = ["a b", "é'\n", "\x1b[31m'\\", "A=\t\u009b1m\r", "\udcff", "\u202e"]
    line = shell_line(["printf", "%s\\0", *words])
    assert line.replace("\n", "").isprintable()
    said = subprocess.run(["bash", "-c", line], stdout=subprocess.PIPE, check=True).stdout
    assert said == b"".join(word.encode("utf-8", "surrogateescape") + b"\0" for word in words)


def test_the_digest_is_about_what_matters() -> None:
    from claudy.record import replace

    plan = Plan("n", "i", "0:0", labels=(("claudy.created", "now"), ("a", "b")))
    later = replace(plan, labels=(("claudy.created", "later"), ("a", "b")))
    assert plan.digest() == later.digest()
    assert plan.digest() == replace(plan, keep=True).digest()
    for change in ({"image": "j"}, {"user": "1:1"}, {"labels": ()}, {"cpus": 1}):
        assert plan.digest() != replace(plan, **change).digest()
