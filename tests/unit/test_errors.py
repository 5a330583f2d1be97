"""One tree of errors: each with a code of its own, and an exit code of the contract."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

import claudy
from claudy.errors import FAILED, INTERRUPTED, USAGE, APIError, ClaudyError

if TYPE_CHECKING:
    from collections.abc import Iterator


def every_error() -> Iterator[type[ClaudyError]]:
    for module in pkgutil.walk_packages(claudy.__path__, "claudy."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    waiting: list[type[ClaudyError]] = [ClaudyError]
    seen = set()
    while waiting:
        error = waiting.pop()
        if error not in seen:
            seen.add(error)
            waiting += error.__subclasses__()
            yield error


def test_every_error_has_a_code_and_an_exit_code() -> None:
    for error in every_error():
        assert error.code, error
        assert error.code == error.code.lower(), error
        assert " " not in error.code, error
        assert error.exit_code in (USAGE, FAILED, INTERRUPTED), error
        assert error.__doc__, error


def test_codes_tell_errors_apart() -> None:
    own = [error.code for error in every_error() if "code" in error.__dict__]
    assert len(own) == len(set(own)), sorted(own)


def test_an_exit_code_can_be_given() -> None:
    assert ClaudyError("x").exit_code == FAILED
    assert ClaudyError("x", exit_code=USAGE).exit_code == USAGE
    assert ClaudyError.exit_code == FAILED


def test_an_api_error_has_the_engine_s_words() -> None:
    error = APIError(404, "no such container: x", "GET /containers/x/json")
    assert str(error) == ("The Docker engine refused GET /containers/x/json: no such container: x")
    assert error.detail == "no such container: x"
