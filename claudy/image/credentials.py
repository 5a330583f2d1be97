"""Registry credentials as the docker CLI has them, helpers included, through the docker SDK."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING

from claudy.image.failures import RegistryDenied

if TYPE_CHECKING:
    from collections.abc import Mapping

NOBODY = "e30="  # "{}": the engine wants the header, also from those who have no credentials


def registry_auth(registry: str, env: Mapping[str, str]) -> str:
    """Return the value of X-Registry-Auth for a registry.

    Args:
        registry: its host name.
        env: the process environment: DOCKER_CONFIG, HOME, and PATH for the helpers.

    Raises:
        RegistryDenied: a credential helper is configured and fails, or its name is none.
    """
    folder = env.get("DOCKER_CONFIG") or os.path.join(
        env.get("HOME") or os.path.expanduser("~"), ".docker"
    )
    path = os.path.join(folder, "config.json")
    if not os.path.exists(path):
        return NOBODY
    # The SDK takes as long to import as all else that claudy does.
    from docker.auth import encode_header, load_config
    from docker.errors import DockerException

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a missing helper is reported as an error below
            config = load_config(config_path=path)
            helper = str(config.get_credential_store(registry) or "")
            # A name with a slash is looked up from the current directory: the project.
            if "/" in helper:
                raise _unavailable(registry, path, f"{helper!r} is not the name of a helper")
            try:
                found = config.resolve_authconfig(registry)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                if not helper:
                    raise
                why = f"docker-credential-{helper} gives an answer that is none"
                raise _unavailable(registry, path, why) from error
    except DockerException as error:
        raise _unavailable(registry, path, str(error)) from error
    return encode_header(found).decode() if found else NOBODY


def _unavailable(registry: str, path: str, why: str) -> RegistryDenied:
    return RegistryDenied(
        f"The credentials for {registry} can't be had (from: {path}): {why}.",
        f"docker login {registry}",
    )
