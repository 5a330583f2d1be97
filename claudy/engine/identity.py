"""Tell which engine answers, and where the daemon itself finds its socket.

Two questions that are never to be mixed: the client connects to `Endpoint`, and the mount source
is a path on the daemon's own file system. For an engine in a virtual machine the source is the
literal `/var/run/docker.sock`, never the resolved path of the client's socket.

Sources: `/_ping` headers (podman `pkg/api`), `/version` `Components` and `Platform.Name`, `/info`
`OperatingSystem`, `Name`, `SecurityOptions`, `DockerRootDir` (moby `api/swagger.yaml`).
"""

from __future__ import annotations

from claudy.errors import EngineError
from claudy.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import TypeGuard

    from claudy.host.endpoint import Endpoint

SOCKET = "/var/run/docker.sock"
LOOPBACK = ("localhost", "::1", "127.")


class EngineStarting(EngineError):
    """The engine answers, but is not ready: `/info` is empty."""

    code = "engine-starting"


@record
class EngineFacts:
    """What is known about the engine behind an endpoint.

    Args:
        kind: `docker`, `docker-desktop`, `orbstack`, `colima`, `rancher-desktop`, `lima` or
            `podman`.
        name: `Name` of `/info`, the daemon's host name.
        version: version of the engine.
        api: highest API version it speaks.
        min_api: lowest API version it speaks.
        os_type: `linux` or `windows`: of the containers.
        arch: architecture of the containers, as in image names (`amd64`, `arm64`).
        rootless: the daemon runs without root.
        userns: the daemon remaps user ids.
        selinux: SELinux separates the containers.
        snap: the daemon is confined by snap.
        desktop: it is Docker Desktop.
        vm: the daemon runs in a virtual machine of this host.
        remote: the daemon's file system is not this machine's, nor shared with it.
        socket_source: source of the socket's bind mount, a path on the daemon's file system.
        socket_source_reason: why that path.
        gid_rule: how to learn the socket's group as seen inside: `stat` of the host's file,
            `ask` from inside a container.
        gid_reason: why that rule.
        label_disable: the sandbox needs `label=disable` to use the socket.
    """

    kind: str
    name: str
    version: str
    api: str
    min_api: str
    os_type: str
    arch: str
    rootless: bool
    userns: bool
    selinux: bool
    snap: bool
    desktop: bool
    vm: bool
    remote: bool
    socket_source: str
    socket_source_reason: str
    gid_rule: str
    gid_reason: str
    label_disable: bool


@record
class _Traits:
    """What the documents say, before the endpoint is considered."""

    kind: str
    vm: bool
    rootless: bool
    userns: bool
    remote: bool


def identify(
    *,
    endpoint: Endpoint,
    ping: Mapping[str, str],
    version: Mapping[str, object],
    info: Mapping[str, object],
    platform: str,
    uid: int,
    hostname: str = "",
    mounts: Iterable[Mapping[str, object]] = (),
    source: str = "",
) -> EngineFacts:
    """Derive the facts from the engine's own answers.

    Args:
        endpoint: where the client connects.
        ping: headers of `GET /_ping`.
        version: document of `GET /version`.
        info: document of `GET /info`.
        platform: `sys.platform`.
        uid: user id, for a rootless engine in a Lima machine.
        hostname: name of this machine, to recognise a loopback engine as local.
        mounts: `Mounts` of the container that claudy itself runs in, empty outside of one.
        source: setting that overrides the socket's mount source.

    Raises:
        EngineStarting: `/info` has no ServerVersion, as Docker Desktop answers while it starts.
    """
    if not info.get("ServerVersion"):
        raise EngineStarting(
            f"The Docker engine at {endpoint.url} (from: {endpoint.source}) is still starting:"
            " it answers without a version.",
            "Wait until it says that it runs, then: claudy doctor",
        )
    headers = {key.lower(): value for key, value in ping.items()}
    security = [str(option) for option in _list(info.get("SecurityOptions"))]
    kind = _kind(endpoint, headers, version, info)
    vm = (
        kind not in {"docker", "podman"}
        or (platform in {"darwin", "win32"} and endpoint.kind in {"unix", "npipe"})
        or (kind == "podman" and "machine" in endpoint.path)
    )
    traits = _Traits(
        kind=kind,
        vm=vm,
        rootless=_has(security, "rootless"),
        userns=_has(security, "userns"),
        remote=_remote(endpoint, str(info.get("Name") or ""), hostname),
    )
    path, why = _socket_source(endpoint, traits, uid, mounts, source)
    rule, rule_why = _gid_rule(endpoint, traits, nested=bool(mounts))
    selinux = _has(security, "selinux")
    return EngineFacts(
        kind=kind,
        name=str(info.get("Name") or ""),
        version=str(info["ServerVersion"]),
        api=str(version.get("ApiVersion") or headers.get("api-version", "")),
        min_api=str(version.get("MinAPIVersion") or ""),
        os_type=str(info.get("OSType") or version.get("Os") or headers.get("ostype", "linux")),
        arch=_arch(str(version.get("Arch") or info.get("Architecture") or "")),
        rootless=traits.rootless,
        userns=traits.userns,
        selinux=selinux,
        snap=str(info.get("DockerRootDir") or "").startswith("/var/snap/"),
        desktop=kind == "docker-desktop",
        vm=vm,
        remote=traits.remote,
        socket_source=path,
        socket_source_reason=why,
        gid_rule=rule,
        gid_reason=rule_why,
        label_disable=kind == "podman" or selinux,
    )


