"""Services: what fails, and what hangs on it?

The page opens with the graph around the worst thing, or around what was asked for; the list is one press away. What is
looked at, how far, and by what it is coloured stands in the address.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

from starlette.responses import Response

from watchkeeper.surface.console import words
from watchkeeper.surface.console.draw.graph import LIST
from watchkeeper.surface.console.pages import estate
from watchkeeper.surface.console.pages.neighbours import HOPS_FAR, MODES, ORDER, PAINTS, drawn, everywhere, limits_of
from watchkeeper.surface.console.visit import Visit
from watchkeeper.values import instant

__all__ = ["PAGES", "drawn", "services"]

HOPS: Final = {"1": "1 hop", "2": "2 hops", "all": "All"}
HOPS_DEFAULT: Final = "2"
PAGE: Final = 100
RUNS_SHOWN: Final = 8
CELLS_READ: Final = 1_000
PARTS_SHOWN: Final = 50
INCIDENTS_READ: Final = 200  # open ones: those of what is in focus are among them
CHANGES_SHOWN: Final = 3
HOLD_FOR: Final = "1h"


async def services(visit: Visit) -> Response:
    wanted, focus, view = visit.query.get("q", "").strip(), visit.query.get("focus", ""), visit.query.get("view", "")
    listed, declared = await visit.many(visit.api.get("services"), visit.api.get("transactions"))
    every, transactions = listed["items"], declared["items"]
    found = estate.wholes(every)
    fits = [one for one in every if matches(one, wanted)] if wanted else every
    said = ""
    if not focus and wanted and view != "list":
        exact = [one for one in fits if wanted.lower() in {one["name"].lower(), one["ref"].lower()}]
        focus = (exact or fits)[0]["ref"] if len(exact) == 1 or len(fits) == 1 else ""
        view = view if focus else "list"
    if not focus and view != "list":
        chosen = estate.choose(found, transactions)
        focus, said = chosen.focus, chosen.said
    shared: dict[str, Any] = {
        "answer": estate.answer(found),
        "counted": estate.counted(every, found),
        "chosen": said,
        "wanted": wanted,
        "total": len(found),
        # Without a transaction there is nothing to look through runs for.
        "coverage": (await visit.api.get("coverage"))["report"] if transactions else None,
    }
    if view == "list" or not focus:
        return visit.page(
            "services.html", at="services", title="Services", **shared, focus="", **table(visit, every, fits, wanted)
        )
    return visit.page(
        "services.html",
        at="services",
        title="Services",
        **shared,
        **await focused(visit, focus, estate.ranks(transactions)),
    )


# The graph.


async def focused(visit: Visit, focus: str, ranks: Mapping[str, int]) -> dict[str, Any]:
    """One thing, what is around it, and what automation may do there."""
    query = visit.query
    hops = query.get("hops", "")
    hops = "all" if hops == "3" else hops if hops in HOPS else HOPS_DEFAULT
    paint = query.get("paint", "") if query.get("paint", "") in PAINTS else "health"
    fold = query.get("fold", "") == "systems"
    far = HOPS_FAR if hops == "all" else int(hops)
    service = await visit.api.get("services", focus)
    focus = service["ref"]  # also when the address says only its name
    around, book, made, slos, stands, grants, open_ones, changes = await visit.many(
        visit.api.get("neighbourhood", focus, hops=far, whole="true", rules="true" if paint == "autonomy" else "false"),
        visit.api.get("rules"),
        visit.api.get("decisions", service=focus, limit=RUNS_SHOWN),
        visit.api.get("slos", service=focus),
        visit.api.get("autonomy", limit=CELLS_READ),
        visit.api.get("grants", state="open", limit=CELLS_READ),
        visit.api.get("incidents", state="open", limit=INCIDENTS_READ),
        visit.api.get("changes", service=focus, limit=CHANGES_SHOWN),
    )
    concerned = {focus, *service["condition"]["of"]}
    cells, rules = stands["items"], {one["name"]: one for one in book["items"]}
    now = instant(visit.status["at"])
    given = [each for each in grants["items"] if not each["pending"] and instant(each["until_at"]) > now]
    modes = {one["ref"]: highest(one, rules, cells, given) for one in around["nodes"] if "rules" in one}
    state = {"focus": focus, "hops": hops, "paint": paint, "fold": "systems" if fold else ""}
    picture = drawn(
        around,
        at=visit.status["at"],
        zone=visit.zone,
        fold=fold,
        paint=paint,
        modes=modes,
        ranks=ranks,
        hops=far,
        more=f"{address(**state, show='list')}#{LIST}",
    )
    return {
        "view": "graph",
        "focus": focus,
        "around": picture,
        "service": service,
        "limits": service["limits"],
        "part_of": next((one["ref"] for one in around["nodes"] if focus in one["condition"]["of"]), ""),
        "parts": service["parts"][:PARTS_SHOWN],
        "incidents": [one for one in open_ones["items"] if one["entity"] in concerned],
        "changed": changes["items"],
        "hold": f"/services/hold?focus={quote(focus, safe='')}",
        "rules": [standing(rules[name], service, cells, given) for name in service["rules"] if name in rules],
        "decided": made["items"],
        "objectives": slos["items"],
        "hops": [(word, address(**{**state, "hops": each}), each == hops) for each, word in HOPS.items()],
        "paints": [(word, address(**{**state, "paint": each}), each == paint) for each, word in PAINTS.items()],
        "paint": paint,
        "near": (address(**{**state, "hops": "1"}), hops == "1"),
        "unfold": address(**{**state, "fold": "" if fold else "systems"}),
        "fold": fold,
        "folds": fold or len({one["system"] for one in around["nodes"] if one["system"]}) > 1,
        "open": query.get("show", "") == "list",
    }


def address(**state: str) -> str:
    """The same view again: only what is not as it is anyway stands in the address."""
    usual = {"hops": HOPS_DEFAULT, "paint": "health"}
    return "/services?" + urlencode(
        {name: value for name, value in state.items() if value and usual.get(name) != value}
    )


def standing(
    rule: Mapping[str, Any],
    service: Mapping[str, Any],
    cells: Sequence[Mapping[str, Any]],
    grants: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Where a rule stands for a service: its cells here, or, where nothing was decided yet, what was granted."""
    return {**rule, "cells": here(cells, rule, service), "granted": granted(grants, rule, service)}


