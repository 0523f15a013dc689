"""What hangs on what, around one thing: callers to the left, dependencies to the right, at most so many nodes.

Layers by distance, order within a layer by the mean of the neighbours' places (Sugiyama's barycentre, two sweeps).
What does not fit is folded into a counted pill, so that five thousand services stay a picture. Upright it is for a phone:
two nodes side by side, and as high as a finger needs.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from markupsafe import Markup
from msgspec import Struct

from watchkeeper.surface.console.draw.svg import drawing, element, text, use

NODES_MAX: Final = 60
LAYER_MAX: Final = 9
WIDE, HIGH, GAP_Y = 150.0, 42.0, 16.0
ROOM: Final = 792.0  # what the columns of a picture may take; the gaps between them are what is left
GAP_LEAST, GAP_MOST = 18.0, 96.0
TALL: Final = 44.0  # of a node that is pressed with a finger
ROW_GAP: Final = 30.0
SWEEPS: Final = 2
LIST: Final = "as-list"  # the text twin beside the picture
BAD: Final = frozenset({"failing", "degraded"})

# look -> (fill, edge, icon, its colour)
LOOK: Final = {
    "healthy": ("var(--surface)", "var(--line-2)", "circle-check", "var(--ok)"),
    "failing": ("var(--bad-tint)", "var(--bad-line)", "octagon-x", "var(--bad)"),
    "degraded": ("var(--warn-tint)", "var(--warn-line)", "triangle-alert", "var(--warn)"),
    "unknown": ("var(--inset)", "var(--line-2)", "circle-question-mark", "var(--ink-3)"),
    "excluded": ("var(--inset)", "var(--line)", "lock", "var(--ink-3)"),
    "frozen": ("var(--inset)", "var(--line)", "snowflake", "var(--ink-3)"),
    "held": ("var(--inset)", "var(--line)", "pause", "var(--ink-3)"),
    "stopped": ("var(--inset)", "var(--line)", "octagon-pause", "var(--ink-3)"),
    "by-hand": ("var(--inset)", "var(--line)", "circle-slash", "var(--ink-3)"),
    "breaker": ("var(--warn-tint)", "var(--warn-line)", "unplug", "var(--warn)"),
    "acted": ("var(--accent-tint)", "var(--accent-line)", "mark", "var(--accent)"),
    "auto": ("var(--accent-tint)", "var(--accent-line)", "play", "var(--accent)"),
    "approve": ("var(--surface)", "var(--line-2)", "hand", "var(--accent)"),
    "suggest": ("var(--surface)", "var(--line-2)", "lightbulb", "var(--accent)"),
    "observe": ("var(--surface)", "var(--line-2)", "eye", "var(--ink-3)"),
    "no-rule": ("var(--inset)", "var(--line)", "circle-dashed", "var(--ink-3)"),
    "same-owner": ("var(--accent-tint)", "var(--accent-line)", "user", "var(--accent)"),
    "other-owner": ("var(--surface)", "var(--line-2)", "user", "var(--ink-3)"),
}


class Node(Struct, frozen=True, kw_only=True):
    """`level` is its condition, whatever `look` shows: it says which paths are unhealthy. `mark` is a small icon in the
    corner, as a look; `note` what is said of it beside the fact, for who points at it or hears it read.
    """

    ref: str
    name: str
    fact: str
    look: str
    href: str = ""
    level: str = ""
    mark: str = ""
    note: str = ""


class Around(Struct, frozen=True, kw_only=True):
    """`layers` from the farthest caller (negative) to the farthest dependency; `folded` counts what a layer lost, and
    `hidden` names it. `loose` are things that are joined to nothing that is shown, each with the layer in whose pill what
    joins it is folded.
    """

    layers: dict[int, tuple[str, ...]]
    edges: tuple[tuple[str, str], ...]
    folded: dict[int, int]
    hidden: dict[int, tuple[str, ...]] = {}
    loose: tuple[tuple[str, int], ...] = ()


def around(
    focus: str,
    needs: Mapping[str, Sequence[str]],
    needed_by: Mapping[str, Sequence[str]],
    hops: int,
    layer_max: int = LAYER_MAX,
    first: Collection[str] = (),
    *,
    far: int = 0,
    beside: Collection[str] = (),
    weight: Mapping[str, int] | None = None,
) -> Around:
    """The neighbourhood of `focus`. An edge leads from who needs to what it needs. Those of `first` are folded last, then
    those of little `weight` (0 unless given). What is farther away than `far` layers stands in the farthest (0: each distance has its own); those `beside` stand with the
    focus. Pure; the same for the same graph.
    """
    layer: dict[str, int] = {focus: 0}
    for step, table in ((1, needs), (-1, needed_by)):
        edge = [focus]
        for distance in range(1, hops + 1):
            found = sorted({other for one in edge for other in table.get(one, ()) if other not in layer})
            layer |= dict.fromkeys(found, step * (min(distance, far) if far else distance))
            edge = found
    layer |= {ref: 0 for ref in beside if ref not in layer}
    layers: dict[int, list[str]] = {}
    heavy = weight or {}
    for ref in sorted(layer, key=lambda each: (each != focus, each not in first, heavy.get(each, 0), each)):
        layers.setdefault(layer[ref], []).append(ref)
    room = max(1, min(layer_max, NODES_MAX // max(1, len(layers))))
    hidden = {at: tuple(refs[room:]) for at, refs in layers.items() if len(refs) > room}
    kept = {at: refs[:room] for at, refs in layers.items()}
    shown = {ref for refs in kept.values() for ref in refs}
    edges = tuple(
        (one, other) for one in sorted(shown) for other in sorted(needs.get(one, ())) if other in shown and other != one
    )
    return Around(
        layers={at: tuple(refs) for at, refs in _ordered(kept, edges).items()},
        edges=edges,
        folded={at: len(refs) for at, refs in hidden.items()},
        hidden=hidden,
        loose=_loose(shown, edges, hidden, needs, needed_by),
    )


def _loose(
    shown: Collection[str],
    edges: Sequence[tuple[str, str]],
    hidden: Mapping[int, tuple[str, ...]],
    needs: Mapping[str, Sequence[str]],
    needed_by: Mapping[str, Sequence[str]],
) -> tuple[tuple[str, int], ...]:
    joined = {ref for edge in edges for ref in edge}
    pill = {ref: at for at, refs in hidden.items() for ref in refs}
    found = {
        (ref, pill[other])
        for ref in shown
        if ref not in joined
        for other in (*needs.get(ref, ()), *needed_by.get(ref, ()))
        if other in pill
    }
    return tuple(sorted(found))


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
    pills: Mapping[int, str] | None = None,
    more: str = f"#{LIST}",
    paths: bool = True,
) -> Markup:
    """Left to right, or `upright` from top to bottom for a narrow place. Nodes are links in tab order. With `paths`, those
    on the way to something that fails are joined in red. `pills` says of a layer what is folded there, `more` is where all
    of it stands.
    """
    top = 26.0 if heads else 4.0
    high = TALL if upright else HIGH
    place, spots = _upright(found) if upright else _across(found, top)
    gap = _gap(len(found.layers))
    parts = [
        text(index * (WIDE + gap) + 2, 12, heads[at], "q")
        for index, at in enumerate(sorted(found.layers))
        if heads and at in heads and not upright
    ]
    edges = sorted(found.edges, key=lambda edge: paths and _bad(nodes[edge[0]], nodes[edge[1]]))
    for one, other in edges:
        bad = paths and _bad(nodes[one], nodes[other])
        parts.append(_edge(place[one], place[other], high, upright=upright, bad=bad))
    parts += [_dashed(place[ref], spots[at]) for ref, at in found.loose if at in spots and not upright]
    for at in sorted(found.layers):
        if upright and at < 0 and at in spots:
            parts.append(_pill(*spots[at], _folded_word(found, at, pills), more, high))
        parts += [_node(nodes[ref], *place[ref], high, chosen=ref == focus) for ref in found.layers[at]]
        if at in spots and not (upright and at < 0):
            parts.append(_pill(*spots[at], _folded_word(found, at, pills), more, high))
    corners = [*place.values(), *spots.values()]
    width = max(x for x, _ in corners) + WIDE + (28 if any(_beside(place, edge) for edge in found.edges) else 2)
    height = max(y for _, y in corners) + high + 4
    label = f"{nodes[focus].name}: {len(place)} things around it, as a list below"
    return drawing(width, height, parts, label)


def _bad(one: Node, other: Node) -> bool:
    return other.level == "failing" and one.level in BAD


def _gap(layers: int) -> float:
    return min(GAP_MOST, max(GAP_LEAST, (ROOM - layers * WIDE) / max(1, layers - 1)))


def _folded_word(found: Around, at: int, pills: Mapping[int, str] | None) -> str:
    if pills and at in pills:
        return pills[at]
    word = "here" if at == 0 else "callers" if at < 0 else "dependencies"
    return f"{found.folded[at]:,} more {word}"


Places = dict[str, tuple[float, float]]


def _across(found: Around, top: float) -> tuple[Places, dict[int, tuple[float, float]]]:
    """Where each node stands, and each layer's pill; layers are centred against the longest."""
    along, across = WIDE + _gap(len(found.layers)), HIGH + GAP_Y
    most = max(len(refs) + (at in found.folded) for at, refs in found.layers.items())
    place: Places = {}
    pills: dict[int, tuple[float, float]] = {}
    for index, at in enumerate(sorted(found.layers)):
        refs = found.layers[at]
        lines = len(refs) + (at in found.folded)
        offset = (most - lines) * across / 2
        spots = [(index * along + 2, offset + row * across + top) for row in range(lines)]
        place |= dict(zip(refs, spots, strict=False))
        if at in found.folded:
            pills[at] = spots[-1]
    return place, pills


