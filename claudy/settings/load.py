"""Merge the layers of settings: flags, environment, project file, user file, defaults."""

from __future__ import annotations

import os

from claudy.errors import SettingsError
from claudy.host.places import PROJECT_FILE, config_file
from claudy.settings.model import BY_NAME, SETTINGS, Settings, Value, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def load(flags: Mapping[str, Any], env: Mapping[str, str], project: str) -> Settings:
    """Return the settings for a project.

    Args:
        flags: settings given on the command line, unparsed; None where not given.
        env: the process environment.
        project: real path of the project; empty outside of one.

    Raises:
        SettingsError: a file can't be read or parsed, a key is unknown, a value is wrong.
    """
    personal = config_file(env)
    own = f"{project}/{PROJECT_FILE}" if project else ""
    layers: list[tuple[str, dict[str, Any]]] = []
    if os.path.exists(personal):
        layers.append((personal, read_file(personal)))
    withheld: tuple[str, ...] = ()
    if own and os.path.exists(own):
        from claudy.settings.trust import without_privileges

        content, withheld = without_privileges(own, read_file(own), env)
        layers.append((own, content))
    else:
        own = ""
    layers.append(
        ("", {s.name: env[s.variable] for s in SETTINGS if env.get(s.variable)}),
    )
    layers.append(("flag", {name: value for name, value in flags.items() if value is not None}))
    values: dict[str, Value] = {}
    for source, raw in layers:
        for name, item in raw.items():
            setting = BY_NAME[name]
            where = source or setting.variable
            where = f"--{name.replace('_', '-')}" if where == "flag" else where
            value = parse(setting, item, where)
            if setting.is_list and name in values:
                value = values[name].value + value
                where = f"{values[name].source}, {where}"
            values[name] = Value(value, where)
    return Settings(values, withheld, own)


def read_file(path: str) -> dict[str, Any]:
    """Read a settings file and check its keys.

    Raises:
        SettingsError: it can't be read, is not TOML, or has an unknown key.
    """
    import tomllib

    try:
        with open(path, "rb") as file:
            content = tomllib.load(file)
    except OSError as error:
        raise SettingsError(f"{path} can't be read: {error.strerror}.", f"ls -l {path}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}.", "claudy config edit") from error
    for name in content:
        require_known(name, path)
    return content


def require_known(name: str, where: str) -> None:
    """Refuse an unknown setting, suggesting the closest known one."""
    if name in BY_NAME:
        return
    import difflib

    near = difflib.get_close_matches(name.replace("-", "_"), BY_NAME, 1, 0.5)
    suggestion = f" Did you mean {near[0]!r}?" if near else ""
    raise SettingsError(f"{where}: unknown setting {name!r}.{suggestion}", "claudy config show")
