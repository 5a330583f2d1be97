"""The tag changes with everything that goes in, and with nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claudy.errors import ClaudyError, UsageError
from claudy.image.reference import (
    DOCKERFILE,
    bundled_reference,
    context_files,
    digest,
    docker_folder,
    native_platform,
    parse_platform,
    source_files,
    user_reference,
)

AMD = "linux/amd64"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copy = tmp_path / "docker"
    shutil.copytree(docker_folder(), copy)
    return copy


def test_reference_is_the_name_and_sixteen_hex_digits() -> None:
    name, _, tag = bundled_reference().partition(":")
    assert name == "hal9000"
    assert len(tag) == 16
    assert set(tag) <= set("0123456789abcdef")


def test_same_content_elsewhere_has_the_same_reference(folder: Path) -> None:
    assert bundled_reference(folder=str(folder)) == bundled_reference()


def test_modes_times_and_hidden_files_are_no_part_of_it(folder: Path) -> None:
    for path in folder.iterdir():
        path.chmod(0o755)
        os.utime(path, (1, 1))
    (folder / ".Dockerfile.hal9000.swp").write_text("an editor's")
    (folder / "bashrc~").write_text("an editor's")
    (folder / "__pycache__").mkdir()
    assert bundled_reference(folder=str(folder)) == bundled_reference()


@pytest.mark.parametrize("name", [DOCKERFILE, "bashrc", "claudy-init", "install-packages"])
def test_editing_any_file_changes_it(folder: Path, name: str) -> None:
    before = bundled_reference(folder=str(folder))
    with (folder / name).open("a") as file:
        file.write("\n")
    assert bundled_reference(folder=str(folder)) != before


def test_adding_removing_and_renaming_a_file_changes_it(folder: Path) -> None:
    found = {bundled_reference(folder=str(folder))}
    (folder / "more").write_text("text")
    found.add(bundled_reference(folder=str(folder)))
    (folder / "more").rename(folder / "other")
    found.add(bundled_reference(folder=str(folder)))
    (folder / "bashrc").unlink()
    found.add(bundled_reference(folder=str(folder)))
    assert len(found) == 4


def test_build_arguments_and_platform_change_it() -> None:
    found = {
        bundled_reference(),
        bundled_reference({"DOCKER_CLI_VERSION": "26.1"}),
        bundled_reference({"DOCKER_CLI_VERSION": "27"}),
        bundled_reference({"APT_MIRROR": "26.1"}),
        bundled_reference(platform="linux/s390x"),
    }
    assert len(found) == 5


def test_proxies_say_how_not_what() -> None:
    assert bundled_reference({"HTTPS_PROXY": "http://proxy:1", "no_proxy": "*"}) == (
        bundled_reference()
    )


def test_naming_the_native_platform_changes_nothing() -> None:
    assert bundled_reference(platform=native_platform()) == bundled_reference()


@given(
    st.lists(st.tuples(st.text("ab/\0", max_size=3), st.binary(max_size=4)), max_size=4),
    st.lists(st.tuples(st.text("ab/\0", max_size=3), st.binary(max_size=4)), max_size=4),
)
def test_different_files_never_share_a_digest(
    one: list[tuple[str, bytes]], other: list[tuple[str, bytes]]
) -> None:
    same = digest(one, {}, AMD) == digest(other, {}, AMD)
    assert same == (one == other)


def test_arguments_are_not_confused_with_their_values() -> None:
    assert digest([], {"A": "B\0arg\0C\0D"}, AMD) != digest([], {"A": "B", "C": "D"}, AMD)


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("linux/amd64", "linux/amd64"),
        ("amd64", "linux/amd64"),
        ("x86_64", "linux/amd64"),
        ("LINUX/ARM64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("aarch64", "linux/arm64"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/v6", "linux/arm/v6"),
        ("linux/riscv64", "linux/riscv64"),
    ],
)
def test_platforms_have_one_spelling(text: str, platform: str) -> None:
    assert parse_platform(text) == platform


@pytest.mark.parametrize(
    "text", ["windows/amd64", "linux/", "linux/pdp11", "a/b/c/d", " ", "arm/v9"]
)
def test_unknown_platform_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="Unknown platform") as error:
        parse_platform(text)
    assert error.value.exit_code == 2
    assert "linux/arm64" in error.value.hint


def test_missing_and_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ClaudyError, match="nowhere can't be read: No such file"):
        source_files(str(tmp_path / "nowhere"))
    with pytest.raises(ClaudyError, match="gone can't be read"):
        list(context_files([str(tmp_path / "gone")]))


def test_user_reference_changes_with_base_and_user() -> None:
    found = {
        user_reference("sha256:a", 1, 2, "u", "/home/claudy"),
        user_reference("sha256:b", 1, 2, "u", "/home/claudy"),
        user_reference("sha256:a", 12, 2, "u", "/home/claudy"),
        user_reference("sha256:a", 1, 22, "u", "/home/claudy"),
        user_reference("sha256:a", 1, 2, "v", "/home/claudy"),
        user_reference("sha256:a", 1, 2, "u", "/home/other"),
    }
    assert len(found) == 6
    assert all(name.startswith("claudy-user:") for name in found)


def test_a_name_that_is_not_utf8_has_a_reference() -> None:
    assert user_reference("sha256:a", 1, 2, os.fsdecode(b"j\xf6rg"), "/home/claudy")


def test_the_launch_path_imports_nothing_heavy() -> None:
    heavy = "{'dataclasses', 'typing', 'json', 're', 'enum', 'pathlib', 'subprocess', 'hashlib'}"
    code = (
        "import sys; import claudy.image.reference, claudy.image.ensure;"
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
