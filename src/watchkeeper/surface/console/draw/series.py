"""Something over time: lines for lengths and shares, bars for counts, cells for days.

Three kinds of nothing are told apart: what was measured as zero stands on the line; where nothing came there is only a short
mark below; where nobody looked the ground is shaded and dashed. A line never crosses what was not measured.
"""

from collections.abc import Callable, Sequence
from typing import Final

from markupsafe import Markup
from msgspec import Struct

from watchkeeper.surface.console.draw.svg import drawing, element, text

WIDE, HIGH, TOP, LEFT, FOOT = 348.0, 96.0, 14.0, 4.0, 18.0
POINTS_MAX: Final = 400


class Line(Struct, frozen=True, kw_only=True):
    """`dash` tells it apart where there is no colour."""

    name: str
    values: tuple[int | None, ...]
    stroke: str = "var(--ink)"
    dash: str = ""


class Part(Struct, frozen=True, kw_only=True):
    """One layer of stacked bars, the lowest first."""

    name: str
    values: tuple[int, ...]
    fill: str
    edge: str = ""


def lines(
    found: Sequence[Line],
    watched: Sequence[bool],
    ticks: Sequence[str],
    said: Callable[[int], str],
    label: str,
    *,
    floor: int = 0,
    ceiling: int | None = None,
    low: int | None = None,
) -> Markup | None:
    """`ticks`: one text a stretch (the first, the middle and the last are written). `floor` and `ceiling` are the ends of the
    scale; without a ceiling that is the greatest value. `low`: a dashed mark. None: there is nothing to draw at all.
    """
    count = len(watched)
    if not count or not any(value is not None for line in found for value in line.values):
        return None
    top = ceiling if ceiling is not None else max(v for line in found for v in line.values if v is not None)
    top = max(top, floor + 1)
    step = WIDE / count

    def x_of(place: int) -> float:
        return LEFT + step * (place + 0.5)

    def y_of(value: int) -> float:
        return TOP + HIGH * (1 - (min(max(value, floor), top) - floor) / (top - floor))

    parts = [*_blind(watched, step), *_scale(said(top), said(floor) if floor else "")]
    if low is not None and floor < low < top:
        parts.append(_rule(y_of(low), "var(--line-2)", "2 4"))
    for line in found:
        parts += _line(line, x_of, y_of, ticks, said)
    parts += _nothing(found, watched, x_of)
    parts += _clock(ticks)
    return drawing(LEFT + WIDE + 4, TOP + HIGH + FOOT, parts, label)


def _line(
    line: Line,
    x_of: Callable[[int], float],
    y_of: Callable[[int], float],
    ticks: Sequence[str],
    said: Callable[[int], str],
) -> list[Markup]:
    parts: list[Markup] = []
    run: list[tuple[float, float]] = []
    for place, value in enumerate((*line.values, None)):
        if value is not None:
            run.append((x_of(place), y_of(value)))
            continue
        if len(run) == 1:
            parts.append(element("circle", cx=run[0][0], cy=run[0][1], r="2", fill=line.stroke))
        elif run:
            way = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in run)
            dashed = {"stroke_dasharray": line.dash} if line.dash else {}
            parts.append(
                element(
                    "path",
                    d=way,
                    fill="none",
                    stroke=line.stroke,
                    stroke_width="1.6",
                    stroke_linejoin="round",
                    **dashed,
                )
            )
        run = []
    parts += [
        element(
            "circle",
            element("title", f"{ticks[place]}: {line.name} {said(value)}"),
            cx=x_of(place),
            cy=y_of(value),
            r="5",
            fill="transparent",
        )
        for place, value in enumerate(line.values)
        if value is not None
    ]
    return parts


def bars(
    found: Sequence[Part],
    watched: Sequence[bool],
    ticks: Sequence[str],
    label: str,
    *,
    wide: float = WIDE,
    high: float = HIGH,
) -> Markup | None:
    """Counts, stacked. None where nobody looked at any time."""
    count = len(watched)
    if not count or not any(watched):
        return None
    sums = [sum(part.values[place] for part in found) for place in range(count)]
    top, step = max(1, *sums), wide / count
    parts = [*_blind(watched, step, high), _rule(TOP + high, "var(--line-2)", wide=wide)]
    for place in range(count):
        y = TOP + high
        for part in found:
            value = part.values[place]
            if not value:
                continue
            tall = max(1.5, high * value / top)
            y -= tall
            look = {"stroke": part.edge} if part.edge else {}
            parts.append(
                element(
                    "rect",
                    element("title", f"{ticks[place]}: {value:,} {part.name}"),
                    x=LEFT + step * place + step * 0.1,
                    y=y,
                    width=max(1.0, step * 0.8),
                    height=tall,
                    fill=part.fill,
                    **look,
                )
            )
    parts += _clock(ticks, wide, high)
    return drawing(LEFT + wide + 4, TOP + high + FOOT, parts, label)


