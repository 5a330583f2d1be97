"""The image in which the sandbox's user is known, derived without running anything."""

from __future__ import annotations

import os
import signal
import tarfile
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from claudy.containers.lifecycle import Registry
from claudy.containers.pruning import find_unused, remove_unused
from claudy.engine.facts import known_engine
from claudy.errors import APIError, ClaudyError
from claudy.image.ensure import ensure_image
from claudy.image.events import Done, Phase
from claudy.image.images import Image, find_image
from claudy.image.make import make_bundled
from claudy.image.userimage import ensure_user_image
from claudy.sandbox.resolve import User
from claudy.settings.load import load
from tests.engine.small import Small, fresh_name, small_tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from claudy.image.ensure import Ready
    from claudy.image.events import Event
    from claudy.image.workshop import Workshop
    from tests.running.program import Claudy

JANE = User(12345, 12346, "jane", "/home/claudy")


@pytest.fixture
def small(tmp_path: Path, label: str, claudy: Claudy) -> Iterator[Small]:
    with small_tree(tmp_path, label, claudy) as tree:
        yield tree


@pytest.fixture
def base(small: Small) -> Image:
    """Return a base image."""
    workshop = small.workshop([])
    return found(workshop, make_bundled(workshop, small.recipe()))


def found(workshop: Workshop, reference: str) -> Image:
    """Return an image that is there."""
    image = find_image(workshop.engine, reference)
    assert image
    return image


def run(small: Small, image: str, *command: str, options: tuple[str, ...] = ()) -> str:
    """Run a command in an image and return what it printed."""
    done = small.engine.cli("run", "--rm", "--label", small.label, *options, image, *command)
    return done.stdout


def test_the_user_is_known_at_home_and_owns_it(small: Small, base: Image) -> None:
    image = ensure_user_image(small.workshop([]), base, JANE, "base")
    listing = "ls -an ~ | awk '{print $3, $4, $9}'"
    script = f"id; whoami; echo ~; {listing}; touch ~/new && grep -c . ~/.profile"
    assert run(small, image, "sh", "-c", script).splitlines() == [
        "uid=12345(jane) gid=12346(jane) groups=12346(jane)",
        "jane",
        "/home/claudy",
        "  ",
        "12345 12346 .",
        "0 0 ..",
        "12345 12346 .bashrc",
        "12345 12346 .profile",
        "3",
    ]
    assert run(small, image, "stat", "-c", "%u %g %a", "/etc/passwd", "/etc/group").split("\n") == [
        "0 0 644",
        "0 0 644",
        "",
    ]


def test_an_empty_volume_over_the_home_belongs_to_the_user(small: Small, base: Image) -> None:
    image = ensure_user_image(small.workshop([]), base, JANE, "base")
    volume = fresh_name()
    small.engine.cli("volume", "create", "--label", small.label, volume)
    options = ("--volume", f"{volume}:/home/claudy")
    listing = run(small, image, "sh", "-c", "stat -c '%u %a' ~; cat ~/.bashrc", options=options)
    assert listing.startswith("12345 755\n#")


def test_everything_else_of_the_base_stays_as_it_is(small: Small) -> None:
    name = fresh_name()
    dockerfile = (
        'FROM busybox\nENV KEPT="a b"\nVOLUME /data\nEXPOSE 80\nWORKDIR /etc\nSTOPSIGNAL SIGINT\n'
        f'ENTRYPOINT ["cat"]\nCMD ["passwd"]\nLABEL {small.label}\n'
    )
    small.engine.cli("build", "--quiet", "--tag", name, "-", input=dockerfile)
    volumes = small.engine.cli("volume", "ls", "-q").stdout
    workshop = small.workshop([])
    rich = found(workshop, name)
    derived = found(workshop, ensure_user_image(workshop, rich, JANE, name))
    for key in ("Env", "Volumes", "ExposedPorts", "WorkingDir", "StopSignal", "Entrypoint", "Cmd"):
        assert derived.config.get(key) == rich.config.get(key), key
    assert derived.config["User"] == "12345:12346"
    assert derived.labels["claudy.base"] == rich.id
    assert derived.labels["claudy.image"] == "user"
    assert run(small, derived.id).splitlines()[-1] == "jane:*:12345:12346::/home/claudy:/bin/sh"
    assert small.engine.cli("volume", "ls", "-q").stdout == volumes
    assert small.containers() == []


