"""Volumes: a name is the project's only if the project made the volume that has it now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from claudy.guard import strictjson, views
from claudy.guard.handlers import pruning
from claudy.guard.handlers.making import marks, new_token
from claudy.guard.ledger import TOKEN_LABEL
from claudy.guard.policy.objects import volume_body
from claudy.guard.refusal import BAD_REQUEST, Denied, refused

if TYPE_CHECKING:
    from claudy.guard.exchange import Exchange
    from claudy.guard.options import Settings

_FILTERS = frozenset({"dangling", "driver", "label", "name"})


def workspace_volume(settings: Settings) -> str:
    """Return the name of the guard's own volume of the workspace."""
    return settings.workspace_volume


def ensure_volume(x: Exchange, name: str, *, own: bool = False) -> None:
    """Make a named volume before a container uses it, so that it is known whose it is.

    Args:
        x: the exchange.
        name: the volume.
        own: it is the guard's volume of the workspace, not the sandbox's.

    Raises:
        Denied: a volume of that name is another's.
    """
    if own:
        _ensure_workspace(x, name)
        return
    if x.objects.volume_is_own(name):
        return
    if x.objects.volume_exists(name) or name.startswith("claudy-"):
        raise refused(f"the volume {name} was not made in this sandbox", "Use another name.")
    make(x, {"Name": name})


def make(x: Exchange, body: dict[str, Any]) -> dict[str, Any]:
    """Make a volume and record it.

    Raises:
        Denied: the daemon refuses, or somebody was faster with that name.
    """
    token = new_token()
    labels = {**(body.get("Labels") or {}), **marks(x.services.settings, token)}
    x.ledger.intend("volumes", token)
    status, made = x.daemon.json("POST", "/volumes/create", [], {**body, "Labels": labels})
    if status >= BAD_REQUEST or not isinstance(made, dict):
        x.ledger.drop_intent(token)
        raise Denied(status, x.masked(str((made or {}).get("message", "volume not created"))))
    if (made.get("Labels") or {}).get(TOKEN_LABEL) != token:
        # The daemon returns a volume that is there already.
        x.ledger.drop_intent(token)
        raise refused(
            f"the volume {made['Name']} was not made in this sandbox", "Use another name."
        )
    x.ledger.settle(token, "volumes", made["Name"], token=token, fresh=True)
    return made


def _ensure_workspace(x: Exchange, name: str) -> None:
    options = {"type": "none", "o": "bind", "device": x.services.workspace.host}
    status, found = x.daemon.json("GET", f"/volumes/{name}")
    if status != 200:  # noqa: PLR2004
        body = {
            "Name": name,
            "Driver": "local",
            "DriverOpts": options,
            "Labels": marks(x.services.settings, "workspace"),
        }
        status, found = x.daemon.json("POST", "/volumes/create", [], body)
    if not isinstance(found, dict) or found.get("Options") != options:
        raise Denied(503, f"claudy guard: the volume {name} is not the workspace's. Remove it.")


def create_volume(x: Exchange) -> None:
    """Create a volume."""
    body = x.json_body(volume_body)
    name = body.get("Name", "")
    if name and x.objects.volume_is_own(name):
        _, found = x.daemon.json("GET", f"/volumes/{name}")
        x.client.answer_json(201, views.volume(found))
        return
    if name and x.objects.volume_exists(name):
        raise refused(f"the volume {name} was not made in this sandbox", "Use another name.")
    x.client.answer_json(201, views.volume(make(x, body)))


def volumes(x: Exchange) -> None:
    """List owned volumes."""
    x.filters(_FILTERS)
    status, found, answer = x.ask()
    if status >= BAD_REQUEST:
        x.reply_error(status, strictjson.dump(found))
        return
    own = [v for v in found.get("Volumes") or [] if x.objects.volume_is_own(v["Name"], v)]
    x.reply_json(answer, {**found, "Volumes": [views.volume(v) for v in own]})


def inspect_volume(x: Exchange) -> None:
    """Inspect an owned volume."""
    status, found, answer = x.ask()
    if status >= BAD_REQUEST:
        x.reply_error(status, strictjson.dump(found))
        return
    x.reply_json(answer, views.volume(found))


def remove_volume(x: Exchange) -> None:
    """Remove an owned volume."""
    x.services.remover.settle()
    with x.services.starter.removing("volumes", x.refs["volume"]):
        x.objects.volume(x.refs["volume"])  # the name could become another's until now
        answer = x.open_locked()
    if answer.status < BAD_REQUEST:
        x.ledger.remove("volumes", x.refs["volume"])
    x.reply(answer)


def prune_volumes(x: Exchange) -> None:
    """Remove owned volumes that no container uses."""
    x.client.answer_json(200, pruning.volumes(x))


HANDLERS = {
    "create_volume": create_volume,
    "volumes": volumes,
    "inspect_volume": inspect_volume,
    "remove_volume": remove_volume,
    "prune_volumes": prune_volumes,
}
