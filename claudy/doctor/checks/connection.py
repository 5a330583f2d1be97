"""Whether somebody listens at the endpoint and this user may connect."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from claudy.doctor.model import Check, Outcome, fail, ok
from claudy.engine.wire import dial
from claudy.errors import EngineError
from claudy.host.diagnose import diagnose
from claudy.host.endpoint import probe
from claudy.host.probe import answers

if TYPE_CHECKING:
    from claudy.doctor.context import Context

PATIENCE = 3.0  # seconds to connect
ABSENT = {errno.ENOENT, errno.ECONNREFUSED}


def run(context: Context) -> Outcome:
    """Connect; where the implicit default has nobody, look for the one engine elsewhere."""
    endpoint, host = context.endpoint, context.host
    if endpoint.kind == "ssh":
        return ok("ssh is asked with the first request")
    try:
        dial(endpoint, PATIENCE).close()
    except EngineError as error:
        cause = error.__cause__
        if not isinstance(cause, OSError):
            raise
        if cause.errno in ABSENT:
            other = probe(
                endpoint,
                env=host.env,
                home=host.home,
                platform=host.platform,
                uid=host.uid,
                is_live=answers,
                root=host.root,
            )
            if other:
                context.use_endpoint(other)
                return ok(f"{other.url} ({other.source})", url=other.url, source=other.source)
        return fail(diagnose(cause, endpoint, host))
    if endpoint.tls:
        return ok("the engine's certificate is trusted")
    return ok(f"{endpoint.path or endpoint.address[0]} accepts connections")


CHECK = Check("connection", "Connection", run, ("endpoint",), timeout=6)
