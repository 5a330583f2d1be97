"""Turn a project and settings into the plan of its sandbox."""

from __future__ import annotations

import os

from claudy import __version__
from claudy.errors import ClaudyError, UsageError
from claudy.record import record
from claudy.sandbox.options import parse_ports, parse_volume
from claudy.sandbox.plan import GUARD_DIR, HOME, INIT, SOCKET, WORKSPACE, Mount, Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from claudy.engine.identity import EngineFacts
    from claudy.sandbox.project import Project
    from claudy.settings.model import Settings

# Directories of the container that the project's own path must not cover.
_SYSTEM = ("/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/proc", "/run", "/sbin",
           "/sys", "/usr", "/var/run", HOME, WORKSPACE)  # fmt: skip
_CREATED = "%Y-%m-%dT%H:%M:%SZ"


@record
class User:
    """Who the sandbox's processes are.

    Args:
        uid: numeric user id inside.
        gid: numeric group id inside.
        name: login name.
        home: home directory inside.
    """

    uid: int
    gid: int
    name: str
    home: str


def sandbox_user(project: Project, facts: EngineFacts) -> User:
    """Return the user of a project's sandbox.

    The owner of the project, so that files made inside belong to them. In rootless Docker root
    inside is that very user.
    """
    if facts.rootless or project.uid == 0:
        return User(0, 0, "root", "/root")
    import pwd

    try:
        name = pwd.getpwuid(project.uid).pw_name
    except KeyError:
        name = "dev"
    return User(project.uid, project.gid, name, HOME)


def build_plan(
    project: Project,
    settings: Settings,
    facts: EngineFacts,
    user: User,
    image: str,
    *,
    has_init: bool,
    socket_group: int | None,
    guard_dir: str,
    host_path: str,
    now: float,
    name: str = "",
) -> Plan:
    """Return the plan of a project's sandbox; pure.

    Args:
        project: the project.
        settings: the user's settings.
        facts: which engine it is.
        user: who the processes are.
        image: reference or id of the image to run, with the user in its passwd.
        has_init: whether that image is made from claudy's and has the session holder.
        socket_group: the group that may use the socket, as seen inside; None if none helps.
        guard_dir: directory or volume of the guard's socket, in guard mode.
        host_path: the project's path on the daemon's file system.
        now: seconds since the epoch, for the label.
        name: name of the sandbox if it is not the project's first.

    Raises:
        UsageError: an option's value is wrong.
    """
    import time

    name = name or project.sandbox
    labels = (
        ("claudy.created", time.strftime(_CREATED, time.gmtime(now))),
        ("claudy.project", project.path),
        ("claudy.sandbox", name),
        ("claudy.version", __version__),
    )
    mode = settings["docker"]
    env = {
        "CLAUDY": "1",
        "CLAUDY_SANDBOX": name,
        "CLAUDY_PROJECT_ID": project.id,
        "CLAUDY_HOST_WORKSPACE": host_path,
        "HOME": user.home,
        "USER": user.name,
    }
    read_only = settings["read_only"]
    mounts = [Mount("bind", host_path, WORKSPACE, read_only)]
    if not _covers_system(project.path):
        # The same path as outside, so that paths which tools have written down stay true.
        mounts.append(Mount("bind", host_path, project.path, read_only))
    mounts.append(Mount("volume", project.home_volume, user.home, labels=labels))
    groups = ["claudy-sudo"] if settings["sudo"] and has_init else []
    security = [] if settings["sudo"] else ["no-new-privileges"]
    if mode != "none":
        env["DOCKER_HOST"] = f"unix://{SOCKET}"
        if compose := compose_name(project.path):
            env["COMPOSE_PROJECT_NAME"] = compose
    if mode == "guard":
        kind = "bind" if guard_dir.startswith("/") else "volume"
        # The directory, not the socket: a guard that is started again makes another one.
        mounts.append(Mount(kind, guard_dir, GUARD_DIR, read_only=True))
        if not has_init:
            env["DOCKER_HOST"] = f"unix://{GUARD_DIR}/docker.sock"
    if mode != "none" and facts.label_disable:
        security.append("label=disable")
    if mode == "host":
        mounts.append(Mount("bind", facts.socket_source, SOCKET))
        if socket_group is not None and socket_group != user.gid:
            groups.append(str(socket_group))
    mounts += [parse_volume(text, project.path, labels) for text in settings["volumes"]]
    ports = parse_ports(settings["publish"])
    # With the host's socket the host's network gives nothing away, and what a developer starts
    # with `-p 3000:3000` is at localhost:3000 inside too. Ports can only be published from a
    # network of the sandbox's own.
    network = settings["network"] or ("host" if mode == "host" and not ports else "")
    if network == "host" and ports:
        raise UsageError("--publish can't be used with --network host: the ports are the host's.")
    return Plan(
        name=name,
        image=image,
        user=f"{user.uid}:{user.gid}",
        hostname=project.slug[:-9][:63].rstrip("-_.") or "claudy",
        env=tuple(sorted(env.items())),
        labels=labels,
        mounts=tuple(mounts),
        ports=ports,
        groups=tuple(groups),
        network=network,
        cpus=settings["cpus"],
        memory=settings["memory"],
        pids=settings["pids_limit"],
        security=tuple(security),
        init=(INIT,) if has_init else ("/bin/sh", "-c", _init_text(), "claudy-init"),
        # Remapped ids can neither write to the project nor use the socket.
        userns="host" if facts.userns else "",
        keep=settings["keep"],
    )


def _covers_system(path: str) -> bool:
    """Whether mounting at this path inside would hide something that the container needs."""
    return path == "/" or any(path == top or path.startswith(top + "/") for top in _SYSTEM)


def _init_text() -> str:
    """Return the session holder's text, for images that don't have it."""
    from claudy.image.reference import docker_folder

    path = os.path.join(docker_folder(), "claudy-init")
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        raise ClaudyError(f"{path} can't be read: {error.strerror}.", "reinstall claudy") from error


_MOST = 1 << 20  # bytes


def _has_line(path: str, beginning: bytes) -> bool:
    """Whether a line of a file begins so, as far as such files are long."""
    # What runs in the project may have put a pipe there, or a link to what waits for the kernel:
    # those have nothing to say now.
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        with open(os.open(path, flags), "rb", buffering=0) as opened:
            return any(
                line.startswith(beginning) for line in (opened.read(_MOST) or b"").splitlines()
            )
    except OSError:
        return False


def compose_name(project: str) -> str:
    """Return the name compose gives this project on the host, if it would be another one inside.

    compose takes the directory's name (compose-spec `04-version-and-name.md`), which inside is
    always `workspace`, unless the file or `.env` says otherwise.
    """
    for file in ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"):
        path = os.path.join(project, file)
        if os.path.isfile(path):
            if _has_line(path, b"name:"):
                return ""
            break
    else:
        return ""
    path = os.path.join(project, ".env")
    if os.path.isfile(path) and _has_line(path, b"COMPOSE_PROJECT_NAME="):
        return ""
    base = os.path.basename(project).lower()
    return "".join(c for c in base if c.isascii() and (c.isalnum() or c in "_-")).lstrip("_-")
