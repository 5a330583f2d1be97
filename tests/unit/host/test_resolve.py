"""The endpoint of every combination of option, environment and context store."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claudy.errors import USAGE
from claudy.host.endpoint import TLS, Endpoint, EndpointError, resolve


def config_dir(home: Path) -> Path:
    directory = home / ".docker"
    directory.mkdir(exist_ok=True)
    return directory


def store(home: Path, name: str, docker: object, *, files: tuple[str, ...] = ()) -> Path:
    key = hashlib.sha256(name.encode()).hexdigest()
    meta = config_dir(home) / "contexts/meta" / key
    meta.mkdir(parents=True)
    document = {"Name": name, "Metadata": {}, "Endpoints": {"docker": docker}}
    (meta / "meta.json").write_text(json.dumps(document))
    tls = config_dir(home) / "contexts/tls" / key / "docker"
    for file in files:
        tls.mkdir(parents=True, exist_ok=True)
        (tls / f"{file}.pem").write_text("pem")
    return meta / "meta.json"


def ask(home: Path, env: dict[str, str] | None = None, **options: Any) -> Endpoint:
    options = {"platform": "linux", "uid": 1000, **options}
    return resolve(env=env or {}, home=str(home), **options)


def code_of(home: Path, env: dict[str, str] | None = None, **options: Any) -> str:
    with pytest.raises(EndpointError) as caught:
        ask(home, env, **options)
    assert caught.value.hint
    return caught.value.code


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home directory whose store has three contexts."""
    store(tmp_path, "colima", {"Host": "unix:///home/u/.colima/default/docker.sock"})
    store(tmp_path, "far", {"Host": "ssh://me@far:2222"})
    store(tmp_path, "build", {"Host": "tcp://build:2376"}, files=("ca", "cert", "key"))
    return tmp_path


def current(home: Path, name: object) -> None:
    (home / ".docker/config.json").write_text(json.dumps({"auths": {}, "currentContext": name}))


SOCKET = "unix:///var/run/docker.sock"
DEFAULT = (SOCKET, "default", "default")
VIA_FILE = "(currentContext in ~/.docker/config.json)"
COLIMA = "unix:///home/u/.colima/default/docker.sock"


@pytest.mark.parametrize(
    ("env", "chosen", "options", "expected"),
    [
        ({}, None, {}, DEFAULT),
        ({"DOCKER_HOST": ""}, None, {}, DEFAULT),
        ({"DOCKER_CONTEXT": ""}, None, {}, DEFAULT),
        ({}, "default", {}, (SOCKET, f"context default {VIA_FILE}", "default")),
        ({}, "colima", {}, (COLIMA, f"context colima {VIA_FILE}", "colima")),
        (
            {"DOCKER_CONTEXT": "far"},
            "colima",
            {},
            ("ssh://me@far:2222", "context far (DOCKER_CONTEXT)", "far"),
        ),
        (
            {"DOCKER_CONTEXT": "default"},
            "colima",
            {},
            (SOCKET, "context default (DOCKER_CONTEXT)", "default"),
        ),
        (
            {"DOCKER_HOST": "unix:///a.sock", "DOCKER_CONTEXT": "far"},
            "colima",
            {},
            ("unix:///a.sock", "DOCKER_HOST", "default"),
        ),
        (
            {"DOCKER_HOST": "tcp://h:1"},
            None,
            {"host": "unix:///b.sock"},
            ("unix:///b.sock", "--host", "default"),
        ),
        (
            {"DOCKER_HOST": "tcp://h:1"},
            None,
            {"context": "build"},
            ("tcp://build:2376", "context build (--context)", "build"),
        ),
        # the CLI's `--context default` is whatever DOCKER_HOST says
        (
            {"DOCKER_HOST": "tcp://h:1"},
            None,
            {"context": "default"},
            ("tcp://h:1", "DOCKER_HOST", "default"),
        ),
        (
            {"DOCKER_CONTEXT": "colima"},
            None,
            {"host": ""},
            (COLIMA, "context colima (DOCKER_CONTEXT)", "colima"),
        ),
        (
            {},
            None,
            {"host": "unix:///c.sock", "host_source": "CLAUDY_HOST"},
            ("unix:///c.sock", "CLAUDY_HOST", "default"),
        ),
    ],
)
def test_precedence(
    home: Path,
    env: dict[str, str],
    chosen: str | None,
    options: dict[str, Any],
    expected: tuple[str, str, str],
) -> None:
    if chosen:
        current(home, chosen)
    found = ask(home, env, **options)
    assert (found.url, found.source, found.context) == expected
    assert found.explicit is (found.source != "default")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("unix://", ("unix:///var/run/docker.sock", "unix", "/var/run/docker.sock", ("", 0))),
        (" unix:///a b.sock ", ("unix:///a b.sock", "unix", "/a b.sock", ("", 0))),
        ("tcp://", ("tcp://localhost:2375", "tcp", "", ("localhost", 2375))),
        ("tcp://h", ("tcp://h:2375", "tcp", "", ("h", 2375))),
        ("tcp://h:99/base", ("tcp://h:99/base", "tcp", "/base", ("h", 99))),
        ("tcp://[::1]:99", ("tcp://[::1]:99", "tcp", "", ("::1", 99))),
        ("h", ("tcp://h:2375", "tcp", "", ("h", 2375))),
        (":99", ("tcp://localhost:99", "tcp", "", ("localhost", 99))),
        ("ssh://u@h", ("ssh://u@h", "ssh", "", ("u@h", 0))),
        ("ssh://h:2222/run/d.sock", ("ssh://h:2222/run/d.sock", "ssh", "/run/d.sock", ("h", 2222))),
    ],
)
def test_addresses(
    tmp_path: Path, value: str, expected: tuple[str, str, str, tuple[str, int]]
) -> None:
    found = ask(tmp_path, {"DOCKER_HOST": value})
    assert (found.url, found.kind, found.path, found.address) == expected
    assert found.tls is None


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("/var/run/docker.sock", "bare-path"),
        ("./docker.sock", "bare-path"),
        ("~/docker.sock", "bare-path"),
        ("unix://relative.sock", "endpoint-invalid"),
        ("unix://tcp://x", "endpoint-invalid"),
        ("http://h:2375", "endpoint-invalid"),
        ("TCP://h:1", "endpoint-invalid"),
        ("tcp://h:port", "endpoint-invalid"),
        ("tcp://h:70000", "endpoint-invalid"),
        ("tcp://[::1:99", "endpoint-invalid"),
        ("tcp://[::1]", "endpoint-invalid"),
        ("ssh://", "endpoint-invalid"),
        ("ssh://-oProxyCommand=x", "endpoint-invalid"),
        ("ssh://u:password@h", "endpoint-invalid"),
        ("npipe:////./pipe/docker_engine", "named-pipe"),
    ],
)
def test_addresses_that_cannot_be(tmp_path: Path, value: str, code: str) -> None:
    assert code_of(tmp_path, {"DOCKER_HOST": value}) == code


