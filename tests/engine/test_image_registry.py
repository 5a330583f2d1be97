"""Pulling and pushing with real registries: there, absent, down, silent, and with a password."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from claudy.errors import UsageError
from claudy.image.custom import ensure_custom
from claudy.image.events import Layer, Notice, Phase
from claudy.image.failures import ImageError, NotInRegistry, RegistryDenied, RegistryDown
from claudy.image.make import make_bundled, push_bundled
from claudy.image.pull import pull, require_in_registry
from tests.engine.small import Small, fresh_name, small_tree
from tests.engines.shell import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from claudy.image.events import Event
    from tests.engines.engine import Engine
    from tests.engines.values import PasswordRegistry
    from tests.running.program import Claudy

SECONDS = 60
HELPER = """\
#!/bin/sh
[ "$1" = get ] && echo '{{"Username": "{user}", "Secret": "{password}"}}'
"""


@pytest.fixture
def small(tmp_path: Path, label: str, claudy: Claudy) -> Iterator[Small]:
    with small_tree(tmp_path, label, claudy) as tree:
        yield tree


@pytest.fixture
def silent() -> Iterator[str]:
    """Return the address of a registry that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def nobody() -> str:
    """Return an address on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


def forget(small: Small, *names: str) -> None:
    """Remove images by name."""
    for name in names:
        small.engine.api.request("DELETE", f"/images/{name}")


def kinds(events: list[Event], kind: type[Any]) -> list[Any]:
    """Return the events of one kind."""
    return [event for event in events if isinstance(event, kind)]


def titles(events: list[Event]) -> list[str]:
    """Return the first word of every phase."""
    return [event.title.split()[0] for event in kinds(events, Phase)]


def config(small: Small, **content: Any) -> dict[str, str]:
    """Return the environment of a user with that docker configuration."""
    folder = small.root / "docker-config"
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(content))
    return {"DOCKER_CONFIG": str(folder)}


def test_what_one_pushed_another_pulls_instead_of_building(
    small: Small, claudy: Claudy, registry: str, tmp_path: Path
) -> None:
    command = small.command(claudy)
    reference = small.recipe().reference
    done = command.run("build-image", "--push", registry, cwd=tmp_path)
    assert done.code == 0, done.said
    assert done.text.split() == [reference, f"{registry}/{reference}"]
    assert "Pushing" in done.said
    pushed = small.engine.api.request("GET", f"/images/{reference}/json")["Id"]
    forget(small, reference, f"{registry}/{reference}")
    assert small.names() == set()
    done = command.with_environment(CLAUDY_REGISTRY=registry).run("build-image", cwd=tmp_path)
    assert done.code == 0, done.said
    assert f"Pulling {registry}/{reference}" in done.said
    assert "Building" not in done.said
    assert small.engine.api.request("GET", f"/images/{reference}/json")["Id"] == pushed


def test_layers_are_told(small: Small, registry: str) -> None:
    reference = small.recipe().reference
    events: list[Event] = []
    workshop = small.workshop(events)
    make_bundled(workshop, small.recipe())
    remote = push_bundled(workshop, reference, registry)
    assert {layer.status for layer in kinds(events, Layer)} & {"Pushed", "Layer already exists"}
    forget(small, reference, remote)
    events.clear()
    pull(workshop, remote)
    assert "Pull complete" in {layer.status for layer in kinds(events, Layer)}


def test_what_the_registry_does_not_have_is_built(small: Small, registry: str) -> None:
    events: list[Event] = []
    make_bundled(small.workshop(events), small.recipe(), registry=registry)
    assert titles(events) == ["Building"]
    (notice,) = kinds(events, Notice)
    assert notice.text.startswith(f"There is no image {registry}/hal9000:")
    assert notice.text.endswith("It is built here instead.")


def test_a_registry_that_is_down_is_said_and_the_image_built(small: Small, nobody: str) -> None:
    events: list[Event] = []
    make_bundled(small.workshop(events), small.recipe(), registry=nobody)
    assert titles(events) == ["Building"]
    assert "connection refused" in kinds(events, Notice)[0].text


def test_a_registry_that_does_not_answer_is_given_up(
    small: Small, silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The promise is 10 s; the wait itself is not what is tested here.
    monkeypatch.setattr("claudy.image.pull.ANSWER", 0.5)
    events: list[Event] = []
    make_bundled(small.workshop(events), small.recipe(), registry=silent)
    assert titles(events) == ["Building"]
    assert f"{silent} does not answer" in kinds(events, Notice)[0].text


def test_at_most_ten_seconds_are_waited_for_a_registry() -> None:
    from claudy.engine.client import CONNECT_TIMEOUT
    from claudy.image.pull import ANSWER

    # Connecting to the engine takes no time once it has answered; the registry's part is ANSWER.
    assert ANSWER < 10
    assert CONNECT_TIMEOUT < 10


def test_pushing_to_nobody_is_an_error(small: Small, claudy: Claudy, nobody: str) -> None:
    done = small.command(claudy).run("build-image", "--push", nobody, cwd=small.root)
    assert done.code == 125
    assert f"{nobody} can't be reached for {nobody}/hal9000:" in done.said
    assert "connection refused" in done.said
    assert "Traceback" not in done.said


def test_credentials_decide(
    small: Small, claudy: Claudy, password_registry: PasswordRegistry
) -> None:
    address = password_registry.address
    command = small.command(claudy)

    def run(**environment: str) -> tuple[int, str]:
        changed = command.with_environment(**environment)
        done = changed.run("build-image", "--push", address, cwd=small.root)
        return done.code, done.said

    for credentials in (None, f"{password_registry.user}:wrong"):
        auth = base64.b64encode((credentials or "").encode()).decode()
        auths = {address: {"auth": auth}} if credentials else {}
        code, said = run(**config(small, auths=auths))
        assert code == 125
        assert f"{address} refuses access to {address}/hal9000:" in said
        assert f"docker login {address}" in said
    good = f"{password_registry.user}:{password_registry.password}"
    auth = base64.b64encode(good.encode()).decode()
    code, said = run(**config(small, auths={address: {"auth": auth}}))
    assert code == 0, said


def test_a_credential_helper_is_asked(
    small: Small, claudy: Claudy, password_registry: PasswordRegistry
) -> None:
    helper = small.root / "bin/docker-credential-here"
    helper.parent.mkdir()
    helper.write_text(
        HELPER.format(user=password_registry.user, password=password_registry.password)
    )
    helper.chmod(0o755)
    command = small.command(claudy).with_environment(
        PATH=f"{helper.parent}:{small.environment['PATH']}",
        **config(small, credHelpers={password_registry.address: "here"}),
    )
    address = password_registry.address
    done = command.run("build-image", "--push", address, cwd=small.root)
    assert done.code == 0, done.said
    reference = small.recipe().reference
    forget(small, reference, f"{address}/{reference}")
    done = command.with_environment(CLAUDY_REGISTRY=address).run("build-image", cwd=small.root)
    assert f"Pulling {address}/" in done.said
    assert "Building" not in done.said


# -- the user's own image ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def _published() -> dict[str, str]:
    """Return what is in a registry already: pushed once, as nothing takes it away there."""
    return {}


@pytest.fixture
def own(small: Small, registry: str, _published: dict[str, str]) -> Iterator[str]:
    """Return the name of an image in the registry that the engine does not have."""
    if registry not in _published:
        name = f"{registry}/{fresh_name()}:1"
        publish(small, name, "one")
        _published[registry] = name
    yield _published[registry]
    small.engine.cli("rmi", "--force", _published[registry], check=False)


def publish(small: Small, name: str, greeting: str) -> str:
    """Push an image with another content under a name and return its id."""
    workshop = small.workshop([])
    image = make_bundled(workshop, small.recipe(GREETING=greeting))
    small.engine.cli("tag", image, name)
    small.engine.cli("push", name)
    forget(small, name, small.recipe(GREETING=greeting).reference)
    return image


def test_a_project_s_image_is_not_pulled_with_the_user_s_login(
    small: Small, claudy: Claudy, project: Path, password_registry: PasswordRegistry
) -> None:
    """Whoever writes the project's file would read what only the user may pull."""
    address = password_registry.address
    good = f"{password_registry.user}:{password_registry.password}"
    auths = {address: {"auth": base64.b64encode(good.encode()).decode()}}
    command = claudy.with_environment(**config(small, auths=auths))
    docker = {**command.environment, "DOCKER_HOST": small.engine.host}
    own = f"{address}/{fresh_name()}:1"
    for words in (["tag", "busybox", own], ["push", own], ["rmi", own]):
        subprocess.run(["docker", *words], env=docker, check=True, capture_output=True)
    (project / ".claudy.toml").write_text(f'image = "{own}"\n')
    launch = ("--docker", "none", "--", "echo", "ran")
    try:
        done = command.run(*launch, cwd=project)
        assert (done.code, done.text) == (125, "")
        assert "claudy trust" in done.said
        assert command.run("trust", "--yes", cwd=project).code == 0
        done = command.run(*launch, cwd=project)
        assert (done.code, done.text) == (0, "ran\n"), done.said
    finally:
        small.engine.cli("rmi", "-f", own, check=False)


