"""The proxies of a build: from the environment, and from the docker CLI's config.json."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from claudy.image.proxies import proxy_args

if TYPE_CHECKING:
    from pathlib import Path

PROXY = "http://proxy.example:3128"
OTHER = "http://other.example:8080"
ENGINE = "unix:///var/run/docker.sock"


def config(folder: Path, text: str) -> dict[str, str]:
    """Write a config.json and return the environment that names it."""
    (folder / "config.json").write_text(text)
    return {"DOCKER_CONFIG": str(folder), "HOME": "/nonexistent"}


def test_proxies_are_taken_along_but_not_those_of_this_machine(tmp_path: Path) -> None:
    env = {
        "HTTP_PROXY": PROXY,
        "https_proxy": "http://127.0.0.1:3128",
        "HTTPS_PROXY": "http://user:word@localhost:1",
        "ALL_PROXY": "socks5://[::1]:1080",
        "no_proxy": "example.com",
        "ftp_proxy": "",
        "PATH": "/bin",
        "HOME": str(tmp_path),
    }
    assert proxy_args(env) == {"HTTP_PROXY": PROXY, "no_proxy": "example.com"}


def test_config_json_sets_both_spellings(tmp_path: Path) -> None:
    proxies = {"default": {"httpProxy": PROXY, "noProxy": "example.com"}}
    assert proxy_args(config(tmp_path, json.dumps({"proxies": proxies}))) == {
        "http_proxy": PROXY,
        "HTTP_PROXY": PROXY,
        "no_proxy": "example.com",
        "NO_PROXY": "example.com",
    }


def test_the_environment_wins_unless_it_leads_to_itself(tmp_path: Path) -> None:
    env = config(
        tmp_path, json.dumps({"proxies": {"default": {"httpProxy": OTHER, "httpsProxy": OTHER}}})
    )
    env |= {"HTTP_PROXY": PROXY, "https_proxy": "http://localhost:3128"}
    assert proxy_args(env) == {"HTTP_PROXY": PROXY, "https_proxy": OTHER, "HTTPS_PROXY": OTHER}


def test_an_engine_may_have_proxies_of_its_own(tmp_path: Path) -> None:
    proxies = {"default": {"httpProxy": OTHER}, ENGINE: {"httpProxy": PROXY}}
    env = config(tmp_path, json.dumps({"proxies": proxies}))
    assert proxy_args(env, ENGINE)["http_proxy"] == PROXY
    assert proxy_args(env, "tcp://elsewhere:2375")["http_proxy"] == OTHER


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"proxies": null}',
        '{"proxies": {}}',
        '{"proxies": {"default": "x"}}',
        '{"proxies": {"default": {"httpProxy": 1}}}',
        '{"proxies": {"default": {"httpProxy": "http://127.0.0.1:1"}}}',
    ],
)
def test_what_is_no_proxy_is_left_out(tmp_path: Path, text: str) -> None:
    assert proxy_args(config(tmp_path, text)) == {}
