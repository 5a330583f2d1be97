"""Merge the layers of settings: flags, environment, project file, user file, defaults."""

from __future__ import annotations

import errno
import os
import stat

from claudy.errors import SettingsError
from claudy.host.places import PROJECT_FILE, config_file
from claudy.settings.model import BY_NAME, SETTINGS, Settings, Value, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any


_MOST = 1 << 20  # bytes of a settings file
# Of a project's: tomllib takes time and memory by the square of how many parts a key has.
_MOST_OF_PROJECT = 16 << 10


def load(flags: Mapping[str, Any], env: Mapping[str, str], project: str) -> Settings:
    """Return the settings for a project.

    Args:
        flags: settings given on the command line, unparsed; None where not given.
        env: the process environment.
        project: real path of the project; empty outside of one.

    Raises:
        SettingsError: a file can't be read or parsed, a key is unknown, a value is wrong.
    """
    values = _own_values(env)
    file = f"{project}/{PROJECT_FILE}" if project else ""
    withheld: tuple[str, ...] = ()
    trusted = False
    if file and os.path.exists(file):
        from claudy.settings.trust import is_trusted, without_privileges

        content = read_bytes(file, follow=False)  # once: what is trusted is what applies
        asked = read_text(file, content)
        trusted = is_trusted(file, content, env)
        if not trusted:
            asked, withheld = without_privileges(asked, Settings(values))
        _merge(values, asked, lambda _name: file)
    else:
        file = ""
    said = {s.name: env[s.variable] for s in SETTINGS if env.get(s.variable)}
    _merge(values, said, lambda name: BY_NAME[name].variable)
    given = {name: value for name, value in flags.items() if value is not None}
    _merge(values, given, lambda name: f"--{name.replace('_', '-')}")
    return Settings(values, withheld, file, trusted=trusted)


def load_own(env: Mapping[str, str]) -> Settings:
    """Return what the user's own file says, whatever the project, variables and flags do.

    Raises:
        SettingsError: as `load`.
    """
    return Settings(_own_values(env))


def _own_values(env: Mapping[str, str]) -> dict[str, Value]:
    values: dict[str, Value] = {}
    path = config_file(env)
    if os.path.exists(path):
        _merge(values, read_file(path), lambda _name: path)
    return values


def _merge(values: dict[str, Value], raw: Mapping[str, Any], source: Callable[[str], str]) -> None:
    """Lay a nearer layer over those below."""
    for name, item in raw.items():
        setting = BY_NAME[name]
        where = source(name)
        value = parse(setting, item, where)
        if setting.is_list and name in values:
            value = values[name].value + value
            where = f"{values[name].source}, {where}"
        values[name] = Value(value, where)


def read_file(path: str) -> dict[str, Any]:
    """Read a settings file and check its keys.

    Raises:
        SettingsError: it can't be read, is not TOML, or has an unknown key.
    """
    return read_text(path, read_bytes(path))


def read_bytes(path: str, *, follow: bool = True) -> bytes:
    """Return what a settings file holds; whoever writes the project may have put anything there.

    Args:
        path: the file.
        follow: a link is followed: of the user's own.

    Raises:
        SettingsError: it can't be read.
    """
    # A pipe that nobody writes to would be waited for.
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    most = _MOST if follow else _MOST_OF_PROJECT
    try:
        with open(os.open(path, flags), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_size > most:
                raise SettingsError(
                    f"{path} can't be read: it is not a file, or a huge one.", f"ls -l {path}"
                )
            return file.read(most)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise SettingsError(f"{path} can't be read: it is a link.", f"ls -l {path}") from error
        raise SettingsError(f"{path} can't be read: {error.strerror}.", f"ls -l {path}") from error


def read_text(path: str, content: bytes) -> dict[str, Any]:
    """Return the settings in a file's content.

    Args:
        path: where it is from.
        content: the whole.

    Raises:
        SettingsError: it is not TOML, or has an unknown key.
    """
    import tomllib

    try:
        found = tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:  # a number of too many digits, too
        raise SettingsError(f"{path} is not valid TOML: {error}.", "claudy config edit") from error
    for name in found:
        require_known(name, path)
    return found


def require_known(name: str, where: str) -> None:
    """Refuse an unknown setting, suggesting the closest known one."""
    if name in BY_NAME:
        return
    import difflib

    near = difflib.get_close_matches(name.replace("-", "_"), BY_NAME, 1, 0.5)
    suggestion = f" Did you mean {near[0]!r}?" if near else ""
    raise SettingsError(f"{where}: unknown setting {name!r}.{suggestion}", "claudy config show")
