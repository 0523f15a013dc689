"""Decisions: why did it do, or not do, that?"""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

from starlette.responses import Response

from watchkeeper.surface.console import words
from watchkeeper.surface.console.call import Refused
from watchkeeper.surface.console.visit import Visit
from watchkeeper.values import instant, ms_between

PAGE: Final = 100
WINDOW: Final = "30d"
WINDOWS: Final = {"24h": "24 h", "7d": "7 days", "30d": "30 days", "all": "All"}
FILTERS: Final = ("verdict", "rule", "service", "incident", "alert")
STRICT: Final = ("refuse", "hold", "ask", "pass")
EVIDENCE_SHOWN: Final = 3
AGAINST: Final = frozenset({"false", "harmful"})


async def decisions(visit: Visit) -> Response:
    """`window` says how far back; "all" is everything that is kept. One incident or alert is shown whole."""
    given = {name: visit.query.get(name, "") for name in FILTERS}
    whole = bool(given["incident"] or given["alert"])
    window = visit.query.get("window", "all" if whole else WINDOW)
    within = "" if window == "all" else window
    others = {name: value for name, value in given.items() if value and name != "verdict"}
    found, counted, runs = await visit.many(
        visit.api.get("decisions", **given, window=within, after=visit.query.get("after", ""), limit=PAGE),
        visit.api.get("decisions", "counts", **others, window=within),
        visit.api.get("runs", limit=PAGE),
    )
    return visit.page(
        "decisions.html",
        at="decisions",
        title="Decisions",
        found=found,
        counted=counted,
        given={name: value for name, value in given.items() if value},
        verdict=given["verdict"],
        window=window,
        windows=WINDOWS,
        here=lambda **to: address({**given, "window": window} | to, "all" if whole else WINDOW),
        runs={one["decision"]: one for one in runs["items"]},
    )


def address(given: Mapping[str, str], usual: str) -> str:
    """The address of the page with these filters; what is as usual is left out."""
    said = {name: value for name, value in given.items() if value and not (name == "window" and value == usual)}
    return f"/decisions?{urlencode(said)}" if said else "/decisions"


async def decision(visit: Visit) -> Response:
    name = visit.part["identity"]
    found, explained, situation = await visit.many(
        visit.api.get("decisions", name),
        visit.api.get("decisions", name, "explain"),
        visit.api.get("decisions", name, "situation"),
    )
    return visit.page(
        "decision.html",
        at="decisions",
        title=found["rule"].rpartition("/")[2] or "decision",
        d=found,
        why=explained,
        findings=[guarded(number, one) for number, one in enumerate(found["findings"], 1)],
        seen=seen(situation),
        oldest=oldest(situation),
        only=visit.query.get("only", "") == "decided",
        against=[one for one in found["feedback"] if one["says"] in AGAINST],
    )


def guarded(number: int, finding: Mapping[str, Any]) -> dict[str, Any]:
    """A finding as its row: its number, its name in words, and the evidence in short."""
    short = [
        f"{key.removesuffix('_ms').replace('_', ' ')} "
        + (words.span(value) if key.endswith("_ms") else words.tidy(_short(value)))
        for key, value in finding["evidence"].items()
        if key != "seen" and not (key == "until" and finding["until_at"])  # the sentence says it, in the reader's zone
    ]
    return {
        **finding,
        "number": number,
        "name": finding["guard"].replace("_", " ").capitalize(),
        "short": short[:EVIDENCE_SHOWN],
    }


def _short(value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(_short(one) for one in value[:3]) + (
                f" and {len(value) - 3} more" if len(value) > 3 else ""
            )
        case dict():
            return ", ".join(f"{key} {_short(one)}" for key, one in list(value.items())[:3])
        case _:
            return str(value)[:80]


def seen(situation: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the situation held, as counts: the whole of it is one link away."""
    listed: Sequence[tuple[str, str]] = (
        ("stops", "Stops"),
        ("holds", "Holds"),
        ("freezes", "Freezes"),
        ("exclusions", "Exclusions"),
        ("maintenance", "Maintenance windows"),
        ("deploys", "Deploys"),
        ("attempts", "Earlier attempts"),
        ("breakers", "Breakers"),
        ("blast", "Services that depend on it"),
        ("dependencies", "Dependencies"),
        ("groups_seen", "Groups that saw it"),
        ("regions", "Regions"),
    )
    return [(label, str(len(situation.get(name) or ()))) for name, label in listed]


def oldest(situation: Mapping[str, Any]) -> str | None:
    """When the oldest input with an age was read; None when none has one."""
    ages = [one["as_of"] for one in situation.get("dependencies") or () if one.get("as_of")]
    ages += [one["at"] for name in ("groups_seen", "regions") for one in situation.get(name) or () if one.get("at")]
    ages += [one["as_of"] for one in (situation.get("budget"), situation.get("anomaly")) if one and one.get("as_of")]
    return max(ages, key=lambda text: ms_between(instant(text), instant(situation["at"])), default=None)


async def situation(visit: Visit) -> Response:
    """The whole situation, as it is stored."""
    import msgspec

    name = visit.part["identity"]
    found, held = await visit.many(visit.api.get("decisions", name), visit.api.get("decisions", name, "situation"))
    text = msgspec.json.format(msgspec.json.encode(held), indent=2).decode()
    return visit.page("situation.html", at="decisions", title="The situation it saw", d=found, text=text)


async def replay(visit: Visit) -> Response:
    name = visit.part["identity"]
    found, again = await visit.many(visit.api.get("decisions", name), visit.api.get("decisions", name, "replay"))
    return visit.page("replay.html", at="decisions", title="Decided again", d=found, again=again)


async def feedback(visit: Visit) -> Response:
    given = await visit.fields()
    name = visit.part["identity"]
    await visit.api.post("decisions", name, "feedback", says=given.get("says", ""), text=given.get("text", ""))
    return visit.go(f"/decisions/{name}", f"Recorded: {given.get('says', '')}. It counts towards what the rule may do.")


async def test(visit: Visit) -> Response:
    """The replay test that it makes: the file, where it belongs, and how to keep it. Nothing is written here, so it is a page
    to look at and no form.
    """
    name = visit.part["identity"]
    found = await visit.api.get("decisions", name)
    written, why = None, ""
    try:
        written = await visit.api.get("decisions", name, "test")
    except Refused as refused:
        if refused.status not in {404, 409}:
            raise
        why = str(refused)
    return visit.page(
        "replay-test.html",
        at="decisions",
        title="As a test",
        status=200 if written is not None else 409,
        d=found,
        written=written,
        why=why,
    )


async def test_file(visit: Visit) -> Response:
    """The same as a file to save."""
    written = await visit.api.get("decisions", visit.part["identity"], "test")
    name = written["path"].rpartition("/")[2]
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}"}
    return Response(written["document"], media_type="application/yaml", headers=headers)


PAGES: Final = (
    ("GET", "/decisions", decisions),
    ("GET", "/decisions/{identity}", decision),
    ("GET", "/decisions/{identity}/situation", situation),
    ("GET", "/decisions/{identity}/replay", replay),
    ("GET", "/decisions/{identity}/test", test),
    ("GET", "/decisions/{identity}/test.yaml", test_file),
    ("POST", "/decisions/{identity}/feedback", feedback),
)
