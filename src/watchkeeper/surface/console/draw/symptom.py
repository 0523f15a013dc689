"""The symptom of an incident: how many alerts fired at once, as an area of steps. What nobody knows is hatched."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup

from watchkeeper.surface.console.draw.svg import drawing, element, text
from watchkeeper.values import instant, ms_between

WIDE, HIGH = 92.0, 24.0
HATCH: Final = 6.0

Stretch = tuple[str, str, int | None]  # from, until, how many; None: not known


def stretches(trend: Mapping[str, Any]) -> list[Stretch]:
    steps: Sequence[Mapping[str, Any]] = trend["steps"]
    ends = [*(each["at"] for each in steps[1:]), trend["until_at"]]
    return [(each["at"], end, each["firing"]) for each, end in zip(steps, ends, strict=True)]


def peak(trend: Mapping[str, Any]) -> int:
    return max((each["firing"] for each in trend["steps"] if each["firing"] is not None), default=0)


def area(
    found: Sequence[Stretch], top: int, x_of: Callable[[str], float], y: float, high: float, color: str
) -> list[Markup]:
    """The area between `y` and `y + high`, with its outline; what is not known is hatched over the whole height."""
    foot, parts = y + high, list[Markup]()
    way: list[str] = []
    fills: list[Markup] = []
    before = None
    for start, end, count in found:
        x, until = x_of(start), x_of(end)
        if count is None:
            parts += hatched(x, y, until - x, high, "nobody knows how many fired")
            before = None
            continue
        level = foot - high * count / max(1, top)
        if count:
            fills.append(
                element(
                    "rect",
                    x=x,
                    y=level,
                    width=max(0.6, until - x),
                    height=foot - level,
                    fill=color,
                    fill_opacity="0.14",
                )
            )
        way.append(f"M{x:.1f} {level:.1f}" if before is None else f"V{level:.1f}")
        way.append(f"H{max(until, x + 0.6):.1f}")
        before = count
    line = element("path", d="".join(way), fill="none", stroke=color, stroke_width="1.6", stroke_linejoin="round")
    return [*fills, *parts, *([line] if way else [])]


def hatched(x: float, y: float, wide: float, high: float, said: str) -> list[Markup]:
    """A stretch of which nothing is known."""
    if wide <= 0:
        return []
    lines: list[str] = []
    at = -high
    while at < wide:
        left, right = max(0.0, at), min(wide, at + high)
        if right > left:
            lines.append(f"M{x + left:.1f} {y + high - (left - at):.1f}L{x + right:.1f} {y + high - (right - at):.1f}")
        at += HATCH
    title = element("title", said)
    return [
        element("rect", title, x=x, y=y, width=wide, height=high, fill="var(--inset)"),
        element("path", d="".join(lines), stroke="var(--line-2)", fill="none"),
    ]


def spark(incident: Mapping[str, Any]) -> Markup:
    """A row's own: no scale, no clock; the same in words is its label."""
    trend = incident["handling"]["trend"]
    if trend is None or not trend["steps"]:
        label = "How many of its alerts fired when is not kept"
        return drawing(
            WIDE, HIGH, [*hatched(0.0, 2.0, WIDE, HIGH - 4, label), text(WIDE / 2, 16, "?", "q", "middle")], label
        )
    total = max(1, ms_between(instant(trend["from_at"]), instant(trend["until_at"])))

    def x_of(when: str) -> float:
        return WIDE * min(1.0, max(0.0, ms_between(instant(trend["from_at"]), instant(when)) / total))

    top = peak(trend)
    parts = [element("path", d=f"M0 {HIGH - 1:.1f}H{WIDE:.1f}", stroke="var(--line-2)")]
    parts += area(stretches(trend), max(1, top), x_of, 3.0, HIGH - 4, color_of(incident))
    return drawing(WIDE, HIGH, parts, said(trend))


def color_of(incident: Mapping[str, Any]) -> str:
    if incident["state"] != "open":
        return "var(--ink-3)"
    return "var(--bad)" if incident["severity"] in {"critical", "major"} else "var(--warn)"


def said(trend: Mapping[str, Any]) -> str:
    now, blind = trend["steps"][-1]["firing"], any(each["firing"] is None for each in trend["steps"])
    fires = "nobody knows how many fire now" if now is None else f"{now} firing at the end"
    return f"Alerts firing at once: at most {peak(trend)}, {fires}" + ("; not known all of the time" if blind else "")
