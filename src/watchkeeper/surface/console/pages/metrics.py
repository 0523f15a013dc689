"""Metrics: is automation earning its keep?"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

from markupsafe import Markup
from starlette.responses import Response

from watchkeeper.learn.timing import length_text
from watchkeeper.surface.console import words
from watchkeeper.surface.console.draw import series
from watchkeeper.surface.console.draw.series import Line, Part
from watchkeeper.surface.console.visit import Visit
from watchkeeper.values import instant

WINDOW: Final = "30d"
WINDOWS: Final = {"1d": 1, "7d": 7, "30d": 30, "90d": 90}
PACE: Final = "1h"
PACES: Final = {"1h": "last hour", "24h": "last 24 hours", "7d": "last 7 days"}
FIGURES: Final = {
    "uptime": "Uptime",
    "mttd": "Detect",
    "mtta": "Acknowledge",
    "mttr": "Restore",
    "failover": "Failover",
    "budget_left": "Budget left",
}
SERVICES_SHOWN: Final = 100  # on one page, those that were up least first
DAYS_LEAST, STRETCHES_LEAST = 7, 12  # a node without a past is shown these, and not a month of "unknown"
LINE_LEAST: Final = 3  # points with something measured, below which figures say more than a line
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
STAGES: Final = {
    "intake": "Intake",
    "line": "Time in line",
    "decided": "Signal to decision",
    "effect": "Signal to first effect",
    "step": "One effect",
    "verification": "Verification",
    "commit": "One durable write",
}
TIMES: Final = (
    (
        "detect_ms",
        "Time to detect",
        "MTTD",
        "From the sender's start to our receipt, mean of the incidents opened that day.",
    ),
    ("acknowledge_ms", "Time to acknowledge", "MTTA", "From our receipt to the first person's word."),
    ("restore_ms", "Time to restore", "MTTR", "From the sender's start to the end of the last alert."),
)
UP_FLOOR_PPM: Final = 900_000  # the scale of uptime begins here, unless a day was worse
ALL_PPM: Final = 1_000_000


async def metrics(visit: Visit) -> Response:
    window = visit.query.get("window", WINDOW)
    days = WINDOWS.get(window, WINDOWS[WINDOW])
    pace = visit.query.get("pace", PACE)
    tally, measured, slos, trend, latency = await visit.many(
        visit.api.get("tally", days=days),
        visit.api.get("metrics", window=window),
        visit.api.get("slos"),
        visit.api.get("trend", days=days),
        visit.api.get("latency", window=pace),
    )
    ranked = sorted(measured["items"], key=least_up)
    start = begins(visit.query.get("from", ""), len(ranked))
    good = sum(tally["runs"].get(status, 0) for status in SUCCESS)
    bad = sum(tally["runs"].get(status, 0) for status in FAILURE)
    verdicts = {one["day"]: Counter(one["verdicts"]) for one in tally["days"]}
    per_day = [(one["day"], verdicts.get(one["day"], Counter())) for one in trend["items"]]
    stages, stages_from = begun(latency, visit.zone)
    days_shown = trend["items"][unlooked(trend["items"], looked_at, DAYS_LEAST) :]
    return visit.page(
        "metrics.html",
        at="metrics",
        title="Metrics",
        answer=answer(good, bad),
        beneath=beneath(latency),
        tally=tally,
        good=good,
        bad=bad,
        verdicts=sum((counts for _, counts in per_day), Counter()),
        per_day=per_day,
        picture=decided(per_day),
        statuses=Counter(tally["runs"]),
        services=[figured(one) for one in ranked[start : start + SERVICES_SHOWN]],
        services_of=len(ranked),
        start=start,
        step=SERVICES_SHOWN,
        strips=[stripped(one, trend["items"]) for one in trend["services"]],
        strips_of=trend["services_measured"],
        slos=slos["items"],
        window=window,
        windows=WINDOWS,
        pace=pace,
        paces=PACES,
        per=words.per(latency["every_ms"]),
        stages=stages,
        trend=trend["items"],
        plots=plotted(days_shown),
        days_from=days_shown[0]["day"] if len(days_shown) < len(trend["items"]) else "",
        stages_from=stages_from,
        figures=FIGURES,
    )


def least_up(service: Mapping[str, Any]) -> tuple[bool, float, str]:
    """The order of the table: the worst uptime first, what nobody measured last."""
    uptime = next((each["value"] for each in service["metrics"] if each["name"].endswith(".uptime")), None)
    return uptime is None, uptime or 0.0, service["service"]


def begins(asked: str, count: int) -> int:
    """The first row of a page of SERVICES_SHOWN; the first page for what is no number, or beyond the end."""
    first = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 9 else 0
    return first // SERVICES_SHOWN * SERVICES_SHOWN if first < count else 0


def unlooked(points: Sequence[Any], looked: Callable[[Any], bool], least: int) -> int:
    """How many points at the beginning are before anybody looked; `least` of all stay."""
    first = next((place for place, one in enumerate(points) if looked(one)), 0)
    return max(0, min(first, len(points) - least))


def looked_at(day: Mapping[str, Any]) -> bool:
    return bool(day["watched_ms"] or day["runs"] or day["incidents"] or day["uptime_ppm"] is not None)


def begun(latency: Mapping[str, Any], zone: ZoneInfo) -> tuple[list[dict[str, Any]], str]:
    """The stages from where this node's record begins, and when that was, where it is within the window."""
    gone = min(
        (unlooked(one["points"], lambda point: point["watched"], STRETCHES_LEAST) for one in latency["stages"]),
        default=0,
    )
    left = [{**one, "points": one["points"][gone:]} for one in latency["stages"]]
    shown = [staged(one, latency["every_ms"], zone) for one in left]
    return shown, tick(left[0]["points"][0]["at"], latency["every_ms"], zone) if gone else ""


