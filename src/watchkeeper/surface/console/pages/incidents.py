"""Incidents: is it getting better, and who is doing what?"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.responses import Response

from watchkeeper.surface.console import words
from watchkeeper.surface.console.draw import strip
from watchkeeper.surface.console.pages.now import timed
from watchkeeper.surface.console.pages.services import drawn
from watchkeeper.surface.console.visit import Visit

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
TIMELINE_SHOWN: Final = 40  # before somebody asks for all of it
WAITING_SHOWN: Final = 3
DECISIONS_SHOWN: Final = 3  # beside the timeline, which has them all
GLYPHS: Final = {"watchkeeper": "machine", "people": "person"}  # whose part of the timeline -> its glyph
PROVEN_MAX: Final = 200  # ledger entries that a browser is asked to prove at once


async def incidents(visit: Visit) -> Response:
    state = visit.query.get("state", "")
    found = await visit.api.get(
        "incidents", state=state, handling="true", after=visit.query.get("after", ""), limit=PAGE
    )
    return visit.page("incidents.html", at="incidents", title="Incidents", found=found, state=state)


async def incident(visit: Visit) -> Response:
    """`who` filters the timeline; `shown=all` unfolds it."""
    name = visit.part["identity"]
    found, trail = await visit.many(visit.api.get("incidents", name), visit.api.get("incidents", name, "trail"))
    around = None
    if found["entity"]:
        around = await visit.api.get("neighbourhood", found["entity"], hops=1)
    runs = {one["id"]: one for one in found["runs"]}
    decisions = {one["id"]: one for one in found["decisions"]}
    who = visit.query.get("who", "")
    every = folded([item(one, decisions, runs) for one in reversed(found["timeline"][-TIMELINE_MAX:])])
    timeline = [one for one in every if not who or one["glyph"] == GLYPHS.get(who)]
    until = found["resolved_at"] or visit.status["at"]
    last = max([until, *[run["ended_at"] for run in found["runs"] if run["ended_at"]]])
    people = [one for one in found["timeline"] if words.is_person(one["actor"]) and one["kind"] != "alert"]
    pending = {one["id"] for one in found["approvals"] if one["state"] == "pending"}
    cards = (await visit.api.get("cards"))["items"] if pending else []
    asked = (timed(one, visit.status["at"]) for one in cards if pending & one["shown"].keys())
    waiting = sorted(asked, key=lambda one: one["left_ms"])
    whole = visit.query.get("shown", "") == "all"
    return visit.page(
        "incident.html",
        at="incidents",
        title=found["title"][:80],
        i=found,
        who=who,
        timeline=timeline if whole else timeline[:TIMELINE_SHOWN],
        more=0 if whole else max(0, len(timeline) - TIMELINE_SHOWN),
        counted={"": len(every), **{key: sum(one["glyph"] == of for one in every) for key, of in GLYPHS.items()}},
        strip=strip.draw(found, people, last, visit.zone),
        strip_narrow=strip.draw(found, people, last, visit.zone, strip.PHONE),
        rows=strip.rows(found, people),
        around=drawn(around, narrow=True) if around is not None else None,
        first_action=first_action(found),
        recent=[one["of"] for one in every if one["verdict"]][:DECISIONS_SHOWN],
        waiting=waiting[:WAITING_SHOWN],
        more_waiting=max(0, len(waiting) - WAITING_SHOWN),
        entries=[one["index"] for one in trail["items"] if one["index"] is not None][:PROVEN_MAX],
    )


def first_action(found: Mapping[str, Any]) -> str | None:
    """When the first run began to do something; None: none did."""
    return min((run["at"] for run in found["runs"]), default=None)


def folded(timeline: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What was decided again with the same result, with nothing else in between, stands once: the newest, with how often and
    since when.
    """
    found: list[dict[str, Any]] = []
    beside: dict[Any, dict[str, Any]] = {}
    for one in timeline:
        if not one["same"]:
            beside.clear()
        elif one["same"] in beside:
            beside[one["same"]] |= {"times": beside[one["same"]]["times"] + 1, "since": one["at"]}
            continue
        found.append({**one, "times": 1, "since": ""})
        if one["same"]:
            beside[one["same"]] = found[-1]
    return found


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
        "of": decision or run or {},
        "what": meant(decision) if decision else "",
        "same": (decision["verdict"], decision["rule"], decision["reason"], meant(decision)) if decision else (),
    }


def meant(decision: Mapping[str, Any]) -> str:
    """What was proposed, for whom."""
    book = decision["runbook"].rpartition("/")[2]
    return f"{book} on {words.listed(decision['targets'])}" if book else ""


async def trail(visit: Visit) -> Response:
    name = visit.part["identity"]
    found, of = await visit.many(visit.api.get("incidents", name, "trail"), visit.api.get("incidents", name))
    decisions = {one["id"]: one for one in of["decisions"]}
    items = [{**one, "of": decisions.get(one["ids"].get("decision", one["id"]), {})} for one in found["items"]]
    return visit.page("trail.html", at="incidents", title="Everything on record", found=found, items=items)


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
