"""The guard in a sidecar, as engines in a virtual machine need it, forced on engines without."""

from __future__ import annotations

import json
import os
import secrets
import signal
from typing import TYPE_CHECKING

import pytest

from tests.engines.shell import wait_for
from tests.guard.inside import SECONDS, Inside
from tests.running.fixtures import claudy, claudy_command, claudy_without_image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.engines.engine import Engine
    from tests.running.program import Claudy

__all__ = ["claudy", "claudy_command", "claudy_without_image"]

SIDECAR = {"CLAUDY_DOCKER": "guard", "CLAUDY_GUARD_RUNS": "sidecar"}
UID = 1234


@pytest.fixture
def inside(claudy: Claudy, tmp_path: Path) -> Iterator[Inside]:
    """Return an empty project of another user; nothing of it may be left but memory and home."""
    project = (tmp_path / "project").resolve()
    project.mkdir()
    os.chown(project, UID, UID)
    found = Inside(claudy.with_environment(**SIDECAR), project)
    yield found
    found.assert_nothing_left()
    for volume in (found.state, f"claudy-home-{found.name.removeprefix('claudy-')}",
                   f"claudy-workspace-{found.name.removeprefix('claudy-')}"):  # fmt: skip
        if found.inspect("volumes", volume):
            found.api.request("DELETE", f"/volumes/{volume}")


@pytest.mark.parametrize("which", ["socket", "state"])
def test_a_strangers_volume_stays(inside: Inside, engine: Engine, which: str) -> None:
    """It has the name of one that the sidecar needs, and not claudy's labels."""
    name = {"socket": inside.socket, "state": inside.state}[which]
    engine.cli("volume", "create", name)
    try:
        done = inside.run("true")
        assert done.code == 125
        assert f"A volume named {name} exists" in done.said
        assert inside.inspect("volumes", name)
    finally:
        engine.cli("volume", "rm", "-f", name)


def test_1_build_and_run(inside: Inside, engine: Engine) -> None:
    name = f"sidecar-{secrets.token_hex(4)}"
    (inside.project / "Dockerfile").write_text("FROM busybox\nCOPY word /\nCMD cat /word\n")
    (inside.project / "word").write_text("hello\n")
    script = f"docker build -q -t {name} . >/dev/null; docker run --rm {name}"
    try:
        assert inside.output(script) == "hello\n"
    finally:
        engine.cli("rmi", "-f", name, check=False)


def test_2_compose(inside: Inside) -> None:
    (inside.project / "compose.yaml").write_text(
        "services:\n  web:\n    image: busybox\n    command: sleep 600\n    init: true\n"
        "    volumes: ['./site:/site']\n"
    )
    (inside.project / "site").mkdir()
    (inside.project / "site/page").write_text("from compose\n")
    script = (
        "docker compose up -d >/dev/null 2>&1; docker compose exec -T web cat /site/page;"
        " docker compose down -v >/dev/null 2>&1; docker compose ps -q"
    )
    assert inside.output(script) == "from compose\n"


def test_3_a_database_and_binds(inside: Inside) -> None:
    script = """
    docker run -d --name db -v $PWD/data:/data --entrypoint sh postgres:latest -c \
        'echo ready > /data/state; sleep 600' >/dev/null
    until [ -e data/state ]; do :; done
    cat data/state; stat -c %u data
    docker inspect -f '{{(index .Mounts 0).Source}}' db
    docker rm -f db
    """
    assert inside.output(script).split() == ["ready", str(UID), "/workspace/data", "db"]


def test_nested_socket_is_the_guards(inside: Inside) -> None:
    for source in ("/var/run/docker.sock", "/run/claudy/docker.sock"):
        script = (
            f"docker run --rm -v {source}:/var/run/docker.sock busybox "
            "sh -c 'ls -ln /var/run/docker.sock'"
        )
        kind, _, owner, *_ = inside.output(script).split()
        assert kind.startswith("srw-------")
        assert owner == str(UID)


