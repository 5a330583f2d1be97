"""What guards leave when something dies in the middle, and claudy's own commands beside guards."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from claudy.containers.lifecycle import Registry
from claudy.containers.pruning import find_unused
from claudy.engine.client import Engine as Client
from claudy.host.endpoint import resolve
from tests.engines.shell import wait_for
from tests.guard.inside import SECONDS, Inside
from tests.running.fixtures import claudy, claudy_command, claudy_without_image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.engines.engine import Engine
    from tests.running.program import Claudy

__all__ = ["claudy", "claudy_command", "claudy_without_image"]

KINDS = ["process", "sidecar"]


@pytest.fixture
def inside(
    claudy: Claudy, tmp_path: Path, request: pytest.FixtureRequest, engine: Engine
) -> Iterator[Inside]:
    """Return an empty project with a guard of a kind; a sidecar unless a test says otherwise."""
    project = (tmp_path / "project").resolve()
    project.mkdir()
    kind = getattr(request, "param", "sidecar")
    found = Inside(claudy.with_environment(CLAUDY_DOCKER="guard", CLAUDY_GUARD_RUNS=kind), project)
    yield found
    found.assert_nothing_left()
    engine.cli("volume", "rm", "-f", found.state)


class Gate:
    """The engine's socket by another name, with a gate before one request.

    Args:
        path: where it listens.
        engine: path of the engine's socket.
        held: how that request's head begins.
    """

    def __init__(self, path: Path, engine: Path, held: bytes) -> None:
        self._engine, self._held = engine, held
        self.asked, self.open, self.answered = (threading.Event() for _ in range(3))
        self.answer = b""
        self._asking: socket.socket | None = None
        self.heads: list[bytes] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._sockets = [self._listener]
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def close(self) -> None:
        """Let nobody through any more."""
        self.open.set()
        self._listener.shutdown(socket.SHUT_RDWR)  # a close alone leaves a thread in `accept`
        self._accepting.join()
        for one in self._sockets:
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                daemon = socket.socket(socket.AF_UNIX)
                daemon.connect(str(self._engine))
                self._sockets += [client, daemon]
                for act in (self._to_daemon, self._to_client):
                    threading.Thread(target=act, args=(client, daemon), daemon=True).start()

    def _to_daemon(self, client: socket.socket, daemon: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                self.heads.append(data.partition(b"\r\n")[0])
                if data.startswith(self._held):
                    self._asking = daemon
                    self.asked.set()
                    self.open.wait()
                daemon.sendall(data)
            daemon.shutdown(socket.SHUT_WR)

    def _to_client(self, client: socket.socket, daemon: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := daemon.recv(65536):
                if self.open.is_set() and daemon is self._asking:
                    self.answer = self.answer or data
                    self.answered.set()
                client.sendall(data)
            client.shutdown(socket.SHUT_WR)


def test_claudy_is_killed_while_the_engine_makes_the_sidecar(
    inside: Inside, tmp_path: Path, engine: Engine
) -> None:
    """The engine goes on with the request, when the watcher has already cleared up."""
    inside.output("true")  # the image is there
    version = f"/v{engine.api_version}"
    held = f"POST {version}/containers/create?name={inside.guard}".encode()
    gate = Gate(tmp_path / "gate.sock", engine.socket, held)
    program = inside.claudy.with_environment(DOCKER_HOST=f"unix://{tmp_path}/gate.sock")
    try:
        with program.start("--", "true", cwd=inside.project) as process:
            assert gate.asked.wait(SECONDS), gate.heads
            process.send_signal(signal.SIGKILL)
            process.wait()
        swept = f"DELETE {version}/volumes/{inside.socket} ".encode()
        wait_for(lambda: any(h.startswith(swept) for h in gate.heads), SECONDS, "the watcher")
        gate.open.set()
        assert gate.answered.wait(SECONDS)
        # Where containerd keeps the images the engine notices that nobody waits for it any more.
        if engine.name != "containerd":
            assert gate.answer.startswith(b"HTTP/1.1 201")
        inside.assert_nothing_left()
    finally:
        gate.close()


@pytest.mark.parametrize("inside", ["process"], indirect=True)
def test_name_is_taken_while_the_engine_is_asked(
    inside: Inside, tmp_path: Path, engine: Engine
) -> None:
    """The guard that was started for the first try must not be in the way of the second's."""
    inside.output("true")
    held = f"POST /v{engine.api_version}/containers/create?name={inside.name} ".encode()
    gate = Gate(tmp_path / "gate.sock", engine.socket, held)
    program = inside.claudy.with_environment(DOCKER_HOST=f"unix://{tmp_path}/gate.sock")
    labels = {"claudy.project": str(inside.project), "claudy.sandbox": inside.name}
    words = [word for pair in labels.items() for word in ("--label", "=".join(pair))]
    try:
        with program.start("--", "docker", "ps", cwd=inside.project) as process:
            assert gate.asked.wait(SECONDS), gate.heads
            engine.cli("create", "--name", inside.name, *words, "busybox")
            gate.open.set()
            _, said = process.communicate(timeout=SECONDS)
            assert process.returncode == 0, said.decode()
    finally:
        gate.close()


