"""Images that are not there, registries that do not answer, disks that are full."""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
import struct
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from claudy.image.reference import platform_of
from tests.engine.doctor.machine import SOCKET
from tests.engine.doctor.test_broken_engine import HELLO, assert_launches, paste
from tests.running.diagnosis import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.engine.doctor.machine import Done, Machine
    from tests.engines.engine import Engine
    from tests.running.program import Claudy

SMALL = 200 << 20
PLATFORM = platform_of(os.uname().machine)


def checks(document: str) -> dict[str, Any]:
    return {check["id"]: check for check in json.loads(document)["checks"]}


def test_image_missing(machine: Machine) -> None:
    """Launch builds it by itself; doctor builds nothing unasked, and says what would."""
    machine.start_engine()
    done = machine.claudy("doctor", "--json", "image", "registry", env={"CLAUDY_IMAGE": ""})
    found = checks(done.out)
    assert (found["image"]["finding"], found["image"]["remedy"]) == (
        "image-missing",
        "claudy build-image",
    )
    assert found["image"]["fixable"]


def test_image_older_than_its_files(machine: Machine) -> None:
    machine.start_engine()
    assert machine.run("docker", "tag", "busybox", "hal9000:0123456789abcdef").code == 0
    try:
        done = machine.claudy("doctor", "--json", "image", env={"CLAUDY_IMAGE": ""})
    finally:
        machine.run("docker", "rmi", "hal9000:0123456789abcdef")
    found = checks(done.out)["image"]
    assert (found["finding"], found["remedy"]) == ("image-outdated", "claudy build-image")


