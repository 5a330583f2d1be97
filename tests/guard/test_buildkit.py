# ruff: noqa: E501 - a Dockerfile's line is one line
"""BuildKit through the guard, with docker build, buildx and compose; and attacks on it."""

from __future__ import annotations

import gzip
import io
import json
import re
import secrets
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from claudy.guard.buildkit import policy
from claudy.guard.buildkit.dockerfile import has_no_stage
from claudy.guard.buildkit.wire import decode, encode
from claudy.guard.refusal import Denied
from tests.guard import buildclient
from tests.guard.conftest import newest_cli
from tests.guard.raw import request

if TYPE_CHECKING:
    from pathlib import Path

    from tests.guard.conftest import Guard, Host

ON: dict[str, Any] = {"env": {"DOCKER_BUILDKIT": "1", "BUILDKIT_PROGRESS": "plain"}}


def test_docker_build(guard: Guard) -> None:
    context = guard.project / "app"
    context.mkdir()
    (context / "big").write_bytes(b"x" * 3_000_000)
    (context / "Dockerfile").write_text(
        "FROM busybox\nCOPY big /big\nRUN wc -c < /big > /size\nCMD cat /size\n"
    )
    guard.cli("build", "-t", "guard-test-bk:1", "-t", "guard-test-bk:2", "app", **ON)
    assert guard.cli("run", "--rm", "guard-test-bk:1").stdout.strip() == "3000000"
    again = guard.cli("build", "-t", "guard-test-bk:1", "app", **ON)
    assert "CACHED" in again.stderr
    guard.cli("rmi", "guard-test-bk:1", "guard-test-bk:2")


def test_bake_names_an_other_target_by_its_tag(guard: Guard) -> None:
    file = {
        "a": {"dockerfile-inline": "FROM busybox\nRUN echo a > /a\n", "tags": ["guard-test-a:1"]},
        "b": {"dockerfile-inline": "FROM x\nCMD cat /a\n", "contexts": {"x": "target:a"}},
        "c": {"dockerfile-inline": "FROM guard-test-a:1\nCMD cat /a\n", "tags": ["guard-test-c:1"]},
    }
    (guard.project / "bake.json").write_text(json.dumps({"target": file}))
    done = guard.cli("buildx", "bake", "-f", "bake.json", "b", check=False, **ON)
    assert "name the tag in FROM" in done.stderr
    for target in "ac":
        guard.cli("buildx", "bake", "-f", "bake.json", "--load", target, **ON)
    assert guard.cli("run", "--rm", "guard-test-c:1").stdout == "a\n"
    guard.cli("rmi", "guard-test-c:1", "guard-test-a:1")


def test_buildx_build_load_with_secret_and_cache_mount(guard: Guard) -> None:
    (guard.project / "secret").write_text("s3cret")
    (guard.project / "Dockerfile.mounts").write_text(
        "FROM busybox\n"
        "RUN --mount=type=secret,id=token cp /run/secrets/token /token\n"
        "RUN --mount=type=cache,target=/cache echo kept >> /cache/file && cp /cache/file /file\n"
        "CMD cat /token /file\n"
    )
    guard.cli(
        "buildx", "build", "--load", "-t", "guard-test-mounts:1", "-f", "Dockerfile.mounts",
        "--secret", "id=token,src=secret", "app", **ON,
    )  # fmt: skip
    assert guard.cli("run", "--rm", "guard-test-mounts:1").stdout == "s3cretkept\n"
    guard.cli("rmi", "guard-test-mounts:1")