def abandon(inside: Inside, engine: Engine) -> None:
    """Leave a sidecar that has never been started, as when claudy and its watcher were killed."""
    labels = {
        "claudy.project": str(inside.project), "claudy.sandbox": inside.name, "claudy.role": "guard"
    }  # fmt: skip
    words = [word for pair in labels.items() for word in ("--label", "=".join(pair))]
    engine.cli("create", "--name", inside.guard, *words, "busybox")
    engine.cli("volume", "create", *words, inside.socket)
    assert inside.containers() == {inside.guard: "created"}


def test_next_launch_makes_its_way(inside: Inside, engine: Engine) -> None:
    abandon(inside, engine)
    assert inside.output("docker ps -q | wc -l").strip().isdecimal()


def test_rm_takes_a_sidecar_without_its_sandbox(inside: Inside, engine: Engine) -> None:
    abandon(inside, engine)
    done = inside.claudy.run("rm", "-y", inside.guard, cwd=inside.project)
    assert (done.code, done.text) == (0, f"{inside.guard}\n"), done.said
    assert not inside.containers()
    engine.cli("volume", "rm", inside.socket)


def unused(claudy: Claudy) -> set[str]:
    """Return what `claudy prune` would find in an hour."""
    env = claudy.environment
    endpoint = resolve(env=env, home=env["HOME"], platform="linux", uid=os.getuid())
    client = Client(endpoint)
    try:
        found = find_unused(client, Registry(client, env, os.getuid()), now=time.time() + 3600)
        return {one.name for one in found}
    finally:
        client.close()


def test_prune_finds_a_sidecar_that_was_never_started(inside: Inside, engine: Engine) -> None:
    abandon(inside, engine)
    assert {inside.guard, inside.socket} <= unused(inside.claudy)
    done = inside.claudy.run("prune", "--dry-run", "--json", cwd="/")
    young = {one["name"] for one in json.loads(done.text)["would_remove"]}
    assert inside.guard not in young  # somebody may be starting it
    engine.cli("rm", inside.guard)
    engine.cli("volume", "rm", inside.socket)


def test_prune_finds_a_sandbox_that_was_never_started_and_spares_its_image(
    inside: Inside, engine: Engine
) -> None:
    """With an image of the user's own, which is not claudy's to remove."""
    labels = {"claudy.project": str(inside.project), "claudy.sandbox": inside.name}
    words = [word for pair in labels.items() for word in ("--label", "=".join(pair))]
    engine.cli("create", "--name", inside.name, *words, "busybox")
    found = unused(inside.claudy)
    assert inside.name in found
    assert not [name for name in found if "busybox" in name]
    assert inside.claudy.run("rm", "-y", cwd=inside.project).code == 0
    assert not inside.containers()


@pytest.mark.parametrize("inside", KINDS, indirect=True)
def test_commands_of_the_host(inside: Inside) -> None:
    """A guard is no sandbox of its own, nothing unused, and goes with its sandbox."""
    for command in ("stop", "rm"):
        words = ("--keep", "--", "docker", "run", "-d", "--rm", "busybox", "sleep", "600")
        kept = inside.claudy.run(*words, cwd=inside.project, timeout=SECONDS)
        assert kept.code == 0, kept.said
        started = kept.text.strip()
        shown = json.loads(inside.claudy.run("ps", "--all", "--json", cwd="/").text)
        (one,) = (s for s in shown["sandboxes"] if s["project"] == str(inside.project))
        assert one["name"] == inside.name
        assert [c["id"] for c in one["containers"]] == [started]
        mine = {inside.name, inside.guard, inside.socket, inside.state}
        assert not unused(inside.claudy) & mine
        done = inside.claudy.run(command, "-y", cwd=inside.project)
        assert (done.code, done.text) == (0, f"{inside.name}\n"), done.said
        inside.assert_nothing_left()
        # What it started is the project's still, and found.
        left = inside.claudy.run("rm", "-y", started, cwd=inside.project)
        assert left.code == 0, left.said


@pytest.mark.parametrize("inside", KINDS, indirect=True)
def test_ports_of_an_earlier_session_are_there_for_the_first_command(inside: Inside) -> None:
    serve = "docker run -d --rm --name left -p 18301:80 busybox nc -ll -p 80 -e /bin/echo left"
    inside.output(f"{serve} >/dev/null")
    for _ in range(3):
        said = inside.output("bash -c 'exec 3<>/dev/tcp/localhost/18301; cat <&3'")
        assert said == "left\n"
    assert inside.output("docker rm -f left; ls /run/claudy/opening 2>&1 || :").startswith("left\n")
