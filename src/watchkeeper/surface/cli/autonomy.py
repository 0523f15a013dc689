"""How far rules may go by themselves: what they earned, what was given on record, and what was taken away."""

from typing import Any

from watchkeeper.surface.cli.find import whole
from watchkeeper.surface.cli.limits import _reasoned, _span
from watchkeeper.surface.cli.look import LISTED, more, nothing, one_of
from watchkeeper.surface.cli.place import Ends, Exit, here
from watchkeeper.surface.cli.words import Column, as_json, at, pairs, safe, say, short, style, table, wrapped
from watchkeeper.surface.client import Client, Problem, segment

CELL: tuple[str, ...] = ("tier", "severity", "environment", "region")
CELLS_SHOWN: int = 200
EVIDENCE_SHOWN: int = 20


def cells(*, rule: str = "", limit: int = LISTED, json: bool = False) -> int:
    """How far each rule may go, cell by cell: its mode, what binds, and what is missing for the next level.

    Parameters
    ----------
    rule
        Only of this rule (pack/name).
    """
    found = list(here().client().items("/autonomy", {"rule": rule}, limit=limit))
    if json:
        as_json(found)
        return Exit.DONE
    if not found:
        return nothing(
            "No cell is known",
            {"rule": rule},
            "A cell appears once its rule has judged an alert there; every one starts at observe. wk rules lists rules.",
        )
    table(
        (
            Column(name="rule", flex=True),
            Column(name="cell", flex=True),
            Column(name="mode"),
            Column(name="binds"),
            Column(name="evidence", flex=True),
        ),
        [(each["rule"], _cell(each), each["mode"], _binds(each), each["line"]) for each in found],
    )
    if len(found) >= limit:
        say(style(f"the first {len(found)}; --limit N shows more", "dim"))
    return Exit.DONE


def show(rule: str, /, *, json: bool = False) -> int:
    """One rule in every cell: the four inputs and which binds, what is missing, demotions, grants, what people said.

    Parameters
    ----------
    rule
        Its name (pack/name).
    """
    client = here().client()
    found = {
        "cells": list(client.items("/autonomy", {"rule": rule}, limit=CELLS_SHOWN)),
        "demotions": list(client.items("/demotions", {"rule": rule}, limit=LISTED)),
        "grants": list(client.items("/grants", {"rule": rule, "state": "open"}, limit=LISTED)),
        "evidence": list(client.items("/evidence", {"rule": rule}, limit=EVIDENCE_SHOWN)),
    }
    if json:
        as_json(found)
        return Exit.DONE
    if not any(found.values()):
        _known(client, rule)
        return nothing(f"{safe(rule)} is at observe everywhere", {}, "It has judged nothing yet that is remembered.")
    for each in found["cells"]:
        wrapped(style(f"{_cell(each)}: {each['mode']}", "bold"))
        pairs(inputs(each))
        wrapped(safe(each["line"]), "    ", first="  ")
        if each["of"]:
            wrapped(
                f"Lower bound {_percent(each['lower_ppm'])}, needed {_percent(each['needed_ppm'])}.", "    ", first="  "
            )
        say()
    _demotions(found["demotions"])
    if found["grants"]:
        say(style("Granted on record", "bold"))
        for each in found["grants"]:
            wrapped(
                f"{short(each['id'])} {each['level']} ({_cell(each)}) until {at(each['until_at'])}, {_state(each)}: "
                f"{safe(each['reason'])}",
                "    ",
                first="  ",
            )
        say()
    if found["evidence"]:
        say(style("What people did and said", "bold"))
        table(
            (
                Column(name="decided", right=True),
                Column(name="decision"),
                Column(name="by"),
                Column(name="how"),
                Column(name="agrees"),
                Column(name="reason", flex=True),
            ),
            [
                (
                    at(each["decided_at"]),
                    short(each["decision"]),
                    each["by"],
                    each["how"],
                    "yes" if each["agrees"] else "no",
                    each.get("reason"),
                )
                for each in found["evidence"]
            ],
        )
    return Exit.DONE


