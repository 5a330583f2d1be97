"""Who may have whose files open: what holds one still has to hold all of them.

In a circle are those who may have each other's files open: one who has a volume, processes, a
network or shared memory with another can hand them to it, and that one to a third. They stay open
when who has handed them on is gone, so circles only grow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from claudy.guard.ledger import Ledger
    from claudy.guard.options import Settings
    from claudy.guard.paths import Workspace

WORKSPACE_CIRCLE = ""  # who has the workspace, the sandboxes too


class Circles:
    """The circles of a project's containers and volumes, which the ledger keeps.

    Args:
        ledger: where they are.
        workspace: what all sandboxes have.
        settings: name the volume that stands for it.
    """

    def __init__(self, ledger: Ledger, workspace: Workspace, settings: Settings) -> None:
        self._ledger, self._workspace, self._settings = ledger, workspace, settings

    def of(self, kind: str, key: str) -> str | None:
        """Return an object's circle; None: nobody has noted it.

        Args:
            kind: `containers` or `volumes`.
            key: in the ledger. A container that is not there is a sandbox.
        """
        record = self._ledger.get(kind, key)
        return record.get("circle") if record else WORKSPACE_CIRCLE

    def join(self, sandbox: dict[str, Any]) -> None:
        """Note what a sandbox has with the project's containers: it may have been given a volume.

        Args:
            sandbox: its container, as the daemon describes it.
        """
        if self._volumes(sandbox) & self._ledger.read()["volumes"].keys():
            self._ledger.change(self.circling(sandbox), durable=False)

    def circling(self, found: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
        """Return the change of the ledger that puts a new container into a circle.

        Args:
            found: the container, as the daemon describes it.
        """
        new = str(found.get("Id"))
        volumes = self._volumes(found)
        others = {new, *_joined(found.get("HostConfig") or {})}

        def unite(data: dict[str, Any]) -> None:
            containers, owned = data["containers"], data["volumes"]
            near = [containers[full] for full in others if full in containers]
            near += [owned[name] for name in volumes if name in owned]
            old = {record["circle"] for record in near if "circle" in record}
            circle = WORKSPACE_CIRCLE if WORKSPACE_CIRCLE in volumes | old else new
            for record in [*containers.values(), *owned.values()]:
                if record.get("circle") in old:
                    record["circle"] = circle
            for record in near:
                record["circle"] = circle

        return unite

    def _volumes(self, found: dict[str, Any]) -> set[str]:
        """Return what a container has mounted: names of volumes, and the workspace as one."""
        top = self._workspace.host.rstrip("/")
        sources = {
            str(mount.get("Name") or mount.get("Source") or "")
            for mount in found.get("Mounts") or []
        } - {""}  # a tmpfs is its own
        ours = f"{top}/"
        volume = self._settings.workspace_volume
        return {
            WORKSPACE_CIRCLE
            if source == volume or f"{source}/".startswith(ours) or ours.startswith(f"{source}/")
            else source
            for source in sources
        }


def _joined(host: dict[str, Any]) -> set[str]:
    """Return the ids of the containers whose processes, network or shared memory one has."""
    modes = (str(host.get(key) or "") for key in ("PidMode", "NetworkMode", "IpcMode"))
    return {mode.removeprefix("container:") for mode in modes if mode.startswith("container:")}