def test_build_with_ssh(guard: Guard) -> None:
    (guard.project / "Dockerfile.ssh").write_text(
        'FROM busybox\nRUN --mount=type=ssh test -S "$SSH_AUTH_SOCK" && echo agent > /x\nCMD cat /x\n'
    )
    agent = subprocess.Popen(
        ["ssh-agent", "-D", "-a", str(guard.root / "agent")], stdout=subprocess.DEVNULL
    )
    try:
        while not (guard.root / "agent").exists():
            agent.poll()
        env = {**ON["env"], "SSH_AUTH_SOCK": str(guard.root / "agent")}
        guard.cli(
            "buildx",
            "build",
            "--load",
            "--ssh",
            "default",
            "-t",
            "guard-test-ssh:1",
            "-f",
            "Dockerfile.ssh",
            "app",
            env=env,
        )
        assert guard.cli("run", "--rm", "guard-test-ssh:1").stdout == "agent\n"
        guard.cli("rmi", "guard-test-ssh:1")
    finally:
        agent.terminate()
        agent.wait()


def test_build_error_has_its_text(guard: Guard) -> None:
    done = guard.cli("build", "-", input="FROM busybox\nRUN echo why; exit 9\n", check=False, **ON)
    assert done.returncode == 1
    assert "exit code: 9" in done.stderr


def test_error_of_a_long_dockerfile(guard: Guard) -> None:
    """The engine sends the Dockerfile along with it."""
    text = "FROM busybox\n" + f"# {'x' * 78}\n" * 3000 + "RUN exit 9\n"
    done = guard.cli("build", "-", input=text, check=False, **ON)
    assert "exit code: 9" in done.stderr.splitlines()[-1]


def test_error_that_ends_with_a_space(guard: Guard) -> None:
    done = guard.cli("build", "-", input="FROM busybox\nSTOPSIGNAL $$\n", check=False, **ON)
    assert "nvalid signal" in done.stderr, done.stderr


def test_build_to_a_directory(guard: Guard) -> None:
    guard.cli(
        "buildx",
        "build",
        "-o",
        "type=local,dest=out",
        "-",
        input="FROM scratch\nCOPY --from=busybox /bin/busybox /b\n",
        **ON,
    )
    assert (guard.project / "out/b").exists()


def test_compose_build(guard: Guard) -> None:
    (guard.project / "compose.yaml").write_text(
        "services:\n  a:\n    image: guard-test-compose:1\n    build: {context: app}\n"
        "  b:\n    image: guard-test-compose:2\n    build: {context: app}\n"
    )
    guard.cli("compose", "-p", "bk", "build", **ON)
    guard.cli("rmi", "guard-test-compose:1", "guard-test-compose:2")


ATTACKS = {
    "host network": ["--network", "host"],
    "entitlement of the network": ["--allow", "network.host"],
    "insecure": ["--allow", "security.insecure"],
    "cgroup parent": ["--cgroup-parent", "/x"],
    "push": ["--push", "-t", "127.0.0.1:1/x"],
    "cache to a registry": ["--cache-to", "type=registry,ref=127.0.0.1:1/x"],
    "cache to s3": ["--cache-to", "type=s3,region=x,bucket=y"],
    "remote context": ["--build-context", "x=https://127.0.0.1/x.git"],
    "label": ["--label", "claudy.project=x"],
    "tag of the host": ["-t", "{t}"],
    "output to an image pushed": ["-o", "type=image,push=true,name=127.0.0.1:1/x"],
}


@pytest.mark.parametrize("words", ATTACKS.values(), ids=ATTACKS)
def test_attack(guard: Guard, untouched: Host, words: list[str]) -> None:
    words = [word.replace("{t}", untouched.tag) for word in words]
    text = f"FROM busybox\nRUN echo {words[0]} > /x\n"
    done = guard.cli("buildx", "build", *words, "-", input=text, check=False, **ON)
    assert done.returncode != 0, done.stderr


@pytest.mark.parametrize("line", ["RUN --network=host true", "RUN --security=insecure true"])
@pytest.mark.usefixtures("untouched")
def test_entitled_step(guard: Guard, line: str) -> None:
    """Without being allowed to the engine itself refuses it; the guard lets nobody be allowed."""
    text = f"FROM busybox\n{line}\n"
    assert guard.cli("build", "-", input=text, check=False, **ON).returncode != 0
    allowed = "network.host" if "network" in line else "security.insecure"
    words = ("buildx", "build", "--allow", allowed, "-")
    done = guard.cli(*words, input=text, check=False, **ON)
    assert done.returncode != 0
    assert "claudy guard" in done.stderr


