"""The fixtures that give tests a real engine, and the options that choose it.

A process tests one engine, from inside its room: `--engine 26.1` enters it, and the harness's own
`test` action does so for each. Without a choice, a test that needs an engine is skipped, which the
last lines say; with `--require-engines` or CI=true it fails.
"""

from __future__ import annotations

import os
import secrets
import socket
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from tests.engines.certificates import certificates
from tests.engines.engine import FOREIGN, Engine, engines_up, find_engine, in_room_of
from tests.engines.images import LABEL
from tests.engines.layout import (
    DATA,
    DOCKER_GROUP_ID,
    ENGINE_VARIABLE,
    KINDS,
    PASSWORD_REGISTRY_PORT,
    REGISTRY_PORT,
    TEMPORARY,
    TLS_PORT,
    USER,
    USER_ID,
    Place,
    chosen_instance,
    is_everybodys,
)
from tests.engines.leftovers import find_leftovers
from tests.engines.registry import PASSWORD
from tests.engines.registry import USER as REGISTRY_USER
from tests.engines.room import command_in
from tests.engines.values import OrdinaryUser, PasswordRegistry, TlsEndpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MISSING: pytest.StashKey[set[str]] = pytest.StashKey()
_RUN: pytest.StashKey[str] = pytest.StashKey()
_NOT_RUN = ("skipped", "error", "failed")
MARK = "engine"
ONCE = "once"
APART = "apart"
_FIRST = "first"
_BESIDE = frozenset({"claudy_without_image", "registry"})
"""Fixtures of what only the first set of engines has."""
_MARKERS = {
    MARK: "needs a real engine (set by its fixtures)",
    ONCE: "which engine the run is for makes no difference; the whole suite runs it with one",
    APART: "of the guard by itself, without image or registry (set by its place and fixtures)",
    f"{_FIRST}(turn)": "makes what later tests find, and comes before them: it is made once",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that choose the engine."""
    group = parser.getgroup("engines", "real Docker engines")
    group.addoption(
        "--engine",
        choices=[*KINDS, FOREIGN],
        default=os.environ.get(ENGINE_VARIABLE),
        help="the engine to test with; 'host' is the machine's own, where none can be made",
    )
    group.addoption(
        "--require-engines",
        action="store_true",
        default=os.environ.get("CI") == "true",
        help="fail, not skip, without the engine or a shell (default with CI=true)",
    )

    group.addoption(
        "--last-first",
        action="store_true",
        help="files in reverse order: beside a run in order, that waits where this one computes",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Name this run, give it a directory that all users reach, and declare the engine marker."""
    if not is_everybodys(TEMPORARY):
        os.environ.setdefault("TMPDIR", "/var/tmp")  # noqa: S108 - pytest makes its own below
        tempfile.tempdir = None  # asked for already by pytest
    config.stash[_MISSING] = set[str]()
    config.stash[_RUN] = f"run{secrets.token_hex(4)}"
    for name, meaning in _MARKERS.items():
        config.addinivalue_line("markers", f"{name}: {meaning}")


def pytest_cmdline_main(config: pytest.Config) -> None:
    """Enter the room of the chosen engine: run this very command again inside it."""
    name = config.getoption("engine")
    if name is None or in_room_of(name, chosen_instance()):
        return
    if name not in engines_up(chosen_instance()):
        return  # the tests say that it is missing
    place = Place(name, chosen_instance())
    again = [sys.executable, "-m", "pytest", *config.invocation_params.args]
    sys.stdout.flush()
    os.chdir(config.invocation_params.dir)
    whole = command_in(place, again)
    os.execvp(whole[0], whole)  # noqa: S606 - no shell is what is wanted


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> Iterator[None]:
    """Mark the tests that need an engine, so that `-m engine` selects them; order what is left."""
    needs = {"engine", "rootless_engine", "userns_engine"}
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if needs & fixtures:
            item.add_marker(MARK)
            if item.path.parent.name == "guard" and not _BESIDE & fixtures:
                item.add_marker(APART)
    yield
    if config.getoption("last_first"):
        files = {path: -number for number, path in enumerate(item.path for item in items)}
        items.sort(key=lambda item: files[item.path])
    turns = {item: item.get_closest_marker(_FIRST) for item in items}
    items.sort(key=lambda item: found.args[0] if (found := turns[item]) else len(turns))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter,
    config: pytest.Config,
) -> None:
    """Say what was not tested for want of an engine or a shell."""
    ended = [
        str(report.longrepr) for kind in _NOT_RUN for report in terminalreporter.stats.get(kind, ())
    ]
    reasons = config.stash[_MISSING]
    for reason in sorted(reasons):
        count = sum(reason in text for text in ended)
        terminalreporter.write_line(f"{count} not run: {reason}", yellow=True)


