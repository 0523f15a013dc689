"""Metrics: is automation earning its keep?"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup
from starlette.responses import Response

from watchkeeper.surface.console import words
from watchkeeper.surface.console.draw.svg import drawing, element, text
from watchkeeper.surface.console.visit import Visit

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
    tally, measured, slos = await visit.many(
        visit.api.get("tally", days=DAYS_SHOWN), visit.api.get("metrics", window=window), visit.api.get("slos")
    )
    good = sum(tally["runs"].get(status, 0) for status in SUCCESS)
    bad = sum(tally["runs"].get(status, 0) for status in FAILURE)
    days = [(one["day"], Counter(one["verdicts"])) for one in tally["days"]]
    return visit.page(
        "metrics.html",
        at="metrics",
        title="Metrics",
        answer=answer(good, bad),
        tally=tally,
        good=good,
        bad=bad,
        verdicts=sum((counts for _, counts in days), Counter()),
        per_day=days,
        picture=bars(days),
        statuses=Counter(tally["runs"]),
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


def answer(good: int, bad: int) -> str:
    if not good + bad:
        return "Automation has not repaired anything yet."
    return f"{good} of {words.plural(good + bad, 'repair')} ended verified."


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
