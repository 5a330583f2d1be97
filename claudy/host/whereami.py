"""Find out what this machine is: a container, WSL2, or an ordinary system.

Containers come first, because one that runs on WSL2 or macOS is a container to claudy: its paths
are not the engine's paths. Everything is read below an injected root.
"""

from __future__ import annotations

import os

from claudy.host.endpoint import under
from claudy.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

WORKSPACE = "/workspace"
ID_LENGTH = 64


@record
class Place:
    """Where this process runs.

    Args:
        system: `linux`, `wsl2`, `macos` or `windows`.
        container: `docker`, `podman`, `kubernetes` or `other`; empty outside of containers.
        ids: possible ids of this container, best first; to be confirmed by inspecting.
        host_workspace: path of `/workspace` on the engine's machine, inside a claudy sandbox.
        service: `codespaces`, `github-actions`, `gitlab-ci`, `ci`; empty for none.
        reason: what gave it away.
    """

    system: str
    container: str = ""
    ids: tuple[str, ...] = ()
    host_workspace: str = ""
    service: str = ""
    reason: str = ""

    @property
    def nested(self) -> bool:
        """Whether paths here may be others than the engine's."""
        return bool(self.container)


def where_am_i(*, env: Mapping[str, str], platform: str, root: str = "/") -> Place:
    """Describe this machine.

    Args:
        env: the process environment.
        platform: `sys.platform`.
        root: directory that stands for `/`, for tests.
    """
    service = _service(env)
    if platform == "darwin":
        return Place("macos", service=service, reason="sys.platform is darwin")
    if platform == "win32":
        return Place("windows", service=service, reason="sys.platform is win32")
    container, reason = _container(env, root)
    if container:
        return Place(
            "linux",
            container,
            ids=own_ids(root),
            host_workspace=env.get("CLAUDY_HOST_WORKSPACE", "") if env.get("CLAUDY") else "",
            service=service,
            reason=reason,
        )
    reason = _wsl2(env, root)
    if reason:
        return Place("wsl2", service=service, reason=reason)
    return Place("linux", service=service, reason="no sign of a container or of WSL2")


def own_ids(root: str = "/") -> tuple[str, ...]:
    """Return what may be the id of this container: mountinfo, then cgroup, then the host name.

    Args:
        root: directory that stands for `/`, for tests.
    """
    found = []
    for line in _read(under(root, "/proc/self/mountinfo")).splitlines():
        fields = line.split()
        # field 4 is the root of the mount, field 5 where it is mounted (proc_pid_mountinfo(5))
        if len(fields) > 4 and fields[4] in {  # noqa: PLR2004
            "/etc/hostname",
            "/etc/hosts",
            "/etc/resolv.conf",
            "/run/.containerenv",
        }:
            found += [part for part in fields[3].split("/") if _is_id(part)]
    for line in _read(under(root, "/proc/self/cgroup")).splitlines():
        for part in line.rpartition(":")[2].split("/"):
            name = part.removesuffix(".scope").rpartition("-")[2]
            found += [name] if _is_id(name) else []
    name = _read(under(root, "/etc/hostname")).strip()
    if name and not found:
        found.append(name)
    return tuple(dict.fromkeys(found))


def to_host(path: str, place: Place, mounts: Iterable[Mapping[str, object]] = ()) -> str | None:
    """Translate a path of this container to one of the engine's machine.

    Args:
        path: absolute path here, without `..`.
        place: what `where_am_i` returned.
        mounts: `Mounts` of this container, from `GET /containers/{id}/json`.

    Returns:
        The path on the engine's machine; the path itself outside of containers; None if no
        mount holds it, so the engine can't see it.
    """
    if not place.nested:
        return path
    if place.host_workspace and _inside(path, WORKSPACE):
        return _join(place.host_workspace, path[len(WORKSPACE) :])
    best, source = "", ""
    for mount in mounts:
        target = str(mount.get("Destination") or "").rstrip("/") or "/"
        if _inside(path, target) and len(target) > len(best):
            best, source = target, str(mount.get("Source") or "")
    return _join(source, path[len(best.rstrip("/")) :]) if source else None


def _inside(path: str, directory: str) -> bool:
    """Return whether `path` is the directory or below it."""
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def _join(source: str, tail: str) -> str:
    """Return the source with the rest of the path."""
    return (source.rstrip("/") + tail) or "/"


def _container(env: Mapping[str, str], root: str) -> tuple[str, str]:
    """Return the kind of container and what shows it."""
    if os.path.exists(under(root, "/run/.containerenv")):
        return "podman", "/run/.containerenv exists"
    kubernetes = env.get("KUBERNETES_SERVICE_HOST")
    if os.path.exists(under(root, "/.dockerenv")):
        return ("kubernetes" if kubernetes else "docker"), "/.dockerenv exists"
    if kubernetes and os.path.exists(under(root, "/var/run/secrets/kubernetes.io/serviceaccount")):
        return "kubernetes", "KUBERNETES_SERVICE_HOST is set and a service account is mounted"
    cgroup = _read(under(root, "/proc/1/cgroup"))
    for mark in ("/docker/", "/docker-", "/libpod-", "/kubepods", "/lxc/", "/containerd/"):
        if mark in cgroup:
            kinds = {"/libpod-": "podman", "/kubepods": "kubernetes"}
            kind = "docker" if "docker" in mark else kinds.get(mark, "other")
            return kind, f"/proc/1/cgroup has {mark}"
    return "", ""


def _wsl2(env: Mapping[str, str], root: str) -> str:
    """Return what shows that this is WSL2; empty if it is not."""
    for name in ("WSLInterop", "WSLInterop-late"):
        path = f"/proc/sys/fs/binfmt_misc/{name}"
        if os.path.exists(under(root, path)):
            return f"{path} exists"
    # The kernel's name alone is no proof: Docker Desktop's own VM has the same kernel.
    release = _read(under(root, "/proc/sys/kernel/osrelease")).lower()
    if env.get("WSL_DISTRO_NAME") and "microsoft" in release:
        return "WSL_DISTRO_NAME is set and the kernel is Microsoft's"
    return ""


def _service(env: Mapping[str, str]) -> str:
    """Return the hosted service that runs this process."""
    for variable, name in (
        ("CODESPACES", "codespaces"),
        ("GITHUB_ACTIONS", "github-actions"),
        ("GITLAB_CI", "gitlab-ci"),
        ("CI", "ci"),
    ):
        if env.get(variable, "").lower() not in {"", "0", "false"}:
            return name
    return ""


def _is_id(text: str) -> bool:
    """Return whether this is a full container id."""
    return len(text) == ID_LENGTH and not text.strip("0123456789abcdef")


def _read(path: str) -> str:
    """Return the text of a small system file, empty if it can't be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
