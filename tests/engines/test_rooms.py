"""What other tests rely on: engines are real and apart, rooms have their own paths and ports."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.engines.api import Api
from tests.engines.layout import KINDS
from tests.engines.leftovers import find_leftovers
from tests.engines.shell import EngineError, wait_for

if TYPE_CHECKING:
    from tests.engines.engine import Engine
    from tests.engines.values import OrdinaryUser, PasswordRegistry, TlsEndpoint


@pytest.fixture
def made(engine: Engine) -> Engine:
    if engine.place is None:
        pytest.skip("the machine's own engine has no room")
    return engine


def test_the_engine_is_the_version_asked_for(made: Engine) -> None:
    assert made.version.startswith(made.name)
    assert made.api_version == KINDS[made.name].api


def test_the_default_socket_in_the_room_is_this_engine_s(made: Engine) -> None:
    default = Api(Path("/var/run/docker.sock")).request("GET", "/info")

    assert default["ID"] == made.api.request("GET", "/info")["ID"]


@pytest.mark.parametrize("image", ["debian:trixie-slim", "busybox", "alpine"])
def test_base_images_run(made: Engine, label: str, image: str) -> None:
    done = made.cli("run", "--rm", "--label", label, image, "sh", "-c", "echo hello")

    assert done.stdout == "hello\n"


@pytest.mark.parametrize("image", ["postgres:latest", "postgres:15"])
def test_a_published_port_is_on_loopback(made: Engine, label: str, image: str) -> None:
    name = made.cli("run", "-d", "--label", label, "-p", "127.0.0.1::5432", image).stdout.strip()
    address, _, port = made.cli("port", name, "5432").stdout.strip().rpartition(":")
    answers: list[str] = []

    def ask() -> bool:
        with socket.create_connection((address, int(port)), timeout=30) as connection:
            answers.append(connection.makefile().readline())
        return answers[-1] != ""  # the port is open before the process in the container listens

    wait_for(ask, 30, "an answer from the published port")
    assert answers[-1] == "stand-in for postgres, ready\n"


def test_containers_reach_the_package_mirror(made: Engine, label: str) -> None:
    update = ["apt-get", "update", "-o", "APT::Update::Error-Mode=any"]

    done = made.cli("run", "--rm", "--label", label, "debian:trixie-slim", *update)

    assert "Reading package lists" in done.stdout


def test_host_paths_are_the_engine_s_paths(made: Engine, label: str, tmp_path: Path) -> None:
    bind = f"{tmp_path}:/there"

    made.cli("run", "--rm", "--label", label, "-v", bind, "busybox", "touch", "/there/file")

    assert (tmp_path / "file").exists()


def test_a_mount_made_in_the_room_reaches_the_engine(
    made: Engine, label: str, tmp_path: Path
) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "claudy-test", str(tmp_path)], check=True)
    try:
        (tmp_path / "on-the-mount").touch()
        bind = f"{tmp_path}:/there"
        done = made.cli("run", "--rm", "--label", label, "-v", bind, "busybox", "ls", "/there")
    finally:
        subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)

    assert done.stdout == "on-the-mount\n"


def test_the_registry_takes_and_gives_images(engine: Engine, label: str, registry: str) -> None:
    image = f"{registry}/{label.partition('=')[2]}:latest"
    engine.cli("build", "-t", image, "--label", label, "-", input="FROM busybox\n")
    engine.cli("push", image)
    engine.cli("rmi", image)

    engine.cli("pull", image)

    assert engine.cli("run", "--rm", "--label", label, image, "echo", "pulled").stdout == "pulled\n"


def test_the_password_registry_refuses_strangers(
    engine: Engine, label: str, password_registry: PasswordRegistry
) -> None:
    image = f"{password_registry.address}/{label.partition('=')[2]}:latest"
    engine.cli("build", "-t", image, "--label", label, "-", input="FROM busybox\n")
    login = ["login", "-u", password_registry.user, "--password-stdin", password_registry.address]

    refused = engine.cli("push", image, check=False)
    engine.cli(*login, input=password_registry.password)
    try:
        accepted = engine.cli("push", image)
    finally:
        engine.cli("logout", password_registry.address)

    assert "no basic auth credentials" in refused.stderr
    assert "digest: sha256:" in accepted.stdout


def test_tls_answers_only_to_its_own_authority(engine: Engine, tls: TlsEndpoint) -> None:
    def ask(certificates: Path) -> subprocess.CompletedProcess[str]:
        command = ["docker", "-H", tls.host, "--tlsverify", "version", "-f", "{{.Server.Version}}"]
        environment = engine.environment | {"DOCKER_CERT_PATH": str(certificates)}
        path = engine.environment["PATH"] + ":" + os.path.dirname(engine.program)
        return subprocess.run(
            command, env=environment | {"PATH": path}, capture_output=True, text=True, check=False
        )

    assert ask(tls.certificates).stdout.strip().startswith(engine.version)
    refused = ask(tls.wrong_certificates)
    assert refused.returncode == 1
    assert "certificate signed by unknown authority" in refused.stderr


def test_the_hanging_daemon_takes_a_request_and_says_nothing(hang: str) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(hang.removeprefix("unix://"))
        client.sendall(b"GET /_ping HTTP/1.1\r\nHost: localhost\r\n\r\n")
        readable, _, _ = select.select([client], [], [], 0.2)

    assert not readable


@pytest.mark.once
def test_rootless_containers_write_as_the_ordinary_user(
    rootless_engine: Engine, ordinary_user: OrdinaryUser, label: str
) -> None:
    file = ordinary_user.home / label
    bind = f"{ordinary_user.home}:/home"
    write = ["busybox", "touch", f"/home/{label}"]
    try:
        rootless_engine.cli("run", "--rm", "--label", label, "-v", bind, *write)
        assert (file.stat().st_uid, file.stat().st_gid) == (ordinary_user.uid, ordinary_user.gid)
    finally:
        file.unlink(missing_ok=True)


@pytest.mark.once
def test_rootless_ports_are_in_the_room_of_the_rootless_engine(
    rootless_engine: Engine, label: str
) -> None:
    run = ["run", "-d", "--label", label, "-p", "127.0.0.1::5432", "postgres"]
    name = rootless_engine.cli(*run).stdout.strip()
    port = rootless_engine.cli("port", name, "5432").stdout.strip().rpartition(":")[2]
    ask = f"import socket; print(socket.create_connection(('127.0.0.1', {port})).recv(99))"
    command = rootless_engine.in_room(sys.executable, "-c", ask)

    def answered() -> bool:
        return "ready" in subprocess.run(command, capture_output=True, text=True, check=True).stdout

    wait_for(answered, 30, "an answer from the published port")


@pytest.mark.once
def test_with_userns_remap_root_inside_is_nobody_outside(
    userns_engine: Engine, label: str, tmp_path: Path
) -> None:
    tmp_path.chmod(0o777)  # the remapped root must be able to write there
    for parent in tmp_path.parents:
        if not parent.stat().st_mode & 0o001:
            parent.chmod(0o711)
    bind = f"{tmp_path}:/there"

    userns_engine.cli("run", "--rm", "--label", label, "-v", bind, "busybox", "touch", "/there/f")

    assert (tmp_path / "f").stat().st_uid >= 1_000_000


@pytest.mark.parametrize("force", [False, True])
def test_a_daemon_can_be_stopped_and_started(made: Engine, *, force: bool) -> None:
    images = sorted(made.cli("images", "-q").stdout.split())

    with made.stopped(force=force):
        assert not made.api.answers()

    assert sorted(made.cli("images", "-q").stdout.split()) == images


@pytest.mark.once
def test_an_engine_that_others_use_is_not_stopped(userns_engine: Engine) -> None:
    if not userns_engine.shared:
        pytest.skip("this run is for that engine")

    with pytest.raises(EngineError, match="used by other runs"):
        userns_engine.stop()

    assert userns_engine.api.answers()


def test_only_what_belongs_to_the_run_is_left_over(
    engine: Engine, label: str, tmp_path: Path
) -> None:
    run = label.partition("=")[2]
    project = tmp_path / "project"
    create = ["create", "--label", f"{label}-mine"]
    mine = engine.cli(*create, "busybox").stdout.strip()
    claudys = engine.cli("volume", "create", "--label", f"claudy.project={project}").stdout.strip()
    other = engine.cli("create", "--label", f"{label}0", "busybox").stdout.strip()
    try:
        found = find_leftovers(engine.api, run, tmp_path)
        for left in found:
            left.remove(engine.api)
        after = find_leftovers(engine.api, run, tmp_path)
        kept = engine.cli("inspect", "-f", "{{.Id}}", other).stdout.strip()
    finally:
        engine.cli("rm", other)
        engine.cli("volume", "rm", "--force", claudys)

    assert [(left.kind, left.identity, left.expected) for left in found] == [
        ("containers", mine, False),
        ("volumes", claudys, True),
    ]
    assert after == []
    assert kept == other
