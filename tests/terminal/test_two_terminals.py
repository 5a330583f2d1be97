"""Several sessions in one sandbox: none notices the others come and go."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.running.fixtures import LINGERING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.running.program import Claudy
    from tests.running.terminal import Terminal


@pytest.fixture
def two(claudy: Claudy, project: Path) -> Iterator[tuple[Terminal, Terminal]]:
    """Return two terminals in one sandbox; the first one's shell is the container's own."""
    with claudy.terminal(cwd=project) as first:
        first.prompt()
        with claudy.terminal(cwd=project) as second:
            second.prompt()
            claudy.sandboxes(project).wait_running(1)
            yield first, second


def works(terminal: Terminal, answer: int) -> None:
    """Type something and see its result."""
    terminal.enter(f"echo answer-$(({answer}-1+1))")
    terminal.expect(f"answer-{answer}\r\n")
    terminal.prompt()


@pytest.mark.parametrize("leaving", [0, 1])
def test_one_leaves_with_its_code_and_the_other_goes_on(
    two: tuple[Terminal, Terminal], claudy: Claudy, project: Path, leaving: int
) -> None:
    one, other = two[leaving], two[1 - leaving]
    works(one, 1)
    works(other, 2)
    one.enter("exit 11")
    assert one.end() == (11, None)

    works(other, 3)
    assert len(claudy.sandboxes(project).all()) == 1
    other.enter("exit 12")
    assert other.end() == (12, None)


def test_they_share_processes_and_files_but_not_their_terminals(
    two: tuple[Terminal, Terminal],
) -> None:
    first, second = two
    first.enter("sleep 1003 & echo $(tty)-$! > /tmp/of-the-first")
    first.prompt()
    second.enter("ps -o args= -p $(cut -d- -f2 /tmp/of-the-first)")
    second.expect("sleep 1003\r\n")
    second.enter("[ $(tty) = $(cut -d- -f1 /tmp/of-the-first) ]; echo code-$?")
    second.expect("code-1")
    for terminal in two:
        terminal.enter("exit")
        assert terminal.end()[1] is None


def test_a_third_joins_after_the_first_has_left(
    two: tuple[Terminal, Terminal], claudy: Claudy, project: Path
) -> None:
    two[0].enter("exit 1")
    assert two[0].end() == (1, None)
    with claudy.terminal(cwd=project) as third:
        third.prompt()
        two[1].enter("exit 2")
        assert two[1].end() == (2, None)
        works(third, 5)
        third.enter("exit 3")
        assert third.end() == (3, None)


@pytest.mark.parametrize("killed", [0, 1])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP, signal.SIGTERM])
def test_a_killed_session_ends_with_its_processes_and_no_others(
    two: tuple[Terminal, Terminal],
    claudy: Claudy,
    project: Path,
    killed: int,
    number: signal.Signals,
) -> None:
    one, other = two[killed], two[1 - killed]
    sandboxes = claudy.sandboxes(project)
    for terminal, seconds in ((one, 2001), (other, 2002)):
        lasting = (
            f"setsid sleep {seconds}1",
            f"nohup sleep {seconds}2 >nohup",
            f"sleep {seconds}3",
        )
        terminal.enter("".join(f"{command} & " for command in lasting))
        for last in (1, 2, 3):
            sandboxes.wait_process(f"sleep {seconds}{last}")
        terminal.prompt()

    one.kill(number)

    sandboxes.wait_no_process("sleep 2001", LINGERING)
    assert all(sandboxes.runs(f"sleep 2002{last}") for last in (1, 2, 3))
    works(other, 7)
    other.enter("kill %1 %2 %3; exit 6")
    assert other.end() == (6, None)


@pytest.mark.parametrize("closed", [0, 1])
def test_closing_one_window_ends_that_session(
    two: tuple[Terminal, Terminal], claudy: Claudy, project: Path, closed: int
) -> None:
    one, other = two[closed], two[1 - closed]
    one.enter("nohup sleep 3001 >/dev/null 2>&1 &")
    claudy.sandboxes(project).wait_process("sleep 3001")

    one.hang_up()

    claudy.sandboxes(project).wait_no_process("sleep 3001", LINGERING)
    works(other, 8)
    other.enter("exit 0")
    assert other.end() == (0, None)


def test_both_killed_at_once_leave_nothing(
    two: tuple[Terminal, Terminal], claudy: Claudy, project: Path
) -> None:
    for terminal in two:
        terminal.kill()

    claudy.sandboxes(project).wait_gone(LINGERING)
