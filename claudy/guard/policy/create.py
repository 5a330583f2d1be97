"""POST /containers/create, field by field; `update` takes its resource rows from here.

Fields as in moby's api/types/container of v20.10 to v28.5 (API 1.41 to 1.51).
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Any

from claudy.guard.policy.references import (
    host_ip,
    host_port,
    link,
    namespace,
    network_mode,
    network_name,
    used_image,
    volumes_from,
)
from claudy.guard.policy.rules import (
    DROP,
    Field,
    No,
    dropped,
    flag,
    integer,
    items,
    labels,
    line,
    mapping,
    nothing,
    null,
    only,
    struct,
    text,
    words,
)

if TYPE_CHECKING:
    from claudy.guard.policy.rules import Context, Rule

DEFAULT_CAPS = frozenset(
    [
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "NET_RAW",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    ]
)
_ULIMITS = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nofile",
    "nproc",
    "rss",
    "sigpending",
    "stack",
]
_NETWORK_FILES = {"/etc/hosts", "/etc/resolv.conf", "/etc/hostname"}
_NET_SYSCTL = re.compile(r"net\.[a-z0-9_.-]+")
_TMPFS = re.compile(
    r"(?:r[ow]|(?:no)?exec|(?:no)?suid|nodev|(?:size|mode|uid|gid|nr_inodes|nr_blocks)=[0-9a-z%]+)"
)
_SMALL = re.compile(r"(?:[0-9]{1,4}[kK]|[0-9]{1,7}|(?:[0-9]|1[0-6])[mM])(?:i?[bB])?")
# What the daemon puts in there; by other templates it would make texts until it has no memory left.
_TAG = re.compile(
    r"(?:[^{}]|\{\{ ?\.(?:ID|FullID|Name|ImageID|ImageFullID|ImageName|DaemonName) ?\}\})*"
)
# It renames all of them when one is full, and nothing that is there can be removed meanwhile.
_FILES = re.compile(r"[0-9]{1,3}")
_PORT = r"[0-9]{1,5}(?:-[0-9]{1,5})?(?:/(?:tcp|udp|sctp))?"
_LONGEST_STOP = 600
_SECONDS = integer(0, 2**62)
_CAP = r"(?:CAP_|cap_)?[A-Za-z_]{2,40}"


def is_network_file(target: str) -> bool:
    """Whether the daemon takes a mount for a file of the container's network.

    Who joins that network gets, at each start, whatever is at the source's path by then, writable,
    and does not count as a user of the volume that it was.
    """
    return "/" + posixpath.normpath(target).strip("/") in _NETWORK_FILES


def cap_add(value: Any, _: Context) -> list[str]:
    """Allow capabilities that every container has anyway."""
    for name in words(value, _):
        if name.upper().removeprefix("CAP_") not in DEFAULT_CAPS:
            raise No(repr(name[:40]))
    return words(value, _)


def security_opt(value: Any, _: Context) -> str:
    """Allow no-new-privileges."""
    if not isinstance(value, str) or value not in {
        "no-new-privileges",
        "no-new-privileges:true",
        "no-new-privileges=true",
    }:
        raise No(repr(value)[:60])
    return "no-new-privileges"


def sysctl(value: Any, _: Context) -> str:
    """Allow sysctls of the network namespace; the daemon refuses them without one."""
    if not isinstance(value, str) or not _NET_SYSCTL.fullmatch(value):
        raise No(repr(value)[:60])
    return value


def tmpfs_options(value: Any, _: Context) -> str:
    """Allow the usual options of a tmpfs."""
    if not isinstance(value, str) or not all(_TMPFS.fullmatch(o) for o in value.split(",") if o):
        raise No(repr(value)[:60])
    return value


def not_the_hosts(rule: Rule) -> Rule:
    """Return a rule of networks that does not take the host's by its id either."""

    def check(value: Any, context: Context) -> str:
        found: str = rule(value, context)
        if found == "host":
            raise No(repr(value)[:60])
        return found

    return check