def cached(guard: Guard) -> set[str]:
    """Return the ids of what the engine's builder has kept."""
    found = request(guard.engine.socket, "GET", "/system/df").json["BuildCache"]
    return {entry["ID"] for entry in found or []}


@pytest.mark.parametrize(
    "words",
    [["buildx", "du"], ["buildx", "prune", "-af"], ["builder", "prune", "-af"],
     ["system", "prune", "-af", "--volumes"]],
    ids=" ".join,
)  # fmt: skip
@pytest.mark.usefixtures("untouched")
def test_host_wide_calls(guard: Guard, words: list[str]) -> None:
    """What the host has built is in the engine's cache, is not told of, and stays there."""
    word = secrets.token_hex(4)
    host = {"DOCKER_HOST": guard.engine.host, **ON["env"]}
    guard.cli("build", "-q", "-", input=f"FROM busybox\nRUN echo {word} > /x\n", env=host)
    before = cached(guard)
    assert before
    done = guard.cli(*words, check=False, **ON)
    assert cached(guard) == before
    assert word not in done.stdout
    assert not [full for full in before if full in done.stdout]


@pytest.mark.usefixtures("untouched")
def test_host_wide_requests(guard: Guard) -> None:
    host = {"DOCKER_HOST": guard.engine.host, **ON["env"]}
    text = f"FROM busybox\nRUN echo {secrets.token_hex(4)} > /x\n"
    guard.cli("build", "-q", "-", input=text, env=host)
    before = cached(guard)
    for query in ("", "?all=1", "?all=true&keep-storage=0"):
        guard.ask("POST", f"/build/prune{query}")
    assert cached(guard) == before
    assert not guard.ask("GET", "/system/df").json["BuildCache"]


NAMESPACE = "ns"
OLD = (1, 45)
GOOD = {"Ref": "r" * 25, "Session": "s" * 25, "Exporter": "moby", "ExporterAttrs": {"name": "a"}}
SOLVES = {
    "entitlement": {"Entitlements": ["network.host"]},
    "own steps": {"Definition": b"\x0a\x01x"},
    "own inputs": {"FrontendInputs": [b"\x0a\x01x"]},
    "source policy": {"SourcePolicy": b"\x0a\x01x"},
    "gateway frontend": {"Frontend": "gateway.v0"},
    "frontend in other case": {"Frontend": "Dockerfile.v0"},
    "host network": {"FrontendAttrs": {"force-network-mode": "host"}},
    "network by name": {"FrontendAttrs": {"force-network-mode": "custom"}},
    "cgroup parent": {"FrontendAttrs": {"cgroup-parent": "/"}},
    "unknown option": {"FrontendAttrs": {"nosuch": "x"}},
    "frontend by its own words": {"FrontendAttrs": {"cmdline": "stranger"}},
    "frontend by its source": {"FrontendAttrs": {"source": "stranger"}},
    "remote context": {"FrontendAttrs": {"context": "http://169.254.169.254/"}},
    "git context": {"FrontendAttrs": {"context": "git@host:x"}},
    "named remote context": {"FrontendAttrs": {"context:x": "https://h/x"}},
    "named layout": {"FrontendAttrs": {"context:x": "oci-layout://h/x@sha256:0"}},
    "context in another option": {
        "FrontendAttrs": {"contextkey": "build-arg:X", "build-arg:X": "git://h/x"}
    },
    "context in capitals": {"FrontendAttrs": {"context": "GIT://h/x"}},
    "context of another user": {"FrontendAttrs": {"context": "user@h:x"}},
    "context in percent signs": {"FrontendAttrs": {"context": "h/x%2Egit"}},
    "claudy's label": {"FrontendAttrs": {"label:claudy.project": "x"}},
    "containerd exporter": {"Exporter": "image", "ExporterAttrs": {}},
    "oci exporter": {"Exporters": [{"Type": "oci", "Attrs": {}}]},
    "exporter that pushes": {"ExporterAttrs": {"push": "true"}},
    "insecure registry": {"ExporterAttrs": {"registry.insecure": "true"}},
    "cache to a registry": {"Cache": {"Exports": [{"Type": "registry", "Attrs": {"ref": "x"}}]}},
    "option that names the image": {"ExporterAttrs": {"dangling-name-prefix": "a:1,b"}},
    "option that names it, too": {"ExporterAttrs": {"danglingName": "a:1"}},
    "priority": {"FrontendAttrs": {"ulimit": "nofile=1:1,rtprio=99:99"}},
    "priority in quotes": {"FrontendAttrs": {"ulimit": '"rtprio=99:99"'}},
    "priority in another line": {"FrontendAttrs": {"ulimit": "\nrtprio=99:99"}},
    "no ref": {"Ref": ""},
    "odd ref": {"Ref": "../x"},
}