def image_archive(path: Path, name: str, architecture: str, layer: bytes) -> None:
    """Write an image of one layer as `docker save` would."""
    config = {
        "architecture": architecture,
        "os": "linux",
        "config": {"Env": ["PATH=/bin"], "Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    with tarfile.open(path, "w") as archive:
        for member, content in (
            ("layer.tar", layer),
            ("config.json", json.dumps(config).encode()),
            ("manifest.json", json.dumps(manifest).encode()),
        ):
            entry = tarfile.TarInfo(member)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


def foreign_image(path: Path, name: str = "foreign:latest") -> None:
    """Write an image whose programs are of another processor: their heads, which is all it takes.

    System V ABI, object files: class 64, big-endian; machine 22 is the S/390.
    """
    head = b"\x7fELF\2\2\1".ljust(16, b"\0")
    head += struct.pack(">HHIQQQIHHHHHH", 2, 22, 1, 4096, 64, 0, 0, 64, 56, 0, 64, 0, 0)
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        for program in ("bin/sh", "bin/true", "bin/echo"):
            entry = tarfile.TarInfo(program)
            entry.mode, entry.size = 0o755, len(head)
            archive.addfile(entry, io.BytesIO(head))
    image_archive(path, name, "s390x", layer.getvalue())


def test_image_for_another_processor(machine: Machine) -> None:
    machine.start_engine()
    foreign_image(machine.root / "root/foreign.tar")
    assert machine.run("docker", "load", "-i", "/root/foreign.tar").code == 0
    done = machine.claudy("doctor", "--json", "image", env={"CLAUDY_IMAGE": "foreign"})
    machine.run("docker", "rmi", "foreign")
    found = checks(done.out)["image"]
    assert found["finding"] == "image-wrong-architecture"
    assert found["remedy"].startswith("docker pull --platform linux/")


@pytest.mark.parametrize("docker", ["none", "guard"])
def test_image_for_another_processor_is_fetched_for_this_one(
    claudy: Claudy, engine: Engine, project: Path, registry: str, tmp_path: Path, docker: str
) -> None:
    """The registry has it for this processor, the engine for another: the remedy helps."""
    name = f"{registry}/claudy-test-sorts:{secrets.token_hex(4)}"
    engine.cli("tag", "busybox", name)
    engine.cli("push", name)
    engine.cli("rmi", name)
    foreign_image(tmp_path / "foreign.tar", name)
    engine.cli("load", "-i", str(tmp_path / "foreign.tar"))
    foreign = engine.cli("image", "inspect", "-f", "{{.Id}}", name).stdout.strip()
    chosen = claudy.with_environment(CLAUDY_IMAGE=name, CLAUDY_DOCKER=docker)
    try:
        for _ in range(2):
            watch = Watch()
            launch = chosen.run("--", "true", cwd=project)
            watch.stop()
            doctor = chosen.run("doctor", "--json", "image", cwd=project)
            found = checks(doctor.text)["image"]
            watch.note(found["finding"])
            assert found["finding"] == "image-wrong-architecture"
            assert found["seen"] == f"{name} is for linux/s390x, the engine runs {PLATFORM}."
            assert (launch.code, launch.text) == (125, "")
            said = f"claudy: {found['seen']}\n        Try: {found['remedy']}\n"
            assert launch.said.endswith(said)
        program, *words = found["remedy"].split()
        assert program == "docker"
        engine.cli(*words)
        done = chosen.run("--", "echo", "hello from inside", cwd=project)
        assert (done.code, done.text) == (0, "hello from inside\n"), done.said
    finally:
        engine.cli("rmi", "-f", name, check=False)
        engine.cli("rmi", "-f", foreign, check=False)


def test_image_for_another_processor_that_runs(
    claudy: Claudy, engine: Engine, project: Path, tmp_path: Path
) -> None:
    """As where the engine emulates the other processor: nothing is wrong, nobody is warned."""
    name = f"claudy-test-emulated:{secrets.token_hex(4)}"
    engine.cli("save", "-o", str(tmp_path / "busybox.tar"), "busybox")
    with tarfile.open(tmp_path / "busybox.tar") as saved:
        manifest = json.load(saved.extractfile("manifest.json"))  # type: ignore[arg-type]
        layer = saved.extractfile(manifest[0]["Layers"][0]).read()  # type: ignore[union-attr]
    image_archive(tmp_path / "emulated.tar", name, "386", layer)
    engine.cli("load", "-i", str(tmp_path / "emulated.tar"))
    chosen = claudy.with_environment(CLAUDY_IMAGE=name)
    try:
        done = chosen.run("--", "sh", "-c", "exit 7", cwd=project)
        assert done.code == 7
        assert "linux/386" not in done.said
        doctor = chosen.run("doctor", "--json", "image", cwd=project)
        found = checks(doctor.text)["image"]
        assert (doctor.code, found["status"]) == (0, "ok")
        assert "linux/386" in found["seen"]
        left = engine.cli("ps", "-aq", "--filter", "label=claudy.doctor").stdout
        assert left == ""
    finally:
        engine.cli("rmi", "-f", name, check=False)


def test_registry_down(machine: Machine) -> None:
    """A chosen image that is nowhere, on a registry that refuses connections."""
    machine.start_engine()
    env = {"CLAUDY_IMAGE": "127.0.0.1:1/team/image:1"}
    watch = Watch()
    launch = machine.claudy(*HELLO, env=env)
    watch.stop()
    assert launch.code == 125
    found = checks(machine.claudy("doctor", "--json", env=env).out)["registry"]
    watch.note(found["finding"])
    assert (found["status"], found["finding"]) == ("fail", "registry-down")
    assert "127.0.0.1:1" in launch.err
    assert found["seen"] in launch.err
    # Pasted on a machine that has claudy's image: `test_healthy`.
    assert found["remedy"] == "claudy --image ''"
    assert f"Try: {found['remedy']}" in launch.err


def test_credential_helper_missing(machine: Machine) -> None:
    machine.start_engine()
    settings = machine.root / "root/.docker"
    settings.mkdir()
    (settings / "config.json").write_text('{"credsStore": "nonexistent"}')
    done = machine.claudy("doctor", "--json", "credentials")
    found = checks(done.out)["credentials"]
    assert done.code == 0
    assert (found["status"], found["finding"]) == ("warn", "credential-helper-missing")
    assert "docker-credential-nonexistent" in found["remedy"]


@pytest.fixture
def small_disk(machine: Machine) -> Iterator[Machine]:
    """Return the machine with its engine on a file system of 200 MB."""
    image = machine.root / "disk.img"
    with image.open("wb") as file:
        file.truncate(SMALL)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    script = "mkdir -p /var/lib/small && mount -o loop /disk.img /var/lib/small"
    done = machine.run("sh", "-c", script)
    assert done.code == 0, done.err
    machine.start_engine(f"--data-root /var/lib/small -H unix://{SOCKET}")
    yield machine
    machine.stop_engine()
    machine.run("umount", "/var/lib/small")
    image.unlink()


def test_disk_full(small_disk: Machine) -> None:
    """A stopped container holds all the space; what docker prunes is enough to go on."""
    machine = small_disk
    fill = ["docker", "run", "busybox", "sh", "-c", "cat /dev/zero >/big"]
    assert "No space left on device" in machine.run(*fill).err
    watch = Watch()
    launch = machine.claudy(*HELLO)
    watch.stop()
    assert launch.code == 125
    assert "The disk of the Docker engine is full" in launch.err
    doctor = machine.claudy("doctor", "--json")
    assert doctor.code == 1
    found = checks(doctor.out)["disk"]
    watch.note(found["finding"])
    assert (found["finding"], found["remedy"]) == ("disk-full", "docker system prune")
    assert launch.err.endswith(f"Try: {found['remedy']}\n")
    pruned: Done = paste(machine, f"{found['remedy']} --force")
    assert pruned.code == 0, pruned.err
    assert_launches(machine)


def test_disk_nearly_full_is_a_warning(small_disk: Machine) -> None:
    done = small_disk.claudy("doctor", "--json", "disk")
    found = checks(done.out)["disk"]
    assert done.code == 0
    assert (found["status"], found["finding"]) == ("warn", "disk-nearly-full")
