"""Breakers and the brake: what is left alone because it keeps failing."""

from typing import Any, Final

from watchkeeper.surface.cli.find import one, whole
from watchkeeper.surface.cli.limits import _reasoned
from watchkeeper.surface.cli.look import LISTED, more, nothing, one_of
from watchkeeper.surface.cli.place import Exit, here
from watchkeeper.surface.cli.words import (
    Column,
    as_json,
    at,
    bare,
    left,
    pairs,
    safe,
    say,
    short,
    style,
    table,
    wrapped,
)
from watchkeeper.surface.client import segment

STATES: Final = ("open", "half_open", "closed")
_TEACH: Final = "One opens when an action fails on a target again and again, by error or by verification."


def breakers(*, state: str = "", limit: int = LISTED, json: bool = False) -> int:
    """What is left alone because it keeps failing, and the brake. Without --state, those that only count stay away.

    Parameters
    ----------
    state
        open, half_open (its time is up: one run may try) or closed.
    """
    one_of("state", state, STATES)
    client = here().client()
    brakes = list(client.items("/brakes", {"state": "open"}, limit=limit))
    found = list(client.items("/breakers", {"state": state}, limit=limit))
    if json:
        as_json({"breakers": found, "brakes": brakes})
        return Exit.DONE
    for brake in brakes:
        wrapped(
            style(
                f"The brake is on ({safe(_about(brake))}) since {at(brake['since_at'])}: {safe(brake['why'])}.", "red"
            )
        )
        wrapped(f"Release it with: wk breakers release {short(brake['id'])} --reason ...", "  ", first="  ")
    shown = found if state else [each for each in found if each["state"] != "closed"]
    counting = len(found) - len(shown)
    if brakes and shown:
        say()
    if shown:
        _table(shown)
    elif not brakes:
        nothing("No breaker is open" if not state else "No breakers", {"state": state}, _TEACH)
    if counting:
        wrapped(
            f"{counting} more failed lately and {'is' if counting == 1 else 'are'} closed: wk breakers --state closed"
        )
    more(len(found), limit)
    return Exit.DONE


def show(identity: str, /, *, json: bool = False) -> int:
    """One breaker: its failures, until when it is left alone, who tries it."""
    _, full, found = one("/breakers", identity, "breaker")
    if json:
        as_json(found)
        return Exit.DONE
    wrapped(style(f"{safe(found['key'])}: {found['state']}", "bold"))
    say()
    pairs(
        [
            ("breaker", short(full)),
            ("action", found["action"]),
            ("target", found["domain"]),
            ("pack", found["pack"]),
            ("since", at(found["since_at"])),
            ("left alone until", at(found.get("until_at"))),
            ("opened in a row", found["opened"] or ""),
            ("tried by", short(found.get("trial"))),
            ("closed by", found.get("closed_by")),
            ("because", found.get("reason")),
        ]
    )
    failures = found.get("failures") or []
    if failures:
        say()
        table(
            (
                Column(name="failed at"),
                Column(name="run"),
                Column(name="rule", flex=True),
                Column(name="why", flex=True),
            ),
            [(at(each["at"]), short(each["run"]), each["rule"], each["why"]) for each in reversed(failures)],
        )
    if found["state"] != "closed":
        say()
        wrapped(f"Mended it? wk breakers close {short(full)} --reason ...")
    return Exit.DONE


def close(identity: str, /, *, reason: str, json: bool = False) -> int:
    """Close a breaker: what failed was mended. What was held is decided afresh at once."""
    _reasoned(reason)
    client = here().client()
    full = whole(client, "/breakers", identity, "breaker")
    found = client.post(f"/breakers/{segment(full)}/close", {"reason": reason})
    if json:
        as_json(found)
        return Exit.DONE
    wrapped(f"Closed {safe(found['key'])}. What it held is decided afresh.")
    return Exit.DONE


def release(identity: str, /, *, reason: str, json: bool = False) -> int:
    """Release a brake. What failed until now does not pull it again; what fails from now on may."""
    _reasoned(reason)
    client = here().client()
    full = whole(client, "/brakes", identity, "brake")
    found = client.post(f"/brakes/{segment(full)}/release", {"reason": reason})
    if json:
        as_json(found)
        return Exit.DONE
    wrapped(f"Released the brake ({safe(_about(found))}). What it held is decided afresh.")
    return Exit.DONE


def _about(brake: dict[str, Any]) -> str:
    return f"{brake['what']} {brake['name']}".strip() if brake["name"] else "everything"


def _table(found: list[dict[str, Any]]) -> None:
    table(
        (
            Column(name="breaker"),
            Column(name="action", flex=True),
            Column(name="target", flex=True),
            Column(name="state", styled=True),
            Column(name="failed", right=True),
            Column(name="until", right=True),
            Column(name="left", right=True, spare=True),
            Column(name="tried by", spare=True),
        ),
        [
            (
                short(each["id"]),
                each["action"],
                bare(each["domain"]),
                each["state"],
                each["failed"],
                at(each.get("until_at")),
                left(each["until_at"]) if each["state"] == "open" and each.get("until_at") else "",
                short(each.get("trial")),
            )
            for each in found
        ],
    )
