"""From a failed connection to the finding: on real sockets where a Linux machine can."""

from __future__ import annotations

import os
import socket
import ssl
from typing import TYPE_CHECKING

import pytest

from claudy.engine.remote import NoAnswer, SshError
from claudy.errors import EngineError, NoEngine
from claudy.host.diagnose import diagnose, failure, listener
from claudy.host.endpoint import Endpoint, resolve
from claudy.host.finding import Finding, Host, as_error, way_back
from claudy.host.products import product_of
from claudy.host.refusals import refusal

if TYPE_CHECKING:
    from pathlib import Path

FIX = "claudy doctor --fix"
DEFAULT = "/var/run/docker.sock"


def host(root: Path, *, uid: int = 0, platform: str = "linux", **env: str) -> Host:
    return Host(
        env=env, home="/home/u", platform=platform, uid=uid, groups=frozenset(), root=str(root)
    )


def endpoint(url: str = "") -> Endpoint:
    env = {"DOCKER_HOST": url} if url else {}
    return resolve(env=env, home="/home/u", platform="linux", uid=0)


def failed(path: Path) -> OSError:
    """Return what connecting to a path really fails with."""
    with socket.socket(socket.AF_UNIX) as client, pytest.raises(OSError) as caught:  # noqa: PT011
        client.connect(str(path))
    error: OSError = caught.value
    return error


def put(root: Path, name: str, content: str = "", mode: int = 0o644) -> Path:
    path = root / name.lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    path.chmod(mode)
    return path


def debian(root: Path) -> None:
    put(root, "/etc/os-release", "ID=debian\nVERSION_ID=12\n")


def at_default(root: Path, found: Host | None = None) -> Finding:
    path = root / DEFAULT.lstrip("/")
    return diagnose(failed(path), endpoint(), found or host(root))


def test_no_engine_installed(tmp_path: Path) -> None:
    debian(tmp_path)
    found = at_default(tmp_path)
    assert (found.id, found.remedy, found.fix) == ("engine-missing", FIX, "install-engine")
    assert "unix:///var/run/docker.sock (from: default): the socket does not exist" in found.message


def test_no_engine_where_claudy_cannot_install_one(tmp_path: Path) -> None:
    put(tmp_path, "/etc/os-release", "ID=plan9\n")
    found = at_default(tmp_path)
    assert (found.id, found.fix) == ("engine-missing", "")
    assert "https://docs.docker.com/engine/install/" in found.remedy


def test_engine_installed_and_stopped(tmp_path: Path) -> None:
    put(tmp_path, "/usr/sbin/dockerd", mode=0o755)
    found = at_default(tmp_path)
    assert (found.id, found.remedy, found.fix) == ("engine-stopped", FIX, "start-engine")


def test_stale_socket(tmp_path: Path) -> None:
    path = tmp_path / DEFAULT.lstrip("/")
    path.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
    found = at_default(tmp_path)
    assert (found.id, found.remedy, found.fix) == ("socket-stale", FIX, "clear-socket")


def test_file_at_the_path(tmp_path: Path) -> None:
    put(tmp_path, DEFAULT)
    found = at_default(tmp_path)
    assert (found.id, found.fix) == ("socket-is-file", "clear-socket")
    assert found.remedy == f"mv {DEFAULT} {DEFAULT}.old && {FIX}"
    assert at_default(tmp_path, host(tmp_path, uid=1000)).remedy.startswith("sudo mv ")


def test_directory_at_the_path(tmp_path: Path) -> None:
    (tmp_path / DEFAULT.lstrip("/")).mkdir(parents=True)
    found = at_default(tmp_path)
    assert (found.id, found.remedy) == ("socket-is-directory", f"rmdir {DEFAULT} && {FIX}")


def test_dangling_link(tmp_path: Path) -> None:
    path = tmp_path / DEFAULT.lstrip("/")
    path.parent.mkdir(parents=True)
    path.symlink_to("/nowhere.sock")
    debian(tmp_path)
    found = at_default(tmp_path)
    assert found.id == "engine-missing"
    assert "it is a link to /nowhere.sock" in found.message


