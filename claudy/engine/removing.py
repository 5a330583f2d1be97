"""How an engine removes directories, which depends on the Go that it was built with."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_SAFE_GO = (1, 24)


def removes_safely(version: Mapping[str, object]) -> bool:
    """Whether an engine follows no link that is put where it removes directories.

    Go did (golang/go#52745, mended on Unix in 2024); seen with 1.19, not with 1.24.

    Args:
        version: document of `GET /version`.
    """
    built = re.match(r"go([0-9]+)\.([0-9]+)", str(version.get("GoVersion") or ""))
    return built is not None and (int(built[1]), int(built[2])) >= _SAFE_GO
