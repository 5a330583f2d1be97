"""Requests about owned containers and their execs, and the list of containers."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any

from claudy.errors import ClaudyError
from claudy.guard import mounts, strictjson, views
from claudy.guard.daemon import Kept
from claudy.guard.handlers import pruning
from claudy.guard.handlers.create import end_copying, require_free_name
from claudy.guard.policy.create import update_body
from claudy.guard.policy.objects import exec_body, exec_start_body
from claudy.guard.refusal import BAD_REQUEST, Denied
from claudy.guard.spool import spooled
from claudy.guard.unpacked import unpacked

if TYPE_CHECKING:
    from claudy.guard.daemon import Answer
    from claudy.guard.exchange import Exchange

NO_CONTENT = 204
NOT_MODIFIED = 304
_ARRIVAL = 30.0
_SHORT, _LONG = 0.005, 0.1
_JSON = {"Content-Type": "application/json"}
# Filters on what everybody may see of a container; with any other, others' are left out, since
# the answer itself would tell what their labels, mounts and networks are.
_VISIBLE = frozenset({"id", "name", "status", "ancestor"})
_FILTERS = _VISIBLE | {
    "label", "exited", "volume", "network", "publish", "expose", "health", "is-task", "since",
    "before",
}  # fmt: skip


def forward(x: Exchange) -> None:
    """Forward a request whose references were resolved."""
    x.reply(x.open())


def containers(x: Exchange) -> None:
    """List containers: owned ones whole, others as far as they are visible."""
    filters = x.filters(_FILTERS)
    query = [pair for pair in x.query if pair[0] not in {"filters", "since", "before"}]
    for key in ("since", "before"):
        if ref := x.value(key):
            query.append((key, x.objects.container(ref)))
        if key in filters:
            filters[key] = [x.objects.container(ref) for ref in filters[key]]
    if filters:
        query.append(("filters", strictjson.dump(filters).decode()))
    still = x.services.starter.still
    status, found, answer = x.ask(query=query)
    if status >= BAD_REQUEST:
        x.reply_error(status, strictjson.dump(found))
        return
    others = x.services.settings.visibility == "all" and filters.keys() <= _VISIBLE
    still |= x.services.starter.still
    shown = []
    for entry in found:
        own = x.ledger.owns("containers", entry["Id"])
        if own and entry["Id"] in still:
            views.show_going(entry)
        if own and entry["Status"].endswith(views.UNHEALTHY):
            _, full = x.daemon.json("GET", f"/containers/{entry['Id']}/json")
            views.show_listed_health(entry, full or {})
        if own or others:
            shown.append(views.listed_container(entry, x.ledger))
    x.reply_json(answer, shown)


def inspect(x: Exchange) -> None:
    """Inspect an owned container, paths mapped back."""
    still = x.services.starter.still
    status, found, answer = x.ask()
    if status >= BAD_REQUEST:
        x.reply_error(status, strictjson.dump(found))
        return
    still |= x.services.starter.still
    if found["Id"] in still:
        views.show_inspected_going(found, still[found["Id"]])
    x.reply_json(answer, views.inspected(found, x.ledger.get("containers", found["Id"]) or {}))


def start(x: Exchange) -> None:
    """Start a container."""
    container = x.refs["container"]
    _prepare(x)
    try:
        with x.services.starter.mounting(container, start=True) as needed:
            answer = x.open_locked() if needed else None
    except (Denied, ClaudyError):
        # As the daemon does when it can't start one; `docker run` waits for that.
        x.services.remover.remove_unstarted(container)
        raise
    if answer is None:
        x.client.answer(NOT_MODIFIED, b"", head=True)
        return
    if answer.status >= BAD_REQUEST and x.services.remover.is_taken_over(container):
        x.services.remover.remove_unstarted(container)
    _reply_started(x, answer)


def _prepare(x: Exchange) -> None:
    """Do what comes before a start: sources that are gone are made again, as the daemon does."""
    container, services = x.refs["container"], x.services
    end_copying(x, container)
    binds = ((x.ledger.get("containers", container) or {}).get("asked") or {}).get("Binds")
    if binds:
        with contextlib.suppress(Denied):  # it can be started, or not, without
            mounts.plan(
                mounts.wanted({"Binds": binds}),
                services.workspace,
                services.settings,
                api=x.daemon.newest,
                volume=services.settings.workspace_volume,
            )


def _reply_started(x: Exchange, answer: Answer) -> None:
    """Answer a start, once its published ports are at localhost in the sandbox."""
    if answer.status == NO_CONTENT:
        x.services.localhost.started(x.refs["container"])
    x.reply(answer)


def restart(x: Exchange) -> None:
    """Restart a container."""
    with x.services.remover.keeping(x.refs["container"]):
        _restart(x)


def _restart(x: Exchange) -> None:
    """Restart it; in two steps where its bind sources must be looked at between."""
    container, starter = x.refs["container"], x.services.starter
    _prepare(x)
    if starter.safe_by_itself or not starter.sources(container):
        with starter.mounting(container):
            answer = x.open_locked()
        _reply_started(x, answer)
        return
    with starter.writing():
        stopped = x.open_locked(path=f"/containers/{container}/stop")
    if stopped.status >= BAD_REQUEST:
        x.reply(stopped)
        return
    stopped.close()
    with starter.mounting(container):
        answer = x.open_locked(path=f"/containers/{container}/start", query=[])
    _reply_started(x, answer)


def waking(x: Exchange) -> None:
    """Forward what wakes a container, as a signal does one that is paused, or what pauses it."""
    with x.services.starter.writing():
        answer = x.open_locked()
    x.reply(answer)


def download(x: Exchange) -> None:
    """Copy out of a container, or look at a path in it."""
    with contextlib.ExitStack() as held:
        still = held.enter_context(x.services.starter.holding(x.refs["container"]))
        answer = x.open_locked()
        # Nobody reads who may stand still. Otherwise the daemon holds the container until all is
        # read, but not for an export.
        whole = still or x.row.path.endswith("/export")
        if whole and answer.status < BAD_REQUEST and x.row.method == "GET":
            x.reply(answer, over=held.close)
            return
    x.reply(answer)


def upload(x: Exchange) -> None:
    """Copy into a container."""
    starter = x.services.starter
    end_copying(x, x.refs["container"])
    # Who sends it may have to stand still meanwhile, and must not hold anybody up.
    with spooled(unpacked(x.client.upload()), x.ledger.directory) as file:
        users = x.value("copyUIDGID") not in {"", "0", "false"}
        with starter.holding(x.refs["container"], users=users):
            headers = {"Content-Type": "application/x-tar"}
            answer = x.open_locked(body=Kept(file), headers=headers)
        x.reply(answer)


def hijack(x: Exchange) -> None:
    """Attach to a container; the daemon refuses where one stands still."""
    x.client.read_body(4096)
    with x.services.starter.writing():
        answer = x.open_stream(wait=True)
    x.relay(answer)


def update(x: Exchange) -> None:
    """Change a container's resources."""
    body = x.json_body(update_body)
    policy = (body.get("RestartPolicy") or {}).get("Name")
    if policy not in {None, "", "no"} and x.services.remover.is_taken_over(x.refs["container"]):
        why = "Restart policy cannot be updated because AutoRemove is enabled for the container"
        raise Denied(409, f"Cannot update container {x.refs['container']}: {why}")
    if body.get("RestartPolicy") and x.services.starter.must_not_restart(x.refs["container"]):
        body["RestartPolicy"] = {"Name": "no"}
    # Not of what stands still, whose policy comes back, and which less memory would end.
    with x.services.starter.writing():
        answer = x.open_locked(body=strictjson.dump(body), headers=_JSON)
    x.reply(answer)


