"""What is kept in a temporary file, because it must not go on yet or not at somebody's pace."""

from __future__ import annotations

import contextlib
import os
import tempfile
from typing import IO, TYPE_CHECKING

from claudy.guard.refusal import Denied
from claudy.guard.splice import PIPE, in_the_background, pipe, widen

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Iterator

    from claudy.guard.daemon import Watched

_TAIL = 64 * 1024
"""More than an archive's end takes, after which clients read no further."""


@contextlib.contextmanager
def spooled(pieces: Iterable[list[memoryview]], directory: str) -> Iterator[IO[bytes]]:
    """Write a body to a temporary file and yield that, at its beginning.

    Args:
        pieces: of the body.
        directory: on a disk; `/tmp` may be memory.

    Raises:
        Denied: the disk is full.
    """
    with _temporary(directory) as file:
        try:
            for some in pieces:
                file.writelines(some)
            file.flush()
        except OSError as error:
            raise Denied(507, f"claudy guard: the body can't be kept: {error.strerror}.") from error
        file.seek(0)
        yield file


def pass_kept(
    source: Watched,
    sink: socket.socket,
    first: bytes,
    directory: str,
    over: Callable[[], object],
) -> None:
    """Pass on everything through a file: the sink is sent what it takes, the source never waits.

    What is last is only sent when all is over, so whoever has read everything finds that it is.

    Args:
        source: the daemon's connection; nobody is watched.
        sink: the client's.
        first: what was received already.
        directory: on a disk; `/tmp` may be memory.
        over: called as soon as the source has ended, before the sink is waited for.

    Raises:
        OSError: the sink is gone or the disk full. The source has ended then, too.
    """
    with contextlib.ExitStack() as opened:
        sink.setblocking(False)
        widen(sink)
        try:
            file = opened.enter_context(_temporary(directory))
            file.write(first)
            file.flush()
            kept, sent = len(first), 0
            with pipe() as (reader, writer), in_the_background():
                while size := os.splice(source.fileno(), writer, PIPE):
                    kept += size
                    while size:
                        size -= os.splice(reader, file.fileno(), size)
                    if (ready := kept - sent - _TAIL) > 0:
                        with contextlib.suppress(BlockingIOError):
                            sent += os.sendfile(sink.fileno(), file.fileno(), sent, ready)
        except OSError:
            while source.recv(PIPE):
                pass
            raise
        finally:
            over()
        sink.setblocking(True)
        while sent < kept:
            sent += os.sendfile(sink.fileno(), file.fileno(), sent, kept - sent)


def _temporary(directory: str) -> IO[bytes]:
    return tempfile.TemporaryFile(prefix="claudy-body-", dir=directory)
