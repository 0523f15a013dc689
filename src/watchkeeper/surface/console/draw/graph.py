"""What hangs on what, around one thing: callers to the left, dependencies to the right, at most so many nodes.

Layers by distance, order within a layer by the mean of the neighbours' places (Sugiyama's barycentre, two sweeps).
What does not fit is folded into a counted pill, so that five thousand services stay a picture.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from markupsafe import Markup
from msgspec import Struct

from watchkeeper.surface.console.draw.svg import drawing, element, text, use

NODES_MAX: Final = 60
LAYER_MAX: Final = 9
WIDE, HIGH, GAP_X, GAP_Y = 150.0, 42.0, 62.0, 16.0
SWEEPS: Final = 2
LIST: Final = "as-list"  # the text twin beside the picture

LOOK: Final = {
    "healthy": ("var(--surface)", "var(--line-2)", "circle-check", "var(--ok)"),
    "unhealthy": ("var(--bad-tint)", "var(--bad-line)", "octagon-x", "var(--bad)"),
    "degraded": ("var(--warn-tint)", "var(--warn-line)", "triangle-alert", "var(--warn)"),
    "unknown": ("var(--inset)", "var(--line-2)", "circle-question-mark", "var(--ink-3)"),
    "excluded": ("var(--inset)", "var(--line)", "lock", "var(--ink-3)"),
    "acted": ("var(--accent-tint)", "var(--accent-line)", "mark", "var(--accent)"),
}


class Node(Struct, frozen=True, kw_only=True):
    ref: str
    name: str
    fact: str
    look: str
    href: str = ""


class Around(Struct, frozen=True, kw_only=True):
    """`layers` from the farthest caller (negative) to the farthest dependency; `folded` counts what a layer lost."""

    layers: dict[int, tuple[str, ...]]
    edges: tuple[tuple[str, str], ...]
    folded: dict[int, int]


def around(
    focus: str,
    needs: Mapping[str, Sequence[str]],
    needed_by: Mapping[str, Sequence[str]],
    hops: int,
    layer_max: int = LAYER_MAX,
    first: Collection[str] = (),
) -> Around:
    """The neighbourhood of `focus`. An edge leads from who needs to what it needs. Those of `first` are folded last. Pure;
    the same for the same graph.
    """
    layer: dict[str, int] = {focus: 0}
    for step, table in ((1, needs), (-1, needed_by)):
        edge = [focus]
        for distance in range(1, hops + 1):
            found = sorted({other for one in edge for other in table.get(one, ()) if other not in layer})
            layer |= dict.fromkeys(found, step * distance)
            edge = found
    layers: dict[int, list[str]] = {}
    for ref in sorted(layer, key=lambda each: (each not in first, each)):
        layers.setdefault(layer[ref], []).append(ref)
    room = max(1, min(layer_max, NODES_MAX // max(1, len(layers))))
    folded = {at: len(refs) - room for at, refs in layers.items() if len(refs) > room}
    kept = {at: refs[:room] for at, refs in layers.items()}
    shown = {ref for refs in kept.values() for ref in refs}
    edges = tuple(
        (one, other) for one in sorted(shown) for other in sorted(needs.get(one, ())) if other in shown and other != one
    )
    return Around(layers={at: tuple(refs) for at, refs in _ordered(kept, edges).items()}, edges=edges, folded=folded)


def _ordered(layers: dict[int, list[str]], edges: Sequence[tuple[str, str]]) -> dict[int, list[str]]:
    near: dict[str, list[str]] = {}
    for one, other in edges:
        near.setdefault(one, []).append(other)
        near.setdefault(other, []).append(one)
    found = {at: list(layers[at]) for at in sorted(layers)}
    for _ in range(SWEEPS):
        places = {ref: place / max(1, len(refs)) for refs in found.values() for place, ref in enumerate(refs)}
        for refs in found.values():
            refs.sort(key=lambda ref: (_mean([places[one] for one in near.get(ref, ())], places[ref]), ref))
    return found


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def draw(
    found: Around,
    nodes: Mapping[str, Node],
    focus: str,
    *,
    heads: Mapping[int, str] | None = None,
    upright: bool = False,
) -> Markup:
    """Left to right, or `upright` from top to bottom for a narrow place. Nodes are links in tab order; those on the way
    to something unhealthy are joined in red.
    """
    top = 26.0 if heads else 4.0
    place, pills = _places(found, top, upright=upright)
    parts = [
        text(index * (WIDE + GAP_X), 12, heads[at], "q")
        for index, at in enumerate(sorted(found.layers))
        if heads and at in heads and not upright
    ]
    parts += [_edge(place[one], place[other], nodes[one], nodes[other], upright) for one, other in found.edges]
    parts += [
        _node(nodes[ref], *place[ref], chosen=ref == focus) for at in sorted(found.layers) for ref in found.layers[at]
    ]
    parts += [_pill(x, y, found.folded[at], at) for at, (x, y) in pills.items()]
    corners = [*place.values(), *pills.values()]
    width = max(x for x, _ in corners) + WIDE + (28 if any(_beside(place, edge) for edge in found.edges) else 2)
    height = max(y for _, y in corners) + HIGH + 4
    label = f"{nodes[focus].name}: {len(place)} things around it, as a list below"
    return drawing(width, height, parts, label)


def _places(
    found: Around, top: float, *, upright: bool
) -> tuple[dict[str, tuple[float, float]], dict[int, tuple[float, float]]]:
    """Where each node stands, and each layer's pill; layers are centred against the longest."""
    along, across = (HIGH + GAP_X * 0.7, WIDE + GAP_Y) if upright else (WIDE + GAP_X, HIGH + GAP_Y)
    most = max(len(refs) + (at in found.folded) for at, refs in found.layers.items())
    place: dict[str, tuple[float, float]] = {}
    pills: dict[int, tuple[float, float]] = {}
    for index, at in enumerate(sorted(found.layers)):
        refs = found.layers[at]
        lines = len(refs) + (at in found.folded)
        offset = (most - lines) * across / 2
        spots = [(index * along, offset + row * across) for row in range(lines)]
        turned = [(b + 2, a + top) if upright else (a + 2, b + top) for a, b in spots]
        place |= dict(zip(refs, turned, strict=False))
        if at in found.folded:
            pills[at] = turned[-1]
    return place, pills


