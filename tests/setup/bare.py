"""A machine with nothing but a root file system: a room of its own, a /run, no process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from tests.engines.daemon import halt
from tests.engines.layout import Place
from tests.engines.plugin import do_without
from tests.engines.room import enter, open_room, room_mtu
from tests.engines.roots import prepare_host
from tests.engines.shell import run
from tests.setup.tree import copy_tree, package_settings

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

# What the engine needs of a machine: / as a mount point, the kernel's file systems, a /run.
_MACHINE = """
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


class Bare:
    """A machine whose programs are run one by one; it shares the kernel with the host.

    Args:
        root: An empty directory for its files.
        name: Tells it from other machines.
        archive: Tarball of what is on it.
    """

    def __init__(self, root: Path, name: str, archive: Path) -> None:
        self.root = root
        self._place = Place("bare", f"{name}-{os.getpid()}")
        run(["tar", "-xpf", str(archive), "-C", str(root), "--exclude=./dev/*"])
        copy_tree(root / "srv/claudy")
        holder = open_room(self._place)
        (root / "etc/docker").mkdir()
        mtu = json.dumps({"mtu": room_mtu(holder)})  # the way out of this machine may be narrow
        (root / "etc/docker/daemon.json").write_text(mtu)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command on the machine."""
        pip = [f"{name}={value}" for name, value in package_settings(self.root).items()]
        script = ["sh", "-c", f"root={self.root}; {_MACHINE}", "machine", "env", *pip, *command]
        apart = ["unshare", "--mount", "--propagation", "private"]
        return subprocess.run(
            [*enter(open_room(self._place)), *apart, *script],
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=900,
        )

    def halt(self) -> None:
        """End all that runs on it."""
        halt(self._place, purge=True)


def require_root(config: pytest.Config) -> None:
    """Skip where no machine can be made; fail where engines are required."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        do_without(config, "a machine can only be made as root on Debian or Ubuntu")
    prepare_host()
