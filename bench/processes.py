"""Run a program once and time it: to its end, or on a terminal to its first prompt."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import tempfile
import termios
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PATIENCE = 120.0
_SILENCE = 0.1  # seconds: a shell that paints its line paints on
ROWS, COLUMNS = 40, 120
# Python ignores the first two, and nohup the third; a program started from a shell does not.
_DEFAULT = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGHUP)


class Failed(Exception):
    """A measured program did not do what it should have."""


@dataclass(frozen=True)
class Surroundings:
    """What every measured program gets.

    Args:
        env: its environment.
        directory: its working directory.
    """

    env: Mapping[str, str]
    directory: str


def run(argv: Sequence[str], around: Surroundings, *, stdin: int | None = None) -> float:
    """Run a program without a terminal and return the seconds to its end.

    Standard output goes to the null device.

    Args:
        argv: the program and its arguments.
        around: environment and directory.
        stdin: descriptor of its standard input; the null device if None.

    Raises:
        Failed: its exit code is not 0, or it does not end.
    """
    with tempfile.TemporaryFile() as errors, open(os.devnull, "r+b") as null:
        os.chdir(around.directory)
        actions = [
            (os.POSIX_SPAWN_DUP2, null.fileno() if stdin is None else stdin, 0),
            (os.POSIX_SPAWN_DUP2, null.fileno(), 1),
            (os.POSIX_SPAWN_DUP2, errors.fileno(), 2),
        ]
        began = time.perf_counter()
        pid = os.posix_spawnp(
            argv[0], list(argv), around.env, file_actions=actions, setsigdef=_DEFAULT
        )
        with _patient(argv, pid):
            _, status = os.waitpid(pid, 0)
        took = time.perf_counter() - began
        code = os.waitstatus_to_exitcode(status)
        if code:
            errors.seek(0)
            said = errors.read().decode("utf-8", "replace").strip()[-2000:]
            raise Failed(f"{' '.join(argv)[:300]}: exit code {code}: {said}")
    return took


@contextlib.contextmanager
def _patient(argv: Sequence[str], pid: int) -> Iterator[None]:
    """End a program that does not end by itself."""

    def give_up(_number: int, _frame: object) -> None:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise Failed(f"{' '.join(argv)[:300]}: did not end within {PATIENCE:g} s")

    signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def output(argv: Sequence[str], around: Surroundings) -> str:
    """Run a program that is not measured and return what it prints.

    Raises:
        Failed: its exit code is not 0.
    """
    import subprocess

    done = subprocess.run(
        argv,
        env=dict(around.env),
        cwd=around.directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-2000:]
        raise Failed(f"{' '.join(argv)[:300]}: exit code {done.returncode}: {said}")
    return done.stdout


class Terminal:
    """A program on a terminal of its own.

    Args:
        argv: the program and its arguments.
        around: environment and directory.
    """

    def __init__(self, argv: Sequence[str], around: Surroundings) -> None:
        self._argv = argv
        self._seen = bytearray()
        self.began = time.perf_counter()
        self.pid, self._master = pty.fork()
        if not self.pid:
            try:
                for number in _DEFAULT:
                    signal.signal(number, signal.SIG_DFL)
                os.chdir(around.directory)
                size = struct.pack("HHHH", ROWS, COLUMNS, 0, 0)
                fcntl.ioctl(0, termios.TIOCSWINSZ, size)
                os.execvpe(argv[0], list(argv), dict(around.env))  # noqa: S606
            finally:
                os._exit(127)

    def expect(self, text: bytes) -> float:
        """Wait until the program prints something and return the time of that moment.

        What came before it is dropped.

        Raises:
            Failed: it ends, or stays silent for too long, without printing it.
        """
        self.until(text)
        return time.perf_counter()

    def until(self, text: bytes) -> bytes:
        """Return what the program prints up to some text."""
        deadline = time.perf_counter() + PATIENCE
        while (at := self._seen.find(text)) < 0:
            if not self._read(deadline):
                raise Failed(f"{' '.join(self._argv)[:300]}: no {text!r} in {bytes(self._seen)!r}")
        found = bytes(self._seen[:at])
        del self._seen[: at + len(text)]
        return found

    def settle(self) -> None:
        """Wait until the program prints nothing more, and drop what it has printed."""
        while self._read(time.perf_counter() + _SILENCE):
            pass
        self._seen.clear()

    def type(self, text: bytes) -> float:
        """Type something and return the time of that moment."""
        began = time.perf_counter()
        os.write(self._master, text)
        return began

    def end(self) -> float:
        """Wait for the program's end and return the time of that moment."""
        until = time.perf_counter() + PATIENCE
        while self._read(until):
            self._seen.clear()
        _, status = os.waitpid(self.pid, 0)
        ended = time.perf_counter()
        os.close(self._master)
        if code := os.waitstatus_to_exitcode(status):
            raise Failed(f"{' '.join(self._argv)[:300]}: exit code {code}")
        return ended

    def kill(self) -> None:
        """End the program whatever it does."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGHUP)
        with contextlib.suppress(OSError):
            os.close(self._master)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)

    def _read(self, until: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], max(0.0, until - time.perf_counter()))
        if not ready:
            return False
        try:
            data = os.read(self._master, 65536)
        except OSError:  # EIO: nobody has the other side open any more
            return False
        self._seen += data
        return bool(data)


@contextlib.contextmanager
def on_terminal(argv: Sequence[str], around: Surroundings) -> Iterator[Terminal]:
    """Have a program on a terminal for a while; it is hung up if something goes wrong."""
    terminal = Terminal(argv, around)
    try:
        yield terminal
    except BaseException:
        terminal.kill()
        raise


def to_prompt(argv: Sequence[str], around: Surroundings, prompt: bytes) -> float:
    """Return the seconds from a program's start to a shell's prompt; the shell is left again."""
    with on_terminal(argv, around) as terminal:
        took = terminal.expect(prompt) - terminal.began
        terminal.type(b"exit\r")
        terminal.end()
    return took