def _beside(place: Mapping[str, tuple[float, float]], edge: tuple[str, str]) -> bool:
    return place[edge[0]][0] == place[edge[1]][0]


def _edge(one: tuple[float, float], other: tuple[float, float], a: Node, b: Node, upright: bool) -> Markup:
    (x1, y1), (x2, y2) = one, other
    if upright and y1 != y2:
        (xa, ya), (xb, yb) = (one, other) if y1 < y2 else (other, one)
        xa, ya, xb = xa + WIDE / 2, ya + HIGH, xb + WIDE / 2
        mid = (ya + yb) / 2
        way = f"M{xa:.1f} {ya:.1f}C{xa:.1f} {mid:.1f} {xb:.1f} {mid:.1f} {xb:.1f} {yb:.1f}"
    elif x1 == x2 or upright:  # within a layer: round the right-hand side
        (xs, ys), (xe, ye) = (x1 + WIDE, y1 + HIGH / 2), (x2 + WIDE, y2 + HIGH / 2)
        far = max(xs, xe) + 26
        way = f"M{xs:.1f} {ys:.1f}C{far:.1f} {ys:.1f} {far:.1f} {ye:.1f} {xe:.1f} {ye:.1f}"
    else:
        (xa, ya), (xb, yb) = (one, other) if x1 < x2 else (other, one)
        xa, ya, yb = xa + WIDE, ya + HIGH / 2, yb + HIGH / 2
        mid = (xa + xb) / 2
        way = f"M{xa:.1f} {ya:.1f}C{mid:.1f} {ya:.1f} {mid:.1f} {yb:.1f} {xb:.1f} {yb:.1f}"
    bad = b.look == "unhealthy" and a.look in {"unhealthy", "degraded"}
    return element(
        "path",
        d=way,
        fill="none",
        stroke="var(--bad)" if bad else "var(--line-2)",
        stroke_width="1.8" if bad else "1.2",
    )


def _node(node: Node, x: float, y: float, *, chosen: bool) -> Markup:
    fill, line, name, color = LOOK.get(node.look, LOOK["unknown"])
    inner = [
        element("title", f"{node.name}: {node.fact}"),
        element(
            "rect",
            x=x,
            y=y,
            width=WIDE,
            height=HIGH,
            rx="8",
            fill=fill,
            stroke="var(--ink)" if chosen else line,
            stroke_width="1.6" if chosen else "1",
        ),
        use(name, x + 10, y + 13, 16, color),
        text(x + 34, y + 18, node.name, "n", most=17),
        text(x + 34, y + 33, node.fact, "q", most=18),
    ]
    return element("a", inner, href=node.href) if node.href else element("g", inner)


def _pill(x: float, y: float, count: int, at: int) -> Markup:
    word = "here" if at == 0 else "callers" if at < 0 else "dependencies"
    return element(
        "a",
        [
            element("title", "All of them are in the list"),
            element("rect", x=x, y=y + 6, width=WIDE, height="30", rx="15", fill="var(--inset)", stroke="var(--line)"),
            text(x + WIDE / 2, y + 25, f"+ {count:,} more {word}", "q", "middle"),
        ],
        href=f"#{LIST}",
    )
