"""What the project made through the guard: full ids on disk, shared by its sandboxes.

One JSON file per project, replaced atomically under a lock. A file that can't be read, belongs to
another project or comes from a newer version is an error, never an empty ledger: ownership is not
guessed. An `intent` is written before an object is made and carries a secret token that the object
gets as a label, so that an object made just before a crash still finds its owner.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
import time
from typing import TYPE_CHECKING, Any

from claudy.errors import ClaudyError
from claudy.guard.opening import LEDGER_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

VERSION = 1
LOCK = "ledger.lock"
KINDS = ("containers", "networks", "volumes", "images", "tags", "seen")
TOKEN_LABEL = "claudy.guard.token"  # noqa: S105 - the name of a label
INTENT_SECONDS = 24 * 3600
GONE_SECONDS = 60  # for which events about a container that is gone may still have to be told


class LedgerError(ClaudyError):
    """The ledger can't be trusted or written."""

    code = "ledger"


class Ledger:
    """The ledger in a directory.

    Args:
        directory: made with mode 0700 if absent.
        project: id of the project; a ledger of another project is refused.

    Records are dicts by kind and key. Containers, networks and images are keyed by full id,
    volumes by name (with the
    `token` of its label, since names come back), tags by their full reference (with
    the `image` id they were put on); `seen` are foreign images that a registry let us have.
    """

    def __init__(self, directory: str, project: str) -> None:
        self.directory = directory
        self.project = project
        self._path = os.path.join(directory, LEDGER_FILE)
        self._cache: dict[str, Any] = {}
        self._stamp: tuple[int, int, int] | None = None
        self._mutex = threading.RLock()

    # -- reading -----------------------------------------------------------------------------

    def read(self) -> dict[str, Any]:
        """Return the ledger as it is now; callers don't change it.

        Raises:
            LedgerError: damaged, of another project, from a newer version, not readable.
        """
        with self._mutex:
            try:
                found = os.stat(self._path)
            except FileNotFoundError:
                if self._stamp is not None:
                    raise self._broken("it has disappeared") from None
                return self._empty()
            except OSError as error:
                raise self._broken(str(error.strerror)) from error
            stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
            if stamp != self._stamp:
                self._cache = self._load()
                self._stamp = stamp
            return self._cache

    def owns(self, kind: str, key: str) -> bool:
        """Whether the project made this object."""
        return key in self.read()[kind]

    def get(self, kind: str, key: str) -> dict[str, Any] | None:
        """Return an object's record."""
        found: dict[str, Any] | None = self.read()[kind].get(key)
        return found

    def keys(self, kind: str) -> list[str]:
        """Return the keys of a kind, oldest first."""
        return list(self.read()[kind])

    # -- writing -----------------------------------------------------------------------------

    def add(self, kind: str, key: str, **fields: Any) -> None:
        """Record an object; resolves nothing, the caller got the id from the daemon."""
        self.change(lambda data: data[kind].__setitem__(key, {"at": int(time.time()), **fields}))

    def remove(self, kind: str, key: str) -> None:
        """Forget an object."""
        if self.owns(kind, key):
            self.change(lambda data: data[kind].pop(key, None))

    def mark_gone(self, container: str) -> None:
        """Note that the daemon has removed a container; only its id is kept, and not for long."""
        if self.owns("containers", container):
            gone = {"gone": int(time.time())}
            self.change(lambda data: data["containers"].update({container: gone}), durable=False)

    def forget_gone(self, before: float) -> None:
        """Forget the containers that were gone before a moment, in seconds since the epoch."""
        gone = {
            key
            for key, record in self.read()["containers"].items()
            if record.get("gone", before) < before
        }
        if gone:
            self.change(
                lambda data: [data["containers"].pop(key, None) for key in gone], durable=False
            )

    def intend(self, kind: str, token: str, /, **fields: Any) -> None:
        """Write down that an object with this token label is about to be made.

        Args:
            kind: of the object.
            token: its label.
            fields: of its record.
        """
        entry = {"kind": kind, "at": int(time.time()), "fields": fields}
        self.change(lambda data: data["intents"].__setitem__(token, entry), durable=False)

    def settle(
        self,
        token: str,
        kind: str,
        key: str,
        /,
        also: Callable[[dict[str, Any]], object] | None = None,
        **fields: Any,
    ) -> None:
        """Turn an intent into an owned object.

        Args:
            token: of the intent.
            kind: of the object.
            key: of the object.
            also: changes the data in the same moment.
            fields: of the record.
        """

        def step(data: dict[str, Any]) -> None:
            data["intents"].pop(token, None)
            data[kind][key] = {"at": int(time.time()), **fields}
            if also:
                also(data)

        self.change(step)

    def drop_intent(self, token: str) -> None:
        """Forget an intent: nothing was made."""
        self.change(lambda data: data["intents"].pop(token, None), durable=False)

    def change(self, step: Callable[[dict[str, Any]], object], *, durable: bool = True) -> None:
        """Change the ledger under its lock.

        Args:
            step: changes the data in place.
            durable: survive a power failure, not only the death of the guard.

        Raises:
            LedgerError: it can't be read or written; nothing has changed then.
        """
        with self._mutex, self._locked():
            data = json.loads(json.dumps(self.read()))
            step(data)
            self._store(data, durable=durable)

    @contextlib.contextmanager
    def held(self, name: str) -> Iterator[None]:
        """Hold a lock between all guards of the project, and the threads of each.

        Args:
            name: of its file, beside the ledger.
        """
        with self._locked(name):
            yield

    # -- inside ------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _locked(self, name: str = LOCK) -> Iterator[None]:
        try:
            os.makedirs(self.directory, 0o700, exist_ok=True)
            number = os.open(
                os.path.join(self.directory, name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
        except OSError as error:
            raise self._broken(str(error.strerror)) from error
        try:
            fcntl.flock(number, fcntl.LOCK_EX)
            yield
        finally:
            os.close(number)

    def _empty(self) -> dict[str, Any]:
        kinds: dict[str, Any] = {kind: {} for kind in KINDS}
        return {"version": VERSION, "project": self.project, "intents": {}, **kinds}

    def _load(self) -> dict[str, Any]:
        try:
            with open(self._path, encoding="utf-8") as file:
                data = json.load(file)
        except (OSError, ValueError, RecursionError) as error:
            raise self._broken(f"it is damaged: {error}") from error
        if not isinstance(data, dict) or not isinstance(data.get("version"), int):
            raise self._broken("it is not a ledger")
        if data["version"] > VERSION:
            raise self._broken("it was written by a newer claudy")
        if data.get("project") != self.project:
            raise self._broken("it belongs to another project")
        for kind in (*KINDS, "intents"):
            records = data.get(kind)
            if not isinstance(records, dict) or not all(
                isinstance(r, dict) for r in records.values()
            ):
                raise self._broken(f"its {kind} are damaged")
        return data

    def _store(self, data: dict[str, Any], *, durable: bool) -> None:
        temporary = f"{self._path}.{os.getpid()}.{threading.get_ident()}"
        try:
            number = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with open(number, "w", encoding="utf-8") as file:
                json.dump(data, file, separators=(",", ":"))
                file.flush()
                if durable:
                    os.fsync(number)
                found = os.fstat(number)
            os.replace(temporary, self._path)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise self._broken(f"it can't be written: {error.strerror}") from error
        self._cache = data
        self._stamp = (found.st_ino, found.st_mtime_ns, found.st_size)

    def _broken(self, why: str) -> LedgerError:
        return LedgerError(
            f"The guard's ledger {self._path} can't be used: {why}.",
            f"mv {self._path} {self._path}.broken  # and lose the ownership of what was started",
        )
