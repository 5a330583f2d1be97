"""Every setting's value and source, from every layer and combination of layers."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from claudy.cli.config import edit, set_value, write_file
from claudy.errors import USAGE, SettingsError
from claudy.settings.load import load
from claudy.settings.model import BY_NAME, SETTINGS, Settings
from claudy.settings.trust import accept, is_trusted, revoke

if TYPE_CHECKING:
    from pathlib import Path

LAYERS = ("user", "project", "variable", "flag")  # farthest first
_PLAIN = {
    "image": st.sampled_from(["a", "b", "c"]),
    "pull": st.sampled_from(["missing", "always", "never"]),
    "cpus": st.sampled_from(["1", "2", "0.5"]),
    "memory": st.sampled_from(["1g", "512m"]),
    "pids_limit": st.sampled_from(["10", "20"]),
    "keep": st.sampled_from(["true", "false"]),
}


@dataclass
class Places:
    """A user's file and a project."""

    root: Path

    @property
    def env(self) -> dict[str, str]:
        return {
            "CLAUDY_CONFIG": str(self.root / "config.toml"),
            "XDG_STATE_HOME": str(self.root / "state"),
        }

    @property
    def project(self) -> str:
        return str(self.root / "project")

    @property
    def own(self) -> Path:
        return self.root / "project/.claudy.toml"

    def write(self, user: dict[str, Any] | None, project: dict[str, Any] | None) -> None:
        for path, content in ((self.root / "config.toml", user), (self.own, project)):
            path.unlink(missing_ok=True)
            if content is not None:
                path.write_text(tomli_w.dumps(content))

    def load(self, flags: dict[str, Any] | None = None, **variables: str) -> Settings:
        return load(flags or {}, self.env | variables, self.project)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    (tmp_path / "project").mkdir()
    return Places(tmp_path.resolve())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sampled_from(sorted(_PLAIN)).flatmap(
    lambda name: st.tuples(st.just(name), st.dictionaries(st.sampled_from(LAYERS), _PLAIN[name]))
))  # fmt: skip
def test_the_nearest_layer_wins(places: Places, case: tuple[str, dict[str, str]]) -> None:
    name, given_in = case
    setting = BY_NAME[name]
    places.write(
        {name: given_in["user"]} if "user" in given_in else None,
        {name: given_in["project"]} if "project" in given_in else None,
    )
    if "project" in given_in:  # limits of the user's own wait
        accept(str(places.own), places.own.read_bytes(), places.env)
    variables = {setting.variable: given_in["variable"]} if "variable" in given_in else {}
    found = places.load({name: given_in.get("flag")}, **variables)
    sources = {
        "user": str(places.root / "config.toml"),
        "project": str(places.own),
        "variable": setting.variable,
        "flag": f"--{name.replace('_', '-')}",
    }
    nearest = next((layer for layer in reversed(LAYERS) if layer in given_in), "")
    if not nearest:
        assert (found[name], found.source(name)) == (setting.default, "default")
        return
    assert found[name] == setting.parse(given_in[nearest])
    assert found.source(name) == sources[nearest]


def test_lists_add_up_in_order(places: Places) -> None:
    places.write({"env": ["A=user"]}, {"env": ["B=project"]})
    found = places.load({"env": ["D=flag"]}, CLAUDY_ENV="C=variable, C2=x")
    assert found["env"] == ("A=user", "B=project", "C=variable", "C2=x", "D=flag")
    for part in ("config.toml", ".claudy.toml", "CLAUDY_ENV", "--env"):
        assert part in found.source("env")


def test_defaults_are_what_they_parse_to() -> None:
    for setting in SETTINGS:
        if isinstance(setting.default, (str, bool)) and setting.default != "":
            assert setting.parse(setting.default) == setting.default
        assert setting.variable == f"CLAUDY_{setting.name.upper()}"
        assert setting.help


def test_an_unknown_key_is_an_error_with_a_suggestion(places: Places) -> None:
    for user, project, words in (
        ({"imagee": "x"}, None, "Did you mean 'image'?"),
        (None, {"pids-limit": 3}, "Did you mean 'pids_limit'?"),
        (None, {"zzz": 3}, "unknown setting 'zzz'."),
    ):
        places.write(user, project)
        with pytest.raises(SettingsError) as caught:
            places.load()
        assert words in caught.value.message
        assert ("config.toml" if user else ".claudy.toml") in caught.value.message
        assert caught.value.exit_code == USAGE


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("docker", "sometimes"),
        ("pull", "Never"),
        ("cpus", "many"),
        ("cpus", -1),
        ("cpus", "nan"),
        ("cpus", "inf"),
        ("memory", "1x"),
        ("memory", -5),
        ("memory", "inf"),
        ("pids_limit", 1.5),
        ("pids_limit", -1),
        ("pids_limit", "²"),
        ("read_only", "perhaps"),
        ("env", [1]),
        ("env", {"a": "b"}),
        ("image", 5),
        ("host", ["x"]),
    ],
)
def test_a_wrong_value_names_setting_and_source(places: Places, name: str, value: object) -> None:
    places.write({name: value}, None)
    with pytest.raises(SettingsError) as caught:
        places.load()
    assert caught.value.message.startswith(f"{name} = ")
    assert "config.toml" in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    "content",
    [b"x = ", b"\xff", b"[a\n", b"image = 'a'\nimage = 'b'", b"cpus = " + b"9" * 5000],
    ids=lambda content: content[:9],
)
def test_what_is_no_toml_is_an_error(places: Places, content: bytes) -> None:
    places.own.write_bytes(content)
    with pytest.raises(SettingsError, match="is not valid TOML"):
        places.load()


