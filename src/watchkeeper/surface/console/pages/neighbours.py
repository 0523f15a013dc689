"""A neighbourhood as a picture: what each node says, which limits it shows, and what is folded where there is no room."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

from watchkeeper.surface.console import words
from watchkeeper.surface.console.draw import graph
from watchkeeper.values import instant, ms_between

HOPS_FAR: Final = 8  # of "all"
FAR: Final = 2  # columns either way: what is farther stands in the last one
NARROW_MAX: Final = 2  # nodes side by side in a narrow place
HOLDERS: Final = frozenset({"System", "Domain"})
NOTHING: Final[Mapping[str, str]] = {}
NO_RANKS: Final[Mapping[str, int]] = {}
UNRANKED: Final = 99
JOINED_MAX: Final = 9_999  # what joins a thing, counted for which of two is folded first
ORDER: Final = {"failing": 0, "degraded": 1, "unknown": 2, "healthy": 3}
# kind of limit -> (look, word)
LIMIT: Final = {
    "stop": ("stopped", "stopped"),
    "exclusion": ("excluded", "excluded"),
    "no_automation": ("by-hand", "no automation"),
    "freeze": ("frozen", "frozen"),
    "hold": ("held", "held"),
    "breaker": ("breaker", "breaker open"),
}
PAINTS: Final = {"health": "Unhealthy paths", "autonomy": "Autonomy", "owners": "Owners"}
MODES: Final = ("observe", "suggest", "approve", "auto")
LEGEND: Final = {
    "health": ("healthy", "degraded", "failing", "unknown"),
    "autonomy": ("auto", "approve", "suggest", "observe", "no-rule"),
    "owners": ("same-owner", "other-owner"),
}
LEGEND_WORD: Final = {
    "acted": "Under repair",
    "by-hand": "No automation",
    "breaker": "Breaker open",
    "no-rule": "No rule reaches it",
    "same-owner": "Same owner as the focus",
    "other-owner": "Another owner",
}


def drawn(
    found: Mapping[str, Any],
    *,
    acted: Mapping[str, str] = NOTHING,
    narrow: bool = False,
    at: str = "",
    fold: bool = False,
    zone: ZoneInfo | None = None,
    paint: str = "health",
    modes: Mapping[str, str] = NOTHING,
    ranks: Mapping[str, int] = NO_RANKS,
    hops: int = HOPS_FAR,
    more: str = f"#{graph.LIST}",
) -> dict[str, Any]:
    """A neighbourhood as a picture, upright too for a narrow place, its nodes for the list beside it, and how many things
    depend on the focus. `acted` says of some nodes what would be done to them. `fold`: other systems are one node each.
    `modes`: how far automation may go at a node, to paint by. `ranks`: how much the business needs a thing, 1 the most: that
    is folded last, after what is broken. `more` is where what is folded stands as a list.
    """
    focus = found["focus"]
    found = without_holders(found)
    every = {one["ref"]: one for one in found["nodes"]}
    home = systems(every, focus) if fold else {}
    general = everywhere(found["nodes"])
    owner = every[focus]["owner"] if focus in every else ""

    def made(one: Mapping[str, Any]) -> graph.Node:
        base = node(one, acted=acted.get(one["ref"], ""), at=at, zone=zone, general=set(general), focus=focus)
        return painted(base, one, paint, modes, owner)

    nodes = {ref: made(one) for ref, one in every.items()} | {
        system: folded(system, members) for system, members in home.items()
    }
    into = {one["ref"]: system for system, members in home.items() for one in members}
    needs: dict[str, list[str]] = {}
    needed_by: dict[str, list[str]] = {}
    joined = {(into.get(one, one), into.get(other, other)) for one, other in found["edges"]}
    for one, other in sorted(joined):
        if one != other:
            needs.setdefault(one, []).append(other)
            needed_by.setdefault(other, []).append(one)
    first = {ref for ref, one in nodes.items() if one.look == "acted" or one.level in graph.BAD}
    weight = {
        ref: ranks.get(ref, UNRANKED) * (JOINED_MAX + 1)
        - min(JOINED_MAX, len(needed_by.get(ref, ())) + len(needs.get(ref, ())))
        for ref in nodes
    }
    peers = {into.get(ref, ref) for ref in found.get("peers", ())}

    def picture(*, upright: bool) -> tuple[Any, graph.Around]:
        most = NARROW_MAX if upright else graph.LAYER_MAX
        reach = 1 if upright else hops
        beside = () if upright else peers
        around = graph.around(focus, needs, needed_by, reach, most, first, far=FAR, beside=beside, weight=weight)
        shown = graph.draw(
            around,
            nodes,
            focus,
            heads=None if upright else heads(around, needed_by),
            upright=upright,
            pills={at: pill(refs, at, every) for at, refs in around.hidden.items()},
            more=more,
            paths=paint == "health",
        )
        return shown, around

    wide, seen = picture(upright=narrow)
    looks = {nodes[ref].look for refs in seen.layers.values() for ref in refs}
    looks |= {nodes[ref].mark for refs in seen.layers.values() for ref in refs if nodes[ref].mark}
    return {
        "picture": wide,
        "upright": wide if narrow else picture(upright=True)[0],
        "nodes": found["nodes"],
        "listed": listed(found, nodes),
        "callers": len(needed_by.get(focus, ())),
        "shown": sum(len(refs) for refs in seen.layers.values()),
        "complete": found["complete"],
        "systems": len(home),
        "legend": legend(paint, looks),
        "general": [general[name] for name in sorted(general)],
    }


def without_holders(found: Mapping[str, Any]) -> Mapping[str, Any]:
    """Systems and domains hold things and call nobody: they are in a picture only in focus."""
    kept = [one for one in found["nodes"] if one["kind"] not in HOLDERS or one["ref"] == found["focus"]]
    refs = {one["ref"] for one in kept}
    edges = [edge for edge in found["edges"] if edge[0] in refs and edge[1] in refs]
    return {**found, "nodes": kept, "edges": edges}


def heads(around: graph.Around, needed_by: Mapping[str, Sequence[str]]) -> dict[int, str]:
    """What stands in each column. The outermost callers are the edge when nobody calls any of them."""
    outer = around.layers.get(-FAR, ())
    edge = not any(needed_by.get(ref) for ref in outer)
    return {
        -2: "Edge" if edge else "Their callers",
        -1: "Callers",
        0: "Focus and peers" if len(around.layers[0]) > 1 else "Focus",
        1: "It depends on",
        2: "And those on",
    }


def pill(refs: Sequence[str], at: int, every: Mapping[str, Mapping[str, Any]]) -> str:
    """What a layer folded: by its system when it is one."""
    homes = {every[ref]["system"] if ref in every else "" for ref in refs}
    if len(homes) == 1 and (system := homes.pop()):
        return f"{len(refs):,} in {words.short_ref(system)}"
    one, many = ("here", "here") if at == 0 else ("caller", "callers") if at < 0 else ("dependency", "dependencies")
    return f"{len(refs):,} more {one if len(refs) == 1 else many}"


def listed(found: Mapping[str, Any], nodes: Mapping[str, graph.Node]) -> list[dict[str, Any]]:
    """The text twin: by place, worst first."""
    focus, peers = found["focus"], set(found.get("peers", ()))
    above, below = _reached(focus, found["edges"], 0), _reached(focus, found["edges"], 1)
    groups: dict[str, list[dict[str, Any]]] = {"In focus": [], "Needs it": [], "It depends on": [], "Beside it": []}
    for one in found["nodes"]:
        ref = one["ref"]
        where = (
            "In focus"
            if ref == focus
            else "Needs it"
            if ref in above
            else "It depends on"
            if ref in below and ref not in peers
            else "Beside it"
        )
        groups[where].append({**one, "fact": nodes[ref].fact if ref in nodes else "", "note": limits_of(one)})
    return [
        {"name": name, "items": sorted(items, key=lambda each: (ORDER[each["condition"]["is"]], each["name"]))}
        for name, items in groups.items()
        if items
    ]


def _reached(focus: str, edges: Sequence[Sequence[str]], way: int) -> set[str]:
    table: dict[str, list[str]] = {}
    for one, other in edges:
        table.setdefault(other if way == 0 else one, []).append(one if way == 0 else other)
    found: set[str] = set()
    edge = [focus]
    while edge:
        edge = [each for ref in edge for each in table.get(ref, ()) if each not in found and each != focus]
        found.update(edge)
    return found


def systems(every: Mapping[str, Mapping[str, Any]], focus: str) -> dict[str, list[Mapping[str, Any]]]:
    """System -> its things in the picture, of the systems that the focus is not of, where there are two or more."""
    own = every[focus]["system"] if focus in every else ""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for one in every.values():
        if one["system"] and one["system"] != own and one["ref"] not in {focus, one["system"]}:
            found.setdefault(one["system"], []).append(one)
    return {system: members for system, members in found.items() if len(members) > 1 and system != focus}


def folded(system: str, members: Sequence[Mapping[str, Any]]) -> graph.Node:
    """A system as one node: how many of it are here, and the worst of their conditions."""
    count = Counter(one["condition"]["is"] for one in members)
    worst = min(count, key=ORDER.__getitem__)
    bad = count["failing"]
    fact = f"{len(members)} here" + (f", {bad} failing" if bad else "")
    return graph.Node(
        ref=system, name=words.short_ref(system), fact=fact, look=worst, level=worst, href=address(system)
    )


def node(
    one: Mapping[str, Any],
    *,
    acted: str = "",
    at: str = "",
    zone: ZoneInfo | None = None,
    general: frozenset[str] | set[str] = frozenset(),
    focus: str = "",
) -> graph.Node:
    """One thing. What is broken looks broken whatever else holds; what keeps automation off a thing that is not broken is
    its look, and otherwise the mark in its corner. `general` are limits that hold for everything here: they are said once.
    """
    level = one["condition"]["is"]
    own = [each for each in one["limits"] if each["id"] not in general]
    limit = min(own, key=lambda each: [*LIMIT].index(each["kind"]), default=None)
    look, fact, mark = level, fact_of(one, at, focus), ""
    if acted:
        look, fact = "acted", acted
    elif limit is not None and level not in graph.BAD:
        look, fact = LIMIT[limit["kind"]][0], limit_fact(limit, at, zone)
    elif limit is not None:
        mark = LIMIT[limit["kind"]][0]
    if one.get("run") and not acted:
        mark = "acted"
        fact = "under repair" if level not in graph.BAD else fact
    return graph.Node(
        ref=one["ref"],
        name=one["name"],
        fact=fact,
        look=look,
        href=address(one["ref"]),
        level=level,
        mark=mark,
        note=note_of(one, look),
    )


def address(ref: str) -> str:
    return f"/services?focus={quote(ref, safe='')}"


def fact_of(one: Mapping[str, Any], at: str = "", focus: str = "") -> str:
    """The one thing to know of it. What the focus degrades needs no name: the line leads there."""
    condition, health = one["condition"], one["health"]
    level = condition["is"]
    if condition["parts"] and (level != "healthy" or not one["tier"]):
        return f"{condition['healthy']} of {condition['parts']} healthy"
    if level == "failing":
        return words.plural(len(one["alerts"]), "alert fires", "alerts fire") if one["alerts"] else "failing"
    if focus in condition["because"]:
        return str(level)
    if condition["because"]:
        return f"needs {words.short_ref(condition['because'][0])}"
    if level == "unknown":
        if health["at"] and at:
            return f"unknown for {words.span(ms_between(instant(health['at']), instant(at)))}"
        return "unknown" if health["why"] else "nobody looks"
    return str(one["tier"] or level)


def limit_fact(limit: Mapping[str, Any], at: str, zone: ZoneInfo | None) -> str:
    word = LIMIT[limit["kind"]][1]
    if not limit["until_at"] or not at or zone is None:
        return word
    clock = words.clock(limit["until_at"], at, zone)
    return f"{word} to {clock[:-3] if clock.count(':') == 2 else clock}"


def note_of(one: Mapping[str, Any], look: str) -> str:
    """What is not drawn: its condition where a limit is, and each limit."""
    condition = one["condition"]
    said = [f"It is {condition['is']}."] if look not in ORDER else []
    if condition["why"]:
        said.append(f"{condition['why'][0].upper()}{condition['why'][1:]}.")
    return " ".join([*said, *[f"{each}." for each in limits_of(one)]])


def limits_of(one: Mapping[str, Any]) -> list[str]:
    found = []
    for each in one["limits"]:
        word = LIMIT[each["kind"]][1].capitalize()
        found.append(f"{word} by {words.short_ref(each['by'])}" if each["by"] else word)
    return list(dict.fromkeys(found))


def everywhere(nodes: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Limits that hold for everything that is drawn, when that is more than one thing: id -> limit."""
    if len(nodes) < 2:
        return {}
    shared = set.intersection(*({each["id"] for each in one["limits"] if each["id"]} for one in nodes))
    return {each["id"]: each for each in nodes[0]["limits"] if each["id"] in shared}


