"""The attacks that the guard was made against: each has its test, and the documentation counts."""

# ruff: noqa: E501 - one attack is one line
from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
DOCUMENT = HERE.parents[1] / "docs" / "security.md"
FILES = (
    "test_attacks_http.py", "test_attacks_create.py", "test_attacks_objects.py", "test_buildkit.py",
    "test_attacks_files.py", "test_attacks_images.py", "test_attacks_later.py", "test_attacks_mounts.py", "test_attacks_removal.py",
    "test_race.py", "test_faults.py", "test_faults_midway.py", "test_fuzz.py",
)  # fmt: skip
COLLECT = """
import sys
import pytest

class Lister:
    def pytest_collection_finish(self, session):
        for item in session.items:
            print("ITEM", int("untouched" in item.fixturenames), item.path.name, item.name)

sys.exit(pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", *sys.argv[1:]], [Lister()]))
"""

# Attack: its tests, by name, with parameters where one function tries many.
HTTP = {
    "/v1.45/../containers/create": ["test_target[dot segments over the version]"],
    "//containers/create": ["test_target[double slash]", "test_target[double slash inside]"],
    "/%63ontainers/create": ["test_target[escaped letter]"],
    "%2e%2e": ["test_target[escaped dots]"],
    ";a": ["test_target[matrix parameter]"],
    "%00": ["test_target[escaped NUL]"],
    "absolute form": ["test_target[absolute form]", "test_target[absolute form of a file]"],
    "Content-Length and Transfer-Encoding": ["test_framing[length and chunked]"],
    "two Content-Lengths": ["test_framing[two lengths]", "test_framing[two equal lengths]"],
    "TE: xchunked": ["test_framing[odd coding]"],
    "bare LF": ["test_framing[bare line feed]", "test_framing[bare line feeds]"],
    "pipelined GET and create": ["test_pipelined[create behind a list]"],
    "early bytes after exec/bad/start": ["test_pipelined[create in the early bytes of a bad exec]"],
    "GET /info with Upgrade, then create": ["test_pipelined[create behind an upgraded info]"],
    "PRI * HTTP/2.0": ["test_framing[prior knowledge of HTTP/2]"],
    "prune with a urlencoded body": ["test_urlencoded_body[prune of all]", "test_urlencoded_body[prune of volumes]"],
    "duplicate query keys": ["test_query[key twice]", "test_query[filters twice]"],
    "slow drip": ["test_slow_drip_is_cut_off_and_holds_up_nobody", "test_one_byte_a_second"],
}  # fmt: skip
JSON = {
    "hostconfig in other case": ["test_json[other case]", "test_json[other case inside]"],
    "Ho\\u017ftConfig": ["test_json[long s]", "test_json[escaped long s]"],
    "duplicates": ["test_json[duplicate]", "test_json[duplicate last]"],
    "second value": ["test_json[second value]"],
    "byte order mark": ["test_json[byte order mark]"],
    "deep nesting": ["test_json[deep]"],
    "odd Content-Type": ["test_content_type_changes_nothing[text/plain]"],
}
CREATE = {
    "Privileged": ["test_host_config[privileged]", "test_command[privileged]"],
    "namespaces of the host": [f"test_host_config[{kind} host]" for kind in ("pid", "ipc", "uts", "userns", "cgroupns", "network")],
    "namespaces, as commands": [f"test_command[{kind}]" for kind in ("pid", "ipc", "uts", "userns", "cgroupns", "network")],
    "namespaces by path": ["test_host_config[network namespace by path]", "test_host_config[pid namespace by path]"],
    "container: of others": ["test_host_config[pid of a host container]", "test_host_config[ipc of a host container]", "test_host_config[network of a host container]"],
    "CapAdd": ["test_host_config[capability SYS_ADMIN]", "test_host_config[all capabilities]", "test_command[cap-add]"],
    "Devices": ["test_host_config[device]", "test_command[device]"],
    "DeviceCgroupRules": ["test_host_config[device cgroup rule]", "test_command[device-cgroup-rule]"],
    "DeviceRequests": ["test_host_config[device request]", "test_command[gpus]"],
    "Blkio*Device": ["test_host_config[weight of a device]", "test_host_config[read rate of a device]", "test_command[blkio]"],
    "SecurityOpt": ["test_host_config[seccomp unconfined]", "test_command[seccomp]", "test_command[apparmor]"],
    "MaskedPaths, ReadonlyPaths": ["test_host_config[no masked paths]", "test_host_config[no read-only paths]", "test_command[systempaths]"],
    "Sysctls": ["test_host_config[sysctl of the kernel]", "test_command[sysctl]"],
    "CgroupParent": ["test_host_config[cgroup parent]", "test_command[cgroup-parent]"],
    "OomKillDisable, OomScoreAdj": ["test_host_config[out of memory killer off]", "test_host_config[out of memory score]", "test_command[oom-kill-disable]", "test_command[oom-score-adj]"],
    "CpuRealtime*": ["test_host_config[real-time period]", "test_host_config[real-time runtime]", "test_command[real-time period]", "test_command[real-time runtime]"],
    "Runtime, Annotations, StorageOpt": ["test_host_config[runtime]", "test_host_config[annotations]", "test_host_config[storage options]", "test_command[runtime]", "test_command[storage-opt]"],
    "LogConfig": ["test_host_config[log driver]", "test_command[log-driver]"],
    "VolumeDriver": ["test_host_config[volume driver]", "test_command[volume-driver]"],
    "DriverConfig": ["test_host_config[mount with a device]", "test_command[volume-opt]", "test_command[mount with a driver]"],
    "npipe, cluster, image": ["test_host_config[named pipe]", "test_host_config[cluster volume]", "test_host_config[image mount]", "test_command[named pipe]", "test_command[cluster volume]"],
    "Propagation, z, Z": ["test_host_config[propagation]", "test_host_config[relabel]", "test_host_config[relabel private]", "test_command[propagation]", "test_command[relabel]", "test_command[relabel private]"],
    "VolumesFrom": ["test_host_config[volumes of a host container]", "test_command[volumes-from]"],
    "Links": ["test_host_config[link to a host container]", "test_command[link]"],
    "NetworkingConfig": ["test_body[endpoint in the host's network]"],
    "PortBindings": ["test_host_config[low port]", "test_command[low port]", "test_host_config[port on another address]", "test_command[port on another address]", "test_all_interfaces_are_narrowed"],
    "RestartPolicy": ["test_always_becomes_on_failure", "test_command_always_becomes_on_failure"],
    "Labels claudy.*": ["test_body[claudy's label]", "test_command[label]"],
    "Memory, NanoCpus, PidsLimit": ["test_budget"],
}  # fmt: skip
MOUNTS = {
    "/": ["test_host_config[root]", "test_command[volume of root]", "test_command[mount of root]"],
    "/workspace/../..": ["test_host_config[dots over the workspace]", "test_command[dots over the workspace]"],
    "/workspace-evil": ["test_host_config[neighbour of the workspace]", "test_command[neighbour of the workspace]"],
    "link at the end and in the middle": ["test_host_config[link at the end]", "test_host_config[link in the middle]", "test_command[link at the end]", "test_command[link in the middle]"],
    "swap between create and start, before restart": ["test_subpath_swapped_before_start", *(f"test_a_swapped_source_is_never_mounted[{how}]" for how in ("container", "exec in a container", "sandbox", "second sandbox"))],
    "volume-opt device=/": ["test_command[volume of root]", "test_host_config[mount with a device]"],
    "volume of ext4, nfs, overlay": ["test_command[volume of a disk]", "test_command[volume of nfs]", "test_command[volume of overlay]", "test_raw[volume of a disk]", "test_raw[volume of nfs]", "test_raw[volume of overlay]"],
    "foreign named volume": ["test_host_config[volume of the host]", "test_command[volume of the host]"],
    "the guard's own directory": ["test_host_config[directory of the guard]", "test_host_config[ledger]", "test_command[directory of the guard]", "test_command[ledger]"],
    "Subpath ../..": ["test_host_config[mount subpath]", "test_command[mount subpath]"],
}  # fmt: skip
OBJECTS = {
    "exec --privileged": ["test_exec_privileged"],
    "foreign exec id": ["test_exec_of_the_host"],
    "foreign by id, prefix, name, /name, and the sandbox": [f"test_container_of_the_host[{what}-{how}]" for what in ("inspect", "logs", "exec", "attach", "copy out", "commit", "stop", "remove") for how in ("id", "prefix", "name", "slashed", "sandbox")],
    "rename to a foreign short id": ["test_name[{short}]", "test_command_with_a_name_that_is_taken"],
    "checkpoint directories": ["test_container_of_the_host[checkpoint-id]", "test_urlencoded_body[checkpoint at start]"],
    "update --restart always": ["test_always_becomes_on_failure", "test_command_always_becomes_on_failure"],
    "tag, build, load, commit over a host tag": [*(f"test_tag_of_the_host_is_not_moved[{{t}}-{how}]" for how in ("tag", "commit", "import", "build")), "test_load_over_a_tag_of_the_host", *(f"test_command_over_a_tag_of_the_host[{how}]" for how in ("commit", "load", "import", "tag"))],
    "rmi, push foreign": ["test_command[rmi]", "test_command[push]", "test_raw[push]", "test_image_of_the_host_is_not_deleted"],
    "LABEL claudy.owner": ["test_images_label_does_not_make_a_container_ours"],
    "fromSrc to a metadata address": ["test_command[import from an address]", "test_endpoint[POST /images/create?fromSrc=http://169.254.169.254/latest]"],
    "unfiltered events": ["test_events_of_the_host_are_not_told[{}]"],
    "label!= filters": ["test_prune[{'label!': ['none']}-containers]", "test_command_prune[label!=-container]"],
    "before=<foreign>": ["test_query[before a container of the host]", "test_query[filter before a container of the host]", "test_command[list before it]"],
    "409 that leaks an id": ["test_name_that_is_taken_does_not_tell_by_whom", "test_command_with_a_name_that_is_taken"],
    "foreign connect, disconnect": ["test_command[connect]", "test_command[disconnect]", "test_raw[connect]", "test_raw[disconnect]"],
    "macvlan": ["test_command[macvlan]", "test_raw[macvlan]"],
    "bridge.name=docker0": ["test_command[bridge name]", "test_raw[bridge name]"],
    "-p 22:22": ["test_command[low port]"],
}  # fmt: skip
BUILDS = {
    "--network=host": ["test_command[build in the host's network]", "test_attack[host network]"],
    "RUN --security=insecure": ["test_entitled_step[RUN --security=insecure true]"],
    "--allow": ["test_attack[insecure]", "test_attack[entitlement of the network]"],
    "# syntax= of a stranger": ["test_syntax_of_a_stranger[line]", "test_syntax_of_a_stranger[build argument]"],
    "guard killed mid-request": ["test_killed_while_a_request_is_sent", "test_killed_while_the_daemon_works", "test_killed_while_many_are_created"],
    "exhaustion": ["test_budget", "test_thousand_connections", "test_full_disk", "test_endless_head_is_refused"],
}  # fmt: skip
# They look at what is the host's too, and attack nothing.
USES = {
    "test_own_tag_on_an_image_of_the_host_can_go_again",
    "test_sandbox_runs_again_after_a_guarded_start",
    "test_nothing_stands_still_afterwards",
}
LISTED = HTTP | JSON | CREATE | MOUNTS | OBJECTS | BUILDS


@pytest.fixture(scope="module")
def collected() -> dict[str, bool]:
    """Return the tests by file and name, and whether they compare the host before and after."""
    done = subprocess.run(
        [sys.executable, "-c", COLLECT, *(str(HERE / name) for name in FILES)],
        capture_output=True,
        text=True,
        check=True,
        cwd=HERE.parents[1],
    )
    lines = (line.split(" ", 3) for line in done.stdout.splitlines() if line.startswith("ITEM "))
    return {f"{file} {name}": flag == "1" for _, flag, file, name in lines}


@pytest.mark.parametrize("attack", LISTED)
def test_listed_attack_has_its_test(attack: str, collected: dict[str, bool]) -> None:
    names = {key.partition(" ")[2] for key in collected}
    assert LISTED[attack]
    assert set(LISTED[attack]) <= names


def test_the_documentation_counts_the_attacks(collected: dict[str, bool]) -> None:
    """Those that end with a look at what is the host's: the only proof that nothing happened."""
    found = re.search(r"(\d+) attacks", DOCUMENT.read_text())
    assert found
    attacks = [
        key for key, compared in collected.items() if compared and key.split()[1] not in USES
    ]
    assert int(found[1]) == len(attacks)
    assert len(attacks) >= len(LISTED) + 60