def _upright(found: Around) -> tuple[Places, dict[int, tuple[float, float]]]:
    """Two side by side, a pill in a row of its own: outside of its layer, seen from the focus."""
    place: Places = {}
    pills: dict[int, tuple[float, float]] = {}
    wide = 2 * WIDE + GAP_Y
    y = 4.0
    for at in sorted(found.layers):
        refs = found.layers[at]
        if at in found.folded and at < 0:
            pills[at] = ((wide - WIDE) / 2 + 2, y)
            y += TALL + GAP_Y
        for start in range(0, len(refs), 2):
            row = refs[start : start + 2]
            x = (wide - len(row) * WIDE - (len(row) - 1) * GAP_Y) / 2 + 2
            place |= {ref: (x + step * (WIDE + GAP_Y), y) for step, ref in enumerate(row)}
            y += TALL + (GAP_Y if start + 2 < len(refs) else ROW_GAP)
        if at in found.folded and at >= 0:
            pills[at] = ((wide - WIDE) / 2 + 2, y - ROW_GAP + GAP_Y)
            y += TALL + GAP_Y
    return place, pills


def _beside(place: Places, edge: tuple[str, str]) -> bool:
    return place[edge[0]][0] == place[edge[1]][0]


def _edge(one: tuple[float, float], other: tuple[float, float], high: float, *, upright: bool, bad: bool) -> Markup:
    (x1, y1), (x2, y2) = one, other
    if upright and y1 != y2:
        (xa, ya), (xb, yb) = (one, other) if y1 < y2 else (other, one)
        xa, ya, xb = xa + WIDE / 2, ya + high, xb + WIDE / 2
        mid = (ya + yb) / 2
        way = f"M{xa:.1f} {ya:.1f}C{xa:.1f} {mid:.1f} {xb:.1f} {mid:.1f} {xb:.1f} {yb:.1f}"
    elif x1 == x2 or upright:  # within a layer: round the right-hand side
        (xs, ys), (xe, ye) = (x1 + WIDE, y1 + high / 2), (x2 + WIDE, y2 + high / 2)
        far = max(xs, xe) + 26
        way = f"M{xs:.1f} {ys:.1f}C{far:.1f} {ys:.1f} {far:.1f} {ye:.1f} {xe:.1f} {ye:.1f}"
    else:
        (xa, ya), (xb, yb) = (one, other) if x1 < x2 else (other, one)
        xa, ya, yb = xa + WIDE, ya + high / 2, yb + high / 2
        mid = (xa + xb) / 2
        way = f"M{xa:.1f} {ya:.1f}C{mid:.1f} {ya:.1f} {mid:.1f} {yb:.1f} {xb:.1f} {yb:.1f}"
    return element(
        "path",
        d=way,
        fill="none",
        stroke="var(--bad)" if bad else "var(--line-2)",
        stroke_width="2" if bad else "1.2",
    )


