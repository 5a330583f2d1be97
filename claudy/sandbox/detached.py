"""A forked process that outlives claudy: it keeps nothing of its parent but what it is told to."""

from __future__ import annotations

import _signal
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def detach(name: str, keep: Iterable[int]) -> None:
    """Leave the parent's session, streams, descriptors and name; runs in the forked process.

    Args:
        name: for `ps`, at most 15 bytes.
        keep: descriptors that stay open.
    """
    _signal.set_wakeup_fd(-1)
    os.setsid()
    try:
        with open("/proc/self/comm", "w", encoding="ascii") as comm:
            comm.write(name)
    except OSError:
        pass  # only a name
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    low = 3
    for descriptor in sorted(keep):
        os.closerange(low, descriptor)
        low = descriptor + 1
    os.closerange(low, _highest_descriptor() + 1)


def _highest_descriptor() -> int:
    try:
        return max(int(name) for name in os.listdir("/dev/fd"))
    except OSError:
        return 255
