"""A real terminal with a program on it, typed at by the test."""

from __future__ import annotations

import os
import select
import signal
import termios
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pexpect

from tests.engines.shell import wait_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

PROMPT = "@claudy:/workspace"
"""What every prompt of a sandbox's shell has in it, and no command that a test types."""
SECONDS = 30
_FULL = 0.5
"""Seconds without a taker after which a terminal counts as full."""


class Terminal:
    """A terminal with a program on it.

    Args:
        argv: The program.
        cwd: Where it runs.
        env: Its environment.
        size: Rows and columns.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        cwd: str,
        env: Mapping[str, str],
        size: tuple[int, int] = (24, 80),
    ) -> None:
        self.child: Any = pexpect.spawn(
            argv[0],
            list(argv[1:]),
            cwd=cwd,
            env={"TERM": "xterm", **env},
            dimensions=size,
            timeout=SECONDS,
            # The default waits 50 ms before each key press, and 100 ms after the end.
        )
        self.child.delaybeforesend = None
        self.child.delayafterclose = self.child.delayafterterminate = 0.1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.child.closed:
            wait_for(lambda: not self.child.isalive(), SECONDS, "the program to end")
        self.child.close(force=True)

    @property
    def pid(self) -> int:
        """Process id of the program."""
        pid: int = self.child.pid
        return pid

    @property
    def shown(self) -> str:
        """What came before the last thing that was expected, or all since then."""
        before: bytes = self.child.before
        return before.decode()

    def type(self, text: str) -> None:
        """Type text, without a line's end."""
        self.child.send(text)

    def enter(self, line: str) -> None:
        """Type a line."""
        self.child.send(f"{line}\r")

    def paste(self, text: str, *, until_full: bool = False) -> str:
        """Type much text, taking in what is shown meanwhile as every terminal does.

        Args:
            text: What is typed.
            until_full: Stop once the program takes no more.

        Returns:
            What was not typed.
        """
        tty = self.child.child_fd
        shown = b""
        os.set_blocking(tty, False)
        try:
            while text:
                readable, writable, _ = select.select(
                    [tty], [tty], [], _FULL if until_full else SECONDS
                )
                if not readable and not writable:
                    assert until_full, "neither takes keys nor shows anything any more"
                    break
                if readable:
                    shown += os.read(tty, 65536)
                if writable:
                    text = text[os.write(tty, text[:1024].encode("ascii")) :]
        finally:
            os.set_blocking(tty, True)
        self.child.buffer += shown
        return text

    def expect(self, text: str) -> None:
        """Wait until text is shown, exactly."""
        self.child.expect_exact(text)

    def prompt(self) -> None:
        """Wait for the prompt of the sandbox's shell."""
        self.expect(PROMPT)

    def resize(self, rows: int, columns: int) -> None:
        """Make the terminal another size."""
        self.child.setwinsize(rows, columns)

    def modes(self) -> list[Any]:
        """Return the terminal's settings as termios has them."""
        return termios.tcgetattr(self.child.child_fd)

    def wait_modes(self, wanted: list[Any]) -> None:
        """Wait until the terminal has these settings."""
        wait_for(lambda: self.modes() == wanted, SECONDS, "the terminal to be as it was")

    def wait_raw(self) -> None:
        """Wait until the program reads every key itself."""
        wait_for(lambda: not self.modes()[3] & termios.ICANON, SECONDS, "raw mode")

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send the program a signal."""
        os.kill(self.pid, number)

    def children(self) -> list[int]:
        """Return the process ids of the program's own children."""
        text = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(word) for word in text.split()]

    def hang_up(self) -> None:
        """Close the terminal, as a window that is closed does; the program gets its SIGHUP."""
        self.child.ptyproc.fileobj.close()
        self.child.closed = self.child.ptyproc.closed = True

    def end(self) -> tuple[int | None, int | None]:
        """Wait for the program's end and return its exit code and the signal that ended it."""
        self.child.expect(pexpect.EOF)
        self.child.wait()
        return self.child.exitstatus, self.child.signalstatus
