"""Two plots as SVG text, without a library: a line, and bars beside their budget. Readable on light and dark pages."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

WIDTH: Final = 640
HEIGHT: Final = 280
LEFT: Final = 64
BOTTOM: Final = 44
TOP: Final = 36
RIGHT: Final = 16
ROW: Final = 26
NAMES: Final = 170
INK: Final = "#667085"
MARK: Final = "#2e6fd0"
FONT: Final = "font-family='Inter, Helvetica, Arial, sans-serif'"


def line(title: str, across: str, up: str, points: Sequence[tuple[float, float]]) -> str:
    most_x = max((x for x, _ in points), default=1.0) or 1.0
    most_y = _round_up(max((y for _, y in points), default=1.0))
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def at(x: float, y: float) -> str:
        return f"{LEFT + wide * x / most_x:.1f},{TOP + high * (1 - y / most_y):.1f}"

    parts = [_text(LEFT, 20, title, weight=600)]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = TOP + high * (1 - share)
        parts.append(f"<path d='M{LEFT} {y:.1f}H{WIDTH - RIGHT}' stroke='{INK}' stroke-opacity='.25'/>")
        parts.append(_text(LEFT - 6, y + 4, f"{most_y * share:,.4g}", anchor="end"))
        parts.append(_text(LEFT + wide * share, HEIGHT - BOTTOM + 18, f"{most_x * share:,.4g}", anchor="middle"))
    parts.append(_text(LEFT + wide / 2, HEIGHT - 8, across, anchor="middle"))
    parts.append(_text(WIDTH - RIGHT, 20, up, anchor="end"))
    parts.append(
        f"<polyline fill='none' stroke='{MARK}' stroke-width='2' points='{' '.join(at(x, y) for x, y in points)}'/>"
    )
    return _svg(title, HEIGHT, parts)


def bars(title: str, unit: str, rows: Sequence[tuple[str, float]], budget: Mapping[str, float]) -> str:
    """The budget is a mark across its bar."""
    most = _round_up(max([value for _, value in rows] + list(budget.values()) + [1.0]))
    wide = WIDTH - NAMES - 90
    parts = [_text(12, 20, f"{title}, {unit} (the mark is the budget)", weight=600)]
    for place, (name, value) in enumerate(rows):
        y = TOP + place * ROW
        parts.append(_text(NAMES - 8, y + 14, name, anchor="end"))
        parts.append(f"<rect x='{NAMES}' y='{y + 3}' width='{wide * value / most:.1f}' height='15' fill='{MARK}'/>")
        parts.append(_text(NAMES + wide * value / most + 6, y + 15, f"{value:,.0f}"))
        if name in budget:
            x = NAMES + wide * budget[name] / most
            parts.append(f"<path d='M{x:.1f} {y}V{y + 21}' stroke='{INK}' stroke-width='2'/>")
    return _svg(title, TOP + len(rows) * ROW + 12, parts)


def _svg(title: str, height: int, parts: Sequence[str]) -> str:
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' width='{WIDTH}' height='{height}' "
        f"role='img' aria-label='{escape(title, quote=True)}'>\n" + "\n".join(parts) + "\n</svg>\n"
    )


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: int = 400) -> str:
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' {FONT} font-size='12' font-weight='{weight}' fill='{INK}' "
        f"text-anchor='{anchor}'>{escape(text)}</text>"
    )


def _round_up(value: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    power = 1.0
    while power * 10 <= value:
        power *= 10
    while power > value > 0:
        power /= 10
    return next((power * step for step in (1, 2, 5, 10) if power * step >= value), 1.0)
