"""A fresh Debian 12 or 13 without Python, Docker or HOME content: one command opens a sandbox.

The machine is a root of that release in a room (a network and mount namespace) of its own, with
its own /run; it shares the kernel with the host and nothing else.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.engines.daemon import halt
from tests.engines.layout import Place
from tests.engines.room import enter, open_room, room_mtu
from tests.engines.roots import prepare_host, slim_image
from tests.engines.shell import run
from tests.setup.tree import copy_tree, package_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

_PLENTY = 8 << 30
"""With that many bytes of memory to spare the machine's disk is in memory; it takes 2 GiB."""
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
    disk = tmp_path_factory.mktemp("machine")
    in_memory = available_memory() > _PLENTY
    if in_memory:
        # Setting up a machine is writing and removing files; none of them is for keeps.
        run(["mount", "-t", "tmpfs", "-o", f"mode=755,size={_PLENTY // 2}", "machine", str(disk)])
    root = disk / "root"
    root.mkdir()
    # What a minimal release consists of, documentation left out.
    run(["tar", "-xpf", str(slim_image(suite)), "-C", str(root), "--exclude=./dev/*"])
    copy_tree(root / "srv/claudy")
    (root / "machine.sh").write_text(MACHINE)
    holder = open_room(place)
    (root / "etc/docker").mkdir()
    mtu = json.dumps({"mtu": room_mtu(holder)})  # the way out of this machine may be narrow
    (root / "etc/docker/daemon.json").write_text(mtu)
    try:
        yield root
    finally:
        halt(place, purge=True)
        if in_memory:
            run(["umount", str(disk)])
        else:
            shutil.rmtree(root, ignore_errors=True)


def available_memory() -> int:
    """Return how many bytes programs can have without anything being swapped out."""
    fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return int(fields["MemAvailable"].split()[0]) * 1024


def suite_of(root: Path) -> str:
    """Return the Debian release that a machine has."""
    return "trixie" if "trixie" in (root / "etc/os-release").read_text() else "bookworm"


def in_machine(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command on the machine."""
    place = Place("bare", f"{suite_of(root)}-{os.getpid()}")
    pip = [f"{name}={value}" for name, value in package_settings(root).items()]
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
    # What nobody can do for them is said: an ordinary user, and root without a network.
    nobody = ["setpriv", "--reuid=4321", "--regid=4321", "--clear-groups", "env", "HOME=/tmp"]
    done = in_machine(machine, *nobody, "/srv/claudy/install.sh")
    assert done.returncode == 1
    assert done.stderr.endswith("as root: apt-get update && apt-get install python3 python3-venv\n")
    done = in_machine(machine, "unshare", "--net", "/srv/claudy/install.sh", "--open")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("install.sh: apt-get could not install Python")
    project = "mkdir -p ~/git/my-app && cd ~/git/my-app"
    inside = (
        f"docker version --format '{{{{.Server.Os}}}}' && docker ps -q | wc -l && {CASE} && pwd"
    )
    done = in_machine(
        machine,
        "sh", "-c", f'{project} && /srv/claudy/install.sh --open -- sh -c "$1"', "first", inside,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.splitlines() == ["linux", "1", "ran in a container", "/workspace"]
    assert "Traceback" not in done.stderr
