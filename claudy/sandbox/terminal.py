"""The user's terminal: is there one, how large is it, raw mode and back."""

from __future__ import annotations

import fcntl
import os
import sys
import termios

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

STDIN, STDOUT, STDERR = 0, 1, 2


def is_terminal(descriptor: int) -> bool:
    """Whether a descriptor is open and a terminal."""
    try:
        return os.isatty(descriptor)
    except OSError:
        return False


def in_foreground() -> bool:
    """Whether this process may read its terminal; in the background reading would stop it."""
    try:
        return os.tcgetpgrp(STDIN) == os.getpgrp()
    except OSError:
        return True


def size(descriptor: int = STDOUT) -> tuple[int, int]:
    """Return rows and columns of a terminal, zeros where it does not know."""
    try:
        found = fcntl.ioctl(descriptor, termios.TIOCGWINSZ, b"\0" * 8)
    except OSError:
        return 0, 0
    return int.from_bytes(found[:2], sys.byteorder), int.from_bytes(found[2:4], sys.byteorder)


class Raw:
    """Raw mode for a while: every key goes to the program inside."""

    def __init__(self, descriptor: int = STDIN) -> None:
        self._descriptor = descriptor
        self._before: list[object] | None = None

    def __enter__(self) -> Raw:  # noqa: PYI034 - Self would need typing
        before = termios.tcgetattr(self._descriptor)
        mode = [*before]
        # As cfmakeraw(3), but output processing stays off too: the inner terminal has done it.
        mode[0] &= ~(
            termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP
            | termios.INLCR | termios.IGNCR | termios.ICRNL | termios.IXON
        )  # fmt: skip
        mode[1] &= ~termios.OPOST
        mode[2] = mode[2] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
        mode[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
        characters = [*mode[6]]
        characters[termios.VMIN], characters[termios.VTIME] = 1, 0
        mode[6] = characters
        termios.tcsetattr(self._descriptor, termios.TCSADRAIN, mode)
        self._before = before
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.restore()

    def restore(self) -> None:
        """Put the terminal back as it was; a terminal that is gone needs nothing."""
        if self._before is None:
            return
        try:
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)  # type: ignore[arg-type]
        except (termios.error, OSError):
            pass
        self._before = None
