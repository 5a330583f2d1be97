"""The names of containers that only ask the engine something, for a moment.

By these they are found when claudy was killed meanwhile: labels would not do, which an image passes
on to the containers of others.
"""

from __future__ import annotations

import os


def probe_name() -> dict[str, str]:
    """Return the query of a request that creates one."""
    return {"name": f"claudy-probe-{os.urandom(8).hex()}"}
