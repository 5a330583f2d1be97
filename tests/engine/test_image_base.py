"""The base image where no registry helps: bootstrapped from the host's own package mirror.

It is made on the host, whichever engine takes it in; the one of Debian 12 does so in
`tests/setup/test_first_run.py`.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from claudy.containers.lifecycle import Registry
from claudy.containers.pruning import find_unused
from claudy.errors import ConfirmationNeeded, Declined
from claudy.image.base import BOOTSTRAPPED, ensure_base
from claudy.image.bootstrap import bootstrap
from claudy.image.events import Done, Log, Notice, Phase
from claudy.image.failures import BuildFailed, ImageError, RegistryDown
from claudy.image.images import find_image, remove_image
from claudy.image.make import make_bundled
from claudy.record import replace
from tests.engine.small import Small, small_tree
from tests.engines.shell import wait_for
from tests.running.program import SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from claudy.image.events import Event
    from tests.engines.engine import Engine
    from tests.running.program import Claudy

DOWN = RegistryDown("docker.io can't be reached.", "claudy doctor")


@pytest.fixture
def small(tmp_path: Path, label: str, claudy: Claudy) -> Iterator[Small]:
    with small_tree(tmp_path, label, claudy) as tree:
        yield tree


@pytest.fixture
def nobody() -> str:
    """Return an address on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def silent() -> Iterator[str]:
    """Return the address of a registry that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def no_bootstrapped(small: Small) -> Iterator[None]:
    """Have no bootstrapped base before, and none after."""
    engine = small.workshop([]).engine
    remove_image(engine, BOOTSTRAPPED)
    yield
    remove_image(engine, BOOTSTRAPPED)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a folder for PATH in which there is everything but mmdebstrap and apt-get."""
    folder = tmp_path / "path"
    folder.mkdir()
    for place in os.environ["PATH"].split(":"):
        for program in Path(place).glob("*") if place else ():
            link = folder / program.name
            if program.name not in ("mmdebstrap", "apt-get") and not link.is_symlink():
                link.symlink_to(program)
    return folder


@pytest.fixture
def apt(path: Path) -> None:
    """Have apt-get on that PATH."""
    found = shutil.which("apt-get")
    if not found:
        pytest.skip("needs apt-get")
    (path / "apt-get").symlink_to(found)


@pytest.mark.once
@pytest.mark.usefixtures("no_bootstrapped")
def test_without_a_registry_the_base_is_made_said_in_a_line_and_used(
    small: Small, nobody: str, engine: Engine
) -> None:
    small.write(base=f"{nobody}/debian:trixie-slim", more="RUN cat /etc/os-release; apt-get check")
    events: list[Event] = []
    # A Python that the user has in front is none of mmdebstrap's business.
    (small.root / "bin").mkdir()
    python = small.root / "bin/python3"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    workshop = small.workshop(events, PATH=f"{python.parent}:{small.environment['PATH']}")
    recipe = small.recipe()
    make_bundled(workshop, recipe)
    (notice,) = [event.text for event in events if isinstance(event, Notice)]
    assert notice.startswith(f"{nobody} can't be reached for {nobody}/debian:trixie-slim:")
    assert "The base is made from the packages of http" in notice
    assert [event.title.split()[0] for event in events if isinstance(event, Phase)] == [
        "Bootstrapping",
        "Building",
    ]
    assert Log("VERSION_CODENAME=trixie") in events
    base = find_image(workshop.engine, BOOTSTRAPPED)
    assert base
    assert base.labels["claudy.image"] == "base"
    # As small as debian:trixie-slim is, with licences and without manuals.
    assert base.size < 90_000_000
    manuals = engine.cli(
        "run", "--rm", "--label", small.label, BOOTSTRAPPED, "sh", "-c",
        "find /usr/share/man -type f | wc -l; ls /usr/share/doc/bash",
    )  # fmt: skip
    assert manuals.stdout.split() == ["0", "copyright"]
    # How the base was come by is no part of the name, and the next build uses it at once.
    assert recipe.reference in small.names()
    events.clear()
    assert ensure_base(workshop, recipe) == BOOTSTRAPPED
    assert events == []
    # It is unused once the registry's is there, as it is on a test engine.
    registry = Registry(workshop.engine, workshop.env, os.getuid())
    unused = {one.name: one.why for one in find_unused(workshop.engine, registry)}
    assert unused[BOOTSTRAPPED] == "debian:trixie-slim, which it stood in for, is there"


def test_a_base_that_is_there_is_used_without_asking_anybody(small: Small) -> None:
    events: list[Event] = []
    assert ensure_base(small.workshop(events), small.recipe()) == "busybox:latest"
    assert events == []


def test_a_base_of_another_platform_is_not_used(small: Small, nobody: str) -> None:
    small.write(base=f"{nobody}/base:1")
    recipe = replace(small.recipe(), platform="linux/s390x")
    with pytest.raises(RegistryDown, match="A base for linux/s390x can't be made"):
        ensure_base(small.workshop([]), recipe)