def here(
    cells: Sequence[Mapping[str, Any]], rule: Mapping[str, Any], service: Mapping[str, Any]
) -> list[Mapping[str, Any]]:
    """The cells of a rule in a service's class, environment and region, one a severity."""
    return [
        one
        for one in cells
        if one["rule"] == rule["name"]
        and all(one[name] in {"", service[name] or ""} for name in ("tier", "environment", "region"))
    ]


def granted(grants: Sequence[Mapping[str, Any]], rule: Mapping[str, Any], service: Mapping[str, Any]) -> str:
    """The highest level that people granted a rule here for some severity, not above its ceiling; "observe" without."""
    levels = [
        each["level"]
        for each in grants
        if each["rule"] == rule["name"]
        and all(each[name] in {"", service[name] or ""} for name in ("tier", "environment", "region"))
    ]
    top = max((level for level in levels if level in MODES), key=MODES.index, default="observe")
    return str(min(top, rule["ceiling"], key=MODES.index))


def highest(
    one: Mapping[str, Any],
    rules: Mapping[str, Mapping[str, Any]],
    cells: Sequence[Mapping[str, Any]],
    grants: Sequence[Mapping[str, Any]],
) -> str:
    """How far the rule that may go farthest at a thing may go; "" where none reaches it."""
    found = []
    for name in one["rules"]:
        if name in rules:
            stands = standing(rules[name], one, cells, grants)
            found += [each["mode"] for each in stands["cells"]] or [stands["granted"]]
    return max((mode for mode in found if mode in MODES), key=MODES.index, default="")


