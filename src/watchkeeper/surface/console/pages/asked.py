"""What the card of one request and the card of many show alike: time left, targets as they are now, blast radius, risk."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from watchkeeper.surface.console import words
from watchkeeper.surface.console.call import Refused
from watchkeeper.surface.console.pages.now import timed
from watchkeeper.surface.console.pages.services import drawn
from watchkeeper.surface.console.visit import Visit

__all__ = ["around", "blocks", "highest", "own_request", "things", "timed"]

THINGS_MAX: Final = 200
RISKS: Final = ("low", "medium", "high")


async def things(visit: Visit, refs: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The first THINGS_MAX of the targets as the catalogue and the probes have them now, by one question however many they
    are; what left it since is unknown.
    """
    names = list(dict.fromkeys(refs))[:THINGS_MAX]
    listed = (await visit.api.get("services", ref=names))["items"] if names else []
    found: dict[str, dict[str, Any]] = {one["ref"]: one for one in listed}
    return {ref: found.get(ref) or _gone(ref) for ref in names}


def _gone(ref: str) -> dict[str, Any]:
    return {"ref": ref, "name": words.short_ref(ref), "type": "", "health": {"is": "unknown", "at": None, "why": ""}}


async def around(visit: Visit, service: str, targets: Sequence[str]) -> dict[str, Any] | None:
    """The service with what would change in it; None when it left the catalogue."""
    if not service:
        return None
    try:
        found = await visit.api.get("neighbourhood", service, hops=1)
    except Refused:
        return None
    acted = dict.fromkeys(targets, "would change")
    if service not in acted:
        acted[service] = f"{len(acted)} would change"
    return drawn(found, acted=acted)


def highest(requests: Sequence[Mapping[str, Any]]) -> str:
    """The highest risk among them, "" when none is known."""
    known = [each.get("risk", "") for each in requests if each.get("risk", "") in RISKS]
    return max(known, key=RISKS.index, default="")


def blocks(risk: str) -> int:
    return RISKS.index(risk) + 1 if risk in RISKS else 0


def own_request(approval: Mapping[str, Any], me: Mapping[str, Any]) -> bool:
    """Whether whoever looks is who asked: nobody approves their own request in production."""
    return bool(approval["requester"]) and approval["requester"] in {me["name"], f"person:{me['name']}", me["identity"]}
