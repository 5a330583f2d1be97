"""A fresh Debian 12 or 13 without Python, Docker or HOME content: one command opens a sandbox.

The machine is a root of that release in a room (a network and mount namespace) of its own, with
its own /run; it shares the kernel with the host and nothing else.
"""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.engines.roots import slim_image
from tests.engines.shell import run
from tests.setup.bare import Bare, require_root

if TYPE_CHECKING:
    from collections.abc import Iterator

_PLENTY = 8 << 30
"""With that many bytes of memory to spare the machine's disk is in memory; it takes 2 GiB."""
# The main job; its image is made of the one base that is there without a registry.
CASE = """{
    printf 'FROM claudy-base:trixie\\nRUN echo in a container >/it\\n' >Dockerfile
    docker build -q -t my-app:latest . >/dev/null
    docker run --rm my-app:latest sed 's/^/ran /' /it
}"""


@pytest.fixture(params=["trixie", "bookworm"])
def machine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bare]:
    """Return a bare machine; everything in it is ended and removed."""
    require_root(request.config)
    suite = str(request.param)
    disk = tmp_path_factory.mktemp("machine")
    in_memory = available_memory() > _PLENTY
    if in_memory:
        # Setting up a machine is writing and removing files; none of them is for keeps.
        run(["mount", "-t", "tmpfs", "-o", f"mode=755,size={_PLENTY // 2}", "machine", str(disk)])
    root = disk / "root"
    root.mkdir()
    # What a minimal release consists of, documentation left out.
    bare = Bare(root, suite, slim_image(suite))
    try:
        yield bare
    finally:
        bare.halt()
        if in_memory:
            run(["umount", str(disk)])
        else:
            shutil.rmtree(root, ignore_errors=True)


def available_memory() -> int:
    """Return how many bytes programs can have without anything being swapped out."""
    fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return int(fields["MemAvailable"].split()[0]) * 1024


def test_one_command_opens_a_sandbox(machine: Bare) -> None:
    signal.alarm(1500)  # longer than other tests: a machine is set up and an image built
    assert not list(machine.root.glob("usr/bin/python3*"))
    assert not (machine.root / "usr/sbin/dockerd").exists()
    # What nobody can do for them is said: an ordinary user, and root without a network.
    nobody = ["setpriv", "--reuid=4321", "--regid=4321", "--clear-groups", "env", "HOME=/tmp"]
    done = machine.run(*nobody, "/srv/claudy/install.sh")
    assert done.returncode == 1
    assert done.stderr.endswith("as root: apt-get update && apt-get install python3 python3-venv\n")
    done = machine.run("unshare", "--net", "/srv/claudy/install.sh", "--open")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("install.sh: apt-get could not install Python")
    project = "mkdir -p ~/git/my-app && cd ~/git/my-app"
    inside = (
        f"docker version --format '{{{{.Server.Os}}}}' && docker ps -q | wc -l && {CASE} && pwd"
    )
    done = machine.run(
        "sh", "-c", f'{project} && /srv/claudy/install.sh --open -- sh -c "$1"', "first", inside,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.splitlines() == ["linux", "1", "ran in a container", "/workspace"]
    assert "Traceback" not in done.stderr
