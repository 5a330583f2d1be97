"""Which BuildKit calls a build needs, and what a Solve may ask for.

Messages as in BuildKit's control.proto and gateway.proto of v0.8 to v0.25.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from claudy.guard.buildkit.wire import (
    BOOL,
    MAP,
    MESSAGE,
    NUMBER,
    RAW,
    TEXT,
    Slot,
    decode,
    encode,
)
from claudy.guard.refusal import invalid, refused

if TYPE_CHECKING:
    from claudy.guard.buildkit.wire import Table

_CONTROL = "/moby.buildkit.v1.Control/"
_BRIDGE = "/moby.buildkit.v1.frontend.LLBBridge/"
SOLVE, BRIDGE_SOLVE = f"{_CONTROL}Solve", f"{_BRIDGE}Solve"
RETURN = f"{_BRIDGE}Return"
REF = re.compile(r"[A-Za-z0-9_-]{8,64}")

ENTRY: Table = {1: Slot("Type", TEXT), 2: Slot("Attrs", MAP)}
CACHE: Table = {
    4: Slot("Exports", MESSAGE, many=True, table=ENTRY),
    5: Slot("Imports", MESSAGE, many=True, table=ENTRY),
}
SOLVE_REQUEST: Table = {
    1: Slot("Ref", TEXT),
    2: Slot("Definition", RAW),
    3: Slot("Exporter", TEXT),
    4: Slot("ExporterAttrs", MAP),
    5: Slot("Session", TEXT),
    6: Slot("Frontend", TEXT),
    7: Slot("FrontendAttrs", MAP),
    8: Slot("Cache", MESSAGE, table=CACHE),
    9: Slot("Entitlements", TEXT, many=True),
    10: Slot("FrontendInputs", RAW, many=True),
    11: Slot("Internal", BOOL),
    12: Slot("SourcePolicy", RAW),
    13: Slot("Exporters", MESSAGE, many=True, table=ENTRY),
    14: Slot("EnableSessionExporter", BOOL),
}
SOLVE_RESPONSE: Table = {1: Slot("ExporterResponse", MAP), 2: Slot("Warnings", RAW, many=True)}
BRIDGE_REQUEST: Table = {
    1: Slot("Definition", RAW),
    2: Slot("Frontend", TEXT),
    3: Slot("FrontendOpt", MAP),
    5: Slot("allowResultReturn", BOOL),
    6: Slot("allowResultArrayRef", BOOL),
    10: Slot("Final", BOOL),
    11: Slot("ExporterAttr", RAW),
    12: Slot("CacheImports", MESSAGE, many=True, table=ENTRY),
    13: Slot("FrontendInputs", RAW, many=True),
    14: Slot("Evaluate", BOOL),
    15: Slot("SourcePolicies", RAW, many=True),
}
STATUS_REQUEST: Table = {1: Slot("Ref", TEXT)}
_REF: Table = {1: Slot("id", TEXT), 2: Slot("def", RAW)}
_REFS: Table = {1: Slot("key", TEXT), 2: Slot("value", MESSAGE, table=_REF)}
_BYTES: Table = {1: Slot("key", TEXT), 2: Slot("value", RAW)}
_RESULT: Table = {
    1: Slot("refDeprecated", TEXT),
    2: Slot("refsDeprecated", MESSAGE, table={1: Slot("refs", MAP)}),
    3: Slot("ref", MESSAGE, table=_REF),
    4: Slot("refs", MESSAGE, table={1: Slot("refs", MESSAGE, many=True, table=_REFS)}),
    10: Slot("metadata", MESSAGE, many=True, table=_BYTES),
    12: Slot("attestations", MESSAGE, many=True, table=_BYTES),
}
RETURN_REQUEST: Table = {1: Slot("result", MESSAGE, table=_RESULT), 2: Slot("error", RAW)}
# moby.buildkit.v1.sourcepolicy
_SELECTOR: Table = {1: Slot("identifier", TEXT), 2: Slot("match_type", NUMBER)}
_RULE: Table = {1: Slot("action", NUMBER), 2: Slot("selector", MESSAGE, table=_SELECTOR)}
_POLICY: Table = {1: Slot("version", NUMBER), 2: Slot("rules", MESSAGE, many=True, table=_RULE)}
_DENY, _REGEX = 1, 2
# CVE-2026-33748: before BuildKit 0.28.1 the directory of a repository that `ADD` names may be a
# link to the host. Docker 29.4 has it mended; API 1.55 is the first that only such engines speak.
MENDED_API = (1, 55)
# BuildKit 0.15 or later, which survives a Dockerfile without a stage: Docker 27.2.
STAGES_API = (1, 47)
NO_SUBDIRECTORIES = encode(
    {
        "version": 1,
        "rules": [
            {
                "action": _DENY,
                # A percent sign, because the daemon decodes once more after the policy has looked.
                "selector": {"identifier": "^git://[^#]*#.*(:.|%)", "match_type": _REGEX},
            }
        ],
    },
    _POLICY,
)

# Calls that go on; all others are answered as unimplemented. `own` needs a ref of this guard.
# No ReadFile, which only clients with steps of their own need: the daemon opens what has the name,
# also a device that a step has made, and reads the host's disk.
CALLS = {
    SOLVE: "a build without entitlements; tags are put on afterwards",
    f"{_CONTROL}Status": "progress of an own build",
    f"{_CONTROL}Info": "the version",
    f"{_CONTROL}ListWorkers": "platforms",
    BRIDGE_SOLVE: "a step of an own build, through the Dockerfile frontend",
    **{
        f"{_BRIDGE}{name}": "of an own build"
        for name in (
            "Ping",
            "Return",
            "Inputs",
            "ReadDir",
            "StatFile",
            "Evaluate",
            "Warn",
        )
    },
}
EMPTY = {f"{_CONTROL}Info", f"{_CONTROL}ListWorkers"}

EXPORTERS = {"moby", "local", "tar"}
_EXPORTER_ATTRS = re.compile(
    r"name|buildinfo|buildinfo-attrs|compression|compression-level|force-compression|unpack|"
    r"oci-mediatypes|platform-split|attestation-prefix|rewrite-timestamp|source-date-epoch|"
    r"attest:[a-z]+|preferred-platform|annotation[A-Za-z0-9.:/_-]*"
)
_FREE_OPTIONS = re.compile(
    r"filename|target|no-cache|platform|image-resolve-mode|add-hosts|shm-size|hostname|"
    r"multi-platform|context(?::[^\0]+)?|contextkey|dockerfilekey|contextsubdir|"
    r"context-keep-git-dir|requestid|"
    r"frontend\.caps|build-arg:[^\0]+|vcs:[a-z:]+|attest:[a-z]+|buildinfo|buildinfo-attrs|"
    r"override-copy-image|input-metadata:[^\0]+|source-date-epoch|frontend|proxy:[a-z_]+"
)
_CONFIG = "containerimage.config"
_IMPORTS = {"cache-imports", "cache-from"}
_KEPT_BACK = {"name", "unpack", "push", "load"}
# Empty: the client's directory; or its own archive. There are too many spellings of what is remote.
_CONTEXT = re.compile(r"(?:http://buildkit-session/[A-Za-z0-9_-]+)?")
_NAMED_CONTEXT = re.compile(r"(?:docker-image|local|input):[^\0]*")
_PRIORITIES = {"rtprio", "nice"}
_NETWORKS = {"", "default", "none", "sandbox"}
_CACHE_NAMESPACE = "build-arg:BUILDKIT_CACHE_MOUNT_NS"
# Part of what a RUN step is: so the project's are not taken for the host's. Their results depend on
# secrets, cache mounts and proxies, which are not.
_OWN_STEPS, _LOOPBACK = "claudy-", "127.0.0.1"
# Its presence says that a frontend has been chosen (frontend/dockerfile/builder/build.go, the same
# in every version): neither a Dockerfile's `# syntax=` nor BUILDKIT_SYNTAX names another one then.
_CHOSEN = "cmdline"


class Solve(NamedTuple):
    """A checked Solve.

    Attributes:
        data: the message to forward, without tags.
        ref: id of the build.
        session: id of the session it uses.
        names: tags to put on afterwards.
    """

    data: bytes
    ref: str
    session: str
    names: list[str]


def solve(data: bytes, namespace: str, api: tuple[int, int], *, own_steps: bool = True) -> Solve:
    """Check a Control.Solve.

    Args:
        data: the message.
        namespace: of cache mounts, the project's own.
        api: the newest that the engine speaks.
        own_steps: whether the steps are the project's own.

    Raises:
        Denied: it asks for more than a build.
    """
    message = decode(data, SOLVE_REQUEST)
    ref = message.get("Ref", "")
    if not REF.fullmatch(ref):
        raise invalid("a build without a proper ref")
    if message.get("Entitlements"):
        raise refused(
            f"the entitlement {message['Entitlements'][0][:40]} is the host's to give",
            "Build without --allow.",
        )
    _no_raw(message, "Definition", "FrontendInputs", "SourcePolicy")
    if api < MENDED_API:
        message["SourcePolicy"] = NO_SUBDIRECTORIES
    # With it the daemon asks the session, of which only files are read along, what to export, and
    # to which tag.
    message.pop("EnableSessionExporter", None)
    _frontend(message.get("Frontend", ""))
    _no_exported_cache(message.get("Cache", {}))
    message.get("Cache", {}).pop("Imports", None)
    options = message.get("FrontendAttrs", {})
    message["FrontendAttrs"] = _options(options, namespace, api, own_steps=own_steps)
    names: list[str] = []
    if message.get("Exporter"):
        message["ExporterAttrs"] = _exporter(
            message["Exporter"], message.get("ExporterAttrs", {}), names
        )
    else:
        message.pop("ExporterAttrs", None)
    for exporter in message.get("Exporters", []):
        exporter["Attrs"] = _exporter(exporter.get("Type", ""), exporter.get("Attrs", {}), names)
    return Solve(
        encode(message, SOLVE_REQUEST), ref, message.get("Session", ""), sorted(set(names))
    )


def ref_of(data: bytes) -> str:
    """Return the ref that a message begins with, whatever else it says; empty without one."""
    size = data[1] if data[:1] == b"\x0a" and len(data) > 1 else 0
    ref = data[2 : 2 + size].decode("ascii", "replace")
    return ref if REF.fullmatch(ref) else ""


def bridge_solve(
    data: bytes, namespace: str, api: tuple[int, int], *, own_steps: bool = True
) -> bytes:
    """Check an LLBBridge.Solve and return it; as `solve`.

    Raises:
        Denied: it brings its own build steps, or options that lead to the host.
    """
    message = decode(data, BRIDGE_REQUEST)
    _no_raw(message, "Definition", "FrontendInputs", "SourcePolicies")
    _frontend(message.get("Frontend", ""))
    message.pop("ExporterAttr", None)
    message.pop("CacheImports", None)
    options = message.get("FrontendOpt", {})
    message["FrontendOpt"] = _options(options, namespace, api, own_steps=own_steps)
    return encode(message, BRIDGE_REQUEST)


def returned(data: bytes) -> bytes:
    """Check an LLBBridge.Return and return it.

    Raises:
        Denied: something is missing that every daemon takes for granted, and ends without.
    """
    message = decode(data, RETURN_REQUEST)
    if len(message) != 1:
        raise invalid("a build returns either a result or an error")
    result = message.get("result", {})
    refs = result.get("refs", {}).get("refs", [])
    if not all("value" in entry for entry in refs + result.get("attestations", [])):
        raise invalid("a build's result has an empty part")
    for entry in result.get("metadata", []):
        if entry.get("key", "").startswith(_CONFIG) and not _is_object(entry.get("value", b"")):
            raise invalid("a build's result has a malformed configuration")
    return encode(message, RETURN_REQUEST)


def _is_object(data: bytes) -> bool:
    try:
        return isinstance(json.loads(data), dict)
    except ValueError:
        return False


def status(data: bytes) -> bytes:
    """Check a Control.Status and return it."""
    message = decode(data, STATUS_REQUEST)
    if not REF.fullmatch(message.get("Ref", "")):
        raise invalid("a build without a proper ref")
    return encode(message, STATUS_REQUEST)


def _no_raw(message: dict[str, Any], *names: str) -> None:
    """Refuse build steps that the client made itself: they name networks, devices and caches."""
    for name in names:
        value = message.pop(name, b"")
        if value and any(value if isinstance(value, list) else [value]):
            if name == "FrontendInputs":  # of bake, and of compose's `service:…`
                raise refused(
                    "a build context that is another target is not allowed",
                    "Give that target a tag, and name the tag in FROM.",
                )
            raise refused(f"a build with its own {name} is not allowed", "Use a Dockerfile.")


def _frontend(name: str) -> None:
    if name not in {"", "dockerfile.v0"}:
        raise refused(f"the BuildKit frontend {name[:60]} is not allowed", "Use a Dockerfile.")


def _options(  # noqa: C901, PLR0912 - one branch a kind of option, read top to bottom
    options: dict[str, str], namespace: str, api: tuple[int, int], *, own_steps: bool
) -> dict[str, str]:
    """Return frontend options; cache mounts become the project's own, the frontend the engine's."""
    # What an imported cache says of a step becomes the engine's own, also for the host's builds.
    options = {name: value for name, value in options.items() if name not in _IMPORTS}
    _require_local(options)
    if api < STAGES_API:
        _require_read_along(options)
    for name, value in options.items():
        if name == "force-network-mode":
            if value not in _NETWORKS:
                raise refused(
                    f"building in the network {value[:40]} is not allowed", "Use default or none."
                )
        elif name.startswith("label:"):
            if name.lower().startswith("label:claudy."):
                raise refused(f"the {name[:60]} is claudy's own", "Leave it out.")
        elif name.startswith("local-sessionid:"):
            if not REF.fullmatch(value):
                raise invalid("a malformed session id")
        elif name == "ulimit":
            for limit in value.replace('"', "").split(","):  # of a CSV line
                if limit.strip().partition("=")[0] in _PRIORITIES:
                    raise refused(f"the limit {limit[:40]} is the host's", "Leave it out.")
        elif name == "cgroup-parent":
            if value:
                raise refused("a cgroup parent is not allowed", "Leave it out.")
        elif not _FREE_OPTIONS.fullmatch(name):
            raise refused(f"the build option {name[:60]} is not known here", "Leave it out.")
    options |= {_CACHE_NAMESPACE: namespace, _CHOSEN: ""}
    if own_steps:
        # First, because the daemon reads one line.
        hosts = [f"{_OWN_STEPS}{namespace}={_LOOPBACK}", options.get("add-hosts", "")]
        options["add-hosts"] = ",".join(filter(None, hosts))
    return options


def _require_read_along(options: dict[str, str]) -> None:
    """Refuse a Dockerfile that comes another way than the one where it is looked at."""
    if options.get("dockerfilekey", "dockerfile") != "dockerfile":
        raise refused("a Dockerfile from another directory is not allowed", "Use docker build -f.")
    if options.get(options.get("contextkey", "context"), ""):
        raise refused(
            "an archive as the build context is not allowed on this engine",
            "Unpack it and build there, or set DOCKER_BUILDKIT=0.",
        )


def _require_local(options: dict[str, str]) -> None:
    """Refuse contexts that the daemon would fetch; `contextkey` says which option names it."""
    for name, value in options.items():
        if name in {"context", options.get("contextkey")}:
            local = _CONTEXT
        elif name.startswith("context:"):
            local = _NAMED_CONTEXT
        else:
            continue
        if not local.fullmatch(value):
            raise refused(
                f"the build context {value[:100]} is remote", "Clone it and build from there."
            )


def _no_exported_cache(cache: dict[str, Any]) -> None:
    for entry in cache.get("Exports", []):
        if entry.get("Type", "") != "inline":
            raise refused(
                f"the build cache type {str(entry.get('Type'))[:40]} is not allowed",
                "Allowed: inline.",
            )


def _exporter(kind: str, attrs: dict[str, str], names: list[str]) -> dict[str, str]:
    if kind not in EXPORTERS:
        raise refused(
            f"the build output {kind[:40]} is not allowed", "Allowed: --load, type=local, type=tar."
        )
    for name, value in attrs.items():
        if (name == "push" and value in {"", "false"}) or name == "load":
            continue
        if not _EXPORTER_ATTRS.fullmatch(name):
            raise refused(f"the output option {name[:60]} is not known here", "Leave it out.")
    names += [name for name in attrs.get("name", "").split(",") if name]
    return {name: value for name, value in attrs.items() if name not in _KEPT_BACK}