def restart_name(value: Any, _: Context) -> str:
    """Turn always and unless-stopped into on-failure."""
    if not isinstance(value, str):
        raise No("not a text")
    if value in {"always", "unless-stopped"}:
        return "on-failure"
    if value not in {"", "no", "on-failure"}:
        raise No(repr(value)[:40])
    return str(value)


def capped(limit: str, low: int = 0) -> Any:
    """Return the rule of an amount within the budget's field of that name."""

    def check(value: Any, context: Context) -> Any:
        amount = integer(low)(value, context)
        most = int(getattr(context.budget, limit))
        if most and amount > most:
            raise No(f"{amount} is more than {most}")
        if most and amount <= 0:
            return DROP
        return amount

    return check


def log_options(value: Any, context: Context) -> dict[str, str]:
    """Allow options that name no address and no path, and with which the daemon is done soon."""
    found: dict[str, str] = mapping(
        text("max-size|max-file|compress|mode|max-buffer-size|labels|env|tag"), line()
    )(value, context)
    for name, allowed in (("max-buffer-size", _SMALL), ("max-file", _FILES), ("tag", _TAG)):
        if name in found and not allowed.fullmatch(found[name]):
            raise No(f"{name} {found[name][:40]!r}")
    return found


def quota(value: Any, context: Context) -> Any:
    """Allow a share of time, unless the budget says how much that is."""
    return DROP if context.budget.nano_cpus else integer(-1)(value, context)


def stop_timeout(value: Any, context: Context) -> int:
    """Allow ten minutes; longer ones, and -1 for ever, become that.

    An engine that is stopped waits for the longest of all containers.
    """
    seconds: int = integer(-1, 2**31)(value, context)
    return min(seconds, _LONGEST_STOP) if seconds >= 0 else _LONGEST_STOP


def volumes(value: Any, context: Context) -> str:
    """Allow an absolute path: an anonymous volume."""
    checked: str = line()(value, context)
    if not checked.startswith("/") or ":" in checked or is_network_file(checked):
        raise No(repr(checked[:60]))
    return checked


def health_test(value: Any, context: Context) -> list[str]:
    """Allow a health check, unless it is one without a command."""
    found: list[str] = words(value, context)
    if has_no_command(found):
        raise No(repr(found))
    return found


def has_no_command(test: list[str] | None) -> bool:
    """Whether a health check is one that a daemon does not survive, for want of its command."""
    return test == ["CMD"]


HEALTH = (
    Field("Test", health_test, "any with a command", "the daemon would end"),
    Field("Interval", _SECONDS, "any"),
    Field("Timeout", _SECONDS, "any"),
    Field("StartPeriod", _SECONDS, "any"),
    Field("StartInterval", _SECONDS, "any"),
    Field("Retries", integer(0, 2**31), "any"),
)

CONFIG = (
    Field("Hostname", line(253), "any"),
    Field("Domainname", line(253), "any"),
    Field("User", line(253), "any"),
    Field("AttachStdin", flag, "any"),
    Field("AttachStdout", flag, "any"),
    Field("AttachStderr", flag, "any"),
    Field("ExposedPorts", mapping(text(_PORT), only({})), "any"),
    Field("Tty", flag, "any"),
    Field("OpenStdin", flag, "any"),
    Field("StdinOnce", flag, "any"),
    Field("Env", items(text()), "any"),
    Field("Cmd", words, "any"),
    Field("Healthcheck", struct(HEALTH, "Healthcheck."), "its fields"),
    Field("ArgsEscaped", flag, "any", "of Windows; without effect here"),
    Field("Image", used_image, "an image that `docker images` shows", "visibility"),
    Field(
        "Volumes",
        mapping(volumes, only({})),
        "absolute paths, not the network's files",
        "anonymous volumes are new",
    ),
    Field("WorkingDir", line(), "any"),
    Field("Entrypoint", words, "any"),
    Field("NetworkDisabled", flag, "any"),
    Field("MacAddress", text(r"(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}|"), "a MAC address"),
    Field("OnBuild", nothing, "empty", "only images have it"),
    Field("Labels", labels, "any but claudy.*", "claudy's own labels say what it made"),
    Field("StopSignal", text(r"[A-Za-z0-9+-]{0,20}"), "a signal"),
    Field(
        "StopTimeout", stop_timeout, "up to 600; more becomes 600", "the engine's own stop waits"
    ),
    Field("Shell", words, "any"),
)

