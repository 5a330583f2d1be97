"""Binds and Mounts of a create body become mounts that can't leave the workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from claudy.guard.paths import DOCKER_SOCKETS
from claudy.guard.policy.create import is_network_file
from claudy.guard.policy.references import VOLUME_NAME
from claudy.guard.refusal import invalid, refused

if TYPE_CHECKING:
    from claudy.guard.options import Settings
    from claudy.guard.paths import Workspace

SUBPATH_API = (1, 45)
RECURSIVE_API = (1, 44)  # from here on what is below a read-only mount is read-only
_MODES = frozenset({"ro", "rw", "nocopy", "cached", "delegated", "consistent", "rprivate", ""})


class Source(NamedTuple):
    """A mount that a create body asks for.

    Attributes:
        kind: bind, volume or tmpfs.
        source: as the client wrote it.
        target: path in the container.
        read_only: the container may not write.
        create: missing bind sources are made.
        options: the mount's own fields of the newer form; None: written as a bind string.
    """

    kind: str
    source: str
    target: str
    read_only: bool
    create: bool
    options: dict[str, Any] | None


class Plan(NamedTuple):
    """What the daemon is asked to mount.

    Attributes:
        binds: bind strings: named and anonymous volumes.
        mounts: mounts in the newer form.
        sources: bind source as asked, by target.
        volumes: named volumes that are used.
        below: resolved relative paths of binds below the workspace's root.
        uses_workspace: some bind is in the workspace.
    """

    binds: list[str]
    mounts: list[dict[str, Any]]
    sources: dict[str, str]
    volumes: list[str]
    below: list[str]
    uses_workspace: bool


def wanted(host_config: dict[str, Any]) -> list[Source]:
    """Return the mounts of a checked HostConfig.

    Raises:
        Denied: a bind string that is malformed or has a refused option.
    """
    return [
        *(_bind_string(text) for text in host_config.get("Binds") or []),
        *(_mount(mount) for mount in host_config.get("Mounts") or []),
    ]


def _bind_string(text: str) -> Source:
    source, colon, rest = text.partition(":")
    if not colon:
        return Source("volume", "", source, read_only=False, create=True, options=None)
    target, _, mode = rest.partition(":")
    options = mode.split(",")
    if ":" in mode or not target.startswith("/"):
        raise invalid(f"invalid bind: {text[:200]}")
    if wrong := [option for option in options if option not in _MODES]:
        raise refused(
            f"the bind option {wrong[0][:40]} is not allowed", "Allowed: ro, rw, nocopy, cached."
        )
    if source.startswith("/"):
        return Source("bind", source, target, "ro" in options, create=True, options=None)
    if not VOLUME_NAME.fullmatch(source):
        raise invalid(f"invalid volume name in bind: {text[:200]}")
    keep = {"NoCopy": True} if "nocopy" in options else {}
    return Source("volume", source, target, "ro" in options, create=True, options=keep or None)


def _mount(mount: dict[str, Any]) -> Source:
    kind = mount.get("Type", "")
    options = dict(mount.get("BindOptions") or {})
    return Source(
        kind,
        mount.get("Source", ""),
        mount.get("Target", ""),
        bool(mount.get("ReadOnly")),
        create=bool(options.get("CreateMountpoint")),
        options=mount,
    )


def plan(
    sources: list[Source],
    workspace: Workspace,
    settings: Settings,
    *,
    api: tuple[int, int],
    volume: str,
) -> Plan:
    """Return what to mount.

    Args:
        sources: what is asked for.
        workspace: resolves bind sources.
        settings: where the guard's socket is.
        api: the daemon's newest version.
        volume: name of the guard's own volume of the workspace, for subpaths.

    Raises:
        Denied: a source that is outside.
    """
    result = Plan([], [], {}, [], [], uses_workspace=False)
    uses_workspace = False
    for want in sources:
        # It would be the next one's of the same network too, for whom nobody counts it as used.
        if want.kind != "tmpfs" and is_network_file(want.target):
            raise refused(
                f"a mount at {want.target} is refused: it is handed on to those that join the "
                "container's network",
                "Copy it when the container starts, or use --add-host, --dns and --hostname.",
            )
        if want.kind == "tmpfs":
            result.mounts.append(_without_source(want))
        elif want.kind == "volume":
            _add_volume(result, want)
        elif want.kind == "bind":
            result.sources[want.target] = want.source
            if want.source in DOCKER_SOCKETS:
                result.mounts.append(_socket(want, settings))
                continue
            uses_workspace = True
            found = workspace.resolve(want.source, create=want.create)
            if found.relative:
                result.below.append(found.relative)
            result.mounts.append(_bind(want, workspace, found.relative, api=api, volume=volume))
        else:
            raise invalid("a mount without a type")
    return result._replace(uses_workspace=uses_workspace)


def keep_as_it_is(plan: Plan, volume: str) -> None:
    """Have nothing copied into a named volume that a plan mounts."""
    for number, text in enumerate(plan.binds):
        source, _, rest = text.partition(":")
        target, colon, modes = rest.partition(":")
        if source == volume and "nocopy" not in modes.split(","):
            plan.binds[number] = f"{source}:{target}:{modes + ',' if colon else ''}nocopy"
    for mount in plan.mounts:
        if mount.get("Type") == "volume" and mount.get("Source") == volume:
            mount["VolumeOptions"] = {**(mount.get("VolumeOptions") or {}), "NoCopy": True}


def _without_source(want: Source) -> dict[str, Any]:
    if want.source:
        raise invalid("a tmpfs mount has no source")
    return dict(want.options or {})


def _add_volume(result: Plan, want: Source) -> None:
    if want.source and not VOLUME_NAME.fullmatch(want.source):
        raise invalid(f"invalid volume name {want.source[:100]!r}")
    if want.source:
        result.volumes.append(want.source)
    if want.options is not None and "Type" in want.options:
        result.mounts.append(dict(want.options))
        return
    modes = ["ro"] * want.read_only + ["nocopy"] * bool(want.options)
    parts = [want.source, want.target] if want.source else [want.target]
    result.binds.append(":".join([*parts, *([",".join(modes)] if modes else [])]))


def _socket(want: Source, settings: Settings) -> dict[str, Any]:
    source = settings.socket_source or settings.listen
    name, colon, inside = source.partition(":")
    if colon:
        options = {"NoCopy": True, "Subpath": inside.lstrip("/")}
        return {"Type": "volume", "Source": name, "Target": want.target, "VolumeOptions": options}
    return {"Type": "bind", "Source": source, "Target": want.target, "ReadOnly": want.read_only}


def _bind(
    want: Source, workspace: Workspace, relative: str, *, api: tuple[int, int], volume: str
) -> dict[str, Any]:
    base: dict[str, Any] = {
        "Target": want.target,
        "ReadOnly": want.read_only or workspace.read_only,
    }
    if relative and api >= SUBPATH_API:
        # The daemon opens the subpath itself, at every start, and refuses links that leave.
        options = {"NoCopy": True, "Subpath": relative}
        return {"Type": "volume", "Source": volume, "VolumeOptions": options, **base}
    kept = {
        name: value
        for name, value in ((want.options or {}).get("BindOptions") or {}).items()
        if name != "CreateMountpoint"
    }
    if workspace.read_only and kept.get("ReadOnlyNonRecursive"):
        raise refused(
            "ReadOnlyNonRecursive is refused: the project is read-only, with what is mounted in it",
            "Leave it out.",
        )
    source = f"{workspace.host}/{relative}" if relative else workspace.host
    bind = {"Type": "bind", "Source": source, **base}
    return {**bind, "BindOptions": kept} if kept else bind
