"""The image in which the sandbox's user is known: derived once, without running anything.

The sandbox runs as the project's owner from its first process on, so nobody could add that user
to /etc/passwd at start. Instead a container is created from the base, never started, gets the
files as an archive, and is committed. So it works for images without a shell, too.
"""

from __future__ import annotations

import io
import json
import os
import posixpath
import tarfile
import time
from typing import TYPE_CHECKING

from claudy import __version__
from claudy.errors import APIError, ClaudyError
from claudy.image.events import Phase
from claudy.image.failures import disk_full
from claudy.image.images import find_image, remove_image
from claudy.image.lock import exclusive
from claudy.image.passwd import Entry, with_group, with_user
from claudy.image.reference import USER_REPOSITORY, user_reference

if TYPE_CHECKING:
    from claudy.engine.client import Engine
    from claudy.image.ensure import Account
    from claudy.image.images import Image
    from claudy.image.workshop import Workshop

_NOT_FOUND = 404
_LINKS = 5
_LARGEST = 1 << 20  # bytes of /etc/passwd; its lines need a multiple of that in memory
_FRAME = 1 << 18  # what an archive has beside the file
_SOCKET = "/var/run/docker.sock"
_GUARD_SOCKET = "/run/claudy/docker.sock"  # the guard's directory is mounted there
_SHELLS = ("/bin/bash", "/bin/sh")
_ROOT_ONLY = b"root:x:0:0:root:/root:/bin/sh\n"
_SKELETON = {
    ".bashrc": b"# Read by every interactive bash, after /etc/bash.bashrc.\n",
    ".profile": (
        b"# Read by login shells.\n"
        b'[ -z "$BASH_VERSION" ] || [ ! -r ~/.bashrc ] || . ~/.bashrc\n'
        b'[ ! -d ~/.local/bin ] || PATH="$HOME/.local/bin:$PATH"\n'
    ),
}


def ensure_user_image(workshop: Workshop, base: Image, user: Account, reference: str) -> str:
    """Return the reference of the base with a user in it, made if it is not there.

    Args:
        workshop: where.
        base: the image to derive from.
        user: whom, not root.
        reference: what the base is called: images of an older base of that name are removed.

    Raises:
        ClaudyError: the engine refuses, or its disk is full.
    """
    wanted = user_reference(base.id, user.uid, user.gid, user.name, user.home)
    if find_image(workshop.engine, wanted):
        return wanted
    with exclusive(workshop, wanted):
        if find_image(workshop.engine, wanted) is None:
            workshop.report(Phase(f"Adding the user {user.name} to {reference}"))
            try:
                _derive(workshop.engine, base, user, wanted, reference)
            except APIError as error:
                if "no space left" in error.detail:
                    raise disk_full(f"adding a user to {reference}") from error
                raise
            _remove_stale(workshop.engine, base.id, reference)
    return wanted


def _derive(engine: Engine, base: Image, user: Account, wanted: str, reference: str) -> None:
    labels = {
        "claudy.image": "user",
        "claudy.base": base.id,
        "claudy.reference": reference,
        "claudy.version": __version__,
        "claudy.created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    config = {
        **base.config,
        "User": f"{user.uid}:{user.gid}",
        "Labels": {**base.labels, **labels},
    }
    body = {
        "Image": base.id,
        # Never run; an image without a command would be refused.
        "Cmd": ["claudy"],
        "Entrypoint": [],
        "Labels": {
            key: labels[key] for key in ("claudy.image", "claudy.version", "claudy.created")
        },
        "HostConfig": {"NetworkMode": "none"},
    }
    # Named, so that `claudy prune` knows it when claudy was killed before the end.
    query: dict[str, str | int | bool] = {"name": f"{USER_REPOSITORY}-{os.urandom(4).hex()}"}
    container = engine.call("POST", "/containers/create", query, body)["Id"]
    try:
        archive = _user_files(engine, container, user)
        headers = {"Content-Type": "application/x-tar"}
        path = f"/containers/{container}/archive"
        engine.stream("PUT", path, {"path": "/"}, body=archive, headers=headers).close()
        repository, _, tag = wanted.rpartition(":")
        query = {"container": container, "repo": repository, "tag": tag, "pause": False}
        engine.call("POST", "/commit", query, config, timeout=None)
    finally:
        engine.call("DELETE", f"/containers/{container}", {"force": True, "v": True})