@pytest.mark.parametrize("fields", SOLVES.values(), ids=SOLVES)
def test_solve_message(fields: dict[str, object]) -> None:
    policy.solve(encode(GOOD, policy.SOLVE_REQUEST), NAMESPACE, OLD)
    with pytest.raises(Denied):
        policy.solve(encode({**GOOD, **fields}, policy.SOLVE_REQUEST), NAMESPACE, OLD)


@pytest.mark.parametrize("how", ["line", "build argument"])
@pytest.mark.usefixtures("untouched")
def test_syntax_of_a_stranger(guard: Guard, how: str) -> None:
    """An image that would be the frontend is not run: the engine's own reads the Dockerfile."""
    stranger = 'FROM busybox\nLABEL claudy-test=stranger\nCMD ["sh", "-c", "exit 7"]\n'
    guard.cli("build", "-t", "guard-test-stranger:1", "-", input=stranger, **ON)
    text = f"FROM busybox\nRUN echo mine {how} > /x\nCMD cat /x\n"
    words = []
    if how == "line":
        text = f"# syntax=guard-test-stranger:1\n{text}"
    else:
        words = ["--build-arg", "BUILDKIT_SYNTAX=guard-test-stranger:1"]
    guard.cli("build", *words, "-t", "guard-test-reader:1", "-", input=text, **ON)
    assert guard.cli("run", "--rm", "guard-test-reader:1").stdout == f"mine {how}\n"
    guard.cli("rmi", "guard-test-reader:1", "guard-test-stranger:1")


def test_contexts_of_the_client() -> None:
    contexts = {
        "context": "http://buildkit-session/abc",
        "context:a": "local:a",
        "context:b": "docker-image://busybox",
    }
    for attributes in (contexts, {"contextkey": "other"}):
        message = encode({**GOOD, "FrontendAttrs": attributes}, policy.SOLVE_REQUEST)
        policy.solve(message, NAMESPACE, policy.STAGES_API)


def test_cache_mounts_are_the_projects_own() -> None:
    evil = {**GOOD, "FrontendAttrs": {"build-arg:BUILDKIT_CACHE_MOUNT_NS": "others"}}
    found = decode(
        policy.solve(encode(evil, policy.SOLVE_REQUEST), NAMESPACE, OLD).data, policy.SOLVE_REQUEST
    )
    assert found["FrontendAttrs"]["build-arg:BUILDKIT_CACHE_MOUNT_NS"] == NAMESPACE
    assert "name" not in found.get("ExporterAttrs", {})


def test_a_session_does_not_say_what_is_exported() -> None:
    """Only files are read along on a session, where the client could name any tag of the host."""
    evil = {**GOOD, "EnableSessionExporter": True}
    data = policy.solve(encode(evil, policy.SOLVE_REQUEST), NAMESPACE, OLD).data
    assert "EnableSessionExporter" not in decode(data, policy.SOLVE_REQUEST)


