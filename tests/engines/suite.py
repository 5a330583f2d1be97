"""Every test once: without an engine, and on each engine in its room; one line sums it up."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from tests.engines.engine import FOREIGN
from tests.engines.layout import ENGINE_VARIABLE, INSTANCE_VARIABLE
from tests.engines.plugin import APART, MARK, ONCE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_COUNTS = ("tests", "failures", "errors", "skipped")
_WATCH = ["--durations=10"]
"""Say where the time goes."""
_NO_TESTS = 5
"""pytest's exit code when the selection is empty, which is no failure of a part."""


@dataclass(frozen=True)
class Outcome:
    """What one pytest process came to.

    Args:
        passed: Number of tests that passed.
        failed: Number that failed, errors included.
        skipped: Number that were skipped.
        exit_code: Exit code of pytest.
        seconds: How long each file's tests took, by the name that JUnit reports have for it.
    """

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    exit_code: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(
            self.passed + other.passed,
            self.failed + other.failed,
            self.skipped + other.skipped,
            self.exit_code or other.exit_code,
            {
                name: self.seconds.get(name, 0) + other.seconds.get(name, 0)
                for name in {*self.seconds, *other.seconds}
            },
        )

    def mended(self, again: Outcome) -> Outcome:
        """Return what it came to after what had failed was tried once more, alone.

        The parts run at the same time on few cores; what fails only then is named in the output
        as failed at first. What fails alone as well has failed.
        """
        if again.failed or again.exit_code or again.passed < self.failed:
            return self
        return Outcome(self.passed + self.failed, 0, self.skipped, 0, self.seconds)

    def split(self) -> str:
        """Return where the time went, as one line: the files that took longest."""
        files = sorted(self.seconds.items(), key=lambda item: -item[1])[:_FILES]
        return ", ".join(f"{name.removeprefix('tests.')} {spent:.0f}" for name, spent in files)


_NO_ENGINE = "no engine"
"""The part that needs none, or brings up its own."""
_FILES = 12
"""So many files are named when it is said where the time went."""
_FEW = 25
"""With more failures than this it was not the company that made them fail."""


def run_suite(engines: Sequence[str], instance: str, options: Sequence[str]) -> int:
    """Run all tests and return 0 if none failed.

    Args:
        engines: The engines on which those that need one are run, at the same time.
        instance: Which set of engines.
        options: Passed to each pytest.
    """
    began = time.monotonic()
    parts = _parts(engines, instance, options)
    with tempfile.TemporaryDirectory() as reports, ThreadPoolExecutor(len(parts)) as pool:
        turn = threading.Lock()
        futures = [pool.submit(_run_part, part, part.name, Path(reports), turn) for part in parts]
        outcomes = {part: future.result() for part, future in zip(parts, futures, strict=True)}
        for part, outcome in outcomes.items():
            if 0 < outcome.failed <= _FEW:
                again = replace(part, arguments=("--last-failed", *part.arguments))
                found = _run_part(again, f"{part.name}, again", Path(reports), turn)
                outcomes[part] = outcome.mended(found)
        whole = sum(outcomes.values(), Outcome())
    for part, outcome in outcomes.items():
        if outcome.seconds:
            _write(
                f"[{part.name}] {sum(outcome.seconds.values()):.0f} s of tests: {outcome.split()}"
            )
    failed = whole.failed or (1 if whole.exit_code else 0)
    minutes, seconds = divmod(round(time.monotonic() - began), 60)
    _write(f"the whole suite on {', '.join(engines) or 'no engine'}: {minutes} min {seconds} s")
    _write(f"{whole.passed} passed, {failed} failed, {whole.skipped} skipped")
    return 1 if failed or not whole.passed else 0


@dataclass(frozen=True)
class Part:
    """Tests that one pytest runs, beside the others.

    Args:
        name: What its lines begin with.
        arguments: Of pytest.
        instance: Which set of engines.
        nice: The shorter parts take what the others leave while they wait for their engines.
    """

    name: str
    arguments: tuple[str, ...]
    instance: str
    nice: int = 0


def _parts(engines: Sequence[str], instance: str, options: Sequence[str]) -> list[Part]:
    """Return the parts, each test in one of them for every engine."""
    parts = [Part(_NO_ENGINE, ("-m", f"not {MARK}", *options), instance, nice=10)]
    for number, name in enumerate(engines):
        # Images are made in one part while another waits for sessions and time-outs.
        order = ["--last-first"] if number % 2 else []
        # What has an engine of its own beside this one, or asks none, is run with the last.
        which = MARK if name == engines[-1] else f"{MARK} and not {ONCE}"
        rest = ["--engine", name, *order, *options]
        if name == FOREIGN:
            parts.append(Part(name, ("-m", which, *rest), instance))
            continue
        parts.append(Part(name, ("-m", f"{which} and not {APART}", *rest), instance))
        apart = ("-m", f"{which} and {APART}", *rest)
        parts.append(Part(f"{name} {APART}", apart, instance_apart(instance), nice=5))
    return parts


def instance_apart(instance: str) -> str:
    """Return the set of engines for what is tested apart."""
    return f"{instance}{APART}"


def _run_part(part: Part, name: str, reports: Path, turn: threading.Lock) -> Outcome:
    report = reports / f"{name.replace(' ', '-')}.xml"
    memory = reports / f"cache-{part.name.replace(' ', '-')}"
    options = [*_WATCH, f"--override-ini=cache_dir={memory}", f"--junit-xml={report}"]
    command = [sys.executable, "-m", "pytest", "-q", *options, *part.arguments]
    command = ["nice", "-n", str(part.nice), *command]
    environment = {k: v for k, v in os.environ.items() if k != ENGINE_VARIABLE}
    environment |= {INSTANCE_VARIABLE: part.instance, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as pytest:
        assert pytest.stdout is not None
        for line in pytest.stdout:
            with turn:
                _write(f"[{name}] {line.rstrip()}")
    return _read(report, pytest.returncode)


def _read(report: Path, exit_code: int) -> Outcome:
    """Return what a JUnit report counts; a run without one failed, whatever it says."""
    if exit_code == _NO_TESTS:
        return Outcome()
    try:
        root = ET.parse(report).getroot()  # noqa: S314 - pytest wrote it
        counts = [{k: int(suite.get(k, 0)) for k in _COUNTS} for suite in root.iter("testsuite")]
    except (OSError, ET.ParseError):
        return Outcome(failed=1, exit_code=exit_code or 1)
    total = {key: sum(count[key] for count in counts) for key in _COUNTS}
    # One that fails and can't clean up is reported twice, and tried again once.
    broken = {
        (case.get("classname"), case.get("name"))
        for case in root.iter("testcase")
        if case.find("failure") is not None or case.find("error") is not None
    }
    failed = len(broken)
    passed = total["tests"] - failed - total["skipped"]
    seconds: dict[str, float] = {}
    for case in root.iter("testcase"):
        file = case.get("classname", "")
        seconds[file] = seconds.get(file, 0) + float(case.get("time", 0))
    return Outcome(passed, failed, total["skipped"], exit_code, seconds)


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
