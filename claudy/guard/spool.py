"""A request's body kept in a temporary file, for what must be known whole before it goes on."""

from __future__ import annotations

import contextlib
import tempfile
from typing import IO, TYPE_CHECKING

from claudy.guard.refusal import Denied

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_BLOCK = 1024 * 1024


@contextlib.contextmanager
def spooled(pieces: Iterable[list[memoryview]], directory: str) -> Iterator[IO[bytes]]:
    """Write a body to a temporary file and yield that, at its beginning.

    Args:
        pieces: of the body.
        directory: on a disk; `/tmp` may be memory.

    Raises:
        Denied: the disk is full.
    """
    with tempfile.TemporaryFile(prefix="claudy-body-", dir=directory) as file:
        try:
            for some in pieces:
                file.writelines(some)
            file.flush()
        except OSError as error:
            raise Denied(507, f"claudy guard: the body can't be kept: {error.strerror}.") from error
        file.seek(0)
        yield file


def blocks(file: IO[bytes]) -> Iterator[bytes]:
    """Yield what a file holds, in blocks."""
    while block := file.read(_BLOCK):
        yield block