@pytest.mark.parametrize(
    "data",
    [
        b"\xff" * 20,
        b"\x0a\xff\xff\xff\xff\x0f",
        b"\x0a\x05abc",
        b"\xf8\x07\x01",
        b"\x08\x01",
        b"\x0d\0\0\0\0",
    ],
    ids=["endless number", "length beyond", "cut", "unknown field", "wrong form", "fixed form"],
)
def test_malformed_message(data: bytes) -> None:
    with pytest.raises(Denied):
        policy.solve(data, NAMESPACE, OLD)


def test_builds_are_owned(guard: Guard) -> None:
    guard.cli(
        "build", "-t", "guard-test-owned:1", "-", input="FROM busybox\nRUN echo owned > /x\n", **ON
    )
    image = json.loads(guard.cli("image", "inspect", "guard-test-owned:1").stdout)[0]["Id"]
    assert image in guard.owned()["images"]
    guard.cli("rmi", "guard-test-owned:1")
    assert image not in guard.owned()["images"]


BRIDGE_SOLVE = encode(
    {"Frontend": "dockerfile.v0", "allowResultReturn": True, "allowResultArrayRef": True},
    policy.BRIDGE_REQUEST,
)


@pytest.mark.usefixtures("untouched")
def test_device_of_a_build(guard: Guard) -> None:
    """A step can make any device and open none; the daemon would open and read it."""
    field = buildclient.field
    with buildclient.frontend(guard.socket, b"FROM busybox\nRUN mknod /d c 1 5\n") as call:
        solved = call("Solve", BRIDGE_SOLVE)
        result = re.search(rb"\n\x19([a-z0-9]{25})", solved.data)
        assert result, solved
        about = call("StatFile", field(1, result[1]) + field(2, b"/d"))
        assert about.status == 0, about
        read = call("ReadFile", field(1, result[1]) + field(2, b"/d") + field(3, field(2, 8)))
        assert (read.status, "not offered" in read.message) == (12, True)


def metadata(name: bytes, value: bytes) -> bytes:
    return buildclient.field(10, buildclient.field(1, name) + buildclient.field(2, value))


NAMED = buildclient.field(1, b"linux/amd64")
RETURNED = {
    "nothing": b"",
    "both": buildclient.field(1, b"") + buildclient.field(2, b""),
    "a platform without a reference": buildclient.field(
        1, buildclient.field(4, buildclient.field(1, NAMED))
    ),
    "attestations without any": buildclient.field(1, buildclient.field(12, NAMED)),
    "no configuration": buildclient.field(1, metadata(b"containerimage.config", b" null")),
    "none of a platform": buildclient.field(
        1, metadata(b"containerimage.config/linux/amd64", b"null")
    ),
}


@pytest.mark.parametrize("data", RETURNED.values(), ids=RETURNED)
def test_returned_message(data: bytes) -> None:
    """Each ends one of the engines, and with it the host's containers."""
    with pytest.raises(Denied):
        policy.returned(data)


def test_what_is_returned_goes_on() -> None:
    field = buildclient.field
    config = metadata(b"containerimage.config", b"{}")
    reference = field(4, field(1, NAMED + field(2, field(1, b"id") + field(2, b"steps"))))
    for data in (b"\x0a\0", field(1, reference + config), field(2, b"\x08\2\x12\3why")):
        assert policy.returned(data) == data


@pytest.mark.usefixtures("untouched")
def test_build_that_returns_nothing(guard: Guard) -> None:
    with buildclient.frontend(guard.socket, b"FROM busybox\n") as call:
        assert call("Solve", BRIDGE_SOLVE).status == 0
        assert "either" in call("Return", b"").message
        assert call("Return", b"\x0a\0").status == 0


def byte_by_byte(message: bytes) -> list[bytes]:
    return [message[at : at + 1] for at in range(len(message))]


