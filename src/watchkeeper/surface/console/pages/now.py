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
CARDS_SHOWN: Final = 3
AGAIN: Final = frozenset({"hold", "refuse", "ask", "observe", "suggest"})  # what did something stands by itself
WINDOW: Final = "24h"  # how far back the decisions of this page reach
INCIDENTS_READ: Final = 100
ROWS_SHOWN: Final = 12  # of open incidents, by business priority; the others are a page away
LIMITS_SHOWN: Final = 100
NAME_CHARS_MAX: Final = 40  # of a thing in the heading
NAMES_SHOWN: Final = 3  # in one clause of it


async def now(visit: Visit) -> Response:
    verdict = visit.query.get("verdict", "")
    incidents, cards, decided, counted, runs, breakers, brakes, traffic, latency = await visit.many(
        visit.api.get("incidents", state="open", handling="true", pressing="true", limit=INCIDENTS_READ),
        visit.api.get("cards"),
        visit.api.get("decisions", verdict=verdict, window=WINDOW, limit=DECISIONS_SHOWN),
        visit.api.get("decisions", "counts", window=WINDOW),
        visit.api.get("runs", limit=DECISIONS_SHOWN * 2),
        visit.api.get("breakers", state="open", limit=LIMITS_SHOWN),
        visit.api.get("brakes", state="open", limit=LIMITS_SHOWN),
        visit.api.get("traffic", window="1h"),
        visit.api.get("latency", window="1h"),
    )
    waiting = sorted((timed(one, visit.status["at"]) for one in cards["items"]), key=lambda one: one["left_ms"])
    shown = [one for one in waiting if not one["withheld"]][:CARDS_SHOWN]
    found = incidents["items"]
    return visit.page(
        "now.html",
        at="now",
        title="Now",
        answer=answer(found, sum(one["count"] for one in waiting)),
        beneath=beneath(visit.status, counted, traffic["total"]),
        verdict=verdict,
        incidents=found[:ROWS_SHOWN],
        cards=shown,
        more_cards=len(waiting) - len(shown),
        more_requests=sum(one["count"] for one in waiting) - sum(one["count"] for one in shown),
        decisions=folded(decided["items"]),
        counted=counted,
        runs={one["decision"]: one for one in runs["items"]},
        limits=in_force(visit.status, breakers["items"], brakes["items"]),
        wrong=visit.status["wrong"],
        traffic=traffic,
        signals=drawn.draw(traffic, visit.zone, wide=288.0, high=84.0),
        signals_said=drawn.said(traffic),
        looks=drawn.LOOK,
        quick=quick(latency),
    )


def folded(decided: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What was decided again with the same result stands once, where it stood last, with how often and since when: a held
    proposal is decided afresh every minute, and would push everything else off the page.
    """
    found: dict[Any, dict[str, Any]] = {}
    for one in decided:
        same = (one["verdict"], one["rule"], one["reason"], tuple(each["ref"] for each in one["targets"]), one["alert"])
        if one["verdict"] in AGAIN and same in found:
            found[same] |= {"times": found[same]["times"] + 1, "since": one["at"]}
        else:
            found[same if one["verdict"] in AGAIN else one["id"]] = {**one, "times": 1, "since": ""}
    return list(found.values())


def quick(latency: Mapping[str, Any]) -> str:
    """How long from a signal to its decision, in the last hour; "" when none led to one."""
    whole = next(one["whole"] for one in latency["stages"] if one["stage"] == "decided")
    return f"p50 {length_text(whole['p50_us'])}, p99 {length_text(whole['p99_us'])}" if whole["count"] else ""


def answer(incidents: Sequence[Mapping[str, Any]], approvals: int) -> str:
    """One sentence on what is broken, transactions first, and one on what waits."""
    if not incidents:
        broken = "Nothing is broken."
    else:
        clauses = [_degraded(incidents), _troubled(incidents)]
        broken = f"{' and '.join(clause for clause in clauses if clause)}."
    if not approvals:
        return f"{broken} Nothing waits for you."
    waits = "One approval waits" if approvals == 1 else f"{approvals} approvals wait"
    return f"{broken} {waits} for a person."


def _degraded(incidents: Sequence[Mapping[str, Any]]) -> str:
    names = list(
        dict.fromkeys(words.titled(each["name"]) for one in incidents for each in one["handling"]["transactions"])
    )
    said = _named([names[0], *(name[:1].lower() + name[1:] for name in names[1:])] if names else [])
    return f"{said} {'is' if len(names) == 1 else 'are'} degraded" if names else ""


def _troubled(incidents: Sequence[Mapping[str, Any]]) -> str:
    """What touches no transaction."""
    bare = [one for one in incidents if not one["handling"]["transactions"]]
    names = list(dict.fromkeys(words.short_ref(one["entity"] or one["place"]) or one["title"] for one in bare))
    return f"{_named(names)} {'is' if len(names) == 1 else 'are'} in trouble" if names else ""


def _named(names: Sequence[str]) -> str:
    shown = [_clean(name) for name in (names if len(names) <= NAMES_SHOWN else names[: NAMES_SHOWN - 1])]
    return words.joined(shown if len(names) <= NAMES_SHOWN else [*shown, f"{len(names) - len(shown)} more"])


def _clean(name: str) -> str:
    """A name in a heading: its hidden characters drawn, at most so many characters."""
    shown = "".join(piece for _, piece in words.pieces(name[:NAME_CHARS_MAX], NAME_CHARS_MAX))
    return f"{shown}…" if len(name) > NAME_CHARS_MAX else shown


def beneath(status: Mapping[str, Any], counted: Mapping[str, Any], signals: int) -> str:
    counts = status["counts"]
    said = [
        f"{words.plural(signals, 'signal')} in the last hour",
        f"{words.plural(counts['alerts'], 'alert')} firing in {words.plural(counts['incidents'], 'open incident')}",
        f"{words.plural(counts['runs'], 'run')} live",
    ]
    if counts["unmapped"]:
        said.append(f"{words.plural(counts['unmapped'], 'alert')} without a catalogue entity")
    total, acted = counted["total"], counted["counts"]["act"]
    if not total:
        return f"{', '.join(said)}. Nothing was decided in the last 24 h."
    times = f"{words.plural(total, 'decision')} in the last 24 h, {acted:,} of them acted."
    return f"{', '.join(said)}. {times}"


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
