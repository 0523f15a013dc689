"""The overview of an incident on one clock: how many alerts fired, what this node's own checks saw, what Watchkeeper did, what
people did, what was changed; and the same as rows of a table.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from markupsafe import Markup
from msgspec import Struct

from watchkeeper.surface.console import words
from watchkeeper.surface.console.draw import symptom
from watchkeeper.surface.console.draw.svg import drawing, element, text, use
from watchkeeper.values import instant, ms_between

AREA, LANE, TOP, FOOT = 58.0, 28.0, 12.0, 24.0
MARKS_MAX: Final = 120
NAMED_CHANGES_MAX: Final = 3  # beyond it there is no room for their names
ROWS_MAX: Final = 400
STEPS_S: Final = (
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1_800,
    3_600,
    7_200,
    10_800,
    21_600,
    43_200,
    86_400,
    604_800,
)
DOES: Final = {"up": "well", "down": "not well", "unknown": "not seen"}


class Size(Struct, frozen=True):
    """`left` is the room for the names of the lanes; 0: they stand above their line."""

    left: float
    wide: float
    ticks: int


DESK: Final = Size(104.0, 960.0, 8)
PHONE: Final = Size(0.0, 336.0, 4)


def draw(
    found: Mapping[str, Any], people: Sequence[Mapping[str, Any]], until: str, zone: ZoneInfo, size: Size = DESK
) -> Markup:
    """`found` is the incident as the API tells it, `people` events of its timeline, `until` where the clock ends."""
    trend = found["handling"]["trend"]
    first, last = instant(trend["from_at"]), max(instant(until), instant(trend["until_at"]))
    total = max(1_000, ms_between(first, last))

    def x_of(when: str) -> float:
        return size.left + size.wide * min(1.0, max(0.0, ms_between(first, instant(when)) / total))

    checks = found["looked"]
    lanes = [*(["Own checks"] if checks else []), "Watchkeeper", "People", "Changes"]
    y = {name: TOP + AREA + 8 + row * LANE for row, name in enumerate(lanes)}
    foot = TOP + AREA + 8 + len(lanes) * LANE
    parts = _clock(first, last, zone, size, foot)
    peak = symptom.peak(trend)
    parts += _named("Firing", TOP + 14, size, TOP - 2)
    if size.left:
        parts += [text(0, TOP + 30, "alerts at once", "q"), text(0, TOP + 46, f"at most {peak}", "q")]
    parts.append(_line(TOP + AREA, size))
    if peak:
        parts.append(_line(TOP, size, "2 4"))
    parts += symptom.area(symptom.stretches(trend), max(1, peak), x_of, TOP, AREA, symptom.color_of(found))
    for name in lanes:
        parts += [_line(y[name] + 14, size), *_named(name, y[name] + 18, size, y[name] + 6)]
    parts += _checks(checks, x_of, y.get("Own checks", 0.0))
    parts += _changes(found["changes"], x_of, y["Changes"], first, zone)
    parts += _runs(found["runs"], until, x_of, y["Watchkeeper"])
    parts += _decisions(found["decisions"], x_of, y["Watchkeeper"])
    parts += _people(people, x_of, y["People"])
    if found["state"] == "open":
        x = x_of(until)
        parts.append(
            element("path", element("title", "now"), d=f"M{x:.1f} {TOP - 4:.1f}V{foot:.1f}", stroke="var(--ink)")
        )
    label = f"{symptom.said(trend)}; what happened when stands in the table and the timeline below"
    return drawing(size.left + size.wide + 12, foot + FOOT, parts, label, wide=True)


def _named(name: str, y: float, size: Size, above: float) -> list[Markup]:
    return [text(0, y, name, "n") if size.left else text(0, above, name, "q")]


def _line(y: float, size: Size, dash: str = "") -> Markup:
    way = f"M{size.left:.1f} {y:.1f}H{size.left + size.wide:.1f}"
    return element("path", d=way, stroke="var(--line)", stroke_dasharray=dash or None)


def _clock(first: datetime, last: datetime, zone: ZoneInfo, size: Size, foot: float) -> list[Markup]:
    """Lines at round times of the viewer's day."""
    total_s = max(1.0, (last - first).total_seconds())
    step = next((each for each in STEPS_S if total_s / each <= size.ticks), STEPS_S[-1])
    offset = first.astimezone(zone).utcoffset() or timedelta()
    local_s = int(first.timestamp() + offset.total_seconds())  # so that a line a day stands at the viewer's midnight
    at = first.replace(microsecond=0) + timedelta(seconds=-(-local_s // step) * step - local_s)
    parts: list[Markup] = []
    while at <= last and len(parts) < 4 * size.ticks:
        x = size.left + size.wide * max(0.0, (at - first).total_seconds() / total_s)
        shown = at.astimezone(zone)
        said = f"{shown:%H:%M:%S}" if step < 60 else f"{shown.day} {shown:%b}" if step >= 86_400 else f"{shown:%H:%M}"
        anchor = "start" if x < size.left + 24 else "end" if x > size.left + size.wide - 24 else "middle"
        parts.append(element("path", d=f"M{x:.1f} {TOP:.1f}V{foot:.1f}", stroke="var(--line)"))
        parts.append(text(x, foot + 16, said, "q", anchor))
        at += timedelta(seconds=step)
    return parts


def _checks(found: Sequence[Mapping[str, Any]], x_of: Callable[[str], float], y: float) -> list[Markup]:
    parts: list[Markup] = []
    for each in found:
        x, end = x_of(each["from_at"]), x_of(each["until_at"])
        title = element("title", f"Own checks: {DOES[each['state']]}")
        match each["state"]:
            case "up":
                parts.append(
                    element("rect", title, x=x, y=y + 12, width=max(1.0, end - x), height="4", fill="var(--ok)")
                )
            case "down":
                parts.append(
                    element("rect", title, x=x, y=y + 8, width=max(2.0, end - x), height="12", fill="var(--bad)")
                )
            case _:
                parts += symptom.hatched(x, y + 8, end - x, 12.0, "Own checks: not seen")
    return parts


def _runs(found: Sequence[Mapping[str, Any]], until: str, x_of: Callable[[str], float], y: float) -> list[Markup]:
    parts = []
    for run in found[:MARKS_MAX]:
        x, end = x_of(run["at"]), x_of(run["ended_at"] or until)
        fill = "var(--accent-fill)" if run["open"] else "var(--accent-line)"
        title = element("title", f"{run['runbook']}: {run['status']}")
        bar = element("rect", title, x=x, y=y + 9, width=max(4.0, end - x), height="10", rx="4", fill=fill)
        parts.append(element("a", bar, href=f"/runs/{run['id']}"))
    return parts


def _decisions(found: Sequence[Mapping[str, Any]], x_of: Callable[[str], float], y: float) -> list[Markup]:
    """The newest ones; what is decided again and again with one result is drawn where it began."""
    parts = []
    last: dict[Any, Any] = {}
    fresh = []
    for each in found:
        about = (each["rule"], tuple(one["ref"] for one in each["targets"]))
        if last.get(about) != (each["verdict"], each["reason"]):
            fresh.append(each)
        last[about] = (each["verdict"], each["reason"])
    for decision in fresh[-MARKS_MAX:]:
        x = x_of(decision["at"])
        square = element(
            "rect",
            x=x - 9,
            y=y + 5,
            width="18",
            height="18",
            rx="4",
            fill="var(--surface)",
            stroke="var(--accent-line)",
        )
        mark = use(words.VERDICT_ICON[decision["verdict"]], x - 6, y + 8, 12, "var(--accent)")
        shown = [element("title", f"{words.PAST[decision['verdict']]}: {decision['reason'][:200]}"), square, mark]
        parts.append(element("a", shown, href=f"/decisions/{decision['id']}"))
    return parts


def _people(found: Sequence[Mapping[str, Any]], x_of: Callable[[str], float], y: float) -> list[Markup]:
    parts = []
    for one in found[-MARKS_MAX:]:
        x = x_of(one["at"])
        circle = element("circle", cx=x, cy=y + 14, r="9", fill="var(--invert)")
        letters = element(
            "text", words.initials(one["actor"]), x=x, y=y + 17.5, text_anchor="middle", font_size="8",
            fill="var(--on-invert)", class_="f",
        )  # fmt: skip
        parts.append(element("g", [element("title", f"{one['actor']}: {one['sentence'][:200]}"), circle, letters]))
    return parts


def _changes(
    found: Sequence[Mapping[str, Any]], x_of: Callable[[str], float], y: float, first: datetime, zone: ZoneInfo
) -> list[Markup]:
    parts = []
    for one in found[:MARKS_MAX]:
        x, at = max(8.0, x_of(one["at"])), instant(one["at"])
        what = one["title"] or one["subject"]
        way = f"M{x:.1f} {y + 6:.1f}l8 8l-8 8l-8 -8z"
        diamond = element("path", d=way, fill="var(--surface)", stroke="var(--ink-2)", stroke_width="1.4")
        parts.append(element("g", [element("title", f"{one['kind']}: {what[:120]}"), diamond]))
        if len(found) <= NAMED_CHANGES_MAX:
            when = f" at {at.astimezone(zone):%H:%M}" if at < first else ""
            parts.append(text(x + 14, y + 18, f"{what[:40]}{when}", "q"))
    return parts


# The same in words.


def rows(found: Mapping[str, Any], people: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """`at`, `lane` and `what`, by time."""
    trend = found["handling"]["trend"]
    made = [{"at": each["at"], "lane": "Firing", "what": _fire(each["firing"])} for each in trend["steps"]]
    made += [{"at": each["from_at"], "lane": "Own checks", "what": DOES[each["state"]]} for each in found["looked"]]
    made += [
        {
            "at": each["at"],
            "lane": "Watchkeeper",
            "what": f"{words.PAST[each['verdict']]}: {words.listed(each['targets'])}",
        }
        for each in found["decisions"]
    ]
    for run in found["runs"]:
        name = run["runbook"].rpartition("/")[2]
        made.append({"at": run["at"], "lane": "Watchkeeper", "what": f"{name} began"})
        if run["ended_at"]:
            made.append({"at": run["ended_at"], "lane": "Watchkeeper", "what": f"{name}: {run['status']}"})
    made += [{"at": each["at"], "lane": "People", "what": f"{each['actor']}: {each['sentence']}"} for each in people]
    made += [
        {"at": each["at"], "lane": "Changes", "what": f"{each['kind']}: {each['title'] or each['subject']}"}
        for each in found["changes"]
    ]
    return sorted(made, key=lambda row: instant(row["at"]))[-ROWS_MAX:]


def _fire(count: int | None) -> str:
    return "nobody knows" if count is None else words.plural(count, "alert") + " at once"
