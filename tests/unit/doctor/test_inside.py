"""What the answers from inside mean. The answers are synthesised: most need another machine."""

from __future__ import annotations

import os
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from claudy.doctor.checks import (
    bind_mount,
    disk_inside,
    dns,
    ownership,
    patches,
    ping,
    proxy,
    sandbox,
    sibling,
    terminal,
    tools,
    user,
)
from claudy.doctor.inside import Inside, _parse, _read, thrown_away
from claudy.sandbox.plan import Mount, Plan

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from claudy.doctor.context import Context
    from claudy.doctor.model import Outcome

TOKEN = "0123456789abcdef"  # noqa: S105 - a word, no secret
HEALTHY = {
    "user": "1000:1000 1000 991",
    "name": "dev",
    "size": "43 117",
    "socket": "socket,0,991,660",
    "disk": "overlay 264212084 30221660 76169252 29% /",
    "sentinel": TOKEN,
    "written": "1000:1000",
    "ping": "HTTP/1.1 200 OK  Api-Version: 1.45  OK",
    "docker": "26.1.5+dfsg1 1.45 1.45",
    "compose": "2.26.1-4",
    "buildx": "github.com/docker/buildx 0.13.1+ds1 0.13.1+ds1-3",
    "sibling-port": "32768",
    "sibling": TOKEN,
    "dns": "192.0.2.1 example.org",
    "end": "end",
}
FACTS: dict[str, Any] = {
    "kind": "docker", "userns": False, "selinux": False, "snap": False, "vm": False,
    "socket_source": "/var/run/docker.sock", "version": "26.1.5+dfsg1",
}  # fmt: skip


def context(
    answers: dict[str, str] | None = None,
    *,
    facts: dict[str, Any] | None = None,
    settings: dict[str, Any] | None = None,
    env: dict[str, str] | None = None,
    network: str = "host",
    **inside: Any,
) -> Context:
    """Return what checks look at, healthy but for what is given; an answer of None is missing."""
    said = {k: v for k, v in {**HEALTHY, **(answers or {})}.items() if v is not None}
    seen = Inside(
        answers=said,
        token=TOKEN,
        written=(1000, 1000),
        content=TOKEN,
        sentinel=True,
        size=(43, 117),
        hostname="example.org",
    )
    chosen: dict[str, Any] = {"docker": "host", "image": "", "read_only": False, "env": ()}
    chosen |= settings or {}
    return cast(
        "Context",
        SimpleNamespace(
            inside=replace(seen, **inside),
            plan=SimpleNamespace(user="1000:1000", groups=("991",), network=network),
            known=SimpleNamespace(facts=SimpleNamespace(**{**FACTS, **(facts or {})})),
            settings=chosen,
            project=SimpleNamespace(path="/home/u/app", uid=1000, gid=1000),
            host=SimpleNamespace(env=env or {}),
            prepared=SimpleNamespace(guard=None),
        ),
    )


CHECKS = (
    bind_mount, disk_inside, dns, ownership, ping, sandbox, sibling, terminal, tools, user,
)  # fmt: skip


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.CHECK.id)
def test_healthy(check: Any) -> None:
    outcome = check.run(context())
    assert outcome.status == "ok"
    assert outcome.seen


