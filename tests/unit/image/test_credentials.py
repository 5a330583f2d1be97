"""Registry credentials, from the files and helpers that the docker CLI uses."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from claudy.image.credentials import NOBODY, registry_auth
from claudy.image.failures import RegistryDenied

REGISTRY = "registry.example:5000"
HELPER = """\
#!/bin/sh
[ "$1" = get ] || exit 9
read -r server
case $server in
  registry.example:5000) echo '{"Username": "jane", "Secret": "from the helper"}' ;;
  token.example) echo '{"Username": "<token>", "Secret": "a token"}' ;;
  empty.example) echo '{}' ;;
  list.example) echo '[]' ;;
  words.example) echo 'nothing here' ;;
  broken.example) echo "the key ring is locked"; exit 1 ;;
  *) echo "credentials not found in native keychain"; exit 1 ;;
esac
"""


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return an environment with a DOCKER_CONFIG and a credential helper `test` on the PATH."""
    helper = tmp_path / "bin/docker-credential-test"
    helper.parent.mkdir()
    helper.write_text(HELPER)
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(helper.parent), prepend=":")
    (tmp_path / "docker").mkdir()
    return {"DOCKER_CONFIG": str(tmp_path / "docker"), "HOME": str(tmp_path)}


def configure(env: dict[str, str], **content: Any) -> None:
    """Write config.json."""
    with open(env["DOCKER_CONFIG"] + "/config.json", "w", encoding="utf-8") as file:
        json.dump(content, file)


def decoded(header: str) -> dict[str, str]:
    """Return what the header says, names in lower case as the engine reads them."""
    value = json.loads(base64.urlsafe_b64decode(header))
    return {key.lower(): text for key, text in value.items()}


def test_nobody_without_a_configuration(env: dict[str, str]) -> None:
    assert registry_auth(REGISTRY, env) == NOBODY
    configure(env, auths={})
    assert registry_auth(REGISTRY, env) == NOBODY


def test_credentials_from_the_file(env: dict[str, str]) -> None:
    secret = base64.b64encode(b"jane:from the file").decode()
    configure(env, auths={REGISTRY: {"auth": secret}, "other.example": {"auth": secret}})
    found = decoded(registry_auth(REGISTRY, env))
    assert (found["username"], found["password"]) == ("jane", "from the file")


def test_the_home_directory_is_where_the_file_is_by_default(env: dict[str, str]) -> None:
    secret = base64.b64encode(b"jane:at home").decode()
    configure(env, auths={REGISTRY: {"auth": secret}})
    folder = Path(env.pop("DOCKER_CONFIG"))
    folder.rename(folder.with_name(".docker"))
    assert "at home" in decoded(registry_auth(REGISTRY, env)).values()


@pytest.mark.parametrize("content", [{"credsStore": "test"}, {"credHelpers": {REGISTRY: "test"}}])
def test_credentials_from_a_helper(env: dict[str, str], content: dict[str, Any]) -> None:
    configure(env, **content)
    found = decoded(registry_auth(REGISTRY, env))
    assert (found["username"], found["password"]) == ("jane", "from the helper")


def test_a_token_from_a_helper(env: dict[str, str]) -> None:
    configure(env, credsStore="test")
    assert decoded(registry_auth("token.example", env))["identitytoken"] == "a token"


def test_a_helper_that_knows_nothing_leaves_it_to_the_file(env: dict[str, str]) -> None:
    secret = base64.b64encode(b"jane:from the file").decode()
    configure(env, credsStore="test", auths={"file.example": {"auth": secret}})
    assert "from the file" in decoded(registry_auth("file.example", env)).values()
    assert registry_auth("none.example", env) == NOBODY


@pytest.mark.parametrize(
    ("content", "registry", "why"),
    [
        ({"credsStore": "test"}, "broken.example", "the key ring is locked"),
        ({"credsStore": "gone"}, REGISTRY, "docker-credential-gone not installed"),
        ({"credsStore": "test"}, "empty.example", "docker-credential-test gives an answer that"),
        ({"credsStore": "test"}, "list.example", "docker-credential-test gives an answer that"),
        ({"credsStore": "test"}, "words.example", "docker-credential-test gives an answer that"),
    ],
)
def test_a_helper_that_fails_is_an_error_that_says_why(
    env: dict[str, str], content: dict[str, Any], registry: str, why: str
) -> None:
    configure(env, **content)
    with pytest.raises(RegistryDenied, match=why) as error:
        registry_auth(registry, env)
    assert error.value.hint == f"docker login {registry}"


@pytest.mark.parametrize(
    "content", [{"credsStore": "x/evil"}, {"credHelpers": {REGISTRY: "x/evil"}}]
)
def test_a_helper_is_not_looked_up_from_the_current_directory(
    env: dict[str, str], content: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evil = tmp_path / "docker-credential-x/evil"
    evil.parent.mkdir()
    evil.write_text("#!/bin/sh\n: >ran\necho '{}'\n")
    evil.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    configure(env, **content)
    with pytest.raises(RegistryDenied, match="'x/evil' is not the name of a helper"):
        registry_auth(REGISTRY, env)
    assert not (tmp_path / "ran").exists()
