"""Why an engine can't be reached: from the failed connection to a finding with its remedy.

The catalogue of connection failures. The engine border asks it for the text of its errors, and
`claudy doctor` for its findings, so that both say the same.
"""

from __future__ import annotations

import os
import stat

from claudy.host.endpoint import DEFAULT_SOCKET, Endpoint, under
from claudy.host.finding import Finding, Host, as_error, this_host, way_back
from claudy.host.install import Machine, plan_group, plan_install, plan_start, survey
from claudy.host.products import product_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    from claudy.errors import ClaudyError

    E = TypeVar("E", bound=ClaudyError)

FIX = "claudy doctor --fix"
# The machine's own engine; what is elsewhere is somebody's choice, and left rather than mended.
DEFAULTS = frozenset({DEFAULT_SOCKET, "/run/docker.sock"})


def diagnose(error: BaseException, endpoint: Endpoint, host: Host) -> Finding:
    """Return what a failed connection means.

    Args:
        error: the OSError of connecting, sending or receiving.
        endpoint: where to.
        host: this machine and user.
    """
    where = f"{endpoint.url} (from: {endpoint.source})"
    if endpoint.kind == "unix":
        if isinstance(error, TimeoutError):
            return _silent(endpoint, where, host)
        if isinstance(error, ConnectionResetError | BrokenPipeError):
            return Finding(
                "engine-gone",
                f"The Docker engine at {where} closed the connection in the middle of an answer.",
                "claudy doctor",
            )
        return _unix(error, endpoint, where, host)
    from claudy.host.diagnose_remote import diagnose_remote

    return diagnose_remote(error, endpoint, where)


def failure(error: OSError, endpoint: Endpoint, kind: type[E]) -> E:
    """Return the error to raise for a failed connection: the finding's words, remedy and id.

    Args:
        error: the OSError of connecting, sending or receiving.
        endpoint: where to.
        kind: class of the error.
    """
    return as_error(diagnose(error, endpoint, this_host(os.environ)), kind)


def _unix(error: BaseException, endpoint: Endpoint, where: str, host: Host) -> Finding:
    """Return what is wrong with a unix socket: what is at the path decides."""
    path = under(host.root, endpoint.path)
    try:
        status = os.stat(path)
    except PermissionError:
        return Finding(
            "socket-hidden",
            f"Permission denied at {where}: its directory belongs to another user.",
            way_back(endpoint),
        )
    except OSError:
        status = None
    machine = survey(env=host.env, platform=host.platform, uid=host.uid, root=host.root)
    if machine.system == "wsl2" and not machine.dockerd and _not_a_socket(path, status):
        return _wsl(where)
    if status is None:
        return _absent(endpoint, where, host, machine, dangling=os.path.islink(path))
    if isinstance(error, PermissionError):
        return _denied(status, endpoint, where, host, machine)
    return _dead(status, endpoint, where, host, machine)


def _dead(
    status: os.stat_result, endpoint: Endpoint, where: str, host: Host, machine: Machine
) -> Finding:
    """Return the finding for something at the path that nobody listens at."""
    start = _start(endpoint, host, machine)
    sudo = "" if host.uid == 0 else "sudo "
    if stat.S_ISDIR(status.st_mode):
        return Finding(
            "socket-is-directory",
            f"No Docker engine answers at {where}: it is a directory. Docker makes one there"
            " when a container that mounts the socket starts before the engine.",
            way_back(endpoint) if endpoint.explicit else f"{sudo}rmdir {endpoint.path} && {start}",
            "" if endpoint.explicit else "clear-socket",
        )
    if not stat.S_ISSOCK(status.st_mode):
        return Finding(
            "socket-is-file",
            f"No Docker engine answers at {where}: it is a file, not a socket.",
            # A path that somebody chose may be anything of theirs: it is never to be removed.
            way_back(endpoint)
            if endpoint.explicit
            else f"{sudo}mv {endpoint.path} {endpoint.path}.old && {start}",
            "" if endpoint.explicit else "clear-socket",
        )
    return Finding(
        "socket-stale",
        f"No Docker engine answers at {where}: the socket is there, but nobody listens. The"
        " engine has stopped.",
        start,
        ""
        if endpoint.path not in DEFAULTS
        else "start-engine"
        if endpoint.explicit
        else "clear-socket",
    )


def _not_a_socket(path: str, status: os.stat_result | None) -> bool:
    """Return whether the path is a dead link, nothing, or an empty file."""
    return status is None or (stat.S_ISREG(status.st_mode) and os.path.getsize(path) == 0)


def _wsl(where: str) -> Finding:
    """Return the finding for Docker Desktop without its integration with this distribution."""
    return Finding(
        "wsl-integration-off",
        f"No Docker engine answers at {where}: Docker Desktop is not connected with this WSL"
        " distribution, and no other engine is installed in it.",
        "In Docker Desktop: Settings > Resources > WSL integration, switch this distribution on.",
        "install-engine",
    )


