"""Services: what fails, and what hangs on it?"""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from starlette.responses import Response

from watchkeeper.surface.console import words
from watchkeeper.surface.console.draw import graph
from watchkeeper.surface.console.visit import Visit
from watchkeeper.values import instant, ms_between

HOPS: Final = (1, 2, 3)
LIST_MAX: Final = 200
NARROW_MAX: Final = 2  # nodes side by side in a side column
RUNS_SHOWN: Final = 8
CELLS_READ: Final = 1_000
NOTHING: Final[Mapping[str, str]] = {}


async def services(visit: Visit) -> Response:
    wanted, focus = visit.query.get("q", ""), visit.query.get("focus", "")
    hops, fold = _hops(visit.query.get("hops", "")), visit.query.get("fold", "") == "systems"
    environment = visit.query.get("environment", "")
    listed = await visit.api.get("services", environment=environment)
    every = listed["items"]
    found = [one for one in every if wanted.lower() in one["name"].lower() or wanted.lower() in one["ref"].lower()]
    found.sort(key=lambda one: (ORDER.get(one["health"]["is"], 2), one["name"]))
    if not focus and wanted and len(found) == 1:
        focus = found[0]["ref"]
    coverage = None
    if (await visit.api.get("transactions"))["items"]:  # without any there is nothing to look through runs for
        coverage = (await visit.api.get("coverage"))["report"]
    around, service, rules, decided, objectives = None, None, [], [], []
    if focus:
        around, service, book, made, slos, stands = await visit.many(
            visit.api.get("neighbourhood", focus, hops=hops),
            visit.api.get("services", focus),
            visit.api.get("rules"),
            visit.api.get("decisions", service=focus, limit=RUNS_SHOWN),
            visit.api.get("slos", service=focus),
            visit.api.get("autonomy", limit=CELLS_READ),
        )
        cells = stands["items"]
        rules = [{**one, "cells": here(cells, one, service)} for one in book["items"] if within(one, service)]
        decided, objectives = made["items"], slos["items"]
    return visit.page(
        "services.html",
        at="services",
        title="Services",
        answer=answer(every),
        counts=counts(every),
        found=found[:LIST_MAX],
        total=len(every),
        fits=len(found),
        wanted=wanted,
        focus=focus,
        hops=hops,
        around=drawn(around, at=visit.status["at"], fold=fold) if around is not None else None,
        fold=fold,
        service=service,
        rules=rules,
        decided=decided,
        objectives=objectives,
        coverage=coverage,
        environments=sorted({one["environment"] for one in every if one["environment"]}),
        environment=environment,
    )


ORDER: Final = {"unhealthy": 0, "unknown": 1, "healthy": 2}


def _hops(text: str) -> int:
    return int(text) if text in {str(each) for each in HOPS} else 1


