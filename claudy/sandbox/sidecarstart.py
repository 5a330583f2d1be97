"""A sidecar that is coming up: wait until its guard listens, or take it back."""

from __future__ import annotations

from claudy.errors import APIError, ClaudyError
from claudy.sandbox.guarding import READY
from claudy.sandbox.leave import remove

TYPE_CHECKING = False
if TYPE_CHECKING:
    from claudy.engine.client import Engine, Pending
    from claudy.engine.wire import Socket

_PATIENCE = 60.0
_HEAD = 8  # bytes before each piece of an attached stream


class StartingSidecar:
    """A sidecar that is coming up.

    Args:
        engine: where.
        container: its id.
        sock: carries what it says.
        first: what has come along already.
        pending: the request to start it.
    """

    slow = True  # it comes up as fast as the sandbox does, which must not be first

    def __init__(
        self, engine: Engine, container: str, sock: Socket, first: bytes, pending: Pending
    ) -> None:
        self._engine, self._container = engine, container
        self._sock, self._said, self._pending = sock, first, pending

    def wait(self) -> None:
        """Wait until the guard listens.

        Raises:
            ClaudyError: it could not start; nothing in the sandbox reaches Docker then.
        """
        try:
            self._pending.finish(_PATIENCE)
            self._sock.settimeout(_PATIENCE)
            while READY not in self._said:
                piece = self._sock.recv(4096)
                if not piece:
                    break
                self._said += piece
        except APIError as error:
            if error.hint:  # what it means is known
                raise
            raise ClaudyError(
                f"The guard's sidecar could not be started: {error.detail}", "claudy doctor"
            ) from error
        except OSError as error:
            raise ClaudyError("The guard's sidecar does not come up.", "claudy doctor") from error
        finally:
            self._sock.close()
        if READY not in self._said:
            from claudy.host.finding import as_error
            from claudy.host.refusals import refusal

            words = _plain(self._said).strip().splitlines()
            reason = words[-1] if words else "it said nothing"
            if finding := refusal(reason):
                raise as_error(finding, ClaudyError)
            raise ClaudyError(f"The guard could not be started: {reason}", "claudy doctor")

    def stop(self) -> None:
        """Remove it again."""
        self._sock.close()
        self._pending.close()
        remove(self._engine, self._container)
        self._engine.close()


def _plain(said: bytes) -> str:
    """Return what an attached stream carries, without the heads of its pieces."""
    text = b""
    while len(said) >= _HEAD:
        end = _HEAD + int.from_bytes(said[4:_HEAD], "big")
        text += said[_HEAD:end]
        said = said[end:]
    return text.decode("utf-8", "replace")
