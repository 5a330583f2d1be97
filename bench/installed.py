"""Install what is measured: claudy as `install.sh` does it, and those it is measured against."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.measure import say
from bench.processes import Failed

TREE = Path(__file__).resolve().parent.parent
# Programs may not write compiled modules with it, and pip compiles none; a user's shell has it not.
_UNSET = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
NODE_PEER = "@devcontainers/cli"
RUST_PEER = "devcontainer-rs"


@dataclass(frozen=True)
class Peer:
    """Another launcher.

    Args:
        name: what the tables call it.
        program: path of its command.
        version: its version.
    """

    name: str
    program: str
    version: str


def clean_environment() -> dict[str, str]:
    """Return this process's environment without what changes how Python starts."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in _UNSET and not name.startswith("CLAUDY_")
    }


def install_claudy(where: Path, python: str) -> Path:
    """Install claudy from this tree into a virtual environment of its own.

    The steps are those of install.sh.

    Args:
        where: directory to be made.
        python: interpreter to make it with.

    Returns:
        The virtual environment's directory of programs.
    """
    say(f"installing claudy with {python}")
    _run([python, "-m", "venv", "--clear", str(where)])
    inside = [str(where / "bin/python"), "-m", "pip"]
    quiet = ["--quiet", "--disable-pip-version-check"]
    _run([*inside, "install", *quiet, "--upgrade", "pip"])
    _run([*inside, "install", *quiet, str(TREE)])
    _run([*inside, "uninstall", "--quiet", "--yes", "setuptools"])
    return where / "bin"


def install_peers(where: Path, python: str) -> tuple[list[Peer], list[str]]:
    """Install the other launchers.

    Returns:
        Those that could be had, and why the others could not.
    """
    peers, missing = [], []
    for name, install in (("devcontainer", _install_node), ("devcontainer-rs", _install_rust)):
        try:
            program = install(where / name, python)
            version = subprocess.run(
                [program, "--version"], capture_output=True, check=True, text=True
            ).stdout.split()[-1]
            peers.append(Peer(name, program, version))
        except (Failed, OSError, subprocess.CalledProcessError, IndexError) as error:
            missing.append(f"{name}: {str(error).splitlines()[0][:200]}")
    return peers, missing


def _install_node(where: Path, _python: str) -> str:
    if not shutil.which("npm"):
        raise Failed("npm is not installed")
    say(f"installing {NODE_PEER} from npm")
    where.mkdir(parents=True)
    _run(["npm", "install", "--no-audit", "--no-fund", "--prefix", str(where), NODE_PEER])
    return str(where / "node_modules/.bin/devcontainer")


def _install_rust(where: Path, python: str) -> str:
    say(f"installing {RUST_PEER} from PyPI")
    _run([python, "-m", "venv", str(where)])
    pip = [str(where / "bin/python"), "-m", "pip"]
    _run([*pip, "install", "--quiet", "--disable-pip-version-check", RUST_PEER])
    return str(where / "bin/devcontainer")


def _run(argv: list[str]) -> None:
    done = subprocess.run(
        argv, env=clean_environment(), capture_output=True, check=False, text=True
    )
    if done.returncode:
        raise Failed(f"{' '.join(argv)}: {done.stderr.strip()[-2000:] or done.stdout[-2000:]}")


def default_python() -> str:
    """Return the interpreter below this one's virtual environment, if it is in one."""
    return str(Path(sys.base_prefix) / f"bin/python{sys.version_info[0]}.{sys.version_info[1]}")
