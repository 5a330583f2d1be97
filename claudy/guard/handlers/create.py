"""POST /containers/create: the body after its table, mounts, ports, and the record."""

from __future__ import annotations

import contextlib
import functools
import json
from typing import TYPE_CHECKING, Any

from claudy.guard import mounts, ports, strictjson
from claudy.guard.handlers.making import ends_the_daemon, marks, new_token
from claudy.guard.handlers.volumes import ensure_volume, workspace_volume
from claudy.guard.policy.create import create_body
from claudy.guard.policy.references import is_short_id, looks_like_id
from claudy.guard.refusal import BAD_REQUEST, NOT_FOUND, Denied, refused
from claudy.guard.start import shares_with_another

if TYPE_CHECKING:
    from collections.abc import Iterator

    from claudy.guard.exchange import Exchange

COUNTING = "count.lock"
COPYING = "copy.lock"


def create(x: Exchange) -> None:
    """Create a container that is the project's."""
    try:
        body = x.json_body(create_body)
    except Denied as denied:
        if denied.status == NOT_FOUND and "No such image" not in denied.message:
            # The docker CLI would pull the image, and try again.
            raise Denied(BAD_REQUEST, denied.message) from denied
        raise
    name = x.value("name").lstrip("/")
    require_free_name(x, name)
    if name:
        x.services.remover.settle()
    host: dict[str, Any] = body.setdefault("HostConfig", {})
    asked = {
        "Binds": host.get("Binds"),
        "Mounts": host.get("Mounts"),
    }
    plan = mounts.plan(
        mounts.wanted(host),
        x.services.workspace,
        x.services.settings,
        api=x.daemon.newest,
        volume=workspace_volume(x.services.settings),
    )
    version = x.version
    if plan.uses_workspace and x.services.workspace.read_only:
        # For an older request the daemon would leave what is mounted in the project writable.
        version = max(version, min(x.daemon.newest, mounts.RECURSIVE_API))
    if any(
        m["Type"] == "volume" and m.get("VolumeOptions", {}).get("Subpath") for m in plan.mounts
    ):
        ensure_volume(x, workspace_volume(x.services.settings), own=True)
        version = max(version, mounts.SUBPATH_API)
    host["Binds"], host["Mounts"] = plan.binds, plan.mounts
    # What it has from another container may be of the workspace, too.
    may_reach = plan.uses_workspace or host.get("VolumesFrom")
    may_reach = may_reach or shares_with_another(host)
    if may_reach and not x.services.starter.safe_by_itself:
        host["RestartPolicy"] = {"Name": "no"}
    taken_over = x.services.remover.take_over(host)
    published = _publish(x, body, host)
    _apply_budget(x, host)
    _pin_networks(x, body, str(host.get("NetworkMode") or ""))
    query = [pair for pair in x.query if pair[0] != "name"] + ([("name", name)] if name else [])
    record = {"asked": asked, "sources": plan.sources, **published, **taken_over}
    with counted(x), _copying(x, plan), _giving(x, host):
        require_budget(x, published.get("ports", 0))
        _make(x, body, query, version, record, set(plan.volumes))


@contextlib.contextmanager
def _copying(x: Exchange, plan: mounts.Plan) -> Iterator[None]:
    """Have the daemon copy what an image has at a volume's place only where nobody writes to it.

    It does so as root, into an empty volume, and follows the links that somebody puts there
    meanwhile. So that ends with the first start of a container that has the volume: who has had it
    once can still write to it by an open directory. And no other container with a named volume is
    made, and none that has it started, until the daemon is done.
    """
    if not plan.volumes:
        yield
        return
    with x.ledger.held(COPYING):
        for name in set(plan.volumes):
            # Not before: while this waited, the name could become another's.
            ensure_volume(x, name)
            record = x.ledger.get("volumes", name) or {}
            if not record.get("fresh") or _has_run(x, name):
                mounts.keep_as_it_is(plan, name)
        yield


