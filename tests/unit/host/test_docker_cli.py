"""The resolver against the docker CLI itself: `docker context` needs no daemon."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from claudy.host.endpoint import EndpointError, resolve

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def docker() -> str:
    found = shutil.which("docker")
    if found is None:
        pytest.fail("these tests compare with the docker CLI: install docker-cli (20.10 or later)")
    return found


@pytest.fixture(scope="module")
def home(docker: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with contexts that the CLI itself has made."""
    home = tmp_path_factory.mktemp("home")
    pems = home / "pems"
    pems.mkdir()
    for name in ("ca", "cert", "key"):
        (pems / f"{name}.pem").write_text(name)
    for name, description in (
        ("colima", "host=unix:///home/u/.colima/default/docker.sock"),
        ("far", "host=ssh://me@far"),
        (
            "build",
            f"host=tcp://build:2376,ca={pems}/ca.pem,cert={pems}/cert.pem,key={pems}/key.pem",
        ),
        ("lax", "host=tcp://lax:2376,skip-tls-verify=true"),
    ):
        cli(docker, home, {}, "context", "create", name, "--docker", description)
    broken = home / ".docker/contexts/meta" / "ab"
    broken.mkdir()
    return home


def cli(
    docker: str, home: Path, env: dict[str, str], *words: str
) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), **env}
    return subprocess.run(
        [docker, *words], env=environment, capture_output=True, text=True, check=False
    )


CASES: list[tuple[dict[str, str], str, list[str]]] = [
    ({}, "", []),
    ({}, "colima", []),
    ({}, "default", []),
    ({}, "nope", []),
    ({"DOCKER_CONTEXT": "far"}, "colima", []),
    ({"DOCKER_CONTEXT": "default"}, "colima", []),
    ({"DOCKER_CONTEXT": ""}, "colima", []),
    ({"DOCKER_CONTEXT": "nope"}, "", []),
    ({"DOCKER_CONTEXT": "../x"}, "", []),
    ({"DOCKER_HOST": "tcp://h:1"}, "colima", []),
    ({"DOCKER_HOST": ""}, "colima", []),
    ({"DOCKER_HOST": "   "}, "colima", []),
    ({"DOCKER_HOST": "tcp://h:1", "DOCKER_CONTEXT": "far"}, "colima", []),
    ({"DOCKER_HOST": "tcp://h:1"}, "", ["--context", "colima"]),
    ({"DOCKER_HOST": "tcp://h:1"}, "", ["--context", "default"]),
    ({"DOCKER_HOST": "tcp://h:1"}, "colima", ["--host", "unix:///b.sock"]),
    ({"DOCKER_CONTEXT": "far"}, "", ["--host", "unix:///b.sock"]),
    ({}, "", ["--context", "build"]),
    ({}, "", ["--context", "lax"]),
    ({}, "", ["--host", "tcp://h", "--context", "colima"]),
    *(
        ({"DOCKER_HOST": value}, "", [])
        for value in (
            "unix://",
            "unix:///a/b.sock",
            "tcp://",
            "tcp://h",
            "tcp://h:99/base",
            "tcp://[::1]:99",
            "tcp://[::1]",
            "h",
            "h:5",
            ":99",
            "ssh://u@h:22/p",
            "http://h",
            "TCP://h:1",
            "tcp://h:port",
            "unix://tcp://x",
        )
    ),
    ({"DOCKER_TLS_VERIFY": "0"}, "", []),
    ({"DOCKER_TLS_VERIFY": "", "DOCKER_TLS": ""}, "", []),
    ({"DOCKER_TLS": "0", "DOCKER_CERT_PATH": "PEMS"}, "", []),
    ({"DOCKER_TLS_VERIFY": "0", "DOCKER_CERT_PATH": "PEMS"}, "", []),
    ({"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "PEMS", "DOCKER_HOST": "tcp://h"}, "", []),
    ({"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "PEMS"}, "far", []),
]


@pytest.mark.parametrize(("env", "current", "options"), CASES)
def test_same_endpoint_as_the_cli(
    docker: str, home: Path, env: dict[str, str], current: str, options: list[str]
) -> None:
    config = {"currentContext": current} if current else {}
    (home / ".docker/config.json").write_text(json.dumps(config))
    env = {key: value.replace("PEMS", f"{home}/pems") for key, value in env.items()}
    theirs = cli(docker, home, env, *options, "context", "inspect")
    given = dict(zip(options[::2], options[1::2], strict=True))
    ours, problem = None, ""
    try:
        ours = resolve(
            env=env,
            home=str(home),
            platform="linux",
            uid=os.getuid(),
            host=given.get("--host"),
            context=given.get("--context"),
        )
    except EndpointError as e:
        problem = e.message
    assert (ours is not None) == (theirs.returncode == 0), problem or theirs.stderr
    if ours is None:
        return
    (document,) = json.loads(theirs.stdout)
    assert ours.url == document["Endpoints"]["docker"]["Host"]
    skip = document["Endpoints"]["docker"]["SkipTLSVerify"]
    assert skip == (ours.tls is not None and not ours.tls.verify)
    assert (ours.tls is not None) == bool(skip or document["TLSMaterial"])
    shown = cli(docker, home, env, *options, "context", "show")
    assert ours.context == shown.stdout.strip()
