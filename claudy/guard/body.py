"""A request's body taken out of its framing in place: an archive may be large.

Stricter than HTTP: no chunk extensions and no trailers, which no client of Docker sends.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from claudy.guard.refusal import Denied, invalid

if TYPE_CHECKING:
    import socket
    from collections.abc import Generator, Iterator

BLOCK = 128 * 1024
_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")
_LINE = 17  # a size and the end of its line
_END = b"\r\n"


class Body:
    """The body of one request.

    Args:
        sock: the client's connection; its time-out is the silence that is allowed.
        first: what has been received of the body already.
        length: its bytes; None if it is chunked.
    """

    def __init__(self, sock: socket.socket, first: bytes, length: int | None) -> None:
        self._sock = sock
        self._length = length
        self._buffer = bytearray(max(BLOCK, len(first)))
        self._buffer[: len(first)] = first
        self._view = memoryview(self._buffer)
        self._at, self._end = 0, len(first)

    def pieces(self) -> Iterator[list[memoryview]]:
        """Yield the body as it arrives; what is yielded is gone when more is asked for.

        Raises:
            Denied: the framing is broken, the body is cut short or the client silent for too long.
        """
        held: list[memoryview] = []
        for piece in self._parse():
            if piece is not None:
                held.append(piece)
            elif held:
                yield held
                held = []
        if held:
            yield held

    def _parse(self) -> Iterator[memoryview | None]:
        """Yield pieces, and None before those so far are overwritten."""
        if self._length is not None:
            yield from self._take(self._length)
            return
        while size := (yield from self._size()):
            yield from self._take(size)
            yield from self._line_end()
        yield from self._line_end()

    def _take(self, left: int) -> Iterator[memoryview | None]:
        while left:
            if self._at == self._end:
                yield None
                self._receive()
            piece = self._view[self._at : min(self._end, self._at + left)]
            self._at += len(piece)
            left -= len(piece)
            yield piece

    def _size(self) -> Generator[None, None, int]:
        """Return the size of the next chunk; 0 for the end."""
        while (end := self._buffer.find(_END, self._at, self._end)) < 0:
            if self._end - self._at > _LINE:
                raise invalid("malformed body: not the size of a chunk")
            yield
            self._receive()
        line = bytes(self._view[self._at : end])
        if not _SIZE.fullmatch(line):
            raise invalid("malformed body: not the size of a chunk")
        self._at = end + len(_END)
        return int(line, 16)

    def _line_end(self) -> Generator[None, None, None]:
        while self._end - self._at < len(_END):
            yield
            self._receive()
        if self._view[self._at : self._at + len(_END)] != _END:
            raise invalid("malformed body: a chunk does not end where its size says")
        self._at += len(_END)

    def _receive(self) -> None:
        """Receive more behind what is left, which moves to the front."""
        left = self._end - self._at
        if self._at:
            self._buffer[:left] = self._buffer[self._at : self._end]
            self._at, self._end = 0, left
        try:
            size = self._sock.recv_into(self._view[left:])
        except TimeoutError as error:
            raise Denied(408, "claudy guard: the request body took too long.") from error
        if not size:
            raise invalid("malformed body: it is cut short")
        self._end += size