@contextlib.contextmanager
def _giving(x: Exchange, host: dict[str, Any]) -> Iterator[None]:
    """Have those stay whose volumes a container gets, until it is made.

    If it can't be made after all, the daemon removes its volumes without a name, also what it has
    from one that is gone by then. Who was handed a directory of that does not stand still.
    """
    if not host.get("VolumesFrom") or x.daemon.removes_unwatched:
        yield
        return
    with x.services.starter.writing():
        yield


def _has_run(x: Exchange, volume: str) -> bool:
    """Whether a container with a volume has been started, be it by the host."""
    query = [("all", "1"), ("filters", json.dumps({"volume": [volume]}))]
    _, found = x.daemon.json("GET", "/containers/json", query)
    # The filter takes a prefix, too.
    return any(
        entry.get("State") != "created"
        for entry in found or []
        if any(mount.get("Name") == volume for mount in entry.get("Mounts") or [])
    )


def end_copying(x: Exchange, container: str) -> None:
    """Note that something may write to a container's volumes from now on."""
    fresh = {name for name, record in x.ledger.read()["volumes"].items() if record.get("fresh")}
    if not fresh:
        return
    _, found = x.daemon.json("GET", f"/containers/{container}/json")
    for name in fresh & {mount.get("Name") for mount in (found or {}).get("Mounts") or []}:
        with x.ledger.held(COPYING):
            # The record may be gone by now, and must not come back: the name is another's next.
            x.ledger.change(functools.partial(_forget_fresh, name))


def _forget_fresh(name: str, data: dict[str, Any]) -> None:
    data["volumes"].get(name, {}).pop("fresh", None)


def _make(
    x: Exchange,
    body: dict[str, Any],
    query: list[tuple[str, str]],
    version: tuple[int, int],
    record: dict[str, Any],
    named: set[str],
) -> None:
    """Have the daemon create it, and record it."""
    token = new_token()
    body["Labels"] = {**(body.get("Labels") or {}), **marks(x.services.settings, token)}
    x.ledger.intend("containers", token, **record)
    # When the daemon breaks off here, the next worker finds out by the token whether it was made.
    answer = x.open(
        body=strictjson.dump(body),
        headers={"Content-Type": "application/json"},
        query=query,
        version=version,
        wait=True,  # it copies on, without the lock, if nobody does
    )
    raw = answer.read()
    if answer.status >= BAD_REQUEST:
        x.ledger.drop_intent(token)
        x.reply_error(answer.status, raw)
        return
    made = json.loads(raw)
    _, found = x.daemon.json("GET", f"/containers/{made['Id']}/json")
    found = {"Id": made["Id"], **(found or {})}
    # An image has one, too. As long as it is nobody's, it can't be started.
    if ends_the_daemon(found):
        x.daemon.json("DELETE", f"/containers/{made['Id']}", [("v", "1")])
        x.ledger.drop_intent(token)
        raise refused("the image's health check has no command", "Give one: --health-cmd.")
    record_anonymous(x, found, named)
    circling = x.services.starter.circling(found)
    x.ledger.settle(token, "containers", made["Id"], also=circling, **record)
    x.reply_json(answer, made)


def record_anonymous(x: Exchange, found: dict[str, Any], named: set[str]) -> None:
    """Record the volumes that the daemon made for a container."""
    ours = workspace_volume(x.services.settings)
    for mount in found.get("Mounts") or []:
        volume = mount.get("Name", "")
        if mount.get("Type") != "volume" or volume in named or volume == ours or not volume:
            continue
        if not x.ledger.owns("volumes", volume) and len(volume) == 64:  # noqa: PLR2004 - a random name
            x.ledger.add("volumes", volume, anonymous=True)


def require_free_name(x: Exchange, name: str) -> None:
    """Refuse names that someone would type to mean another container."""
    if not name:
        return
    if looks_like_id(name):
        raise refused(f"the name {name} looks like a container id", "Choose another name.")
    if name.startswith("claudy-"):
        raise refused(f"the name {name} is claudy's own", "Choose another name.")
    if is_short_id(name):
        _, found = x.daemon.json("GET", "/containers/json", [("all", "1")])
        if any(
            entry["Id"].startswith(name) and not x.ledger.owns("containers", entry["Id"])
            for entry in found or []
        ):
            raise refused(f"the name {name} is a short id of another container", "Choose another.")


