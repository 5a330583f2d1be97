"""Attacks on the framing and spelling of requests; every one must leave the host as it was."""

# ruff: noqa: E501 - one attack is one line
from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest

from tests.guard.raw import exchange

if TYPE_CHECKING:
    from tests.guard.conftest import Guard, Host

EVIL = json.dumps(
    {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"Privileged": True}}
).encode()
PLAIN = json.dumps({"Image": "busybox", "Cmd": ["true"]}).encode()


def http(line: str, body: bytes = EVIL, headers: str = "", *, length: bool = True) -> bytes:
    size = f"Content-Length: {len(body)}\r\n" if length else ""
    head = f"{line}\r\nHost: docker\r\nContent-Type: application/json\r\n{size}{headers}\r\n"
    return head.encode("latin-1") + body


TARGETS = {
    "dot segments over the version": "/v1.41/../containers/create",
    "double slash": "//containers/create",
    "double slash inside": "/v1.41//containers/create",
    "escaped letter": "/%63ontainers/create",
    "escaped dots": "/v1.41/%2e%2e/containers/create",
    "escaped slash": "/containers%2fcreate",
    "matrix parameter": "/containers/create;a",
    "escaped NUL": "/containers/create%00",
    "absolute form": "http://docker/containers/create",
    "absolute form of a file": "file:///containers/create",
    "authority form": "docker:80",
    "asterisk form": "*",
    "fragment": "/containers/create#x",
    "trailing slash": "/containers/create/",
    "upper case": "/Containers/Create",
    "backslash": "/containers\\create",
    "version with a letter": "/v1.41x/containers/create",
    "version twice": "/v1.41/v1.41/containers/create",
    "version too old": "/v1.24/containers/create",
    "version too new": "/v1.99/containers/create",
    "version with leading zeros": "/v01.041/containers/create/",
    "dots at the end": "/containers/create/..",
    "single dot": "/./containers/create",
    "space": "/containers/create%20",
    "newline": "/containers/create%0a",
    "full width": "/containers/%EF%BD%83reate",
    "escaped question mark": "/containers/create%3Fx",
}


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
@pytest.mark.usefixtures("untouched")
def test_target(guard: Guard, target: str) -> None:
    assert 400 <= exchange(guard.socket, http(f"POST {target} HTTP/1.1")).status < 500


LINE = "POST /containers/create HTTP/1.1"
CHUNKED = f"{len(EVIL):x}\r\n".encode() + EVIL + b"\r\n0\r\n\r\n"
FRAMES = {
    "length and chunked": http(
        LINE,
        CHUNKED,
        f"Content-Length: {len(PLAIN)}\r\nTransfer-Encoding: chunked\r\n",
        length=False,
    ),
    "two lengths": http(LINE, PLAIN, "Content-Length: 0\r\n"),
    "two equal lengths": http(LINE, PLAIN, f"Content-Length: {len(PLAIN)}\r\n"),
    "list of lengths": http(
        LINE, PLAIN, f"Content-Length: {len(PLAIN)}, {len(PLAIN)}\r\n", length=False
    ),
    "signed length": http(LINE, PLAIN, f"Content-Length: +{len(PLAIN)}\r\n", length=False),
    "hexadecimal length": http(LINE, PLAIN, "Content-Length: 0x20\r\n", length=False),
    "odd coding": http(LINE, PLAIN, "Transfer-Encoding: xchunked\r\n", length=False),
    "two codings": http(LINE, PLAIN, "Transfer-Encoding: gzip, chunked\r\n", length=False),
    "two coding fields": http(
        LINE, PLAIN, "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", length=False
    ),
    "space before the colon": http(LINE, PLAIN, f"Content-Length : {len(PLAIN)}\r\n", length=False),
    "folded field": http(LINE, PLAIN, "X-A: b\r\n Content-Length: 0\r\n"),
    "bare line feed": http(LINE, PLAIN).replace(b"\r\n", b"\n", 1),
    "bare line feeds": http(LINE, PLAIN).replace(b"\r\n", b"\n"),
    "bare carriage return": http(LINE, PLAIN, "X-A: b\rContent-Length: 0\r\n"),
    "NUL in a field": http(LINE, PLAIN, "X-A: b\0c\r\n"),
    "HTTP/1.0": http("POST /containers/create HTTP/1.0", PLAIN),
    "HTTP/2 in the line": http("POST /containers/create HTTP/2.0", PLAIN),
    "HTTP/0.9": b"GET /containers/json\r\n\r\n",
    "prior knowledge of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
    "unknown method": http("BREW /containers/create HTTP/1.1", PLAIN),
    "lower case method": http("post /containers/create HTTP/1.1", PLAIN),
    "CONNECT": http("CONNECT 127.0.0.1:22 HTTP/1.1", b""),
    "two hosts": http(LINE, PLAIN, "Host: other\r\n"),
    "chunk size too large": http(
        LINE, b"ffffffffffffffffff\r\n" + EVIL, "Transfer-Encoding: chunked\r\n", length=False
    ),
    "negative chunk": http(LINE, b"-1\r\n" + EVIL, "Transfer-Encoding: chunked\r\n", length=False),
    "chunk without end": http(
        LINE, b"5\r\n{}   XX0\r\n\r\n", "Transfer-Encoding: chunked\r\n", length=False
    ),
    "tab in the line": http("POST\t/containers/create HTTP/1.1", PLAIN),
    "two spaces in the line": http("POST  /containers/create HTTP/1.1", PLAIN),
    "override of the method": http(
        "GET /containers/json HTTP/1.1", b"", "X-HTTP-Method-Override: POST\r\n"
    ).replace(b"GET", b"BAD", 1),
}


