"""What there is and what may be done about it: the catalogue, rules, runbooks. From the node, or from the files."""

from typing import Any, Final

from watchkeeper.surface.cli.look import nothing
from watchkeeper.surface.cli.place import Ends, Exit, here
from watchkeeper.surface.cli.words import Column, as_json, at, bare, brief, lasts, mark, pairs, table, tell
from watchkeeper.surface.client import NoNode, Problem, segment

LISTED: int = 200
CONDITIONS: Final = frozenset({"", "healthy", "degraded", "failing", "unknown"})
# What keeps automation off an entity, in a word.
LIMIT: Final = {
    "stop": "stopped",
    "exclusion": "excluded",
    "freeze": "frozen",
    "hold": "held",
    "breaker": "breaker open",
    "no_automation": "none",
}


def catalog(
    ref: str = "",
    /,
    *,
    kind: str = "",
    environment: str = "",
    condition: str = "",
    limit: int = LISTED,
    json: bool = False,
) -> int:
    """What there is, who owns it, and how it is. With REF: one entity, what it needs and what needs it.

    Parameters
    ----------
    ref
        An entity, for example web or component:default/web.
    kind
        component, resource, api or system.
    environment
        Only of this environment.
    condition
        healthy, degraded, failing or unknown: of the whole, its parts and needs counted in.
    """
    if ref:
        return _entity(ref, json=json)
    if condition not in CONDITIONS:
        raise Ends(
            Exit.USAGE, f"--condition: expected {', '.join(sorted(filter(None, CONDITIONS)))}, got {condition!r}"
        )
    asked = {"kind": kind, "environment": environment, "condition": condition}
    try:
        found = here().client().get("/services", asked)["items"][:limit]
    except NoNode:
        found = _from_files(kind, environment)[:limit] if condition in {"", "unknown"} else []
    if json:
        as_json(found)
        return Exit.DONE
    if not found:
        return nothing(
            "No entities",
            asked,
            "They stand in catalog/*.yaml, in Backstage's format.",
        )
    table(
        (
            Column(name="entity", flex=True),
            Column(name="kind"),
            Column(name="condition", styled=True),
            Column(name="parts", spare=True),
            Column(name="automation", flex=True, spare=True),
            Column(name="environment"),
            Column(name="tier"),
            Column(name="region", spare=True),
            Column(name="owner", flex=True, spare=True),
        ),
        [
            (
                each["name"],
                each["kind"],
                _condition(each)["is"],
                _condition(each).get("why"),
                ", ".join(dict.fromkeys(LIMIT.get(one["kind"], one["kind"]) for one in each.get("limits") or ())),
                each.get("environment"),
                each.get("tier"),
                each.get("region"),
                bare(each.get("owner")),
            )
            for each in found
        ],
    )
    return Exit.DONE


def _entity(ref: str, *, json: bool) -> int:
    try:
        found = here().client().get(f"/services/{segment(ref).replace('%2F', '/').replace('%3A', ':')}")
    except Problem as said:
        if said.status == 404:
            raise Ends(Exit.NO, f"no entity {ref!r} in the active catalogue: wk catalog lists them") from said
        raise
    if json:
        as_json(found)
        return Exit.DONE
    health, whole = found.get("health") or {}, _condition(found)
    pairs(
        [
            ("entity", found["ref"]),
            ("condition", f"{mark(whole['is'])}{': ' + whole['why'] if whole.get('why') else ''}"),
            (
                "seen by itself",
                f"{mark(health.get('is'))}{', seen ' + at(health['at']) if health.get('at') else ''}{': ' + health['why'] if health.get('why') else ''}",
            ),
            ("owner", found.get("owner")),
            ("system", found.get("system")),
            ("environment", found.get("environment")),
            ("region", found.get("region")),
            ("tier", found.get("tier")),
            ("reach", found.get("reach")),
            ("file", f"{found['file']}:{found['line']}" if found.get("file") else ""),
            ("made of", ", ".join(bare(each) for each in whole.get("of") or ())),
            ("automation", "; ".join(_kept_off(each) for each in found.get("limits") or ())),
            ("needs", _neighbours(found.get("needs"))),
            ("needed by", _neighbours(found.get("needed_by"))),
            ("under repair", found.get("run")),
        ]
    )
    return Exit.DONE


def _neighbours(found: list[dict[str, Any]] | None) -> str:
    return ", ".join(f"{bare(each['ref'])} ({_condition(each)['is']})" for each in found or [])


