"""Now: what is broken, and does it need me?"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.responses import Response

from watchkeeper.learn.timing import length_text
from watchkeeper.surface.console import words
from watchkeeper.surface.console.draw import traffic as drawn
from watchkeeper.surface.console.visit import Visit
from watchkeeper.values import instant, ms_between

DECISIONS_SHOWN: Final = 40
APPROVALS_SHOWN: Final = 3
INCIDENTS_SHOWN: Final = 100
LIMITS_SHOWN: Final = 100
NAME_CHARS_MAX: Final = 40  # of a thing in the heading


async def now(visit: Visit) -> Response:
    verdict = visit.query.get("verdict", "")
    incidents, waiting, decided, runs, breakers, brakes, traffic, latency = await visit.many(
        visit.api.get("incidents", state="open", limit=INCIDENTS_SHOWN),
        visit.api.get("approvals", state="pending", limit=100),
        visit.api.get("decisions", verdict=verdict, limit=DECISIONS_SHOWN),
        visit.api.get("runs", limit=DECISIONS_SHOWN * 2),
        visit.api.get("breakers", state="open", limit=LIMITS_SHOWN),
        visit.api.get("brakes", state="open", limit=LIMITS_SHOWN),
        visit.api.get("traffic", window="1h"),
        visit.api.get("latency", window="1h"),
    )
    at = visit.status["at"]
    approvals = sorted((timed(one, at) for one in waiting["items"]), key=lambda one: one["left_ms"])
    found = sorted(incidents["items"], key=lambda one: (one["priority"], one["began_at"]))
    return visit.page(
        "now.html",
        at="now",
        title="Now",
        answer=answer(found, len(approvals)),
        beneath=beneath(visit.status, decided["items"], traffic["total"]),
        verdict=verdict,
        incidents=found,
        approvals=approvals[:APPROVALS_SHOWN],
        more_approvals=max(0, len(approvals) - APPROVALS_SHOWN),
        decisions=decided["items"],
        runs={one["decision"]: one for one in runs["items"]},
        limits=in_force(visit.status, breakers["items"], brakes["items"]),
        wrong=visit.status["wrong"],
        traffic=traffic,
        signals=drawn.draw(traffic, visit.zone, wide=288.0, high=84.0),
        signals_said=drawn.said(traffic),
        looks=drawn.LOOK,
        quick=quick(latency),
    )


def quick(latency: Mapping[str, Any]) -> str:
    """How long from a signal to its decision, in the last hour; "" when none led to one."""
    whole = next(one["whole"] for one in latency["stages"] if one["stage"] == "decided")
    return f"p50 {length_text(whole['p50_us'])}, p99 {length_text(whole['p99_us'])}" if whole["count"] else ""


def answer(incidents: Sequence[Mapping[str, Any]], approvals: int) -> str:
    """One sentence on what is broken, one on what waits."""
    names = list(dict.fromkeys(words.short_ref(one["entity"] or one["place"]) or one["title"] for one in incidents))
    if not names:
        broken = "Nothing is broken."
    elif len(names) == 1:
        broken = f"{_clean(names[0])} is in trouble."
    elif len(names) <= 3:
        broken = f"{', '.join(map(_clean, names[:-1]))} and {_clean(names[-1])} are in trouble."
    else:
        broken = f"{_clean(names[0])}, {_clean(names[1])} and {len(names) - 2} more are in trouble."
    if not approvals:
        return f"{broken} Nothing waits for you."
    waits = "One approval waits" if approvals == 1 else f"{approvals} approvals wait"
    return f"{broken} {waits} for a person."


def _clean(name: str) -> str:
    """A name in a heading: its hidden characters drawn, at most so many characters."""
    shown = "".join(piece for _, piece in words.pieces(name[:NAME_CHARS_MAX], NAME_CHARS_MAX))
    return f"{shown}…" if len(name) > NAME_CHARS_MAX else shown


def beneath(status: Mapping[str, Any], decided: Sequence[Mapping[str, Any]], signals: int) -> str:
    counts = status["counts"]
    said = [
        f"{words.plural(signals, 'signal')} in the last hour",
        f"{words.plural(counts['alerts'], 'alert')} firing in {words.plural(counts['incidents'], 'open incident')}",
        f"{words.plural(counts['runs'], 'run')} live",
    ]
    if counts["unmapped"]:
        said.append(f"{words.plural(counts['unmapped'], 'alert')} without a catalogue entity")
    if not decided:
        said.append("nothing decided yet")
    return ", ".join(said) + "."


def timed(approval: Mapping[str, Any], at: str) -> dict[str, Any]:
    """An approval with how long it has, and has left."""
    total = ms_between(instant(approval["asked_at"]), instant(approval["expires_at"]))
    left = ms_between(instant(at), instant(approval["expires_at"]))
    return {**approval, "total_ms": total, "left_ms": max(0, left)}


def in_force(
    status: Mapping[str, Any], breakers: Sequence[Mapping[str, Any]] = (), brakes: Sequence[Mapping[str, Any]] = ()
) -> list[dict[str, Any]]:
    """Stops, brakes, holds, freezes and open breakers in one list, the one that ends first on top; what has no end last.
    Each has `what`, its `scope` or a `label`, `kind` (where it is listed), `at`, `by`, `reason` and `until_at`.
    """
    found = [
        {**one, "what": "Stop of", "icon": "octagon-pause", "until_at": None, "kind": "stops"}
        for one in status["stops"]
    ]
    found += [{**one, "what": "Hold on", "icon": "pause", "kind": "holds"} for one in status["holds"]]
    found += [
        {**one, "what": "Freeze of", "icon": "snowflake", "kind": "freezes"}
        for one in status["freezes"]
        if one["from_at"] <= status["at"]
    ]
    found += [
        {
            **one,
            "what": "Breaker open:",
            "label": f"{one['action']} on {one['domain']}",
            "icon": "unplug",
            "kind": "breakers",
            "at": one["since_at"],
            "by": "Watchkeeper",
            "reason": f"{words.plural(one['failed'], 'failure')}; then one trial",
        }
        for one in breakers
    ]
    found += [
        {
            **one,
            "what": "Brake on",
            "label": one["name"] or "everything",
            "icon": "octagon-pause",
            "kind": "brakes",
            "at": one["since_at"],
            "by": "Watchkeeper",
            "reason": one["why"],
            "until_at": None,
        }
        for one in brakes
    ]
    return sorted(({"scope": None, "label": "", **one} for one in found), key=lambda one: one["until_at"] or "9")


async def more(visit: Visit) -> Response:
    """The other pages, on a phone."""
    return visit.page("more.html", at="more", title="More")


PAGES: Final = (("GET", "/", now), ("GET", "/more", more))
