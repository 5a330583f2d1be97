"""The recipe of the bundled image: its arguments, its base and its build context."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

import pytest

from claudy.errors import UsageError
from claudy.image.context import make_recipe, parse_build_arg
from claudy.image.reference import bundled_reference, native_platform

if TYPE_CHECKING:
    from pathlib import Path

AMD = "linux/amd64"


def test_the_base_is_debian_unless_another_is_named() -> None:
    assert make_recipe({}, AMD).base == "debian:trixie-slim"
    assert make_recipe({"BASE_IMAGE": "mine:1"}, AMD).base == "mine:1"


def test_recipe_and_launch_path_name_the_same_image() -> None:
    assert make_recipe({}, native_platform()).reference == bundled_reference()


def test_an_unknown_build_argument_is_a_usage_error_that_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="Unknown build argument 'DOCKER_VERSION'") as error:
        make_recipe({"DOCKER_VERSION": "1"}, AMD)
    assert error.value.exit_code == 2
    assert "DOCKER_CLI_VERSION" in error.value.hint


def test_docker_knows_the_proxy_arguments_by_itself() -> None:
    assert dict(make_recipe({"HTTP_PROXY": "http://p"}, AMD).build_args) == {
        "HTTP_PROXY": "http://p"
    }


def test_build_arguments_with_and_without_value() -> None:
    env = {"HERE": "from here"}
    assert parse_build_arg("K=V=W", env) == ("K", "V=W")
    assert parse_build_arg("K=", env) == ("K", "")
    assert parse_build_arg("HERE", env) == ("HERE", "from here")


@pytest.mark.parametrize("text", ["=V", "", "GONE"])
def test_a_build_argument_without_name_or_value_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        parse_build_arg(text, {})


def test_the_context_is_the_same_bytes_whatever_modes_and_times_are(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile.hal9000").write_text("ARG BASE_IMAGE=x\n")
    (tmp_path / "helper").write_text("text")
    first = make_recipe({}, AMD, str(tmp_path)).context()
    (tmp_path / "helper").chmod(0o755)
    (tmp_path / "helper").touch()
    assert make_recipe({}, AMD, str(tmp_path)).context() == first
    with tarfile.open(fileobj=io.BytesIO(first)) as archive:
        assert archive.getnames() == ["Dockerfile.hal9000", "helper"]
        assert {(member.uid, member.mode) for member in archive} == {(0, 0o644)}


def test_what_is_edited_meanwhile_changes_neither_name_nor_context(tmp_path: Path) -> None:
    path = tmp_path / "Dockerfile.hal9000"
    path.write_text("ARG BASE_IMAGE=x\n")
    recipe = make_recipe({}, AMD, str(tmp_path))
    before = recipe.reference, recipe.context()
    path.write_text("ARG BASE_IMAGE=y\n")
    assert (recipe.reference, recipe.context()) == before
    assert make_recipe({}, AMD, str(tmp_path)).reference != recipe.reference