LINK = 1 << 27
PACKETS = {
    "the directory itself": [buildclient.stat("..", buildclient.DIRECTORY | 0o711)],
    "a link in its place": [buildclient.stat("..", LINK | 0o777, 0, buildclient.field(7, b"/"))],
    "a file in its place": [buildclient.stat("..", 0o644)],
    "one further up": [buildclient.stat("../../x", 0o644)],
    "from the root": [buildclient.stat("/x", 0o644)],
    "in the middle": [
        buildclient.stat("a", buildclient.DIRECTORY | 0o755),
        buildclient.stat("a/../..", buildclient.DIRECTORY | 0o755),
    ],
    "itself": [buildclient.stat(".", buildclient.DIRECTORY | 0o755)],
    "after a harmless name": [
        buildclient.field(2, buildclient.field(1, b"a") + buildclient.field(1, b".."))
    ],
    "in a second stat": [
        buildclient.stat("a") + buildclient.stat("..", buildclient.DIRECTORY | 0o711)
    ],
    "with contents": [
        buildclient.field(1, buildclient.DATA)
        + buildclient.stat("..", buildclient.DIRECTORY | 0o711)
        + buildclient.field(1, buildclient.STAT)
    ],
    "a hard link out": [
        buildclient.stat("a"),
        buildclient.stat("b", 0o644, 0, buildclient.field(7, b"../x")),
    ],
    "a second end": [b"\x08\0"],
    "after the end": [b"", buildclient.stat("b")],
    "after an end of more bits": [b"\x08\x80\x80\x80\x80\x10", buildclient.stat("b")],
    "a device": [buildclient.stat("d", 1 << 26 | 0o666)],
    "an overlay's attribute": [
        buildclient.stat(
            "a",
            buildclient.DIRECTORY | 0o755,
            0,
            buildclient.field(
                10, buildclient.field(1, b"trusted.overlay.redirect") + buildclient.field(2, b"/x")
            ),
        )
    ],
}


@pytest.mark.parametrize("pieces", [lambda m: [m], byte_by_byte], ids=["whole", "in bytes"])
@pytest.mark.parametrize("packets", PACKETS.values(), ids=PACKETS)
@pytest.mark.usefixtures("untouched")
def test_files_outside_of_the_context(guard: Guard, packets: list[bytes], pieces: Any) -> None:
    """Engines take some of these, and then a build has the host's files."""
    done = buildclient.build(guard.socket, packets, pieces=pieces)
    assert done.status != 0
    assert "/session" in guard.log.read_text()
    harmless = [buildclient.stat("..a", 0o644), buildclient.stat("a..", 0o644)]
    assert buildclient.build(guard.socket, harmless, pieces=pieces).status == 0


NO_STAGE = {
    "ARG": b"ARG x",
    "in small letters, behind comments": b"# escape=`\r\n\n \targ x=1\r\n",
    "a mark first": b"\xef\xbb\xbfARG x\n",
    "FROM in its second line": b"ARG x=\\\nFROM busybox\n",
    "behind a comment and nothing": b"ARG x=\\\n# no\n\nFROM busybox\n",
    "by another sign": b"# escape=`\nARG x=` \nFROM busybox\n",
    "a wide space first": "\u3000ARG x\n\u00a0# FROM y\n".encode(),
}
STAGE = {
    "FROM": b"FROM busybox",
    "after ARG": b"ARG x=1\nfrom busybox\nARG y\n",
    "after ARG in two lines": b"ARG x=1 \\\n  y=2\nFROM busybox\n",
    "nothing": b"",
    "no Dockerfile": b"node_modules\n",
}


@pytest.mark.parametrize(
    ("data", "found"), [(d, True) for d in NO_STAGE.values()] + [(d, False) for d in STAGE.values()]
)
def test_dockerfiles_that_have_no_stage(data: bytes, found: bool) -> None:
    assert has_no_stage(data) is found


@pytest.mark.parametrize("pieces", [lambda m: [m], byte_by_byte], ids=["whole", "in bytes"])
@pytest.mark.parametrize("data", NO_STAGE.values(), ids=NO_STAGE)
@pytest.mark.usefixtures("untouched")
def test_dockerfile_without_a_stage(guard: Guard, data: bytes, pieces: Any) -> None:
    """BuildKit before 0.15 ends with it, and the host's containers too."""
    assert buildclient.build(guard.socket, [], data, pieces).status != 0
    good = buildclient.build(guard.socket, [], STAGE["after ARG"], pieces)
    assert good.status == 0, good