def test_an_image_without_shell_and_without_etc_is_enough(small: Small) -> None:
    workshop = small.workshop([])
    donor = small.engine.cli("create", "--label", small.label, "busybox", "true").stdout.strip()
    small.engine.cli("cp", f"{donor}:/bin/busybox", str(small.root / "busybox"))
    tarball = small.root / "bare.tar"
    with tarfile.open(tarball, mode="w") as tar:
        tar.add(small.root / "busybox", "busybox")
    name = fresh_name()
    small.engine.cli("import", "-c", f"LABEL {small.label}", str(tarball), name)
    image = ensure_user_image(workshop, found(workshop, name), JANE, name)
    script = "/busybox id; /busybox cat /etc/group; /busybox stat -c %u ~"
    assert run(small, image, "/busybox", "sh", "-c", script).splitlines() == [
        "uid=12345(jane) gid=12346(jane) groups=12346(jane)",
        "root:x:0:",
        "jane:x:12346:",
        "12345",
    ]


def test_links_in_etc_are_followed(small: Small) -> None:
    small.write(
        more="RUN mkdir /store && mv /etc/passwd /store/p && ln -s ../store/p /etc/passwd"
        " && mv /etc/group /store/g && ln -s /store/g /etc/group && echo 'x:x:12346:' >>/store/g"
    )
    workshop = small.workshop([])
    base = found(workshop, make_bundled(workshop, small.recipe()))
    image = ensure_user_image(workshop, base, JANE, "base")
    assert "uid=12345(jane) gid=12346(x)" in run(small, image, "id")


def test_a_home_that_is_there_keeps_what_is_in_it(small: Small) -> None:
    small.write(more="RUN mkdir -p /home/claudy && echo mine >/home/claudy/.bashrc")
    workshop = small.workshop([])
    base = found(workshop, make_bundled(workshop, small.recipe()))
    image = ensure_user_image(workshop, base, JANE, "base")
    assert run(small, image, "cat", "/home/claudy/.bashrc") == "mine\n"


def test_it_is_made_once(small: Small, base: Image) -> None:
    events: list[Event] = []
    workshop = small.workshop(events)
    first = ensure_user_image(workshop, base, JANE, "base")
    assert [type(event) for event in events] == [Phase]
    before = found(workshop, first).id
    assert ensure_user_image(workshop, base, JANE, "base") == first
    assert found(workshop, first).id == before
    assert len(events) == 1
    assert small.containers() == []


def test_another_user_another_image(small: Small, base: Image) -> None:
    workshop = small.workshop([])
    one = ensure_user_image(workshop, base, JANE, "base")
    other = ensure_user_image(workshop, base, User(12345, 12346, "joe", "/home/claudy"), "base")
    assert one != other
    assert run(small, one, "whoami") == "jane\n"
    assert run(small, other, "whoami") == "joe\n"


def test_those_of_an_older_base_go_unless_a_container_needs_them(small: Small) -> None:
    workshop = small.workshop([])
    name = f"{fresh_name()}:1"

    def derive(greeting: str) -> str:
        base = found(workshop, make_bundled(workshop, small.recipe(GREETING=greeting)))
        small.engine.cli("tag", base.id, name)
        return ensure_user_image(workshop, base, JANE, name)

    first = derive("one")
    second = derive("two")
    assert find_image(workshop.engine, first) is None
    held = small.engine.cli("create", "--label", small.label, second, "true").stdout.strip()
    third = derive("three")
    assert {second, third} <= small.names()
    small.engine.cli("rm", held)
    fourth = derive("four")
    assert {second, third, fourth} & small.names() == {fourth}


@pytest.mark.parametrize(
    ("make", "why"),
    [
        ("yes '' | head -c 2000000 >>/etc/passwd", "/etc/passwd is larger than 1 MiB"),
        ("yes '' | head -c 2000000 >>/etc/group", "/etc/group is larger than 1 MiB"),
        ("rm /etc/passwd && mkfifo /etc/passwd", "/etc/passwd is not a file"),
        ("rm /etc/group && mkdir /etc/group", "/etc/group is not a file"),
        ("rm /etc/passwd && ln -s /dev /etc/passwd", "/etc/passwd is not a file"),
    ],
)
def test_what_is_no_list_of_users_is_not_read(small: Small, make: str, why: str) -> None:
    small.write(more=f"RUN {make}")
    workshop = small.workshop([])
    base = found(workshop, make_bundled(workshop, small.recipe()))
    with pytest.raises(ClaudyError, match=why) as caught:
        ensure_user_image(workshop, base, JANE, "base")
    assert caught.value.hint
    assert small.containers() == []