@pytest.mark.parametrize(("kind", "says"), [("nobody", "refused"), ("silent", "does not answer")])
def test_a_newer_base_that_cant_be_had_leaves_the_old_one(
    small: Small,
    kind: str,
    says: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The promise is 10 s; the wait itself is not what is tested here.
    monkeypatch.setattr("claudy.image.pull.ANSWER", 0.5)
    name = f"{request.getfixturevalue(kind)}/base:1"
    small.engine.cli("tag", "busybox:latest", name)
    try:
        events: list[Event] = []
        recipe = small.recipe(BASE_IMAGE=name)
        assert ensure_base(small.workshop(events), recipe, fresh=True) == name
        (event,) = events
        assert isinstance(event, Notice)
        assert says in event.text
        assert event.text.endswith(f"The {name} that is there is used.")
    finally:
        small.engine.cli("rmi", name)


def test_a_base_that_the_user_chose_is_never_replaced(small: Small, nobody: str) -> None:
    with pytest.raises(RegistryDown, match="connection refused"):
        ensure_base(small.workshop([]), small.recipe(BASE_IMAGE=f"{nobody}/mine"))


def test_without_apt_the_error_says_what_would_help(small: Small, path: Path) -> None:
    with pytest.raises(ImageError, match="has no apt-get to install it") as error:
        bootstrap(small.workshop([], PATH=str(path)), {}, BOOTSTRAPPED, DOWN)
    assert error.value.message.startswith(DOWN.message)
    assert "BASE_IMAGE" in error.value.hint


@pytest.mark.usefixtures("apt")
def test_nothing_is_installed_unasked(small: Small, path: Path) -> None:
    asked: list[str] = []

    def nobody_there(question: str, flag: str) -> bool:
        asked.append(question)
        raise ConfirmationNeeded(question, f"add {flag}")

    events: list[Event] = []
    workshop = replace(small.workshop(events, PATH=str(path)), confirm=nobody_there)
    with pytest.raises(ConfirmationNeeded) as error:
        bootstrap(workshop, {}, BOOTSTRAPPED, DOWN)
    assert events == [Done()]  # the display makes way for the question
    assert error.value.exit_code == 2
    assert error.value.hint == "add --yes"
    assert "apt-get install -y --no-install-recommends mmdebstrap" in asked[0]
    with pytest.raises(Declined):
        bootstrap(replace(workshop, confirm=lambda _q, _f: False), {}, BOOTSTRAPPED, DOWN)


@pytest.mark.usefixtures("apt")
def test_an_installation_that_fails_is_an_error_with_its_output(
    small: Small, path: Path, tmp_path: Path
) -> None:
    # The real apt-get, which knows no packages and no source of any.
    (tmp_path / "apt").mkdir()
    settings = tmp_path / "apt.conf"
    settings.write_text(
        f'Dir::State "{tmp_path}/apt"; Dir::State::status "{tmp_path}/apt/status";'
        f' Dir::Cache "{tmp_path}/apt"; Dir::Etc "{tmp_path}/apt";'
    )
    (tmp_path / "apt/status").write_text("")
    workshop = small.workshop([], PATH=str(path), APT_CONFIG=str(settings))
    agreed = replace(workshop, confirm=lambda _q, _f: True)
    with pytest.raises(BuildFailed, match=r"could not be installed \(exit code 100\)") as error:
        bootstrap(agreed, {}, BOOTSTRAPPED, DOWN)
    assert "E: Unable to locate package mmdebstrap" in error.value.log


@pytest.mark.usefixtures("no_bootstrapped")
def test_a_mirror_that_is_down_is_an_error_and_imports_nothing(small: Small, nobody: str) -> None:
    workshop = small.workshop([])
    with pytest.raises(BuildFailed, match="mmdebstrap could not make the base image") as error:
        bootstrap(workshop, {"APT_MIRROR": f"http://{nobody}/debian"}, BOOTSTRAPPED, DOWN)
    assert any("Connection refused" in line for line in error.value.log)
    assert find_image(workshop.engine, BOOTSTRAPPED) is None


@pytest.fixture
def bootstrapping(small: Small, claudy: Claudy, nobody: str) -> Iterator[Claudy]:
    """Return claudy with a Dockerfile whose base it has to make, in a place of its own."""
    small.write(base=f"{nobody}/debian:trixie-slim")
    folder = small.root / "temporary"
    folder.mkdir()
    yield small.command(claudy).with_environment(TMPDIR=str(folder))
    # If a test failed: nobody may clear up through what mmdebstrap has mounted.
    mounted = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for place in sorted((one for one in mounted if one.startswith(str(folder))), reverse=True):
        subprocess.run(["umount", place], check=True)


@pytest.mark.once
@pytest.mark.usefixtures("no_bootstrapped")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_an_interrupted_bootstrap_leaves_nothing(
    small: Small, bootstrapping: Claudy, tmp_path: Path, number: signal.Signals
) -> None:
    folder = Path(bootstrapping.environment["TMPDIR"])
    with bootstrapping.start("build-image", cwd=tmp_path, stderr=subprocess.PIPE) as process:
        wait_for(lambda: list(folder.glob("*/usr")), SECONDS, "the first packages to be unpacked")
        process.send_signal(number)
        assert process.wait(SECONDS) == 128 + number
        said = process.stderr.read().decode() if process.stderr else ""
    assert "Traceback" not in said
    assert list(folder.iterdir()) == []
    assert find_image(small.workshop([]).engine, BOOTSTRAPPED) is None
    small.write()
    done = bootstrapping.run("build-image", cwd=tmp_path)
    assert done.code == 0, done.said


@pytest.mark.once
@pytest.mark.usefixtures("no_bootstrapped")
def test_a_disk_that_fills_up_meanwhile_is_called_so(
    small: Small, bootstrapping: Claudy, tmp_path: Path
) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to make a disk that is small")
    folder = bootstrapping.environment["TMPDIR"]
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", folder], check=True)
    try:
        done = bootstrapping.run("build-image", cwd=tmp_path, timeout=300)
        left = list(Path(folder).iterdir())
    finally:
        subprocess.run(["umount", folder], check=True)
    assert done.code == 125
    assert (
        f"{folder} filled up while the base image was made: no space left on device." in done.said
    )
    assert left == []
    assert find_image(small.workshop([]).engine, BOOTSTRAPPED) is None
