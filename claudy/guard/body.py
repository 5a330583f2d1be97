"""A request's body taken out of its framing in place: an archive may be large.

Stricter than HTTP: no chunk extensions and no trailers, which no client of Docker sends.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from claudy.guard.refusal import Denied, invalid
from claudy.guard.splice import in_the_background

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

BLOCK = 256 * 1024
_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")
_LINE = 17  # a size and the end of its line
_END = b"\r\n"


class Body:
    """The body of one request.

    Args:
        sock: the client's connection; its time-out, or the kernel's, is the silence allowed.
        first: what has been received of the body already.
        length: its bytes; None if it is chunked.
    """

    def __init__(self, sock: socket.socket, first: bytes, length: int | None) -> None:
        self._sock = sock
        self._chunked = length is None
        self._left = length or 0
        """Bytes that are missing of this chunk, or of the whole."""
        self._between = False
        """Whether the next is the end of a chunk's last line."""
        self._last = False
        """Whether the chunk without bytes has come."""
        self._ended = length == 0
        self._known: tuple[bytes, int] | None = None
        """The last chunk's line and size: most are as long as the one before."""
        self._buffer = bytearray(max(BLOCK, len(first)))
        self._buffer[: len(first)] = first
        self._view = memoryview(self._buffer)
        self._at, self._end = 0, len(first)

    def pieces(self) -> Iterator[list[memoryview]]:
        """Yield the body as it arrives; what is yielded is gone when more is asked for.

        Raises:
            Denied: the framing is broken, the body is cut short or the client silent for too long.
        """
        with in_the_background():
            while True:
                if found := self._cut():
                    yield found
                if self._ended:
                    return
                self._receive()

    def _cut(self) -> list[memoryview]:
        """Return what is here of the body, without its framing."""
        found = []
        while not self._ended:
            if self._left:
                piece = self._view[self._at : min(self._end, self._at + self._left)]
                if not piece:
                    break
                found.append(piece)
                self._at += len(piece)
                self._left -= len(piece)
                self._between = self._chunked and not self._left
                self._ended = not self._chunked and not self._left
            elif not (self._line_end() if self._between else self._size()):
                break
        return found

    def _size(self) -> bool:
        """Take the size of the next chunk; False if not all of it is here."""
        if self._known and self._buffer.startswith(self._known[0], self._at, self._end):
            line, self._left = self._known
            self._at += len(line)
            return True
        end = self._buffer.find(_END, self._at, self._end)
        if end < 0 and self._end - self._at <= _LINE:
            return False
        line = bytes(self._view[self._at : end]) if end >= 0 else b""
        if not _SIZE.fullmatch(line):
            raise invalid("malformed body: not the size of a chunk")
        self._at = end + len(_END)
        self._left = int(line, 16)
        self._last = self._between = not self._left
        self._known = (line + _END, self._left) if self._left else None
        return True

    def _line_end(self) -> bool:
        """Take the end of a chunk's last line; False if not all of it is here."""
        if self._end - self._at < len(_END):
            return False
        if not self._buffer.startswith(_END, self._at):
            raise invalid("malformed body: a chunk does not end where its size says")
        self._at += len(_END)
        self._between = False
        self._ended = self._last
        return True

    def _receive(self) -> None:
        """Receive more behind what is left, which moves to the front."""
        left = self._end - self._at
        if self._at:
            self._buffer[:left] = self._buffer[self._at : self._end]
            self._at, self._end = 0, left
        os.sched_yield()  # who has more to write does so first
        try:
            size = self._sock.recv_into(self._view[left:])
        except (TimeoutError, BlockingIOError) as error:
            raise Denied(408, "claudy guard: the request body took too long.") from error
        if not size:
            raise invalid("malformed body: it is cut short")
        self._end += size
