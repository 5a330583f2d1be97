"""Where claudy keeps its files: settings, state, cache.

On Linux worked out here, because importing platformdirs takes longer than everything else that a
launch imports; `tests/unit/host/test_places.py` compares the two.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

PROJECT_FILE = ".claudy.toml"


def config_file(env: Mapping[str, str]) -> str:
    """Return the path of the user's settings file: `CLAUDY_CONFIG`, else `config.toml`."""
    return (
        env.get("CLAUDY_CONFIG")
        or f"{_place(env, 'config', 'XDG_CONFIG_HOME', '.config')}/config.toml"
    )


def state_dir(env: Mapping[str, str]) -> str:
    """Return the directory for what has to be remembered."""
    return _place(env, "state", "XDG_STATE_HOME", ".local/state")


def cache_dir(env: Mapping[str, str]) -> str:
    """Return the directory for what can be found out again."""
    return _place(env, "cache", "XDG_CACHE_HOME", ".cache")


def _place(env: Mapping[str, str], kind: str, variable: str, default: str) -> str:
    if str(sys.platform) == "linux":  # str: type checkers know only this platform
        base = env.get(variable, "")
        base = base if base.startswith("/") else os.path.expanduser("~/" + default)
        return f"{base}/claudy"
    import platformdirs

    find = getattr(platformdirs, f"user_{kind}_dir")
    return str(find("claudy", appauthor=False))