def _absent(
    endpoint: Endpoint, where: str, host: Host, machine: Machine, *, dangling: bool
) -> Finding:
    """Return the finding for a path where nothing is."""
    product = product_of(endpoint.path, host)
    why = (
        f"it is a link to {os.readlink(under(host.root, endpoint.path))}, which does not exist"
        if dangling
        else "the socket does not exist"
    )
    if product:
        return Finding(
            "engine-stopped",
            f"No Docker engine answers at {where}: {why}. {product.name} does not run.",
            product.start,
        )
    if endpoint.path not in DEFAULTS:
        return Finding(
            "socket-missing",
            f"No Docker engine answers at {where}: {why}.",
            way_back(endpoint),
        )
    if machine.dockerd or machine.app:
        return Finding(
            "engine-stopped",
            f"No Docker engine answers at {where}: {why}. One is installed, but does not run.",
            FIX,
            "start-engine",
        )
    plan = plan_install(machine)
    return Finding(
        "engine-missing",
        f"No Docker engine answers at {where}: {why}. None is installed.",
        FIX if plan.steps else plan.manual,
        "install-engine" if plan.steps else "",
    )


def _start(endpoint: Endpoint, host: Host, machine: Machine) -> str:
    """Return the command that starts the engine of this socket."""
    product = product_of(endpoint.path, host)
    if product:
        return product.start
    if endpoint.path in DEFAULTS:
        return FIX if machine.dockerd or machine.system == "linux" else plan_start(machine).line
    return way_back(endpoint)


def _denied(
    status: os.stat_result, endpoint: Endpoint, where: str, host: Host, machine: Machine
) -> Finding:
    """Return why this user may not connect, although the socket is there."""
    group, members = _group(status.st_gid)
    owner = "root" if status.st_uid == 0 else f"user {status.st_uid}"
    shown = f"{stat.filemode(status.st_mode)} {owner}:{group or status.st_gid}"
    denied = f"Permission denied at {where}, which is {shown}"
    if status.st_uid not in {0, host.uid}:
        return Finding(
            "socket-of-another-user",
            f"{denied}: it is another user's engine.",
            way_back(endpoint),
        )
    if not status.st_mode & stat.S_IWGRP or status.st_gid == 0 or not group:
        sudo = "" if host.uid == 0 else "sudo "
        path = endpoint.path
        return Finding(
            "socket-root-only",
            f"{denied}: only root may connect. The engine gives its socket to a group docker, if"
            " there is one when it starts.",
            f"{sudo}groupadd -f docker && {sudo}chgrp docker {path} && {sudo}chmod 660 {path}",
        )
    if status.st_gid in host.groups:
        return Finding(
            "permission-denied",
            f"{denied}: you are in that group, and something else forbids it (SELinux, AppArmor).",
            "sudo dmesg | tail",
        )
    if machine.user in members:
        return Finding(
            "group-not-active",
            f"{denied}: {machine.user} was added to the group {group}, and this login is older"
            " than that.",
            f"sg {group} -c claudy",
        )
    plan = plan_group(machine, group)
    return Finding(
        "not-in-group",
        f"{denied}: {machine.user} is not in the group {group}. Being in it is root-equivalent on"
        " this machine.",
        f"{plan.line} && sg {group} -c claudy" if plan.steps else plan.manual,
        "join-group" if plan.steps else "",
    )


def _group(gid: int) -> tuple[str, frozenset[str]]:
    """Return a group's name and members, those by primary group left out."""
    import grp

    try:
        entry = grp.getgrgid(gid)
    except KeyError:
        return "", frozenset()
    return entry.gr_name, frozenset(entry.gr_mem)


def _silent(endpoint: Endpoint, where: str, host: Host) -> Finding:
    """Return the finding for an engine that accepts and never answers."""
    product = product_of(endpoint.path, host)
    machine = survey(env=host.env, platform=host.platform, uid=host.uid, root=host.root)
    return Finding(
        "engine-hangs",
        f"The Docker engine at {where} accepts connections and does not answer: it hangs.",
        product.restart if product else _restart(endpoint, host, machine),
    )


def _restart(endpoint: Endpoint, host: Host, machine: Machine) -> str:
    """Return the command that ends a hanging daemon and starts it anew."""
    if endpoint.path not in DEFAULTS:
        return way_back(endpoint)
    sudo = "" if host.uid == 0 else "sudo "
    if machine.init == "systemd":
        return f"{sudo}systemctl kill --signal=KILL docker; {sudo}systemctl restart docker"
    pid = listener(under(host.root, endpoint.path))
    if pid > 1:
        return f"{sudo}kill -KILL {pid}; {_start(endpoint, host, machine)}"
    return _start(endpoint, host, machine)


def listener(path: str) -> int:
    """Return the process id of who listens at a socket, 0 if that can't be told.

    Args:
        path: path of the socket.
    """
    import socket

    option = getattr(socket, "SO_PEERCRED", None)  # Linux alone has it
    if option is None:
        return 0
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1)
        try:
            client.connect(path)
            return int.from_bytes(client.getsockopt(socket.SOL_SOCKET, option, 12)[:4], "little")
        except OSError:
            return 0
