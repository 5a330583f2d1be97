"""Without an engine a test is skipped and named at the end, or fails where engines are required."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engines.suite import run_suite

_ROOT = Path(__file__).parents[2]
_TESTS = """
def test_needs_one(engine): pass
def test_needs_it_too(engine, registry): pass
def test_needs_none(): pass
def test_fails(): raise ValueError
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "test_it.py").write_text(_TESTS)
    return tmp_path


def _pytest(project: Path, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    dropped = {"CI", "CLAUDY_TEST_ENGINE"}
    environment = {name: value for name, value in os.environ.items() if name not in dropped}
    # An instance of which no engine can be up.
    environment |= {"PYTHONPATH": str(_ROOT), "CLAUDY_TEST_INSTANCE": "none"}
    environment |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"} | variables
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "tests.engines.plugin", *options],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_a_choice_it_is_skipped_and_said(project: Path) -> None:
    done = _pytest(project)

    assert "1 failed, 1 passed, 2 skipped" in done.stdout
    assert "2 not run: needs --engine NAME; up: none (python -m tests.engines up)" in done.stdout


def test_an_engine_that_is_not_up_is_named(project: Path) -> None:
    assert "2 not run: needs engine 26.1; up: none" in _pytest(project, "--engine", "26.1").stdout


@pytest.mark.parametrize("options", [["--require-engines"], []])
def test_where_engines_are_required_it_fails(project: Path, options: list[str]) -> None:
    variables = {} if options else {"CI": "true"}

    done = _pytest(project, *options, "--deselect", "test_it.py::test_fails", **variables)

    assert done.returncode == 1
    assert "1 passed, 1 deselected, 2 errors" in done.stdout


def test_the_marker_selects_what_needs_an_engine(project: Path) -> None:
    assert "2 skipped, 2 deselected" in _pytest(project, "-m", "engine").stdout


def test_the_suite_ends_in_one_line_that_counts_all(
    project: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(_ROOT))

    code = run_suite(
        [], "none", ["-p", "tests.engines.plugin", "--rootdir", str(project), str(project)]
    )

    out = capfd.readouterr().out.splitlines()
    assert code == 1
    assert out[-1] == "1 passed, 1 failed, 0 skipped"
    assert any(line.startswith("[no engine] FAILED") for line in out)


def test_a_test_that_hangs_fails_and_the_next_one_runs(project: Path) -> None:
    hanging = "import signal, pytest\nfrom tests.engines import patience\npatience._SECONDS = 1\n"
    (project / "test_it.py").write_text(
        f"{hanging}def test_hangs(): signal.pause()\ndef test_ends(): pass\n"
    )
    (project / "conftest.py").write_text(hanging)

    done = _pytest(project, "-p", "tests.engines.patience")

    assert "test_hangs hangs: no end after 1 s" in done.stdout
    assert "1 failed, 1 passed" in done.stdout
