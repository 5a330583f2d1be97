"""The environment of one session, taken from the user's at the moment it is opened."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TAKEN = ("TERM", "COLORTERM", "LANG", "TZ")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")


def session_env(
    asked: Sequence[str], env: Mapping[str, str], *, tty: bool
) -> tuple[tuple[str, str], ...]:
    """Return the terminal's, language's and proxies' variables, and what `--env` asks for.

    Args:
        asked: values of the setting `env`: `K=V`, or `K` to pass the user's value on.
        env: the process environment.
        tty: whether the session has a terminal.
    """
    taken = {
        name: env[name]
        for name in env
        if name in _TAKEN or name.startswith("LC_") or name.upper() in _PROXIES
    }
    if not tty:
        taken.pop("TERM", None)
    if asked:
        from claudy.sandbox.options import parse_env

        taken.update(parse_env(asked, env))
    return tuple(sorted(taken.items()))
