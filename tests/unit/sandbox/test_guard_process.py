"""What the guard's process has of the one that starts it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from claudy.errors import ClaudyError
from claudy.sandbox.guarding import Guard

if TYPE_CHECKING:
    from pathlib import Path

SAY = """
import os, sys
with open(sys.argv[1], "w") as file:
    print(os.environ.get("PYTHONPATH"), *sorted(os.listdir("/proc/self/fd"), key=int), file=file)
    print(*(os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd")
            if os.path.lexists(f"/proc/self/fd/{n}")), file=file)
os.write(int(sys.argv[sys.argv.index("--ready-fd") + 1]), b"ready")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path.resolve() / "project").mkdir()
    return tmp_path.resolve() / "project"


def started(tmp_path: Path, project: Path) -> list[str]:
    """Start a guard's process that says what it has, and return that."""
    said = tmp_path / "said"
    argv = (sys.executable, "-P", "-S", "-c", SAY, str(said), "--project", str(project))
    starting = Guard(str(tmp_path / "guard"), argv).start()
    starting.wait()
    os.waitpid(starting.pid, 0)
    return said.read_text().splitlines()


def test_it_has_no_descriptors_of_the_caller_s(tmp_path: Path, project: Path) -> None:
    reader, writer = os.pipe()
    high = os.dup2(writer, 200)
    try:
        pipe = os.readlink(f"/proc/self/fd/{high}")
        assert os.get_inheritable(high)
        assert pipe not in started(tmp_path, project)[1].split()
    finally:
        for number in (reader, writer, high):
            os.close(number)


def test_it_imports_nothing_from_the_project(
    tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fine = tmp_path / "lib"
    fine.mkdir()
    (tmp_path / "link").symlink_to(project)
    (project / "out").symlink_to(fine)
    places = ("", "lib", ".", project, project / "lib", tmp_path / "link", project / "out", fine)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, places)))
    assert started(tmp_path, project)[0].split()[0] == str(fine)


def test_one_that_ended_with_its_log_has_said_nothing(tmp_path: Path, project: Path) -> None:
    argv = (sys.executable, "-P", "-S", "-c", "pass", "--project", str(project))
    starting = Guard(str(tmp_path / "guard"), argv).start()
    os.waitpid(starting.pid, 0)
    (tmp_path / "guard.log").unlink()
    with pytest.raises(ClaudyError, match="it said nothing"):
        starting.wait()
