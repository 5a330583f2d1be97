"""Query keys of POST /build, which are a container's options in another spelling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from claudy.guard import strictjson
from claudy.guard.policy.create import ULIMIT
from claudy.guard.policy.references import image_name, is_image_ref
from claudy.guard.policy.rules import (
    DROP,
    Field,
    No,
    items,
    labels,
    line,
    mapping,
    number,
    only,
    struct,
    switch,
    text,
)
from claudy.guard.refusal import refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from claudy.guard.policy.rules import Context, Rule


def _json(rule: Rule) -> Callable[[str, Context], Any]:
    """Return the rule of a JSON-valued query key; re-serialised."""

    def check(value: str, context: Context) -> Any:
        if not value:
            return DROP
        parsed = strictjson.parse(value.encode(), "query")
        if parsed is None:
            return DROP
        return strictjson.dump(rule(parsed, context)).decode()

    return check


# What a step gets from names and networks is no part of what the classic builder's cache knows it
# by: the host's next build with the same line would be given the layers that were made with them.


def build_network(value: str, _: Context) -> Any:
    """Allow default, bridge and none."""
    if value not in {"", "default", "bridge", "none"}:
        raise No(repr(value)[:60])
    return value or DROP


def extra_hosts(value: str, _: Context) -> Any:
    """Allow none: BuildKit's cache knows of them."""
    if value:
        raise refused(
            "--add-host is refused with the classic builder: its cache, which is the host's too, "
            "does not tell such layers apart",
            "Use BuildKit: DOCKER_BUILDKIT=1.",
        )
    return DROP


def cache_from(value: Any, context: Context) -> Any:
    """Allow images that the sandbox can see, on engines whom they can't deceive."""
    if not isinstance(value, str) or not is_image_ref(value):
        raise No(repr(value)[:60])
    image = context.visible_image(value)
    return image if context.checks_caches else DROP


def zero(value: str, _: Context) -> Any:
    """Allow only an empty or zero number."""
    if value not in {"", "0"}:
        raise No(repr(value)[:40])
    return DROP


def nullable(rule: Rule) -> Rule:
    """Return a rule that also lets null through."""
    return lambda value, context: None if value is None else rule(value, context)


BUILD = (
    Field(
        "t", image_name, "a reference", "put on afterwards, if the name is free or the sandbox's"
    ),
    Field("dockerfile", line(), "a path inside the context"),
    Field("q", switch, "any"),
    Field("nocache", switch, "any"),
    Field("rm", switch, "any, taken as 1", "a step's container would be nobody's, and stay"),
    Field("forcerm", switch, "any, taken as 1", "the same"),
    Field("pull", switch, "any"),
    Field("memory", number(), "any"),
    Field("memswap", number(), "any"),
    Field("cpushares", number(), "any"),
    Field("cpuperiod", number(), "any"),
    Field("cpuquota", number(), "any"),
    Field("cpusetcpus", text(r"[0-9,-]{0,200}"), "any"),
    Field("cpusetmems", text(r"[0-9,-]{0,200}"), "any"),
    Field("shmsize", number(), "any"),
    Field("ulimits", _json(nullable(items(struct(ULIMIT, "ulimits.")))), "resource limits"),
    Field("buildargs", _json(mapping(line(1024), nullable(text()))), "any"),
    Field("labels", _json(labels), "any but claudy.*"),
    Field(
        "cachefrom",
        _json(nullable(items(cache_from))),
        "images that the sandbox can see; dropped before API 1.44",
        "others' layers; older engines believe what an image says of its layers",
    ),
    Field(
        "networkmode",
        build_network,
        "default, bridge, none",
        "the host's network; and layers made in an own one would be in the host's cache",
    ),
    Field("extrahosts", extra_hosts, "empty", "such layers would be in the host's cache"),
    Field("target", line(256), "any"),
    Field("platform", text(r"[A-Za-z0-9/_.,-]{0,100}"), "a platform"),
    Field("version", only("", "1"), "1", "version 2 goes through the mediated BuildKit"),
    Field("squash", switch, "any", "experimental engines only"),
    Field("cgroupparent", only(""), "empty", "would leave the budget"),
    Field("securityopt", only(""), "empty", "takes the walls down"),
    Field("remote", only(""), "empty", "the daemon would fetch from the host's network"),
    Field("isolation", only("", "default"), "default", "of Windows"),
    Field("outputs", only(""), "empty", "BuildKit's"),
    Field("session", only(""), "empty", "BuildKit's"),
    Field("buildid", text(r"[A-Za-z0-9]{0,128}"), "an id"),
)
