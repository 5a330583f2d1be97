"""Registry credentials as the docker CLI has them, helpers included, through the docker SDK."""

from __future__ import annotations

import os
import re
import warnings
from typing import TYPE_CHECKING

from docker.auth import encode_header, load_config, resolve_repository_name
from docker.errors import DockerException
from docker.utils import parse_repository_tag

from claudy.errors import UsageError
from claudy.image.failures import RegistryDenied
from claudy.record import record

if TYPE_CHECKING:
    from collections.abc import Mapping

# The grammar of distribution/reference.
_HOST = r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
_WORD = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?:{_HOST}/)?{_WORD}(?:/{_WORD})*(?::\w[\w.-]{{0,127}})?(?:@[a-z0-9]+:[0-9a-f]+)?", re.ASCII
)
NOBODY = "e30="  # "{}": the engine wants the header, also from those who have no credentials


@record
class Name:
    """An image reference taken apart.

    Args:
        registry: host name of the registry, as `docker login` takes it.
        repository: name with its registry and without tag.
        tag: tag or digest, `latest` if none was given.
    """

    registry: str
    repository: str
    tag: str


def parse_name(reference: str) -> Name:
    """Take an image reference apart.

    Raises:
        UsageError: it is none.
    """
    if not _REFERENCE.fullmatch(reference):
        raise UsageError(
            f"{reference!r} is not an image reference.", "give NAME[:TAG], the name in lower case"
        )
    repository, tag = parse_repository_tag(reference)
    registry, _ = resolve_repository_name(repository)
    return Name(registry, repository, tag or "latest")


def registry_auth(registry: str, env: Mapping[str, str]) -> str:
    """Return the value of X-Registry-Auth for a registry.

    Args:
        registry: its host name.
        env: the process environment: DOCKER_CONFIG, HOME, and PATH for the helpers.

    Raises:
        RegistryDenied: a credential helper is configured and fails.
    """
    folder = env.get("DOCKER_CONFIG") or os.path.join(
        env.get("HOME") or os.path.expanduser("~"), ".docker"
    )
    path = os.path.join(folder, "config.json")
    if not os.path.exists(path):
        return NOBODY
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a missing helper is reported as an error below
            config = load_config(config_path=path)
            found = config.resolve_authconfig(registry)
    except DockerException as error:
        raise RegistryDenied(
            f"The credentials for {registry} can't be had (from: {path}): {error}.",
            f"docker login {registry}",
        ) from error
    return encode_header(found).decode() if found else NOBODY