BIND_OPTIONS = (
    Field(
        "Propagation", only("", "rprivate"), "rprivate", "others pass mounts to the host and back"
    ),
    Field("NonRecursive", flag, "any"),
    Field("CreateMountpoint", flag, "any", "the guard makes it, inside the workspace"),
    Field("ReadOnlyNonRecursive", flag, "any; false where the project is read-only"),
    Field("ReadOnlyForceRecursive", flag, "any"),
)

DRIVER = (
    Field("Name", only("", "local"), "local", "other drivers run outside the guard's sight"),
    Field("Options", nothing, "empty", "`device=` mounts any path or block device of the host"),
)

VOLUME_OPTIONS = (
    Field("NoCopy", flag, "any"),
    Field("Labels", labels, "any but claudy.*", "claudy's own labels say what it made"),
    Field("Subpath", text(r"(?!/)(?!.*\.\.).*", 4096), "a path without ..", "stays in the volume"),
    Field("DriverConfig", struct(DRIVER, "DriverConfig."), "local without options"),
)

TMPFS_OPTIONS = (
    Field("SizeBytes", integer(), "any"),
    Field("Mode", integer(0, 0o7777), "any"),
    Field("Options", nothing, "empty", "mount options are named in Tmpfs"),
)

MOUNT = (
    Field(
        "Type",
        only("bind", "volume", "tmpfs"),
        "bind, volume, tmpfs",
        "npipe, cluster and image are not needed",
    ),
    Field("Source", line(), "the workspace, the Docker socket, own volumes", "see paths"),
    Field("Target", line(), "any but /etc/hosts, resolv.conf and hostname", "they are handed on"),
    Field("ReadOnly", flag, "any"),
    Field(
        "Consistency",
        text("(?:default|consistent|cached|delegated)?"),
        "any",
        "without effect on Linux",
    ),
    Field("BindOptions", struct(BIND_OPTIONS, "BindOptions."), "its fields"),
    Field("VolumeOptions", struct(VOLUME_OPTIONS, "VolumeOptions."), "its fields"),
    Field("TmpfsOptions", struct(TMPFS_OPTIONS, "TmpfsOptions."), "its fields"),
    Field("ImageOptions", nothing, "empty", "image mounts are not allowed"),
    Field("ClusterOptions", nothing, "empty", "swarm is not allowed"),
)

LOG_CONFIG = (
    Field(
        "Type",
        only("", "json-file", "local", "none"),
        "json-file, local, none",
        "others send to the network or write elsewhere",
    ),
    Field(
        "Config",
        log_options,
        "sizes, up to 999 files, labels, env, a tag of {{.Name}} and the like; a buffer up to 16m",
        "other options name addresses and paths; the daemon's memory and time are the host's",
    ),
)

RESTART = (
    Field(
        "Name",
        restart_name,
        "no, on-failure; always becomes on-failure",
        "nothing starts by itself with the machine",
    ),
    Field("MaximumRetryCount", integer(0, 2**31), "any"),
)

PORT_BINDING = (
    Field(
        "HostIp",
        host_ip,
        "loopback, the sandbox's gateway; empty means both",
        "not on the network unless the user says so",
    ),
    Field("HostPort", host_port, "empty, 1024 and up", "low ports are the host's services"),
)

ULIMIT = (
    Field("Name", only(*_ULIMITS), "resource limits", "nice and rtprio would starve the host"),
    Field("Soft", integer(-1), "any"),
    Field("Hard", integer(-1), "any"),
)

IPAM = (
    Field("IPv4Address", text(r"[0-9.]{0,15}"), "an address"),
    Field("IPv6Address", text(r"[0-9A-Fa-f:]{0,39}"), "an address"),
    Field("LinkLocalIPs", items(text(r"[0-9A-Fa-f:.]{0,39}")), "addresses"),
)