def staged(stage: Mapping[str, Any], every_ms: int, zone: ZoneInfo) -> dict[str, Any]:
    """One stage of the pipeline: its figures over the window, its plot, and the same as rows."""
    points = stage["points"]
    ticks = [tick(one["at"], every_ms, zone) for one in points]
    rows = [
        {
            "tick": shown,
            "watched": one["watched"],
            "count": one["count"],
            "p50": lasted(one["p50_us"]),
            "p99": lasted(one["p99_us"]),
            "longest": lasted(one["max_us"]),
        }
        for one, shown in zip(points, ticks, strict=True)
    ]
    name = STAGES.get(stage["stage"], stage["stage"])
    picture = series.lines(
        (
            Line(name="99 %", values=tuple(one["p99_us"] for one in points), stroke="var(--ink-3)", dash="3 3"),
            Line(name="median", values=tuple(one["p50_us"] for one in points), stroke="var(--accent)"),
        ),
        [one["watched"] for one in points],
        ticks,
        length_text,
        f"{name}, median and 99 %, over time; the table below has the numbers",
    )
    whole = stage["whole"]
    measured = sum(one["count"] > 0 for one in points)
    return {
        "stage": stage["stage"],
        "name": name,
        "figure": f"{lasted(whole['p50_us'])}, 99 % {lasted(whole['p99_us'])}"
        if measured < LINE_LEAST and whole["count"]
        else "",
        "what": stage["what"],
        "count": whole["count"],
        "p50": lasted(whole["p50_us"]),
        "p99": lasted(whole["p99_us"]),
        "picture": picture if measured >= LINE_LEAST else None,
        "rows": [row for row in rows if row["count"] or not row["watched"]],
    }


def lasted(us: int | None) -> str:
    return "" if us is None else length_text(us)


def tick(at: str, every_ms: int, zone: ZoneInfo) -> str:
    """The beginning of a stretch in the viewer's zone."""
    when = instant(at).astimezone(zone)
    return f"{when:%H:%M}" if every_ms <= 3_600_000 else f"{when.day} {when:%b %H:%M}"


