"""Where this process runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claudy.doctor.model import Check, Outcome, ok

if TYPE_CHECKING:
    from claudy.doctor.context import Context


def run(context: Context) -> Outcome:
    """Say which system this is, and whether it is a container."""
    place = context.place
    names = {"linux": "Linux", "wsl2": "WSL2", "macos": "macOS", "windows": "Windows"}
    seen = names[place.system]
    if place.host_workspace:
        seen = f"inside a claudy sandbox of {place.host_workspace}"
    elif place.nested:
        seen = f"inside a {place.container} container"
    if place.service:
        seen += f", {place.service}"
    why = "Paths here may be others than the engine's; they are translated." if place.nested else ""
    return ok(
        f"{seen} ({place.reason})", why, system=place.system, container=place.container,
        service=place.service,
    )  # fmt: skip


CHECK = Check("place", "This machine", run)