def inputs(found: dict[str, Any]) -> list[tuple[str, object]]:
    """The four inputs of the mode, the one that binds marked: lines of a page, and of 'wk explain'."""
    binds = found["binds"]
    earned = found["earned"] + (f" ({found['evidence']})" if found.get("evidence") else "")
    granted = f", granted {found['granted']} ({short(found['grant'])})" if found.get("grant") else ""
    demotion = str(found.get("demotion") or "")
    short_demotion = short(demotion) if demotion.startswith("dmt_") and ":" not in demotion else demotion
    demoted = f"to {found['demoted']} ({short_demotion})" if found.get("demoted") else "none"
    rows = (
        ("ceiling", found["ceiling"]),
        ("risk", f"{found['risk_ceiling']} at most"),
        ("standing", f"earned {earned}{granted}"),
        ("demotion", demoted),
    )
    return [(name, f"{value}{'  <- binds' if name == binds else ''}") for name, value in rows]


def demotions(*, rule: str = "", state: str = "open", limit: int = LISTED, json: bool = False) -> int:
    """Levels that were taken away, newest first.

    Parameters
    ----------
    rule
        Only of this rule.
    state
        open, closed (lifted) or any.
    """
    one_of("state", state, ("open", "closed", "any"))
    asked = {"rule": rule, "state": "" if state == "any" else state}
    found = list(here().client().items("/demotions", asked, limit=limit))
    if json:
        as_json(found)
        return Exit.DONE
    if not found:
        return nothing(
            "Nothing is demoted", asked, "Harm, an unhealthy verification, an anomaly or a spent budget does it."
        )
    _demotions(found)
    more(len(found), limit)
    return Exit.DONE


def _demotions(found: list[dict[str, Any]]) -> None:
    if not found:
        return
    say(style("Demotions", "bold"))
    for each in found:
        cell = each["cell"]
        lifted = f", lifted by {each['lifted_by']} at {at(each['lifted_at'])}" if each.get("lifted_at") else ""
        waits = f", {each['lift_by']} asked to lift it" if each.get("lift_by") and not lifted else ""
        wrapped(
            f"{short(each['id'])} {safe(cell['rule'])} ({_cell(cell)}) to {each['level']} at {at(each['at'])}: "
            f"{safe(each['why'])}{lifted}{waits}",
            "    ",
            first="  ",
        )
    say()


def lift(identity: str, /, *, reason: str = "", json: bool = False) -> int:
    """Lift a demotion, on record. In production a second person must agree.

    Parameters
    ----------
    identity
        The demotion (dmt_...): wk autonomy demotions lists them.
    reason
        What was found, and why it may go on.
    """
    _reasoned(reason)
    client = here().client()
    full = whole(client, "/demotions", identity, "demotion")
    found = client.post(f"/demotions/{segment(full)}/lift", {"reason": reason})
    if json:
        as_json(found)
        return Exit.DONE
    _lifted(found)
    return Exit.DONE


def _lifted(found: dict[str, Any]) -> None:
    if found.get("lifted_at"):
        wrapped(f"Lifted: {safe(found['cell']['rule'])} goes back to where it stands.")
        return
    name = short(found["id"])
    wrapped(f"Recorded: {name} is lifted once a second person says: wk autonomy second {name}")


def grants(*, rule: str = "", state: str = "open", limit: int = LISTED, json: bool = False) -> int:
    """Levels given on record. 'wk explain DECISION --all' says which of ceiling, risk, standing and demotion binds.

    Parameters
    ----------
    rule
        Only of this rule.
    state
        open, closed or any.
    """
    asked = {"rule": rule, "state": "" if state == "any" else state}
    found = list(here().client().items("/grants", asked, limit=limit))
    if json:
        as_json(found)
        return Exit.DONE
    if not found:
        return nothing(
            "No level is granted", {"rule": rule}, "Every rule starts at observe and earns more, or is granted it."
        )
    table(
        (
            Column(name="grant"),
            Column(name="rule", flex=True),
            Column(name="level"),
            Column(name="cell", flex=True),
            Column(name="until", right=True),
            Column(name="by", spare=True),
            Column(name="state"),
            Column(name="reason", flex=True, spare=True),
        ),
        [
            (
                short(each["id"]),
                each["rule"],
                each["level"],
                _cell(each),
                at(each["until_at"]),
                each["by"],
                _state(each),
                each["reason"],
            )
            for each in found
        ],
    )
    more(len(found), limit)
    return Exit.DONE


