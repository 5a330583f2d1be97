"""What a user chooses and what is wrong with it, beside an engine that works.

DOCKER_HOST, contexts and TLS point somewhere broken; claudy and doctor say the same, and after the
remedy was pasted into the same shell, claudy launches.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.running.diagnosis import Watch
from tests.running.program import Done

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.engines.values import TlsEndpoint
    from tests.running.program import Claudy

HELLO = ("--image", "busybox", "--", "echo", "hello from inside")


@pytest.fixture
def chosen(claudy: Claudy, tmp_path: Path) -> Claudy:
    """Return claudy with a DOCKER_CONFIG of its own and without DOCKER_HOST.

    In the room of the engine the default socket is the engine's, so that the way back leads there.
    """
    config = tmp_path / "docker-config"
    config.mkdir()
    return claudy.with_environment(DOCKER_HOST=None, DOCKER_CONFIG=str(config))


def config_of(claudy: Claudy, tmp_path: Path) -> Path:
    config = tmp_path / "docker-config"
    assert claudy.environment["DOCKER_CONFIG"] == str(config)
    return config


def create_context(claudy: Claudy, tmp_path: Path, name: str, url: str) -> Path:
    """Have the docker CLI make a context and return its meta.json."""
    docker = shutil.which("docker")
    assert docker
    done = subprocess.run(
        [docker, "context", "create", name, "--docker", f"host={url}"],
        env=claudy.environment, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (meta,) = (config_of(claudy, tmp_path) / "contexts/meta").glob("*/meta.json")
    return meta


def diagnosed(claudy: Claudy, project: Path) -> dict[str, Any]:
    """Return the finding of a failed launch, which is doctor's, word for word."""
    watch = Watch()
    launch = claudy.run(*HELLO, cwd=project)
    watch.stop()
    assert (launch.code, launch.text) == (125, "")
    doctor = claudy.run("doctor", "--json", "--image", "busybox", cwd=project)
    assert doctor.code == 1, doctor.said
    document = json.loads(doctor.text)
    (failed,) = (check for check in document["checks"] if check["status"] == "fail")
    assert failed["seen"] in launch.said
    assert f"Try: {failed['remedy']}" in launch.said
    watch.note(failed["finding"])
    return {"finding": failed["finding"], "seen": failed["seen"], "remedy": failed["remedy"]}


def launch_after(claudy: Claudy, remedy: str, project: Path) -> Done:
    """Paste the remedy into a shell that has this environment, and launch from there."""
    script = f'{{ {remedy}; }} >&2\nexec {" ".join(claudy.command)} "$@"'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *HELLO],
        cwd=project, env=claudy.environment, stdin=subprocess.DEVNULL,
        capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)


def assert_mended(claudy: Claudy, remedy: str, project: Path) -> None:
    done = launch_after(claudy, remedy, project)
    assert (done.code, done.text) == (0, "hello from inside\n"), done.said


def test_the_way_back_is_there(chosen: Claudy, project: Path) -> None:
    assert_mended(chosen, "true", project)


