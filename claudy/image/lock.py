"""One claudy at a time makes an image; the others wait and then find it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

from claudy.host.places import cache_dir
from claudy.image.events import Phase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from claudy.image.workshop import Workshop


@contextlib.contextmanager
def exclusive(workshop: Workshop, reference: str) -> Iterator[None]:
    """Hold the right to make an image; the kernel gives it back if this process dies.

    Args:
        workshop: told when there is somebody to wait for.
        reference: the image, one lock each.
    """
    descriptor = _open(f"{cache_dir(workshop.env)}/locks", reference)
    if descriptor is None:
        # Without a place for the lock two claudys may do the same work; nothing breaks.
        yield
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            workshop.report(Phase(f"Waiting for another claudy that makes {reference}"))
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _open(folder: str, reference: str) -> int | None:
    name = "".join(c if c.isalnum() else "-" for c in reference)
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        return os.open(f"{folder}/{name}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return None