def rename(x: Exchange) -> None:
    """Rename a container."""
    name = x.value("name").lstrip("/")
    require_free_name(x, name)
    x.reply(x.open(query=[("name", name)]))


def remove(x: Exchange) -> None:
    """Remove a container; its record stays until the next worker, ids never come back."""
    container, services = x.refs["container"], x.services
    with contextlib.ExitStack() as kept:
        if x.value("force") == "1" and not x.daemon.removes_unwatched:
            kept.enter_context(services.remover.keeping(container))
            services.remover.end(container)
        with services.starter.removing("containers", container):
            answer = x.open_locked()
    x.reply(answer)


def prune(x: Exchange) -> None:
    """Remove owned stopped containers."""
    x.client.answer_json(200, pruning.containers(x))


# -- exec ------------------------------------------------------------------------------------


def exec_create(x: Exchange) -> None:
    """Prepare a process in a container; the daemon refuses where one stands still."""
    body = strictjson.dump(x.json_body(exec_body))
    with x.services.starter.writing():
        answer = x.open_locked(body=body, headers=_JSON)
    x.reply(answer)


def exec_start(x: Exchange) -> None:
    """Start a process and relay its streams."""
    body: dict[str, Any] = x.json_body(exec_start_body, optional=True)
    with contextlib.ExitStack() as kept:
        # A process that is on its way into a paused container gets stuck, and the daemon with it.
        kept.enter_context(x.services.starter.writing())
        answer = x.open_stream(strictjson.dump(body), wait=True)
        if answer.status < BAD_REQUEST and not body.get("Detach"):
            arrival = threading.Thread(target=_await_arrival, args=(x, kept.pop_all()), daemon=True)
            arrival.start()
    x.relay(answer)


def _await_arrival(x: Exchange, kept: contextlib.ExitStack) -> None:
    """Keep a lock until the daemon has started the process, or has given up."""
    until = time.monotonic() + _ARRIVAL
    pause = _SHORT
    with kept, contextlib.suppress(Denied, OSError):
        while time.monotonic() < until:
            status, found = x.daemon.json("GET", f"/exec/{x.refs['exec']}/json")
            if status >= BAD_REQUEST or found.get("Pid") or found.get("ExitCode") is not None:
                return
            time.sleep(pause)
            pause = min(2 * pause, _LONG)


def exec_inspect(x: Exchange) -> None:
    """Inspect a process."""
    forward(x)


HANDLERS = {
    "forward": forward,
    "containers": containers,
    "inspect": inspect,
    "start": start,
    "restart": restart,
    "waking": waking,
    "download": download,
    "upload": upload,
    "hijack": hijack,
    "update": update,
    "rename": rename,
    "remove_container": remove,
    "prune_containers": prune,
    "exec_create": exec_create,
    "exec_start": exec_start,
    "exec_inspect": exec_inspect,
}