def newer(guard: Guard) -> bool:
    """Whether the engine survives a Dockerfile without a stage, and says something else of it."""
    version = guard.ask("GET", "/version").json["ApiVersion"]
    return tuple(map(int, version.split("."))) >= policy.STAGES_API


@pytest.mark.usefixtures("untouched")
def test_dockerfile_without_a_stage_by_cli(guard: Guard) -> None:
    done = guard.cli("build", "-", input="ARG x\n", check=False, **ON)
    assert done.returncode != 0
    assert "FROM" in done.stderr or newer(guard)


@pytest.mark.parametrize(
    "attributes",
    [
        {"dockerfilekey": "context"},
        {"dockerfilekey": ""},
        {"context": "http://buildkit-session/abc"},
        {"contextkey": "other", "other": "http://buildkit-session/abc"},
    ],
)
def test_dockerfiles_that_are_not_looked_at(attributes: dict[str, str]) -> None:
    message = encode({**GOOD, "FrontendAttrs": attributes}, policy.SOLVE_REQUEST)
    with pytest.raises(Denied):
        policy.solve(message, NAMESPACE, OLD)
    bridge = encode({"FrontendOpt": attributes}, policy.BRIDGE_REQUEST)
    with pytest.raises(Denied):
        policy.bridge_solve(bridge, NAMESPACE, OLD)


def test_compressed_files(guard: Guard) -> None:
    """What can't be looked at is not passed on."""
    packet = gzip.compress(buildclient.stat("..", buildclient.DIRECTORY | 0o711))

    def compressed(message: bytes) -> list[bytes]:
        if message[5:] != b"marked":
            return [message]
        return [b"\1" + len(packet).to_bytes(4, "big") + packet]

    assert buildclient.build(guard.socket, [b"marked"], pieces=compressed).status != 0
    assert "compressed" in guard.log.read_text()


@pytest.mark.usefixtures("untouched")
def test_directory_of_a_repository(guard: Guard) -> None:
    """CVE-2026-33748: it may be a link to the host's files; no repository is asked for it."""

    def said(source: str) -> str:
        text = f"FROM busybox\nADD {source} /x\n"
        done = guard.cli("build", "-", input=text, check=False, **ON)
        assert done.returncode != 0
        return str(done.stderr)

    repository = "https://127.0.0.1:1/x.git#main"
    if guard.engine.name == "20.10":  # an address is a file there
        assert "policy" not in said(f"{repository}:x")
        return
    assert "policy" not in said(repository)
    for directory in (":x", ":./x/y", ":x/../y", "%3Ax", "%253Ax", "%253ax"):
        assert "denied by policy" in said(repository + directory)


def test_newer_engines_may_be_asked_for_directories() -> None:
    data = encode(GOOD, policy.SOLVE_REQUEST)
    old = decode(policy.solve(data, NAMESPACE, OLD).data, policy.SOLVE_REQUEST)
    new = decode(policy.solve(data, NAMESPACE, policy.MENDED_API).data, policy.SOLVE_REQUEST)
    assert old.pop("SourcePolicy")
    assert old == new


IMPORTS: dict[str, dict[str, object]] = {
    "directory": {"Cache": {"Imports": [{"Type": "local", "Attrs": {"src": "/"}}]}},
    "registry": {"Cache": {"Imports": [{"Type": "registry", "Attrs": {"ref": "x"}}]}},
    "option": {"FrontendAttrs": {"cache-imports": '[{"Type":"registry","Attrs":{"ref":"x"}}]'}},
    "older option": {"FrontendAttrs": {"cache-from": "x"}},
}


