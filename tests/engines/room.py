"""The room of an engine: a network and a mount namespace in which it and its tests run.

In it /run is empty but for the test engines' own directory, so the default socket path is the
engine's, and a developer's engine can't be reached at all. Two engines never share iptables,
docker0 or 127.0.0.1. Mounts that a test makes in the room reach the daemon.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from tests.engines.layout import DATA, DOCKER_GROUP_ID, USER, USER_ID
from tests.engines.network import (
    addresses,
    connect,
    disconnect,
    name_servers,
    read_text,
    take_slot,
)
from tests.engines.processes import marked, namespace, processes, read_number
from tests.engines.shell import EngineError, command_name, run, start_detached, stop, wait_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.engines.layout import Place

_INIT = 1

# The new /run is filled and put in place while its parents are still private to this namespace:
# mounts can't be moved below shared ones. Sharing comes last, so that daemons get later mounts.
_FURNISH = """
set -e
mkdir -p "$data/run"
mount -t tmpfs -o mode=755 claudy-test-run "$data/run"
cd "$data/run"
mkdir -p claudy-test lock mount room user
chmod 1777 lock
mount --rbind /run/claudy-test claudy-test
if [ -d /run/user ]; then mount --rbind /run/user user; fi
cp "$run/etc/"* room/
mknod -m 666 room/tun c 10 200
mknod -m 666 room/fuse c 10 229
cd /
mount --move "$data/run" /run
for name in passwd group subuid subgid; do
  [ -e "/etc/$name" ] || touch "/etc/$name"
  mount --bind "/run/room/$name" "/etc/$name"
done
target=$(readlink -m /etc/resolv.conf)
case "$target" in
  /run/*) mkdir -p "${target%/*}"; cp /run/room/resolv.conf "$target" ;;
  *) mount --bind /run/room/resolv.conf "$target" ;;
esac
for name in tun fuse; do
  path=/dev/$name; [ "$name" = tun ] && path=/dev/net/tun
  if [ -e "$path" ]; then mount --bind "/run/room/$name" "$path"; fi
done
mount --make-rshared /
ip link set lo up
ip address add "$inside/30" dev eth0
ip link set eth0 up
ip route add default via "$outside"
"""


def open_room(place: Place) -> int:
    """Make the room of an engine if it is not there, and return the process that holds it open."""
    holder = holder_of(place)
    if holder:
        return holder
    place.run.mkdir(parents=True, exist_ok=True)
    place.data.mkdir(parents=True, exist_ok=True)
    slot = take_slot(place)
    _write_etc(place.run / "etc")
    holder = start_detached(
        ["unshare", "--mount", "--net", "--propagation", "slave", "sleep", "infinity"],
        place.data / "room.log",
    )
    try:
        wait_for(lambda: _is_holder(holder), 10, f"the room of {place.name}")
        connect(slot, holder)
        variables = {"data": str(place.data), "run": str(place.run), **addresses(slot)}
        script = "".join(f"{name}={shlex.quote(value)}\n" for name, value in variables.items())
        run([*enter(holder), "sh", "-c", script + _FURNISH])
    except EngineError:
        stop(holder, seconds=5)
        raise
    _pid_file(place).write_text(str(holder))
    return holder


def enter(holder: int) -> list[str]:
    """Return the command prefix that runs what follows in a room."""
    return ["nsenter", f"--target={holder}", "--mount", "--net", "--"]


def holder_of(place: Place) -> int | None:
    """Return the process that holds a room open, if there is one."""
    holder = read_number(_pid_file(place))
    return holder if holder and _is_holder(holder) else None


def clear_room(place: Place) -> None:
    """End whatever still runs in a room, then the room itself."""
    holder = holder_of(place)
    for pid in _inhabitants(place, holder):
        stop(pid, seconds=2)
    if holder:
        stop(holder, seconds=5)
    _pid_file(place).unlink(missing_ok=True)
    _remove_cgroups(place)
    disconnect(place)


def _pid_file(place: Place) -> Path:
    return place.run / "room.pid"


def _is_holder(pid: int) -> bool:
    # Never this machine's own namespaces, whatever an old pid file says: a room is cleared.
    return command_name(pid) == "sleep" and all(
        namespace(pid, name) not in (None, namespace(_INIT, name)) for name in ("mnt", "net")
    )


def _inhabitants(place: Place, holder: int | None) -> list[int]:
    """Return the processes of a room and of its containers, by namespace and by cgroup."""
    found = set(marked(place))
    rooms = {namespace(holder, "net")} if holder else set()
    # A rootless engine's containers are in no cgroup of its own, but in its user namespace.
    users = {namespace(pid, "user") for pid in found} - {namespace(os.getpid(), "user"), None}
    for pid in processes():
        if namespace(pid, "net") in rooms or namespace(pid, "user") in users:
            found.add(pid)
    for group in _cgroups(place):
        for procs in group.glob("**/cgroup.procs"):
            found.update(int(pid) for pid in procs.read_text().split())
    return sorted(found - {holder, os.getpid()})


def _cgroups(place: Place) -> list[Path]:
    hierarchies = Path("/sys/fs/cgroup")
    return [*hierarchies.glob(place.cgroup), *hierarchies.glob(f"*/{place.cgroup}")]


def _remove_cgroups(place: Place) -> None:
    for top in _cgroups(place):
        for group in sorted([top, *top.glob("**/")], reverse=True):
            if group.is_dir():
                group.rmdir()


def room_mtu(holder: int) -> int:
    """Return the largest packet that leaves a room."""
    shown = run([*enter(holder), "ip", "link", "show", "eth0"]).split()
    return int(shown[shown.index("mtu") + 1])


def _write_etc(etc: Path) -> None:
    """Write what the room has of its own in /etc: the ordinary user, and usable name servers."""
    etc.mkdir(exist_ok=True)
    home = DATA / "home"
    home.mkdir(parents=True, exist_ok=True)
    os.chown(home, USER_ID, USER_ID)
    user = f"{USER}:x:{USER_ID}:{USER_ID}::{home}:/bin/sh\n"
    group = f"docker:x:{DOCKER_GROUP_ID}:\n{USER}:x:{USER_ID}:\n"
    ids = f"{USER}:1000000:65536\n"
    added = {"passwd": user, "group": group, "subuid": ids, "subgid": ids}
    for name, lines in added.items():
        names = {line.partition(":")[0] for line in lines.splitlines()}
        there = read_text(Path("/etc", name)).splitlines(keepends=True)
        kept = [line for line in there if line.partition(":")[0] not in names]
        (etc / name).write_text("".join(kept) + lines)
    (etc / "resolv.conf").write_text(name_servers())


def command_in(place: Place, command: Sequence[str]) -> list[str]:
    """Return the command that runs another one in the room, in the present directory.

    Raises:
        EngineError: There is no room.
    """
    holder = holder_of(place)
    if not holder:
        message = f"engine {place.name} is not up"
        raise EngineError(message)
    return [*enter(holder), "env", f"--chdir={Path.cwd()}", *command]