def _kind(
    endpoint: Endpoint,
    headers: Mapping[str, str],
    version: Mapping[str, object],
    info: Mapping[str, object],
) -> str:
    """Return the product."""
    parts = [part.get("Name") for part in _list(version.get("Components")) if _is_object(part)]
    name = str(info.get("Name") or "").lower()
    system = str(info.get("OperatingSystem") or "")
    path = endpoint.path if endpoint.kind == "unix" else ""
    signs = {
        "podman": "libpod-api-version" in headers
        or headers.get("server", "").startswith("Libpod")
        or "Podman Engine" in parts,
        # startswith: newer ones add their version and build
        "docker-desktop": system.startswith("Docker Desktop")
        or _platform(version).startswith("Docker Desktop"),
        "orbstack": name == "orbstack" or system.startswith("OrbStack") or "/.orbstack/" in path,
        "colima": name.startswith("colima") or "/.colima/" in path,
        "rancher-desktop": name.startswith("lima-rancher")
        or system.startswith("Rancher Desktop")
        or "/.rd/" in path,
        "lima": name.startswith("lima-") or "/.lima/" in path,
    }
    return next((product for product, seen in signs.items() if seen), "docker")


def _platform(version: Mapping[str, object]) -> str:
    """Return `Platform.Name` of `/version`."""
    value = version.get("Platform")
    return str(value.get("Name") or "") if isinstance(value, dict) else ""


def _remote(endpoint: Endpoint, name: str, hostname: str) -> bool:
    """Return whether the daemon is another machine's."""
    if endpoint.kind == "tcp" and endpoint.address[0].startswith(LOOPBACK):
        return not name or name != hostname
    return endpoint.kind in {"tcp", "ssh"}


def _socket_source(
    endpoint: Endpoint,
    traits: _Traits,
    uid: int,
    mounts: Iterable[Mapping[str, object]],
    override: str,
) -> tuple[str, str]:
    """Return the source of the socket's bind mount, and why."""
    if override:
        return override, "a setting says so"
    if endpoint.kind in {"tcp", "ssh"}:
        return SOCKET, f"the engine is reached over {endpoint.kind}: its own socket there"
    if traits.vm and traits.rootless and traits.kind in {"lima", "colima", "rancher-desktop"}:
        return f"/run/user/{uid}/docker.sock", "a rootless engine in a Lima machine of this user"
    if traits.vm:
        return SOCKET, f"{traits.kind} runs in a virtual machine: its socket there, literally"
    mount = next(
        (m for m in mounts if str(m.get("Destination")) in _both_names(endpoint.path)), None
    )
    if mount:
        return str(mount.get("Source")), "the socket is mounted into this container from there"
    return endpoint.path, "the engine runs on this machine: the same path"


def _both_names(path: str) -> set[str]:
    """Return the names of a path below /run, where /var/run is a link to it."""
    return {path, path.removeprefix("/var") if path.startswith("/var/run/") else "/var" + path}


def _gid_rule(endpoint: Endpoint, traits: _Traits, *, nested: bool) -> tuple[str, str]:
    """Return how the group of the socket inside is learnt, and why."""
    if traits.kind == "docker" and not traits.vm and endpoint.kind == "unix":
        if traits.rootless:
            return "ask", "the user namespace of a rootless engine maps the group"
        if traits.userns and not nested:
            # Remapped, the owner would be 65534 inside, which no group opens.
            return (
                "stat",
                "the sandbox leaves userns-remap (userns=host), so ids are this machine's",
            )
        if not nested:
            return "stat", "the engine shares this machine's user ids"
    return "ask", "the group inside is not the one that this machine shows"


def _has(security: list[str], name: str) -> bool:
    """Return whether `/info` lists a security option."""
    return any(
        option == f"name={name}" or option.startswith(f"name={name},") for option in security
    )


def _arch(name: str) -> str:
    """Return an architecture as image names spell it."""
    names = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}
    return names.get(name, name)


def _list(value: object) -> list[object]:
    """Return a list member of a document, empty if it is none."""
    return value if isinstance(value, list) else []


def _is_object(value: object) -> TypeGuard[dict[str, object]]:
    """Return whether a member of a document is an object."""
    return isinstance(value, dict)
