"""Incidents: is it getting better, and who is doing what?"""

from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

from watchkeeper.surface.console import render, words
from watchkeeper.surface.console.draw import strip
from watchkeeper.surface.console.pages.services import drawn
from watchkeeper.surface.console.visit import ZONE_COOKIE, Visit

PAGE: Final = 100
MARKS: Final = {
    "acknowledge": "Acknowledged.",
    "comment": "The comment stands in the timeline.",
    "escalate": "Escalated: people were told.",
    "resolve": "Resolved by hand.",
    "close": "Closed.",
}
HOLD_FOR: Final = "1h"
TIMELINE_MAX: Final = 300
PROVEN_MAX: Final = 200  # ledger entries that a browser is asked to prove at once


async def incidents(visit: Visit) -> Response:
    state = visit.query.get("state", "")
    found = await visit.api.get(
        "incidents", state=state, handling="true", after=visit.query.get("after", ""), limit=PAGE
    )
    return visit.page("incidents.html", at="incidents", title="Incidents", found=found, state=state)


async def incident(visit: Visit) -> Response:
    name = visit.part["identity"]
    found, trail = await visit.many(visit.api.get("incidents", name), visit.api.get("incidents", name, "trail"))
    around = None
    if found["entity"]:
        around = await visit.api.get("neighbourhood", found["entity"], hops=1)
    runs = {one["id"]: one for one in found["runs"]}
    decisions = {one["id"]: one for one in found["decisions"]}
    timeline = [item(one, decisions, runs) for one in reversed(found["timeline"][-TIMELINE_MAX:])]
    until = found["resolved_at"] or visit.status["at"]
    last = max([until, *[run["ended_at"] for run in found["runs"] if run["ended_at"]]])
    people = [one for one in found["timeline"] if words.is_person(one["actor"]) and one["kind"] != "alert"]
    return visit.page(
        "incident.html",
        at="incidents",
        title=found["title"][:80],
        i=found,
        timeline=timeline,
        strip=strip.draw(
            found["alerts"],
            found["decisions"],
            found["runs"],
            people,
            found["began_at"],
            last,
            render.zone_of(visit.cookies.get(ZONE_COOKIE, "")),
            found["changes"],
        ),
        around=drawn(around, narrow=True) if around is not None else None,
        now_sentence=state_of(found),
        entries=[one["index"] for one in trail["items"] if one["index"] is not None][:PROVEN_MAX],
    )


def item(one: Mapping[str, Any], decisions: Mapping[str, Any], runs: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the timeline: who, which glyph, where it leads, and the result at the right."""
    name = next(iter(one["ids"]), "")
    decision, run = decisions.get(name), runs.get(name)
    person = words.is_person(one["actor"]) and one["kind"] != "alert"
    glyph = "person" if person else "machine" if one["actor"] in {"automation", "watchkeeper"} else "bare"
    href = (
        f"/decisions/{name}"
        if decision
        else f"/runs/{name}"
        if run
        else f"/alerts/{name}"
        if name.startswith("alr_")
        else ""
    )
    return {
        **one,
        "who": "Watchkeeper" if one["actor"] in {"automation", "watchkeeper"} else one["actor"],
        "glyph": glyph,
        "href": href,
        "verdict": decision["verdict"] if decision else "",
        "run": run["status"] if run else "",
        "detail": decision["reason"] if decision else "",
        "said": one["kind"] == "note" and person,
    }


def state_of(found: Mapping[str, Any]) -> str:
    """One sentence on how it goes."""
    live = [run for run in found["runs"] if run["open"]]
    waiting = [one for one in found["approvals"] if one["state"] == "pending"]
    if waiting:
        return f"Waits for a person: {words.plural(len(waiting), 'approval')}."
    if live:
        return f"Repairing: {live[-1]['runbook'].rpartition('/')[2]} is {words.RUN.get(live[-1]['status'], ('', '', live[-1]['status']))[2].lower()}."
    if found["state"] != "open":
        return "Over." if found["phase"] != "mitigated" else "Mitigated."
    return "Firing, and nothing runs." if found["firing"] else "Calm, not closed yet."


async def trail(visit: Visit) -> Response:
    name = visit.part["identity"]
    found = await visit.api.get("incidents", name, "trail")
    return visit.page("trail.html", at="incidents", title="Everything on record", found=found)


async def mark(visit: Visit) -> Response:
    """One act on the incident, with the comment of the form."""
    name, act = visit.part["identity"], visit.part["act"]
    given = await visit.fields()
    where = f"/incidents/{name}"
    if act == "hold":
        scope: dict[str, str] = {"entity": given.get("entity", "")}
        made = await visit.api.post(
            "holds", scope=scope, **{"for": given.get("for") or HOLD_FOR}, reason=given.get("comment", "")
        )
        return visit.go(
            where,
            f"Automation keeps its hands off {words.short_ref(scope['entity'])} until "
            f"{words.told_at(made['until_at'], visit.status['at'], visit.zone)}.",
        )
    await visit.api.post("incidents", name, act, comment=given.get("comment", ""))
    return visit.go(where, MARKS.get(act, "Done."))


async def ask(visit: Visit) -> Response:
    """The form of an act that takes a comment; shown in a dialog where scripts run."""
    found = await visit.api.get("incidents", visit.part["identity"])
    act = visit.part["act"]
    return visit.page("incident-act.html", at="incidents", title=act.capitalize(), i=found, act=act)


PAGES: Final = (
    ("GET", "/incidents", incidents),
    ("GET", "/incidents/{identity}", incident),
    ("GET", "/incidents/{identity}/trail", trail),
    ("GET", "/incidents/{identity}/{act}", ask),
    ("POST", "/incidents/{identity}/{act}", mark),
)
