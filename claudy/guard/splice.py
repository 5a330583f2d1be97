"""Bytes from one socket to another without a copy in this process, where the kernel can do that.

A relay that copies takes three times the CPU, on machines whose cores the client and the daemon
need.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from claudy.guard.daemon import Watched

_COPIED = 64 * 1024
_ROOM = 4 * 1024 * 1024
"""Asked for as a socket's send buffer; the kernel gives what `net.core.wmem_max` allows."""
PIPE = 256 * 1024
_SET_SIZE = 1031  # F_SETPIPE_SZ, which `fcntl` has only where the kernel has


def widen(sink: socket.socket) -> None:
    """Let a socket hold more: who reads it and who fills it then wait for each other less often."""
    with contextlib.suppress(OSError):
        sink.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ROOM)


@contextlib.contextmanager
def in_the_background() -> Iterator[None]:
    """Let this thread wake without taking a core from whoever runs: it moves bytes, and many.

    Client and daemon then write more before it looks again. Waking for every write of theirs, on
    cores that they keep busy, it would take a fifth of what they move (`bench/`, `docker cp`).
    """
    usual = os.sched_getscheduler(0) == os.SCHED_OTHER  # else the user has chosen one
    if usual:
        _schedule(os.SCHED_BATCH)
    try:
        yield
    finally:
        if usual:
            _schedule(os.SCHED_OTHER)


def _schedule(policy: int) -> None:
    with contextlib.suppress(OSError):  # a sandboxed sidecar may not
        os.sched_setscheduler(0, policy, os.sched_param(0))


def pass_all(source: Watched, sink: socket.socket) -> None:
    """Pass on everything until the source ends; a slow sink slows the source.

    Args:
        source: the daemon's connection, watched: raises when the client hangs up.
        sink: the client's, without a time-out.
    """
    room = memoryview(bytearray(_COPIED))
    # Most answers are small: only what goes on is worth a pipe.
    for _ in range(2):
        size = source.recv_into(room)
        if not size:
            return
        sink.sendall(room[:size])
    with contextlib.ExitStack() as opened:
        try:
            reader, writer = opened.enter_context(pipe())
        except OSError:  # no descriptor is left
            while size := source.recv_into(room):
                sink.sendall(room[:size])
            return
        widen(sink)
        with in_the_background():
            while size := _fill(source, writer):
                while size:
                    size -= os.splice(reader, sink.fileno(), size)


def _fill(source: Watched, writer: int) -> int:
    """Take what the source has sent into an empty pipe; look at the client only while waiting."""
    while True:
        try:
            return os.splice(source.fileno(), writer, PIPE, flags=os.SPLICE_F_NONBLOCK)
        except BlockingIOError:
            source.wait()


@contextlib.contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    """Open a large pipe: yields where to read and where to write."""
    reader, writer = os.pipe()
    try:
        with contextlib.suppress(OSError):  # the user's pipes may have too many pages already
            fcntl.fcntl(writer, _SET_SIZE, PIPE)
        yield reader, writer
    finally:
        os.close(reader)
        os.close(writer)