@pytest.mark.parametrize("state", ["absent", "empty file", "dead link"])
def test_wsl2_without_integration(tmp_path: Path, state: str) -> None:
    """Synthesised: this machine is no WSL2."""
    put(tmp_path, "/proc/sys/fs/binfmt_misc/WSLInterop")
    path = tmp_path / DEFAULT.lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    if state == "empty file":
        path.write_text("")
    elif state == "dead link":
        path.symlink_to("/mnt/wsl/docker-desktop/shared-sockets/guest-services/docker.sock")
    found = at_default(tmp_path)
    assert found.id == "wsl-integration-off"
    assert "WSL integration" in found.remedy


def test_wsl2_with_an_engine_of_its_own(tmp_path: Path) -> None:
    put(tmp_path, "/proc/sys/fs/binfmt_misc/WSLInterop")
    put(tmp_path, "/usr/bin/dockerd", mode=0o755)
    assert at_default(tmp_path).id == "engine-stopped"


def test_macos_with_a_product_that_does_not_run(tmp_path: Path) -> None:
    """Synthesised: this machine is no Mac."""
    (tmp_path / "Applications/Docker.app").mkdir(parents=True)
    found = at_default(tmp_path, host(tmp_path, uid=501, platform="darwin"))
    assert (found.id, found.fix) == ("engine-stopped", "start-engine")


def test_missing_socket_of_a_chosen_engine(tmp_path: Path) -> None:
    found = diagnose(failed(tmp_path / "x.sock"), endpoint("unix:///srv/x.sock"), host(tmp_path))
    assert found.id == "socket-missing"
    assert found.remedy.startswith("unset DOCKER_HOST")


@pytest.mark.parametrize(
    ("path", "platform", "start"),
    [
        ("/home/u/.docker/run/docker.sock", "darwin", "open -a Docker"),
        ("/home/u/.docker/desktop/docker.sock", "linux", "systemctl --user start docker-desktop"),
        ("/home/u/.orbstack/run/docker.sock", "darwin", "open -a OrbStack"),
        ("/home/u/.rd/docker.sock", "darwin", "rdctl start"),
        ("/home/u/.colima/docker.sock", "darwin", "colima start default"),
        ("/home/u/.colima/work/docker.sock", "darwin", "colima start work"),
        ("/home/u/.lima/docker/sock/docker.sock", "darwin", "limactl start docker"),
        ("/T/podman/podman-machine-default-api.sock", "darwin", "podman machine start"),
        ("/run/user/7/podman/podman.sock", "linux", "systemctl --user start podman.socket"),
        ("/run/podman/podman.sock", "linux", "sudo systemctl start podman.socket"),
        ("/run/user/7/docker.sock", "linux", "systemctl --user start docker"),
        ("/xdg/docker.sock", "linux", "systemctl --user start docker"),
    ],
)
def test_each_product_is_started_in_its_own_way(
    tmp_path: Path, path: str, platform: str, start: str
) -> None:
    here = host(tmp_path, uid=7, platform=platform, XDG_RUNTIME_DIR="/xdg")
    if not path.startswith("/xdg"):
        here = host(tmp_path, uid=7, platform=platform)
    product = product_of(path, here)
    assert product is not None
    assert product.start == start
    assert product.start.split()[-1] in product.restart
    found = diagnose(failed(tmp_path / "x"), endpoint("unix://" + path), here)
    assert (found.id, found.remedy) == ("engine-stopped", start)
    assert product.name in found.message


def test_the_default_socket_belongs_to_no_product(tmp_path: Path) -> None:
    assert product_of(DEFAULT, host(tmp_path)) is None


class Denied:
    """A socket that exists and a connection that was forbidden.

    The kernel refuses nothing to root, so the error is made here; `tests/engine/doctor` has an
    ordinary user run into it.
    """

    def __init__(self, root: Path, gid: int, mode: int = 0o660, owner: int = 0) -> None:
        self.root = root
        path = root / DEFAULT.lstrip("/")
        path.parent.mkdir(parents=True)
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
        os.chown(path, owner, gid)
        path.chmod(mode)

    def ask(self, *, groups: frozenset[int] = frozenset(), user: str = "nobody") -> Finding:
        here = Host({"USER": user}, "/home/u", "linux", 1000, groups, str(self.root))
        return diagnose(PermissionError(13, "Permission denied"), endpoint(), here)


TTY_GROUP = 5


def test_not_in_the_group(tmp_path: Path) -> None:
    put(tmp_path, "/usr/bin/sudo", mode=0o755)
    found = Denied(tmp_path, TTY_GROUP).ask()
    assert (found.id, found.fix) == ("not-in-group", "join-group")
    assert found.remedy == "sudo usermod -aG tty nobody && sg tty -c claudy"
    assert "root-equivalent" in found.message
    assert "srw-rw---- root:tty" in found.message


