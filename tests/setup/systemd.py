"""A machine on which systemd runs: a Debian 12 with an engine, systemd as its first process.

It has namespaces of its own for processes, mounts, network and cgroups, so systemd sees nothing of
the host and manages only what is below one cgroup.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

from tests.engines.roots import machine_archive
from tests.engines.shell import alive, command_name, run, start_detached, stop, wait_for

SUITE = "bookworm"
"""The newest release whose systemd still runs on cgroups of version 1, as this kernel may have."""
_PACKAGES = "docker.io,iptables,python3,systemd-sysv"
_CGROUPS = Path("/sys/fs/cgroup")
# Below one cgroup of each hierarchy; a namespace then makes that one the root.
_ENTER_CGROUPS = """
for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/*; do
  if [ -e "$hierarchy/cgroup.procs" ] && mkdir -p "$hierarchy/$group"; then
    for file in cpuset.cpus cpuset.mems; do
      if [ -e "$hierarchy/$file" ]; then cat "$hierarchy/$file" >"$hierarchy/$group/$file"; fi
    done
    echo $$ >"$hierarchy/$group/cgroup.procs"
  fi
done
"""
_BOOT = """
set -e
mount --bind "$root" "$root"
cd "$root"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t tmpfs -o mode=755 dev dev
mkdir dev/pts dev/shm
for name in null zero full random urandom tty; do
  touch "dev/$name"
  mount --bind "/dev/$name" "dev/$name"
done
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs shm dev/shm
mount -t tmpfs -o mode=755 run run
if [ -e /sys/fs/cgroup/cgroup.procs ]; then
  mount -t cgroup2 cgroup2 sys/fs/cgroup
else
  mount -t tmpfs -o mode=755 cgroups sys/fs/cgroup
  for name in cpu cpuacct cpuset memory devices freezer blkio pids; do
    mkdir "sys/fs/cgroup/$name"
    mount -t cgroup -o "$name" cgroup "sys/fs/cgroup/$name"
  done
  mkdir sys/fs/cgroup/systemd
  mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
fi
exec chroot . env -i container=docker PATH=/usr/sbin:/usr/bin:/sbin:/bin /sbin/init
"""


class Booted:
    """A machine that runs.

    Args:
        root: An empty directory for its files.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._group = f"claudy-test-systemd-{os.getpid()}"
        self._holder = self._init = 0

    def boot(self) -> None:
        """Start it, and return when systemd has started all that it starts."""
        run(
            [
                "tar",
                "-xpf",
                str(machine_archive(SUITE, _PACKAGES)),
                "-C",
                str(self.root),
                "--exclude=./dev/*",
            ]
        )
        variables = f"root={shlex.quote(str(self.root))}\ngroup={self._group}\n"
        apart = "unshare --mount --propagation private --net --ipc --uts --cgroup --pid --fork"
        script = f"{variables}{_ENTER_CGROUPS}exec {apart} --kill-child sh -c "
        script += shlex.quote(variables + _BOOT)
        log = self.root.parent / "boot.log"
        self._holder = start_detached(["sh", "-c", script], log)
        wait_for(self._started, 30, f"systemd to start (see {log})")
        target = ["systemctl", "is-active", "--quiet", "multi-user.target"]
        wait_for(lambda: self.run(*target).returncode == 0, 90, "the machine to be up")

    def _started(self) -> bool:
        children = Path(f"/proc/{self._holder}/task/{self._holder}/children").read_text().split()
        found = [int(pid) for pid in children if command_name(int(pid)) == "systemd"]
        self._init = found[0] if found else 0
        return bool(found)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command on the machine."""
        inside = f"--target={self._init} --mount --net --pid --cgroup --root --wd=/".split()
        clean = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "USER=root"]
        return subprocess.run(
            ["nsenter", *inside, "--", *clean, *command],
            check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def halt(self) -> None:
        """End it with all that runs in it, and remove its cgroups and files."""
        if self._holder:
            stop(self._holder, seconds=0)
        if self._init:
            wait_for(lambda: not alive(self._init), 20, "the machine to end")
        for top in (*_CGROUPS.glob(self._group), *_CGROUPS.glob(f"*/{self._group}")):
            wait_for(lambda top=top: _removed(top), 20, f"{top} to be empty")  # type: ignore[misc]
        shutil.rmtree(self.root, ignore_errors=True)


def _removed(top: Path) -> bool:
    """Remove a cgroup and those below it, once nothing is in them any more."""
    try:
        for group in sorted(
            (top, *(path for path in top.glob("**/") if path != top)), reverse=True
        ):
            group.rmdir()
    except OSError:
        return not top.exists()
    return True
