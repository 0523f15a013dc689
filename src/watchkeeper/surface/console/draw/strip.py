"""The overview of an incident: alerts, what Watchkeeper did, what people did, on one clock."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from markupsafe import Markup

from watchkeeper.surface.console import words
from watchkeeper.surface.console.draw.svg import drawing, element, text, use
from watchkeeper.values import instant, ms_between

LEFT, WIDE, LANE, TOP = 104.0, 960.0, 28.0, 8.0
LANES: Final = ("Alerts", "Watchkeeper", "People", "Changes")
MARKS_MAX: Final = 120


def draw(
    alerts: Sequence[Mapping[str, Any]],
    decisions: Sequence[Mapping[str, Any]],
    runs: Sequence[Mapping[str, Any]],
    people: Sequence[Mapping[str, Any]],
    began: str,
    until: str,
    zone: ZoneInfo,
    changes: Sequence[Mapping[str, Any]] = (),
) -> Markup:
    """`people` have `at` and `actor`, `changes` have `at`, `kind` and `subject`. Everything between `began` and `until`."""
    first, last = instant(began), instant(until)
    total = max(1_000, ms_between(first, last))

    def x_of(when: str) -> float:
        return LEFT + WIDE * min(1.0, max(0.0, ms_between(first, instant(when)) / total))

    height = TOP + len(LANES) * LANE + 26
    parts: list[Markup] = []
    for index in range(7):
        x = LEFT + WIDE * index / 6
        at = (first + timedelta(milliseconds=total * index // 6)).astimezone(zone)
        parts.append(element("path", d=f"M{x:.1f} {TOP:.1f}V{height - 20:.1f}", stroke="var(--line)"))
        parts.append(text(x, height - 5, f"{at:%H:%M:%S}" if total < 1_800_000 else f"{at:%H:%M}", "q", "middle"))
    for row, name in enumerate(LANES):
        y = TOP + row * LANE
        parts.append(text(0, y + 18, name, "n"))
        parts.append(element("path", d=f"M{LEFT:.1f} {y + 14:.1f}H{LEFT + WIDE:.1f}", stroke="var(--line)"))
    for alert in alerts[:MARKS_MAX]:
        x, end = x_of(alert["starts_at"]), x_of(alert.get("resolved_at") or until)
        title = element("title", f"{alert['name']} on {words.short_ref(alert['entity'] or alert['place'])}")
        parts.append(
            element(
                "rect",
                title,
                x=x,
                y=TOP + 8,
                width=max(3.0, end - x),
                height="12",
                rx="3",
                fill="var(--bad)",
                fill_opacity="0.28",
            )
        )
    y = TOP + LANE
    for run in runs[:MARKS_MAX]:
        x, end = x_of(run["at"]), x_of(run["ended_at"] or until)
        fill = "var(--accent-fill)" if run["open"] else "var(--accent-line)"
        inner = element(
            "rect",
            element("title", f"{run['runbook']}: {run['status']}"),
            x=x,
            y=y + 9,
            width=max(4.0, end - x),
            height="10",
            rx="4",
            fill=fill,
        )
        parts.append(element("a", inner, href=f"/runs/{run['id']}"))
    for decision in decisions[:MARKS_MAX]:
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
    y = TOP + 2 * LANE
    for one in people[:MARKS_MAX]:
        x = x_of(one["at"])
        circle = element("circle", cx=x, cy=y + 14, r="9", fill="var(--invert)")
        letters = element(
            "text",
            words.initials(one["actor"]),
            x=x,
            y=y + 17.5,
            text_anchor="middle",
            font_size="8",
            fill="var(--on-invert)",
            class_="f",
        )
        parts.append(element("g", [element("title", f"{one['actor']}: {one['sentence'][:200]}"), circle, letters]))
    y = TOP + 3 * LANE
    for one in changes[:MARKS_MAX]:
        x = x_of(one["at"])
        way = f"M{x:.1f} {y + 6:.1f}l8 8l-8 8l-8 -8z"
        diamond = element("path", d=way, fill="var(--surface)", stroke="var(--ink-2)", stroke_width="1.4")
        parts.append(
            element("g", [element("title", f"{one['kind']}: {(one['title'] or one['subject'])[:120]}"), diamond])
        )
    return drawing(
        LEFT + WIDE + 24, height, parts, "What happened when; the timeline below says the same in words", wide=True
    )
