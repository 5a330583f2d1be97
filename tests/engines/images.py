"""The images that each engine starts with, made here: no registry has to be reached."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

from tests.engines.layout import CACHE
from tests.engines.roots import slim_image
from tests.engines.shell import EngineError, locked, run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.engines.api import Api

LABEL = "claudy.test"
BASE = "base"
"""Value of the label on the images that belong to the engine, not to a test run."""

_PATH = "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SHELL = 'CMD ["sh"]'

# A stand-in, not PostgreSQL: it is pid 1, listens on 5432, answers each connection with one line
# and ends at once on SIGTERM, which is all that the documents' cases ask of it, in 2 MB.
_POSTGRES = """#!/bin/sh
trap 'exit 0' TERM INT
echo "database system is ready to accept connections"
nc -ll -p 5432 -e /bin/postgres-answer &
wait
"""
_POSTGRES_ANSWER = """#!/bin/sh
echo "stand-in for postgres, ready"
"""


def load_images(api: Api, root: Path) -> None:
    """Load what is missing of the starting images into an engine.

    Args:
        api: The engine.
        root: Unpacked packages, for busybox.
    """
    there = {
        tag for image in api.request("GET", "/images/json") for tag in image.get("RepoTags") or ()
    }
    if "debian:trixie-slim" not in there:
        _load(api, slim_image(), ["debian:trixie-slim"], ['CMD ["bash"]'])
    if not {"busybox:latest", "alpine:latest"} <= there:
        _load(api, _busybox(root), ["busybox:latest", "alpine:latest"], [_SHELL])
    if not {"postgres:latest", "postgres:15"} <= there:
        changes = ["EXPOSE 5432", 'ENTRYPOINT ["postgres"]']
        _load(api, _postgres(root), ["postgres:latest", "postgres:15"], changes)


def _load(api: Api, tarball: Path, tags: list[str], changes: list[str]) -> None:
    with tarball.open("rb") as body:
        query = {"fromSrc": "-", "changes": [*changes, _PATH, f"LABEL {LABEL}={BASE}"]}
        answer = api.request("POST", "/images/create", query, body)
    last = answer[-1] if isinstance(answer, list) else answer
    if "error" in last:
        raise EngineError(last["error"])
    for tag in tags:
        name, _, version = tag.partition(":")
        api.request("POST", f"/images/{last['status']}/tag", {"repo": name, "tag": version})


def _busybox(root: Path) -> Path:
    return _write(CACHE / f"busybox-{root.name}.tar", root, {})


def _postgres(root: Path) -> Path:
    files = {"bin/postgres": _POSTGRES, "bin/postgres-answer": _POSTGRES_ANSWER}
    return _write(CACHE / f"postgres-{root.name}.tar", root, files)


def _write(target: Path, root: Path, programs: dict[str, str]) -> Path:
    """Write a 2 MB image: a static busybox, its applets, the usual files of /etc, and programs."""
    busybox = root / "usr/bin/busybox"
    with locked(target.with_suffix(".lock")):
        partial = target.with_name(f"partial-{target.name}")
        with tarfile.open(partial, "w") as tar:
            for name in ("bin", "dev", "etc", "home", "proc", "root", "sys", "tmp", "usr", "var"):
                _add(tar, name, kind=tarfile.DIRTYPE, mode=0o1777 if name == "tmp" else 0o755)
            tar.add(busybox, "bin/busybox")
            for applet in run([str(busybox), "--list"]).split():
                if applet != "busybox":
                    _add(tar, f"bin/{applet}", kind=tarfile.SYMTYPE, text="busybox")
            _add(tar, "etc/passwd", text="root:x:0:0:root:/root:/bin/sh\n")
            _add(tar, "etc/group", text="root:x:0:\n")
            for name, text in programs.items():
                _add(tar, name, text=text, mode=0o755)
        partial.rename(target)
    return target


def _add(
    tar: tarfile.TarFile,
    name: str,
    *,
    kind: bytes = tarfile.REGTYPE,
    text: str = "",
    mode: int = 0o644,
) -> None:
    entry = tarfile.TarInfo(name)
    entry.type = kind
    entry.mode = mode
    if kind == tarfile.SYMTYPE:
        entry.linkname = text
    elif kind == tarfile.REGTYPE:
        entry.size = len(text.encode())
    tar.addfile(entry, io.BytesIO(text.encode()))