# The list.


def matches(one: Mapping[str, Any], wanted: str) -> bool:
    """Every word stands in its name, its reference, its owner or its system."""
    text = " ".join((one["name"], one["ref"], one["owner"], one["system"])).lower()
    return all(word in text for word in wanted.lower().split())


def table(
    visit: Visit, every: Sequence[Mapping[str, Any]], fits: Sequence[Mapping[str, Any]], wanted: str
) -> dict[str, Any]:
    """Worst first, PAGE rows at a time; filters by condition, by environment and by what keeps automation off."""
    query = visit.query
    level = query.get("is", "") if query.get("is", "") in ORDER else ""
    environment = query.get("environment", "")
    limited = query.get("limited", "") == "yes"
    place = [one for one in fits if not environment or one["environment"] == environment]
    found = [one for one in place if (not level or one["condition"]["is"] == level) and (not limited or one["limits"])]
    found.sort(key=lambda one: (ORDER[one["condition"]["is"]], one["name"], one["ref"]))
    page = query.get("page", "")
    first = (int(page) - 1) * PAGE if page.isdecimal() and 0 < len(page) < 6 and int(page) > 0 else 0
    first = first if first < len(found) else 0
    state = {
        "view": "list",
        "q": wanted,
        "environment": environment,
        "is": level,
        "limited": "yes" if limited else "",
    }

    def of(**more: str) -> str:
        return address(**{**state, **more})

    general = everywhere(every)
    return {
        "view": "list",
        "shown": [
            {**one, "kept": limits_of({**one, "limits": own(one, general)})} for one in found[first : first + PAGE]
        ],
        "general": [general[name] for name in sorted(general)],
        "fits": len(found),
        "first": first,
        "before": of(page=str(first // PAGE)) if first else "",
        "after": of(page=str(first // PAGE + 2)) if first + PAGE < len(found) else "",
        "chips": [
            ("all", "All", of(**{"is": "", "limited": ""}), not level and not limited, len(place)),
            *[
                (each, each.capitalize(), of(**{"is": each, "limited": ""}), level == each and not limited, count)
                for each in ORDER
                if (count := sum(one["condition"]["is"] == each for one in place)) or level == each
            ],
            (
                "limited",
                "Kept off",
                of(**{"is": "", "limited": "yes"}),
                limited,
                sum(bool(one["limits"]) for one in place),
            ),
        ],
        "environments": sorted({one["environment"] for one in every if one["environment"]}),
        "environment": environment,
        "level": level,
    }


def own(one: Mapping[str, Any], general: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [each for each in one["limits"] if each["id"] not in general]


# A person takes the lead.


async def ask(visit: Visit) -> Response:
    """The form of a hold of one thing; shown in a dialog where scripts run."""
    if not visit.query.get("focus", ""):
        return visit.go("/services")
    found = await visit.api.get("services", visit.query["focus"])
    return visit.page("service-hold.html", at="services", title="Hold", one=found, back=back(found["ref"]))


async def hold(visit: Visit) -> Response:
    given = await visit.fields()
    entity = given.get("entity", "")
    if not entity:
        return visit.go("/services")  # a hold without a scope would cover everything
    made = await visit.api.post(
        "holds", scope={"entity": entity}, **{"for": given.get("for") or HOLD_FOR}, reason=given.get("reason", "")
    )
    until = words.told_at(made["until_at"], visit.status["at"], visit.zone)
    return visit.go(back(entity), f"Automation keeps its hands off {words.short_ref(entity)} until {until}.")


def back(ref: str) -> str:
    return f"/services?focus={quote(ref, safe='')}"


PAGES: Final = (
    ("GET", "/services", services),
    ("GET", "/services/hold", ask),
    ("POST", "/services/hold", hold),
)