def test_not_in_the_group_and_no_sudo(tmp_path: Path) -> None:
    found = Denied(tmp_path, TTY_GROUP).ask()
    assert (found.remedy, found.fix) == ("As root: usermod -aG tty nobody", "")


@pytest.mark.parametrize(
    ("gid", "mode"), [(0, 0o660), (TTY_GROUP, 0o600), (TTY_GROUP, 0o640), (59999, 0o660)]
)
def test_only_root_may_connect(tmp_path: Path, gid: int, mode: int) -> None:
    found = Denied(tmp_path, gid, mode).ask()
    assert found.id == "socket-root-only"
    assert "groupadd -f docker" in found.remedy
    assert "666" not in found.remedy


def test_in_the_group_and_yet_denied(tmp_path: Path) -> None:
    found = Denied(tmp_path, TTY_GROUP).ask(groups=frozenset({TTY_GROUP}))
    assert found.id == "permission-denied"
    assert "SELinux" in found.message


def test_socket_of_another_user(tmp_path: Path) -> None:
    assert Denied(tmp_path, TTY_GROUP, owner=4711).ask().id == "socket-of-another-user"


def test_hanging_engine_names_the_process_that_listens(tmp_path: Path) -> None:
    path = tmp_path / DEFAULT.lstrip("/")
    path.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        assert listener(str(path)) == os.getpid()
        found = diagnose(TimeoutError(), endpoint(), host(tmp_path))
    assert found.id == "engine-hangs"
    assert found.remedy == f"kill -KILL {os.getpid()}; {FIX}"


def test_hanging_engine_under_systemd(tmp_path: Path) -> None:
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    found = diagnose(TimeoutError(), endpoint(), host(tmp_path, uid=1000))
    assert found.remedy == (
        "sudo systemctl kill --signal=KILL docker; sudo systemctl restart docker"
    )


def test_a_connection_lost_in_the_middle(tmp_path: Path) -> None:
    found = diagnose(ConnectionResetError(104, "reset"), endpoint(), host(tmp_path))
    assert found.id == "engine-gone"


def test_failure_is_the_finding_as_an_error() -> None:
    chosen = endpoint("unix:///nonexistent/x.sock")
    error = failure(FileNotFoundError(2, "No such file or directory"), chosen, NoEngine)
    assert (type(error), error.code) == (NoEngine, "socket-missing")


@pytest.mark.parametrize("state", ["stale", "file", "directory", "hangs"])
def test_a_chosen_socket_is_left_and_not_mended(tmp_path: Path, state: str) -> None:
    path = tmp_path / "x.sock"
    chosen = endpoint(f"unix://{path}")
    with socket.socket(socket.AF_UNIX) as server:
        if state == "file":
            path.write_text("")
        elif state == "directory":
            path.mkdir()
        else:
            server.bind(str(path))
        error = TimeoutError() if state == "hangs" else failed(path)
    found = diagnose(error, chosen, Host({}, "/home/u", "linux", 7, frozenset(), "/"))
    assert found.remedy.startswith("unset DOCKER_HOST")
    assert found.fix == ""


def test_nobody_listens_means_no_process(tmp_path: Path) -> None:
    assert listener(str(tmp_path / "none")) == 0


@pytest.mark.parametrize(
    ("url", "error", "code"),
    [
        ("tcp://no.invalid:2375", socket.gaierror(-2, "Name or service not known"), "host-unknown"),
        ("tcp://127.0.0.1:1", ConnectionRefusedError(111, "refused"), "tcp-refused"),
        ("tcp://h:1", NoAnswer(), "engine-unreachable"),
        ("tcp://h:1", TimeoutError(), "engine-hangs"),
        ("tcp://h:1", OSError(113, "No route to host"), "engine-unreachable"),
        ("tcp://h:1", ConnectionResetError(104, "reset"), "connection-lost"),
        ("tcp://h:1", ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong"), "tls-unexpected"),
        ("tcp://h:1", ssl.SSLError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] x"), "tls-untrusted"),
        (
            "tcp://h:1",
            ssl.SSLError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] Hostname mismatch"),
            "tls-hostname",
        ),
        (
            "tcp://h:1",
            ssl.SSLError(1, "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13"),
            "tls-client-certificate",
        ),
        ("tcp://h:1", ssl.SSLError(1, "something else"), "tls-failed"),
    ],
)
def test_tcp(tmp_path: Path, url: str, error: OSError, code: str) -> None:
    found = diagnose(error, endpoint(url), host(tmp_path))
    assert found.id == code
    assert found.remedy.startswith("unset DOCKER_")
    assert "(from: DOCKER_HOST)" in found.message


