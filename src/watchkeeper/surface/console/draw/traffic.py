"""Signals over time, by what they were: news stands out, what was said again stays quiet."""

from collections.abc import Mapping
from typing import Any, Final
from zoneinfo import ZoneInfo

from markupsafe import Markup

from watchkeeper.surface.console import words
from watchkeeper.surface.console.draw import series
from watchkeeper.surface.console.draw.series import Part
from watchkeeper.values import instant

# what it was -> its word, fill and edge, the lowest first
LOOK: Final = {
    "beats": ("beats and samples", "var(--line)", "var(--line-2)"),
    "repeated": ("repeated", "var(--control)", ""),
    "suppressed": ("suppressed", "var(--surface)", "var(--control)"),
    "news": ("new", "var(--ink)", ""),
    "unread": ("unread", "var(--warn)", ""),
}


def draw(traffic: Mapping[str, Any], zone: ZoneInfo, *, wide: float, high: float) -> Markup | None:
    points = traffic["points"]
    ticks = [f"{instant(one['at']).astimezone(zone):%H:%M}" for one in points]
    return series.bars(
        tuple(
            Part(name=word, values=tuple(one["counts"].get(name, 0) for one in points), fill=fill, edge=edge)
            for name, (word, fill, edge) in LOOK.items()
        ),
        [one["watched"] for one in points],
        [*ticks[:-1], "now"],
        f"Signals {words.per(traffic['every_ms'])}; {said(traffic)}",
        wide=wide,
        high=high,
    )


def said(traffic: Mapping[str, Any]) -> str:
    """The same in words, what was not there left out."""
    counts = traffic["counts"]
    found = [f"{counts[name]:,} {word}" for name, (word, _, _) in reversed(LOOK.items()) if counts[name]]
    return ", ".join(found) if found else "none came"
