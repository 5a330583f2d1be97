"""What is wrong, in the one form that launch errors and `claudy doctor` share."""

from __future__ import annotations

from claudy.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeVar

    from claudy.errors import ClaudyError
    from claudy.host.endpoint import Endpoint

    E = TypeVar("E", bound=ClaudyError)


@record
class Finding:
    """Something wrong, and the one thing that mends it.

    Args:
        id: stable id, part of doctor's JSON.
        message: what failed, with the path or endpoint, and why; one or two sentences.
        remedy: one line for a shell; or, if only a person can do it, what to do.
        fix: name of the fix in `claudy.doctor.fixes` that can do it, empty for none.
    """

    id: str
    message: str
    remedy: str
    fix: str = ""


@record
class Host:
    """The machine and user that something went wrong for.

    Args:
        env: the process environment.
        home: home directory of the user.
        platform: `sys.platform`.
        uid: user id.
        groups: group ids of this process.
        root: directory that stands for `/`, for tests.
    """

    env: Mapping[str, str]
    home: str
    platform: str
    uid: int
    groups: frozenset[int] = frozenset()
    root: str = "/"


def this_host(env: Mapping[str, str]) -> Host:
    """Return the machine and user of this process.

    Args:
        env: the process environment.
    """
    import os
    import sys

    return Host(
        env=env,
        home=os.path.expanduser("~"),
        platform=sys.platform,
        uid=os.getuid(),
        groups=frozenset({*os.getgroups(), os.getgid()}),
    )


def way_back(endpoint: Endpoint) -> str:
    """Return the command that leaves an engine that was chosen, for the default one.

    Args:
        endpoint: the chosen endpoint.
    """
    source = endpoint.source
    if "DOCKER_HOST" in source or "DOCKER_TLS" in source:
        return "unset DOCKER_HOST DOCKER_TLS_VERIFY DOCKER_TLS DOCKER_CERT_PATH"
    if "DOCKER_CONTEXT" in source:
        return "unset DOCKER_CONTEXT"
    if "currentContext" in source:
        return "docker context use default"
    if source.startswith("CLAUDY_"):
        return f"unset {source}"
    return "claudy --host unix:///var/run/docker.sock"


def as_error(finding: Finding, kind: type[E]) -> E:
    """Return a finding as an error: same words, same remedy, same id.

    Args:
        finding: what is wrong.
        kind: class of the error.
    """
    error = kind(finding.message, finding.remedy)
    error.code = finding.id
    return error