@pytest.mark.parametrize(
    ("said", "code", "shown"),
    [
        ("kex_exchange_identification: read: Connection reset", "ssh-failed", "Connection reset"),
        ("Host key verification failed.\r\n", "ssh-host-key", "accept it: ssh -p 22 me@far"),
        (
            "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.",
            "ssh-host-key-changed",
            "ssh-keygen -R",
        ),
        ("me@far: Permission denied (publickey).", "ssh-denied", "ssh -p 22 me@far"),
        ("bash: line 1: docker: command not found", "ssh-no-docker", "no docker command"),
        ("sh: 1: docker: not found", "ssh-no-docker", "no docker command"),
        ("", "ssh-failed", "ssh ended"),
    ],
)
def test_ssh_in_its_own_words(tmp_path: Path, said: str, code: str, shown: str) -> None:
    found = diagnose(SshError(said, 255), endpoint("ssh://me@far:22"), host(tmp_path))
    assert found.id == code
    assert shown in found.message
    assert found.remedy.startswith("unset DOCKER_HOST")


@pytest.mark.parametrize(
    ("source", "command"),
    [
        ("DOCKER_HOST", "unset DOCKER_HOST DOCKER_TLS_VERIFY DOCKER_TLS DOCKER_CERT_PATH"),
        ("context x (DOCKER_CONTEXT)", "unset DOCKER_CONTEXT"),
        ("context x (currentContext in ~/.docker/config.json)", "docker context use default"),
        ("CLAUDY_HOST", "unset CLAUDY_HOST"),
        ("--host", "claudy --host unix:///var/run/docker.sock"),
    ],
)
def test_way_back(source: str, command: str) -> None:
    chosen = Endpoint("tcp://h:1", source, None, "default", "tcp", "", ("h", 1))
    assert way_back(chosen) == command


REFUSALS = [
    # moby 20.10 and later, runc
    (
        'invalid mount config for type "bind": bind source path does not exist: /home/u/app',
        "project-not-visible",
    ),
    ("failed to create shim: ... no space left on device: unknown", "disk-full"),
    ("exec /usr/libexec/claudy/init: exec format error", "image-wrong-architecture"),
    ("No such image: hal9000:1", "image-missing"),
    ("client version 1.24 is too old. Minimum supported API version is 1.44", "api-mismatch"),
    ("client version 1.52 is too new. Maximum supported API version is 1.41", "api-mismatch"),
    (
        'mount "bind": bind source path does not exist: /run/user/1000/claudy/claudy-a-01@guard',
        "guard-not-visible",
    ),
    # synthesised after Docker's documentation and reports: no Docker Desktop here
    (
        "enhanced container isolation: docker socket mount denied for container with image hal",
        "socket-mount-denied",
    ),
    (
        "Mounts denied: The path /srv/app is not shared from the host and is not known to Docker.",
        "project-not-shared",
    ),
    (
        "mkdir /host_mnt/Users/u/.colima/docker.sock: operation not supported",
        "mount-source-wrong",
    ),
    (
        'invalid mount config for type "bind": bind source path does not exist: /run/x.sock',
        "mount-source-wrong",
    ),
]


@pytest.mark.parametrize(("words", "code"), REFUSALS)
def test_refusals(words: str, code: str) -> None:
    found = refusal(words)
    assert found is not None
    assert found.id == code
    assert found.remedy


def test_snap_sees_only_home_directories() -> None:
    words = "error while creating mount source path '/data/x': mkdir /data: read-only file system"
    found = refusal(words)
    assert found is not None
    assert found.id == "snap-confined"


def test_unknown_refusals_stay_what_they_are() -> None:
    assert refusal("the moon is in the wrong phase") is None


def test_a_finding_as_an_error_keeps_words_remedy_and_id() -> None:
    error = as_error(Finding("x-y", "Words.", "command"), NoEngine)
    assert isinstance(error, EngineError)
    assert (error.message, error.hint, error.code) == ("Words.", "command", "x-y")
    assert NoEngine.code == "no-engine"
