"""What the engines are made of: unpacked Debian packages and a base image, cached by content."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from tests.engines.layout import CACHE, KINDS
from tests.engines.shell import EngineError, locked, run, say

HOST_PROGRAMS = {
    "mmdebstrap": "mmdebstrap",
    "ip": "iproute2",
    "iptables": "iptables",
    "nsenter": "util-linux",
    "openssl": "openssl",
}
"""The programs that the host itself must have, and the package of each."""

_COMMON = [
    "base-files",
    "busybox-static",
    "coreutils",
    "dash",
    "docker-registry",
    "docker.io",
    "iptables",
    "kmod",
    "mount",
    "procps",
    "util-linux",
    "xz-utils",
]
_ROOTLESS = ["fuse-overlayfs", "iproute2", "rootlesskit", "slirp4netns", "uidmap"]
_CLIENTS = ["docker-buildx", "docker-cli", "docker-compose"]
_PACKAGES = {
    "bookworm": [*_COMMON, *_ROOTLESS],
    "trixie": [*_COMMON, *_CLIENTS],
    "forky": [*_COMMON, *_CLIENTS],
}
_MERGED_USR = 'for d in bin sbin lib lib64; do mkdir -p "$1/usr/$d"; ln -s "usr/$d" "$1/$d"; done'
_SLIM = [
    "--dpkgopt=force-unsafe-io",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/info/*",
]


def prepare_host() -> None:
    """Install the few programs that the host needs, if they are missing.

    Raises:
        EngineError: This is not root on a machine with apt, or apt failed.
    """
    search = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    missing = {
        package for name, package in HOST_PROGRAMS.items() if not shutil.which(name, path=search)
    }
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        message = "test engines are made only as root on Debian or Ubuntu"
        raise EngineError(message)
    os.environ["PATH"] = search
    if not missing:
        return
    say(f"installing {' '.join(sorted(missing))}")
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    run(["apt-get", "update", "-q"])
    run(["apt-get", "install", "-q", "-y", "--no-install-recommends", *sorted(missing)])


def root_of(kind: str) -> Path:
    """Return the directory with the unpacked packages of that engine, made if need be."""
    suite = KINDS[kind].suite
    packages = _PACKAGES[suite]
    target = CACHE / f"{suite}-{_digest(*packages)}"
    with locked(CACHE / f"{suite}.lock"):
        if not target.exists():
            say(f"unpacking the {suite} packages")
            _unpack(suite, packages, target)
    return target


def slim_image(suite: str = "trixie") -> Path:
    """Return the tarball of a minimal Debian of that release, made if need be."""
    target = CACHE / f"{suite}-slim-{_digest(*_SLIM)}.tar"
    with locked(CACHE / f"{suite}-slim.lock"):
        if not target.exists():
            say(f"bootstrapping {suite}-slim")
            partial = target.with_name(f"partial-{target.name}")
            partial.unlink(missing_ok=True)
            run(["mmdebstrap", "--variant=minbase", *_SLIM, suite, str(partial), *mirror()])
            partial.rename(target)
    return target


def machine_archive(suite: str, packages: str) -> Path:
    """Return the tarball of a minimal Debian with some packages installed, made if need be.

    Args:
        suite: The release.
        packages: Names, separated by commas.
    """
    target = CACHE / f"{suite}-machine-{_digest(packages)}.tar"
    with locked(target.with_suffix(".lock")):
        if not target.exists():
            partial = target.with_suffix(".partial.tar")
            options = [f"--include={packages}", "--dpkgopt=force-unsafe-io"]
            run(["mmdebstrap", "--variant=minbase", *options, suite, str(partial), *mirror()])
            partial.rename(target)
    return target


def _unpack(suite: str, packages: list[str], target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=CACHE, prefix=f"partial-{suite}-") as partial:
        unpacked = Path(partial, "root")
        # Unpacking is enough, and twice as fast as installing: only /usr of it is used.
        run(
            [
                "mmdebstrap",
                "--variant=extract",
                # Testing's index is signed for a week; a mirror may be behind.
                '--aptopt=Acquire::Check-Valid-Until "false"',
                f"--include={','.join(packages)}",
                f"--setup-hook={_MERGED_USR}",
                suite,
                str(unpacked),
                *mirror(),
            ],
        )
        for name in ("iptables", "ip6tables"):
            for part in ("", "-save", "-restore"):
                link = unpacked / "usr/sbin" / f"{name}{part}"
                link.symlink_to("xtables-nft-multi")
        shell = unpacked / "usr/bin/sh"
        if not shell.exists():
            shell.symlink_to("dash")
        unpacked.chmod(0o755)
        unpacked.rename(target)


def mirror() -> list[str]:
    """Return the Debian mirror of the host's own apt sources; none: mmdebstrap's default."""
    question = ["apt-get", "indextargets", "--format", "$(ORIGIN)|$(REPO_URI)"]
    listing = run([*question, "Created-By: Packages"])
    if "Debian|" not in listing and Path("/etc/debian_version").exists():
        run(["apt-get", "update", "-q"])
        listing = run([*question, "Created-By: Packages"])
    for line in listing.splitlines():
        origin, _, uri = line.partition("|")
        if origin == "Debian" and "security" not in uri:
            return [uri.rstrip("/")]
    return []


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:8]