def test_a_missing_image_is_pulled_once(small: Small, own: str) -> None:
    events: list[Event] = []
    found = ensure_custom(small.workshop(events), own, "missing")
    assert titles(events) == ["Pulling"]
    events.clear()
    assert ensure_custom(small.workshop(events), own, "missing").id == found.id
    assert ensure_custom(small.workshop(events), own, "never").id == found.id
    assert ensure_custom(small.workshop(events), found.id, "always").id == found.id
    assert events == []


def test_always_takes_the_new_one(small: Small, registry: str) -> None:
    own = f"{registry}/{fresh_name()}:1"
    publish(small, own, "one")
    old = ensure_custom(small.workshop([]), own, "missing")
    small.engine.cli("tag", own, own.replace(":1", ":keep"))
    new = publish(small, own, "two")
    assert new != old.id
    assert ensure_custom(small.workshop([]), own, "always").id == new


def test_never_pulls_never(small: Small, own: str) -> None:
    events: list[Event] = []
    with pytest.raises(ImageError, match="--pull never") as error:
        ensure_custom(small.workshop(events), own, "never")
    assert error.value.hint == f"docker pull {own}"
    assert events == []


def test_an_absent_image_an_absent_registry_and_nonsense(
    small: Small, registry: str, nobody: str, password_registry: PasswordRegistry
) -> None:
    workshop = small.workshop([])
    with pytest.raises(NotInRegistry, match="There is no image"):
        ensure_custom(workshop, f"{registry}/{fresh_name()}", "missing")
    with pytest.raises(RegistryDown, match="connection refused"):
        ensure_custom(workshop, f"{nobody}/x", "missing")
    with pytest.raises(RegistryDenied, match="refuses access"):
        ensure_custom(workshop, f"{password_registry.address}/x", "missing")
    for nonsense in ("", "a b", "UPPER", "x:y:z", "../containers", "x?y"):
        with pytest.raises(UsageError, match="not an image reference"):
            ensure_custom(workshop, nonsense, "missing")