def stale(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


@pytest.mark.parametrize(
    ("make", "finding"),
    [
        (lambda _path: None, "socket-missing"),
        (stale, "socket-stale"),
        (lambda path: path.mkdir(), "socket-is-directory"),
        (lambda path: path.write_text(""), "socket-is-file"),
        (lambda path: path.symlink_to("nowhere"), "socket-missing"),
    ],
    ids=["missing", "stale", "directory", "file", "dangling"],
)
def test_chosen_socket(
    chosen: Claudy, project: Path, tmp_path: Path, make: Callable[[Path], Any], finding: str
) -> None:
    path = tmp_path / "x.sock"
    make(path)
    broken = chosen.with_environment(DOCKER_HOST=f"unix://{path}")
    found = diagnosed(broken, project)
    assert found["finding"] == finding
    assert f"unix://{path} (from: DOCKER_HOST)" in found["seen"]
    assert_mended(broken, found["remedy"], project)


def test_chosen_engine_hangs(chosen: Claudy, project: Path, hang: str) -> None:
    broken = chosen.with_environment(DOCKER_HOST=hang)
    found = diagnosed(broken, project)
    assert found["finding"] == "engine-hangs"
    assert_mended(broken, found["remedy"], project)


def test_bare_path(chosen: Claudy, project: Path) -> None:
    broken = chosen.with_environment(DOCKER_HOST="/var/run/docker.sock")
    found = diagnosed(broken, project)
    assert found["finding"] == "bare-path"
    assert "did you mean unix:///var/run/docker.sock?" in found["seen"]
    assert_mended(broken, found["remedy"], project)


def test_windows_pipe(chosen: Claudy, project: Path) -> None:
    broken = chosen.with_environment(DOCKER_HOST="npipe:////./pipe/docker_engine")
    found = diagnosed(broken, project)
    assert found["finding"] == "named-pipe"
    assert_mended(broken, found["remedy"], project)


@pytest.mark.parametrize("by", ["DOCKER_CONTEXT", "currentContext"])
def test_context_missing(chosen: Claudy, project: Path, tmp_path: Path, by: str) -> None:
    broken = chosen.with_environment(DOCKER_CONTEXT="nope") if by == "DOCKER_CONTEXT" else chosen
    if by == "currentContext":
        config = config_of(chosen, tmp_path) / "config.json"
        config.write_text('{"currentContext": "nope"}')
    found = diagnosed(broken, project)
    assert found["finding"] == "context-missing"
    assert by in found["seen"]
    assert_mended(broken, found["remedy"], project)


@pytest.mark.parametrize("by", ["DOCKER_CONTEXT", "currentContext"])
def test_context_broken(chosen: Claudy, project: Path, tmp_path: Path, by: str) -> None:
    create_context(chosen, tmp_path, "torn", "tcp://h:1").write_text('{"Name":')
    broken = chosen.with_environment(DOCKER_CONTEXT="torn") if by == "DOCKER_CONTEXT" else chosen
    if by == "currentContext":
        config = config_of(chosen, tmp_path) / "config.json"
        config.write_text('{"currentContext": "torn"}')
    found = diagnosed(broken, project)
    assert found["finding"] == "context-broken"
    assert "not valid JSON" in found["seen"]
    assert_mended(broken, found["remedy"], project)


def test_context_without_an_engine(chosen: Claudy, project: Path, tmp_path: Path) -> None:
    create_context(chosen, tmp_path, "gone", f"unix://{tmp_path}/gone.sock")
    broken = chosen.with_environment(DOCKER_CONTEXT="gone")
    found = diagnosed(broken, project)
    assert found["finding"] == "socket-missing"
    assert "(from: context gone (DOCKER_CONTEXT))" in found["seen"]
    assert_mended(broken, found["remedy"], project)


def test_docker_host_over_a_context_is_a_warning(
    chosen: Claudy, project: Path, tmp_path: Path
) -> None:
    create_context(chosen, tmp_path, "other", "tcp://h:1")
    both = chosen.with_environment(DOCKER_HOST=chosen.engine.host, DOCKER_CONTEXT="other")
    done = both.run("doctor", "--json", "endpoint", cwd=project)
    assert done.code == 0
    check = json.loads(done.text)["checks"][-1]
    assert (check["status"], check["finding"]) == ("warn", "context-overridden")
    assert check["remedy"] == "unset DOCKER_HOST"


def test_host_and_context_contradict(chosen: Claudy, project: Path) -> None:
    both = ("--host", "tcp://h:1", "--context", "other")
    launch = chosen.run(*both, *HELLO, cwd=project)
    assert launch.code == 2
    assert "are both given" in launch.said
    doctor = chosen.run("doctor", *both, cwd=project)
    assert doctor.code == 1
    assert "--host and --context are both given" in doctor.text


def test_an_option_overrides_a_variable_that_is_the_other(chosen: Claudy, project: Path) -> None:
    command = chosen.with_environment(CLAUDY_CONTEXT="other")
    host = ("--host", chosen.engine.host)
    launch = command.run(*host, *HELLO, cwd=project)
    assert launch.code == 0, launch.said
    doctor = command.run("doctor", "--json", *host, "endpoint", cwd=project)
    assert json.loads(doctor.text)["checks"][-1]["data"]["source"] == "--host"
    image = command.run("build-image", "--check", *host, cwd=project)
    assert image.code in {0, 1}, image.said
    assert "hal9000:" in image.text


def test_what_a_project_chooses_is_chosen_for_its_image_too(chosen: Claudy, project: Path) -> None:
    (project / ".claudy.toml").write_text('host = "tcp://127.0.0.1:1"\n')
    assert chosen.run("build-image", "--check", cwd=project).code in {0, 1}
    assert chosen.run("trust", "--yes", cwd=project).code == 0
    done = chosen.run("build-image", "--check", cwd=project)
    assert done.code == 125
    assert f"tcp://127.0.0.1:1 (from: {project}/.claudy.toml)" in done.said


def test_tcp_refused(chosen: Claudy, project: Path) -> None:
    broken = chosen.with_environment(DOCKER_HOST="tcp://127.0.0.1:1")
    found = diagnosed(broken, project)
    assert found["finding"] == "tcp-refused"
    assert_mended(broken, found["remedy"], project)


def test_host_unknown(chosen: Claudy, project: Path) -> None:
    broken = chosen.with_environment(DOCKER_HOST="tcp://nowhere.invalid:2375")
    found = diagnosed(broken, project)
    assert found["finding"] == "host-unknown"
    assert_mended(broken, found["remedy"], project)


def test_ssh_refused(chosen: Claudy, project: Path) -> None:
    broken = chosen.with_environment(DOCKER_HOST="ssh://nobody@127.0.0.1:1")
    found = diagnosed(broken, project)
    assert found["finding"] == "ssh-failed"
    assert_mended(broken, found["remedy"], project)


def test_tls_files_missing(chosen: Claudy, project: Path) -> None:
    broken = chosen.with_environment(DOCKER_TLS_VERIFY="0")
    found = diagnosed(broken, project)
    assert found["finding"] == "tls-files-missing"
    assert "any value, even 0, turns TLS on" in found["seen"]
    assert_mended(broken, found["remedy"], project)


def test_tls_with_the_wrong_authority(chosen: Claudy, project: Path, tls: TlsEndpoint) -> None:
    broken = chosen.with_environment(
        DOCKER_HOST=tls.host, DOCKER_TLS_VERIFY="1", DOCKER_CERT_PATH=str(tls.wrong_certificates)
    )
    found = diagnosed(broken, project)
    assert found["finding"] == "tls-untrusted"
    assert str(tls.wrong_certificates) in found["seen"]
    assert_mended(broken, found["remedy"], project)


def test_tls_without_a_client_certificate(
    chosen: Claudy, project: Path, tls: TlsEndpoint, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    keys.mkdir()
    shutil.copy(tls.certificates / "ca.pem", keys)
    broken = chosen.with_environment(
        DOCKER_HOST=tls.host, DOCKER_TLS_VERIFY="1", DOCKER_CERT_PATH=str(keys)
    )
    found = diagnosed(broken, project)
    assert found["finding"] == "tls-client-certificate"
    assert_mended(broken, found["remedy"], project)


def test_tls_expected(chosen: Claudy, project: Path, tls: TlsEndpoint) -> None:
    broken = chosen.with_environment(DOCKER_HOST=tls.host, DOCKER_CERT_PATH=str(tls.certificates))
    found = diagnosed(broken, project)
    assert (found["finding"], found["remedy"]) == ("tls-expected", "export DOCKER_TLS_VERIFY=1")
    assert_mended(broken, found["remedy"], project)


def test_launch_over_tls(chosen: Claudy, project: Path, tls: TlsEndpoint) -> None:
    """An engine of this very machine behind TLS on loopback can mount its files."""
    broken = chosen.with_environment(DOCKER_HOST=tls.host, DOCKER_CERT_PATH=str(tls.certificates))
    done = launch_after(broken, "export DOCKER_TLS_VERIFY=1", project)
    assert (done.code, done.out) == (0, b"hello from inside\n")


def test_session_over_tls(chosen: Claudy, project: Path, tls: TlsEndpoint) -> None:
    """Both directions at once, each ended alone: much more than fits into any buffer."""
    secure = chosen.with_environment(
        DOCKER_HOST=tls.host, DOCKER_TLS_VERIFY="1", DOCKER_CERT_PATH=str(tls.certificates)
    )
    sent = os.urandom(16 << 20)
    done = secure.run(*HELLO[:3], "sh", "-c", "cat; exit 7", cwd=project, input=sent)
    assert done.code == 7, done.said
    assert done.out == sent


def test_the_end_of_input_over_tls(chosen: Claudy, project: Path, tls: TlsEndpoint) -> None:
    """A command that answers only after all of its input; what it says is not cut off."""
    secure = chosen.with_environment(
        DOCKER_HOST=tls.host, DOCKER_TLS_VERIFY="1", DOCKER_CERT_PATH=str(tls.certificates)
    )
    script = "wc -c; head -c 5000000 /dev/zero"
    done = secure.run(*HELLO[:3], "sh", "-c", script, cwd=project, input=b"x" * 1_000_003)
    assert (done.code, done.out[:8]) == (0, b"1000003\n"), done.said
    assert len(done.out) == 8 + 5_000_000


def test_something_else_than_an_engine(chosen: Claudy, project: Path, registry: str) -> None:
    broken = chosen.with_environment(DOCKER_HOST=f"tcp://{registry}")
    found = diagnosed(broken, project)
    assert found["finding"] == "not-an-engine"
    assert_mended(broken, found["remedy"], project)
