"""A Dockerfile without a stage, which BuildKit before 0.15 does not survive (moby/buildkit#5147).

It has `ARG` alone. The daemon ends then, and the host's containers with it.
"""

from __future__ import annotations

_BOM = b"\xef\xbb\xbf"
_CONTINUED = ("\\", "`")  # which of them, a comment may say


def has_no_stage(data: bytes) -> bool:
    """Whether a Dockerfile may consist of `ARG` for the daemon.

    Where its reader could take something in two ways, in the worse one; so a few that are odd and
    harmless count, too. What begins with anything else but `FROM` is an error for the daemon.

    Args:
        data: the file.
    """
    found = continued = False
    for line in data.removeprefix(_BOM).decode("utf-8", "replace").split("\n"):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if not continued and text[0].isascii():
            if text.split()[0].upper() != "ARG":
                return False
            found = True
        continued = text.endswith(_CONTINUED)
    return found
