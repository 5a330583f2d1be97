"""Where it all happens: an engine, a project, an installed claudy; and the clearing up."""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.installed import clean_environment, install_claudy
from bench.measure import say
from bench.processes import COLUMNS, Surroundings, on_terminal, output
from claudy.engine.client import Engine
from claudy.errors import APIError
from claudy.host.endpoint import resolve

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.installed import Peer

# On a root-only machine the project belongs to an ordinary user all the same, as it does elsewhere.
_ORDINARY = 1000
_DIRECTORIES = ("home", "cache", "config", "state", "data", "run")


@dataclass(frozen=True)
class Stage:
    """What the sections work with.

    Args:
        directory: temporary directory of the whole run.
        programs: directory with the installed claudy and its Python.
        around: environment and project directory of what is measured.
        engine: the engine, for what has to be made and removed.
        label: `claudy.bench=...`, on everything that the benchmark itself makes.
        peers: other launchers.
        missing: why others are not there.
        prompt: what the shell's prompt inside contains.
    """

    directory: Path
    programs: Path
    around: Surroundings
    engine: Engine
    label: str
    peers: tuple[Peer, ...] = ()
    missing: tuple[str, ...] = ()
    prompt: bytes = b"@claudy:/workspace"

    @property
    def claudy(self) -> str:
        """Path of the installed command."""
        return str(self.programs / "claudy")

    @property
    def python(self) -> str:
        """Path of the interpreter that it is installed with."""
        return str(self.programs / "python")

    def project(self, name: str) -> Path:
        """Return a project directory, made if need be."""
        path = self.directory / "projects" / name
        path.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            os.chown(path, _ORDINARY, _ORDINARY)
        return path

    def at(self, directory: Path) -> Stage:
        """Return the same with another project."""
        return replace(self, around=replace(self.around, directory=str(directory)))

    def using(self, mode: str) -> Stage:
        """Return the same with another way to reach Docker.

        Args:
            mode: `guard`, `host` or `none`.
        """
        env = {**self.around.env, "CLAUDY_DOCKER": mode}
        return replace(self, around=replace(self.around, env=env))

    def docker_line(self, *arguments: str, terminal: bool = False) -> list[str]:
        """Return the `docker run` command that `claudy --dry-run ARGUMENTS` prints.

        Args:
            arguments: further arguments of claudy.
            terminal: ask on a terminal, which makes it `docker run -it`.
        """
        if not terminal:
            return shlex.split(output([self.claudy, "--dry-run", *arguments], self.around))
        with on_terminal([self.claudy, "--dry-run", *arguments], self.around) as shown:
            shown.expect(b"docker run ")
            line = b"docker run " + shown.until(b"\r\n")
            shown.end()
        return shlex.split(line.decode())

    def clear(self) -> None:
        """Remove everything on the engine that this run has made."""
        call = self.engine.call
        projects = str(self.directory / "projects")
        for found in call("GET", "/containers/json", {"all": True}):
            labels = found.get("Labels") or {}
            if self._ours(labels, projects):
                with contextlib.suppress(APIError):
                    call("DELETE", f"/containers/{found['Id']}", {"force": True, "v": True})
        for volume in call("GET", "/volumes")["Volumes"] or ():
            if self._ours(volume.get("Labels") or {}, projects):
                with contextlib.suppress(APIError):
                    call("DELETE", f"/volumes/{volume['Name']}", {"force": True})
        for image in call("GET", "/images/json"):
            if self._ours(image.get("Labels") or {}, projects):
                for name in image.get("RepoTags") or (image["Id"],):
                    with contextlib.suppress(APIError):
                        call("DELETE", f"/images/{name}", {"force": True})

    def _ours(self, labels: dict[str, str], projects: str) -> bool:
        key, _, value = self.label.partition("=")
        project = labels.get("claudy.project", "")
        return labels.get(key) == value or project.startswith(projects + "/")


@contextlib.contextmanager
def set_up(python: str, *, keep_image: bool) -> Iterator[Stage]:
    """Install claudy, make a project and the image, and clear everything up in the end.

    Args:
        python: interpreter to install claudy with.
        keep_image: leave claudy's own images, if they had to be made.
    """
    directory = Path(tempfile.mkdtemp(prefix="claudy-bench-")).resolve()
    directory.chmod(0o755)
    try:
        stage = _open(directory, python)
        before = _image_names(stage.engine)
        try:
            say(f"preparing the image on {stage.engine.endpoint.url}")
            output([stage.claudy, "--yes", "--", "true"], stage.around)
            yield stage
        finally:
            say("clearing up")
            stage.clear()
            if not keep_image:
                _remove_images(stage.engine, before)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _open(directory: Path, python: str) -> Stage:
    env = clean_environment()
    env["DOCKER_CONFIG"] = env.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")
    for name in _DIRECTORIES:
        (directory / name).mkdir(mode=0o700)
    env |= {
        "HOME": str(directory / "home"),
        "XDG_CACHE_HOME": str(directory / "cache"),
        "XDG_CONFIG_HOME": str(directory / "config"),
        "XDG_STATE_HOME": str(directory / "state"),
        "XDG_DATA_HOME": str(directory / "data"),
        "XDG_RUNTIME_DIR": str(directory / "run"),
        "TERM": "xterm-256color",
        "COLUMNS": str(COLUMNS),
    }
    endpoint = resolve(
        env=env, home=os.path.expanduser("~"), platform=sys.platform, uid=os.getuid(),
        host=None, context=None,
    )  # fmt: skip
    stage = Stage(
        directory=directory,
        programs=install_claudy(directory / "claudy", python),
        around=Surroundings(env, str(directory)),
        engine=Engine(endpoint),
        label=f"claudy.bench={secrets.token_hex(4)}",
    )
    return stage.at(stage.project("project"))


def _image_names(engine: Engine) -> set[str]:
    return {
        name for image in engine.call("GET", "/images/json") for name in image.get("RepoTags") or ()
    }


def _remove_images(engine: Engine, before: set[str]) -> None:
    """Remove the images that claudy had to make; those that were there stay."""
    for name in sorted(_image_names(engine) - before):
        if name.startswith(("claudy-user:", "hal9000:", "claudy-bench:")):
            with contextlib.suppress(APIError):
                engine.call("DELETE", f"/images/{name}")


@contextlib.contextmanager
def running(stage: Stage, *options: str) -> Iterator[str]:
    """Have the project's sandbox run for a while, held open by a session.

    Returns:
        Name of its container.
    """
    name = next(
        word.partition("=")[2] for word in stage.docker_line() if word.startswith("--name=")
    )
    argv: Sequence[str] = [stage.claudy, *options, "--", "sh", "-c", "echo ready; exec cat"]
    with subprocess.Popen(
        argv,
        env=dict(stage.around.env),
        cwd=stage.around.directory,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n"
        try:
            yield name
        finally:
            holder.stdin.close()
            holder.wait()
