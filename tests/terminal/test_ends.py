"""However claudy ends, nothing of the sandbox stays and the terminal is as it was."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.engines.shell import wait_for
from tests.running.fixtures import LINGERING, registry_entries
from tests.running.program import SECONDS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.running.program import Claudy

_SHELL = ["bash", "--norc", "--noediting", "-c", 'tty; $0 "$@"; echo code-$?; read -r line']


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGKILL, 137)]
)
def test_a_signal_ends_the_sandbox_and_restores_the_terminal(
    claudy: Claudy, project: Path, number: signal.Signals, code: int
) -> None:
    with claudy.on_terminal([*_SHELL, *claudy.command], cwd=project) as terminal:
        terminal.expect("/dev/pts/")
        before = terminal.modes()
        terminal.prompt()
        assert terminal.modes() != before

        (child,) = terminal.children()
        os.kill(child, number)

        terminal.expect(f"code-{code}")
        claudy.sandboxes(project).wait_gone(LINGERING)
        terminal.wait_modes(before)
        terminal.enter("")
        assert terminal.end() == (0, None)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_claudy_s_own_exit_code_after_a_signal(
    claudy: Claudy, project: Path, number: signal.Signals
) -> None:
    with claudy.terminal(cwd=project) as terminal:
        terminal.prompt()
        terminal.kill(number)
        assert terminal.end() == (128 + number, None)
        claudy.sandboxes(project).wait_gone(LINGERING)


def test_a_closed_window_ends_the_sandbox(claudy: Claudy, project: Path) -> None:
    with claudy.terminal(cwd=project) as terminal:
        terminal.prompt()
        terminal.enter("nohup sleep 3002 >/dev/null 2>&1 &")
        claudy.sandboxes(project).wait_process("sleep 3002")

        terminal.hang_up()

        claudy.sandboxes(project).wait_gone(LINGERING)


def test_a_dead_shell_outside_ends_the_sandbox(claudy: Claudy, project: Path) -> None:
    with claudy.on_terminal([*_SHELL, *claudy.command], cwd=project) as terminal:
        terminal.prompt()

        terminal.kill()
        terminal.hang_up()

        claudy.sandboxes(project).wait_gone(LINGERING)


def test_the_watcher_killed_too_leaves_a_sandbox_that_the_next_claudy_takes_over(
    claudy: Claudy, project: Path
) -> None:
    with claudy.terminal(cwd=project) as terminal:
        terminal.prompt()
        for pid in [*terminal.children(), terminal.pid]:
            os.kill(pid, signal.SIGKILL)
        terminal.end()
        claudy.sandboxes(project).wait_running(1)

    done = claudy.run("--", "echo", "again", cwd=project)

    assert (done.code, done.out) == (0, b"again\n")
    claudy.sandboxes(project).wait_gone(LINGERING)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("moment", [0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5])
def test_a_signal_at_any_moment_leaves_nothing(
    claudy: Claudy, project: Path, number: signal.Signals, moment: float
) -> None:
    with claudy.start("--", "sleep", "1000", cwd=project, stdin=subprocess.DEVNULL) as process:
        # From the first that it does, before that only Python starts, to the command's start.
        wait_for(lambda: registry_entries(claudy, project), SECONDS, "claudy to begin")
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(moment)
        process.send_signal(number)
        _, said = process.communicate(timeout=SECONDS)

    assert process.returncode in {-number, 128 + number}, said  # the same to a shell
    assert b"Traceback" not in said
    claudy.sandboxes(project).wait_gone(LINGERING)
    # Killed before there was anything to watch, claudy leaves its note; it is in nobody's way.
    assert claudy.run("--", "true", cwd=project).code == 0


def test_the_terminal_is_as_it_was_after_an_exit_in_raw_mode(claudy: Claudy, project: Path) -> None:
    with claudy.on_terminal([*_SHELL, *claudy.command], cwd=project) as terminal:
        terminal.expect("/dev/pts/")
        before = terminal.modes()
        terminal.prompt()
        terminal.enter("stty raw -echo; exit 3")
        terminal.expect("code-3")
        assert terminal.modes() == before
        terminal.enter("")
        assert terminal.end() == (0, None)
