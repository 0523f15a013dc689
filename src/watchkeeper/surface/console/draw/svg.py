"""The few shapes that drawings are made of. Text is escaped here and nowhere else; positions are attributes."""

from collections.abc import Iterable
from typing import Any

from markupsafe import Markup

from watchkeeper.surface.console import words


def number(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")


def element(name: str, inner: Iterable[Markup] | Markup | str = "", **attributes: Any) -> Markup:
    """`fill_opacity` becomes `fill-opacity`; None is left out; numbers have one digit after the point."""
    parts = [
        Markup(' {}="{}"').format(
            key.rstrip("_").replace("_", "-"), number(value) if isinstance(value, float) else value
        )
        for key, value in attributes.items()
        if value is not None
    ]
    content = inner if isinstance(inner, str) else Markup("").join(inner)
    # `name` is a word of this folder's code, never of a page's data.
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), Markup("").join(parts), content)  # noqa: S704


def text(x: float, y: float, said: str, kind: str = "", anchor: str = "start", most: int = 60) -> Markup:
    """A line of text, its hidden characters drawn, clipped at `most` characters."""
    shown = "".join(piece for _, piece in words.pieces(said, most)) if len(said) <= most else _clipped(said, most)
    return element("text", shown, x=float(x), y=float(y), class_=kind or None, text_anchor=anchor)


def _clipped(said: str, most: int) -> str:
    return "".join(piece for _, piece in words.pieces(said[: most - 1], most)) + "…"


def drawing(width: float, height: float, inner: Iterable[Markup], label: str, *, wide: bool = False) -> Markup:
    """At its own size, smaller where there is no room; `wide` fills its place."""
    shown = tuple(inner)
    return element(
        "svg",
        shown,
        class_="draw wide" if wide else "draw",
        width=None if wide else width,
        height=None if wide else height,
        viewBox=f"0 0 {number(width)} {number(height)}",
        role="group" if any("<a " in part for part in shown) else "img",  # links inside an image are reached by nobody
        aria_label=label,
        preserveAspectRatio="xMinYMin meet",
    )


def use(name: str, x: float, y: float, size: float, color: str) -> Markup:
    return element(
        "svg",
        element("use", href=f"/static/sprite.svg#{name}"),
        x=float(x),
        y=float(y),
        width=float(size),
        height=float(size),
        color=color,
        stroke_width="1.9",
        aria_hidden="true",
    )