def do_without(config: pytest.Config, reason: str) -> NoReturn:
    """Skip for want of something, and say so at the end; fail where engines are required."""
    config.stash[_MISSING].add(reason)
    if config.getoption("require_engines"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def run_label(pytestconfig: pytest.Config) -> str:
    """Return the value of the test label of this run."""
    return pytestconfig.stash[_RUN]


@pytest.fixture(scope="session")
def _engines(
    pytestconfig: pytest.Config,
    run_label: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str | None], Engine]]:
    """Give out engines, and at the end check that each is left as it was found."""
    base = tmp_path_factory.getbasetemp().resolve()
    found: dict[str, Engine] = {}

    def give(name: str | None) -> Engine:
        instance = chosen_instance()
        if name in found:
            return found[name]
        engine = None
        if name:
            shared = name != pytestconfig.getoption("engine")
            settings = base / f"docker-config-{name}"
            engine = find_engine(name, instance, settings, shared=shared)
        if engine is None:
            up = ", ".join(engines_up(instance)) or "none"
            wanted = f"engine {name}" if name else "--engine NAME"
            do_without(pytestconfig, f"needs {wanted}; up: {up} (python -m tests.engines up)")
        found[engine.name] = engine
        return engine

    yield give
    problems = []
    for engine in found.values():
        for left in find_leftovers(engine.api, run_label, base):
            left.remove(engine.api)
            if not left.expected:
                problems.append(f"{left.kind} {left.name} in engine {engine.name}")
        still = find_leftovers(engine.api, run_label, base)
        problems += [f"{left.kind} {left.name}, which can't be removed" for left in still]
    assert not problems, f"tests left behind: {', '.join(problems)}"


@pytest.fixture(scope="session")
def engine(pytestconfig: pytest.Config, _engines: Callable[[str | None], Engine]) -> Engine:
    """Return the engine that this run is for, as chosen with --engine."""
    return _engines(pytestconfig.getoption("engine"))


@pytest.fixture(scope="session")
def rootless_engine(_engines: Callable[[str | None], Engine]) -> Engine:
    """Return a rootless engine, run by the user of `ordinary_user`.

    Its socket answers from any room; ports that its containers publish are in its own
    (`Engine.in_room`).
    """
    return _engines("rootless")


@pytest.fixture(scope="session")
def userns_engine(_engines: Callable[[str | None], Engine]) -> Engine:
    """Return an engine with userns-remap; its published ports are in its own room."""
    return _engines("userns")


@pytest.fixture
def label(run_label: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """Return a label, unique to the test, for all that it makes; removed with all that has it.

    Use it as `docker run --label LABEL`.
    """
    value = f"{run_label}-{secrets.token_hex(4)}"
    yield f"{LABEL}={value}"
    for name in ("engine", "rootless_engine", "userns_engine"):
        if name in request.fixturenames:
            engine: Engine = request.getfixturevalue(name)
            for left in find_leftovers(engine.api, value, Path("/nonexistent")):
                left.remove(engine.api)


@pytest.fixture
def registry(engine: Engine, pytestconfig: pytest.Config) -> str:
    """Return host:port of a container registry that tests and engine reach."""
    return _listening(engine, REGISTRY_PORT, pytestconfig)


@pytest.fixture
def password_registry(engine: Engine, pytestconfig: pytest.Config) -> PasswordRegistry:
    """Return a container registry that asks for a user name and a password."""
    address = _listening(engine, PASSWORD_REGISTRY_PORT, pytestconfig)
    return PasswordRegistry(address=address, user=REGISTRY_USER, password=PASSWORD)


def _listening(engine: Engine, port: int, config: pytest.Config) -> str:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        reason = f"needs a registry on 127.0.0.1:{port} beside engine {engine.name}"
        do_without(config, f"{reason} (python -m tests.engines up)")
    return f"127.0.0.1:{port}"


@pytest.fixture
def tls(engine: Engine, pytestconfig: pytest.Config) -> TlsEndpoint:
    """Return where the engine answers over TLS, with good and with wrong certificates."""
    if engine.place is None or KINDS[engine.name].rootless:
        do_without(pytestconfig, f"needs an engine with TLS, which {engine.name} is not")
    keys = certificates()
    return TlsEndpoint(
        host=f"tcp://127.0.0.1:{TLS_PORT}",
        certificates=keys,
        wrong_certificates=keys / "wrong",
    )


@pytest.fixture
def hang(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the DOCKER_HOST of a daemon that hangs: it takes connections and never answers."""
    path = tmp_path_factory.mktemp("hang") / "docker.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(64)  # the kernel completes connections; nobody ever accepts one
        yield f"unix://{path}"


@pytest.fixture(scope="session")
def ordinary_user(engine: Engine) -> OrdinaryUser:
    """Return an ordinary user: has a passwd entry and may not use the socket by itself."""
    if engine.place is None or os.geteuid() != 0:
        pytest.skip("needs a test engine and root, to become an ordinary user")
    return OrdinaryUser(
        name=USER, uid=USER_ID, gid=USER_ID, docker_gid=DOCKER_GROUP_ID, home=DATA / "home"
    )
