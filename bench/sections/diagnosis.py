"""How soon a launch that can't succeed says why: the doctor's own tests break things, for real."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections import defaultdict
from typing import TYPE_CHECKING

from bench.installed import TREE, clean_environment
from bench.measure import Case, Row, Target
from bench.processes import Failed
from tests.engines.layout import ENGINE_VARIABLE
from tests.running.diagnosis import FILE

if TYPE_CHECKING:
    from bench.measure import Bench
    from bench.stage import Stage

TITLE = "`claudy` alone, to its end, in a broken state"
TESTS = [
    f"tests/engine/doctor/test_{name}.py"
    for name in ("api_version", "broken_engine", "chosen", "elsewhere", "ssh", "unreachable")
]
TESTS.append("tests/engine/doctor/test_image_and_disk.py")
# Tests in which only silence says that something is wrong: it has to be waited for.
SILENT = ("hangs", "blackhole")
UNANSWERED = ", silence"


def measure(bench: Bench, stage: Stage) -> None:
    """Run those tests, each state once, and judge the slowest."""
    if (
        os.geteuid()
        or importlib.util.find_spec("pytest") is None
        or ENGINE_VARIABLE not in os.environ
    ):
        why = "needs root, pytest and a test engine (python -m tests.engines exec)"
        bench.skip(TITLE, why)
        return
    file = stage.directory / "diagnoses"
    environment = {**clean_environment(), **_chosen(), FILE: str(file)}
    tests = TESTS[1:2] if bench.quick else TESTS
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(
        command, cwd=TREE, env=environment, stdin=subprocess.DEVNULL, check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        raise Failed(f"the doctor's tests: {done.stdout[-2000:]}")
    found: defaultdict[str, list[float]] = defaultdict(list)
    for line in file.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        silent = any(word in entry["test"] for word in SILENT)
        found[entry["finding"] + UNANSWERED * silent].append(entry["seconds"])
    rows = [Row(finding, tuple(seconds)) for finding, seconds in sorted(found.items())]
    soon = [max(row.samples) for row in rows if not row.name.endswith(UNANSWERED)]
    late = [max(row.samples) for row in rows if row.name.endswith(UNANSWERED)]
    slowest, patient = "the slowest", "the slowest with silence"
    targets = []
    if soon:
        rows.append(Row(slowest, (max(soon),)))
        targets.append(Target(slowest, 2.0))
    if late:
        rows.append(Row(patient, (max(late),)))
        targets.append(Target(patient, 6.0))
    bench.add(Case(TITLE, (), tuple(targets), unit="s"), rows)


def _chosen() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k.startswith("CLAUDY_TEST_")}
