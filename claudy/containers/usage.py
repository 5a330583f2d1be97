"""What containers use of CPU, memory, network and disk."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from claudy.containers.details import read_time
from claudy.errors import APIError
from claudy.record import record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from claudy.engine.client import Engine

INTERVAL = 0.25  # seconds between the two looks that a share of CPU takes
_GONE = (404, 409)
# The fields that hold what could be dropped at once, of cgroup v2 and v1: as `docker stats` does,
# that is not counted as used (docker/cli cli/command/container/stats_helpers.go).
_CACHE = ("inactive_file", "total_inactive_file")


@record
class Usage:
    """What a container uses.

    Args:
        cpu: per cent of one CPU.
        memory: bytes, without file caches that could be dropped.
        limit: bytes of memory it may use: its limit, else the machine's.
        received: bytes from the network since its start; 0 with the host's network.
        sent: bytes to the network.
        read: bytes from disks.
        written: bytes to disks.
        processes: number of processes and threads.
    """

    cpu: float
    memory: int
    limit: int
    received: int
    sent: int
    read: int
    written: int
    processes: int

    @property
    def memory_share(self) -> float:
        """Per cent of the limit."""
        return self.memory / self.limit * 100 if self.limit else 0.0


def measure(
    engine: Engine, containers: Iterable[str], *, sleep: Callable[[float], None] = time.sleep
) -> dict[str, Usage]:
    """Measure running containers, all at once.

    The engine's own way takes a second or two for each; two looks without its history give the
    same.

    Args:
        engine: the engine.
        containers: their ids.
        sleep: how to wait between the looks.

    Returns:
        By id; a container that does not run (any more) is missing.
    """
    wanted = tuple(containers)
    before = _look(engine, wanted)
    if not before:
        return {}
    sleep(INTERVAL)
    after = _look(engine, before)
    return {
        one: usage
        for one in after
        if one in before and (usage := read_usage(before[one], after[one])) is not None
    }


def _look(engine: Engine, containers: Iterable[str]) -> dict[str, Mapping[str, Any]]:
    """Ask for the counters of all containers at the same time."""
    found: dict[str, Mapping[str, Any]] = {}
    query: dict[str, str | int | bool] = {"stream": False, "one-shot": True}
    with ExitStack() as stack:
        waiting = {}
        for one in containers:
            waiting[one] = engine.begin("GET", f"/containers/{one}/stats", query)
            stack.callback(waiting[one].close)
        for one, pending in waiting.items():
            try:
                found[one] = pending.finish()
            except APIError as error:
                if error.status not in _GONE:
                    raise
    return found


def read_usage(before: Mapping[str, Any], after: Mapping[str, Any]) -> Usage | None:
    """Return the usage that two answers of `GET /containers/ID/stats` tell.

    Args:
        before: the first.
        after: the second.

    Returns:
        None if the container did not run.
    """
    start, end = read_time(str(before.get("read", ""))), read_time(str(after.get("read", "")))
    memory = after.get("memory_stats") or {}
    if start is None or end is None or "usage" not in memory:
        return None
    elapsed = (end - start).total_seconds()
    spent = _cpu(after) - _cpu(before)
    networks = (after.get("networks") or {}).values()
    disks = (after.get("blkio_stats") or {}).get("io_service_bytes_recursive") or ()
    return Usage(
        cpu=max(0.0, spent / 1e9 / elapsed * 100) if elapsed > 0 else 0.0,
        memory=_without_cache(memory),
        limit=int(memory.get("limit") or 0),
        received=sum(int(one.get("rx_bytes", 0)) for one in networks),
        sent=sum(int(one.get("tx_bytes", 0)) for one in networks),
        read=_bytes(disks, "read"),
        written=_bytes(disks, "write"),
        processes=int((after.get("pids_stats") or {}).get("current") or 0),
    )


def _cpu(stats: Mapping[str, Any]) -> int:
    """Return the CPU time spent so far, in nanoseconds."""
    return int(((stats.get("cpu_stats") or {}).get("cpu_usage") or {}).get("total_usage") or 0)


def _without_cache(memory: Mapping[str, Any]) -> int:
    used = int(memory["usage"])
    counters = memory.get("stats") or {}
    cache = next((int(counters[key]) for key in _CACHE if key in counters), 0)
    return used - cache if cache < used else used


def _bytes(disks: Iterable[Mapping[str, Any]], operation: str) -> int:
    return sum(int(one["value"]) for one in disks if str(one.get("op", "")).lower() == operation)