def _user_files(engine: Engine, container: str, user: Account) -> bytes:
    """Return the tar archive of the files that make the user known, and of the socket's link."""
    shell = next((path for path in _SHELLS if _exists(engine, container, path)), _SHELLS[-1])
    passwd = _read(engine, container, "/etc/passwd")
    group = _read(engine, container, "/etc/group")
    entry = Entry(user.uid, user.gid, user.name, user.home, shell)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for folder in ("/etc", *_parents(user.home)):
            if not _exists(engine, container, folder):
                _add(archive, folder, None)
        _add(archive, "/etc/passwd", with_user(_ROOT_ONLY if passwd is None else passwd, entry))
        _add(archive, "/etc/group", with_group(group or b"root:x:0:\n", user.gid, user.name))
        _add(archive, user.home, None, user)
        for name, content in _SKELETON.items():
            if not _exists(engine, container, f"{user.home}/{name}"):
                _add(archive, f"{user.home}/{name}", content, user)
        if not _exists(engine, container, _SOCKET):
            link = tarfile.TarInfo(_SOCKET.lstrip("/"))
            link.type, link.linkname, link.mode = tarfile.SYMTYPE, _GUARD_SOCKET, 0o777
            link.mtime = int(time.time())
            archive.addfile(link)
    return buffer.getvalue()


def _parents(path: str) -> list[str]:
    """Return the folders above a path, outermost first, without the root."""
    above = posixpath.dirname(path)
    return [*_parents(above), above] if above != "/" else []


def _add(
    archive: tarfile.TarFile, path: str, content: bytes | None, owner: Account | None = None
) -> None:
    """Add a file, or a folder if there is no content; root's if it has no owner."""
    entry = tarfile.TarInfo(path.lstrip("/"))
    entry.mtime = int(time.time())
    entry.uid, entry.gid = (owner.uid, owner.gid) if owner else (0, 0)
    if content is None:
        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(entry)
        return
    entry.mode, entry.size = 0o644, len(content)
    archive.addfile(entry, io.BytesIO(content))


def _exists(engine: Engine, container: str, path: str) -> bool:
    response = engine.request("HEAD", f"/containers/{container}/archive", {"path": path})
    response.read()
    response.close()
    return response.status != _NOT_FOUND


def _read(engine: Engine, container: str, path: str) -> bytes | None:
    """Return the content of a file in the container, None if it is not there; follows links.

    Raises:
        ClaudyError: it is too large, or no file: whoever made the image says what is there.
    """
    asked = path
    for _ in range(_LINKS):
        try:
            response = engine.stream(
                "GET", f"/containers/{container}/archive", {"path": path}, timeout=30
            )
        except APIError as error:
            if error.status == _NOT_FOUND:
                return None
            raise
        data = bytearray()
        try:
            for block in response.blocks():
                data += block
                if len(data) > _LARGEST + _FRAME:
                    raise _unusable(asked, f"is larger than {_LARGEST >> 20} MiB")
        finally:
            response.close()
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            member = archive.next()
            if member is None:
                return None
            if not member.issym():
                file = archive.extractfile(member) if member.isreg() else None
                if file is None:
                    raise _unusable(asked, "is not a file")
                if member.size > _LARGEST:
                    raise _unusable(asked, f"is larger than {_LARGEST >> 20} MiB")
                return file.read()
            path = posixpath.join(posixpath.dirname(path), member.linkname)
    return None


def _unusable(path: str, why: str) -> ClaudyError:
    return ClaudyError(
        f"The image's {path} {why}, so no user can be added to it.", "Use another image."
    )


def _remove_stale(engine: Engine, base: str, reference: str) -> None:
    """Remove what was derived from an older base of this name, unless a container needs it."""
    filters = json.dumps({"label": ["claudy.image=user", f"claudy.reference={reference}"]})
    for image in engine.call("GET", "/images/json", {"filters": filters}):
        if image["Labels"].get("claudy.base") != base:
            for name in image.get("RepoTags") or [image["Id"]]:
                if name.startswith((USER_REPOSITORY, "sha256:")):
                    remove_image(engine, name)
