"""Names and paths of the test engines: what exists, and where each keeps its files."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

RUN = Path("/run/claudy-test")
DATA = Path("/var/lib/claudy-test")
CACHE = Path("/var/cache/claudy-test")
TEMPORARY = Path("/tmp")  # noqa: S108 - asked about, not written to

INSTANCE_VARIABLE = "CLAUDY_TEST_INSTANCE"
ENGINE_VARIABLE = "CLAUDY_TEST_ENGINE"
"""Set in a room for the tests: the kind of its engine."""

USER = "claudy-test"
"""The ordinary user that every room has: rootless engines run as it, tests may."""
USER_ID = 12340
DOCKER_GROUP_ID = 12375
"""Group of the sockets in a room, so that it is never a group id that an image also knows."""


def is_everybodys(directory: Path) -> bool:
    """Tell whether any user may write into a directory; not every machine has such a /tmp."""
    return bool(directory.stat().st_mode & stat.S_IWOTH)


REGISTRY_PORT = 5000
"""Anonymous registry on 127.0.0.1 of each room."""
PASSWORD_REGISTRY_PORT = 5001
"""Registry with htpasswd authentication on 127.0.0.1 of each room."""
TLS_PORT = 2376
"""Where each rootful engine also answers over TLS, on 127.0.0.1 of its room."""


@dataclass(frozen=True)
class Kind:
    """A sort of engine.

    Args:
        suite: The Debian release whose packages it is made of.
        api: The newest API version it speaks.
        remap: Whether it runs with userns-remap.
        rootless: Whether it runs as an ordinary user.
        containerd: Whether containerd keeps its images, as newer installations do.
    """

    suite: str
    api: str
    remap: bool = False
    rootless: bool = False
    containerd: bool = False


KINDS = {
    "20.10": Kind(suite="bookworm", api="1.41"),
    "26.1": Kind(suite="trixie", api="1.45"),
    "28.5": Kind(suite="forky", api="1.51"),
    "containerd": Kind(suite="forky", api="1.51", containerd=True),
    "rootless": Kind(suite="bookworm", api="1.41", rootless=True),
    "userns": Kind(suite="trixie", api="1.45", remap=True),
}


@dataclass(frozen=True)
class Place:
    """Where one engine of one instance lives.

    Args:
        kind: A key of `KINDS`.
        instance: Suffix that sets a second set of engines apart, or nothing.
    """

    kind: str
    instance: str = ""

    @property
    def name(self) -> str:
        """Return the name that tells this engine from every other."""
        return f"{self.kind}-{self.instance}" if self.instance else self.kind

    @property
    def run(self) -> Path:
        """Return the directory of its sockets, pid files and settings."""
        return RUN / self.name

    @property
    def data(self) -> Path:
        """Return the directory of its images, containers and log."""
        return DATA / self.name

    @property
    def socket(self) -> Path:
        """Return the path of its socket, the same on the host and in its room."""
        return self.run / "docker.sock"

    @property
    def host(self) -> str:
        """Return the DOCKER_HOST that reaches it."""
        return f"unix://{self.socket}"

    @property
    def log(self) -> Path:
        """Return the file that takes everything the daemon prints."""
        return self.data / "dockerd.log"

    @property
    def cgroup(self) -> str:
        """Return the cgroup below which all its containers are."""
        return f"claudy-test-{self.name}"


def chosen_instance() -> str:
    """Return the instance that the environment asks for, or the common one."""
    return os.environ.get(INSTANCE_VARIABLE, "")
