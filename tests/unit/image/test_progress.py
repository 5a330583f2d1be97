"""What is shown of image work: plain lines, a live display, and the tail after a failure."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from rich.console import Console as RichConsole

from claudy.cli.console import Console
from claudy.cli.livedisplay import LiveDisplay
from claudy.cli.progress import Progress
from claudy.image.events import Done, Layer, Log, Notice, Phase, Step

if TYPE_CHECKING:
    import pytest

    from claudy.image.events import Event

WORK: list[Event] = [
    Phase("Building hal9000:1"),
    Step(1, 2, "FROM base", cached=True),
    Step(2, 2, "RUN make"),
    Log("making"),
    Log("\x1b[2Jmade\tit"),
    Layer("abc", "Downloading", 1, 2),
    Layer("abc", "Downloading", 2, 2),
    Layer("abc", "Pull complete"),
    Layer("abc", "Pull complete"),
]


def shown(
    capfd: pytest.CaptureFixture[str],
    events: list[Event],
    *,
    quiet: bool = False,
    debug: bool = False,
) -> str:
    """Return what a run of events leaves on stderr; nothing may appear on stdout."""
    progress = Progress(Console({"TERM": "xterm"}, quiet=quiet, debug=debug))
    for event in events:
        progress(event)
    out, err = capfd.readouterr()
    assert out == ""
    return err


def test_a_line_for_each_step_and_each_layer_at_rest(capfd: pytest.CaptureFixture[str]) -> None:
    assert shown(capfd, [*WORK, Done()]).splitlines() == [
        "claudy: Building hal9000:1 ...",
        "claudy: step 1/2: FROM base (cached)",
        "claudy: step 2/2: RUN make",
        "claudy: abc: Pull complete",
    ]


def test_after_a_failure_the_tail_of_the_output(capfd: pytest.CaptureFixture[str]) -> None:
    lines = shown(capfd, [*WORK, Done(failed=True), Done()]).splitlines()
    assert lines[-2:] == ["  | making", "  |  [2Jmade        it"]


def test_the_tail_is_short_and_of_the_failed_phase_only(capfd: pytest.CaptureFixture[str]) -> None:
    output: list[Event] = [Log(f"line {number}") for number in range(99)]
    events = [Phase("one"), Log("other"), Phase("two"), *output, Done(failed=True)]
    lines = [line for line in shown(capfd, events).splitlines() if "|" in line]
    assert lines == [f"  | line {number}" for number in range(79, 99)]


def test_debug_shows_all_output_as_it_comes_and_only_once(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert shown(capfd, [*WORK, Done(failed=True)], debug=True).count("| making") == 1


def test_quiet_shows_nothing_but_the_tail(capfd: pytest.CaptureFixture[str]) -> None:
    assert shown(capfd, [*WORK, Notice("something"), Done()], quiet=True) == ""
    assert "  | making" in shown(capfd, [*WORK, Done(failed=True)], quiet=True)


def test_notices_are_shown_whatever_runs(capfd: pytest.CaptureFixture[str]) -> None:
    assert "claudy: look here\n" in shown(capfd, [Phase("one"), Notice("look here"), Done()])


def test_the_live_display_shows_all_of_it_and_leaves_a_line() -> None:
    written = io.StringIO()
    rich = RichConsole(file=written, force_terminal=True, width=80, height=24, no_color=True)
    display = LiveDisplay(Console({"TERM": "xterm"}), rich)
    for event in WORK:
        display.show(event)
        display.refresh()
    before = plain(written.getvalue())
    display.close()
    after = plain(written.getvalue())
    for text in ("Building hal9000:1", "2/2", "RUN make", "making", "Downloading", "1 of 1 layers"):
        assert text in before
    assert "\x1b[2J" not in written.getvalue()
    assert re.search(r"claudy: Building hal9000:1 \(\d+\.\d s\)\n$", after)


def plain(text: str) -> str:
    """Return text without escape sequences."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
