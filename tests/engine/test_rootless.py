"""An ordinary user with a rootless engine of their own: nothing here is root's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.engine.doctor.test_healthy import ready, send_image
from tests.running.fixtures import places
from tests.running.program import Claudy

if TYPE_CHECKING:
    from tests.engines.engine import Engine
    from tests.engines.values import OrdinaryUser

__all__ = ["ready"]

pytestmark = pytest.mark.once

_TREE = Path(__file__).parents[2]
_NEEDED = ("h11", "h2", "hpack", "hyperframe", "platformdirs")  # by the guard and a launch
SERVE = "echo hello >/index.html; httpd -f -p 80 -h /"
# Published on the host's loopback; the engine's addresses are those of a network namespace.
SCRIPT = f"""
set -e
name=$(docker run -d --rm -p 0:80 busybox sh -c '{SERVE}')
port=$(docker port "$name" 80/tcp | sed -n 's/^127.0.0.1://p')
curl --silent --show-error --retry 20 --retry-delay 1 --retry-all-errors "localhost:$port"
docker rm -f "$name" >/dev/null
docker run --rm -v "$PWD:/there" busybox touch /there/made
"""


@pytest.fixture
def theirs(
    ready: Claudy, rootless_engine: Engine, ordinary_user: OrdinaryUser, tmp_path: Path
) -> Claudy:
    """Return claudy as that user, who may not be able to read this tree or its interpreter."""
    send_image(ready, rootless_engine)
    for parent in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        parent.chmod(0o755)
    library = tmp_path / "lib"
    shutil.copytree(_TREE / "claudy", library / "claudy")
    shutil.copytree(_TREE / "docker", library / "docker")
    for name in _NEEDED:
        shutil.copytree(Path(sysconfig.get_path("purelib"), name), library / name)
    (tmp_path / "home").mkdir()
    environment = places(tmp_path / "home") | {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(library),
        "DOCKER_HOST": rootless_engine.host,
    }
    for path in (tmp_path / "home", *(tmp_path / "home").rglob("*")):
        os.chown(path, ordinary_user.uid, ordinary_user.gid)
    become = ordinary_user.command(docker=False)
    check = ("-c", "import sys; sys.exit(sys.version_info < (3, 11))")
    for interpreter in (sys.executable, "/usr/bin/python3"):
        if not subprocess.run([*become, interpreter, *check], check=False).returncode:
            command = (interpreter, "-P", "-m", "claudy")
            return Claudy(command, environment, rootless_engine).by(become)
    pytest.fail("no interpreter of Python 3.11 that everybody may run")


def test_the_guard_of_an_ordinary_user(
    theirs: Claudy, ordinary_user: OrdinaryUser, tmp_path: Path
) -> None:
    """Containers, bind mounts and ports at localhost, with the default, without root anywhere."""
    project = tmp_path / "project"
    project.mkdir()
    os.chown(project, ordinary_user.uid, ordinary_user.gid)
    done = theirs.run("--", "sh", "-c", SCRIPT, cwd=project)
    assert (done.code, done.text) == (0, "hello\n"), done.said
    assert (project / "made").stat().st_uid == ordinary_user.uid
    theirs.sandboxes(project).wait_gone(5)