def grant(
    rule: str,
    /,
    *,
    level: str,
    cell: tuple[str, ...] = (),
    for_: str = "",
    until: str = "",
    reason: str = "",
    json: bool = False,
) -> int:
    """Give a rule a level, on record, for at most 90 days. In production a second person must agree.

    Parameters
    ----------
    rule
        Its name (pack/name).
    level
        observe, suggest, approve or auto.
    cell
        name=value with tier, severity, environment or region; give it again to narrow. Without one: every cell.
    for_
        How long, for example 30d.
    until
        Or until when.
    """
    _reasoned(reason)
    _span(for_, until)
    body: dict[str, Any] = {
        "rule": rule,
        "level": level,
        "reason": reason,
        **({"for": for_} if for_ else {"until": until}),
    }
    for word in cell:
        name, equals, value = word.partition("=")
        if name not in CELL or not equals or not value:
            raise Ends(Exit.USAGE, f"--cell {word}: write name=value, name one of {', '.join(CELL)}")
        body[name] = value
    found = here().client().post("/grants", body)
    if json:
        as_json(found)
        return Exit.DONE
    if found.get("pending"):
        wrapped(
            f"Recorded {short(found['id'])}: {safe(rule)} may go to {found['level']} once a second person says: "
            f"wk autonomy second {short(found['id'])}"
        )
        return Exit.DONE
    wrapped(f"Granted: {safe(rule)} may go to {found['level']} ({_cell(found)}) until {at(found['until_at'])}.")
    return Exit.DONE


def second(identity: str, /, *, json: bool = False) -> int:
    """Give the second pair of eyes to a level, or to the lift of a demotion, in production.

    Parameters
    ----------
    identity
        The grant (grt_...) or the demotion (dmt_...).
    """
    if not identity.startswith("dmt_"):
        return _act(identity, "second", {}, json=json)
    client = here().client()
    full = whole(client, "/demotions", identity, "demotion")
    found = client.post(f"/demotions/{segment(full)}/second", {})
    if json:
        as_json(found)
        return Exit.DONE
    _lifted(found)
    return Exit.DONE


def revoke(identity: str, /, *, reason: str = "", json: bool = False) -> int:
    """Take a level back, at once."""
    _reasoned(reason)
    return _act(identity, "revoke", {"reason": reason}, json=json)


def _act(identity: str, verb: str, body: dict[str, str], *, json: bool) -> int:
    client = here().client()
    full = whole(client, "/grants", identity, "grant")
    found = client.post(f"/grants/{segment(full)}/{verb}", body)
    if json:
        as_json(found)
        return Exit.DONE
    if verb == "second":
        wrapped(
            f"Granted: {safe(found['rule'])} may go to {found['level']} ({_cell(found)}) until {at(found['until_at'])}."
        )
    else:
        wrapped(f"Revoked: {safe(found['rule'])} goes back to what it earned.")
    return Exit.DONE


def _cell(found: dict[str, Any]) -> str:
    return ", ".join(f"{name} {found[name]}" for name in CELL if found.get(name)) or "every cell"


def _state(found: dict[str, Any]) -> str:
    if found.get("revoked_at"):
        return "revoked"
    return "waits for a second" if found.get("pending") else "in force"


def _binds(found: dict[str, Any]) -> str:
    return "" if found["binds"] == "nothing" else str(found["binds"])


def _percent(ppm: int) -> str:
    return f"{ppm // 10_000}.{ppm // 1_000 % 10} %"


def _known(client: Client, rule: str) -> None:
    """A mistyped rule is not one at observe. Raises Ends."""
    try:
        client.get(f"/rules/{segment(rule)}")
    except Problem as said:
        if said.status == 404:
            raise Ends(Exit.NO, f"no rule {rule!r}: wk rules lists them") from said
        raise
