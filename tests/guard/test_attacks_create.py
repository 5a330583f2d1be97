"""Attacks with containers: every option that leads to the host, raw and as a CLI command."""

# ruff: noqa: E501 - one attack is one line
from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.guard.conftest import Guard, Host

DISK = {"PathOnHost": "/dev/vda", "PathInContainer": "/dev/x", "CgroupPermissions": "rwm"}
ANY = "0.0.0.0"  # noqa: S104 - what is asked for, not bound
THROTTLE = [{"Path": "/dev/vda", "Rate": 1}]

HOST_CONFIGS: dict[str, dict[str, Any]] = {
    "privileged": {"Privileged": True},
    "pid host": {"PidMode": "host"},
    "ipc host": {"IpcMode": "host"},
    "uts host": {"UTSMode": "host"},
    "userns host": {"UsernsMode": "host"},
    "cgroupns host": {"CgroupnsMode": "host"},
    "network host": {"NetworkMode": "host"},
    "network namespace by path": {"NetworkMode": "ns:/proc/1/ns/net"},
    "pid namespace by path": {"PidMode": "ns:/proc/1/ns/pid"},
    "pid of a host container": {"PidMode": "container:{host}"},
    "ipc of a host container": {"IpcMode": "container:{host}"},
    "network of a host container": {"NetworkMode": "container:{host}"},
    "network of a host container by name": {"NetworkMode": "container:{host_name}"},
    "network of the sandbox": {"NetworkMode": "container:{sandbox}"},
    "pid of the sandbox": {"PidMode": "container:{sandbox}"},
    "network of the host's": {"NetworkMode": "{network}"},
    "network of the host's by name": {"NetworkMode": "{network_name}"},
    "cgroup of a container": {"Cgroup": "container:{host}"},
    "capability SYS_ADMIN": {"CapAdd": ["SYS_ADMIN"]},
    "capability with prefix": {"CapAdd": ["CAP_SYS_PTRACE"]},
    "capability in lower case": {"CapAdd": ["sys_module"]},
    "all capabilities": {"CapAdd": ["ALL"]},
    "capabilities as text": {"CapAdd": "ALL"},
    "capability NET_ADMIN": {"CapAdd": ["NET_ADMIN"]},
    "device": {"Devices": [DISK]},
    "device cgroup rule": {"DeviceCgroupRules": ["a *:* rwm"]},
    "device request": {"DeviceRequests": [{"Count": -1, "Capabilities": [["gpu"]]}]},
    "weight of a device": {"BlkioWeightDevice": [{"Path": "/dev/vda", "Weight": 10}]},
    "read rate of a device": {"BlkioDeviceReadBps": THROTTLE},
    "write rate of a device": {"BlkioDeviceWriteBps": THROTTLE},
    "read operations of a device": {"BlkioDeviceReadIOps": THROTTLE},
    "write operations of a device": {"BlkioDeviceWriteIOps": THROTTLE},
    "seccomp unconfined": {"SecurityOpt": ["seccomp=unconfined"]},
    "apparmor unconfined": {"SecurityOpt": ["apparmor:unconfined"]},
    "label disable": {"SecurityOpt": ["label=disable"]},
    "systempaths unconfined": {"SecurityOpt": ["systempaths=unconfined"]},
    "no-new-privileges false": {"SecurityOpt": ["no-new-privileges=false"]},
    "no masked paths": {"MaskedPaths": []},
    "no read-only paths": {"ReadonlyPaths": []},
    "other masked paths": {"MaskedPaths": ["/x"]},
    "sysctl of the kernel": {"Sysctls": {"kernel.core_pattern": "|/x"}},
    "sysctl of shared memory": {"Sysctls": {"kernel.shmmax": "1"}},
    "sysctl with a slash": {"Sysctls": {"net/../kernel/core_pattern": "|/x"}},
    "cgroup parent": {"CgroupParent": "/"},
    "out of memory killer off": {"OomKillDisable": True},
    "out of memory score": {"OomScoreAdj": -1000},
    "real-time period": {"CpuRealtimePeriod": 1000},
    "real-time runtime": {"CpuRealtimeRuntime": 1000},
    "runtime": {"Runtime": "io.containerd.runtime.v1.linux"},
    "annotations": {"Annotations": {"run.oci.handler": "x"}},
    "storage options": {"StorageOpt": {"size": "1G"}},
    "log driver": {"LogConfig": {"Type": "syslog", "Config": {"syslog-address": "unixgram:///dev/log"}}},
    "log driver with a path": {"LogConfig": {"Type": "json-file", "Config": {"path": "/etc/x"}}},
    "log driver gelf": {"LogConfig": {"Type": "gelf", "Config": {"gelf-address": "udp://127.0.0.1:1"}}},
    "volume driver": {"VolumeDriver": "vieux/sshfs", "Binds": ["x:/x"]},
    "root": {"Binds": ["/:/host"]},
    "etc": {"Binds": ["/etc:/x:ro"]},
    "docker root": {"Binds": ["/var/lib/docker:/x"]},
    "dots over the workspace": {"Binds": ["/workspace/../..:/x"]},
    "dots over the host path": {"Binds": ["{project}/../..:/x"]},
    "dots inside": {"Binds": ["/workspace/a/../../..:/x"]},
    "neighbour of the workspace": {"Binds": ["/workspace-evil:/x"]},
    "neighbour of the host path": {"Binds": ["{project}-evil:/x"]},
    "link at the end": {"Binds": ["/workspace/link:/x"]},
    "link in the middle": {"Binds": ["/workspace/link/etc:/x"]},
    "relative link": {"Binds": ["/workspace/up:/x"]},
    "link to a link": {"Binds": ["/workspace/twice:/x"]},
    "link to the socket": {"Binds": ["/workspace/sock:/x"]},
    "loop of links": {"Binds": ["/workspace/loop:/x"]},
    "device node": {"Binds": ["/workspace/node:/x"]},
    "directory of the guard": {"Binds": ["{guard}:/x"]},
    "ledger": {"Binds": ["{guard}/ledger:/x"]},
    "daemon's socket": {"Binds": ["{upstream}:/x"]},
    "proc": {"Binds": ["/proc/1/root:/x"]},
    "double slash": {"Binds": ["//workspace:/x"]},
    "propagation": {"Binds": ["/workspace:/x:shared"]},
    "propagation back": {"Binds": ["/workspace:/x:rslave"]},
    "relabel": {"Binds": ["/workspace:/x:z"]},
    "relabel private": {"Binds": ["/workspace:/x:Z"]},
    "unknown option": {"Binds": ["/workspace:/x:exec"]},
    "third colon": {"Binds": ["/workspace:/x:ro:/y"]},
    "volume of the host": {"Binds": ["{volume}:/x"]},
    "volume of the guard": {"Binds": ["claudy-workspace-{sandbox}:/x"]},
    "new volume of claudy's name": {"Binds": ["claudy-home:/x"]},
    "mount of root": {"Mounts": [{"Type": "bind", "Source": "/", "Target": "/x"}]},
    "mount with dots": {"Mounts": [{"Type": "bind", "Source": "/workspace/..", "Target": "/x"}]},
    "mount of a link": {"Mounts": [{"Type": "bind", "Source": "/workspace/link", "Target": "/x"}]},
    "mount made at a link": {"Mounts": [{"Type": "bind", "Source": "/workspace/link/new", "Target": "/x", "BindOptions": {"CreateMountpoint": True}}]},
    "mount with propagation": {"Mounts": [{"Type": "bind", "Source": "/workspace", "Target": "/x", "BindOptions": {"Propagation": "rshared"}}]},
    "mount of the host's volume": {"Mounts": [{"Type": "volume", "Source": "{volume}", "Target": "/x"}]},
    "mount with a device": {"Mounts": [{"Type": "volume", "Source": "n", "Target": "/x", "VolumeOptions": {"DriverConfig": {"Name": "local", "Options": {"type": "none", "o": "bind", "device": "/"}}}}]},
    "anonymous mount with a device": {"Mounts": [{"Type": "volume", "Target": "/x", "VolumeOptions": {"DriverConfig": {"Options": {"type": "none", "o": "bind", "device": "/"}}}}]},
    "mount with a driver": {"Mounts": [{"Type": "volume", "Source": "n", "Target": "/x", "VolumeOptions": {"DriverConfig": {"Name": "nfs"}}}]},
    "mount subpath": {"Mounts": [{"Type": "volume", "Source": "n", "Target": "/x", "VolumeOptions": {"Subpath": "../.."}}]},
    "mount absolute subpath": {"Mounts": [{"Type": "volume", "Source": "n", "Target": "/x", "VolumeOptions": {"Subpath": "/etc"}}]},
    "mount subpath of the guard's volume": {"Mounts": [{"Type": "volume", "Source": "claudy-workspace-{sandbox}", "Target": "/x", "VolumeOptions": {"Subpath": "../.."}}]},
    "named pipe": {"Mounts": [{"Type": "npipe", "Source": "//./pipe/docker_engine", "Target": "/x"}]},
    "cluster volume": {"Mounts": [{"Type": "cluster", "Source": "x", "Target": "/x"}]},
    "image mount": {"Mounts": [{"Type": "image", "Source": "busybox", "Target": "/x"}]},
    "mount without a type": {"Mounts": [{"Source": "/", "Target": "/x"}]},
    "mount type in capitals": {"Mounts": [{"Type": "BIND", "Source": "/", "Target": "/x"}]},
    "tmpfs with a source": {"Mounts": [{"Type": "tmpfs", "Source": "/", "Target": "/x"}]},
    "tmpfs options": {"Tmpfs": {"/x": "size=1m,bind"}},
    "volumes of a host container": {"VolumesFrom": ["{host}"]},
    "volumes of a host container by name": {"VolumesFrom": ["{host_name}:ro"]},
    "volumes of the sandbox": {"VolumesFrom": ["{sandbox}"]},
    "link to a host container": {"Links": ["{host_name}:x"]},
    "low port": {"PortBindings": {"22/tcp": [{"HostPort": "22"}]}},
    "low range of ports": {"PortBindings": {"80/tcp": [{"HostPort": "80-2000"}]}},
    "port on another address": {"PortBindings": {"80/tcp": [{"HostIp": "192.0.2.1", "HostPort": "8080"}]}},
    "port on a name": {"PortBindings": {"80/tcp": [{"HostIp": "localhost", "HostPort": "8080"}]}},
    "port on loopback with a zone": {"PortBindings": {"80/tcp": [{"HostIp": "::1%x", "HostPort": "8080"}]}},
    "log buffer": {"LogConfig": {"Type": "json-file", "Config": {"mode": "non-blocking", "max-buffer-size": "64g"}}},
    "log buffer in bytes": {"LogConfig": {"Type": "local", "Config": {"mode": "non-blocking", "max-buffer-size": "17000000000"}}},
    "log tag that fills the daemon's memory": {"LogConfig": {"Type": "json-file", "Config": {"tag": '{{pad "a" 70368744177664 0}}'}}},
    "log tag that doubles": {"LogConfig": {"Type": "json-file", "Config": {"tag": "{{$x := .ID}}" + '{{$x = printf "%s%s" $x $x}}' * 60 + "{{$x}}"}}},
    "log in two billion files": {"LogConfig": {"Type": "local", "Config": {"max-size": "1", "max-file": "2000000000"}}},
    "ulimit of priority": {"Ulimits": [{"Name": "rtprio", "Soft": 99, "Hard": 99}]},
    "isolation": {"Isolation": "hyperv"},
}  # fmt: skip

