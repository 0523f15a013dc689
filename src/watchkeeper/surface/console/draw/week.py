"""A week of calls: seven rows of twenty-four hours, darker where a rule is called for more often."""

from collections.abc import Mapping
from typing import Any, Final

from markupsafe import Markup

from watchkeeper.surface.console.draw.svg import drawing, element, text

DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
NAMES: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
LEFT, TOP, CELL, GAP = 34, 16, 13, 2
MARKED: Final = (0, 6, 12, 18)
FAINTEST: Final = 0.18


def week(rhythm: Mapping[str, Any]) -> Markup:
    """`week`: 168 counts, Monday at midnight first."""
    counts = rhythm["week"]
    most = max(counts) or 1
    shown: list[Markup] = [text(LEFT + hour * CELL, 10, f"{hour:02}", "q") for hour in MARKED]
    for day, name in enumerate(DAYS):
        y = TOP + day * CELL
        shown.append(text(0, y + 9, name, "q"))
        for hour in range(24):
            calls = counts[day * 24 + hour]
            shown.append(
                element(
                    "rect",
                    element("title", f"{NAMES[day]} {hour:02}:00: {calls}"),
                    x=float(LEFT + hour * CELL),
                    y=float(y),
                    width=float(CELL - GAP),
                    height=float(CELL - GAP),
                    rx="2",
                    fill="var(--accent)" if calls else "var(--inset)",
                    fill_opacity=f"{FAINTEST + (1 - FAINTEST) * calls / most:.2f}" if calls else None,
                )
            )
    label = f"Calls by day and hour; {_busiest(counts)}" if any(counts) else "Calls by day and hour: none yet"
    return drawing(LEFT + 24 * CELL, TOP + 7 * CELL, shown, label)


def _busiest(counts: tuple[int, ...]) -> str:
    top = max(range(len(counts)), key=counts.__getitem__)
    return f"most on {NAMES[top // 24]} at {top % 24:02}:00, {counts[top]}"