@pytest.mark.parametrize(
    ("run", "given", "status", "code"),
    [
        (user.run, {"answers": {"user": "1000:1000 1000"}}, "fail", "user-differs"),
        (user.run, {"answers": {"user": "0:0 0 991"}}, "fail", "user-differs"),
        (ping.run, {"answers": {"socket": "directory,0,0,755"}}, "fail", "mount-source-wrong"),
        (ping.run, {"answers": {"socket": None}}, "fail", "mount-source-wrong"),
        (
            ping.run,
            {"answers": {"socket": None}, "settings": {"docker": "guard"}},
            "fail",
            "guard-missing",
        ),
        (
            ping.run,
            {
                "answers": {"ping": "curl: (7) Failed to connect: Permission denied"},
                "settings": {"docker": "guard"},
            },
            "fail",
            "guard-denied",
        ),
        (
            ping.run,
            {"answers": {"socket": "socket,65534,65534,660", "ping": "curl: Permission denied"}},
            "fail",
            "userns-denied",
        ),
        (
            ping.run,
            {"answers": {"ping": "curl: (7) Permission denied"}, "facts": {"selinux": True}},
            "fail",
            "selinux-denied",
        ),
        (
            ping.run,
            {"answers": {"ping": "curl: (7) Permission denied"}, "facts": {"snap": True}},
            "fail",
            "snap-confined",
        ),
        (
            ping.run,
            {"answers": {"ping": "curl: (7) Failed to connect to docker"}},
            "fail",
            "socket-denied-inside",
        ),
        (ping.run, {"answers": {"ping": "curl: (52) Empty reply"}}, "fail", "ping-failed"),
        (
            tools.run,
            {"answers": {"compose": None, "no-compose": "no such"}},
            "fail",
            "tool-missing",
        ),
        (
            tools.run,
            {"answers": {"buildx": None}, "settings": {"image": "node:22"}},
            "warn",
            "tool-missing",
        ),
        (
            tools.run,
            {"answers": {"docker": None, "no-docker": "client version 1.24 is too old"}},
            "fail",
            "api-mismatch",
        ),
        (bind_mount.run, {"answers": {"sentinel": "No such file"}}, "fail", "project-not-visible"),
        (
            bind_mount.run,
            {"answers": {"sentinel": ""}, "facts": {"vm": True, "kind": "docker-desktop"}},
            "fail",
            "project-not-shared",
        ),
        (
            bind_mount.run,
            {"answers": {"sentinel": ""}, "facts": {"snap": True}},
            "fail",
            "snap-confined",
        ),
        (bind_mount.run, {"content": "", "written": None}, "fail", "project-not-visible"),
        (bind_mount.run, {"content": "", "tampered": True}, "fail", "project-tampered"),
        (
            bind_mount.run,
            {"content": "", "answers": {"written": None, "unwritten": "Permission denied"}},
            "fail",
            "project-not-writable",
        ),
        (ownership.run, {"written": (0, 0)}, "warn", "owner-differs"),
        (sibling.run, {"answers": {"no-sibling": "refused"}}, "fail", "sibling-refused"),
        (sibling.run, {"answers": {"sibling": "curl: (7)"}}, "fail", "sibling-unreachable"),
        (
            sibling.run,
            {"answers": {"sibling": "curl: (7)"}, "network": "bridge"},
            "warn",
            "sibling-unreachable",
        ),
        (
            sibling.run,
            {
                "answers": {"sibling": "curl: (7)"},
                "network": "",
                "settings": {"docker": "guard"},
            },
            "fail",
            "sibling-unreachable",
        ),
        (terminal.run, {"answers": {"size": "24 80"}}, "fail", "terminal-size"),
        (dns.run, {"answers": {"dns": None, "no-dns": "example.org"}}, "warn", "dns-inside"),
        (disk_inside.run, {"answers": {"disk": "o 1 1 1000 1 /"}}, "fail", "disk-full"),
        (disk_inside.run, {"answers": {"disk": "o 1 1 900000 1 /"}}, "warn", "disk-nearly-full"),
        (proxy.run, {"env": {"HTTPS_PROXY": "http://p:3128"}}, "warn", "proxy-lost"),
        (
            proxy.run,
            {
                "env": {"http_proxy": "http://127.0.0.1:3128"},
                "answers": {"proxy-http_proxy": "http://127.0.0.1:3128"},
                "network": "bridge",
            },
            "warn",
            "proxy-local",
        ),
        (sandbox.run, {"answers": {"end": None}}, "fail", "sandbox-mute"),
    ],
)
def test_broken(
    run: Callable[[Context], Outcome], given: dict[str, Any], status: str, code: str
) -> None:
    outcome = run(context(**given))
    assert outcome.finding, outcome
    assert (outcome.status, outcome.finding.id) == (status, code)
    assert outcome.finding.remedy


@pytest.mark.parametrize(
    ("run", "given"),
    [
        (ping.run, {"settings": {"docker": "none"}}),
        (tools.run, {"settings": {"docker": "none"}}),
        (sibling.run, {"settings": {"docker": "none"}}),
        (ping.run, {"answers": {"ping": None, "docker": None}}),
        (sibling.run, {"answers": {"sibling-port": None}}),
        (terminal.run, {"answers": {"size": ""}}),
        (dns.run, {"hostname": ""}),
        (dns.run, {"answers": {"dns": None}}),
        (disk_inside.run, {"answers": {"disk": ""}}),
        (ownership.run, {"written": None}),
        (proxy.run, {}),
    ],
)
def test_nothing_to_check(run: Callable[[Context], Outcome], given: dict[str, Any]) -> None:
    outcome = run(context(**given))
    assert outcome.status == "skip"
    assert outcome.seen


