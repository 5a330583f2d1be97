"""Entries of /etc/passwd and /etc/group for the sandbox's user; pure."""

from __future__ import annotations

from claudy.record import record

_SYSTEM_ROOT = b"root"


@record
class Entry:
    """A user to be known in an image.

    Args:
        uid: numeric user id, not 0.
        gid: numeric id of the primary group.
        name: login name.
        home: home directory.
        shell: login shell.
    """

    uid: int
    gid: int
    name: str
    home: str
    shell: str


def login_name(name: str) -> str:
    """Return a name that the file formats can hold; `dev` if nothing of it is left.

    A user that is not root is not called root, whatever the host says.
    """
    kept = "".join(c for c in name if c.isprintable() and c not in ':,/" \\').lstrip("-+~")
    return kept if kept and kept != "root" else "dev"


def with_user(passwd: bytes, entry: Entry) -> bytes:
    """Return /etc/passwd with the user in it, instead of whoever has the same name or id.

    The password is `*`, not `x`: PAM (sudo) would look for the latter in /etc/shadow.
    """
    name = login_name(entry.name).encode()
    line = b"%b:*:%d:%d::%b:%b" % (
        name, entry.uid, entry.gid, entry.home.encode(), entry.shell.encode()
    )  # fmt: skip
    kept = [
        other
        for other in passwd.splitlines()
        if not _has(other, name, entry.uid) or other.startswith(_SYSTEM_ROOT + b":")
    ]
    return b"\n".join((*kept, line)) + b"\n"


def with_group(group: bytes, gid: int, name: str) -> bytes:
    """Return /etc/group with a name for the group; one that has a name keeps it.

    A group of the user's name but with another id belongs to files of the image and stays: then
    the new one gets its number as its name.
    """
    lines = group.splitlines()
    if any(_has(line, None, gid) for line in lines):
        return group
    wanted = login_name(name).encode()
    taken = {line.split(b":", 1)[0] for line in lines}
    free = wanted if wanted not in taken else b"group%d" % gid
    return b"\n".join((*lines, b"%b:x:%d:" % (free, gid))) + b"\n"


def _has(line: bytes, name: bytes | None, number: int) -> bool:
    """Whether a line of either file has a name or a numeric id."""
    fields = line.split(b":")
    return fields[0] == name or (len(fields) > 2 and fields[2] == b"%d" % number)  # noqa: PLR2004
