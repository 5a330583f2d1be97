"""What is printed: plain lines, JSON with its schema, and what the command line refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from claudy.cli.console import Console
from claudy.cli.doctor_report import PlainWriter, PrettyWriter, document, writer_for
from claudy.doctor.checks import CHECKS
from claudy.doctor.fixes.model import Fix
from claudy.doctor.model import SCHEMA, Check, Outcome, Report, Result, fail, ok
from claudy.host.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[3]


def result(name: str, outcome: Outcome) -> Result:
    return Result(Check(name, name.title(), lambda _context: outcome), outcome, 0.25)


BROKEN = fail(Finding("it-broke", "It is broken.", "mend it", "mend"), "Because.", path="/x")
REPORT = Report((result("endpoint", ok("there", url="unix:///x")), result("b", BROKEN)), 0.5)


def claudy(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "claudy", *words],
        cwd=ROOT, env={**os.environ, **env}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_json_document() -> None:
    fix = Fix("mend", "Mend it", ("mend it",), lambda _notify: None)
    found = document(REPORT, [(fix, "no")])
    assert json.loads(json.dumps(found)) == found
    assert found["schema"] == SCHEMA == 1
    assert found["ok"] is False
    assert found["endpoint"] == {"url": "unix:///x"}
    assert found["counts"] == {"ok": 1, "warn": 0, "fail": 1, "crash": 0, "skip": 0}
    assert found["checks"][1] == {
        "id": "b",
        "title": "B",
        "status": "fail",
        "seen": "It is broken.",
        "why": "Because.",
        "finding": "it-broke",
        "remedy": "mend it",
        "fixable": True,
        "seconds": 0.25,
        "data": {"path": "/x"},
    }
    assert found["fixes"] == [
        {"id": "mend", "title": "Mend it", "commands": ["mend it"], "problem": "no"}
    ]


def test_plain_lines(capfd: pytest.CaptureFixture[str]) -> None:
    writer = PlainWriter(Console({}))
    for entry in REPORT.results:
        writer.result(entry)
    writer.finish(REPORT, [])
    lines = capfd.readouterr().out.splitlines()
    assert lines[0] == "ok    endpoint       there"
    assert lines[1] == "fail  b              It is broken."
    assert [line.strip() for line in lines[2:4]] == ["Because.", "Try: mend it"]
    assert lines[4] == "1 ok, 1 failed in 0.5 s"


@pytest.fixture
def narrow(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[[Callable[[PrettyWriter], None]], list[str]]:
    """Return a function that returns what is shown on a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")

    def shown(show: Callable[[PrettyWriter], None]) -> list[str]:
        show(PrettyWriter(Console({"NO_COLOR": "1"})))
        return capfd.readouterr().out.splitlines()

    return shown


ORDERS = "\x1b]0;title\x07\x1b[2J\nok    forged"
WICKED = result("tools", fail(Finding("x", ORDERS, f"do {ORDERS}"), f"why {ORDERS}"))


def test_what_an_image_says_gives_the_terminal_no_orders(
    narrow: Callable[[Callable[[PrettyWriter], None]], list[str]],
    capfd: pytest.CaptureFixture[str],
) -> None:
    PlainWriter(Console({})).result(WICKED)
    plain = capfd.readouterr().out
    assert plain.count("\\x1b[2J\\nok") == 3
    assert len(plain.splitlines()) == 3
    pretty = "\n".join(narrow(lambda writer: writer.result(WICKED)))
    for shown in (plain, pretty):
        assert "\x1b" not in shown
        assert "\x07" not in shown
    assert not [line for line in pretty.splitlines() if line.startswith("ok")]


def test_every_id_is_readable_on_a_terminal(
    narrow: Callable[[Callable[[PrettyWriter], None]], list[str]],
) -> None:
    lines = narrow(lambda writer: writer.catalogue(CHECKS))
    assert [line.split()[0] for line in lines] == [check.id for check in CHECKS]


def test_a_command_is_one_line_and_words_are_wrapped(
    narrow: Callable[[Callable[[PrettyWriter], None]], list[str]],
) -> None:
    command = "sudo groupadd -f docker && " * 6 + "true"
    lines = narrow(lambda writer: writer.result(result("b", fail(Finding("b", "Bad.", command)))))
    assert lines[-1].strip() == f"Try: {command}"
    words = "Ask somebody who knows. " * 6 + "Then do it."
    lines = narrow(lambda writer: writer.result(result("b", fail(Finding("b", "Bad.", words)))))
    assert all(len(line.rstrip()) <= 80 for line in lines)
    assert " ".join(" ".join(lines).split()).endswith(f"Try: {words}")


def test_without_a_terminal_it_is_plain() -> None:
    assert isinstance(writer_for(Console({}), as_json=False), PlainWriter)


def test_list_checks() -> None:
    done = claudy("doctor", "--list-checks")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == [c.id for c in CHECKS]


def test_list_checks_as_json() -> None:
    done = claudy("doctor", "--list-checks", "--json")
    found = json.loads(done.stdout)
    assert found["schema"] == SCHEMA
    assert [entry["id"] for entry in found["checks"]] == [c.id for c in CHECKS]


def test_unknown_check_has_a_suggestion() -> None:
    done = claudy("doctor", "endpiont")
    assert done.returncode == 2
    assert "Did you mean endpoint?" in done.stderr
    assert "claudy doctor --list-checks" in done.stderr


def test_json_is_one_object_also_when_all_fails(tmp_path: Path) -> None:
    done = claudy("doctor", "--json", DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    assert done.returncode == 1
    assert json.loads(done.stdout)["ok"] is False
    assert done.stderr == ""


def test_no_remedy_loosens_the_sockets_mode() -> None:
    for path in (ROOT / "claudy").rglob("*.py"):
        assert "666" not in path.read_text() or "chmod" not in path.read_text(), path
