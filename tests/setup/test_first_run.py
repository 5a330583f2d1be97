"""A fresh Debian 12 or 13 without Python, Docker or HOME content: one command opens a sandbox.

The machine is a root of that release in a room (a network and mount namespace) of its own, with
its own /run; it shares the kernel with the host and nothing else.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import ssl
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.engines.layout import CACHE, Place
from tests.engines.room import clear_room, enter, open_room, room_mtu
from tests.engines.roots import mirror, prepare_host
from tests.engines.shell import locked, run

if TYPE_CHECKING:
    from collections.abc import Iterator

TREE = Path(__file__).parents[2]
# What the engine needs of a machine: / as a mount point, the kernel's file systems, a /run.
MACHINE = """
set -e
mount --bind "$root" "$root"
cd "$root"
mount --rbind /proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs tmpfs run
mkdir -p run/lock
cat /etc/resolv.conf >etc/resolv.conf
cat /etc/hosts >etc/hosts
exec chroot . env -i HOME=/root LANG=C.UTF-8 \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
"""
# The main job; its image is made of the one base that is there without a registry.
CASE = """{
    printf 'FROM claudy-base:trixie\\nRUN echo in a container >/it\\n' >Dockerfile
    docker build -q -t my-app:latest . >/dev/null
    docker run --rm my-app:latest sed 's/^/ran /' /it
}"""


@pytest.fixture(params=["trixie", "bookworm"])
def machine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """Return the root directory of a bare machine; everything in it is ended and removed."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        missing = "a bare machine can only be made as root on Debian or Ubuntu"
        if request.config.getoption("require_engines"):
            pytest.fail(missing)
        pytest.skip(missing)
    suite = str(request.param)
    prepare_host()
    place = Place("bare", f"{suite}-{os.getpid()}")
    archive = CACHE / f"{suite}-bare.tar"
    with locked(CACHE / f"{suite}-bare.lock"):
        if not archive.exists():
            partial = archive.with_suffix(".partial.tar")
            run(["mmdebstrap", "--variant=minbase", suite, str(partial), *mirror()])
            partial.rename(archive)
    root = tmp_path_factory.mktemp("machine") / "root"
    root.mkdir()
    run(["tar", "-xpf", str(archive), "-C", str(root), "--exclude=./dev/*"])
    copy_tree(root / "root/claudy")
    copy_package_settings(root)
    (root / "machine.sh").write_text(MACHINE)
    holder = open_room(place)
    (root / "etc/docker").mkdir()
    mtu = json.dumps({"mtu": room_mtu(holder)})  # the way out of this machine may be narrow
    (root / "etc/docker/daemon.json").write_text(mtu)
    try:
        yield root
    finally:
        clear_room(place)
        shutil.rmtree(root, ignore_errors=True)


def copy_tree(target: Path) -> None:
    """Copy what a commit of the tree as it is would have."""
    listing = subprocess.run(
        ["git", "ls-files", "-zco", "--exclude-standard"], cwd=TREE, check=True, capture_output=True
    )
    for name in listing.stdout.decode().split("\0"):
        source = TREE / name
        if name and (source.is_file() or source.is_symlink()):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name, follow_symlinks=False)


def copy_package_settings(root: Path) -> None:
    """Let pip reach the index that this machine reaches: its settings and certificates."""
    if os.path.isfile("/etc/pip.conf"):
        shutil.copy("/etc/pip.conf", root / "etc/pip.conf")
    trusted = os.environ.get("PIP_CERT") or ssl.get_default_verify_paths().cafile
    if trusted and os.path.isfile(trusted):
        # Not where the package ca-certificates writes its own.
        shutil.copy(trusted, root / "etc/trusted.pem")


def suite_of(root: Path) -> str:
    """Return the Debian release that a machine has."""
    return "trixie" if "trixie" in (root / "etc/os-release").read_text() else "bookworm"


def in_machine(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command on the machine."""
    place = Place("bare", f"{suite_of(root)}-{os.getpid()}")
    pip = [f"{name}={value}" for name, value in os.environ.items() if name.startswith("PIP_")]
    pip += ["PIP_CERT=/etc/trusted.pem"] if (root / "etc/trusted.pem").exists() else []
    script = ["sh", "-c", f"root={root}; {MACHINE}", "machine", "env", *pip, *command]
    return subprocess.run(
        [*enter(open_room(place)), "unshare", "--mount", "--propagation", "private", *script],
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=900,
    )


def test_one_command_opens_a_sandbox(machine: Path) -> None:
    signal.alarm(1500)  # longer than other tests: a machine is set up and an image built
    assert not list(machine.glob("usr/bin/python3*"))
    assert not (machine / "usr/sbin/dockerd").exists()
    project = "mkdir -p ~/git/my-app && cd ~/git/my-app"
    inside = (
        f"docker version --format '{{{{.Server.Os}}}}' && docker ps -q | wc -l && {CASE} && pwd"
    )
    done = in_machine(
        machine,
        "sh", "-c", f'{project} && ~/claudy/install.sh --open -- sh -c "$1"', "first", inside,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.splitlines() == ["linux", "1", "ran in a container", "/workspace"]
    assert "Traceback" not in done.stderr
