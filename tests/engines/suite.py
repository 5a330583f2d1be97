"""Every test once: without an engine, and on each engine in its room; one line sums it up."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from tests.engines.layout import ENGINE_VARIABLE, INSTANCE_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    """

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    exit_code: int = 0

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(
            self.passed + other.passed,
            self.failed + other.failed,
            self.skipped + other.skipped,
            self.exit_code or other.exit_code,
        )

    def mended(self, again: Outcome) -> Outcome:
        """Return what it came to after what had failed was tried once more, alone.

        The parts run at the same time on few cores; what fails only then is named in the output
        as failed at first. What fails alone as well has failed.
        """
        if again.failed or again.exit_code or again.passed < self.failed:
            return self
        return Outcome(self.passed + self.failed, 0, self.skipped, 0)


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
    parts = {"no engine": ["-m", "not engine", *options]}
    parts |= {name: ["-m", "engine", "--engine", name, *options] for name in engines}
    with tempfile.TemporaryDirectory() as reports, ThreadPoolExecutor(len(parts)) as pool:
        turn = threading.Lock()
        futures = [
            pool.submit(_run_part, name, arguments, instance, Path(reports), turn)
            for name, arguments in parts.items()
        ]
        outcomes = dict(zip(parts, (future.result() for future in futures), strict=True))
        for name, outcome in outcomes.items():
            if 0 < outcome.failed <= _FEW:
                again = ["--last-failed", *parts[name]]
                outcomes[name] = outcome.mended(
                    _run_part(f"{name}, again", again, instance, Path(reports), turn, name)
                )
        whole = sum(outcomes.values(), Outcome())
    failed = whole.failed or (1 if whole.exit_code else 0)
    minutes, seconds = divmod(round(time.monotonic() - began), 60)
    _write(f"the whole suite on {', '.join(engines) or 'no engine'}: {minutes} min {seconds} s")
    _write(f"{whole.passed} passed, {failed} failed, {whole.skipped} skipped")
    return 1 if failed or not whole.passed else 0


def _run_part(
    name: str,
    arguments: list[str],
    instance: str,
    reports: Path,
    turn: threading.Lock,
    first: str = "",
) -> Outcome:
    report = reports / f"{name.replace(' ', '-')}.xml"
    memory = reports / f"cache-{(first or name).replace(' ', '-')}"
    options = [*_WATCH, f"--override-ini=cache_dir={memory}", f"--junit-xml={report}"]
    command = [sys.executable, "-m", "pytest", "-q", *options, *arguments]
    environment = {k: v for k, v in os.environ.items() if k != ENGINE_VARIABLE}
    environment |= {INSTANCE_VARIABLE: instance, "PYTHONUNBUFFERED": "1"}
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
        suites = ET.parse(report).getroot().iter("testsuite")  # noqa: S314 - pytest wrote it
        counts = [{key: int(suite.get(key, 0)) for key in _COUNTS} for suite in suites]
    except (OSError, ET.ParseError):
        return Outcome(failed=1, exit_code=exit_code or 1)
    total = {key: sum(count[key] for count in counts) for key in _COUNTS}
    failed = total["failures"] + total["errors"]
    passed = total["tests"] - failed - total["skipped"]
    return Outcome(passed, failed, total["skipped"], exit_code)


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
