"""Every setting: its name, form, default and what it means. One row each."""

from __future__ import annotations

from claudy.errors import SettingsError
from claudy.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MODES = ("guard", "host", "none")
PULL = ("missing", "always", "never")
VISIBILITY = ("all", "own")
BUILD_CACHE = ("own", "shared")
GUARD_RUNS = ("auto", "process", "sidecar")
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


@record
class Wait:
    """When a value from a project's file waits for the user's trust.

    Args:
        shown: which values do, in a few words.
        test: whether a value does, given what the user's own file or the default says.
    """

    shown: str
    test: Callable[[Any, Any], bool]


@record
class Setting:
    """One setting.

    Args:
        name: key in the files; the variable is `CLAUDY_` and the name in capitals.
        default: value when nobody says anything.
        parse: turns what a file, a variable or a flag says into the value; raises ValueError.
        help: what it means, one line.
        wait: which values of a project's file wait; None if all of them may be had.
        is_list: whether the layers add up instead of replacing each other.
    """

    name: str
    default: Any
    parse: Callable[[Any], Any]
    help: str
    wait: Wait | None = None
    is_list: bool = False

    @property
    def variable(self) -> str:
        """Name of the environment variable."""
        return f"CLAUDY_{self.name.upper()}"


def one_of(*choices: str) -> Callable[[Any], str]:
    """Return a parser of a fixed choice."""

    def parse(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return str(value)

    return parse


def text(value: Any) -> str:
    """Parse a string."""
    if not isinstance(value, str):
        raise ValueError("a string")  # noqa: TRY004 - one kind of refusal
    return value


def flag(value: Any) -> bool:
    """Parse a boolean."""
    if isinstance(value, bool):
        return value
    if str(value).lower() in ("1", "true", "yes", "on"):
        return True
    if str(value).lower() in ("0", "false", "no", "off", ""):
        return False
    raise ValueError("true or false")


def size(value: Any) -> int:
    """Parse an amount of memory into bytes: `512m`, `2g`, `1.5g`, a number of bytes."""
    word = str(value).strip().lower().removesuffix("ib").removesuffix("b")
    unit = word[-1:] if word[-1:].isalpha() else ""
    try:
        amount = float(word.removesuffix(unit) if unit else word)
        found = int(amount * _UNITS[unit])
    except (ValueError, KeyError, OverflowError):
        found = -1
    if found < 0 or isinstance(value, bool):
        raise ValueError("an amount of memory such as 512m or 2g")
    return found


def cpus(value: Any) -> int:
    """Parse a number of CPUs into units of 1e-9: `1.5`."""
    try:
        found = round(float(value) * 1e9)
    except (ValueError, TypeError, OverflowError):
        found = -1
    if found < 0 or isinstance(value, bool):
        raise ValueError("a number of CPUs such as 2 or 0.5")
    return found


def count(value: Any) -> int:
    """Parse a whole number, zero for no limit."""
    word = str(value)
    if isinstance(value, (bool, float)) or not word.isascii() or not word.isdigit():
        raise ValueError("a whole number")
    return int(word)


def strings(value: Any) -> tuple[str, ...]:
    """Parse a list of strings; a variable separates them with commas or line ends."""
    if isinstance(value, str):
        value = [item.strip() for item in value.replace("\n", ",").split(",") if item.strip()]
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
        raise ValueError("a list of strings")
    return tuple(value)


def _from_host(value: Any, _own: Any) -> bool:
    return any("=" not in item for item in value)


def _wider(*narrowest_first: Any) -> Callable[[Any, Any], bool]:
    """Return whether a choice allows more than the user's own."""
    return lambda value, own: narrowest_first.index(value) > narrowest_first.index(own)


_ANY = Wait("any", lambda value, _own: bool(value))
_OTHER = Wait("another than yours", lambda value, own: value != own)
_HIGHER = Wait("higher than yours", lambda value, own: bool(own) and (value == 0 or value > own))
_TRUE = Wait("`true`, unless yours is", _wider(False, True))
_FALSE = Wait("`false`, if yours is `true`", _wider(True, False))

SETTINGS: tuple[Setting, ...] = (
    Setting(
        "docker", "guard", one_of(*MODES), "how the sandbox reaches Docker: guard, host or none",
        Wait("more than yours", _wider("none", "guard", "host")),
    ),
    Setting("host", "", text, "engine to use, as docker --host", _OTHER),
    Setting("context", "", text, "engine to use, as docker --context", _OTHER),
    Setting("socket_source", "", text, "the socket's path on the daemon's file system", _OTHER),
    Setting("image", "", text, "image to run instead of the bundled one"),
    Setting("pull", "missing", one_of(*PULL), "when to pull that image: missing, always or never"),
    Setting("registry", "", text, "where to look for the bundled image before building", _OTHER),
    Setting(
        "env", (), strings, "environment inside: K=V, or K to pass it on",
        Wait("a `K` alone", _from_host), True,
    ),
    Setting("volumes", (), strings, "more mounts: SRC:DST[:ro]", _ANY, True),
    Setting("publish", (), strings, "published ports, as in docker run", _ANY, True),
    Setting("network", "", text, "network of the sandbox", _OTHER),
    Setting("cpus", 0, cpus, "limit of CPUs, 0 for none", _HIGHER),
    Setting("memory", 0, size, "limit of memory (512m, 2g), 0 for none", _HIGHER),
    Setting("pids_limit", 0, count, "limit of processes, 0 for none", _HIGHER),
    Setting("read_only", False, flag, "mount the project read-only", _FALSE),
    Setting("sudo", False, flag, "passwordless sudo inside", _TRUE),
    Setting("keep", False, flag, "leave the sandbox running after the last session"),
    Setting(
        "visibility", "all", one_of(*VISIBILITY),
        "guard: whether the sandbox sees the host's containers and images (all) or not (own)",
        Wait("more than yours", _wider("own", "all")),
    ),
    Setting(
        "build_cache", "own", one_of(*BUILD_CACHE),
        "guard: RUN steps of builds are the project's (own) or the host's, too (shared)",
        Wait("`shared`, unless yours is", _wider("own", "shared")),
    ),
    Setting("budget_memory", 0, size, "guard: memory of each container, 0 for any", _HIGHER),
    Setting("budget_cpus", 0, cpus, "guard: CPUs of each container, 0 for any", _HIGHER),
    Setting("budget_pids", 0, count, "guard: processes of each container, 0 for any", _HIGHER),
    Setting("budget_containers", 0, count, "guard: containers of the project, 0 for any", _HIGHER),
    Setting("budget_ports", 0, count, "guard: ports that they publish, 0 for any", _HIGHER),
    Setting(
        "guard_runs", "auto", one_of(*GUARD_RUNS),
        "guard: a process, a sidecar (a container), or what fits (auto)", _OTHER,
    ),
    Setting("publish_all", False, flag, "guard: ports may be published on all interfaces", _TRUE),
)  # fmt: skip

BY_NAME = {setting.name: setting for setting in SETTINGS}


@record
class Value:
    """A setting's value and where it came from.

    Args:
        value: the parsed value.
        source: `flag --x`, `CLAUDY_X`, a file's path, or `default`.
    """

    value: Any
    source: str


class Settings:
    """All settings, each with its source.

    Args:
        values: by name; what is missing has its default.
        withheld: names that a project file sets and that wait for `claudy trust`.
        project_file: path of the project's file, empty without one.
        trusted: whether the user has accepted that file as it is.
    """

    def __init__(
        self,
        values: dict[str, Value],
        withheld: tuple[str, ...] = (),
        project_file: str = "",
        *,
        trusted: bool = False,
    ) -> None:
        self.values = {
            setting.name: values.get(setting.name) or Value(setting.default, "default")
            for setting in SETTINGS
        }
        self.withheld = withheld
        self.project_file = project_file
        self.trusted = trusted

    def __getitem__(self, name: str) -> Any:
        return self.values[name].value

    def source(self, name: str) -> str:
        """Return where a setting came from."""
        return self.values[name].source


def parse(setting: Setting, raw: Any, source: str) -> Any:
    """Parse a raw value.

    Raises:
        SettingsError: naming the setting, its source and what was expected.
    """
    try:
        return setting.parse(raw)
    except ValueError as error:
        try:
            shown = repr(raw)
        except ValueError:
            shown = "…"  # a number of too many digits
        message = f"{setting.name} = {shown} (from: {source}) is not {error}."
        raise SettingsError(message, "claudy config show") from error
