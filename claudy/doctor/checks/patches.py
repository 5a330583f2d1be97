"""Whether the engine has known ways to the host that the guard can't stop.

CVE-2024-23651, -23652 and -23653 were mended in BuildKit 0.12.5, which came with Docker 25.0.2; the
release notes of 24.0.9 say that it has them still. An engine tells its own version, not BuildKit's,
and not what a distribution has mended under the same number.

One that is built with an older Go follows links that are put where it removes directories
(golang/go#52745). The guard holds the project still while containers and volumes are removed
through it; it can't while the engine removes what a build leaves, or the sandbox itself.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from claudy.doctor.model import Check, Outcome, ok, skip, warn
from claudy.engine.removing import removes_safely
from claudy.host.finding import Finding
from claudy.host.refusals import UPGRADE_ENGINE

if TYPE_CHECKING:
    from claudy.doctor.context import Context

MENDED = (25, 0, 2)
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")


def run(context: Context) -> Outcome:
    """Compare the engine's version, where a guard promises anything."""
    facts = context.known.facts
    if context.settings["docker"] != "guard":
        return skip("no guard between the sandbox and the engine")
    found = _VERSION.match(facts.version)
    if facts.kind == "podman" or not found:
        return skip(f"nothing is known of version {facts.version or 'unknown'}")
    number = tuple(int(part) for part in found.groups())
    if number < MENDED:
        message = (
            f"Docker {facts.version} has a BuildKit with known ways from a build to the host"
            " (CVE-2024-23651, -23652, -23653), past the guard; unless your distribution has"
            " mended it under that number."
        )
        return warn(Finding("engine-outdated", message, UPGRADE_ENGINE), version=facts.version)
    version = context.engine().call("GET", "/version")
    if not removes_safely(version):
        message = (
            f"Docker {facts.version} is built with {version.get('GoVersion') or 'an unknown Go'},"
            " which follows links while it removes directories (golang/go#52745): with two builds,"
            " or at its own end, a sandbox may get files of the host deleted, past the guard."
        )
        return warn(Finding("engine-outdated", message, UPGRADE_ENGINE), version=facts.version)
    return ok(
        f"{facts.version} came after the last that the guard can't stop", version=facts.version
    )


CHECK = Check("patches", "Known engine holes", run, ("daemon",))
