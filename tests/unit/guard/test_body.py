"""A body comes out of its framing whole, however it arrives; what is odd is refused."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claudy.guard.body import BLOCK, Body
from claudy.guard.http import allow_silence
from claudy.guard.refusal import Denied

if TYPE_CHECKING:
    from collections.abc import Sequence


def received(raw: bytes, length: int | None, first: int = 0) -> bytes:
    """Return the body that is read from a connection that is closed after some bytes.

    Args:
        raw: what the client sends.
        length: its content-length; None: chunked.
        first: how much of it had come with the head.
    """
    ours, theirs = socket.socketpair()

    def send() -> None:
        with theirs, contextlib.suppress(OSError):  # who has all he needs reads no further
            theirs.sendall(raw[first:])

    sender = threading.Thread(target=send)
    sender.start()
    with ours:
        try:
            return b"".join(b"".join(some) for some in Body(ours, raw[:first], length).pieces())
        finally:
            ours.shutdown(socket.SHUT_RDWR)
            sender.join()


def chunked(chunks: Sequence[bytes]) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in chunks if c) + b"0\r\n\r\n"


@given(st.lists(st.binary(max_size=40), max_size=8), st.integers(0, 60))
def test_chunks_are_joined(chunks: list[bytes], first: int) -> None:
    assert received(chunked(chunks), None, first) == b"".join(chunks)


@given(st.binary(max_size=200), st.binary(max_size=20), st.integers(0, 230))
def test_a_length_ends_the_body(data: bytes, behind: bytes, first: int) -> None:
    assert received(data + behind, len(data), first) == data


def test_silence_ends_in_an_error_with_the_kernels_time_out_too() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"5\r\nhel")
        allow_silence(ours, 0.05)
        pieces = Body(ours, b"", None).pieces()
        assert b"".join(next(pieces)) == b"hel"
        with pytest.raises(Denied) as error:
            next(pieces)
    assert error.value.status == 408


def test_the_thread_is_in_the_background_until_the_body_has_ended() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"5\r\nhello\r\n0\r\n\r\n")
        before = os.sched_getscheduler(0)
        assert [os.sched_getscheduler(0) for _ in Body(ours, b"", None).pieces()] == [
            os.SCHED_BATCH
        ]
        assert os.sched_getscheduler(0) == before


def test_large_chunks_arrive_whole() -> None:
    data = bytes(range(256)) * (3 * BLOCK // 256 + 1)
    assert (
        received(chunked([data, b"x", data[:32768], data]), None)
        == data + b"x" + data[:32768] + data
    )


@pytest.mark.parametrize(
    "raw",
    [
        b"5\nhello\r\n0\r\n\r\n",  # a bare line feed
        b"5;a=b\r\nhello\r\n0\r\n\r\n",
        b" 5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"-1\r\n\r\n",
        b"\r\n\r\n",
        b"5\r\nhellos\r\n0\r\n\r\n",
        b"4\r\nhello\r\n0\r\n\r\n",
        b"0\r\nTrailer: x\r\n\r\n",
        b"fffffffffffffffff\r\nhello",
        b"5\r\nhel",
        b"5\r\nhello\r\n",
    ],
)
def test_broken_framing_is_refused(raw: bytes) -> None:
    with pytest.raises(Denied):
        received(raw, None)


def test_a_short_body_is_refused() -> None:
    with pytest.raises(Denied):
        received(b"hello", 6)
