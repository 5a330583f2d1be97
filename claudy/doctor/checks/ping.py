"""Whether the sandbox's user reaches the engine through the mounted socket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claudy.doctor.model import Check, Outcome, fail, ok, skip
from claudy.host.finding import Finding
from claudy.host.refusals import SOURCE_AS_FOUND

if TYPE_CHECKING:
    from claudy.doctor.context import Context

NOBODY = "65534"
GUARD_LOG = "claudy logs --guard"


def run(context: Context) -> Outcome:
    """Read what the socket looks like inside and what /_ping answered."""
    if context.settings["docker"] == "none":
        return skip("no Docker inside (--docker none)")
    inside = context.inside
    kind, _, rest = inside.get("socket").partition(",")
    answer = inside.get("ping")
    data = {"socket": inside.get("socket")}
    if kind != "socket":
        return fail(_wrong_source(context, kind), **data)
    owner, group, mode = (*rest.split(","), "", "", "")[:3]
    return _judge(context, answer, (owner, group, mode), data)


def _judge(
    context: Context, answer: str, socket: tuple[str, str, str], data: dict[str, str]
) -> Outcome:
    """Return what curl's answer means, or without curl the docker command's."""
    owner, group, mode = socket
    if not answer:
        version = context.inside.get("docker")
        if version:
            return ok(f"the docker command reaches the engine ({version})", **data)
        return skip("the image has neither curl nor docker to ask with")
    if " 200 " in f"{answer} ":
        through = " through the guard" if context.settings["docker"] == "guard" else ""
        seen = f"the engine answers{through}; the socket is {owner}:{group} {mode} inside"
        return ok(seen, **data)
    if "denied" in answer.lower() or "failed to connect" in answer.lower():
        return fail(_denied(context, owner, group, mode), **data)
    message = f"Inside, the engine does not answer: {answer[:200]}."
    return fail(Finding("ping-failed", message, "claudy doctor --debug"), **data)


def _wrong_source(context: Context, kind: str) -> Finding:
    """Return the finding for something else than a socket at the socket's path."""
    if context.settings["docker"] == "guard":
        message = (
            f"Inside, /var/run/docker.sock is {kind or 'missing'}: the guard has ended, or the"
            " engine has mounted something else than its directory."
        )
        return Finding("guard-missing", message, GUARD_LOG)
    source = context.known.facts.socket_source
    message = (
        f"Inside, /var/run/docker.sock is {kind or 'missing'}, not a socket: {source} is not where"
        " the engine has its socket on its own file system."
    )
    return Finding("mount-source-wrong", message, SOURCE_AS_FOUND)


def _denied(context: Context, owner: str, group: str, mode: str) -> Finding:
    """Return why the socket does not let the sandbox's user in."""
    facts = context.known.facts
    shown = f"the socket is {owner}:{group} {mode} inside"
    if context.settings["docker"] == "guard" and not facts.selinux:
        message = f"The guard lets the sandbox's user not in: {shown}."
        return Finding("guard-denied", message, GUARD_LOG)
    if NOBODY in {owner, group} or facts.userns:
        return Finding(
            "userns-denied",
            f"Permission denied inside: {shown}. With userns-remap no group opens it.",
            "claudy --docker none",
        )
    if facts.selinux:
        return Finding(
            "selinux-denied",
            f"Permission denied inside, though {shown}: SELinux forbids it.",
            "sudo ausearch -m avc -ts recent",
        )
    if facts.snap:
        return Finding(
            "snap-confined",
            f"Permission denied inside: {shown}. The engine is the snap package.",
            "sudo snap remove docker && claudy doctor --fix",
        )
    return Finding(
        "socket-denied-inside",
        f"Permission denied inside: {shown}, and the sandbox has the groups"
        f" {', '.join(context.plan.groups) or 'of its user alone'}.",
        "sudo systemctl restart docker",
    )


CHECK = Check("ping", "Engine from inside", run, ("sandbox",))
