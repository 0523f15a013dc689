"""Where the time of a run went: a lane a step, bars for tries, a line for now."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup

from watchkeeper.surface.console import words
from watchkeeper.surface.console.draw.svg import drawing, element, text
from watchkeeper.values import instant, ms_between

LEFT, WIDE, LANE, TOP = 190.0, 700.0, 21.0, 24.0
LANES_MAX: Final = 60
STEPS_MS: Final = (
    100,
    200,
    500,
    1_000,
    2_000,
    5_000,
    10_000,
    30_000,
    60_000,
    120_000,
    300_000,
    600_000,
    1_800_000,
    3_600_000,
)
TICKS_MAX: Final = 8
CROSSES_MAX: Final = 20  # of one step
NO_TRIES: Final[Mapping[str, Sequence[str]]] = {}
LOOK: Final = {
    "done": "var(--accent-line)",
    "failed": "var(--bad-tint)",
    "in_doubt": "var(--warn-line)",
    "undone": "var(--line-2)",
}


def draw(
    steps: Sequence[Mapping[str, Any]],
    began: str,
    until: str,
    tries: Mapping[str, Sequence[str]] = NO_TRIES,
    *,
    open_: bool,
) -> Markup:
    """`steps` as the API gives them; those that never began have an empty lane. `tries`: when tries of a step failed."""
    total = max(1, ms_between(instant(began), instant(until)))
    shown = steps[:LANES_MAX]
    height = TOP + len(shown) * LANE + 6
    parts: list[Markup] = []
    step = next((each for each in STEPS_MS if total / each <= TICKS_MAX), STEPS_MS[-1])
    for tick in range(0, total + 1, step):
        x = LEFT + WIDE * tick / total
        parts.append(element("path", d=f"M{x:.1f} {TOP - 6}V{height:.1f}", stroke="var(--line)"))
        parts.append(text(x, 11, words.span(tick) if step >= 1_000 else f"{tick / 1000:.1f} s", "q", "middle"))
    for row, one in enumerate(shown):
        parts += _lane(one, TOP + row * LANE, began, until, total)
        parts += _crosses(tries.get(one["id"], ()), TOP + row * LANE, began, total)
    if open_:
        x = LEFT + WIDE
        parts.append(element("path", d=f"M{x:.1f} {TOP - 8}V{height:.1f}", stroke="var(--ink)", stroke_width="1.4"))
    return drawing(
        LEFT + WIDE + 20, height, parts, f"Time of {len(steps)} steps; the table of steps has the same times", wide=True
    )


def _lane(one: Mapping[str, Any], y: float, began: str, until: str, total: int) -> list[Markup]:
    parts = [text(0, y + 14, one["id"], "n" if one["status"] in {"intended", "in_doubt"} else "", most=28)]
    if not one["started_at"]:
        return parts
    start = max(0, ms_between(instant(began), instant(one["started_at"])))
    end = max(start, ms_between(instant(began), instant(one["ended_at"] or until)))
    x, width = LEFT + WIDE * start / total, max(3.0, WIDE * (end - start) / total)
    running = one["ended_at"] is None and one["status"] not in {"done", "failed", "skipped"}
    verified = one["kind"] == "verify" and one["status"] == "done"
    fill = "var(--accent-fill)" if running else "var(--ok)" if verified else LOOK.get(one["status"], "var(--line-2)")
    line = "var(--bad)" if one["status"] == "failed" else None
    parts.append(
        element(
            "rect",
            element("title", f"{one['id']}: {words.span(end - start)}, {one['attempts']} attempts"),
            x=x,
            y=y + 4,
            width=width,
            height="12",
            rx="3",
            fill=fill,
            stroke=line,
        )
    )
    if one["attempts"] > 1:
        parts.append(text(min(x + width + 6, LEFT + WIDE - 40), y + 14, f"{one['attempts']} tries", "q"))
    return parts


def _crosses(failed: Sequence[str], y: float, began: str, total: int) -> list[Markup]:
    """A hollow box with a cross at the end of each try that failed."""
    parts = []
    for at in failed[:CROSSES_MAX]:
        x = LEFT + WIDE * min(1.0, max(0, ms_between(instant(began), instant(at))) / total) - 6
        cross = f"M{x + 3.5:.1f} {y + 7.5:.1f}l5 5m0 -5l-5 5"
        parts.append(
            element(
                "g",
                [
                    element("title", "A try that failed"),
                    element(
                        "rect",
                        x=x,
                        y=y + 4,
                        width="12",
                        height="12",
                        rx="3",
                        fill="var(--surface)",
                        stroke="var(--bad)",
                        stroke_width="1.4",
                    ),
                    element("path", d=cross, stroke="var(--bad)", stroke_width="1.4"),
                ],
            )
        )
    return parts
