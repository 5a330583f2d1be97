"""SHA-256 without `hashlib`, which loads OpenSSL."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hashlib import sha256
else:
    try:
        from _sha2 import sha256
    except ImportError:
        try:
            from _sha256 import sha256
        except ImportError:  # pragma: no cover - other Python implementations
            from hashlib import sha256

__all__ = ["sha256"]
