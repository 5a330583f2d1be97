"""Attacks on images of the host: their names, and to whom they are taken to belong."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import secrets
import socket
import tarfile
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tests.guard.raw import request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.guard.conftest import Guard, Host
    from tests.guard.raw import Answer

TAR = {"Content-Type": "application/x-tar"}
OCI = "application/vnd.oci.image"
SECONDS = 30


def packed(*files: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def describe(kind: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": f"{OCI}.{kind}", "digest": digest(data), "size": len(data)}


class Image:
    """An image of one file, never seen before."""

    def __init__(self, *, layers: int = 1) -> None:
        self.layer = packed(("word", secrets.token_hex(8).encode()))
        config = {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["x"]},
            "rootfs": {"type": "layers", "diff_ids": [digest(self.layer)] * layers},
        }
        self.config = json.dumps(config).encode()
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{OCI}.manifest.v1+json",
            "config": describe("config.v1+json", self.config),
            "layers": [describe("layer.v1.tar", self.layer)] * layers,
        }
        self.manifest = json.dumps(manifest).encode()
        self.digest = digest(self.manifest)


class Registry(http.server.ThreadingHTTPServer):
    """A registry with one image under every name, which gives its parts when it is told to."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Registry)
        self.image = Image()
        self.asked, self.open = threading.Event(), threading.Event()
        self.broken = False

    @property
    def address(self) -> str:
        """Its address, as in a reference."""
        return f"127.0.0.1:{self.server_address[1]}"


