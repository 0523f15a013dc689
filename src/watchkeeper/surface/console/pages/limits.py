"""Freezes and holds: what is held back now, until when, by whom?"""

from typing import Any, Final

from starlette.responses import Response

from watchkeeper.surface.console import words
from watchkeeper.surface.console.pages.now import LIMITS_SHOWN, in_force
from watchkeeper.surface.console.visit import Visit

ENDED_SHOWN: Final = 20
SCOPES: Final = ("entity", "service", "system", "environment", "region", "tier", "rule")
KINDS: Final = {"holds": "lift", "freezes": "lift", "stops": "resume", "breakers": "close", "brakes": "release"}
DONE: Final = {
    "holds": "The hold is lifted",
    "freezes": "The freeze is lifted",
    "stops": "Automation goes on",
    "breakers": "The breaker is closed",
    "brakes": "The brake is released",
}


async def limits(visit: Visit) -> Response:
    holds, freezes, stops, waiting, breakers, brakes, calendars = await visit.many(
        visit.api.get("holds", state="closed", limit=ENDED_SHOWN),
        visit.api.get("freezes", state="closed", limit=ENDED_SHOWN),
        visit.api.get("stops", state="closed", limit=ENDED_SHOWN),
        visit.api.get("proposals", limit=100),
        visit.api.get("breakers", state="open", limit=LIMITS_SHOWN),
        visit.api.get("brakes", state="open", limit=LIMITS_SHOWN),
        visit.api.get("calendars"),
    )
    past = [
        {**one, "what": what}
        for what, found in (("Hold", holds), ("Freeze", freezes), ("Stop", stops))
        for one in found["items"]
    ]
    past.sort(key=lambda one: one["lifted_at"] or "", reverse=True)
    force = in_force(visit.status, breakers["items"], brakes["items"])
    return visit.page(
        "limits.html",
        at="limits",
        title="Freezes and holds",
        force=force,
        ahead=sorted(
            (one for one in visit.status["freezes"] if one["from_at"] > visit.status["at"]),
            key=lambda one: one["from_at"],
        ),
        calendars=calendars["items"],
        past=past[:ENDED_SHOWN],
        waiting=waiting["items"],
        scopes=SCOPES,
        answer=answer(force, len(waiting["items"])),
    )


def answer(force: list[dict[str, Any]], waiting: int) -> str:
    if not force:
        return "Nothing is held back."
    held = f" {words.plural(waiting, 'proposal')} {'waits' if waiting == 1 else 'wait'}." if waiting else ""
    return f"{words.plural(len(force), 'limit is', 'limits are')} in force.{held}"


async def make(visit: Visit) -> Response:
    """A hold or a freeze from the form of this page."""
    given = await visit.fields()
    kind = "freezes" if given.get("kind") == "freeze" else "holds"
    scope = (
        {given["by"]: given["value"].strip()} if given.get("by") in SCOPES and given.get("value", "").strip() else {}
    )
    made = await visit.api.post(kind, scope=scope, **{"for": given.get("for", "1h")}, reason=given.get("reason", ""))
    word = "Frozen" if kind == "freezes" else "Held"
    return visit.go("/limits", f"{word} until {words.told_at(made['until_at'], visit.status['at'], visit.zone)}.")


async def lift(visit: Visit) -> Response:
    kind, name = visit.part["kind"], visit.part["identity"]
    given = await visit.fields()
    if kind not in KINDS:
        return visit.go("/limits")
    await visit.api.post(kind, name, KINDS[kind], reason=given.get("reason", ""))
    return visit.go("/limits", f"{DONE[kind]}. What was held is decided afresh.")


async def ask(visit: Visit) -> Response:
    """Why it ends: a reason stands on record."""
    kind, name = visit.part["kind"], visit.part["identity"]
    if kind not in KINDS:
        return visit.go("/limits")
    found = await visit.api.get(kind, name)
    return visit.page(
        "lift.html",
        at="limits",
        title="Resume" if kind == "stops" else "Lift",
        limit=found,
        kind=kind,
        label=_label(found),
    )


def _label(found: dict[str, Any]) -> str:
    """What a limit without a scope is about."""
    return f"{found['action']} on {found['domain']}" if "action" in found else str(found.get("name") or "everything")


PAGES: Final = (
    ("GET", "/limits", limits),
    ("GET", "/limits/{kind}/{identity}/lift", ask),
    ("POST", "/limits", make),
    ("POST", "/limits/{kind}/{identity}/lift", lift),
)
