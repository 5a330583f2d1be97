"""Which engine the settings name, when several places name one."""

from __future__ import annotations

import pytest

from claudy.host.endpoint import Endpoint, EndpointError
from claudy.settings.engine import endpoint_of
from claudy.settings.model import Settings, Value

USER, PROJECT = "/home/me/.config/claudy/config.toml", "/p/.claudy.toml"


def choose(**values: tuple[str, str]) -> Endpoint:
    found = Settings({name: Value(*value) for name, value in values.items()})
    return endpoint_of(found, env={}, home="/nonexistent", platform="linux", uid=1)


def test_nothing_named_is_the_default() -> None:
    assert not choose().explicit


def test_a_host_says_where_it_comes_from() -> None:
    found = choose(host=("unix:///x", "CLAUDY_HOST"))
    assert (found.url, found.source) == ("unix:///x", "CLAUDY_HOST")


@pytest.mark.parametrize(
    ("near", "far"), [("--host", USER), ("--host", "CLAUDY_CONTEXT"), (PROJECT, USER)]
)
def test_the_nearer_one_wins(near: str, far: str) -> None:
    assert choose(host=("unix:///x", near), context=("other", far)).url == "unix:///x"
    found = choose(context=("default", near.replace("host", "context")), host=("unix:///x", far))
    assert found.url != "unix:///x"


@pytest.mark.parametrize(
    ("host", "context"),
    [("--host", "--context"), (USER, USER), ("CLAUDY_HOST", "CLAUDY_CONTEXT"), (PROJECT, PROJECT)],
)
def test_two_from_the_same_place_contradict_each_other(host: str, context: str) -> None:
    with pytest.raises(EndpointError) as caught:
        choose(host=("unix:///x", host), context=("y", context))
    assert caught.value.exit_code == 2
    assert host in caught.value.message
    assert context in caught.value.message
