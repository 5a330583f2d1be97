"""What is at localhost in the sandbox: the published TCP ports of the project's containers.

A port is published on the host, at 127.0.0.1 and at the host's address in the sandbox's network
(`ports`); the sandbox has a localhost of its own. One process in it, the forwarder, carries
connections from there to that address. Here is decided for which ports: after each start that came
through the guard, before it is answered, and after each start and end that the daemon tells of.
All of it is done by one thread, one task after the other, by what the daemon says at that time; an
event is only a reason to look.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import json
import queue
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from claudy.errors import ClaudyError
from claudy.guard import opening
from claudy.guard.forwarder import BUSY, LISTENING, Forwarder
from claudy.guard.refusal import Denied
from claudy.guard.strictjson import dump

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from claudy.guard.audit import Audit
    from claudy.guard.daemon import Daemon
    from claudy.guard.ledger import Ledger
    from claudy.guard.options import Settings
    from claudy.guard.removal import Remover
    from claudy.guard.start import Starter

PATIENCE = 2.0
"""Seconds that the answer to a start waits at most for the container's ports."""
_PAUSES = (0.1, 0.2, 0.4, 0.8, 1.6)
_STEADY = 30.0
_RECONNECT = (0.2, 5.0)
_OK = 200
_ANYWHERE = {"", "0.0.0.0"}  # noqa: S104 - what is looked for


class _Sandbox(NamedTuple):
    """The sandbox's container.

    Args:
        id: its full id; empty while it does not run.
        gateways: the host's addresses in its networks.
        networks: ids of its networks.
    """

    id: str
    gateways: list[str]
    networks: frozenset[str] = frozenset()


class Published(NamedTuple):
    """Where a published port can be reached from a container.

    Args:
        address: of the host; empty if it is published on the host's loopback alone.
        direct: `ADDRESS:PORT` of the container itself, by the id of the network.
    """

    address: str
    direct: dict[str, str]


