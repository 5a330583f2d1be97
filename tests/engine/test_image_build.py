"""Building the bundled image: what is left when it worked, failed, was interrupted, done twice."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from claudy.image.build import build
from claudy.image.events import Phase, Step
from claudy.image.lock import exclusive
from claudy.image.make import make_bundled
from tests.engine.small import Small, fresh_name, small_tree
from tests.engines.shell import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from claudy.image.events import Event
    from tests.engines.engine import Engine
    from tests.running.program import Claudy

SECONDS = 60


@pytest.fixture
def small(tmp_path: Path, label: str, claudy: Claudy) -> Iterator[Small]:
    with small_tree(tmp_path, label, claudy) as tree:
        yield tree


@pytest.fixture
def command(small: Small, claudy: Claudy) -> Claudy:
    return small.command(claudy)


def heads(small: Small) -> list[str]:
    """Return the ids of all images of a tree that are no intermediate ones."""
    found = small.engine.api.request("GET", "/images/json", {"filters": {"label": [small.label]}})
    return [image["Id"] for image in found]


def test_the_result_has_its_name_and_the_first_stage_is_gone(small: Small) -> None:
    events: list[Event] = []
    recipe = small.recipe()
    image = make_bundled(small.workshop(events), recipe)
    assert heads(small) == [image]
    assert small.names() == {recipe.reference}
    assert small.containers() == []
    labels = small.engine.api.request("GET", f"/images/{image}/json")["Config"]["Labels"]
    assert labels["claudy.image"] == "hal9000"
    assert {"claudy.version", "claudy.created"} <= labels.keys()
    assert Phase(f"Building {recipe.reference}") in events
    steps = [event for event in events if isinstance(event, Step)]
    assert [step.number for step in steps] == list(range(1, steps[0].total + 1))


def test_a_finished_image_is_found_and_not_built_again(small: Small) -> None:
    image = make_bundled(small.workshop([]), small.recipe())
    events: list[Event] = []
    assert make_bundled(small.workshop(events), small.recipe()) == image
    assert events == []


def test_building_anew_replaces_the_old_one(small: Small) -> None:
    old = make_bundled(small.workshop([]), small.recipe())
    new = make_bundled(small.workshop([]), small.recipe(), no_cache=True)
    assert new != old
    assert heads(small) == [new]


def test_only_editing_makes_it_stale(small: Small, command: Claudy, tmp_path: Path) -> None:
    reference = small.recipe().reference
    done = command.run("build-image", "--check", cwd=tmp_path)
    assert (done.code, done.text) == (1, f"{reference} is not built yet\n")
    done = command.run("build-image", cwd=tmp_path)
    assert (done.code, done.text) == (0, f"{reference}\n")
    (tmp_path / "docker/Dockerfile.hal9000").touch()
    done = command.run("build-image", "--check", cwd=tmp_path)
    assert (done.code, done.text) == (0, f"{reference} is up to date\n")
    small.write(more="RUN true")
    assert command.run("build-image", "--check", cwd=tmp_path).code == 1
    assert command.run("build-image", "--check", "--platform=s390x", cwd=tmp_path).code == 1


def test_progress_is_plain_lines_and_the_result_alone_is_on_stdout(
    small: Small, command: Claudy, tmp_path: Path
) -> None:
    done = command.run("build-image", cwd=tmp_path)
    assert done.text == f"{small.recipe().reference}\n"
    assert f"claudy: Building {small.recipe().reference} ...\n" in done.said
    assert "claudy: step 2/" in done.said
    assert "\x1b" not in done.said
    assert command.run("build-image", "--no-cache", "--quiet", cwd=tmp_path).said == ""


def test_progress_is_live_on_a_terminal(command: Claudy, tmp_path: Path) -> None:
    with command.terminal("build-image", cwd=tmp_path) as terminal:
        before = terminal.modes()
        assert terminal.end() == (0, None)
        assert "\x1b[?25l" in terminal.shown
        assert terminal.shown.rstrip().rpartition("\n")[2].startswith("hal9000:")
        assert "\x1b[?25h" in terminal.shown
        terminal.wait_modes(before)


def test_a_build_argument_makes_another_image(
    small: Small, command: Claudy, engine: Engine, tmp_path: Path
) -> None:
    variables = command.with_environment(GREETING="from outside")
    done = variables.run("build-image", "--build-arg", "GREETING", cwd=tmp_path)
    reference = done.text.strip()
    assert reference == small.recipe(GREETING="from outside").reference
    assert reference != small.recipe().reference
    greeting = engine.cli("run", "--rm", "--label", small.label, reference, "cat", "/etc/greeting")
    assert greeting.stdout == "from outside\n"


def test_a_tag_is_one_more_name(small: Small, command: Claudy, tmp_path: Path) -> None:
    name = fresh_name()
    done = command.run("build-image", "--tag", name, cwd=tmp_path)
    assert done.text.split() == [small.recipe().reference, f"{name}:latest"]
    assert small.names() == {small.recipe().reference, f"{name}:latest"}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--platform", "linux/pdp11"], "Unknown platform 'linux/pdp11'"),
        (["--build-arg", "NONSENSE=1"], "Unknown build argument 'NONSENSE'"),
        (["--build-arg", "GREETING"], "no such variable"),
        (["--build-arg", "=1"], "has no name"),
        (["--tag", "UPPER CASE"], "not an image reference"),
        (["--tag", "a@sha256:0"], "is not NAME[:TAG]"),
        (["--push", "https://registry.example"], "not an image reference"),
        (["--check", "--push", "registry.example"], "--check changes nothing"),
        (["--nonsense"], "No such option"),
        (["extra"], "unexpected extra argument"),
    ],
)
def test_wrong_usage_ends_with_2_before_anything_is_made(
    small: Small, command: Claudy, tmp_path: Path, options: list[str], says: str
) -> None:
    done = command.run("build-image", *options, cwd=tmp_path)
    assert done.code == 2, done.said
    assert says in done.said
    assert "Traceback" not in done.said
    assert small.names() == set()


def test_a_failing_step_is_named_with_the_tail_of_its_output(
    small: Small, command: Claudy, tmp_path: Path
) -> None:
    small.write(more="RUN echo before; echo broken >&2; exit 3")
    done = command.run("build-image", cwd=tmp_path)
    assert done.code == 125
    assert done.out == b""
    assert "  | before\n" in done.said
    assert "  | broken\n" in done.said
    assert "failed at step 6/" in done.said
    assert "non-zero code: 3" in done.said
    assert heads(small) == []
    assert small.containers() == []
    small.write()
    assert command.run("build-image", cwd=tmp_path).code == 0


def test_a_dockerfile_that_is_none_is_an_error(
    small: Small, command: Claudy, tmp_path: Path
) -> None:
    small.write(more="NONSENSE here")
    done = command.run("build-image", cwd=tmp_path)
    assert done.code == 125
    assert "unknown instruction" in done.said.lower()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_build_leaves_nothing(
    small: Small, command: Claudy, tmp_path: Path, number: signal.Signals
) -> None:
    small.write(more="RUN sleep 1000")
    with command.start("build-image", cwd=tmp_path, stderr=subprocess.PIPE) as process:
        wait_for(small.containers, SECONDS, "the step to run")
        process.send_signal(number)
        expected = {signal.SIGINT: 130, signal.SIGTERM: 143}.get(number, -number)
        assert process.wait(SECONDS) in (expected, -number)
        said = process.stderr.read().decode() if process.stderr else ""
    assert "Traceback" not in said
    assert "  | " not in said
    wait_for(lambda: not small.containers(), SECONDS, "the step's container to go")
    assert small.names() == set()
    small.write()
    done = command.run("build-image", cwd=tmp_path)
    assert done.code == 0, done.said


def test_the_terminal_closes_while_a_launch_builds(
    small: Small, command: Claudy, tmp_path: Path
) -> None:
    small.write(more="RUN sleep 1000")
    project, logs = tmp_path / "project", tmp_path / "logs"
    project.mkdir()
    logs.mkdir()
    launched = command.with_environment(CLAUDY_DOCKER="none", TMPDIR=str(logs))
    with launched.terminal(cwd=project) as terminal:
        wait_for(small.containers, SECONDS, "the step to run")
        terminal.hang_up()
        wait_for(lambda: not terminal.child.isalive(), SECONDS, "claudy to end")
        assert terminal.child.exitstatus == 128 + signal.SIGHUP
    assert list(logs.iterdir()) == []  # nothing unexpected was noted
    wait_for(lambda: not small.containers(), SECONDS, "the step's container to go")
    assert small.names() == set()


def test_the_second_of_two_waits_and_finds_the_image(
    small: Small, command: Claudy, tmp_path: Path
) -> None:
    workshop, recipe = small.workshop([]), small.recipe()
    with exclusive(workshop, recipe.reference):
        process = command.start("build-image", cwd=tmp_path)
        assert process.stderr
        assert process.stdout
        line = process.stderr.readline().decode()
        assert line.startswith(f"claudy: Waiting for another claudy that makes {recipe.reference}")
        image = build(workshop, recipe, recipe.base)
    with process:
        assert process.wait(SECONDS) == 0
        assert b"Building" not in process.stderr.read()
        assert process.stdout.read().decode() == f"{recipe.reference}\n"
    assert heads(small) == [image]


def test_a_lock_that_cant_be_had_is_no_obstacle(small: Small, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    workshop = small.workshop([], XDG_CACHE_HOME=str(tmp_path / "file"))
    assert make_bundled(workshop, small.recipe())


@pytest.fixture
def full_disk(engine: Engine) -> Iterator[None]:
    """Leave the daemon 64 kB for its temporary files: contexts and downloads go there first."""
    if engine.place is None:
        pytest.skip("needs a test engine, whose disk may be filled")
    folder = str(Path(engine.api.request("GET", "/info")["DockerRootDir"], "tmp"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_is_called_so(small: Small, command: Claudy, tmp_path: Path) -> None:
    (tmp_path / "docker/big").write_bytes(b"x" * 200_000)
    done = command.run("build-image", cwd=tmp_path)
    assert done.code == 125
    assert "The disk of the Docker engine filled up" in done.said
    assert "docker system df" in done.said
    assert heads(small) == []
    assert small.containers() == []


def test_a_stopped_engine_is_an_error(command: Claudy, engine: Engine, tmp_path: Path) -> None:
    missing: dict[str, Any] = {"DOCKER_HOST": f"unix://{tmp_path}/docker.sock"}
    done = command.with_environment(**missing).run("build-image", cwd=tmp_path)
    assert done.code == 125
    assert f"No Docker engine answers at unix://{tmp_path}/docker.sock" in done.said
    assert engine.name not in done.said