@pytest.mark.parametrize("name", ["cpus", "memory", "pids_limit", "image", "env"])
def test_a_number_that_can_t_be_shown_is_an_error(places: Places, name: str) -> None:
    places.own.write_text(f"{name} = 0x{'f' * 5000}")
    with pytest.raises(SettingsError, match=f"{name} = …"):
        places.load()


def test_a_file_that_can_t_be_read_is_an_error(places: Places) -> None:
    places.own.mkdir()
    with pytest.raises(SettingsError, match="can't be read"):
        places.load()
    places.own.rmdir()
    os.mkfifo(places.own)  # nobody waits for who does not write
    with pytest.raises(SettingsError, match="it is not a file"):
        places.load()


@pytest.mark.parametrize(
    ("text", "amount"),
    [("1", 1), ("10b", 10), ("1k", 1024), ("512m", 512 << 20), ("2g", 2 << 30), ("1.5g", 3 << 29),
     ("2GB", 2 << 30), ("2GiB", 2 << 30), ("1t", 1 << 40), (" 7 m ", 7 << 20), ("0", 0)],
)  # fmt: skip
def test_amounts_of_memory(text: str, amount: int) -> None:
    assert BY_NAME["memory"].parse(text) == amount


# -- trust ---------------------------------------------------------------------------------------

NO_MATTER = {"image", "pull", "keep"}
BEYOND = {
    "docker": ("host", "none"),
    "host": ("unix:///x", ""),
    "context": ("x", ""),
    "socket_source": ("/x", ""),
    "env": (["NAME"], ["K=V"]),
    "volumes": (["./data:/x"], []),
    "publish": (["80"], []),
    "network": ("host", ""),
    "sudo": (True, False),
    "registry": ("r", ""),
    "publish_all": (True, False),
    "guard_runs": ("process", "auto"),
    "build_cache": ("shared", "own"),
}
"""Beyond the project, and not, for who has said nothing."""
LIMITS: dict[str, tuple[Any, list[Any], list[Any]]] = {
    "docker": ("none", ["guard", "host"], ["none"]),
    "host": ("unix:///mine", ["", "unix:///x"], ["unix:///mine"]),
    "context": ("mine", ["", "x"], ["mine"]),
    "socket_source": ("/mine", ["", "/x"], ["/mine"]),
    "network": ("mine", ["", "host"], ["mine"]),
    "registry": ("mine", ["", "x"], ["mine"]),
    "cpus": (2, [0, 2.5], [2, 1]),
    "memory": ("1g", [0, "2g"], ["1g", "512m"]),
    "pids_limit": (100, [0, 101], [100, 99]),
    "read_only": (True, [False], [True]),
    "visibility": ("own", ["all"], ["own"]),
    "build_cache": ("own", ["shared"], ["own"]),
    "guard_runs": ("sidecar", ["auto", "process"], ["sidecar"]),
    "budget_memory": ("1g", [0, "2g"], ["1g", "512m"]),
    "budget_cpus": (2, [0, 2.5], [2, 1]),
    "budget_pids": (100, [0, 101], [100, 99]),
    "budget_containers": (10, [0, 11], [10, 9]),
    "budget_ports": (10, [0, 11], [10, 9]),
}
"""What the user's file says; what a project's file may not lift it to, and what it may say."""


@pytest.mark.parametrize("name", sorted(BEYOND))
def test_what_reaches_beyond_the_project_waits(places: Places, name: str) -> None:
    asks, harmless = BEYOND[name]
    places.write(None, {name: asks, "image": "kept"})
    found = places.load()
    assert found.withheld == (name,)
    assert found.source(name) == "default"
    assert found["image"] == "kept"

    places.write(None, {name: harmless})
    assert places.load().withheld == ()


@pytest.mark.parametrize("name", sorted(LIMITS))
def test_what_the_user_has_limited_stays_limited(places: Places, name: str) -> None:
    own, wider, narrower = LIMITS[name]
    for value in wider:
        places.write({name: own}, {name: value})
        found = places.load()
        assert found.withheld == (name,), value
        assert found.source(name) == str(places.root / "config.toml")
        accept(str(places.own), places.own.read_bytes(), places.env)
        assert places.load().source(name) == str(places.own)
    for value in narrower:
        places.write({name: own}, {name: value})
        found = places.load()
        assert not found.withheld, value
        assert found.source(name) == str(places.own)