def _dashed(one: tuple[float, float], pill: tuple[float, float]) -> Markup:
    """From a thing to the pill in which is folded what it is joined by."""
    (xa, ya), (xb, yb) = (one, pill) if one[0] < pill[0] else (pill, one)
    if xa == xb:
        return Markup("")
    xa, ya, yb = xa + WIDE, ya + HIGH / 2, yb + HIGH / 2
    mid = (xa + xb) / 2
    way = f"M{xa:.1f} {ya:.1f}C{mid:.1f} {ya:.1f} {mid:.1f} {yb:.1f} {xb:.1f} {yb:.1f}"
    return element("path", d=way, fill="none", stroke="var(--line-2)", stroke_width="1.2", stroke_dasharray="4 4")


def _node(node: Node, x: float, y: float, high: float, *, chosen: bool) -> Markup:
    fill, line, name, color = LOOK.get(node.look, LOOK["unknown"])
    said = f"{node.name}: {node.fact}" + (f". {node.note}" if node.note else "")
    inner = [
        element("title", said),
        element(
            "rect",
            x=x,
            y=y,
            width=WIDE,
            height=high,
            rx="8",
            fill=fill,
            stroke="var(--ink)" if chosen else line,
            stroke_width="1.6" if chosen else "1",
        ),
        use(name, x + 10, y + high / 2 - 8, 16, color),
        text(x + 34, y + high / 2 - 3, node.name, "n", most=16),
        text(x + 34, y + high / 2 + 12, node.fact, "q", most=15 if node.mark else 16),
    ]
    if node.mark:
        _, _, icon, tint = LOOK[node.mark]
        inner.append(use(icon, x + WIDE - 20, y + high - 19, 13, tint))
    return element("a", inner, href=node.href) if node.href else element("g", inner)


def _pill(x: float, y: float, word: str, more: str, high: float) -> Markup:
    tall = high if high == TALL else 30.0
    y += (high - tall) / 2
    return element(
        "a",
        [
            element("title", f"{word}: all of them as a list"),
            element("rect", x=x, y=y, width=WIDE, height=tall, rx=tall / 2, fill="var(--inset)", stroke="var(--line)"),
            text(x + WIDE / 2, y + tall / 2 + 4, f"+ {word}", "q", "middle", 24),
        ],
        href=more,
    )
