"""Running programs, waiting for conditions, and looking after processes by id."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


_KILL_SECONDS = 10


class EngineError(Exception):
    """A test engine could not be made; the text says why."""


def say(text: str) -> None:
    """Print one line of progress."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def run(command: Sequence[str], *, text: str | None = None) -> str:
    """Run a command and return what it printed.

    Args:
        command: The program and its arguments.
        text: What it gets on standard input.

    Raises:
        EngineError: It is missing or failed; carries what it printed.
    """
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    except OSError as error:
        message = f"{command[0]}: {error.strerror}"
        raise EngineError(message) from error
    if done.returncode:
        tail = (done.stderr or done.stdout)[-2000:]
        message = f"{' '.join(command)} ended with {done.returncode}:\n{tail}"
        raise EngineError(message)
    return done.stdout


def wait_for(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Return as soon as the condition holds.

    Args:
        condition: Called again and again.
        seconds: How long at most.
        what: Named when it never held.

    Raises:
        EngineError: The time ran out.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            message = f"waited {seconds:g} s in vain for {what}"
            raise EngineError(message)
        time.sleep(0.05)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one process at a time in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def alive(pid: int) -> bool:
    """Tell whether a process runs; one that ended but was not waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state not in "ZX"


def command_name(pid: int) -> str:
    """Return the name of the program of a process, or nothing once it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def stop(pid: int, *, seconds: float) -> None:
    """End a process: politely, and after that many seconds by force."""
    try:
        if seconds:
            os.kill(pid, signal.SIGTERM)
            with suppress(EngineError):
                wait_for(lambda: not alive(pid), seconds, f"process {pid} to end")
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    wait_for(lambda: not alive(pid), _KILL_SECONDS, f"process {pid} to end after SIGKILL")


def start_detached(command: Sequence[str], log: Path) -> int:
    """Start a process that outlives this one and return its id.

    Args:
        command: The program and its arguments.
        log: The file to which its output is appended.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    # Through a shell that ends at once, so that init waits for it, not this process.
    background = 'log=$0; cd /; setsid "$@" </dev/null >>"$log" 2>&1 & echo $!'
    return int(run(["sh", "-c", background, str(log), *command]))