def test_a_proxy_on_this_machine_is_fine_on_its_network() -> None:
    value = "http://127.0.0.1:3128"
    given = context({"proxy-http_proxy": value}, env={"http_proxy": value})
    assert proxy.run(given).status == "ok"


def test_read_only_project_is_proven_one_way() -> None:
    given = context(
        {"written": "", "unwritten": "Read-only"}, settings={"read_only": True}, content=""
    )
    outcome = bind_mount.run(given)
    assert (outcome.status, outcome.data) == ("ok", {"there": True, "back": False})


def test_a_virtual_machine_may_map_owners() -> None:
    assert ownership.run(context(written=(501, 20), facts={"vm": True})).status == "ok"


def test_without_curl_the_docker_command_is_the_proof() -> None:
    assert ping.run(context({"ping": ""})).status == "ok"


def test_only_lines_of_the_script_count() -> None:
    output = f"motd\r\n{TOKEN} user 1:1 1\r\nnoise {TOKEN} x y\r\n{TOKEN} end end\r\n"
    assert _parse(output, TOKEN) == {"user": "1:1 1", "end": "end"}


def test_only_a_file_is_read_of_what_is_in_the_project(tmp_path: Path) -> None:
    """Not where a link leads, and nobody waits for a pipe."""
    mine = (os.getuid(), os.getgid())
    (tmp_path / "file").write_text(TOKEN)
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "directory").mkdir()
    assert _read(str(tmp_path / "file")) == (mine, TOKEN)
    assert _read(str(tmp_path / "none")) == (None, "")
    for odd in ("link", "pipe", "directory"):
        assert _read(str(tmp_path / odd)) == (mine, "not a file")


def test_the_script_is_a_posix_shells() -> None:
    import subprocess
    from importlib.resources import files

    path = str(files("claudy.doctor").joinpath("inside.sh"))
    assert os.path.exists(path)
    subprocess.run(["sh", "-n", path], check=True)


def test_parts_of_the_project_are_not_mounted_by_doctor() -> None:
    """What runs in the project's sandbox could swap them while doctor's own container is made."""
    mounts = (
        Mount("bind", "/p", "/workspace"),
        Mount("bind", "/p/part", "/x"),
        Mount("bind", "/data", "/y"),
        Mount("volume", "claudy-home-p", "/home/me"),
    )
    plan = thrown_away(Plan("n", "i", "0:0", mounts=mounts), "claudy-doctor-0", "/p")
    assert [mount.target for mount in plan.mounts] == ["/workspace", "/y", "/home/me"]
    assert plan.mounts[-1].source == ""
    assert dict(plan.labels)["claudy.project"] == "/p"  # the guard holds it still by that


@pytest.mark.parametrize(
    ("version", "go", "mode", "kind", "status"),
    [
        ("20.10.24+dfsg1", "go1.19.8", "guard", "docker", "warn"),
        ("24.0.9", "go1.24.4", "guard", "docker", "warn"),
        ("25.0.1", "go1.24.4", "guard", "docker-desktop", "warn"),
        ("25.0.2", "go1.24.4", "guard", "docker", "ok"),
        ("27.3.1", "go1.22.7", "guard", "docker", "warn"),
        ("27.3.1", "devel", "guard", "docker", "warn"),
        ("27.3.1", None, "guard", "docker", "warn"),
        ("29.1.0-rc.1", "go1.25rc1", "guard", "docker", "ok"),
        ("20.10.24", "go1.19.8", "host", "docker", "skip"),
        ("5.4.2", "go1.22.7", "guard", "podman", "skip"),
        ("dev", "go1.24.4", "guard", "docker", "skip"),
        ("", "go1.24.4", "guard", "docker", "skip"),
    ],
)
def test_known_holes(version: str, go: str | None, mode: str, kind: str, status: str) -> None:
    said = SimpleNamespace(call=lambda *_: {"GoVersion": go})
    looked_at = context(facts={"version": version, "kind": kind}, settings={"docker": mode})
    looked_at.engine = lambda: said  # type: ignore[method-assign, assignment, return-value]
    outcome = patches.run(looked_at)
    assert outcome.status == status
    assert (outcome.finding is not None) == (status == "warn")