def counts(every: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    found = dict.fromkeys(("healthy", "unhealthy", "unknown"), 0)
    for one in every:
        found[one["health"]["is"]] += 1
    return found


def answer(every: Sequence[Mapping[str, Any]]) -> str:
    """What fails, by name when it is one or two."""
    bad = [words.short_ref(one["ref"]) for one in every if one["health"]["is"] == "unhealthy"]
    unknown = sum(one["health"]["is"] == "unknown" for one in every)
    if not every:
        return "The catalogue is empty."
    if len(bad) == 1:
        return f"{bad[0]} is failing."
    if bad:
        return f"{', '.join(bad[:2])}{f' and {len(bad) - 2} more' if len(bad) > 2 else ''} are failing."
    if unknown == len(every):
        return "Nobody watches the health of any service."
    return "No service is failing." + (f" The health of {unknown} is unknown." if unknown else "")


def within(rule: Mapping[str, Any], service: Mapping[str, Any]) -> bool:
    """Whether a rule's static bound holds the service: the same words that the exclusion proof uses."""
    bound = rule["target"]["within"]
    given = {name: value for name, value in bound.items() if value}
    seen = {**service, "kind": service["kind"].lower(), "entity": service["ref"]}
    return bool(given) and all(str(seen.get(name, "")).lower() == str(value).lower() for name, value in given.items())


def here(
    cells: Sequence[Mapping[str, Any]], rule: Mapping[str, Any], service: Mapping[str, Any]
) -> list[Mapping[str, Any]]:
    """Where a rule stands for a service: the cells of its class, environment and region, one a severity."""
    return [
        one
        for one in cells
        if one["rule"] == rule["name"]
        and all(one[name] in {"", service[name] or ""} for name in ("tier", "environment", "region"))
    ]


def drawn(
    found: Mapping[str, Any],
    *,
    acted: Mapping[str, str] = NOTHING,
    narrow: bool = False,
    at: str = "",
    fold: bool = False,
) -> dict[str, Any]:
    """A neighbourhood as a picture, upright too for a narrow place, its nodes for the list beside it, and how many things
    depend on the focus. `acted` says of some nodes what would be done to them. `fold`: other systems are one node each.
    """
    every = {one["ref"]: one for one in found["nodes"]}
    home = systems(every, found["focus"]) if fold else {}
    nodes = {one["ref"]: node(one, acted=acted.get(one["ref"], ""), at=at) for one in found["nodes"]}
    for system, members in home.items():
        nodes[system] = folded(system, members)
    into = {one["ref"]: system for system, members in home.items() for one in members}
    needs: dict[str, list[str]] = {}
    needed_by: dict[str, list[str]] = {}
    joined = {(into.get(one, one), into.get(other, other)) for one, other in found["edges"]}
    for one, other in sorted(joined):
        if one != other:
            needs.setdefault(one, []).append(other)
            needed_by.setdefault(other, []).append(one)
    focus = found["focus"]
    first = {ref for ref, one in nodes.items() if one.look in {"acted", "unhealthy"}}

    def picture(*, upright: bool) -> Any:
        most = NARROW_MAX if upright else graph.LAYER_MAX
        around = graph.around(focus, needs, needed_by, 1 if upright else len(HOPS), most, first)
        heads = {layer: "It depends on" if layer > 0 else "Depend on it" for layer in around.layers if layer in {-1, 1}}
        shown = sum(len(refs) for refs in around.layers.values())
        return graph.draw(around, nodes, focus, heads=None if upright else heads, upright=upright), shown

    wide, shown = picture(upright=narrow)
    return {
        "picture": wide,
        "upright": wide if narrow else picture(upright=True)[0],
        "nodes": found["nodes"],
        "callers": len(needed_by.get(focus, ())),
        "shown": shown,
        "complete": found["complete"],
        "systems": len(home),
    }


def systems(every: Mapping[str, Mapping[str, Any]], focus: str) -> dict[str, list[Mapping[str, Any]]]:
    """System -> its things in the picture, of the systems that the focus is not of, where there are two or more."""
    own = every[focus]["system"] if focus in every else ""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for one in every.values():
        if one["system"] and one["system"] != own and one["ref"] not in {focus, one["system"]}:
            found.setdefault(one["system"], []).append(one)
    return {system: members for system, members in found.items() if len(members) > 1 and system != focus}


def folded(system: str, members: Sequence[Mapping[str, Any]]) -> graph.Node:
    """A system as one node: how many of it are here, and the worst of their health."""
    worst = min((one["health"]["is"] for one in members), key=lambda health: ORDER.get(health, 1))
    bad = sum(one["health"]["is"] == "unhealthy" for one in members)
    fact = f"{len(members)} here" + (f", {bad} failing" if bad else "")
    href = f"/services?focus={quote(system, safe='')}"
    return graph.Node(ref=system, name=words.short_ref(system), fact=fact, look=worst, href=href)


def node(one: Mapping[str, Any], *, acted: str = "", at: str = "") -> graph.Node:
    health = one["health"]
    fact = health["why"] or health["is"]
    if health["is"] == "unknown" and health["at"] and at:
        fact = f"unknown for {words.span(ms_between(instant(health['at']), instant(at)))}"
    if health["is"] == "healthy" and one.get("tier"):
        fact = one["tier"]
    look = "acted" if acted else health["is"]
    return graph.Node(
        ref=one["ref"],
        name=one["name"],
        fact=acted or fact,
        look=look,
        href=f"/services?focus={quote(one['ref'], safe='')}",
    )


PAGES: Final = (("GET", "/services", services),)
