"""What the classic builder says, read as events; the messages are engine 20.10's and 26.1's own."""

from __future__ import annotations

from typing import Any

from claudy.image.build import Transcript
from claudy.image.events import Log, Step


def messages(text: str) -> list[dict[str, Any]]:
    """Return builder output as the engine sends it: a message a piece."""
    return [{"stream": line} for line in text.splitlines(keepends=True)]


BUILD = """\
Step 1/6 : ARG BASE_IMAGE=busybox
Step 2/6 : FROM ${BASE_IMAGE} AS root
 ---> 111111111111
Step 3/6 : RUN make it
 ---> Running in aaaaaaaaaaaa
hello
\x1b[91mwarning: colours
\x1b[0m
Removing intermediate container aaaaaaaaaaaa
 ---> 222222222222
Step 4/6 : FROM scratch
 --->
Step 5/6 : COPY --from=root / /
 ---> Using cache
 ---> 333333333333
Step 6/6 : LABEL claudy.version=1
 ---> Running in bbbbbbbbbbbb
 ---> 444444444444
"""


def test_steps_and_output_become_events_in_order() -> None:
    transcript = Transcript()
    events = list(transcript.read([*messages(BUILD), {"aux": {"ID": "sha256:4444"}}]))
    assert [event for event in events if isinstance(event, Log)] == [
        Log("hello"),
        Log("warning: colours"),
    ]
    steps = [event for event in events if isinstance(event, Step)]
    assert [step.number for step in steps] == [1, 2, 3, 4, 5, 6]
    assert [step.number for step in steps if step.cached] == [5]
    assert steps[2] == Step(3, 6, "RUN make it")
    assert events.index(steps[2]) < events.index(Log("hello")) < events.index(steps[3])
    assert transcript.image == "sha256:4444"


def test_the_first_stage_is_left_over_when_the_build_succeeded() -> None:
    transcript = Transcript()
    list(transcript.read([*messages(BUILD), {"aux": {"ID": "sha256:4444"}}]))
    assert transcript.leftovers == ["222222222222"]


def test_everything_but_the_base_is_left_over_when_it_failed() -> None:
    transcript = Transcript()
    failed = BUILD.replace(" ---> 444444444444\n", "")
    list(transcript.read([*messages(failed), {"error": "exit code 1"}]))
    assert transcript.leftovers == ["222222222222", "333333333333"]
    assert transcript.error == "exit code 1"
    assert transcript.step == "step 6/6 (LABEL claudy.version=1)"


def test_a_build_that_failed_in_its_first_step_leaves_the_base_alone() -> None:
    transcript = Transcript()
    list(transcript.read(messages("".join(BUILD.splitlines(keepends=True)[:5]))))
    assert transcript.leftovers == []


def test_a_step_is_announced_before_its_output_arrives() -> None:
    transcript = Transcript()
    feed = iter(transcript.read(iter(messages(BUILD))))
    seen = [next(feed), next(feed), next(feed)]
    assert seen[-1] == Step(3, 6, "RUN make it")


def test_lines_in_pieces_and_carriage_returns_are_put_together() -> None:
    transcript = Transcript()
    pieces = ["Step 1/1 : RUN x\n", "10%", "\r50%\r", "100%\nhalf a li", "ne\n", "no end"]
    events = list(transcript.read({"stream": piece} for piece in pieces))
    assert events == [Step(1, 1, "RUN x"), Log("100%"), Log("half a line"), Log("no end")]


def test_only_the_last_lines_are_kept() -> None:
    transcript = Transcript()
    lines = "".join(f"line {number}\n" for number in range(100))
    list(transcript.read(messages("Step 1/1 : RUN x\n" + lines)))
    assert list(transcript.tail) == [f"line {number}" for number in range(70, 100)]
