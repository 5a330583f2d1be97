"""The docker, compose and buildx commands inside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claudy.doctor.model import Check, Outcome, fail, ok, skip, warn
from claudy.host.finding import Finding

if TYPE_CHECKING:
    from claudy.doctor.context import Context

NAMES = {"docker": "docker", "compose": "docker compose", "buildx": "docker buildx"}


def run(context: Context) -> Outcome:
    """Read the versions; a custom image need not have them."""
    if context.settings["docker"] == "none":
        return skip("no Docker inside (--docker none)")
    inside = context.inside
    problem = inside.get("no-docker")
    if "too old" in problem or "too new" in problem:
        message = f"The docker command inside and the engine disagree: {problem[:200]}."
        return fail(Finding("api-mismatch", message, _rightly_versioned(context)))
    missing = [name for key, name in NAMES.items() if not inside.get(key)]
    versions = {key: _version(inside.get(key)) for key in NAMES if inside.get(key)}
    if missing:
        chosen = context.settings["image"]
        words = inside.get(f"no-{next(k for k, n in NAMES.items() if n == missing[0])}")
        message = f"{', '.join(missing)} does not work inside: {words[:200] or 'not found'}."
        remedy = (
            "claudy --image '' -- docker version" if chosen else "claudy build-image --no-cache"
        )
        finding = Finding("tool-missing", message, remedy)
        return warn(finding, **versions) if chosen else fail(finding, **versions)
    return ok(", ".join(f"{NAMES[key]} {version}" for key, version in versions.items()), **versions)


def _rightly_versioned(context: Context) -> str:
    """Return what gives the docker command inside a version that the engine speaks."""
    settings = context.settings
    fixed = [line for line in settings["env"] if line.partition("=")[0] == "DOCKER_API_VERSION"]
    if fixed:
        return f"Take {fixed[0]} out of the setting env (from: {settings.source('env')})."
    return "claudy build-image --no-cache"


def _version(text: str) -> str:
    """Return the first word of an answer that looks like a version."""
    words = text.replace(",", " ").split()
    return next((word for word in words if word.lstrip("v")[:1].isdecimal()), text[:40])


CHECK = Check("tools", "Commands inside", run, ("sandbox",))