ENDPOINT = (
    Field("IPAMConfig", struct(IPAM, "IPAMConfig."), "its fields"),
    Field("Links", items(link), "owned containers", "links tell the other's environment"),
    Field("Aliases", items(text(r"[A-Za-z0-9_.-]{1,253}")), "any"),
    Field("MacAddress", text(r"(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}|"), "a MAC address"),
    Field("GwPriority", integer(-(2**31), 2**31), "any"),
    Field("DriverOpts", nothing, "empty", "driver options name host devices"),
    *(
        Field(name, dropped, "ignored", "the daemon's to say")
        for name in [
            "NetworkID",
            "EndpointID",
            "Gateway",
            "IPAddress",
            "IPPrefixLen",
            "IPv6Gateway",
            "GlobalIPv6Address",
            "GlobalIPv6PrefixLen",
            "DNSNames",
        ]
    ),
)

NETWORKING = (
    Field(
        "EndpointsConfig",
        mapping(
            not_the_hosts(network_name),
            lambda v, c: {} if v is None else struct(ENDPOINT, "EndpointsConfig.")(v, c),
        ),
        "own networks, bridge",
        "others' networks",
    ),
)

_DEVICES = "devices are the host's"
_BLKIO = "names the host's block devices"
RESOURCES = (
    Field("CpuShares", integer(0, 262144), "any"),
    Field("Memory", capped("memory"), "within the budget", "the sandbox's share"),
    Field("NanoCpus", capped("nano_cpus"), "within the budget", "the sandbox's share"),
    Field("CgroupParent", nothing, "empty", "would leave the budget, or join a host service"),
    Field("BlkioWeight", integer(0, 1000), "any"),
    Field("BlkioWeightDevice", nothing, "empty", _BLKIO),
    Field("BlkioDeviceReadBps", nothing, "empty", _BLKIO),
    Field("BlkioDeviceWriteBps", nothing, "empty", _BLKIO),
    Field("BlkioDeviceReadIOps", nothing, "empty", _BLKIO),
    Field("BlkioDeviceWriteIOps", nothing, "empty", _BLKIO),
    Field("CpuPeriod", quota, "any; with a CPU budget the budget is set"),
    Field("CpuQuota", quota, "any; with a CPU budget the budget is set"),
    Field("CpuRealtimePeriod", nothing, "empty", "real-time work starves the host"),
    Field("CpuRealtimeRuntime", nothing, "empty", "real-time work starves the host"),
    Field("CpusetCpus", text(r"[0-9,-]{0,200}"), "any"),
    Field("CpusetMems", text(r"[0-9,-]{0,200}"), "any"),
    Field("Devices", nothing, "empty", _DEVICES),
    Field("DeviceCgroupRules", nothing, "empty", _DEVICES),
    Field("DeviceRequests", nothing, "empty", _DEVICES),
    Field("KernelMemory", nothing, "empty", "gone from the kernel"),
    Field("KernelMemoryTCP", nothing, "empty", "gone from the kernel"),
    Field("MemoryReservation", capped("memory"), "within the budget"),
    Field("MemorySwap", capped("memory", -1), "within the budget"),
    Field("MemorySwappiness", integer(-1, 100), "any"),
    Field("OomKillDisable", only(False), "false", "a full container would stop the host"),
    Field("PidsLimit", capped("pids", -1), "within the budget", "the sandbox's share"),
    Field("Ulimits", items(struct(ULIMIT, "Ulimits.")), "resource limits"),
    *(
        Field(name, nothing, "empty", "of Windows")
        for name in ("CpuCount", "CpuPercent", "IOMaximumIOps", "IOMaximumBandwidth")
    ),
)