def painted(base: graph.Node, one: Mapping[str, Any], paint: str, modes: Mapping[str, str], owner: str) -> graph.Node:
    """The same node, by another question than how it is."""
    if paint == "owners":
        look = "same-owner" if one["owner"] and one["owner"] == owner else "other-owner"
        fact = words.short_ref(one["owner"]) or "no owner"
    elif paint == "autonomy":
        barred = next((each for each in one["limits"] if each["kind"] in {"exclusion", "no_automation"}), None)
        mode = modes.get(one["ref"], "")
        look = LIMIT[barred["kind"]][0] if barred else mode or "no-rule"
        fact = LIMIT[barred["kind"]][1] if barred else mode or "no rule"
    else:
        return base
    mark = base.level if base.level in graph.BAD else ""
    return graph.Node(
        ref=base.ref, name=base.name, fact=fact, look=look, href=base.href, level=base.level, mark=mark, note=base.note
    )


def legend(paint: str, looks: set[str]) -> list[tuple[str, str, str]]:
    """(class, icon, word) of what the picture uses; how things are is always explained whole."""
    shown = [*LEGEND[paint], *[look for look in graph.LOOK if look in looks and look not in LEGEND[paint]]]
    kinds = {"var(--ok)": "healthy", "var(--bad)": "failing", "var(--warn)": "degraded", "var(--accent)": "running"}
    return [
        (
            kinds.get(graph.LOOK[look][3], "unknown"),
            graph.LOOK[look][2],
            LEGEND_WORD.get(look, look.replace("-", " ").capitalize()),
        )
        for look in shown
    ]