def test_bare_path_says_what_was_meant(tmp_path: Path) -> None:
    with pytest.raises(EndpointError) as caught:
        ask(tmp_path, {"DOCKER_HOST": "/run/my.sock"})
    assert "did you mean unix:///run/my.sock?" in caught.value.message
    assert caught.value.hint == "export DOCKER_HOST=unix:///run/my.sock"


def test_host_and_context_contradict(home: Path) -> None:
    with pytest.raises(EndpointError) as caught:
        ask(home, host="tcp://h", context="colima")
    assert (caught.value.code, caught.value.exit_code) == ("host-and-context", USAGE)


def test_missing_context_lists_those_that_exist(home: Path) -> None:
    with pytest.raises(EndpointError) as caught:
        ask(home, {"DOCKER_CONTEXT": "nope"})
    assert caught.value.code == "context-missing"
    assert "there are: default, build, colima, far" in caught.value.message
    assert caught.value.hint == "unset DOCKER_CONTEXT"


@pytest.mark.parametrize(
    "content",
    [b"", b'{"Name":', b"[]", b'{"Name":"x"}', b'{"Endpoints":{"docker":{"Host":5}}}'],
)
def test_broken_context(home: Path, content: bytes) -> None:
    path = store(home, "torn", {})
    path.write_bytes(content)
    current(home, "torn")
    with pytest.raises(EndpointError) as caught:
        ask(home)
    assert caught.value.code == "context-broken"
    assert str(path) in caught.value.message
    assert caught.value.hint == "docker context use default"


def test_context_that_is_a_directory(home: Path) -> None:
    path = store(home, "odd", {})
    path.unlink()
    path.mkdir()
    assert code_of(home, context="odd") == "context-broken"


def test_context_with_a_windows_pipe_under_wsl(home: Path) -> None:
    store(home, "desktop-windows", {"Host": "npipe:////./pipe/dockerDesktopEngine"})
    assert code_of(home, {"DOCKER_CONTEXT": "desktop-windows"}) == "named-pipe"


def test_context_without_a_host_is_the_platform_default(home: Path) -> None:
    store(home, "empty", {})
    found = ask(home, context="empty")
    assert (found.path, found.context, found.explicit) == ("/var/run/docker.sock", "empty", True)


def test_context_tls(home: Path) -> None:
    tls = ask(home, context="build").tls
    assert tls is not None
    assert tls.verify
    assert [Path(path).name for path in (tls.ca, tls.cert, tls.key)] == [
        "ca.pem",
        "cert.pem",
        "key.pem",
    ]


def test_context_that_skips_verification_uses_tls_without_files(home: Path) -> None:
    store(home, "lax", {"Host": "tcp://lax:2376", "SkipTLSVerify": True})
    assert ask(home, context="lax").tls == TLS("", "", "", verify=False)


