"""Whether the sandbox resolves names that this machine resolves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claudy.doctor.model import Check, Outcome, ok, skip, warn
from claudy.host.finding import Finding

if TYPE_CHECKING:
    from claudy.doctor.context import Context


# Noclobber: settings of the engine that are there already are the user's.
_NAME_SERVER = (
    """sudo sh -Cc 'echo "{\\"dns\\": [\\"1.1.1.1\\"]}" >/etc/docker/daemon.json'"""
    " && sudo systemctl restart docker"
)


def run(context: Context) -> Outcome:
    """Compare with this machine, which may be without a network itself."""
    inside = context.inside
    name = inside.hostname
    if not name:
        return skip("this machine resolves no public name either")
    if inside.get("dns"):
        return ok(f"{name} is {inside.get('dns').split()[0]}", name=name)
    if not inside.get("no-dns"):
        return skip("the image has no getent to ask with")
    message = f"{name} resolves here, but not inside the sandbox."
    return warn(Finding("dns-inside", message, _NAME_SERVER))


CHECK = Check("dns", "Names", run, ("sandbox",))