@pytest.mark.parametrize("data", FRAMES.values(), ids=FRAMES)
@pytest.mark.usefixtures("untouched")
def test_framing(guard: Guard, data: bytes) -> None:
    before = containers(guard)
    answer = exchange(guard.socket, data, half_close=True)
    assert answer.status == 0 or 400 <= answer.status < 500
    assert containers(guard) == before


def containers(guard: Guard) -> set[str]:
    from tests.guard.raw import request

    return {c["Id"] for c in request(guard.engine.socket, "GET", "/containers/json?all=1").json}


PIPELINES = {
    "create behind a list": http("GET /containers/json HTTP/1.1", b"") + http(LINE),
    "create behind a ping": http("GET /_ping HTTP/1.1", b"") + http(LINE),
    "create in the early bytes of a bad exec": http(
        "POST /exec/bad/start HTTP/1.1", b"{}", "Connection: Upgrade\r\nUpgrade: tcp\r\n"
    )
    + http(LINE),
    "create behind an upgraded info": http(
        "GET /info HTTP/1.1", b"", "Connection: Upgrade\r\nUpgrade: tcp\r\n"
    )
    + http(LINE),
    "create behind an upgraded version": http(
        "GET /version HTTP/1.1", b"", "Connection: Upgrade\r\nUpgrade: h2c\r\n"
    )
    + http(LINE),
    "create behind a wait": http("POST /containers/none/wait HTTP/1.1", b"") + http(LINE),
    "create behind an expectation": http("GET /_ping HTTP/1.1", b"", "Expect: 100-continue\r\n")
    + http(LINE),
    "create behind h2c": http("POST /grpc HTTP/1.1", b"", "Connection: Upgrade\r\nUpgrade: h2c\r\n")
    + http(LINE),
    "create behind a session": http(
        "POST /session HTTP/1.1", b"", "Connection: Upgrade\r\nUpgrade: h2c\r\n"
    )
    + http(LINE),
}


@pytest.mark.parametrize("data", PIPELINES.values(), ids=PIPELINES)
@pytest.mark.usefixtures("untouched")
def test_pipelined(guard: Guard, data: bytes) -> None:
    before = containers(guard)
    answer = exchange(guard.socket, data, half_close=True)
    assert answer.body.count(b"HTTP/1.1") == 0
    assert containers(guard) == before


@pytest.mark.usefixtures("untouched")
def test_early_bytes_of_an_attach_to_a_dead_container(guard: Guard) -> None:
    full = guard.create().json["Id"]
    before = containers(guard)
    line = f"POST /containers/{full}/attach?stream=1&stdin=1 HTTP/1.1"
    exchange(
        guard.socket,
        http(line, b"", "Connection: Upgrade\r\nUpgrade: tcp\r\n") + http(LINE),
        half_close=True,
    )
    assert containers(guard) == before
    guard.cli("rm", "-f", full)


QUERIES = {
    "key twice": "/containers/json?all=0&all=1",
    "filters twice": "/containers/json?filters=%7B%7D&filters=%7B%22label%22%3A%5B%22a%22%5D%7D",
    "unknown key": "/containers/json?nosuch=1",
    "semicolon": "/containers/json?all=1;filters=%7B%7D",
    "broken escape": "/containers/json?all=%zz",
    "NUL": "/containers/json?since=%00",
    "not UTF-8": "/containers/json?since=%ff",
    "filter with a duplicate key": "/containers/json?filters=%7B%22name%22%3A%5B%5D%2C%22name%22%3A%5B%22a%22%5D%7D",
    "unknown filter": "/containers/json?filters=%7B%22nosuch%22%3A%5B%22a%22%5D%7D",
    "before a container of the host": "/containers/json?before={host}",
    "since a container of the host": "/containers/json?since={host}",
    "filter before a container of the host": "/containers/json?filters=%7B%22before%22%3A%5B%22{host}%22%5D%7D",
    "escaped key": "/containers/json?%61ll=1",
    "array key": "/containers/json?all[]=1",
}


@pytest.mark.parametrize("target", QUERIES.values(), ids=QUERIES)
def test_query(guard: Guard, untouched: Host, target: str) -> None:
    answer = guard.ask("GET", target.replace("{host}", untouched.container))
    assert 400 <= answer.status < 500


