"""Registry credentials as the docker CLI has them, helpers included, through the docker SDK."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING

from docker.auth import encode_header, load_config, resolve_repository_name
from docker.errors import DockerException, InvalidRepository
from docker.utils import parse_repository_tag

from claudy.errors import UsageError
from claudy.image.failures import RegistryDenied
from claudy.record import record

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    repository, tag = parse_repository_tag(reference)
    try:
        if not repository:
            raise InvalidRepository("it is empty")  # noqa: TRY301
        registry, _ = resolve_repository_name(repository)
    except (InvalidRepository, IndexError) as error:
        raise UsageError(
            f"{reference!r} is not an image reference: {error}.", "give NAME[:TAG]"
        ) from error
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
