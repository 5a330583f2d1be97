"""The tree as who clones it gets it, and how pip reaches the index that this machine uses."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
from pathlib import Path

TREE = Path(__file__).parents[2]


def copy_tree(target: Path) -> None:
    """Copy what a commit of the tree as it is would have."""
    listing = subprocess.run(
        ["git", "ls-files", "-zco", "--exclude-standard"], cwd=TREE, check=True, capture_output=True
    )
    for name in listing.stdout.decode().split("\0"):
        source = TREE / name
        if name and (source.is_file() or source.is_symlink()):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name, follow_symlinks=False)


def package_settings(root: Path | None = None) -> dict[str, str]:
    """Return pip's variables with which it reaches the index that this machine reaches.

    Args:
        root: The root of another machine, which gets this one's settings and certificates.
    """
    found = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    trusted = found.get("PIP_CERT") or ssl.get_default_verify_paths().cafile
    if trusted and Path(trusted).is_file():
        found["PIP_CERT"] = trusted
        if root:
            # Not where the package ca-certificates writes its own.
            shutil.copy(trusted, root / "etc/trusted.pem")
            found["PIP_CERT"] = "/etc/trusted.pem"
    if root and Path("/etc/pip.conf").is_file():
        shutil.copy("/etc/pip.conf", root / "etc/pip.conf")
    return found
