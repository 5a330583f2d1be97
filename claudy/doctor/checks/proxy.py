"""Whether the proxy of this machine is known inside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claudy.doctor.model import Check, Outcome, ok, skip, warn
from claudy.host.finding import Finding

if TYPE_CHECKING:
    from claudy.doctor.context import Context

NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
LOCAL = ("//localhost", "//127.", "//[::1]")


def run(context: Context) -> Outcome:
    """Compare the variables, and look for a proxy that only this machine can reach."""
    env, inside = context.host.env, context.inside
    wanted = {name: env[name] for name in NAMES if env.get(name)}
    if not wanted:
        return skip("no proxy is set")
    missing = [name for name, value in wanted.items() if inside.get(f"proxy-{name}") != value]
    if missing:
        message = f"{', '.join(missing)} is not taken along."
        return warn(Finding("proxy-lost", message, f"claudy -e {missing[0]}"))
    local = [name for name, value in wanted.items() if any(mark in value for mark in LOCAL)]
    if local and context.plan.network != "host":
        message = f"{local[0]} is {wanted[local[0]]}, which inside is the sandbox itself."
        return warn(Finding("proxy-local", message, "claudy --network host"))
    return ok(", ".join(sorted(wanted)))


CHECK = Check("proxy", "Proxy", run, ("sandbox",))
