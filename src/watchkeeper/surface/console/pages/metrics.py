"""Metrics: is automation earning its keep?"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup
from starlette.responses import Response

from watchkeeper.surface.console import words
from watchkeeper.surface.console.draw.svg import drawing, element, text
from watchkeeper.surface.console.visit import Visit
from watchkeeper.values import instant, ms_between

PAGES_READ: Final = 10
PAGE: Final = 1_000
DAYS_SHOWN: Final = 30
WINDOW: Final = "30d"
WINDOWS: Final = ("1d", "7d", "30d", "90d")
FIGURES: Final = ("uptime", "mttd", "mtta", "mttr", "failover", "budget_left")
LOOK: Final = {
    "act": "var(--accent-fill)",
    "ask": "var(--warn)",
    "suggest": "var(--accent-line)",
    "observe": "var(--line-2)",
    "hold": "var(--control)",
    "refuse": "var(--refuse)",
}
SUCCESS: Final = ("succeeded",)
FAILURE: Final = ("failed", "undone", "undo_failed")


async def metrics(visit: Visit) -> Response:
    window = visit.query.get("window", WINDOW)
    incidents, runs, decisions, measured, slos = await visit.many(
        _all(visit, "incidents"),
        _all(visit, "runs"),
        _all(visit, "decisions"),
        visit.api.get("metrics", window=window),
        visit.api.get("slos"),
    )
    ended = [one for one in runs if not one["open"]]
    good = sum(one["status"] in SUCCESS for one in ended)
    bad = sum(one["status"] in FAILURE for one in ended)
    took = sorted(ms_between(instant(one["at"]), instant(one["ended_at"])) for one in ended if one["ended_at"])
    return visit.page(
        "metrics.html",
        at="metrics",
        title="Metrics",
        answer=answer(good, bad),
        incidents=len(incidents),
        restored=_median(
            ms_between(instant(one["began_at"]), instant(one["resolved_at"])) for one in incidents if one["resolved_at"]
        ),
        detected=_median(max(0, ms_between(instant(one["began_at"]), instant(one["opened_at"]))) for one in incidents),
        took=took[len(took) // 2] if took else None,
        good=good,
        bad=bad,
        verdicts=Counter(one["verdict"] for one in decisions),
        decided=len(decisions),
        per_day=per_day(decisions),
        picture=bars(per_day(decisions)),
        statuses=Counter(one["status"] for one in ended),
        whole=len(decisions) < PAGES_READ * PAGE,
        services=[figured(one) for one in measured["items"]],
        slos=slos["items"],
        window=window,
        windows=WINDOWS,
    )


def figured(one: Mapping[str, Any]) -> dict[str, Any]:
    """A service's metrics by their names, each as text with the reason where it is unknown."""
    by_name = {each["name"].rpartition(".")[2]: each for each in one["metrics"]}
    shown = {name: (_text(by_name[name]) if name in by_name else ("", "")) for name in FIGURES}
    return {**one, "shown": shown}


def _text(metric: Mapping[str, Any]) -> tuple[str, str]:
    """Its value in words, and why it is unknown ("" when it is known)."""
    value = metric["value"]
    if value is None:
        return "unknown", str(metric["unknown"])
    match metric["unit"]:
        case "ppm":
            return f"{value / 10_000:.3f} %", ""
        case "ms":
            return words.span(value), ""
        case _:
            return f"{value:,}", ""


async def _all(visit: Visit, what: str) -> list[Any]:
    """The newest, at most PAGES_READ pages of them."""
    found: list[Any] = []
    after: str | None = ""
    for _ in range(PAGES_READ):
        page = await visit.api.get(what, limit=PAGE, after=after)
        found += page["items"]
        after = page["next"]
        if after is None:
            break
    return found


def answer(good: int, bad: int) -> str:
    if not good + bad:
        return "Automation has not repaired anything yet."
    return f"{good} of {words.plural(good + bad, 'repair')} ended verified."


def _median(values: Iterable[int]) -> int | None:
    found = sorted(values)
    return found[len(found) // 2] if found else None


def per_day(decisions: Sequence[Mapping[str, Any]]) -> list[tuple[str, Counter[str]]]:
    """Verdicts a day (UTC), oldest first, at most DAYS_SHOWN days."""
    found: dict[str, Counter[str]] = {}
    for one in decisions:
        found.setdefault(one["at"][:10], Counter())[one["verdict"]] += 1
    return sorted(found.items())[-DAYS_SHOWN:]


def bars(days: Sequence[tuple[str, Counter[str]]]) -> Markup | None:
    """A bar a day, its verdicts stacked; the table beneath says the same."""
    if not days:
        return None
    most = max(sum(counts.values()) for _, counts in days)
    height, width, step = 160.0, 760.0, 760.0 / max(10, len(days))
    parts: list[Markup] = [element("path", d=f"M0 {height:.0f}H{width:.0f}", stroke="var(--line-2)")]
    for index, (day, counts) in enumerate(days):
        y = height
        for verdict, fill in LOOK.items():
            count = counts[verdict]
            if count:
                tall = (height - 18) * count / most
                y -= tall
                title = element("title", f"{day}: {count} {words.PAST[verdict].lower()}")
                parts.append(
                    element(
                        "rect",
                        title,
                        x=index * step + 4,
                        y=y,
                        width=max(2.0, min(42.0, step - 8)),
                        height=tall,
                        fill=fill,
                    )
                )
        if len(days) <= 10 or index % 5 == 0:
            parts.append(text(index * step + 4, height + 16, day[5:], "q"))
    parts.append(text(0, 10, f"{most}", "q"))
    return drawing(width, height + 22, parts, "Decisions a day by verdict; the table below has the numbers")


PAGES: Final = (("GET", "/measures", metrics),)
