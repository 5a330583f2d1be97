"""Which engine it is, and that it runs Linux containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claudy.doctor.model import Check, Outcome, fail, ok
from claudy.host.refusals import windows_containers

if TYPE_CHECKING:
    from claudy.doctor.context import Context

NAMES = {
    "docker": "Docker",
    "docker-desktop": "Docker Desktop",
    "orbstack": "OrbStack",
    "colima": "Colima",
    "rancher-desktop": "Rancher Desktop",
    "lima": "Lima",
    "podman": "Podman",
}


def run(context: Context) -> Outcome:
    """Identify the engine."""
    facts = context.known.facts
    if facts.os_type == "windows":
        return fail(windows_containers(context.endpoint), os_type="windows")
    traits = {
        "rootless": facts.rootless,
        "userns-remap": facts.userns,
        "SELinux": facts.selinux,
        "snap": facts.snap,
        "in a virtual machine": facts.vm,
    }
    words = [
        NAMES[facts.kind],
        facts.version,
        *(f"{name}" for name, seen in traits.items() if seen),
    ]
    return ok(
        f"{', '.join([' '.join(words[:2]), *words[2:]])} ({facts.os_type}/{facts.arch})",
        kind=facts.kind,
        version=facts.version,
        api=facts.api,
        arch=facts.arch,
        rootless=facts.rootless,
        userns=facts.userns,
        selinux=facts.selinux,
        snap=facts.snap,
        vm=facts.vm,
    )


CHECK = Check("daemon", "Engine", run, ("answer",))
