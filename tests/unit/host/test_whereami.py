"""What this machine is, from files of machines that were looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claudy.host.whereami import Place, own_ids, to_host, where_am_i

if TYPE_CHECKING:
    from pathlib import Path

A = "a1" * 32
B = "b2" * 32
# a container of engine 20.10 on cgroup v1, the lines that matter
MOUNTINFO = (
    "501 470 254:0 /var/lib/docker/containers/{0}/resolv.conf /etc/resolv.conf rw - ext4 x rw\n"
    "502 470 254:0 /var/lib/docker/containers/{0}/hostname /etc/hostname rw - ext4 /dev/x rw\n"
)
PODMAN_MOUNTINFO = (
    "690 670 0:22 /containers/overlay-containers/{0}/userdata/hostname /etc/hostname"
    " rw - tmpfs t rw\n"
)
WSL_KERNEL = "5.15.153.1-microsoft-standard-WSL2"


def machine(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


@pytest.mark.parametrize(
    ("files", "env", "system", "container"),
    [
        ({}, {}, "linux", ""),
        ({".dockerenv": ""}, {}, "linux", "docker"),
        ({"run/.containerenv": ""}, {}, "linux", "podman"),
        ({"run/.containerenv": "", ".dockerenv": ""}, {}, "linux", "podman"),
        ({".dockerenv": ""}, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "linux", "kubernetes"),
        ({"proc/1/cgroup": f"3:pids:/docker/{A}\n"}, {}, "linux", "docker"),
        ({"proc/1/cgroup": f"0::/system.slice/docker-{A}.scope\n"}, {}, "linux", "docker"),
        ({"proc/1/cgroup": "0::/kubepods/besteffort/pod1/x\n"}, {}, "linux", "kubernetes"),
        ({"proc/1/cgroup": "0::/init.scope\n"}, {}, "linux", ""),
        # WSL2: the interop file, or the variable together with the kernel
        ({"proc/sys/fs/binfmt_misc/WSLInterop": ""}, {}, "wsl2", ""),
        ({"proc/sys/fs/binfmt_misc/WSLInterop-late": ""}, {}, "wsl2", ""),
        ({"proc/sys/kernel/osrelease": WSL_KERNEL}, {"WSL_DISTRO_NAME": "Debian"}, "wsl2", ""),
        ({"proc/sys/kernel/osrelease": WSL_KERNEL}, {}, "linux", ""),
        ({}, {"WSL_DISTRO_NAME": "Debian"}, "linux", ""),
        # a container of Docker Desktop on WSL2 is a container
        ({".dockerenv": "", "proc/sys/fs/binfmt_misc/WSLInterop": ""}, {}, "linux", "docker"),
    ],
)
def test_place(
    tmp_path: Path, files: dict[str, str], env: dict[str, str], system: str, container: str
) -> None:
    place = where_am_i(env=env, platform="linux", root=str(machine(tmp_path, files)))
    assert (place.system, place.container) == (system, container)
    assert place.reason
    assert place.nested is bool(container)


@pytest.mark.parametrize(("platform", "system"), [("darwin", "macos"), ("win32", "windows")])
def test_other_systems(tmp_path: Path, platform: str, system: str) -> None:
    assert where_am_i(env={}, platform=platform, root=str(tmp_path)).system == system


@pytest.mark.parametrize(
    ("env", "service"),
    [
        ({"CODESPACES": "true", "CI": "1"}, "codespaces"),
        ({"GITHUB_ACTIONS": "true", "CI": "true"}, "github-actions"),
        ({"GITLAB_CI": "true"}, "gitlab-ci"),
        ({"CI": "false"}, ""),
        ({"CI": "1"}, "ci"),
    ],
)
def test_service(tmp_path: Path, env: dict[str, str], service: str) -> None:
    assert where_am_i(env=env, platform="linux", root=str(tmp_path)).service == service


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"proc/self/mountinfo": MOUNTINFO.format(A)}, (A,)),
        ({"proc/self/mountinfo": PODMAN_MOUNTINFO.format(A)}, (A,)),
        (
            {
                "proc/self/mountinfo": MOUNTINFO.format(A),
                "proc/self/cgroup": f"3:pids:/docker/{B}\n",
                "etc/hostname": "box\n",
            },
            (A, B),
        ),
        ({"proc/self/cgroup": f"0::/system.slice/docker-{B}.scope\n"}, (B,)),
        ({"proc/self/cgroup": "0::/\n", "etc/hostname": "0123456789ab\n"}, ("0123456789ab",)),
        ({}, ()),
    ],
)
def test_own_ids(tmp_path: Path, files: dict[str, str], expected: tuple[str, ...]) -> None:
    assert own_ids(str(machine(tmp_path, files))) == expected


MOUNTS = (
    {"Destination": "/workspaces", "Source": "/srv/workspaces"},
    {"Destination": "/workspaces/app/node_modules", "Source": "/var/lib/docker/volumes/n/_data"},
    {"Destination": "/", "Source": ""},
)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/workspaces", "/srv/workspaces"),
        ("/workspaces/app/src", "/srv/workspaces/app/src"),
        ("/workspaces/app/node_modules/x", "/var/lib/docker/volumes/n/_data/x"),
        ("/workspaces-of-others", None),
        ("/home/u", None),
    ],
)
def test_path_is_translated_through_the_longest_mount(path: str, expected: str | None) -> None:
    assert to_host(path, Place("linux", "docker"), MOUNTS) == expected


def test_root_mount() -> None:
    mounts = ({"Destination": "/", "Source": "/srv/root/"}, {"Destination": "/x", "Source": "/"})
    place = Place("linux", "other")
    assert to_host("/etc", place, mounts) == "/srv/root/etc"
    assert to_host("/x", place, mounts) == "/"
    assert to_host("/x/y", place, mounts) == "/y"


def test_path_inside_a_claudy_sandbox(tmp_path: Path) -> None:
    env = {"CLAUDY": "1", "CLAUDY_HOST_WORKSPACE": "/home/u/app"}
    place = where_am_i(env=env, platform="linux", root=str(machine(tmp_path, {".dockerenv": ""})))
    assert to_host("/workspace", place) == "/home/u/app"
    assert to_host("/workspace/sub", place) == "/home/u/app/sub"
    assert to_host("/workspaces", place) is None


def test_variables_of_a_sandbox_mean_nothing_outside_of_one(tmp_path: Path) -> None:
    env = {"CLAUDY": "1", "CLAUDY_HOST_WORKSPACE": "/home/u/app"}
    assert where_am_i(env=env, platform="linux", root=str(tmp_path)).host_workspace == ""


names = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1).filter(
    lambda name: name not in {".", ".."}
)
trees = st.lists(names, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))


@given(path=trees)
def test_outside_of_a_container_a_path_is_itself(path: str) -> None:
    assert to_host(path, Place("linux"), MOUNTS) == path


@given(target=trees, source=trees, tail=trees)
def test_translation_keeps_what_is_below_the_mount(target: str, source: str, tail: str) -> None:
    mounts = ({"Destination": target, "Source": source},)
    assert to_host(target + tail, Place("linux", "docker"), mounts) == source + tail