class Localhost:
    """Keeps the sandbox's localhost as it should be.

    Args:
        daemon: tells what runs.
        ledger: tells what is the project's.
        settings: name the sandbox.
        starter: keeps the sandbox from being paused while the forwarder is started in it.
        remover: told what ends, too.
        audit: told what could not be done.
    """

    def __init__(
        self,
        daemon: Daemon,
        ledger: Ledger,
        settings: Settings,
        starter: Starter,
        remover: Remover,
        audit: Audit,
    ) -> None:
        self._daemon, self._ledger, self._settings = daemon, ledger, settings
        self._starter, self._remover, self._audit = starter, remover, audit
        self._tasks: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        # What follows belongs to the thread of `run`.
        self._published: dict[str, dict[int, Published]] = {}  # by container and port
        self._waiting: list[tuple[str, threading.Event, float]] = []
        self._forwarder: Forwarder | None = None
        self._sandbox_runs = False
        self._failures = 0  # of the forwarder, in a row
        self._hopeless = False  # the sandbox's image can't run it
        self._busy: dict[int, int] = {}  # how often a port was not to be had
        self._due = 0.0  # when to try again; 0: there is nothing to try
        self._opening = True  # the sandbox's first process may wait for earlier sessions' ports

    def begin(self) -> None:
        """Start to work, in threads."""
        threading.Thread(target=self._run, daemon=True).start()
        threading.Thread(target=self._follow, daemon=True).start()

    def started(self, container: str) -> None:
        """Wait until the ports of a container that was just started are at localhost.

        Costs nothing for a container without published ports.
        """
        if self._publishes(container):
            done = threading.Event()
            self._tasks.put(functools.partial(self._look_at, container, done))
            done.wait(PATIENCE)

    def _publishes(self, container: str) -> bool:
        record = self._ledger.get("containers", container)
        return bool(record and record.get("published"))

    # -- the daemon's events ---------------------------------------------------------------------

    def _follow(self) -> None:
        """Look at whatever starts or ends; at everything after each new connection."""
        pause, longest = _RECONNECT
        filters = dump({"type": ["container"], "event": ["start", "die", "destroy"]}).decode()
        while True:
            # From a moment ago on: the daemon answers a little before it listens to itself.
            since = f"{time.time() - 1:.6f}"
            with contextlib.suppress(Denied, ClaudyError, OSError, ValueError):
                query = [("since", since), ("filters", filters)]
                with self._daemon.open("GET", "/events", query) as answer:
                    if answer.status == _OK:
                        pause, _ = _RECONNECT
                        self._tasks.put(self._look_at_all)
                        self._remover.look_at_all()
                        for line in answer.response.lines():
                            self._hear(json.loads(line))
            time.sleep(pause)
            pause = min(2 * pause, longest)

    def _hear(self, event: dict[str, Any]) -> None:
        actor = event.get("Actor") or {}
        full = str(actor.get("ID", ""))
        if event.get("Action") == "die":
            self._remover.ended(full)
        if (actor.get("Attributes") or {}).get("name") == self._settings.sandbox:
            self._tasks.put(self._begin_again)
        elif event.get("Action") == "destroy":
            self._tasks.put(functools.partial(self._ledger.mark_gone, full))
        elif self._publishes(full):
            self._tasks.put(functools.partial(self._look_at, full, None))

    # -- the work, one task at a time ------------------------------------------------------------

    def _run(self) -> None:
        while True:
            try:
                left = max(self._due - time.monotonic(), 0) if self._due else None
                task = self._tasks.get(timeout=left)
            except queue.Empty:
                task = self._try_again
            try:
                task()
            except (Denied, ClaudyError, OSError) as error:
                self._audit.event(f"localhost: {getattr(error, 'message', error)}")
            except Exception as error:  # noqa: BLE001 - a defect here must not end the work
                self._audit.event(f"defect in localhost: {type(error).__name__}: {error}")

    def _look_at_all(self) -> None:
        """Find out what runs: at the beginning, and when events may have been missed."""
        known = {full for full in self._ledger.keys("containers") if self._publishes(full)}
        running = set()
        if known:
            _, found = self._daemon.json("GET", "/containers/json")
            running = {entry["Id"] for entry in found or []} & known
        self._published = {}
        for full in sorted(running):
            self._see(full)
        self._arrange()

    def _begin_again(self) -> None:
        """Forget what did not work: the sandbox has started."""
        self._failures, self._hopeless = 0, False
        self._arrange()

    def _look_at(self, container: str, done: threading.Event | None) -> None:
        """Find out what a container publishes now, if it runs."""
        if done:
            self._waiting.append((container, done, time.monotonic() + PATIENCE))
            self._failures = 0
        self._see(container)
        self._arrange()

    def _see(self, container: str) -> None:
        status, found = self._daemon.json("GET", f"/containers/{container}/json")
        ports = published(found) if status == _OK and found["State"]["Running"] else {}
        if ports:
            self._published[container] = ports
        else:
            self._published.pop(container, None)

    def _see_sandbox(self) -> _Sandbox:
        status, found = self._daemon.json("GET", f"/containers/{self._settings.sandbox}/json")
        if status != _OK or not found["State"]["Running"]:
            return _Sandbox("", [])
        networks = (found.get("NetworkSettings") or {}).get("Networks") or {}
        ids = frozenset(str(network.get("NetworkID")) for network in networks.values())
        return _Sandbox(str(found["Id"]), list(gateways(networks.values())), ids)

    def _arrange(self) -> None:
        """Let the forwarder carry what is published, and those go who waited for it."""
        sandbox = self._see_sandbox() if self._published else _Sandbox("", [])
        self._sandbox_runs = bool(sandbox.id)
        wanted = targets(self._published.values(), sandbox.gateways, sandbox.networks)
        self._busy = {port: count for port, count in self._busy.items() if port in wanted}
        if self._forwarder and (not wanted or self._forwarder.sandbox != sandbox.id):
            self._forwarder.close()
            self._forwarder = None
        try:
            if wanted and not self._forwarder and not self._given_up and not self._due:
                with self._starter.writing():
                    self._forwarder = Forwarder(self._daemon, sandbox.id, self._on_change)
        except (Denied, OSError) as error:
            self._failed(getattr(error, "message", str(error)))
        if self._forwarder:
            self._forwarder.carry(wanted)
        self._let_go()

    def _on_change(self) -> None:
        """Note that the forwarder has something to say; called from its thread."""
        self._tasks.put(self._attend)

    def _attend(self) -> None:
        """Look at what has become of the forwarder and of its ports."""
        forwarder = self._forwarder
        if forwarder and forwarder.over:
            self._forwarder = None
            if forwarder.ready and time.monotonic() - forwarder.began > _STEADY:
                self._failures = 0
            self._hopeless = not forwarder.ready and bool(forwarder.said)
            self._failed(forwarder.said.strip())
        elif forwarder:
            for port, state in list(forwarder.states.items()):
                if state == BUSY:
                    self._try_later(port)
                elif state == LISTENING:
                    self._busy.pop(port, None)
        self._let_go()

    @property
    def _given_up(self) -> bool:
        return self._hopeless or self._failures >= len(_PAUSES)

    def _failed(self, why: str) -> None:
        """Try the forwarder again in a moment; not for ever, and not where it can't run."""
        self._failures += 1
        if self._given_up:
            text = f"published ports are not at localhost in the sandbox: {why or 'it ended'}"
            self._audit.event(text)
        else:
            self._due = time.monotonic() + _PAUSES[self._failures]

    def _try_later(self, port: int) -> None:
        """Try a port again that something else has: the forwarder before this one, perhaps."""
        count = self._busy.get(port, 0)
        if count < len(_PAUSES):
            self._due = self._due or time.monotonic() + _PAUSES[count]
        elif count == len(_PAUSES):
            self._busy[port] = count + 1
            self._audit.event(f"port {port}: something in the sandbox listens there already")

    def _try_again(self) -> None:
        self._due = 0.0
        self._arrange()
        if self._forwarder:
            for port, state in list(self._forwarder.states.items()):
                count = self._busy.get(port, 0)
                if state == BUSY and count < len(_PAUSES):
                    self._busy[port] = count + 1
                    self._forwarder.again(port)

    def _let_go(self) -> None:
        """Let those go whose container is where it can be."""
        if self._opening and self._opened():
            self._opening = False
            opening.end(self._settings)
        now = time.monotonic()
        for entry in list(self._waiting):
            container, done, until = entry
            if now > until or self._settled(container):
                done.set()
                self._waiting.remove(entry)

    def _opened(self) -> bool:
        """Whether all that ran before the sandbox did is where it can be."""
        if not self._published or self._given_up:
            return True
        if not self._forwarder:
            return self._sandbox_runs and not self._due
        return all(state in {LISTENING, BUSY} for state in self._forwarder.states.values())

    def _settled(self, container: str) -> bool:
        if self._given_up or container not in self._published:
            return True
        if not self._forwarder:
            return not self._due
        states = self._forwarder.states
        return all(
            states[port] in {LISTENING, BUSY}
            for port in self._published[container]
            if port in states
        )