@contextlib.contextmanager
def counted(x: Exchange) -> Iterator[None]:
    """Let nobody else of the project create a container between the count and the creation."""
    budget = x.objects.budget
    if not budget.containers and not budget.ports:
        yield
        return
    with x.ledger.held(COUNTING):
        yield


def require_budget(x: Exchange, ports: int) -> None:
    """Refuse a container too many, of all the project's, or one with too many ports.

    Args:
        x: the request.
        ports: how many the container would publish.
    """
    budget = x.objects.budget
    if not budget.containers and not budget.ports:
        return
    _, found = x.daemon.json("GET", "/containers/json", [("all", "1")])
    own = [record for entry in found or [] if (record := x.ledger.get("containers", entry["Id"]))]
    if budget.containers and len(own) >= budget.containers:
        raise refused(
            f"the sandbox has {len(own)} containers and may have {budget.containers}",
            "Remove some: docker container prune.",
        )
    # Those that don't run count too: they could all be started later.
    used = sum(record.get("ports", 0) for record in own)
    if budget.ports and ports + used > budget.ports:
        raise refused(
            f"the sandbox has {used} published ports and may have {budget.ports}",
            "Remove containers that you don't need: docker rm.",
        )


def _apply_budget(x: Exchange, host: dict[str, Any]) -> None:
    """Give a container that names no limit the budget's."""
    budget = x.objects.budget
    if budget.memory and not host.get("Memory"):
        host["Memory"] = budget.memory
        host.pop("MemorySwap", None)
    if budget.nano_cpus and not host.get("NanoCpus"):
        host.pop("CpuQuota", None)
        host.pop("CpuPeriod", None)
        host["NanoCpus"] = budget.nano_cpus
    if budget.pids and not host.get("PidsLimit"):
        host["PidsLimit"] = budget.pids


def _pin_networks(x: Exchange, body: dict[str, Any], mode: str) -> None:
    """Have the daemon remember own networks by their ids."""
    endpoints = (body.get("NetworkingConfig") or {}).get("EndpointsConfig") or {}
    if not endpoints and mode not in {"", "default", "bridge", "none"} and ":" not in mode:
        endpoints = {mode: {}}
    for name, endpoint in endpoints.items():
        if name != "default" and (full := x.objects.network_id(name)):
            endpoint["NetworkID"] = full
    if endpoints:
        body["NetworkingConfig"] = {"EndpointsConfig": endpoints}


def _publish(x: Exchange, body: dict[str, Any], host: dict[str, Any]) -> dict[str, Any]:
    """Name the addresses and ports of what is published; return what the record says of it."""
    asked = dict(host.get("PortBindings") or {})
    if host.get("PublishAllPorts"):
        exposed = set(body.get("ExposedPorts") or {})
        _, image = x.daemon.json("GET", f"/images/{body.get('Image', '')}/json")
        exposed |= set(((image or {}).get("Config") or {}).get("ExposedPorts") or {})
        for port in exposed:
            asked.setdefault(port if "/" in port else f"{port}/tcp", [{}])
        host["PublishAllPorts"] = False
    if not asked:
        return {}
    everywhere = x.objects.all_interfaces
    host["PortBindings"] = ports.plan(asked, gateways_of(x), everywhere=everywhere)
    return {
        "published": True,
        "hidden": ports.hidden(asked, host["PortBindings"]),
        "ports": sum(len(entries or [{}]) for entries in asked.values()),
    }


def gateways_of(x: Exchange) -> list[str]:
    """Return the host's addresses in the sandbox's networks, if ports can be published there."""
    if x.services.settings.loopback_only:
        return []
    status, found = x.daemon.json("GET", f"/containers/{x.services.settings.sandbox}/json")
    if status != 200:  # noqa: PLR2004
        return []
    networks = ((found or {}).get("NetworkSettings") or {}).get("Networks") or {}
    return [net["Gateway"] for net in networks.values() if net.get("Gateway")]


HANDLERS = {"create": create}
