"""The steps of a run as a chain: what is done, what is under way, what is to come, and what undo would take back."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup

from watchkeeper.surface.console import words
from watchkeeper.surface.console.draw.svg import drawing, element, text, use
from watchkeeper.values import instant, ms_between

WIDE, HIGH, GAP, LINE, ROW = 168.0, 44.0, 22.0, 70.0, 6
STEPS_MAX: Final = 36
LOOK: Final = {
    "good": ("var(--inset)", "var(--line)", "var(--ok)", None),
    "running": ("var(--accent-tint)", "var(--accent-line)", "var(--accent)", None),
    "failing": ("var(--bad-tint)", "var(--bad-line)", "var(--bad)", None),
    "doubt": ("var(--warn-tint)", "var(--warn-line)", "var(--warn)", None),
    "degraded": ("var(--inset)", "var(--line-2)", "var(--warn)", None),
    "none": ("var(--surface)", "var(--line-2)", "var(--ink-3)", "4 3"),
}


def grouped(steps: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The top of each step's path once: a group or a fleet is one box that counts what is in it."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for step in steps:
        found.setdefault(step["id"].partition("/")[0], []).append(step)
    return [_one(name, inside) for name, inside in found.items()]


def _one(name: str, inside: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    own = next((step for step in inside if step["id"] == name), inside[0])
    below = [step for step in inside if step["id"] != name]
    look, icon, word = words.STEP.get(own["status"], ("none", "circle-dashed", own["status"]))
    if below:
        done = sum(step["status"] in {"done", "skipped"} for step in below)
        bad = any(step["status"] == "failed" for step in below)
        fact = f"{done} of {len(below)}" + (" done" if not bad else "") + (", one failed" if bad else "")
    elif own["started_at"] and own["ended_at"]:
        fact = words.span(ms_between(instant(own["started_at"]), instant(own["ended_at"])))
        fact += f", {own['attempts']} tries" if own["attempts"] > 1 else ""
    else:
        fact = word.lower()
    return {"name": name, "look": look, "icon": icon, "fact": fact, "undo": own.get("undo"), "kind": own["kind"]}


def draw(steps: Sequence[Mapping[str, Any]], row: int = ROW) -> Markup | None:
    """`row` boxes a line. Undo stands below what it takes back, dashed until it begins."""
    every = grouped(steps)
    if not every:
        return None
    shown = every[:STEPS_MAX]
    undone = any(one["undo"] for one in shown)
    line = LINE + (LINE if undone else 0)
    parts: list[Markup] = []
    for index, one in enumerate(shown):
        x, y = (index % row) * (WIDE + GAP) + 1, (index // row) * line + 1
        if index % row:
            parts.append(element("path", d=f"M{x - GAP:.1f} {y + HIGH / 2:.1f}h{GAP:.1f}", stroke="var(--line-2)"))
        parts += _box(x, y, one["name"], one["fact"], one["icon"], one["look"])
        if one["undo"]:
            look, icon, word = words.STEP.get(one["undo"], ("none", "undo-2", one["undo"]))
            below = y + LINE
            way = f"M{x + WIDE / 2:.1f} {y + HIGH:.1f}V{below:.1f}"
            parts.append(element("path", d=way, stroke="var(--line-2)", stroke_dasharray="3 3"))
            parts += _box(x, below, f"undo {one['name']}", word.lower(), icon if look != "none" else "undo-2", look)
    rows = (len(shown) + row - 1) // row
    if len(every) > len(shown):
        parts.append(text(1, rows * line + 10, f"and {len(every) - len(shown)} more steps, in the table below", "q"))
    width = min(len(shown), row) * (WIDE + GAP) - GAP + 2
    label = f"{len(every)} steps in order; the table of steps says the same"
    return drawing(width, rows * line + (14 if len(every) > len(shown) else -18), parts, label)


def _box(x: float, y: float, name: str, fact: str, icon: str, look: str) -> list[Markup]:
    fill, edge, color, dash = LOOK.get(look, LOOK["none"])
    return [
        element("rect", x=x, y=y, width=WIDE, height=HIGH, rx="8", fill=fill, stroke=edge, stroke_dasharray=dash),
        use(icon, x + 10, y + 14, 16, color),
        text(x + 34, y + 18, name, "n", most=18),
        text(x + 34, y + 34, fact, "q", most=22),
    ]
