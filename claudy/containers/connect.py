"""Find the engine that a launch in this directory would use."""

from __future__ import annotations

import os
import sys

from claudy.engine.client import Engine
from claudy.engine.facts import cached_api
from claudy.errors import NoEngine, UsageError
from claudy.settings.engine import endpoint_of
from claudy.settings.load import load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from claudy.host.endpoint import Endpoint


def open_engine(
    env: Mapping[str, str],
    *,
    host: str | None = None,
    context: str | None = None,
    project: str = "",
) -> Engine:
    """Return the engine that options, environment, settings and context store name.

    Args:
        env: the process environment.
        host: value of `--host`, None if not given.
        context: value of `--context`, None if not given.
        project: real path of the project, whose settings file may name an engine; empty for none.

    Raises:
        ClaudyError: no engine can be told from them, or the settings are wrong.
    """
    given = {"host": host, "context": context}
    settings = load({k: v for k, v in given.items() if v}, env, project)
    home, uid = os.path.expanduser("~"), os.getuid()
    endpoint = endpoint_of(settings, env=env, home=home, platform=sys.platform, uid=uid)
    if not endpoint.explicit:
        endpoint = _live(endpoint, env, home, uid)
    return Engine(endpoint, api=cached_api(endpoint, env))


def _live(endpoint: Endpoint, env: Mapping[str, str], home: str, uid: int) -> Endpoint:
    """Return the default endpoint, or the only other one where an engine answers."""
    from claudy.engine.wire import dial

    try:
        dial(endpoint, 5.0).close()
    except NoEngine:
        from claudy.host.endpoint import probe
        from claudy.sandbox.prepare import is_live

        found = probe(endpoint, env=env, home=home, platform=sys.platform, uid=uid, is_live=is_live)
        return found or endpoint
    return endpoint


def here(directory: str = ".") -> str:
    """Return the real path of the project in a directory, empty where there can be none."""
    from claudy.sandbox.project import find_project

    try:
        return find_project(directory).path
    except UsageError:
        return ""