BODIES: dict[str, dict[str, Any]] = {
    "claudy's label": {"Labels": {"claudy.owner": "x"}},
    "claudy's token": {"Labels": {"claudy.guard.token": "x"}},
    "claudy's label in capitals": {"Labels": {"Claudy.Project": "x"}},
    "volume key that is a bind": {"Volumes": {"/:/host": {}}},
    "volume key that is relative": {"Volumes": {"x": {}}},
    "endpoint in the host's network": {
        "NetworkingConfig": {"EndpointsConfig": {"{network_name}": {}}}
    },
    "endpoint in the host's network by id": {
        "NetworkingConfig": {"EndpointsConfig": {"{network}": {}}}
    },
    "endpoint in the host": {"NetworkingConfig": {"EndpointsConfig": {"host": {}}}},
    "endpoint with driver options": {
        "NetworkingConfig": {"EndpointsConfig": {"bridge": {"DriverOpts": {"x": "y"}}}}
    },
    "endpoint with a link": {
        "NetworkingConfig": {"EndpointsConfig": {"bridge": {"Links": ["{host_name}:x"]}}}
    },
    "image with a bad name": {"Image": "../../etc"},
    "image with a newline": {"Image": "busybox\nx"},
    "image with a query": {"Image": "busybox?x=1"},
    "onbuild": {"OnBuild": ["RUN x"]},
    "health check without a command": {"Healthcheck": {"Test": ["CMD"]}},
}

