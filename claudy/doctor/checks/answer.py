"""Whether the engine answers, and speaks a version of the API that claudy speaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claudy.doctor.model import Check, Outcome, fail, ok
from claudy.engine.client import NEWEST, OLDEST
from claudy.errors import APIError, EngineError
from claudy.host.diagnose import diagnose
from claudy.host.finding import Finding, way_back
from claudy.host.refusals import api_mismatch

if TYPE_CHECKING:
    from claudy.doctor.context import Context


def run(context: Context) -> Outcome:
    """Ask /_ping and compare the API versions."""
    endpoint = context.endpoint
    try:
        headers = context.engine().ping()
    except APIError as error:
        return fail(Finding(error.code, error.message, error.hint))
    except EngineError as error:
        # It answered, with a version too old; or ssh was asked already why it fails.
        if not isinstance(error.__cause__, OSError) or endpoint.kind == "ssh":
            return fail(Finding(error.code, error.message, error.hint))
        return fail(diagnose(error.__cause__, endpoint, context.host))
    offered = headers.get("api-version", "")
    if not offered:
        message = f"What answers at {endpoint.url} (from: {endpoint.source}) is no Docker engine."
        return fail(Finding("not-an-engine", message, way_back(endpoint)))
    lowest = str(context.engine().call("GET", "/version").get("MinAPIVersion") or offered)
    if _number(lowest) > NEWEST:
        return fail(
            api_mismatch(
                f"the engine speaks {lowest} to {offered}, claudy {_text(OLDEST)} to"
                f" {_text(NEWEST)}",
                engine_is_older=False,
            )
        )
    seen = f"API {lowest} to {offered}; claudy speaks {_text(OLDEST)} to {_text(NEWEST)}"
    return ok(seen, api=offered, min_api=lowest)


def _number(version: str) -> tuple[int, ...]:
    """Return a version as numbers."""
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


def _text(version: tuple[int, int]) -> str:
    """Return a version as it is written."""
    return f"{version[0]}.{version[1]}"


CHECK = Check("answer", "API version", run, ("connection",), timeout=8)
