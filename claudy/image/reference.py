"""The names of the images: the tag is a hash of everything that goes in.

On the launch path: the files are a few kilobytes, so reading and hashing them costs less than a
cache of the hash would.
"""

from __future__ import annotations

import os

from claudy.digest import sha256
from claudy.errors import ClaudyError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

REPOSITORY = "hal9000"
USER_REPOSITORY = "claudy-user"
GUARD_REPOSITORY = "claudy-guard"
DOCKERFILE = "Dockerfile.hal9000"
DIGITS = 16
# Docker's predefined arguments: they say how to reach the network, not what goes in.
NEUTRAL_ARGS = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")
_MACHINES = {
    "x86_64": "amd64",
    "amd64": "amd64",
    "aarch64": "arm64",
    "arm64": "arm64",
    "armv7l": "arm/v7",
    "armv6l": "arm/v6",
    "i386": "386",
    "i686": "386",
    "ppc64le": "ppc64le",
    "riscv64": "riscv64",
    "s390x": "s390x",
}
_SPELLINGS = {**_MACHINES, "arm": "arm/v7", "arm64/v8": "arm64", "amd64/v1": "amd64"}


def docker_folder() -> str:
    """Return the folder of the Dockerfile: inside the installed package, or of the source tree."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    for folder in (f"{package}/_docker", f"{os.path.dirname(package)}/docker"):
        if os.path.isfile(f"{folder}/{DOCKERFILE}"):
            return folder
    raise ClaudyError(
        f"The installation of claudy is not complete: {package}/_docker/{DOCKERFILE} is missing.",
        "./install.sh, in a clone of claudy",
    )


def source_files(folder: str = "") -> list[str]:
    """Return the paths of all that the bundled image is made from, in a fixed order.

    Hidden files and editors' backups are no part of it.

    Args:
        folder: where the Dockerfile is; empty for the one that belongs to this claudy.
    """
    folder = folder or docker_folder()
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise ClaudyError(
            f"{folder} can't be read: {error.strerror}.", f"ls -ld {folder}"
        ) from error
    return [
        f"{folder}/{name}"
        for name in names
        if not name.startswith((".", "__")) and not name.endswith("~")
    ]


def context_files(paths: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of every file of the build context.

    Modes and times are no part of it: a wheel does not keep them.
    """
    for path in paths:
        try:
            with open(path, "rb", buffering=0) as file:
                yield os.path.basename(path), file.read()
        except OSError as error:
            raise ClaudyError(
                f"{path} can't be read: {error.strerror}.", f"ls -l {path}"
            ) from error


def native_platform() -> str:
    """Return the platform of this machine's containers, as "linux/amd64"."""
    return platform_of(os.uname().machine.lower())


def platform_of(machine: str) -> str:
    """Return the platform of an engine's architecture, as "linux/amd64"."""
    return f"linux/{_SPELLINGS.get(machine, machine)}"


def is_foreign(platform: str, engines: str) -> bool:
    """Whether what was built for a platform needs another processor than the engine's.

    Args:
        platform: an image's, as "linux/arm64/v8".
        engines: the engine's, as `platform_of` spells it.
    """
    return platform_of(platform.removeprefix("linux/")) != engines


def parse_platform(text: str) -> str:
    """Return the usual spelling of a platform; this machine's when the text is empty.

    Raises:
        UsageError: it is none that Docker images exist for.
    """
    if not text:
        return native_platform()
    machine = text.lower().removeprefix("linux/")
    if machine in _SPELLINGS or machine in _SPELLINGS.values():
        return platform_of(machine)
    known = ", ".join(sorted({f"linux/{name}" for name in _MACHINES.values()}))
    raise UsageError(f"Unknown platform {text!r}.", f"use one of {known}")


def digest(files: Iterable[tuple[str, bytes]], build_args: Mapping[str, str], platform: str) -> str:
    """Return the hash of everything that goes into the image, 16 hex digits.

    Args:
        files: name and content of every file of the context.
        build_args: build arguments that were given; those that only say how to reach the network
            don't count.
        platform: as `parse_platform` spells it.
    """
    total = sha256(b"claudy image 1\0")
    parts = [(b"file", os.fsencode(name), content) for name, content in files]
    parts += [
        (b"arg", os.fsencode(key), os.fsencode(value))
        for key, value in sorted(build_args.items())
        if key.lower() not in NEUTRAL_ARGS
    ]
    for kind, name, content in (*parts, (b"platform", b"", platform.encode())):
        total.update(b"%b %d %d\0%b%b" % (kind, len(name), len(content), name, content))
    return str(total.hexdigest())[:DIGITS]


def bundled_reference(
    build_args: Mapping[str, str] | None = None, platform: str = "", folder: str = ""
) -> str:
    """Return the reference of the bundled image as it has to be now: `hal9000:<16 hex digits>`."""
    files = context_files(source_files(folder))
    return f"{REPOSITORY}:{digest(files, build_args or {}, parse_platform(platform))}"


def user_reference(base_id: str, uid: int, gid: int, name: str, home: str) -> str:
    """Return the reference of the image derived for a user: `claudy-user:<16 hex digits>`."""
    text = "\0".join(("claudy user image 2", base_id, str(uid), str(gid), name, home))
    return f"{USER_REPOSITORY}:{sha256(os.fsencode(text)).hexdigest()[:DIGITS]}"