def plotted(days: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Success, uptime and the three times, a day at a time."""
    ticks = [one["day"][5:] for one in days]
    ran = [one["watched_ms"] > 0 or bool(one["runs"]) or one["incidents"] > 0 for one in days]
    shares = tuple(one["success_ppm"] for one in days)
    ups = tuple(one["uptime_ppm"] for one in days)
    floor = min([UP_FLOOR_PPM, *(value for value in ups if value is not None)])
    looked = [one["runs"] is not None and seen for one, seen in zip(days, ran, strict=True)]
    found = [
        {
            "name": "Repairs that ended verified",
            "short": "success",
            "what": "Of those that succeeded, failed or were undone.",
            "picture": series.lines(
                (Line(name="verified", values=shares, stroke="var(--accent)"),),
                looked,
                ticks,
                share,
                "Share of repairs that ended verified, a day at a time",
                ceiling=ALL_PPM,
            ),
        },
        {
            "name": "Uptime",
            "short": "uptime",
            "what": "Of all services with checks of this node, together.",
            "picture": series.lines(
                (Line(name="up", values=ups, stroke="var(--ok)"),),
                [value is not None for value in ups],
                ticks,
                share,
                "Uptime of the services that are watched, a day at a time",
                floor=floor,
                ceiling=ALL_PPM,
            ),
        },
        *(
            {
                "name": name,
                "short": short,
                "what": what,
                "picture": series.lines(
                    (Line(name=short, values=tuple(one[field] for one in days), stroke="var(--ink)"),),
                    ran,
                    ticks,
                    spanned,
                    f"{name}, a day at a time",
                ),
            }
            for field, name, short, what in TIMES
        ),
    ]
    said = {"success_ppm": share, "uptime_ppm": share}
    return [
        short_of_a_line(one, [day[field] for day in days], said.get(field, spanned))
        for one, field in zip(found, ("success_ppm", "uptime_ppm", *(each[0] for each in TIMES)), strict=True)
    ]


def short_of_a_line(
    plot: Mapping[str, Any], values: Sequence[int | None], said: Callable[[int], str]
) -> dict[str, Any]:
    """The plot, or where there are only few points the newest of them as a figure."""
    known = [value for value in values if value is not None]
    if len(known) >= LINE_LEAST:
        return {**plot, "figure": ""}
    return {**plot, "picture": None, "figure": said(known[-1]) if known else ""}


def share(ppm: int) -> str:
    return f"{ppm / 10_000:.4g} %"


def spanned(ms: int) -> str:
    return "0" if ms == 0 else length_text(ms * 1_000) if ms < 60_000 else words.span(ms)


def stripped(service: Mapping[str, Any], days: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    ticks = [one["day"] for one in days]
    return {**service, "strip": series.cells(service["days"], ticks, share, f"Uptime of {service['name']} by day")}


def figured(one: Mapping[str, Any]) -> dict[str, Any]:
    """A service's metrics by their names, each as text with the reason where it is unknown."""
    by_name = {each["name"].rpartition(".")[2]: each for each in one["metrics"]}
    shown = {name: (_text(by_name[name]) if name in by_name else ("", "")) for name in FIGURES}
    unknown = [(label, shown[name][1]) for name, label in FIGURES.items() if shown[name][1]]
    return {**one, "shown": shown, "unknown": unknown}


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


def beneath(latency: Mapping[str, Any]) -> str:
    """How quick the node itself is, in one sentence."""
    decided_ = next(one["whole"] for one in latency["stages"] if one["stage"] == "decided")
    if not decided_["count"]:
        return f"Nothing was decided in the {PACES[latency['window']]}."
    return (
        f"Half of the {words.plural(decided_['count'], 'decision')} of the {PACES[latency['window']]} came within "
        f"{length_text(decided_['p50_us'])} of their cause, 99 % within {length_text(decided_['p99_us'])}."
    )


def decided(days: Sequence[tuple[str, Counter[str]]]) -> Markup | None:
    """A bar a day, its verdicts stacked; the table beneath says the same."""
    if not any(counts.total() for _, counts in days):
        return None
    return series.bars(
        tuple(
            Part(name=words.PAST[verdict].lower(), values=tuple(counts[verdict] for _, counts in days), fill=fill)
            for verdict, fill in LOOK.items()
        ),
        [True] * len(days),
        [day[5:] for day, _ in days],
        "Decisions a day by verdict; the table below has the numbers",
        wide=760.0,
        high=150.0,
    )


PAGES: Final = (("GET", "/measures", metrics),)