COMMANDS: dict[str, list[str]] = {
    "privileged": ["--privileged"],
    "pid": ["--pid", "host"],
    "ipc": ["--ipc", "host"],
    "uts": ["--uts", "host"],
    "userns": ["--userns", "host"],
    "cgroupns": ["--cgroupns", "host"],
    "network": ["--network", "host"],
    "cap-add": ["--cap-add", "SYS_ADMIN"],
    "device": ["--device", "/dev/null:/dev/x"],
    "device-cgroup-rule": ["--device-cgroup-rule", "a *:* rwm"],
    "gpus": ["--gpus", "all"],
    "seccomp": ["--security-opt", "seccomp=unconfined"],
    "systempaths": ["--security-opt", "systempaths=unconfined"],
    "apparmor": ["--security-opt", "apparmor=unconfined"],
    "sysctl": ["--sysctl", "kernel.msgmax=1"],
    "cgroup-parent": ["--cgroup-parent", "/x"],
    "oom-kill-disable": ["--oom-kill-disable", "-m", "64m"],
    "oom-score-adj": ["--oom-score-adj", "-500"],
    "runtime": ["--runtime", "other"],
    "storage-opt": ["--storage-opt", "size=1G"],
    "log-driver": ["--log-driver", "syslog"],
    "volume-driver": ["--volume-driver", "x", "-v", "y:/y"],
    "volume of root": ["-v", "/:/host"],
    "mount of root": ["--mount", "type=bind,src=/,dst=/host"],
    "volume-opt": [
        "--mount",
        "type=volume,src=v,dst=/x,volume-opt=type=none,volume-opt=o=bind,volume-opt=device=/",
    ],
    "propagation": ["--mount", "type=bind,src=/workspace,dst=/x,bind-propagation=shared"],
    "volumes-from": ["--volumes-from", "{host}"],
    "link": ["--link", "{host_name}"],
    "pid of a host container": ["--pid", "container:{host}"],
    "network of a host container": ["--network", "container:{host_name}"],
    "network of the host's": ["--network", "{network_name}"],
    "low port": ["-p", "22:22"],
    "ulimit": ["--ulimit", "rtprio=99"],
    "blkio": ["--blkio-weight-device", "/dev/null:100"],
    "label": ["--label", "claudy.project=x"],
    "relabel": ["-v", "/workspace:/x:z"],
    "relabel private": ["-v", "/workspace:/x:Z"],
    "volume of the host": ["-v", "{volume}:/x"],
    "all capabilities": ["--cap-add", "ALL"],
    "label disable": ["--security-opt", "label=disable"],
    "network namespace by path": ["--network", "ns:/proc/1/ns/net"],
    "ipc of a host container": ["--ipc", "container:{host}"],
    "network of the sandbox": ["--network", "container:{sandbox}"],
    "volumes of the sandbox": ["--volumes-from", "{sandbox}"],
    "real-time period": ["--cpu-rt-period", "1000"],
    "real-time runtime": ["--cpu-rt-runtime", "1000"],
    "port on another address": ["-p", "192.0.2.1:8080:80"],
    "low range of ports": ["-p", "80-85:80-85"],
    "dots over the workspace": ["-v", "/workspace/../..:/x"],
    "dots over the host path": ["-v", "{project}/../..:/x"],
    "neighbour of the workspace": ["-v", "/workspace-evil:/x"],
    "link at the end": ["-v", "/workspace/link:/x"],
    "link in the middle": ["-v", "/workspace/link/etc:/x"],
    "directory of the guard": ["-v", "{guard}:/x"],
    "ledger": ["-v", "{guard}/ledger:/x"],
    "daemon's socket": ["-v", "{upstream}:/x"],
    "mount of a link": ["--mount", "type=bind,src=/workspace/link,dst=/x"],
    "mount with dots": ["--mount", "type=bind,src=/workspace/..,dst=/x"],
    "mount of the host's volume": ["--mount", "type=volume,src={volume},dst=/x"],
    "mount with a driver": ["--mount", "type=volume,src=n,dst=/x,volume-driver=nfs"],
    "mount subpath": ["--mount", "type=volume,src=n,dst=/x,volume-subpath=../.."],
    "named pipe": ["--mount", "type=npipe,src=//./pipe/docker_engine,dst=/x"],
    "cluster volume": ["--mount", "type=cluster,src=x,dst=/x"],
    "name that is a short id": ["--name", "abcdefabcdef"],
}