def test_the_sidecar_has_little(inside: Inside) -> None:
    with inside.session():
        found = inside.inspect("containers", inside.guard)
        host = found["HostConfig"]
        assert host["NetworkMode"] == "none"
        assert host["ReadonlyRootfs"]
        assert host["CapDrop"] == ["ALL"]
        assert {cap.removeprefix("CAP_") for cap in host["CapAdd"]} == {"CHOWN", "DAC_OVERRIDE"}
        assert "no-new-privileges" in host["SecurityOpt"]
        assert host["RestartPolicy"]["Name"] == "no"
        assert host["Memory"]
        assert {m["Destination"] for m in found["Mounts"]} == {
            "/project", "/run/claudy", "/var/lib/claudy", "/run/claudy-engine/docker.sock"
        }  # fmt: skip
        sandbox = inside.inspect("containers", inside.name)
        (mount,) = (m for m in sandbox["Mounts"] if m["Destination"] == "/run/claudy")
        assert (mount["Name"], mount["RW"]) == (inside.socket, False)


# What is tried from inside, GUARD, SOCKET and STATE standing for the sidecar and its volumes.
ATTACKS = (
    "docker run --rm --privileged busybox true",
    "docker run --rm -v /:/host busybox true",
    "docker run --rm -v /run/claudy-engine/docker.sock:/s busybox true",
    "docker run --rm -v SOCKET:/v busybox true",
    "docker run --rm -v STATE:/v busybox true",
    "docker run --rm --mount type=volume,src=STATE,dst=/v busybox true",
    "docker run --rm --volumes-from GUARD busybox true",
    "docker run --rm --pid container:GUARD busybox true",
    "docker run --rm --network container:GUARD busybox true",
    "docker run --rm --ipc container:GUARD busybox true",
    "docker exec GUARD true",
    "docker inspect GUARD",
    "docker logs GUARD",
    "docker top GUARD",
    "docker attach GUARD",
    "docker cp GUARD:/var/lib/claudy/ledger.json .",
    "docker cp /etc/passwd GUARD:/var/lib/claudy/",
    "docker commit GUARD stolen",
    "docker export GUARD -o stolen",
    "docker pause GUARD",
    "docker stop GUARD",
    "docker kill GUARD",
    "docker rm -f GUARD",
    "docker rename GUARD other",
    "docker update --memory 10m GUARD",
    "docker restart GUARD",
    "docker volume inspect STATE",
    "docker volume rm -f STATE",
    "docker volume rm SOCKET",
    "docker volume create claudy-guard-mine",
    "docker create --name claudy-x-guard busybox",
    "docker run --rm --label claudy.role=guard busybox true",
    "touch /run/claudy/x",
    "rm -f /run/claudy/docker.sock",
)


def test_attacks_on_the_sidecar(inside: Inside) -> None:
    named = [
        attack.replace("GUARD", inside.guard)
        .replace("SOCKET", inside.socket)
        .replace("STATE", inside.state)
        for attack in ATTACKS
    ]
    script = "\n".join(f"if {attack} >/dev/null 2>&1; then echo '{attack}'; fi" for attack in named)
    with inside.session() as shell:
        before = inside.inspect("containers", inside.guard)
        # With -f the CLI succeeds where the engine says that there is nothing.
        harmless = {f"docker volume rm -f {inside.state}", f"docker rm -f {inside.guard}"}
        assert set(inside.output(script).splitlines()) <= harmless
        after = inside.inspect("containers", inside.guard)
        assert {k: after[k] for k in ("Id", "Name", "HostConfig", "RestartCount", "ExecIDs")} == {
            k: before[k] for k in ("Id", "Name", "HostConfig", "RestartCount", "ExecIDs")
        }
        assert after["State"]["Pid"] == before["State"]["Pid"]
        assert after["State"]["Running"]
        assert not after["State"]["Paused"]
        assert inside.inspect("volumes", inside.state)
        assert shell.has_docker()


def test_prune_inside_leaves_the_sidecar_alone(inside: Inside) -> None:
    inside.output("docker system prune -af --volumes >/dev/null; docker volume prune -f >/dev/null")
    assert inside.inspect("volumes", inside.state)


def test_volume_of_a_stranger_is_not_used(inside: Inside) -> None:
    inside.api.request("POST", "/volumes/create", body={"Name": inside.state})
    done = inside.run("true")
    assert done.code == 125
    assert inside.state in done.said
    assert not inside.containers()


