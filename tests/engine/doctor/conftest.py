"""Fixtures of the doctor's tests: the machine that may be broken."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.engine.doctor.machine import Machine, bring_up, take_down
from tests.engines.roots import prepare_host

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def _machine(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machine]:
    """Make the machine once."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        missing = "a machine can only be made as root on Debian or Ubuntu"
        if pytestconfig.getoption("require_engines"):
            pytest.fail(missing)
        pytest.skip(missing)
    prepare_host()
    machine = bring_up(tmp_path_factory.mktemp("machine") / "root")
    yield machine
    take_down(machine)


@pytest.fixture
def machine(_machine: Machine) -> Iterator[Machine]:
    """Return a machine on which nothing runs, with an engine installed."""
    _machine.reset()
    yield _machine
    _machine.halt()