FORMS = {
    "prune of all": ("/containers/prune", b"filters={}"),
    "prune of volumes": ("/volumes/prune", b"filters=%7B%22all%22%3A%5B%22true%22%5D%7D"),
    "checkpoint at start": ("/containers/{own}/start", b"checkpoint=../../x&checkpoint-dir=/"),
    "rename": ("/containers/{own}/rename?name=fine", b"name=abcdefabcdef"),
    "image from an address": ("/images/create?fromSrc=-", b"fromSrc=http://127.0.0.1/"),
    "update": ("/containers/{own}/update", b"RestartPolicy=always"),
    "kill": ("/containers/{own}/kill", b"signal=KILL"),
}


@pytest.mark.parametrize(("target", "body"), FORMS.values(), ids=FORMS)
@pytest.mark.usefixtures("untouched")
def test_urlencoded_body(guard: Guard, target: str, body: bytes) -> None:
    full = guard.create().json["Id"]
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = guard.ask("POST", target.replace("{own}", full), body, **kind)
    if "fromSrc" in target:
        # The body is the archive: it is not one, and nothing was fetched.
        assert b"error" in answer.body or answer.status >= 400
    else:
        assert 400 <= answer.status < 500
    found = json.loads(guard.engine.cli("inspect", full).stdout)[0]
    assert not found["State"]["Running"]
    guard.cli("rm", "-f", full)


JSONS = {
    "other case": b'{"Image":"busybox","HostConfig":{},"hostconfig":{"Privileged":true}}',
    "other case inside": b'{"Image":"busybox","HostConfig":{"privileged":true}}',
    "long s": b'{"Image":"busybox","HostConfig":{},"Ho\xc5\xbftConfig":{"Privileged":true}}',
    "escaped long s": b'{"Image":"busybox","HostConfig":{},"Ho\\u017ftConfig":{"Privileged":true}}',
    "Kelvin sign": b'{"Image":"busybox","HostConfig":{"Networ\\u212aMode":"host"}}',
    "duplicate": b'{"Image":"busybox","HostConfig":{"Privileged":true},"HostConfig":{}}',
    "duplicate last": b'{"Image":"busybox","HostConfig":{},"HostConfig":{"Privileged":true}}',
    "second value": b'{"Image":"busybox"} {"HostConfig":{"Privileged":true}}',
    "byte order mark": b'\xef\xbb\xbf{"Image":"busybox","HostConfig":{"Privileged":true}}',
    "UTF-16": '{"Image":"busybox"}'.encode("utf-16"),
    "not UTF-8": b'{"Image":"busybox\xff"}',
    "deep": b'{"Image":"busybox","Labels":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "NaN": b'{"Image":"busybox","StopTimeout":NaN}',
    "float for a number": b'{"Image":"busybox","HostConfig":{"Memory":1e9}}',
    "number beyond 64 bits": b'{"Image":"busybox","HostConfig":{"Memory":9223372036854775808}}',
    "digits without end": b'{"Image":"busybox","HostConfig":{"Memory":' + b"9" * 100_000 + b"}}",
    "text for true": b'{"Image":"busybox","HostConfig":{"Privileged":"true"}}',
    "one for true": b'{"Image":"busybox","HostConfig":{"Privileged":1}}',
    "half a surrogate": b'{"Image":"busybox","Hostname":"\\ud800"}',
    "control character": b'{"Image":"busy\x01box"}',
    "single quotes": b"{'Image':'busybox'}",
    "comment": b'{"Image":"busybox"/*,"x":*/}',
    "trailing comma": b'{"Image":"busybox",}',
    "list": b'[{"Image":"busybox"}]',
    "null": b"null",
    "empty": b"",
    "nothing but spaces": b"   ",
    "unknown field": b'{"Image":"busybox","NoSuchField":1}',
    "too large": b'{"Image":"busybox","Labels":{"a":"' + b"x" * (5 << 20) + b'"}}',
    "space in a key": b'{"Image":"busybox","HostConfig ":{"Privileged":true}}',
}


@pytest.mark.parametrize("body", JSONS.values(), ids=JSONS)
@pytest.mark.usefixtures("untouched")
def test_json(guard: Guard, body: bytes) -> None:
    before = containers(guard)
    assert 400 <= guard.ask("POST", "/containers/create", body).status < 500
    assert containers(guard) == before


KINDS = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("untouched")
def test_content_type_changes_nothing(guard: Guard, kind: str) -> None:
    before = containers(guard)
    assert guard.ask("POST", "/containers/create", EVIL, **{"Content-Type": kind}).status == 403
    assert containers(guard) == before


def test_slow_drip_is_cut_off_and_holds_up_nobody(guard: Guard) -> None:
    with socket.socket(socket.AF_UNIX) as slow:
        slow.connect(str(guard.socket))
        slow.sendall(b"GET /_ping HT")
        assert guard.ask("GET", "/_ping").status == 200


def test_endless_head_is_refused(guard: Guard) -> None:
    data = b"GET /_ping HTTP/1.1\r\nX: " + b"a" * 200_000 + b"\r\n\r\n"
    assert exchange(guard.socket, data).status in {0, 431}