def test_who_has_set_no_limit_gets_the_project_s(places: Places) -> None:
    limits = {name: own for name, (own, *_) in LIMITS.items() if name.startswith("budget_")}
    places.write(None, limits | {"memory": "1g", "read_only": True, "visibility": "own"})
    assert not places.load().withheld


def test_no_setting_is_overlooked() -> None:
    assert {setting.name for setting in SETTINGS} == NO_MATTER | set(BEYOND) | set(LIMITS)
    assert {s.name for s in SETTINGS if s.wait is None} == NO_MATTER


def test_trust_is_for_exactly_this_file_with_this_content(places: Places) -> None:
    places.write(None, {"docker": "host"})
    content = places.own.read_bytes()
    path = str(places.own)
    accept(path, content, places.env)
    assert is_trusted(path, content, places.env)
    assert places.load()["docker"] == "host"
    assert places.load().source("docker") == path

    places.own.write_bytes(content + b"\n")
    assert places.load().withheld == ("docker",)
    places.own.write_bytes(content)
    assert places.load().withheld == ()

    elsewhere = places.root / "copy"
    elsewhere.mkdir()
    (elsewhere / ".claudy.toml").write_bytes(content)
    assert load({}, places.env, str(elsewhere)).withheld == ("docker",)

    places.own.write_bytes(content + b"# more\n")
    assert revoke(path, places.env)
    assert not revoke(path, places.env)
    places.own.write_bytes(content)
    assert places.load().withheld == ("docker",)


def test_a_link_does_not_borrow_trust(places: Places) -> None:
    """What is trusted in one project is not what another project's sandbox has linked to."""
    elsewhere = places.root / "other/.claudy.toml"
    elsewhere.parent.mkdir()
    elsewhere.write_text('docker = "host"\nenv = ["TOKEN=of the other"]\n')
    accept(str(elsewhere), elsewhere.read_bytes(), places.env)
    places.own.symlink_to(elsewhere)
    with pytest.raises(SettingsError, match="it is a link"):
        places.load()


def test_launches_see_that_something_else_is_trusted(places: Places) -> None:
    """They look at the time of the directory, not at what is in it."""
    directory = places.root / "state/claudy/trust"
    accept(str(places.own), b"docker = 'host'", places.env)
    os.utime(directory, (1, 1))
    accept(str(places.own), b"sudo = true", places.env)
    assert directory.stat().st_mtime != 1


def test_only_what_was_accepted_last_is_trusted(places: Places) -> None:
    for asked in ("host", "guard"):
        places.write(None, {"docker": asked})
        accept(str(places.own), places.own.read_bytes(), places.env)
    places.write(None, {"docker": "host"})
    assert places.load().withheld == ("docker",)


@pytest.mark.parametrize("content", [b"a = " + b"[" * 5000, b"#" * (2 << 20)])
def test_a_file_that_is_meant_to_be_too_much_is_an_error(places: Places, content: bytes) -> None:
    places.own.write_bytes(content)
    with pytest.raises(SettingsError):
        places.load()


def test_a_key_of_many_parts_does_not_fill_the_memory(places: Places) -> None:
    """A tenth of a megabyte of it took ten gigabytes."""
    places.own.write_bytes(b"a." * 10_000 + b"a = 1")
    with pytest.raises(SettingsError, match="a huge one"):
        places.load()


def test_a_file_is_not_written_through_a_link(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = places.root / "mine"
    mine.write_text("mine")
    for number in range(os.getpid() - 5, os.getpid() + 5):
        (places.root / f"project/.claudy.toml.{number}").symlink_to(mine)
    places.own.symlink_to(mine)
    write_file(str(places.own), {"image": "x"})
    assert mine.read_text() == "mine"
    assert places.load()["image"] == "x"

    places.own.unlink()
    places.own.symlink_to(mine)
    monkeypatch.chdir(places.project)
    with pytest.raises(SettingsError, match="is a link"):
        edit(project=True)


def test_what_a_link_leads_to_is_not_copied_into_the_project(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    places.write({"env": ["TOKEN=mine"]}, None)
    places.own.symlink_to(places.root / "config.toml")
    monkeypatch.chdir(places.project)
    with pytest.raises(SettingsError, match="it is a link"):
        set_value("image", "x", project=True)
    assert places.own.is_symlink()


def test_a_flag_needs_no_trust(places: Places) -> None:
    places.write(None, {"docker": "host"})
    assert places.load({"docker": "host"})["docker"] == "host"
    assert places.load(CLAUDY_DOCKER="host")["docker"] == "host"


def test_the_user_s_own_file_needs_no_trust(places: Places) -> None:
    places.write({"docker": "host", "sudo": True}, None)
    found = places.load()
    assert found["docker"] == "host"
    assert found["sudo"] is True
    assert not found.withheld
