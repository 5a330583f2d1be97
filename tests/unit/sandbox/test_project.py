"""The project: whatever its path, the names that are made from it are valid."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claudy.errors import USAGE, UsageError
from claudy.sandbox.project import NAME_LENGTH, Project, find_project, sanitise, too_wide
from claudy.sandbox.resolve import compose_name

if TYPE_CHECKING:
    from pathlib import Path

# moby daemon/names/names.go: RestrictedNamePattern; the same for volumes.
_DOCKER_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_NAMES = st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=60)


@given(_NAMES)
def test_any_name_becomes_a_valid_one(name: str) -> None:
    slug = f"{sanitise(name)}-01234567"
    project = Project(f"/x/{name}", slug, 1000, 1000)
    assert _DOCKER_NAME.fullmatch(sanitise(name) + "x")
    assert len(sanitise(name)) <= NAME_LENGTH
    assert _DOCKER_NAME.fullmatch(project.sandbox)
    assert _DOCKER_NAME.fullmatch(project.home_volume)
    assert project.id == "01234567"


@given(st.from_regex(r"[a-z0-9][a-z0-9_.-]{0,30}[a-z0-9]", fullmatch=True))
def test_a_usual_name_stays(name: str) -> None:
    if "--" not in name:
        assert sanitise(name) == name


def test_a_project_is_found_by_its_real_path(tmp_path: Path) -> None:
    (tmp_path / "My App").mkdir()
    (tmp_path / "link").symlink_to("My App")
    found = find_project(str(tmp_path / "link"))
    assert found == find_project(str(tmp_path / "My App" / ".." / "My App"))
    assert found.path == str((tmp_path / "My App").resolve())
    assert re.fullmatch(r"claudy-My-App-[0-9a-f]{8}", found.sandbox)
    assert (found.uid, found.gid) == (os.getuid(), os.getgid())


def test_two_projects_of_one_name_are_two(tmp_path: Path) -> None:
    for parent in ("a", "b"):
        (tmp_path / parent / "app").mkdir(parents=True)
    one, other = (find_project(str(tmp_path / parent / "app")) for parent in ("a", "b"))
    assert one.sandbox != other.sandbox
    assert one.home_volume != other.home_volume


@pytest.mark.parametrize(
    "name", ["a b", "quo'te\"s", "new\nline", "ünïcode", "-leading", "...", "$(x)`y`", "a" * 200]
)
def test_odd_names_are_found(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    found = find_project(str(tmp_path / name))
    assert found.path == str(tmp_path.resolve() / name)
    assert _DOCKER_NAME.fullmatch(found.sandbox)


def test_a_relative_name_with_a_dash_is_a_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "-x").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_project("./-x").path.endswith("/-x")


def code_and_words(directory: str) -> tuple[int, str]:
    with pytest.raises(UsageError) as caught:
        find_project(directory)
    assert caught.value.hint
    return caught.value.exit_code, caught.value.message


def test_what_is_no_project_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("nowhere")
    for name, words in {
        "none": "No such directory",
        "file": "is not a directory",
        "file/below": "can't be opened",
        "loop": "can't be opened",
        "dangling": "No such directory",
        "": "",
    }.items():
        path = str(tmp_path / name) if name else "/nonexistent"
        code, message = code_and_words(path)
        assert code == USAGE
        assert words in message


def test_a_path_that_the_engine_can_t_be_told_is_refused(tmp_path: Path) -> None:
    directory = os.fsencode(tmp_path) + b"/not-utf8-\xff"
    os.mkdir(directory)
    code, message = code_and_words(os.fsdecode(directory))
    assert code == USAGE
    assert "UTF-8" in message


def test_what_is_too_wide() -> None:
    def project(path: str) -> Project:
        return Project(path, "x-01234567", 0, 0)

    assert "whole file system" in too_wide(project("/"), "/home/me")
    assert "home" in too_wide(project("/home"), "/home")
    assert "home is in" in too_wide(project("/home"), "/home/me")
    assert not too_wide(project("/home/me/app"), "/home/me")
    trusted = ("/srv/claudy-0", "/run/docker.sock")
    for path in ("/srv", "/run", "/srv/claudy-0"):
        assert "what they trust" in too_wide(project(path), "/root", trusted)
    assert not too_wide(project("/srv/app"), "/root", trusted)


def test_what_leads_through_the_project_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = tmp_path.resolve()
    for name in ("project/inside", "outside", "home"):
        (top / name).mkdir(parents=True)
    (top / "project/file").touch()
    (top / "outside/file").touch()
    (top / "project/away").symlink_to("../outside")
    (top / "project/gone").symlink_to("../nowhere")
    (top / "home/file").symlink_to("../project/file")
    (top / "home/through").symlink_to("../project/away")
    (top / "home/loop").symlink_to("loop")
    (top / "home/project").symlink_to(top / "project")
    project = Project(str(top / "project"), "x-01234567", 0, 0)
    for bad in (
        "home/file", "home/through/file", "home/through", "home/project/none/yet",
        "project/away/file", "project/gone", "outside/../project/file",
    ):  # fmt: skip
        assert "what they trust" in too_wide(project, "", [str(top / bad)]), bad
    for good in ("outside/file", "home/none", "home/loop", "projects", "outside/../home"):
        assert not too_wide(project, "", [str(top / good)]), good
    monkeypatch.chdir(project.path)
    assert "what they trust" in too_wide(project, "", ["settings.toml"])


def test_a_current_directory_that_is_gone_is_not_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    project = Project("/srv/app", "app-01234567", 0, 0)
    assert not too_wide(project, "/root", ["/root/.config"])


def test_nothing_in_the_project_is_waited_for(tmp_path: Path) -> None:
    """Here a pipe that takes a file's place between two looks; for root a link to /proc/kmsg."""
    os.mkfifo(tmp_path / "compose.yaml")
    text = (
        "import os, sys; os.path.isfile = os.path.lexists\n"
        "from claudy.sandbox.resolve import compose_name; print(compose_name(sys.argv[1]))"
    )
    argv = [sys.executable, "-c", text, str(tmp_path)]
    said = subprocess.run(argv, stdout=subprocess.PIPE, text=True, timeout=60, check=True).stdout
    assert said.strip()


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({}, ""),
        ({".env": "COMPOSE_PROJECT_NAME=x"}, ""),
        ({"compose.yaml": ""}, "app1"),
        ({"compose.yaml": "services:\n  name: x\n", ".env": "X=1\n"}, "app1"),
        ({"docker-compose.yml": "# \xff\r\nname: x\r\n"}, ""),
        ({"compose.yml": "", ".env": "A=1\nCOMPOSE_PROJECT_NAME=x\n"}, ""),
    ],
)
def test_what_compose_would_call_it(tmp_path: Path, files: dict[str, str], name: str) -> None:
    project = tmp_path / "App 1"
    project.mkdir()
    for file, content in files.items():
        (project / file).write_bytes(content.encode("latin-1"))
    assert compose_name(str(project)) == name