@pytest.fixture(scope="module", autouse=True)
def _links(guard: Guard) -> None:
    for name, to in {
        "link": "/", "up": "../..", "twice": "link", "loop": "loop", "sock": str(guard.engine.socket),
    }.items():  # fmt: skip
        os.symlink(to, guard.project / name)
    os.mknod(guard.project / "node", 0o600 | 0o060000, os.makedev(7, 0))
    (guard.project / "a").mkdir()
    (guard.project.parent / "project-evil").mkdir()


def filled(value: Any, guard: Guard, host: Host) -> Any:
    """Put the names of this run into a request."""
    text = json.dumps(value)
    for word, name in {
        "{host}": host.container, "{host_name}": host.container_name, "{sandbox}": guard.name,
        "{network}": host.network, "{network_name}": host.network_name, "{volume}": host.volume,
        "{project}": str(guard.project), "{guard}": str(guard.root), "{upstream}": str(guard.engine.socket),
    }.items():  # fmt: skip
        text = text.replace(word, name)
    return json.loads(text)


def refused_without_trace(guard: Guard, body: dict[str, Any]) -> None:
    before = guard.owned().get("containers", {}).keys()
    answer = guard.ask("POST", "/containers/create", body)
    assert 400 <= answer.status < 500, answer.body
    assert answer.message
    assert guard.owned().get("containers", {}).keys() == before