def test_goes_with_the_last_session(inside: Inside) -> None:
    with inside.session() as first:
        with inside.session() as second:
            assert inside.containers() == {inside.name: "running", inside.guard: "running"}
            assert second.has_docker()
        assert first.has_docker()
    inside.assert_nothing_left()


def test_new_has_a_sidecar_of_its_own(inside: Inside) -> None:
    with inside.session() as shell:
        done = inside.claudy.run(
            *("--new", "--", "sh", "-c", "docker ps >/dev/null && echo $CLAUDY_SANDBOX"),
            cwd=inside.project,
            timeout=SECONDS,
        )
        assert done.text == f"{inside.name}-2\n", done.said
        assert shell.has_docker()
    assert not inside.inspect("volumes", f"{inside.name}-2-socket")


def test_killed_claudy_leaves_nothing(inside: Inside) -> None:
    with inside.session() as shell:
        shell.process.kill()
        assert shell.process.wait(SECONDS) == -signal.SIGKILL
        inside.assert_nothing_left()


def test_revived_when_it_dies_and_closed_meanwhile(inside: Inside) -> None:
    with inside.session() as shell:
        before = inside.inspect("containers", inside.guard)["Id"]
        inside.api.request("POST", f"/containers/{before}/kill")
        wait_for(lambda: not inside.inspect("containers", before), SECONDS, "the sidecar to go")
        # Nothing else listens there: either nobody answers, or the next guard does.
        wait_for(shell.has_docker, SECONDS, "another guard")
        assert inside.inspect("containers", inside.guard)["Id"] != before


def test_paused_sidecar_is_no_way_in(inside: Inside) -> None:
    with inside.session() as shell:
        full = inside.inspect("containers", inside.guard)["Id"]
        inside.api.request("POST", f"/containers/{full}/pause")
        ask = "timeout 2 docker ps >/dev/null 2>&1; echo $?"
        assert shell.ask(ask) != "0"
        inside.api.request("POST", f"/containers/{full}/unpause")
        assert shell.has_docker()


def test_ownership_lives_on(inside: Inside) -> None:
    inside.output("docker run -d --name kept-alive busybox sleep 600 >/dev/null")
    inside.assert_nothing_left()
    listed = inside.claudy.run("ps", "--all", "--json", cwd=inside.project)
    assert listed.code == 0, listed.said
    assert json.loads(listed.text)
    assert inside.output("docker rm -f kept-alive") == "kept-alive\n"


def test_logs_of_the_guard(inside: Inside) -> None:
    with inside.session() as shell:
        assert shell.ask("docker run --privileged busybox 2>/dev/null; echo $?") == "125"
        running = inside.claudy.run("logs", "--guard", cwd=inside.project)
        assert "Privileged" in running.text, running.said
    ended = inside.claudy.run("logs", "--guard", "-n", "1", cwd=inside.project)
    assert ended.text.count("\n") == 1, ended.said
    assert "Privileged" in ended.text
    assert not inside.containers()


def test_stop_and_keep(inside: Inside) -> None:
    words = ("--keep", "--", "docker", "version", "-f", "{{.Server.Os}}")
    kept = inside.claudy.run(*words, cwd=inside.project, timeout=SECONDS)
    assert kept.text == "linux\n", kept.said
    assert inside.containers() == {inside.name: "running", inside.guard: "running"}
    assert inside.claudy.run("stop", "--yes", cwd=inside.project).code == 0
    inside.assert_nothing_left()


def test_dry_run_changes_nothing(inside: Inside) -> None:
    done = inside.claudy.run("--dry-run", cwd=inside.project)
    assert done.code == 0
    assert f"source={inside.socket},target=/run/claudy,readonly" in done.text
    assert not inside.inspect("volumes", inside.socket)
    assert not inside.inspect("volumes", inside.state)


def test_other_image_finds_the_socket(inside: Inside) -> None:
    done = inside.claudy.run(
        *("--image", "busybox:latest", "--", "sh", "-c", 'test -S "${DOCKER_HOST#unix://}"'),
        cwd=inside.project,
        timeout=SECONDS,
    )
    assert done.code == 0, done.said
