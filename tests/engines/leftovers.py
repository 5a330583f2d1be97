"""What a test run left in an engine, and removing just that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.engines.images import LABEL
from tests.engines.shell import EngineError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.engines.api import Api

PROJECT_LABEL = "claudy.project"
"""Label in which claudy keeps the real path of the project that a thing belongs to."""

_LISTS = {
    "containers": ("/containers/json", {"all": "1"}, "Id"),
    "networks": ("/networks", {}, "Id"),
    "volumes": ("/volumes", {}, "Name"),
    "images": ("/images/json", {}, "Id"),
}
_KEPT_BY_DESIGN = {"volumes", "images"}
"""Homes outlive their sandboxes; claudy's image is the next test's cache."""


@dataclass(frozen=True)
class Leftover:
    """One thing in an engine that belongs to a test run.

    Args:
        kind: containers, networks, volumes or images.
        identity: Its id, or name where there is no id.
        name: What a person calls it.
        from_claudy: Whether claudy made it for a project of the run, not the test itself.
    """

    kind: str
    identity: str
    name: str
    from_claudy: bool

    @property
    def expected(self) -> bool:
        """Return whether it is there because claudy keeps such things."""
        return self.from_claudy and self.kind in _KEPT_BY_DESIGN

    def remove(self, api: Api) -> None:
        """Remove it; one that is gone already is no error."""
        query = {"containers": {"force": "1", "v": "1"}, "images": {"force": "1"}}
        try:
            api.request("DELETE", f"/{self.kind}/{self.identity}", query.get(self.kind))
        except EngineError:
            if self in leftovers_like(api, self):
                raise


def leftovers_like(api: Api, one: Leftover) -> list[Leftover]:
    """Return the thing itself, if it is still there."""
    return [
        one
        for kind, item in _items(api)
        if kind == one.kind and item[_LISTS[kind][2]] == one.identity
    ]


def find_leftovers(api: Api, run: str, projects: Path) -> list[Leftover]:
    """Return what a run left, in the order in which it can be removed.

    Args:
        api: The engine.
        run: Value of the test label of the run; those of its tests begin with it.
        projects: The directory that has all projects of the run below it.
    """
    found = []
    for kind, item in _items(api):
        labels = item.get("Labels") or {}
        label = labels.get(LABEL, "")
        own = label == run or label.startswith(f"{run}-")
        project = labels.get(PROJECT_LABEL, "")
        from_claudy = project == str(projects) or project.startswith(f"{projects}/")
        if own or from_claudy:
            identity = item[_LISTS[kind][2]]
            names = item.get("Names") or item.get("RepoTags") or [item.get("Name") or identity]
            found.append(Leftover(kind, identity, names[0].lstrip("/"), from_claudy and not own))
    return found


def _items(api: Api) -> list[tuple[str, dict[str, Any]]]:
    items = []
    for kind, (path, query, _) in _LISTS.items():
        answer = api.request("GET", path, query)
        listed = answer["Volumes"] or [] if kind == "volumes" else answer
        items += [(kind, item) for item in listed]
    return items
