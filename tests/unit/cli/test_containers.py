"""What the engine's lists say of containers, and how it is shown."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claudy.cli.listing import spell_ports
from claudy.cli.tables import printable, spell_size, table
from claudy.containers.choose import choose, sandboxes_of, started_by
from claudy.containers.container import Container, Port, read_container, spell_duration
from claudy.containers.details import read_time
from claudy.containers.usage import read_usage
from claudy.errors import UsageError

NOW = 1_000_000_000.0


def entry(name: str, labels: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    whole = {
        "Id": (name.encode().hex() * 64)[:64],
        "Names": [f"/{name}"],
        "Image": "busybox",
        "ImageID": "sha256:1",
        "State": "running",
        "Status": "Up 5 seconds",
        "Created": int(NOW) - 5,
        "Labels": labels or {},
    }
    return whole | fields


def read(name: str, labels: dict[str, str] | None = None, **fields: Any) -> Container:
    return read_container(entry(name, labels, **fields), NOW)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0s"), (59, "59s"), (60, "1m"), (3599, "59m"), (3600, "1h 0m"), (8100, "2h 15m"),
     (86399, "23h 59m"), (86400, "1d 0h"), (90061, "1d 1h"), (4000000, "46d 7h")],
)  # fmt: skip
def test_durations(seconds: int, shown: str) -> None:
    assert spell_duration(seconds) == shown


@pytest.mark.parametrize(
    ("age", "status", "up"),
    [
        (8100, "Up 2 hours", 8100),
        (8100, "Up 2 hours (healthy)", 8100),
        (45, "Up 45 seconds", 45),
        (0, "Up Less than a second", 0),
        (75, "Up About a minute", 75),
        (4000, "Up About an hour", 4000),
        (86400 * 20, "Up 2 weeks", 86400 * 20),
        (8100, "Up 5 seconds", 5),  # it was restarted
        (8100, "Up 3 minutes", 180),
        (-50, "Up 2 hours", 7200),  # the clocks differ
    ],
)
def test_uptime_is_exact_unless_it_was_restarted(age: int, status: str, up: int) -> None:
    assert read("x", Created=int(NOW) - age, Status=status).up == up


def test_what_does_not_run_has_no_uptime() -> None:
    assert read("x", State="exited", Status="Exited (0) 3 hours ago").up is None
    assert read("x", State="created", Status="Created").up is None


@pytest.mark.parametrize(
    ("status", "health"),
    [("Up 1 second", ""), ("Up 1 second (healthy)", "healthy"),
     ("Up 2 hours (unhealthy)", "unhealthy"),
     ("Up 1 second (health: starting)", "starting"), ("Up 1 second (Paused)", "")],
)  # fmt: skip
def test_health(status: str, health: str) -> None:
    assert read("x", Status=status).health == health


def test_images_by_id_are_short() -> None:
    image = "sha256:" + "0123456789abcdef" * 4
    assert read("x", Image=image).image == "0123456789ab"
    assert read("x", {"claudy.image": "hal9000"}, Image=image).image == "hal9000@0123456789ab"
    assert read("x", Image="a/b:c").image == "a/b:c"


def test_ports_of_all_addresses_are_shown_once() -> None:
    both = [
        {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},  # noqa: S104
        {"IP": "::", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
        {"PrivatePort": 53, "Type": "udp"},
        {"IP": "::1", "PrivatePort": 90, "PublicPort": 9090, "Type": "tcp"},
    ]
    assert spell_ports(read("x", Ports=both).ports) == (
        "53/udp, 0.0.0.0:8080->80/tcp, [::1]:9090->90/tcp"
    )
    assert spell_ports((Port(80, 1, "::"),)) == "[::]:1->80/tcp"


def test_an_entry_with_nothing_in_it_is_read() -> None:
    bare = {"Id": "a" * 64, "Names": None, "Labels": None, "Ports": None, "Mounts": None}
    found = read_container(bare, NOW)
    assert (found.name, found.state, found.ports, found.project) == ("a" * 12, "", (), "")


# -- what is claudy's ----------------------------------------------------------------------------

BOX = read("claudy-app-1", {"claudy.sandbox": "claudy-app-1", "claudy.project": "/p"})
COPY = read("copy", {"claudy.sandbox": "claudy-app-1", "claudy.project": "/p"})
GUARDED = read("db", {"claudy.owner": "claudy-app-1", "claudy.project": "/p"})
COMPOSE = {"com.docker.compose.project": "app", "com.docker.compose.service": "web"}
INSIDE = read("app-web-1", COMPOSE | {"com.docker.compose.project.working_dir": "/workspace"})
OUTSIDE = read("app-web-2", COMPOSE | {"com.docker.compose.project.working_dir": "/p"})
OTHER = read("other-web-1", COMPOSE | {"com.docker.compose.project.working_dir": "/q"})
FOREIGN = read("foreign")
PROBE = read("claudy-probe-0", {"claudy.probe": "x"})
MADE_FROM_ONE = read("db-2", {"claudy.probe": "x"})
DOCTOR = read("claudy-doctor-0", {"claudy.doctor": "0", "claudy.project": "/p"})
ALL = (BOX, COPY, GUARDED, INSIDE, OUTSIDE, OTHER, FOREIGN, PROBE, MADE_FROM_ONE, DOCTOR)


def test_an_image_s_labels_make_no_sandbox_and_no_guard() -> None:
    """What runs in a sandbox builds images with any label; names with `claudy-` it does not get."""
    labels = {"claudy.sandbox": "evil", "claudy.project": "/p"}
    evil, guard = read("evil", labels), read("evil-guard", labels | {"claudy.role": "guard"})
    assert sandboxes_of((BOX, evil, guard), "/p") == (BOX,)
    assert not guard.is_guard


def test_what_is_whose() -> None:
    assert sandboxes_of(ALL, "/p") == (BOX,)
    assert started_by(ALL, BOX, "app") == (GUARDED, INSIDE, OUTSIDE)
    assert started_by(ALL, BOX, "") == (GUARDED, OUTSIDE)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("claudy-app-1", (BOX,)),
        ("db", (GUARDED,)),
        ("app-web-1", (INSIDE,)),
        ("web", (INSIDE, OUTSIDE)),
        (BOX.id, (BOX,)),
        (GUARDED.id[:8], (GUARDED,)),
        ("claudy-probe-0", (PROBE,)),
    ],
)
def test_names_are_found(name: str, found: tuple[Container, ...]) -> None:
    assert choose(ALL, [name], "/p", "app") == found
    assert choose(ALL, [name, name], "/p", "app") == found


@pytest.mark.parametrize("one", [COPY, OTHER, FOREIGN])
def test_the_rest_is_refused(one: Container) -> None:
    for name in (one.name, one.id, one.id[:12]):
        with pytest.raises(UsageError, match="is not claudy's"):
            choose(ALL, [name], "/p", "app")


@pytest.mark.parametrize("name", ["none", "", "6", "-x", "claudy-app"])
def test_what_is_not_there(name: str) -> None:
    with pytest.raises(UsageError, match="There is no container named"):
        choose(ALL, [name], "/p", "app")


def test_services_of_no_project_mean_nothing() -> None:
    with pytest.raises(UsageError, match="There is no container named"):
        choose(ALL, ["web"], "", "")


# -- usage ---------------------------------------------------------------------------------------


def test_usage_is_the_difference_of_two_looks() -> None:
    def look(second: str, cpu: int) -> dict[str, Any]:
        return {
            "read": f"2026-01-01T00:00:{second}Z",
            "cpu_stats": {"cpu_usage": {"total_usage": cpu}},
            "memory_stats": {"usage": 300, "limit": 1000, "stats": {"inactive_file": 100}},
            "networks": {"eth0": {"rx_bytes": 1, "tx_bytes": 2}, "eth1": {"rx_bytes": 10}},
            "blkio_stats": {
                "io_service_bytes_recursive": [
                    {"op": "Read", "value": 5},
                    {"op": "write", "value": 7},
                    {"op": "Total", "value": 12},
                ]
            },
            "pids_stats": {"current": 3},
        }

    found = read_usage(look("00.000000001", 0), look("00.500000001", 250_000_000))
    assert found is not None
    assert found.cpu == pytest.approx(50)
    assert (found.memory, found.limit, found.memory_share) == (200, 1000, 20.0)
    assert (found.received, found.sent, found.read, found.written) == (11, 2, 5, 7)
    assert found.processes == 3


def test_what_did_not_run_used_nothing() -> None:
    zero = {"read": "0001-01-01T00:00:00Z", "memory_stats": {}}
    assert read_usage(zero, zero) is None
    assert read_time("0001-01-01T00:00:00Z") is None


# -- what is printed -----------------------------------------------------------------------------


@given(st.text())
def test_nothing_printed_moves_the_cursor(text: str) -> None:
    assert printable(text).isprintable()


@given(st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), max_size=5))
def test_a_table_has_a_line_for_each_row(rows: list[tuple[str, str]]) -> None:
    assert len(table(("A", "B"), rows).split("\n")) == len(rows) + 1


@pytest.mark.parametrize(
    ("size", "shown"),
    [(0, "0B"), (999, "999B"), (1000, "1kB"), (277_000_000, "277MB"), (1_980_000_000, "1.98GB")],
)
def test_sizes(size: int, shown: str) -> None:
    assert spell_size(size) == shown


def test_a_description_is_json() -> None:
    from claudy.cli.listing import describe

    assert json.loads(json.dumps(describe(BOX)))["project"] == "/p"
