"""Whether the credential helpers that the docker CLI is set up with exist."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from claudy.doctor.model import Check, Outcome, ok, warn
from claudy.host.endpoint import under
from claudy.host.finding import Finding

if TYPE_CHECKING:
    from claudy.doctor.context import Context


def run(context: Context) -> Outcome:
    """Look for each helper named in config.json on the PATH."""
    host = context.host
    folder = host.env.get("DOCKER_CONFIG") or f"{host.home}/.docker"
    path = f"{folder}/config.json"
    try:
        with open(under(host.root, path), encoding="utf-8") as file:
            config = json.load(file)
    except (OSError, ValueError):
        return ok("no credentials are set up")
    if not isinstance(config, dict):
        return ok("no credentials are set up")
    helpers = config.get("credHelpers")
    names = {str(name) for name in (helpers if isinstance(helpers, dict) else {}).values()}
    names |= {str(config["credsStore"])} if config.get("credsStore") else set()
    missing = [
        f"docker-credential-{name}"
        for name in sorted(names)
        if not shutil.which(f"docker-credential-{name}", path=host.env.get("PATH"))
    ]
    if missing:
        message = f"{path} names {missing[0]}, which is not on the PATH: pulling and pushing fail."
        remedy = f"Install {missing[0]}, or remove it from {path} and log in again."
        return warn(Finding("credential-helper-missing", message, remedy), missing=missing)
    return ok(f"helpers: {', '.join(sorted(names))}" if names else "no helper is needed")


CHECK = Check("credentials", "Registry credentials", run)