@pytest.mark.parametrize("config", HOST_CONFIGS.values(), ids=HOST_CONFIGS)
def test_host_config(guard: Guard, untouched: Host, config: dict[str, Any]) -> None:
    host_config = filled(config, guard, untouched)
    refused_without_trace(guard, {"Image": "busybox", "HostConfig": host_config})


@pytest.mark.parametrize("fields", BODIES.values(), ids=BODIES)
def test_body(guard: Guard, untouched: Host, fields: dict[str, Any]) -> None:
    refused_without_trace(guard, {"Image": "busybox", **filled(fields, guard, untouched)})


@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS)
def test_command(guard: Guard, untouched: Host, arguments: list[str]) -> None:
    done = guard.cli("create", *filled(arguments, guard, untouched), "busybox", check=False)
    assert done.returncode != 0
    assert (
        "claudy guard" in done.stderr
        or "no such" in done.stderr.lower()
        or "not found" in done.stderr
    )


NAMES = ["abcdefabcdef", "{short}", "{full}", "claudy-other", "..", "a/b", "/host/x"]


@pytest.mark.parametrize("name", NAMES)
def test_name(guard: Guard, untouched: Host, name: str) -> None:
    wanted = name.replace("{short}", untouched.container[:4]).replace("{full}", untouched.container)
    body = {"Image": "busybox"}
    assert 400 <= guard.ask("POST", f"/containers/create?name={wanted}", body).status < 500
    full = guard.create().json["Id"]
    assert 400 <= guard.ask("POST", f"/containers/{full}/rename?name={wanted}").status < 500
    guard.cli("rm", full)


def test_name_that_is_taken_does_not_tell_by_whom(guard: Guard, untouched: Host) -> None:
    answer = guard.ask(
        "POST", f"/containers/create?name={untouched.container_name}", {"Image": "busybox"}
    )
    assert answer.status == 409
    assert untouched.container not in answer.message


