"""An archive on its way into a container, without the compression that the daemon can't be given.

CVE-2026-41567: Docker before 29.5.1 runs `unpigz` or `xz` for a compressed archive after it has
made the container's files its root, so what runs, as root and outside of the container, is the
container's. gzip is taken off here, once; xz is refused. bzip2 and zstd are read by the daemon
itself.
"""

from __future__ import annotations

import gzip
import io
import zlib
from typing import TYPE_CHECKING

from claudy.guard.refusal import invalid, refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_GZIP, _XZ = b"\x1f\x8b", b"\xfd7zXZ"
_BLOCK = 256 * 1024


def unpacked(pieces: Iterable[list[memoryview]]) -> Iterator[list[memoryview]]:
    """Yield an archive as it arrives, without gzip.

    Args:
        pieces: of the body; gone when the next is asked for.

    Raises:
        Denied: it is compressed with xz, or twice, or no whole gzip.
    """
    source = iter(pieces)
    head = _head(source)
    if not head.startswith(_GZIP):
        yield from _plain(head, source)
        return
    within = _ungzipped(head, source)
    yield from _plain(_head(within), within)


def _head(source: Iterator[list[memoryview]]) -> bytes:
    """Take as much as tells how it is compressed."""
    head = b""
    for piece in source:
        head += b"".join(piece)
        if len(head) >= len(_XZ):
            break
    return head


def _plain(head: bytes, source: Iterator[list[memoryview]]) -> Iterator[list[memoryview]]:
    if head.startswith(_XZ):
        raise refused("an archive compressed with xz is not copied", "Use xz -d before docker cp.")
    if head.startswith(_GZIP):
        raise refused("an archive compressed twice is not copied", "Use gzip -d before docker cp.")
    yield [memoryview(head)]
    yield from source


def _ungzipped(head: bytes, source: Iterator[list[memoryview]]) -> Iterator[list[memoryview]]:
    try:
        with gzip.GzipFile(fileobj=io.BufferedReader(_Stream(head, source), _BLOCK)) as file:
            while block := file.read1(_BLOCK):
                yield [memoryview(block)]
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise invalid(f"malformed gzip: {error}") from error


class _Stream(io.RawIOBase):
    """What arrives in pieces, as a file."""

    def __init__(self, head: bytes, source: Iterator[list[memoryview]]) -> None:
        super().__init__()
        self._held, self._source = head, source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        while not self._held:
            piece = next(self._source, None)
            if piece is None:
                return 0
            self._held = b"".join(piece)
        size = min(len(buffer), len(self._held))
        buffer[:size] = self._held[:size]
        self._held = self._held[size:]
        return size
