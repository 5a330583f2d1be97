"""Which object a reference means, and whether the project made it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from claudy.guard.ledger import TOKEN_LABEL
from claudy.guard.policy.references import CONTAINER_REF, NETWORK_NAME, VOLUME_NAME, is_image_ref
from claudy.guard.policy.rules import Budget
from claudy.guard.refusal import NOT_FOUND, Denied, missing, refused

if TYPE_CHECKING:
    from claudy.guard.daemon import Daemon
    from claudy.guard.ledger import Ledger
    from claudy.guard.options import Settings

FULL_ID = re.compile(r"[0-9a-f]{64}")
PREDEFINED = ("bridge", "none", "host")
OK = 200
_CHECKED_CACHES = (1, 44)


class Objects:
    """The daemon's objects as the sandbox may name them; the policy's `Context`.

    Args:
        daemon: asked what a reference means.
        ledger: says what is owned.
        settings: visibility and budget.
    """

    def __init__(self, daemon: Daemon, ledger: Ledger, settings: Settings) -> None:
        self._daemon = daemon
        self._ledger = ledger
        self._own_only = settings.visibility == "own"
        self.budget = Budget(**dict(settings.budget))
        self.all_interfaces = settings.all_interfaces

    # -- containers and exec -----------------------------------------------------------------

    def container(self, ref: str) -> str:
        """Return the full id of an owned container.

        Raises:
            Denied: 404 as dockerd says it, for what is missing and for what is another's.
        """
        if not CONTAINER_REF.fullmatch(ref):
            raise missing("container", ref)
        name = ref.lstrip("/")
        if FULL_ID.fullmatch(name) and self._ledger.owns("containers", name):
            return name
        found = self._ask(f"/containers/{name}/json")
        full = str(found.get("Id", "")) if found else ""
        if not full or not self._ledger.owns("containers", full):
            raise missing("container", ref)
        return full

    def inspected(self, ref: str) -> dict[str, Any]:
        """Return the daemon's inspection of an owned container."""
        full = self.container(ref)
        found = self._ask(f"/containers/{full}/json")
        if not found:
            raise missing("container", ref)
        return found

    def exec(self, ref: str) -> str:
        """Return the full id of an exec of an owned container."""
        if not FULL_ID.fullmatch(ref):
            raise missing("exec", ref)
        found = self._ask(f"/exec/{ref}/json")
        if not found or not self._ledger.owns("containers", str(found.get("ContainerID", ""))):
            raise missing("exec", ref)
        return ref

    # -- networks and volumes ----------------------------------------------------------------

    def network(self, ref: str) -> str:
        """Return the name or full id of an owned network; the name of a predefined one."""
        found = self._network(ref)
        if found is None:
            raise missing("network", ref)
        by_name = found["Name"] == ref or found["Name"] in PREDEFINED
        return str(found["Name"] if by_name else found["Id"])

    def network_id(self, ref: str) -> str:
        """Return the full id of an owned network; empty: it is a predefined one.

        What keeps an id and not a name does not get another's network of that name, or of an id
        that begins with it, once this one is removed.
        """
        found = self._network(ref)
        if found is None:
            raise missing("network", ref)
        return "" if found.get("Name") in PREDEFINED else str(found["Id"])

    def own_network(self, ref: str) -> str:
        """Return the full id of an owned network."""
        found = self._network(ref)
        if found is None:
            raise missing("network", ref)
        if not self._ledger.owns("networks", found["Id"]):
            raise refused(f"network {ref} is the daemon's own", "Use a network that you made.")
        return str(found["Id"])

    def network_is_anothers(self, name: str) -> bool:
        """Whether the daemon has a network of that name that the project did not make."""
        found = self._ask(f"/networks/{name}") if NETWORK_NAME.fullmatch(name) else None
        return bool(found) and not self._ledger.owns("networks", str((found or {}).get("Id", "")))

    def _network(self, ref: str) -> dict[str, Any] | None:
        if not NETWORK_NAME.fullmatch(ref):
            return None
        found = self._ask(f"/networks/{ref}")
        if not found:
            return None
        owned = self._ledger.owns("networks", found.get("Id", ""))
        return found if owned or found.get("Name") in PREDEFINED else None

    def volume(self, name: str) -> str:
        """Return the name of an owned volume."""
        if not self.volume_is_own(name):
            raise missing("volume", name)
        return name

    def volume_is_own(self, name: str, found: dict[str, Any] | None = None) -> bool:
        """Whether a volume exists and is the one that the project made under that name."""
        record = self._ledger.get("volumes", name) if VOLUME_NAME.fullmatch(name) else None
        if record is None:
            return False
        found = found or self._ask(f"/volumes/{name}")
        if not found:
            return False
        # The daemon's CreatedAt changes with the contents; the token was ours alone.
        token = (found.get("Labels") or {}).get(TOKEN_LABEL)
        return bool(record.get("anonymous")) or (bool(token) and token == record.get("token"))

    def volume_exists(self, name: str) -> bool:
        """Whether the daemon has a volume of that name, whoever made it."""
        return bool(self._ask(f"/volumes/{name}"))

    # -- images ------------------------------------------------------------------------------

    def visible_image(self, ref: str) -> str:
        """Return an image reference that the sandbox may use."""
        if not is_image_ref(ref):
            raise missing("image", ref)
        if self._own_only and not self.image_is_visible(self.image_id(ref)):
            raise missing("image", ref)
        return ref

    @property
    def checks_caches(self) -> bool:
        """Whether the classic builder takes only what was built here from a named cache.

        Older ones take any image that says it was built so (CVE-2024-24557).
        """
        return self._daemon.newest >= _CHECKED_CACHES

    def image_is_visible(self, full: str) -> bool:
        """Whether the sandbox may see an image; one that is not there is the daemon's to report."""
        if not self._own_only or not full:
            return True
        return self._ledger.owns("images", full) or self._ledger.owns("seen", full)

    def image_id(self, ref: str) -> str:
        """Return the full id that a reference points at; empty: no such image."""
        found = self._ask(f"/images/{ref}/json")
        return str(found.get("Id", "")) if found else ""

    def tag_is_free(self, tag: str) -> bool:
        """Whether a tag may be put, moved or deleted: nobody's, or where the project put it.

        Args:
            tag: reference with a tag, in the form that the ledger keeps.
        """
        target = self.image_id(tag)
        if not target:
            return True
        record = self._ledger.get("tags", tag)
        return record is not None and record.get("image") == target

    def _ask(self, path: str) -> dict[str, Any] | None:
        status, found = self._daemon.json("GET", path)
        if status == OK and isinstance(found, dict):
            return found
        if status in {NOT_FOUND, 400}:
            return None
        raise Denied(503, f"claudy guard: the daemon answered {status} to a look-up.")
