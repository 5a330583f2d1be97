"""Fixtures of the doctor's tests: the machine that may be broken."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.engine.doctor.machine import Machine, bring_up, take_down
from tests.setup.bare import require_root

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def _machine(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machine]:
    """Make the machine once."""
    require_root(pytestconfig)
    machine = bring_up(tmp_path_factory.mktemp("machine") / "root")
    yield machine
    take_down(machine)


@pytest.fixture
def machine(_machine: Machine) -> Iterator[Machine]:
    """Return a machine on which nothing runs, with an engine installed."""
    _machine.reset()
    yield _machine
    _machine.halt()