def test_asking_the_registry_fetches_nothing(small: Small, own: str) -> None:
    require_in_registry(small.workshop([]), own)
    assert small.engine.cli("image", "inspect", own, check=False).returncode == 1
    with pytest.raises(NotInRegistry):
        require_in_registry(small.workshop([]), own.replace(":1", ":2"))


def test_an_interrupted_pull_leaves_nothing_that_is_in_the_way(
    small: Small, claudy: Claudy, registry: str, engine: Engine
) -> None:
    small.write(more="RUN dd if=/dev/urandom of=/big bs=1M count=40")
    command = small.command(claudy)
    reference = small.recipe().reference
    assert command.run("build-image", "--push", registry, cwd=small.root).code == 0
    remote = f"{registry}/{reference}"
    forget(small, reference, remote)
    code = (
        "import sys, os; sys.path.insert(0, sys.argv[1])\n"
        "from claudy.engine.client import Engine\n"
        "from claudy.host.endpoint import resolve\n"
        "from claudy.image.events import Layer\n"
        "from claudy.image.pull import pull\n"
        "from claudy.image.workshop import Workshop\n"
        "endpoint = resolve(env=os.environ, home='/', platform='linux', uid=0)\n"
        "def report(event):\n"
        "    if isinstance(event, Layer) and event.current: print(event.status, flush=True)\n"
        "pull(Workshop(Engine(endpoint), os.environ, report, None), sys.argv[2])\n"
    )
    with subprocess.Popen(
        [*command.command[:1], "-c", code, str(small.root), remote],
        env=small.environment,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"Downloading\n"
        process.kill()
    assert remote not in small.names()
    done = command.with_environment(CLAUDY_REGISTRY=registry).run("build-image", cwd=small.root)
    assert done.code == 0, done.said
    assert "Building" not in done.said
    wait_for(lambda: remote in small.names(), SECONDS, "the image to be there")
    assert engine.cli("image", "inspect", reference).returncode == 0
