"""The cable between a room and the host: addresses, a way out through NAT, name servers."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.engines.layout import RUN
from tests.engines.shell import EngineError, locked, run

if TYPE_CHECKING:
    from tests.engines.layout import Place

_SLOTS = 250
_NETWORK = "10.213"


def _slots_of(place: Place) -> list[int]:
    return [int(file.name) for file in (RUN / "slots").glob("*") if file.read_text() == place.name]


def take_slot(place: Place) -> int:
    """Return the number of an engine's network, a free one if it has none yet."""
    slots = RUN / "slots"
    slots.mkdir(parents=True, exist_ok=True)
    with locked(RUN / "slots.lock"):
        taken = _slots_of(place)
        if taken:
            return taken[0]
        cables = {path.name for path in Path("/sys/class/net").glob(_cable("*"))}
        free = next(
            n for n in range(1, _SLOTS) if not (slots / str(n)).exists() and _cable(n) not in cables
        )
        (slots / str(free)).write_text(place.name)
    return free


def connect(slot: int, holder: int) -> None:
    """Give a room a cable to the host, and the host's way out."""
    outside = _way_out()
    mtu = Path(f"/sys/class/net/{outside}/mtu").read_text().strip()
    cable = _cable(slot)
    _disconnect(slot)
    peer = ["peer", "name", "eth0", "mtu", mtu, "netns", str(holder)]
    run(["ip", "link", "add", cable, "mtu", mtu, "type", "veth", *peer])
    run(["ip", "address", "add", f"{addresses(slot)['outside']}/30", "dev", cable])
    run(["ip", "link", "set", cable, "up"])
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    for rule in _rules(slot):
        table, chain, *rest = rule
        run(["iptables", "-w", "-t", table, "-I", chain, "1", *rest])


def disconnect(place: Place) -> None:
    """Take away the cable and the rules of an engine, and give its number back."""
    for slot in _slots_of(place):
        _disconnect(slot)
        (RUN / "slots" / str(slot)).unlink()


def addresses(slot: int) -> dict[str, str]:
    """Return the addresses of both ends of a cable, in the room and on the host."""
    return {"inside": f"{_NETWORK}.{slot}.2", "outside": f"{_NETWORK}.{slot}.1"}


def _disconnect(slot: int) -> None:
    for table, chain, *rest in _rules(slot):
        rule = ["iptables", "-w", "-t", table, "-D", chain, *rest]
        while subprocess.run(rule, capture_output=True, check=False).returncode == 0:
            pass
    subprocess.run(["ip", "link", "delete", _cable(slot)], capture_output=True, check=False)


def _rules(slot: int) -> list[list[str]]:
    net = f"{_NETWORK}.{slot}.0/30"
    cable = _cable(slot)
    note = ["-m", "comment", "--comment", f"claudy-test {slot}"]
    return [
        ["nat", "POSTROUTING", "-s", net, "!", "-o", cable, *note, "-j", "MASQUERADE"],
        ["filter", "FORWARD", "-i", cable, *note, "-j", "ACCEPT"],
        ["filter", "FORWARD", "-o", cable, *note, "-j", "ACCEPT"],
    ]


def _cable(slot: int | str) -> str:
    return f"claudytest{slot}"


def _way_out() -> str:
    words = run(["ip", "-4", "route", "show", "default"]).split()
    if "dev" not in words:
        message = "this machine has no default route: nothing to connect a test engine to"
        raise EngineError(message)
    return words[words.index("dev") + 1]


def name_servers() -> str:
    """Return a resolv.conf without loopback addresses: those are the host's own."""
    for source in ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"):
        lines = read_text(Path(source)).splitlines(keepends=True)
        own = ("nameserver 127.", "nameserver ::1")
        usable = [line for line in lines if not line.startswith(own)]
        if any(line.startswith("nameserver") for line in usable):
            return "".join(usable)
    return ""


def read_text(path: Path) -> str:
    """Return the text of a file, or nothing if it can't be read."""
    try:
        return path.read_text()
    except OSError:
        return ""
