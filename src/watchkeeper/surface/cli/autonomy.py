"""How far rules may go by themselves: levels given on record."""

from typing import Any

from watchkeeper.surface.cli.find import whole
from watchkeeper.surface.cli.limits import _reasoned, _span
from watchkeeper.surface.cli.look import LISTED, more, nothing
from watchkeeper.surface.cli.place import Ends, Exit, here
from watchkeeper.surface.cli.words import Column, as_json, at, safe, short, table, wrapped
from watchkeeper.surface.client import segment

CELL: tuple[str, ...] = ("tier", "severity", "environment", "region")


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
    """Give the second pair of eyes to a level in production."""
    return _act(identity, "second", {}, json=json)


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