def test_context_tls_ignores_the_environment(home: Path) -> None:
    store(home, "bare", {"Host": "tcp://bare:2375"})
    assert ask(home, {"DOCKER_TLS_VERIFY": "1"}, context="bare").tls is None


@pytest.mark.parametrize("value", ["1", "0", "false", " "])
def test_any_value_of_tls_verify_turns_tls_on(tmp_path: Path, value: str) -> None:
    (config_dir(tmp_path) / "ca.pem").write_text("pem")
    found = ask(tmp_path, {"DOCKER_TLS_VERIFY": value})
    assert (found.url, found.source) == ("tcp://localhost:2376", "DOCKER_TLS_VERIFY")
    assert found.tls == TLS(str(tmp_path / ".docker/ca.pem"), "", "", verify=True)
    assert found.explicit


def test_tls_without_verification(tmp_path: Path) -> None:
    for name in ("ca", "cert", "key"):
        (tmp_path / f"{name}.pem").write_text("pem")
    env = {"DOCKER_TLS": "1", "DOCKER_HOST": "tcp://h", "DOCKER_CERT_PATH": str(tmp_path)}
    found = ask(tmp_path, env)
    ca, cert, key = (f"{tmp_path}/{name}.pem" for name in ("ca", "cert", "key"))
    assert found.tls == TLS(ca, cert, key, verify=False)
    # as in the CLI: TLS changes the default address, not the default port of a given one
    assert found.url == "tcp://h:2375"


def test_tls_files_missing(tmp_path: Path) -> None:
    with pytest.raises(EndpointError) as caught:
        ask(tmp_path, {"DOCKER_TLS_VERIFY": "0", "DOCKER_HOST": "tcp://h:2376"})
    assert caught.value.code == "tls-files-missing"
    assert f"{tmp_path}/.docker/ca.pem" in caught.value.message
    assert caught.value.hint == "unset DOCKER_TLS_VERIFY"


def test_tls_means_nothing_on_a_unix_socket(tmp_path: Path) -> None:
    env = {"DOCKER_TLS_VERIFY": "1", "DOCKER_HOST": "unix:///a.sock"}
    assert ask(tmp_path, env).tls is None


def test_docker_config_moves_the_store(home: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (home / ".docker").rename(elsewhere)
    (elsewhere / "config.json").write_text('{"CurrentContext": "far"}')
    found = ask(home, {"DOCKER_CONFIG": str(elsewhere)})
    assert found.source == "context far (currentContext in ~/elsewhere/config.json)"
    found = ask(tmp_path / "other", {"DOCKER_CONFIG": str(elsewhere)})
    assert found.source == f"context far (currentContext in {elsewhere}/config.json)"


@pytest.mark.parametrize("content", ['{"currentContext": "far"', '{"currentContext": 5}'])
def test_config_that_the_cli_ignores_is_noted(home: Path, content: str) -> None:
    (home / ".docker/config.json").write_text(content)
    found = ask(home)
    assert (found.source, found.explicit) == ("default", False)
    assert len(found.notes) == 1
    assert "config.json" in found.notes[0]


def test_docker_host_over_a_context_is_noted(home: Path) -> None:
    current(home, "colima")
    found = ask(home, {"DOCKER_HOST": "unix:///a.sock"})
    assert found.notes == ("DOCKER_HOST overrides the context 'colima'",)
    assert ask(home, {"DOCKER_HOST": "unix:///a.sock", "DOCKER_CONTEXT": "default"}).notes == ()


def test_windows_default_is_the_pipe(tmp_path: Path) -> None:
    found = ask(tmp_path, platform="win32")
    assert (found.kind, found.path) == ("npipe", "//./pipe/docker_engine")


def test_root_stands_for_the_file_system(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    store(tmp_path / "home", "x", {"Host": "tcp://x:1"})
    found = resolve(env={}, home="/home", platform="linux", uid=0, context="x", root=str(tmp_path))
    assert found.url == "tcp://x:1"


def test_default_case_imports_nothing(tmp_path: Path) -> None:
    """The hot case: default socket, no configuration directory."""
    script = (
        "import sys; before = set(sys.modules)\n"
        "from claudy.host.endpoint import resolve\n"
        "resolve(env={}, home=sys.argv[1], platform='linux', uid=1)\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [
        "__future__",
        "claudy",
        "claudy.errors",
        "claudy.host",
        "claudy.host.endpoint",
        "claudy.record",
        "errno",
    ]


@given(value=st.text(max_size=40), name=st.sampled_from(["DOCKER_HOST", "DOCKER_CONTEXT"]))
def test_any_value_gives_an_endpoint_or_an_explained_error(value: str, name: str) -> None:
    problem = None
    try:
        found = ask(Path("/nonexistent"), {name: value})
    except EndpointError as e:
        problem = e
    if problem:
        assert problem.hint
        assert problem.code != "endpoint"
    else:
        assert found.kind in {"unix", "tcp", "ssh"}
        assert found.path or found.address != ("", 0)