def published(found: dict[str, Any]) -> dict[int, Published]:
    """Return the TCP ports of an inspected container on the host, and where they are reached."""
    ports: dict[int, Published] = {}
    networks = (found.get("NetworkSettings") or {}).get("Networks") or {}
    for inner, entries in ((found.get("NetworkSettings") or {}).get("Ports") or {}).items():
        number, _, protocol = inner.partition("/")
        direct = {
            str(network.get("NetworkID")): f"{network['IPAddress']}:{number}"
            for network in networks.values()
            if network.get("IPAddress")
        }
        for entry in (entries or []) if protocol == "tcp" else []:
            address, outer = str(entry.get("HostIp", "")), str(entry.get("HostPort", ""))
            if not outer.isdecimal() or ":" in address:
                continue
            if not address.startswith("127."):
                ports[int(outer)] = Published(address, {})
            else:
                ports.setdefault(int(outer), Published("127.0.0.1", direct))
    return ports


def gateways(networks: Iterable[dict[str, Any]]) -> Iterable[str]:
    """Yield the IPv4 addresses that the host has in networks."""
    for network in networks:
        with contextlib.suppress(ValueError):
            yield str(ipaddress.IPv4Address(network.get("Gateway") or ""))


def targets(
    published: Iterable[dict[int, Published]], gateways: list[str], networks: frozenset[str]
) -> dict[int, str]:
    """Return which port of localhost leads to which address; the first container has it.

    What is on the host's loopback alone is out of reach there; the container itself is not if it
    shares a network with the sandbox.
    """
    found: dict[int, str] = {}
    for ports in published:
        for port, (address, direct) in ports.items():
            if address in gateways:
                found.setdefault(port, address)
            elif address in _ANYWHERE and gateways:
                found.setdefault(port, gateways[0])
            elif shared := sorted(networks & direct.keys()):
                found.setdefault(port, direct[shared[0]])
    return found