def test_what_the_engine_refuses_leaves_no_container(small: Small, base: Image) -> None:
    nowhere = User(12345, 12346, "jane", "/etc/passwd/home")
    with pytest.raises(APIError):
        ensure_user_image(small.workshop([]), base, nowhere, "base")
    assert small.containers() == []


def test_what_a_killed_claudy_leaves_is_pruned_and_in_nobodys_way(
    small: Small, base: Image
) -> None:
    child = os.fork()
    if not child:
        with pytest.MonkeyPatch.context() as patch:
            kill = partial(os.kill, os.getpid(), signal.SIGKILL)
            patch.setattr("claudy.image.userimage._user_files", lambda *_: kill())
            ensure_user_image(small.workshop([]), base, JANE, "base")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    (left,) = small.containers()
    workshop = small.workshop([])
    registry = Registry(workshop.engine, workshop.env, os.getuid())
    now = time.time()
    (name,) = (path.lstrip("/") for path in left["Names"])
    # Somebody may just be about to commit it.
    assert name not in {one.name for one in find_unused(workshop.engine, registry, now=now)}
    unused = find_unused(workshop.engine, registry, now=now + 3600)
    (one,) = (one for one in unused if one.name == name)
    image = ensure_user_image(workshop, base, JANE, "base")
    assert remove_unused(workshop.engine, registry, one)
    assert small.containers() == []
    assert run(small, image, "whoami") == "jane\n"


# -- as a launch asks for it -------------------------------------------------------------------


def ensure(
    workshop: Workshop, settings: dict[str, str], user: User, *, dry: bool = False
) -> tuple[Ready, list[Event], int]:
    """Return what a launch gets, what it was told, and how many requests that took."""
    events: list[Event] = []
    facts = known_engine(workshop.engine, workshop.env).facts
    before = workshop.engine.requests
    ready = ensure_image(
        workshop.engine,
        load(settings, workshop.env, ""),
        user,
        facts=facts,
        env=workshop.env,
        dry=dry,
        progress=events.append,
        confirm=workshop.confirm,
    )
    return ready, events, workshop.engine.requests - before


def test_a_launch_with_an_unchanged_image_makes_one_request(small: Small) -> None:
    workshop = small.workshop([])
    ensure(workshop, {}, JANE)
    ready, events, requests = ensure(workshop, {}, JANE)
    assert requests == 1
    assert events == []
    assert ready.has_init
    assert found(workshop, ready.image).labels["claudy.base"] == ready.base


def test_root_needs_no_image_of_its_own(small: Small) -> None:
    workshop = small.workshop([])
    root = User(0, 0, "root", "/root")
    ensure(workshop, {}, root)
    ready, _, requests = ensure(workshop, {}, root)
    assert requests == 1
    assert ready.image == ready.base


def test_a_users_own_image_gets_the_user_too(small: Small) -> None:
    ready, events, _ = ensure(small.workshop([]), {"image": "busybox"}, JANE)
    assert not ready.has_init
    assert events[-1] == Done()
    assert run(small, ready.image, "whoami") == "jane\n"
    small.engine.cli("rmi", ready.image)


def test_a_dry_run_names_the_image_and_makes_nothing(small: Small) -> None:
    workshop = small.workshop([])
    ensure(workshop, {}, JANE)
    before = names_of_all(small)
    nobody = User(12349, 12349, "nobody-yet", "/home/claudy")
    for settings in ({}, {"image": "busybox"}, {"image": "not.there/x:1"}):
        ready, events, _ = ensure(workshop, settings, nobody, dry=True)
        assert events == []
        assert ready.image not in before
    assert ready.image == "not.there/x:1"
    assert names_of_all(small) == before


def names_of_all(small: Small) -> set[str]:
    """Return the names of all images on the engine."""
    images = small.engine.api.request("GET", "/images/json")
    return {name for image in images for name in image["RepoTags"] or ()}
