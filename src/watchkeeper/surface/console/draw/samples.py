"""A verification, look by look: how long each took, and what it saw. Three shapes, so that grey is enough to read it."""

from collections.abc import Sequence
from typing import Final

from markupsafe import Markup

from watchkeeper.surface.console import words
from watchkeeper.surface.console.draw.svg import drawing, element, text

LEFT, WIDE, HIGH, TOP = 48.0, 232.0, 110.0, 12.0
LOOKS_MAX: Final = 200
Look = tuple[int, int, str]


def draw(looks: Sequence[Look], until_ms: int, limit_ms: int | None = None, *, open_: bool = False) -> Markup | None:
    """`looks`: milliseconds since it began, milliseconds a look took, and `healthy`, `unhealthy` or `nothing`. `until_ms`
    is the window; what is still to come of it is shaded when `open_`.
    """
    if not looks:
        return None
    shown = looks[-LOOKS_MAX:]
    across = max(until_ms, shown[-1][0], 1)
    tall = max(*(took for _, took, _ in shown), limit_ms or 0, 1)

    def x_of(ms: int) -> float:
        return LEFT + WIDE * ms / across

    def y_of(took: int) -> float:
        return TOP + HIGH * (1 - took / tall)

    parts: list[Markup] = []
    if open_:
        x = x_of(shown[-1][0])
        parts.append(element("rect", x=x, y=TOP, width=LEFT + WIDE - x, height=HIGH, fill="var(--inset)"))
    for took in (0, tall):
        parts.append(element("path", d=f"M{LEFT:.1f} {y_of(took):.1f}H{LEFT + WIDE:.1f}", stroke="var(--line)"))
        parts.append(text(LEFT - 6, y_of(took) + 4, f"{took} ms" if took else "0", "q", "end"))
    if limit_ms is not None:
        y = y_of(limit_ms)
        parts.append(
            element("path", d=f"M{LEFT:.1f} {y:.1f}H{LEFT + WIDE:.1f}", stroke="var(--ink-2)", stroke_dasharray="2 4")
        )
        parts.append(text(LEFT + WIDE, y - 4, f"limit {limit_ms} ms", "q", "end"))
    for third in range(4):
        ms = across * third // 3
        said = words.span(ms) if across >= 4_000 else f"{ms / 1_000:.1f} s"
        parts.append(text(x_of(ms), TOP + HIGH + 16, said, "q", "middle"))
    parts += [_mark(x_of(at), y_of(took), seen) for at, took, seen in shown]
    counted = {seen: sum(each == seen for _, _, each in shown) for seen in ("healthy", "unhealthy", "nothing")}
    label = f"{counted['healthy']} healthy, {counted['unhealthy']} unhealthy, {counted['nothing']} inconclusive looks"
    return drawing(LEFT + WIDE + 16, TOP + HIGH + 24, parts, label)


def _mark(x: float, y: float, seen: str) -> Markup:
    match seen:
        case "healthy":
            return element("circle", cx=x, cy=y, r="3.6", fill="var(--ok)")
        case "unhealthy":
            way = f"M{x - 3.4:.1f} {y - 3.4:.1f}l6.8 6.8m0 -6.8l-6.8 6.8"
            return element("path", d=way, stroke="var(--bad)", stroke_width="2")
        case _:
            way = f"M{x:.1f} {y - 4.6:.1f}l4.6 4.6l-4.6 4.6l-4.6 -4.6z"
            return element("path", d=way, fill="var(--surface)", stroke="var(--ink-2)", stroke_width="1.2")
