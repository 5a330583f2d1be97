"""Where engines are looked for after the implicit default failed, on real sockets."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from claudy.host.endpoint import EndpointError, candidates, probe, resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def test_linux_order() -> None:
    assert candidates({"XDG_RUNTIME_DIR": "/xdg"}, "/home/u", "linux", 1000) == (
        "/var/run/docker.sock",
        "/run/docker.sock",
        "/xdg/docker.sock",
        "/run/user/1000/docker.sock",
        "/home/u/.docker/run/docker.sock",
        "/home/u/.docker/desktop/docker.sock",
        "/xdg/podman/podman.sock",
        "/run/podman/podman.sock",
    )


def test_linux_without_a_runtime_directory_has_no_repeats() -> None:
    found = candidates({}, "/home/u", "linux", 7)
    assert found.count("/run/user/7/docker.sock") == 1
    assert "/run/user/7/podman/podman.sock" in found


def test_wsl2_order() -> None:
    assert candidates({}, "/home/u", "wsl2", 1000) == ("/var/run/docker.sock", "/run/docker.sock")


def test_macos_order_with_profiles_and_instances(tmp_path: Path) -> None:
    for name in (".colima/work", ".colima/_lima", ".lima/default", ".lima/_config"):
        (tmp_path / "Users/u" / name).mkdir(parents=True)
    found = candidates({"TMPDIR": "/T/"}, "/Users/u", "darwin", 501, root=str(tmp_path))
    assert found == (
        "/var/run/docker.sock",
        "/Users/u/.docker/run/docker.sock",
        "/Users/u/.orbstack/run/docker.sock",
        "/Users/u/.colima/docker.sock",
        "/Users/u/.colima/work/docker.sock",
        "/Users/u/.rd/docker.sock",
        "/Users/u/.lima/default/sock/docker.sock",
        "/T/podman/podman-machine-default-api.sock",
        "/Users/u/.local/share/containers/podman/machine/podman.sock",
    )


def test_macos_colima_home(tmp_path: Path) -> None:
    (tmp_path / "c/default").mkdir(parents=True)
    found = candidates({"COLIMA_HOME": "/c"}, "/Users/u", "darwin", 501, root=str(tmp_path))
    assert "/c/docker.sock" in found
    assert "/c/default/docker.sock" in found
    assert not [path for path in found if ".colima" in path]


@pytest.fixture
def listen(tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """Make live sockets below a root directory."""
    with ExitStack() as stack:

        def make(path: str) -> None:
            whole = tmp_path / path.lstrip("/")
            whole.parent.mkdir(parents=True, exist_ok=True)
            server = stack.enter_context(socket.socket(socket.AF_UNIX))
            server.bind(str(whole))
            server.listen()

        yield make


def answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(path)
        except OSError:
            return False
        return True


def look(root: Path, env: dict[str, str] | None = None) -> str | None:
    env = env or {}
    found = probe(
        resolve(env=env, home="/home/u", platform="linux", uid=1000),
        env=env,
        home="/home/u",
        platform="linux",
        uid=1000,
        is_live=answers,
        root=str(root),
    )
    return found.path if found else None


def test_the_only_live_socket_is_used(tmp_path: Path, listen: Callable[[str], None]) -> None:
    listen("/run/user/1000/docker.sock")
    assert look(tmp_path) == "/run/user/1000/docker.sock"


def test_nothing_alive(tmp_path: Path) -> None:
    assert look(tmp_path) is None


def test_only_live_ones_count(tmp_path: Path, listen: Callable[[str], None]) -> None:
    """Stale socket, plain file, directory and dangling link are passed over."""
    listen("/home/u/.docker/desktop/docker.sock")
    for directory in ("run/user/1000", "run/podman", "home/u/.docker/run/docker.sock"):
        (tmp_path / directory).mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / "run/user/1000/docker.sock"))
    (tmp_path / "run/docker.sock").symlink_to("nowhere")
    (tmp_path / "run/podman/podman.sock").write_text("")
    assert look(tmp_path) == "/home/u/.docker/desktop/docker.sock"


def test_one_socket_under_two_names_is_one(tmp_path: Path, listen: Callable[[str], None]) -> None:
    listen("/run/user/1000/docker.sock")
    (tmp_path / "home/u/.docker/run").mkdir(parents=True)
    (tmp_path / "home/u/.docker/run/docker.sock").symlink_to(tmp_path / "run/user/1000/docker.sock")
    assert look(tmp_path) == "/run/user/1000/docker.sock"


def test_several_live_sockets_are_listed_and_refused(
    tmp_path: Path, listen: Callable[[str], None]
) -> None:
    listen("/run/user/1000/docker.sock")
    listen("/run/podman/podman.sock")
    with pytest.raises(EndpointError) as caught:
        look(tmp_path)
    assert caught.value.code == "several-engines"
    for path in ("unix:///run/user/1000/docker.sock", "unix:///run/podman/podman.sock"):
        assert path in caught.value.message
    assert caught.value.hint == "claudy --host unix:///run/user/1000/docker.sock"


def test_an_explicit_choice_is_never_probed_past(
    tmp_path: Path, listen: Callable[[str], None]
) -> None:
    listen("/run/user/1000/docker.sock")
    assert look(tmp_path, {"DOCKER_HOST": "unix:///var/run/docker.sock"}) is None