class _Registry(http.server.BaseHTTPRequestHandler):
    server: Registry
    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        if self.connection.recv(1, socket.MSG_PEEK) == b"\x16":  # TLS, which is tried first
            self.connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")
            return
        super().handle()

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        image = self.server.image
        data, kind = b"{}", "application/json"
        if "/manifests/" in self.path:
            data, kind = image.manifest, f"{OCI}.manifest.v1+json"
        elif "/blobs/" in self.path:
            self.server.asked.set()
            assert self.server.open.wait(SECONDS)
            data = image.config if self.path.endswith(digest(image.config)) else image.layer
        self.send_response(404 if "/blobs/" in self.path and self.server.broken else 200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Docker-Content-Digest", digest(data))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def shop() -> Iterator[Registry]:
    """Return a registry of the test's own."""
    with Registry() as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield found
        found.open.set()
        found.shutdown()
        thread.join()


class Room:
    """Images of the engine, as the host sees them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.added: list[str] = []

    def id(self, ref: str) -> str:
        """Return the id that a reference means; empty: none."""
        answer = request(self.path, "GET", f"/images/{ref}/json")
        return str(answer.json["Id"]) if answer.status == 200 else ""

    def names(self, image: str) -> set[str]:
        """Return all names of an image."""
        found = request(self.path, "GET", f"/images/{image}/json").json
        return {*(found["RepoTags"] or []), *(found["RepoDigests"] or [])}

    def pull(self, ref: str) -> str:
        """Pull by digest as the host and return the image's id."""
        name, _, word = ref.partition("@")
        answer = request(self.path, "POST", f"/images/create?fromImage={name}&tag={word}")
        return self._new(ref, answer)

    def build(self, tag: str, context: bytes = b"") -> str:
        """Build as the host and return the image's id."""
        context = context or packed(("Dockerfile", b"FROM busybox\nRUN echo %s > /x\n" % word()))
        answer = request(self.path, "POST", f"/build?t={tag}", context, TAR)
        return self._new(tag, answer)

    def _new(self, ref: str, answer: Answer) -> str:
        image = self.id(ref)
        assert image, answer.body
        self.added.append(image)
        return image


def word() -> bytes:
    return secrets.token_hex(8).encode()


@pytest.fixture
def room(host: Host) -> Iterator[Room]:
    """Return the engine's images; what the test adds as the host is removed."""
    found = Room(host.engine.socket)
    yield found
    for image in found.added:
        request(found.path, "DELETE", f"/images/{image}?force=1")


def owns(guard: Guard, image: str) -> bool:
    return image in guard.owned().get("images", {})


# -- archives --------------------------------------------------------------------------------


@pytest.mark.parametrize("named", ["config", "layers"])
def test_load_of_an_archive_with_an_index(guard: Guard, untouched: Host, named: str) -> None:
    """Parts of an image that are called what containerd reads tags from."""
    image = Image()
    manifest = describe("manifest.v1+json", image.manifest) | {
        "platform": {"architecture": "amd64", "os": "linux"},
        "annotations": {"io.containerd.image.name": f"docker.io/library/{untouched.tag}"},
    }
    index = json.dumps({"schemaVersion": 2, "manifests": [manifest]}).encode()
    blobs = [
        (f"blobs/sha256/{digest(data)[7:]}", data)
        for data in (image.manifest, image.config, image.layer)
    ]
    files = [
        ("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'),
        ("index.json", index),
        *blobs,
    ]
    parts = [name for name, _ in files]
    entry = {"Config": parts[-2], "Layers": ["./oci-layout", "./index.json", *parts[2:]]}
    if named == "config":
        entry = {"Config": "index.json", "Layers": [parts[0], *parts[2:]]}
    listed = json.dumps([entry | {"RepoTags": None}]).encode()
    guard.ask("POST", "/images/load", packed(*files, ("manifest.json", listed)), **TAR)


def test_load_of_an_archive_with_links(guard: Guard) -> None:
    """As old engines save an image that has a layer twice."""
    image = Image(layers=2)
    one, two = (f"{secrets.token_hex(32)}/layer.tar" for _ in range(2))
    entry = {"Config": "c.json", "RepoTags": ["guard-test-links:1"], "Layers": [one, two]}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        link = tarfile.TarInfo(two)
        link.type, link.linkname = tarfile.SYMTYPE, f"../{one}"
        tar.addfile(link)
    files = (one, image.layer), ("c.json", image.config)
    listed = ("manifest.json", json.dumps([entry]).encode())
    archive = buffer.getvalue()[:512] + packed(*files, listed)
    answer = guard.ask("POST", "/images/load", archive, **TAR)
    assert b"Loaded image: guard-test-links:1" in answer.content
    made = guard.ask("GET", "/images/guard-test-links:1/json").json
    assert made["RootFS"]["Layers"] == [digest(image.layer)] * 2
    assert guard.ask("DELETE", "/images/guard-test-links:1").status == 200


def test_load_of_an_archive_without_a_part(guard: Guard) -> None:
    image = Image()
    entry = {"Config": "c.json", "RepoTags": None, "Layers": ["layer.tar"]}
    listed = json.dumps([entry]).encode()
    archive = packed(("c.json", image.config), ("manifest.json", listed))
    answer = guard.ask("POST", "/images/load", archive, **TAR)
    assert answer.status == 400
    assert "layer.tar" in answer.message


# -- what the host makes meanwhile -----------------------------------------------------------


@pytest.mark.parametrize("broken", [True, False], ids=["fails", "succeeds"])
def test_tag_that_the_host_makes_during_a_pull(
    guard: Guard, untouched: Host, room: Room, shop: Registry, broken: bool
) -> None:
    tag = f"{shop.address}/app:dev"
    shop.broken = broken
    asked = f"/images/create?fromImage={tag.removesuffix(':dev')}&tag=dev"
    pull = threading.Thread(target=guard.ask, args=("POST", asked))
    pull.start()
    assert shop.asked.wait(SECONDS)
    image = room.build(tag)
    shop.open.set()
    pull.join()
    assert not owns(guard, image)
    assert room.id(tag) == image
    repo = tag.removesuffix(":dev")
    assert guard.ask("POST", f"/images/{untouched.tag}/tag?repo={repo}&tag=dev").status == 403
    assert guard.ask("DELETE", f"/images/{tag}?force=1").status == 403
    assert guard.ask("DELETE", f"/images/{image}?force=1").status == 403
    assert room.id(tag) == image


@pytest.mark.parametrize("more", ["", "RUN true\n"], ids=["alone", "with a step"])
@pytest.mark.usefixtures("untouched")
def test_image_that_the_host_makes_during_a_build(guard: Guard, room: Room, more: str) -> None:
    """The guard has looked at what was there before, and the name of it comes late."""
    context = packed(("Dockerfile", f"FROM busybox\nRUN true\nFROM guardlate:1\n{more}".encode()))
    head = (
        "POST /build?t=guard-test-late:1 HTTP/1.1\r\nHost: d\r\nContent-Type: application/x-tar\r\n"
    )
    head += f"Content-Length: {len(context)}\r\n\r\n"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(SECONDS)
        sock.connect(str(guard.socket))
        sock.sendall(head.encode() + context[:1024])
        request(guard.socket, "GET", "/images/json")
        image = room.build("guardlate:1")
        sock.sendall(context[1024:])
        answer = b""
        while block := sock.recv(65536):
            answer += block
    assert b"Successfully tagged" in answer, answer
    assert not owns(guard, image)
    assert guard.ask("DELETE", f"/images/{image}?force=1").status == 403
    assert room.id("guardlate:1") == image
    guard.cli("rmi", "guard-test-late:1")
    assert room.id("guardlate:1") == image


# -- names -----------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [4, 9, 11])
@pytest.mark.parametrize("how", ["tag", "commit", "import", "build", "load"])
@pytest.mark.usefixtures("untouched")
def test_name_that_is_a_short_id(guard: Guard, room: Room, how: str, length: int) -> None:
    """Docker prefers a name to the beginning of an id: the host would run the sandbox's image."""
    full = room.id("busybox")
    short = full.removeprefix("sha256:")[:length]
    if how == "build":
        context = packed(("Dockerfile", b"FROM busybox\nRUN true\n"))
        assert b"short id" in guard.ask("POST", f"/build?t={short}", context, **TAR).content
    elif how == "load":
        entry = {"Config": "c.json", "RepoTags": [f"{short}:latest"], "Layers": ["layer.tar"]}
        files = ("c.json", Image().config), ("manifest.json", json.dumps([entry]).encode())
        assert guard.ask("POST", "/images/load", packed(*files), **TAR).status == 403
    elif how == "commit":
        container = guard.create().json["Id"]
        answer = guard.ask("POST", f"/commit?container={container}&repo={short}")
        assert answer.status == 403
        guard.ask("DELETE", f"/containers/{container}")
    else:
        target = f"/images/{full}/tag?" if how == "tag" else "/images/create?fromSrc=-&"
        body = packed(("x", b"")) if how == "import" else None
        assert guard.ask("POST", f"{target}repo={short}&tag=latest", body).status == 403
    assert room.id(short) == full


def test_name_that_is_nobody_s_short_id(guard: Guard, room: Room) -> None:
    taken = {image["Id"][7:11] for image in request(room.path, "GET", "/images/json?all=1").json}
    name = next(word for number in range(10) if (word := f"{number}bad") not in taken)
    guard.cli("tag", "busybox", name)
    guard.cli("rmi", name)


@pytest.mark.parametrize("how", ["tag", "pull"])
@pytest.mark.usefixtures("untouched")
def test_digest_of_the_host_with_the_last_tag(
    guard: Guard, room: Room, shop: Registry, how: str
) -> None:
    """With the last tag of a repository the daemon removes what was pulled from there by digest."""
    shop.open.set()
    name = f"{shop.address}/app@{shop.image.digest}"
    image = room.pull(name)
    mine = f"{shop.address}/app:mine"
    guard.cli(*(["pull", mine] if how == "pull" else ["tag", image, mine]))
    assert room.id(mine) == image
    guard.cli("tag", image, "guard-test-digest:1")
    for ref in (mine, f"{mine}?force=1"):
        assert guard.ask("DELETE", f"/images/{ref}").status == 403
    assert name in room.names(image)
    guard.cli("rmi", "guard-test-digest:1")


@pytest.mark.parametrize("how", ["remove", "prune"])
@pytest.mark.usefixtures("untouched")
def test_digest_of_the_host_on_an_image_of_the_sandbox(
    guard: Guard, room: Room, shop: Registry, how: str
) -> None:
    shop.open.set()
    guard.cli("pull", f"{shop.address}/mine:1")
    name = f"{shop.address}/app@{shop.image.digest}"
    image = room.pull(name)
    assert owns(guard, image)
    if how == "remove":
        for ref in (image, name, f"{shop.address}/mine@{shop.image.digest}"):
            assert guard.ask("DELETE", f"/images/{quote(ref)}?force=1").status == 403
    else:
        filters = quote(json.dumps({"dangling": ["false"]}))
        answer = guard.ask("POST", f"/images/prune?filters={filters}")
        assert image not in answer.content.decode()
    assert {name, f"{shop.address}/mine:1"} <= room.names(image)


def test_all_tags_that_are_pushed_are_own_ones(guard: Guard, registry: str) -> None:
    name = f"{registry}/guard-test-all"
    text = f"FROM busybox\nLABEL x={word().decode()}\n"
    assert guard.cli("push", "-a", name, check=False).returncode == 1
    guard.cli("build", "-t", f"{name}:1", "-t", f"{name}:2", "-", input=text)
    guard.engine.cli("tag", "busybox", f"{name}:host")
    said = guard.cli("push", "-a", name).stdout
    assert [line[:10] for line in said.splitlines() if " size: " in line] == [
        "1: digest:",
        "2: digest:",
    ]
    guard.engine.cli("rmi", f"{name}:host")
    guard.cli("rmi", f"{name}:1", f"{name}:2")
    guard.cli("pull", f"{name}:2")
    assert guard.cli("pull", f"{name}:host", check=False).returncode == 1
    guard.cli("rmi", f"{name}:2")


@pytest.mark.parametrize("how", ["tag", "digest", "id", "prune"])
def test_own_image_of_a_registry_can_go(guard: Guard, room: Room, registry: str, how: str) -> None:
    """With the digests that it has from a push and a pull."""
    name = f"{registry}/guard-test-{how}"
    guard.cli("build", "-t", f"{name}:1", "-", input=f"FROM busybox\nLABEL x={word().decode()}\n")
    guard.cli("push", f"{name}:1")
    guard.cli("rmi", f"{name}:1")
    assert not room.id(f"{name}:1")
    guard.cli("pull", f"{name}:1")
    image = room.id(f"{name}:1")
    assert owns(guard, image)
    if how == "digest":
        by_digest = guard.cli(
            "image", "inspect", "-f", "{{index .RepoDigests 0}}", f"{name}:1"
        ).stdout
        guard.cli("pull", by_digest.strip())
        guard.cli("rmi", f"{name}:1")
        if room.id(image):
            guard.cli("rmi", by_digest.strip())
    elif how == "prune":
        guard.cli("image", "prune", "-af")
    else:
        guard.cli("rmi", image if how == "id" else f"{name}:1")
    assert not room.id(image)
    assert not owns(guard, image)
    assert not [tag for tag in guard.owned()["tags"] if tag.startswith(name)]


@pytest.mark.usefixtures("untouched")
def test_pull_by_tag_and_digest_leaves_no_odd_name(
    guard: Guard, room: Room, shop: Registry
) -> None:
    """Where containerd keeps the images, the two together would be one more name."""
    shop.open.set()
    image = room.pull(f"{shop.address}/app@{shop.image.digest}")
    before = room.names(image)
    for asked in (
        f"{shop.address}/app:odd@{shop.image.digest}",
        f"{shop.address}/app:odd&tag={shop.image.digest}",
    ):
        answer = guard.ask("POST", f"/images/create?fromImage={asked}")
        assert b"errorDetail" not in answer.content
        assert room.names(image) == before


@pytest.mark.parametrize("term", ["127.0.0.1:5000/x", "localhost/x", "registry.example/x", "a:1/b"])
@pytest.mark.usefixtures("untouched")
def test_search_at_an_address(guard: Guard, term: str) -> None:
    assert guard.ask("GET", f"/images/search?term={quote(term, safe='')}").status == 403
