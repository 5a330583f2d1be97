"""A machine of its own: a Debian root in a room, with an engine that is installed and stopped.

It shares the kernel with the host and nothing else: its own processes, /run, network and users.
claudy runs in it from this tree, with the libraries of the Python that runs the tests. What runs in
it ends with the one process that holds its namespaces; nothing is ever killed by name.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.engines.layout import CACHE, Place
from tests.engines.room import clear_room, enter, open_room
from tests.engines.roots import mirror
from tests.engines.shell import alive, locked, run, start_detached, stop, wait_for

if TYPE_CHECKING:
    from collections.abc import Mapping

TREE = Path(__file__).parents[3]
# One for each process: the parts of a whole run go side by side.
PLACE = Place("machine", str(os.getpid()))
SUITE = "bookworm"
PACKAGES = (
    "busybox-static ca-certificates docker.io iptables iproute2 openssh-client openssh-server"
    " procps python3 sudo util-linux"
)
USER, USER_ID = "dev", 4321
SECONDS = 120
SOCKET = "/run/docker.sock"  # also by the name of /var/run, a link
FURNISH = """
set -e
mount --bind "$root" "$root"
cd "$root"
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs -o mode=755 tmpfs run
mkdir -p run/lock opt/claudy opt/site
mount --bind -o ro "$tree" opt/claudy
mount --bind -o ro "$site" opt/site
cd /
# As an init process does: end whatever has lost its parent.
exec sh -c "while :; do sleep 3600 & wait; done"
"""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """Standard output as one JSON object."""
        found: dict[str, Any] = json.loads(self.out)
        return found


class Machine:
    """The machine; starts with `boot`, ends with `halt`.

    Args:
        root: directory of its files.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._holder = 0
        self._first = 0

    def boot(self) -> None:
        """Start it: fresh namespaces and /run, nothing running."""
        room = open_room(PLACE)
        variables = f"root={self.root} tree={TREE} site={sysconfig.get_path('purelib')}\n"
        apart = ["unshare", "--mount", "--propagation", "private"]
        apart += ["--pid", "--fork", "--kill-child"]
        self._holder = start_detached(
            [*enter(room), *apart, "sh", "-c", variables + FURNISH], PLACE.data / "machine.log"
        )
        children = Path(f"/proc/{self._holder}/task/{self._holder}/children")
        wait_for(lambda: children.read_text().split(), 20, "the machine's first process")
        self._first = int(children.read_text().split()[0])
        there = ["test", "-e", "/opt/claudy/claudy"]
        wait_for(lambda: self.run(*there).code == 0, 20, "the machine's file systems")

    def halt(self) -> None:
        """End it and all that runs in it: with the first process its namespace goes."""
        if self._holder:
            stop(self._holder, seconds=0)
            wait_for(lambda: not alive(self._first), 20, "the machine to end")
            self._holder = 0

    def run(
        self,
        *command: str,
        user: str = "root",
        groups: str = "",
        env: Mapping[str, str] | None = None,
    ) -> Done:
        """Run a command to its end, as somebody, in that user's project.

        Args:
            command: argv.
            user: `root` or `dev`.
            groups: supplementary groups, comma-separated; those of the database if empty, `none`
                for a login that is older than the database.
            env: further variables.
        """
        home = "/root" if user == "root" else f"/home/{user}"
        become: list[str] = []
        if user != "root":
            given = "--init-groups"
            if groups:
                given = "--clear-groups" if groups == "none" else f"--groups={groups}"
            become = ["setpriv", f"--reuid={USER_ID}", f"--regid={USER_ID}", given]
        variables = {
            "PATH": f"/opt/bin:{PATH}",
            "HOME": home,
            "USER": user,
            "LANG": "C.UTF-8",
            **(env or {}),
        }
        done = subprocess.run(
            [
                *("nsenter", f"--target={self._first}", "--mount", "--net", "--pid"),
                *("chroot", str(self.root), *become),
                *(
                    "env",
                    "-i",
                    f"--chdir={home}/project",
                    *(f"{k}={v}" for k, v in variables.items()),
                ),
                *command,
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def claudy(self, *words: str, env: Mapping[str, str] | None = None, **options: Any) -> Done:
        """Run claudy in the project, with an image that is there wherever an engine is."""
        return self.run("claudy", *words, env={"CLAUDY_IMAGE": "busybox", **(env or {})}, **options)

    def start_engine(self, options: str = "") -> None:
        """Start the engine and give it the image.

        Args:
            options: of the daemon, instead of its default socket.
        """
        log = "/var/log/dockerd.log"
        self.run("sh", "-c", f"setsid dockerd {options} >{log} 2>&1 </dev/null &")
        wait_for(self.answers, 60, "the machine's engine to answer")
        self.load_image()

    def load_image(self) -> None:
        """Make the image `busybox` from the machine's own busybox."""
        script = """
            docker image inspect busybox >/dev/null 2>&1 && exit
            box=$(mktemp -d) && mkdir -p $box/bin $box/etc $box/tmp && cp /bin/busybox $box/bin
            chroot $box /bin/busybox --install -s /bin
            echo root:x:0:0::/root:/bin/sh >$box/etc/passwd && echo root:x:0: >$box/etc/group
            tar -C $box -c . | docker import -c 'CMD ["sh"]' - busybox && rm -rf $box
        """
        done = self.run("sh", "-c", script)
        assert done.code == 0, done.err

    def address(self) -> str:
        """Return the address at which other rooms reach it."""
        shown = self.run("ip", "-4", "-o", "address", "show", "dev", "eth0").out
        return shown.split()[3].partition("/")[0]

    def answers(self) -> bool:
        """Return whether the engine answers."""
        return self.run("docker", "version").code == 0

    def at(self, path: str) -> Path:
        """Return where this process finds a file of the machine, its /run included.

        Args:
            path: absolute and without links: those would lead out of the machine.
        """
        return Path(f"/proc/{self._first}/root{self.root}{path}")

    def share(self, directory: Path) -> None:
        """Let the machine see a directory of the host, at the same path, until it is halted."""
        inside = f"{self.root}{directory}"
        script = 'mkdir -p "$1" && mount --bind "$0" "$1"'
        apart = ["nsenter", f"--target={self._first}", "--mount"]
        run([*apart, "sh", "-ec", script, str(directory), inside])

    def signal_engine(self, name: str) -> None:
        """Send the engine a signal."""
        done = self.run("sh", "-c", f"kill -{name} $(cat /run/docker.pid)")
        assert done.code == 0, done.err

    def stop_engine(self, name: str = "TERM") -> None:
        """Stop the engine and wait until it has ended.

        Args:
            name: signal; after KILL its socket stays behind.
        """
        pid = self.at("/run/docker.pid").read_text()
        self.signal_engine(name)
        wait_for(lambda: self.run("kill", "-0", pid).code != 0, 30, "the machine's engine to end")

    def reset(self) -> None:
        """Make it as new: nothing runs, nobody is in a group, no settings."""
        self.halt()
        for user in ("root", f"home/{USER}"):
            shutil.rmtree(self.root / user / ".docker", ignore_errors=True)
        group = self.root / "etc/group"
        group.write_text(re.sub(r"^(docker:.*:).*", r"\1", group.read_text(), flags=re.MULTILINE))
        self.boot()


def make_root(target: Path) -> None:
    """Unpack the machine's files, made once and kept."""
    # Named by what is in it, so that another list of packages makes another archive.
    content = hashlib.sha256(PACKAGES.encode()).hexdigest()[:8]
    archive = CACHE / f"{SUITE}-doctor-{content}.tar"
    with locked(CACHE / f"{SUITE}-doctor.lock"):
        if not archive.exists():
            partial = archive.with_suffix(".partial.tar")
            include = f"--include={','.join(PACKAGES.split())}"
            run(["mmdebstrap", "--variant=minbase", include, SUITE, str(partial), *mirror()])
            partial.rename(archive)
    target.mkdir(parents=True)
    run(["tar", "-xpf", str(archive), "-C", str(target), "--exclude=./dev/*"])


def furnish(root: Path) -> None:
    """Write what the machine has of its own: users, name servers, claudy, projects."""
    for name in ("resolv.conf", "hosts"):
        (root / "etc" / name).write_text(Path("/etc", name).read_text())
    script = f"useradd --uid {USER_ID} --create-home --shell /bin/sh {USER}"
    run(["chroot", str(root), "sh", "-c", script])
    (root / "etc/sudoers.d/dev").write_text(f"{USER} ALL=(ALL) NOPASSWD: ALL\n")
    for home, owner in (("root", 0), (f"home/{USER}", USER_ID)):
        project = root / home / "project"
        project.mkdir()
        os.chown(project, owner, owner)
    program = root / "opt/bin/claudy"
    program.parent.mkdir(parents=True)
    program.write_text(
        "#!/bin/sh\nPYTHONDONTWRITEBYTECODE=1 PYTHONPATH=/opt/claudy:/opt/site"
        ' exec python3 -m claudy "$@"\n'
    )
    program.chmod(0o755)
    (root / "opt/claudy").mkdir()
    (root / "opt/site").mkdir()


def bring_up(root: Path) -> Machine:
    """Make the machine below a directory and start it."""
    make_root(root)
    furnish(root)
    machine = Machine(root)
    try:
        machine.boot()
    except BaseException:
        take_down(machine)
        raise
    return machine


def take_down(machine: Machine) -> None:
    """End the machine and remove its files."""
    machine.halt()
    clear_room(PLACE)
    shutil.rmtree(machine.root, ignore_errors=True)
    shutil.rmtree(PLACE.run, ignore_errors=True)
    shutil.rmtree(PLACE.data, ignore_errors=True)