HOST_CONFIG = (
    Field("Binds", items(line()), "the workspace, the Docker socket, own volumes", "see paths"),
    Field(
        "Mounts",
        items(struct(MOUNT, "Mounts.")),
        "the workspace, the Docker socket, own volumes, tmpfs",
        "see paths",
    ),
    Field("Tmpfs", mapping(line(), tmpfs_options), "usual options"),
    Field("VolumesFrom", items(volumes_from), "owned containers", "others' volumes"),
    Field(
        "VolumeDriver", only("", "local"), "local", "other drivers run outside the guard's sight"
    ),
    Field("ContainerIDFile", dropped, "ignored", "the client writes it"),
    Field("LogConfig", struct(LOG_CONFIG, "LogConfig."), "json-file, local, none"),
    Field(
        "NetworkMode",
        not_the_hosts(network_mode),
        "default, bridge, none, own networks, container: of owned",
        "the host's network reaches all that listens on the host",
    ),
    Field(
        "PortBindings",
        mapping(text(_PORT), items(struct(PORT_BINDING, "PortBindings."))),
        "ports from 1024 on loopback and gateway",
    ),
    Field("PublishAllPorts", flag, "any", "the guard names the ports"),
    Field("RestartPolicy", struct(RESTART, "RestartPolicy."), "no, on-failure"),
    Field("AutoRemove", flag, "any"),
    Field("ConsoleSize", items(integer(0, 65535), 2), "any"),
    Field("Annotations", nothing, "empty", "some runtimes take orders from them"),
    Field("CapAdd", cap_add, "the default set", "others are ways to the host"),
    Field("CapDrop", items(text(_CAP)), "any"),
    Field("CgroupnsMode", only("", "private"), "private", "the host's cgroups"),
    Field("Cgroup", nothing, "empty", "joins another cgroup"),
    Field("Dns", items(text(r"[0-9A-Fa-f:.]{1,39}")), "addresses"),
    Field("DnsOptions", items(line(256)), "any"),
    Field("DnsSearch", items(line(256)), "any"),
    Field("ExtraHosts", items(line(512)), "any"),
    Field("GroupAdd", items(line(64)), "any"),
    Field(
        "IpcMode",
        namespace("", "none", "private", "shareable", shared=True),
        "private, shareable, none, container: of owned",
        "the host's shared memory",
    ),
    Field("PidMode", namespace("", shared=True), "container: of owned", "the host's processes"),
    Field("UTSMode", only(""), "empty", "the host's name"),
    Field("UsernsMode", only(""), "empty", "turns the daemon's user mapping off"),
    Field("Links", items(link), "owned containers", "links tell the other's environment"),
    Field("OomScoreAdj", integer(0, 1000), "0 to 1000", "below 0 the host's processes die first"),
    Field("Privileged", only(False), "false", "a privileged container is the host"),
    Field("ReadonlyRootfs", flag, "any"),
    Field(
        "SecurityOpt",
        items(security_opt),
        "no-new-privileges",
        "others take the container's walls down",
    ),
    Field("StorageOpt", nothing, "empty", "options of the host's storage driver"),
    Field("ShmSize", capped("memory"), "within the budget"),
    Field(
        "Sysctls",
        mapping(sysctl, text(r"[\t -~]*", 256)),
        "net.*",
        "others are not the container's own",
    ),
    Field("Runtime", only("", "runc"), "runc", "other runtimes have other walls"),
    Field("Isolation", only("", "default"), "default", "of Windows"),
    Field("MaskedPaths", null, "null", "an empty list unmasks the kernel's files"),
    Field("ReadonlyPaths", null, "null", "an empty list makes the kernel's files writable"),
    Field("Init", flag, "any"),
    *RESOURCES,
)

CREATE = (
    *CONFIG,
    Field("HostConfig", struct(HOST_CONFIG, "HostConfig."), "its fields"),
    Field("NetworkingConfig", struct(NETWORKING, "NetworkingConfig."), "its fields"),
)

UPDATE = (*RESOURCES, Field("RestartPolicy", struct(RESTART, "RestartPolicy."), "no, on-failure"))

create_body = struct(CREATE)
update_body = struct(UPDATE)
commit_body = struct(
    (
        *(row for row in CONFIG if row.name not in {"Image", "OnBuild", "ExposedPorts"}),
        Field("Image", dropped, "ignored", "the container's own"),
        Field("ExposedPorts", mapping(text(_PORT), only({})), "any"),
        Field("OnBuild", items(text()), "any"),
    )
)
