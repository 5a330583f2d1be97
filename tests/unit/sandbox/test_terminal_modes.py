"""Size and raw mode, on a real pseudo-terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import termios
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from claudy.sandbox.terminal import Raw, is_terminal, size

if TYPE_CHECKING:
    from collections.abc import Iterator

_SIDE = st.integers(0, 65535)


@pytest.fixture
def tty() -> Iterator[int]:
    """Return the program's side of a terminal."""
    outer, inner = pty.openpty()
    yield inner
    os.close(inner)
    os.close(outer)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_SIDE, _SIDE)
def test_the_size_is_the_terminal_s(tty: int, rows: int, columns: int) -> None:
    fcntl.ioctl(tty, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    assert size(tty) == (rows, columns)
    if rows and columns:
        assert tuple(os.get_terminal_size(tty)) == (columns, rows)


def test_what_is_no_terminal_has_no_size() -> None:
    reader, writer = os.pipe()
    try:
        assert size(reader) == (0, 0)
        assert not is_terminal(reader)
    finally:
        os.close(reader)
        os.close(writer)
    assert size(reader) == (0, 0)
    assert not is_terminal(reader)


def test_raw_mode_passes_every_key_and_is_taken_back(tty: int) -> None:
    before = termios.tcgetattr(tty)
    with Raw(tty):
        iflag, oflag, cflag, lflag, *_, characters = termios.tcgetattr(tty)
        assert not lflag & (termios.ICANON | termios.ECHO | termios.ISIG | termios.IEXTEN)
        assert not iflag & (termios.IXON | termios.ICRNL)
        assert not oflag & termios.OPOST
        assert cflag & termios.CSIZE == termios.CS8
        assert characters[termios.VMIN] in (1, b"\x01")
    assert termios.tcgetattr(tty) == before


def test_raw_mode_is_taken_back_after_an_exception(tty: int) -> None:
    before = termios.tcgetattr(tty)
    with pytest.raises(KeyboardInterrupt), Raw(tty):
        raise KeyboardInterrupt
    assert termios.tcgetattr(tty) == before


def test_a_terminal_that_has_gone_needs_nothing() -> None:
    outer, inner = pty.openpty()
    raw = Raw(inner)
    with raw:
        os.close(outer)
        os.close(inner)
    raw.restore()