def sparks(part: Part, watched: Sequence[bool], ticks: Sequence[str], label: str) -> Markup | None:
    """Counts so small that they stand in a row: no scale, no clock. None where nothing came and somebody looked."""
    if not any(part.values) and any(watched):
        return None
    high, step, top = 22.0, 2.0, max(1, *part.values)
    parts = [element("path", d=f"M0 {high:.1f}H{step * len(watched):.1f}", stroke="var(--line-2)")]
    for place, (value, seen) in enumerate(zip(part.values, watched, strict=True)):
        if not seen:
            parts.append(element("rect", x=step * place, y="2", width=step, height=high - 2, fill="var(--inset)"))
        elif value:
            tall = max(1.5, (high - 1) * value / top)
            title = element("title", f"{ticks[place]}: {value:,} {part.name}")
            parts.append(
                element("rect", title, x=step * place, y=high - tall, width=step * 0.8, height=tall, fill=part.fill)
            )
    return drawing(step * len(watched), high + 1, parts, label)


def cells(values: Sequence[int | None], ticks: Sequence[str], said: Callable[[int], str], label: str) -> Markup:
    """A day a cell: whole, dented, broken, or unknown; the height of the mark says it without its colour."""
    step, parts = 11.0, list[Markup]()
    for place, value in enumerate(values):
        x = place * step + 0.5
        if value is None:
            title = element("title", f"{ticks[place]}: unknown, nobody looked")
            parts.append(
                element("rect", title, x=x, y="1", width="8", height="20", rx="2", fill="var(--inset)",
                        stroke="var(--line-2)", stroke_dasharray="2 2")
            )  # fmt: skip
            continue
        fill, tall = (
            ("var(--ok)", 20.0)
            if value >= 999_000
            else ("var(--warn)", 14.0)
            if value >= 950_000
            else ("var(--bad)", 8.0)
        )
        title = element("title", f"{ticks[place]}: up {said(value)}")
        parts.append(element("rect", title, x=x, y=21 - tall, width="8", height=tall, rx="2", fill=fill))
    return drawing(max(1, len(values)) * step, 22, parts, label, wide=False)


def _blind(watched: Sequence[bool], step: float, high: float = HIGH) -> list[Markup]:
    """Stretches in which nobody looked, joined."""
    parts: list[Markup] = []
    begin: int | None = None
    for place, seen in enumerate((*watched, True)):
        if not seen and begin is None:
            begin = place
        elif seen and begin is not None:
            x, wide = LEFT + step * begin, step * (place - begin)
            title = element("title", "the node did not run, so nobody knows")
            parts.append(
                element("rect", title, x=x, y=TOP, width=wide, height=high, fill="var(--inset)", stroke="var(--line-2)",
                        stroke_dasharray="2 3")
            )  # fmt: skip
            if wide > 64:
                parts.append(text(x + wide / 2, TOP + high / 2 + 4, "unknown", "q", "middle"))
            elif wide > 14:
                parts.append(text(x + wide / 2, TOP + high / 2 + 4, "?", "q", "middle"))
            begin = None
    return parts


def _nothing(found: Sequence[Line], watched: Sequence[bool], x_of: Callable[[int], float]) -> list[Markup]:
    """Where somebody looked and nothing came: a short mark under the line of zero."""
    y = TOP + HIGH + 3
    return [
        element("path", d=f"M{x_of(place) - 1:.1f} {y:.1f}h2", stroke="var(--line-2)")
        for place, seen in enumerate(watched)
        if seen and all(line.values[place] is None for line in found)
    ]


def _scale(top: str, floor: str) -> list[Markup]:
    return [
        _rule(TOP, "var(--line)"),
        _rule(TOP + HIGH, "var(--line-2)"),
        text(LEFT + WIDE, TOP - 4, top, "q", "end"),
        *([text(LEFT + WIDE, TOP + HIGH - 4, floor, "q", "end")] if floor else []),
    ]


def _rule(y: float, stroke: str, dash: str = "", wide: float = WIDE) -> Markup:
    dashed = {"stroke_dasharray": dash} if dash else {}
    return element("path", d=f"M{LEFT:.1f} {y:.1f}H{LEFT + wide:.1f}", stroke=stroke, **dashed)


def _clock(ticks: Sequence[str], wide: float = WIDE, high: float = HIGH) -> list[Markup]:
    y = TOP + high + 14
    found = [text(LEFT, y, ticks[0], "q"), text(LEFT + wide, y, ticks[-1], "q", "end")]
    return [*found, text(LEFT + wide / 2, y, ticks[len(ticks) // 2], "q", "middle")] if len(ticks) > 4 else found
