"""Every endpoint of the Engine API, with its query keys and what happens to it.

Routes and keys as in moby's server/router of v20.10, v26.1 and v28.5 (API 1.41 to 1.51). A path
part in braces is a reference, resolved to a full id of an owned object before anything is
forwarded (`image`: of a visible one; `new…`: checked by its handler).
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, NamedTuple

from claudy.guard.policy.build import BUILD
from claudy.guard.policy.references import is_image_ref
from claudy.guard.policy.rules import (
    Field,
    No,
    dropped,
    line,
    lines,
    number,
    only,
    switch,
    text,
)

if TYPE_CHECKING:
    from claudy.guard.policy.rules import Context

NONE, JSON, STREAM, HIJACK = "none", "JSON", "stream", "raw stream"


class Endpoint(NamedTuple):
    """A row: method and path, and what happens to a request for it.

    Attributes:
        method: HTTP method.
        path: pattern below the API version.
        handler: name of the handler; `refuse` for what is never forwarded.
        why: what the handler does about the request, or why it is refused.
        query: allowed keys.
        body: none, JSON, stream, or raw stream (upgraded).
        many: query keys that may be repeated.
    """

    method: str
    path: str
    handler: str
    why: str
    query: tuple[Field, ...] = ()
    body: str = NONE
    many: tuple[str, ...] = ()


def _image_query(value: str, _: Context) -> str:
    if value and not is_image_ref(value):
        raise No(repr(value[:60]))
    return value


_SIGNAL = Field("signal", text(r"[A-Za-z0-9+-]{0,20}"), "a signal")
_SECONDS = Field("t", number(), "seconds")
_DETACH = Field("detachKeys", text(r"[a-zA-Z0-9,@\[\]\\^_-]{0,100}"), "any")
_SIZE = (Field("h", number(0, 65535), "rows"), Field("w", number(0, 65535), "columns"))
_TIME = text(r"[0-9A-Za-z.:+-]{0,64}")
# Of ps: no option that leaves the heading out, and no column in front of the one that counts.
_PS_COLUMNS = (
    "%cpu|%mem|args|bsdstart|bsdtime|c|cmd|comm|command|cputime|egid|egroup|etime|etimes|euid|euser|"
    "fname|gid|group|lstart|lwp|maj_flt|min_flt|ni|nice|nlwp|pcpu|pgid|pgrp|pmem|ppid|pri|psr|rgid|"
    "rgroup|rss|rsz|rtprio|ruid|ruser|s|sid|size|start|start_time|stat|state|stime|sz|thcount|time|"
    "tname|tt|tty|ucmd|ucomm|uid|uname|user|vsize|vsz|wchan"
)
_PS_ARGS = rf"|-?[aAefFjluwxy]{{1,6}}|(?:-?[aAex]{{1,3}} ?)?-?o ?pid(?:,(?:{_PS_COLUMNS}))*"
_FILTERS = Field("filters", line(16384), "the documented ones", "checked by the handler")
_CHECKPOINT = (
    Field("checkpoint", only(""), "empty", "checkpoints name directories of the host"),
    Field("checkpoint-dir", only(""), "empty", "checkpoints name directories of the host"),
)
_STREAMS = tuple(Field(k, switch, "any") for k in ("stdin", "stdout", "stderr", "stream", "logs"))
_PLATFORM = Field("platform", line(256), "a platform")
_REPO = (
    Field("repo", _image_query, "a name"),
    Field("tag", text(r"[A-Za-z0-9_.:-]{0,200}"), "a tag"),
)
_CHANGES = Field("changes", lines(16384), "any")
# What is in front of the first slash would be asked instead of the Docker Hub, if it is an address.
_TERM = text(r"(?!localhost/|[^/]*[.:][^/]*/)[ -~]{0,256}")
_PATH = Field("path", line(), "a path in the container")
_SIZE_FLAG = Field("size", switch, "any")

# No daemon reads them any more.
_OF_SDK = "the SDK for Python sends it"

_SWARM = "swarm is the host's"
_PLUGIN = "plugins run on the host with its rights"

_SWARM_ROUTES = (
    "GET /swarm|POST /swarm/init|POST /swarm/join|POST /swarm/leave|POST /swarm/update|"
    "GET /swarm/unlockkey|POST /swarm/unlock|GET /services|POST /services/create|"
    "GET /services/{any}|DELETE /services/{any}|POST /services/{any}/update|"
    "GET /services/{any}/logs|GET /nodes|GET /nodes/{any}|DELETE /nodes/{any}|"
    "POST /nodes/{any}/update|GET /tasks|GET /tasks/{any}|GET /tasks/{any}/logs|GET /secrets|"
    "POST /secrets/create|GET /secrets/{any}|DELETE /secrets/{any}|"
    "POST /secrets/{any}/update|GET /configs|POST /configs/create|GET /configs/{any}|"
    "DELETE /configs/{any}|POST /configs/{any}/update"
)
_PLUGIN_ROUTES = (
    "GET /plugins|GET /plugins/privileges|GET /plugins/{any}/json|DELETE /plugins/{any}|"
    "POST /plugins/{any}/enable|POST /plugins/{any}/disable|POST /plugins/pull|"
    "POST /plugins/{any}/push|POST /plugins/{any}/upgrade|POST /plugins/{any}/set|"
    "POST /plugins/create"
)

ENDPOINTS = (
    # -- system
    Endpoint(
        "GET", "/_ping", "ping", "answered with the API version and builder that the guard knows"
    ),
    Endpoint("HEAD", "/_ping", "ping", "as GET"),
    Endpoint("GET", "/version", "version", "API version clamped"),
    Endpoint("GET", "/info", "info", "without the host's registries, proxies, swarm and paths"),
    Endpoint(
        "GET",
        "/events",
        "events",
        "only events of owned objects",
        (Field("since", _TIME, "a time"), Field("until", _TIME, "a time"), _FILTERS),
    ),
    Endpoint(
        "GET",
        "/system/df",
        "disk_usage",
        "only owned objects",
        (Field("type", only("container", "image", "volume", "build-cache"), "object types"),),
        many=("type",),
    ),
    Endpoint(
        "POST",
        "/auth",
        "refuse",
        "the daemon would try addresses of the host's network; "
        "put the login into ~/.docker/config.json",
    ),
    # -- containers
    Endpoint(
        "GET",
        "/containers/json",
        "containers",
        "owned whole, others by name, image, state and ports",
        (
            Field("all", switch, "any"),
            Field("limit", number(), "any"),
            _SIZE_FLAG,
            Field("since", line(256), "owned"),
            Field("before", line(256), "owned"),
            _FILTERS,
            Field("trunc_cmd", dropped, "ignored", _OF_SDK),
        ),
    ),
    Endpoint(
        "POST",
        "/containers/create",
        "create",
        "the table below",
        (Field("name", text(r"/?[a-zA-Z0-9][a-zA-Z0-9_.-]+|"), "a new name"), _PLATFORM),
        JSON,
    ),
    Endpoint(
        "POST",
        "/containers/prune",
        "prune_containers",
        "the guard removes owned stopped ones itself",
        (_FILTERS,),
    ),
    Endpoint("GET", "/containers/{container}/json", "inspect", "paths mapped back", (_SIZE_FLAG,)),
    Endpoint(
        "GET",
        "/containers/{container}/top",
        "forward",
        "owned",
        (
            Field(
                "ps_args",
                text(_PS_ARGS),
                "the usual formats, or columns that begin with pid",
                "the daemon keeps the host's processes out by the column that is called PID",
            ),
        ),
    ),
    Endpoint(
        "GET",
        "/containers/{container}/logs",
        "forward",
        "owned",
        (
            *tuple(
                Field(k, switch, "any")
                for k in ("follow", "stdout", "stderr", "timestamps", "details")
            ),
            Field("since", _TIME, "a time"),
            Field("until", _TIME, "a time"),
            Field("tail", text(r"[0-9a-z-]{0,20}"), "a number"),
        ),
    ),
    Endpoint("GET", "/containers/{container}/changes", "download", "owned"),
    Endpoint("GET", "/containers/{container}/export", "download", "owned"),
    Endpoint(
        "GET",
        "/containers/{container}/stats",
        "forward",
        "owned",
        (Field("stream", switch, "any"), Field("one-shot", switch, "any")),
    ),
    Endpoint("POST", "/containers/{container}/resize", "forward", "owned", _SIZE),
    Endpoint(
        "POST",
        "/containers/{container}/start",
        "start",
        "owned; bind sources are looked up again",
        (_DETACH, *_CHECKPOINT),
    ),
    Endpoint("POST", "/containers/{container}/stop", "waking", "owned", (_SECONDS, _SIGNAL)),
    Endpoint(
        "POST",
        "/containers/{container}/restart",
        "restart",
        "owned; bind sources are looked up again",
        (_SECONDS, _SIGNAL),
    ),
    Endpoint("POST", "/containers/{container}/kill", "waking", "owned", (_SIGNAL,)),
    Endpoint(
        "POST",
        "/containers/{container}/update",
        "update",
        "owned; resources within the budget",
        (),
        JSON,
    ),
    Endpoint(
        "POST",
        "/containers/{container}/rename",
        "rename",
        "owned; not to another's short id",
        (Field("name", text(r"/?[a-zA-Z0-9][a-zA-Z0-9_.-]+"), "a new name"),),
    ),
    Endpoint("POST", "/containers/{container}/pause", "waking", "owned"),
    Endpoint("POST", "/containers/{container}/unpause", "waking", "owned"),
    Endpoint(
        "POST",
        "/containers/{container}/attach",
        "hijack",
        "owned",
        (_DETACH, *_STREAMS, Field("hijack", dropped, "ignored", "dockerode's own")),
        HIJACK,
    ),
    Endpoint(
        "GET",
        "/containers/{container}/attach/ws",
        "refuse",
        "web sockets are not spoken here; use attach",
    ),
    Endpoint(
        "POST",
        "/containers/{container}/wait",
        "forward",
        "owned",
        (
            Field(
                "condition", only("", "not-running", "next-exit", "removed"), "the documented ones"
            ),
        ),
    ),
    Endpoint(
        "DELETE",
        "/containers/{container}",
        "remove_container",
        "owned",
        tuple(Field(k, switch, "any") for k in ("v", "force", "link")),
    ),
    Endpoint(
        "HEAD",
        "/containers/{container}/archive",
        "download",
        "owned; bind sources are looked up again",
        (_PATH,),
    ),
    Endpoint(
        "GET",
        "/containers/{container}/archive",
        "download",
        "owned; bind sources are looked up again",
        (_PATH,),
    ),
    Endpoint(
        "PUT",
        "/containers/{container}/archive",
        "upload",
        "owned; bind sources are looked up again",
        (_PATH, Field("noOverwriteDirNonDir", switch, "any"), Field("copyUIDGID", switch, "any")),
        STREAM,
    ),
    Endpoint(
        "GET", "/containers/{any}/checkpoints", "refuse", "checkpoints name directories of the host"
    ),
    Endpoint(
        "POST",
        "/containers/{any}/checkpoints",
        "refuse",
        "checkpoints name directories of the host",
        (),
        JSON,
    ),
    Endpoint(
        "DELETE",
        "/containers/{any}/checkpoints/{name}",
        "refuse",
        "checkpoints name directories of the host",
    ),
    # -- exec
    Endpoint(
        "POST", "/containers/{container}/exec", "exec_create", "owned; not privileged", (), JSON
    ),
    Endpoint("POST", "/exec/{exec}/start", "exec_start", "of an owned container", (), HIJACK),
    Endpoint("POST", "/exec/{exec}/resize", "forward", "of an owned container", _SIZE),
    Endpoint("GET", "/exec/{exec}/json", "exec_inspect", "of an owned container"),
    # -- images
    Endpoint(
        "GET",
        "/images/json",
        "images",
        "owned, and the host's by name and size",
        (
            Field("all", switch, "any"),
            Field("shared-size", switch, "any"),
            Field("digests", switch, "any"),
            Field("manifests", switch, "any"),
            Field("filter", only(""), "empty"),
            _FILTERS,
            Field("only_ids", dropped, "ignored", _OF_SDK),
        ),
    ),
    Endpoint(
        "GET",
        "/images/search",
        "forward",
        "public knowledge",
        (
            Field("term", _TERM, "no registry's address"),
            Field("limit", number(0, 100), "any"),
            _FILTERS,
        ),
    ),
    Endpoint(
        "GET",
        "/images/get",
        "save",
        "visible images",
        (Field("names", _image_query, "visible images"), _PLATFORM),
        many=("names", "platform"),
    ),
    Endpoint(
        "POST",
        "/images/create",
        "pull_or_import",
        "no tag of another moves; not from addresses",
        (
            Field("fromImage", line(512), "a reference"),
            Field("fromSrc", only("", "-"), "-", "the daemon would fetch from the host's network"),
            *_REPO,
            Field("message", lines(1024), "any"),
            _PLATFORM,
            _CHANGES,
        ),
        STREAM,
        ("changes",),
    ),
    Endpoint(
        "POST",
        "/images/load",
        "load",
        "unpacked and packed again; no tag of another moves",
        (Field("quiet", switch, "any"), _PLATFORM),
        STREAM,
    ),
    Endpoint(
        "POST", "/images/prune", "prune_images", "the guard removes owned ones itself", (_FILTERS,)
    ),
    Endpoint("GET", "/images/{image}/get", "save", "visible images"),
    Endpoint("GET", "/images/{image}/history", "forward", "visible images", (_PLATFORM,)),
    Endpoint(
        "GET",
        "/images/{image}/json",
        "forward",
        "visible images",
        (Field("manifests", switch, "any"), _PLATFORM),
    ),
    Endpoint(
        "POST",
        "/images/{image}/tag",
        "tag",
        "visible images; no tag of another moves",
        (*_REPO, Field("force", dropped, "ignored", _OF_SDK)),
    ),
    Endpoint(
        "POST",
        "/images/{ownref}/push",
        "push",
        "owned tags",
        (Field("tag", text(r"[A-Za-z0-9_.-]{0,128}"), "a tag"), _PLATFORM),
        STREAM,
    ),
    Endpoint(
        "DELETE",
        "/images/{ownref}",
        "remove_image",
        "owned images and tags",
        (
            Field("force", switch, "any"),
            Field("noprune", switch, "any"),
            Field("platforms", only(""), "empty"),
        ),
    ),
    Endpoint("GET", "/distribution/{newimage}/json", "distribution", "asks a registry"),
    Endpoint(
        "POST",
        "/commit",
        "commit",
        "owned; no tag of another moves",
        (
            Field("container", line(256), "owned"),
            *_REPO,
            Field("comment", lines(1024), "any"),
            Field("author", line(1024), "any"),
            Field("pause", switch, "any"),
            _CHANGES,
        ),
        JSON,
        ("changes",),
    ),
    # -- build
    Endpoint(
        "POST", "/build", "build", "tags are put on afterwards", BUILD, STREAM, ("t", "extrahosts")
    ),
    Endpoint(
        "POST",
        "/build/prune",
        "prune_build",
        "the cache is the host's: nothing is removed",
        (
            Field("all", switch, "any"),
            _FILTERS,
            *(
                Field(k, line(64), "ignored")
                for k in ("keep-storage", "reserved-space", "max-used-space", "min-free-space")
            ),
        ),
    ),
    Endpoint(
        "POST",
        "/build/cancel",
        "refuse",
        "build ids are not bound to a client; close the connection",
        (Field("id", line(128), "any"),),
    ),
    # -- networks
    Endpoint("GET", "/networks", "networks", "owned and predefined", (_FILTERS,)),
    Endpoint("POST", "/networks/create", "create_network", "bridges in private subnets", (), JSON),
    Endpoint(
        "POST",
        "/networks/prune",
        "prune_networks",
        "the guard removes owned ones itself",
        (_FILTERS,),
    ),
    Endpoint(
        "GET",
        "/networks/{network}",
        "inspect_network",
        "owned and predefined; owned members",
        (Field("verbose", switch, "any"), Field("scope", only("", "local"), "local")),
    ),
    Endpoint("DELETE", "/networks/{ownnetwork}", "forward", "owned"),
    Endpoint(
        "POST",
        "/networks/{network}/connect",
        "connect",
        "owned or bridge, and owned containers",
        (),
        JSON,
    ),
    Endpoint("POST", "/networks/{network}/disconnect", "disconnect", "owned containers", (), JSON),
    # -- volumes
    Endpoint("GET", "/volumes", "volumes", "owned", (_FILTERS,)),
    Endpoint(
        "POST", "/volumes/create", "create_volume", "local, without options but tmpfs", (), JSON
    ),
    Endpoint(
        "POST",
        "/volumes/prune",
        "prune_volumes",
        "the guard removes owned ones itself",
        (_FILTERS,),
    ),
    Endpoint("GET", "/volumes/{volume}", "inspect_volume", "owned"),
    Endpoint(
        "DELETE", "/volumes/{volume}", "remove_volume", "owned", (Field("force", switch, "any"),)
    ),
    Endpoint("PUT", "/volumes/{any}", "refuse", _SWARM, (), JSON),
    # -- BuildKit
    Endpoint(
        "POST",
        "/session",
        "session",
        "the daemon's calls to the client's own files, under the project's key",
        (),
        HIJACK,
    ),
    Endpoint("POST", "/grpc", "grpc", "mediated call by call; the table of BuildKit", (), HIJACK),
    # -- what is never forwarded
    *(
        Endpoint(
            method,
            path,
            "no_plugin"
            if method == "GET" and why == _PLUGIN and path != "/plugins/privileges"
            else "no_swarm"
            if method == "GET" and why == _SWARM
            else "refuse",
            why,
        )
        for why, routes in (
            (
                _SWARM,
                _SWARM_ROUTES,
            ),
            (
                _PLUGIN,
                _PLUGIN_ROUTES,
            ),
            ("the daemon's own memory", "GET /debug/vars|GET /debug/pprof|GET /debug/pprof/{any}"),
        )
        for method, _, path in (route.partition(" ") for route in routes.split("|"))
    ),
)

_PARTS = {"image": r".+", "ownref": r".+", "newimage": r".+"}


@functools.cache
def _pattern(path: str) -> re.Pattern[str]:
    escaped = re.sub(r"\{(\w+)\}", lambda m: f"(?P<{m[1]}>{_PARTS.get(m[1], '[^/]+')})", path)
    return re.compile(escaped)


_EXACT = {(row.method, row.path): row for row in ENDPOINTS if "{" not in row.path}
_OTHERS = tuple((row.path.partition("{")[0], row) for row in ENDPOINTS if "{" in row.path)


def find(method: str, path: str) -> tuple[Endpoint, dict[str, str]] | None:
    """Return the row for a request, and the references in its path."""
    exact = _EXACT.get((method, path))
    if exact is not None:
        return exact, {}
    for start, row in _OTHERS:
        if (
            row.method == method
            and path.startswith(start)
            and (found := _pattern(row.path).fullmatch(path))
        ):
            return row, found.groupdict()
    return None
