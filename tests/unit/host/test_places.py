"""claudy's places are those of platformdirs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import platformdirs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from claudy.host.places import cache_dir, config_file, state_dir

if TYPE_CHECKING:
    import pytest

_VALUES = st.sampled_from(["", " ", "/x", "/x/", " /x y ", "relative", "~/x", "./x", "//x"])
_VARIABLES = ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(_VARIABLES), _VALUES))
def test_they_agree(monkeypatch: pytest.MonkeyPatch, given_env: dict[str, str]) -> None:
    with monkeypatch.context() as context:
        for name in _VARIABLES:
            context.delenv(name, raising=False)
        for name, value in given_env.items():
            context.setenv(name, value)

        def norm(path: str) -> str:
            return os.path.normpath(path)

        wanted = platformdirs.user_config_dir("claudy", appauthor=False)
        assert norm(config_file(os.environ)) == norm(f"{wanted}/config.toml")
        assert norm(state_dir(os.environ)) == norm(
            platformdirs.user_state_dir("claudy", appauthor=False)
        )
        assert norm(cache_dir(os.environ)) == norm(
            platformdirs.user_cache_dir("claudy", appauthor=False)
        )


def test_the_settings_file_can_be_named() -> None:
    assert config_file({"CLAUDY_CONFIG": "/a/b.toml"}) == "/a/b.toml"