def _condition(one: dict[str, Any]) -> dict[str, Any]:
    """Of the whole; of a node that does not say it, what is seen of the thing itself."""
    return one.get("condition") or {"is": (one.get("health") or {}).get("is", "unknown")}


def _kept_off(limit: dict[str, Any]) -> str:
    until = f" until {at(limit['until_at'])}" if limit.get("until_at") else ""
    by = f" by {bare(limit['by'])}" if limit.get("by") else ""
    return (
        f"{LIMIT.get(limit['kind'], limit['kind'])}{until}{by}{': ' + brief(limit['why']) if limit.get('why') else ''}"
    )


def rules(*, pack: str = "", limit: int = LISTED, json: bool = False) -> int:
    """Rules and how far each may go by itself.

    Parameters
    ----------
    pack
        Only of this pack.
    """
    found = [each for each in _nouns("rules") if not pack or each["name"].startswith(f"{pack}/")][:limit]
    if json:
        as_json(found)
        return Exit.DONE
    if not found:
        return nothing("No rules", {"pack": pack}, "They stand in packs/NAME/rules/*.yaml.")
    table(
        (
            Column(name="rule", flex=True),
            Column(name="ceiling"),
            Column(name="when", flex=True),
            Column(name="for", right=True, spare=True),
            Column(name="runbook", flex=True),
            Column(name="owner", flex=True, spare=True),
            Column(name="state", spare=True),
        ),
        [
            (
                each["name"],
                each["ceiling"],
                ", ".join(f"{label}={'|'.join(values)}" for label, values in each["match"].items()),
                lasts(each.get("for_ms")) if each.get("for_ms") else "",
                each["runbook"],
                bare(each["owner"]),
                "" if each.get("enabled", True) else "disabled",
            )
            for each in found
        ],
    )
    return Exit.DONE


def runbooks(*, pack: str = "", limit: int = LISTED, json: bool = False) -> int:
    """Runbooks and their risk. 'wk explain PACK/NAME' writes a runbook's handbook page.

    Parameters
    ----------
    pack
        Only of this pack.
    """
    found = [each for each in _nouns("runbooks") if not pack or each["name"].startswith(f"{pack}/")][:limit]
    if json:
        as_json(found)
        return Exit.DONE
    if not found:
        return nothing("No runbooks", {"pack": pack}, "They stand in packs/NAME/runbooks/*.yaml.")
    table(
        (
            Column(name="runbook", flex=True),
            Column(name="risk"),
            Column(name="steps", right=True),
            Column(name="timeout", right=True, spare=True),
            Column(name="parameters", flex=True, spare=True),
            Column(name="owner", flex=True, spare=True),
            Column(name="description", flex=True, spare=True),
        ),
        [
            (
                each["name"],
                each["risk"],
                len(each["steps"]),
                lasts(each.get("timeout_ms")),
                ", ".join(each.get("parameters") or {}),
                bare(each["owner"]),
                each.get("description"),
            )
            for each in found
        ],
    )
    return Exit.DONE


def _nouns(path: str) -> list[dict[str, Any]]:
    """What is active, from the node; from the folder when no node runs, and it says so."""
    try:
        return list(here().client().get(f"/{path}")["items"])
    except NoNode:
        if not here().local:
            raise
    from watchkeeper.engine.home_reading import plain
    from watchkeeper.surface.cli.home import compiled

    configuration = compiled(here().home())
    tell("No node runs: this is the folder, not what is active.")
    found = configuration.rules if path == "rules" else configuration.rulebook.runbooks
    return [plain(found[name]) for name in sorted(found)]


def _from_files(kind: str, environment: str) -> list[dict[str, Any]]:
    if not here().local:
        raise NoNode(here().url)
    from watchkeeper.surface.cli.home import compiled

    configuration = compiled(here().home())
    tell("No node runs: this is the folder, not what is active, and nobody knows how anything is.")
    return [
        {
            "ref": each.ref,
            "kind": each.kind.value,
            "name": each.name,
            "owner": each.owner,
            "system": each.system,
            "environment": each.environment,
            "region": each.region,
            "tier": each.tier,
            "health": {"is": "unknown", "at": None, "why": ""},
        }
        for each in configuration.catalog.entities.values()
        if (not kind or each.kind.value.lower() == kind.lower())
        and (not environment or each.environment == environment)
    ]
