"""Rules and runbooks: what may it do by itself?"""

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.responses import Response

from watchkeeper.surface.console.draw.week import week
from watchkeeper.surface.console.visit import Visit

DECISIONS_SHOWN: Final = 20
CELLS_SHOWN: Final = 50
RHYTHMS_SHOWN: Final = 20
UNUSUAL_SHOWN: Final = 10


async def rules(visit: Visit) -> Response:
    listed, books, configuration, played = await visit.many(
        visit.api.get("rules"), visit.api.get("runbooks"), visit.api.get("configuration"), visit.api.get("scenarios")
    )
    found = listed["items"]
    auto = [one for one in found if one["ceiling"] == "auto" and one["enabled"]]
    return visit.page(
        "rules.html",
        at="rules",
        title="Rules and runbooks",
        rules=found,
        books=books["items"],
        auto=len(auto),
        configuration=configuration,
        played=played,
        fresh=[each for each in configuration["folder"]["files"] if each not in configuration["files"]],
        of={one["name"]: counted(played["items"], "rules", one["name"]) for one in found},
        of_book={one["name"]: counted(played["items"], "runbooks", one["name"]) for one in books["items"]},
    )


def counted(items: Sequence[Mapping[str, Any]], by: str, name: str) -> dict[str, int]:
    """How many scenarios exercise it, by state."""
    states = [one["state"] for one in items if name in one[by]]
    return {"all": len(states), **{state: states.count(state) for state in ("passed", "failed", "broken", "never")}}


async def rule(visit: Visit) -> Response:
    name = visit.part["name"]
    found, decided, grants, cells, played, rhythms, unusual = await visit.many(
        visit.api.get("rules", name),
        visit.api.get("decisions", rule=name, limit=DECISIONS_SHOWN),
        visit.api.get("grants", rule=name, state="open"),
        visit.api.get("autonomy", rule=name, limit=CELLS_SHOWN),
        visit.api.get("scenarios", rule=name),
        visit.api.get("rhythms", rule=name, limit=RHYTHMS_SHOWN),
        visit.api.get("anomalies", rule=name, limit=UNUSUAL_SHOWN),
    )
    return visit.page(
        "rule.html",
        source=await source(visit, found["where"]),
        at="rules",
        title=name.rpartition("/")[2],
        r=found,
        played=played,
        decided=decided["items"],
        grants=grants["items"],
        cells=cells["items"],
        rhythms=[{**one, "drawing": week(one)} for one in rhythms["items"]],
        unusual=unusual["items"],
        match=", ".join(f"{key} = {' or '.join(values)}" for key, values in found["match"].items()),
        within={key: value for key, value in found["target"]["within"].items() if value},
    )


async def source(visit: Visit, where: str) -> tuple[str, str, bool]:
    """The file behind a rule or a runbook as it is active: its path, its text, and whether the folder's is another."""
    path = where.rpartition(":")[0] or where
    active = await visit.api.get("configuration")
    kept = await visit.api.get("configuration", "activations", active["digest"], file=path)
    text = base64.b64decode(kept["files"].get(path, "")).decode("utf-8", "replace")
    return path, text, path in active["folder"]["files"]


async def runbook(visit: Visit) -> Response:
    name = visit.part["name"]
    found, done, played = await visit.many(
        visit.api.get("runbooks", name),
        visit.api.get("runs", runbook=name, limit=20),
        visit.api.get("scenarios", runbook=name),
    )
    return visit.page(
        "runbook.html",
        source=await source(visit, found["where"]),
        at="rules",
        title=name.rpartition("/")[2],
        b=found,
        played=played,
        runs=done["items"],
        steps=flat(found["steps"]),
    )


def flat(steps: list[dict[str, Any]], depth: int = 0) -> list[tuple[int, dict[str, Any]]]:
    """Steps in order with their depth; those of groups and fleets one deeper."""
    found: list[tuple[int, dict[str, Any]]] = []
    for step in steps:
        found.append((depth, step))
        found += flat(step["steps"], depth + 1)
    return found


PAGES: Final = (
    ("GET", "/rules", rules),
    ("GET", "/rules/{name:path}", rule),
    ("GET", "/runbooks/{name:path}", runbook),
)