def test_command_with_a_name_that_is_taken(guard: Guard, untouched: Host) -> None:
    for words in (["create", "--name"], ["run", "-d", "--name"]):
        done = guard.cli(*words, untouched.container_name, "busybox", check=False)
        assert "Conflict" in done.stderr
        assert untouched.container not in done.stderr
    full = guard.create().json["Id"]
    for name in (untouched.container_name, untouched.container[:4], untouched.container[:12]):
        done = guard.cli("rename", full, name, check=False)
        assert done.returncode != 0
        assert untouched.container not in done.stderr
    guard.cli("rm", full)


@pytest.mark.usefixtures("untouched")
def test_command_always_becomes_on_failure(guard: Guard) -> None:
    full = guard.cli("create", "--restart", "always", "busybox", "true").stdout.strip()
    for words in ([], ["always"], ["unless-stopped"]):
        if words:
            guard.cli("update", "--restart", *words, full)
        found = json.loads(guard.engine.cli("inspect", full).stdout)[0]
        assert found["HostConfig"]["RestartPolicy"]["Name"] == "on-failure"
    guard.cli("rm", full)


@pytest.mark.usefixtures("untouched")
def test_always_becomes_on_failure(guard: Guard) -> None:
    for policy in ("always", "unless-stopped"):
        full = guard.create({"RestartPolicy": {"Name": policy}}).json["Id"]
        found = json.loads(guard.engine.cli("inspect", full).stdout)[0]
        assert found["HostConfig"]["RestartPolicy"]["Name"] == "on-failure"
        update = guard.ask(
            "POST", f"/containers/{full}/update", {"RestartPolicy": {"Name": policy}}
        )
        assert update.status == 200
        found = json.loads(guard.engine.cli("inspect", full).stdout)[0]
        assert found["HostConfig"]["RestartPolicy"]["Name"] == "on-failure"
        guard.cli("rm", full)


@pytest.mark.usefixtures("untouched")
def test_all_interfaces_are_narrowed(guard: Guard) -> None:
    for address in ("", ANY, "::"):
        answer = guard.create(
            {"PortBindings": {"80/tcp": [{"HostIp": address, "HostPort": "18123"}]}}
        )
        found = json.loads(guard.engine.cli("inspect", answer.json["Id"]).stdout)[0]
        bound = {b["HostIp"] for b in found["HostConfig"]["PortBindings"]["80/tcp"]}
        assert bound
        assert not bound & {"", ANY, "::"}
        guard.cli("rm", answer.json["Id"])


@pytest.mark.usefixtures("untouched")
def test_publish_all_is_narrowed(guard: Guard) -> None:
    answer = guard.create({"PublishAllPorts": True}, ExposedPorts={"80/tcp": {}})
    found = json.loads(guard.engine.cli("inspect", answer.json["Id"]).stdout)[0]["HostConfig"]
    assert not found["PublishAllPorts"]
    assert all(b["HostIp"] not in {"", ANY} for b in found["PortBindings"]["80/tcp"])
    guard.cli("rm", answer.json["Id"])


UPDATES: dict[str, dict[str, Any]] = {
    "cgroup parent": {"CgroupParent": "/"},
    "devices": {"Devices": [DISK]},
    "device rules": {"DeviceCgroupRules": ["a *:* rwm"]},
    "real time": {"CpuRealtimeRuntime": 1},
    "killer": {"OomKillDisable": True},
    "unknown": {"Privileged": True},
    "device rate": {"BlkioDeviceReadBps": THROTTLE},
}


@pytest.mark.parametrize("body", UPDATES.values(), ids=UPDATES)
@pytest.mark.usefixtures("untouched")
def test_update(guard: Guard, body: dict[str, Any]) -> None:
    full = guard.create().json["Id"]
    assert guard.ask("POST", f"/containers/{full}/update", body).status == 403
    guard.cli("rm", full)


def test_log_options_as_they_are_used(guard: Guard) -> None:
    options = {"max-size": "10m", "max-file": "3", "tag": "web {{.Name}}/{{ .ID }}", "labels": "a"}
    full = guard.create({"LogConfig": {"Type": "json-file", "Config": options}}).json["Id"]
    guard.cli("rm", full)