@pytest.mark.parametrize("fields", IMPORTS.values(), ids=IMPORTS)
def test_caches_are_not_imported(fields: dict[str, object]) -> None:
    """They say what a step gives, and the engine believes it for the host's builds, too."""
    plain = policy.solve(encode(GOOD, policy.SOLVE_REQUEST), NAMESPACE, OLD).data
    found = policy.solve(encode({**GOOD, **fields}, policy.SOLVE_REQUEST), NAMESPACE, OLD).data
    table = policy.SOLVE_REQUEST
    assert decode(found, table) | {"Cache": {}} == decode(plain, table) | {"Cache": {}}
    assert not decode(found, table).get("Cache")


STEPS = {
    "secret": "RUN --mount=type=secret,id=t cp /run/secrets/t /x",
    "cache mount": "RUN --mount=type=cache,id=t-{n},target=/c cat /c/evil >/x 2>/dev/null || echo good >/x",
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.usefixtures("untouched")
def test_steps_are_not_the_hosts(guard: Guard, tmp_path: Path, step: str) -> None:
    """What a step gives may depend on what is no part of it: the host's build runs it itself."""
    word = secrets.token_hex(4)
    line = STEPS[step].replace("{n}", word)
    text = f"FROM busybox\nARG {word}\n{line}\nCMD cat /x\n"
    (guard.project / "evil").write_text("evil\n")
    (tmp_path / "good").write_text("good\n")
    (tmp_path / "Dockerfile").write_text(text)
    if step == "cache mount":
        fill = f"FROM busybox\nRUN --mount=type=cache,id=t-{word},target=/c echo evil >/c/evil\n"
        guard.cli("build", "-", input=fill, **ON)
    guard.cli(
        "build", "--secret", "id=t,src=evil", "-t", f"guard-test-{word}", "-", input=text, **ON
    )
    assert guard.cli("run", "--rm", f"guard-test-{word}").stdout == "evil\n"
    words = ["--secret", f"id=t,src={tmp_path}/good", "-t", f"host-{word}", str(tmp_path)]
    done = subprocess.run(
        [guard.engine.program, "build", *words],
        env=guard.engine.environment | ON["env"],
        capture_output=True,
        text=True,
        check=True,
    )
    try:
        assert guard.engine.cli("run", "--rm", f"host-{word}").stdout == "good\n", done.stderr
    finally:
        guard.engine.cli("rmi", f"host-{word}")
        guard.cli("rmi", f"guard-test-{word}")


def test_hosts_of_steps_are_not_the_hosts_alone() -> None:
    """The daemon reads one line: after the client's end of a line it saw nothing of the guard's."""
    attributes = {"add-hosts": "x=10.0.0.1\n"}
    message = encode({**GOOD, "FrontendAttrs": attributes}, policy.SOLVE_REQUEST)
    found = decode(policy.solve(message, NAMESPACE, OLD).data, policy.SOLVE_REQUEST)
    assert found["FrontendAttrs"]["add-hosts"] == "claudy-ns=127.0.0.1,x=10.0.0.1\n"


def test_archive_of_a_context(guard: Guard) -> None:
    """Where the engine survives what could be in it."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name, text in {"Dockerfile": "FROM busybox\nCOPY f /f\n", "f": "sent"}.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    command = [newest_cli(), "build", "-t", "guard-test-sent:1", "-"]
    env = {**guard.environment, **ON["env"]}
    done = subprocess.run(command, input=data.getvalue(), env=env, capture_output=True, check=False)
    if not newer(guard):
        assert done.returncode != 0
        assert b"DOCKER_BUILDKIT=0" in done.stderr
        return
    assert done.returncode == 0, done.stderr
    assert guard.cli("run", "--rm", "guard-test-sent:1", "cat", "/f").stdout == "sent"
    guard.cli("rmi", "guard-test-sent:1")


def test_refusal_says_why(guard: Guard) -> None:
    """Whichever of a build's calls is answered first."""
    for _ in range(5):
        done = guard.cli(
            "build", "--network", "host", "-", input="FROM busybox\n", check=False, **ON
        )
        assert "is the host's to give" in done.stderr
