"""The engine that the settings name, whichever of `host` and `context` comes from nearer."""

from __future__ import annotations

from claudy.host.endpoint import resolve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from claudy.host.endpoint import Endpoint
    from claudy.settings.model import Settings


def endpoint_of(
    settings: Settings,
    *,
    env: Mapping[str, str],
    home: str,
    platform: str,
    uid: int,
    root: str = "/",
) -> Endpoint:
    """Return the endpoint that settings, environment and context store name.

    `host` and `context` are two ways to say the same thing: a flag with one of them overrides a
    file with the other; only two from the same place contradict each other.

    Args:
        settings: host and context are read.
        env: the process environment.
        home: the user's home directory.
        platform: `sys.platform`.
        uid: user id.
        root: directory that stands for `/`, for tests.

    Raises:
        EndpointError: the settings contradict each other, or name no engine.
    """
    host, context = settings["host"], settings["context"]
    if host and context:
        near, far = _rank(settings.source("host")), _rank(settings.source("context"))
        host, context = (host if near >= far else ""), (context if far >= near else "")
    return resolve(
        env=env,
        home=home,
        platform=platform,
        uid=uid,
        host=host or None,
        context=context or None,
        root=root,
        host_source=settings.source("host"),
        context_source=settings.source("context"),
    )


def _rank(source: str) -> int:
    """Return how near to the user a source is: flag, variable, project file, user file."""
    if source.startswith("--"):
        return 3
    if source.startswith("CLAUDY_"):
        return 2
    return 1 if source.endswith("/.claudy.toml") else 0
