"""Cards: requests of one rule for one service, and one answer to all that are shown."""

import sys
from typing import Any

from watchkeeper.surface.cli.find import one
from watchkeeper.surface.cli.look import nothing
from watchkeeper.surface.cli.place import Ends, Exit, here
from watchkeeper.surface.cli.words import (
    Column,
    as_json,
    bare,
    brief,
    count,
    left,
    mark,
    pairs,
    safe,
    say,
    short,
    style,
    table,
    tell,
    wrapped,
)
from watchkeeper.surface.cli.yes import sure
from watchkeeper.surface.client import Problem, segment

PREFIX: str = "crd"
CARDS_READ_MAX: int = 10_000
MOVED: int = 409
REQUESTS_SHOWN: int = 50  # in a terminal; a card with more is answered by a script, which has seen them all


def cards(*, team: str = "", json: bool = False) -> int:
    """What waits for people, grouped by rule and service, in the order in which it was first asked.

    Parameters
    ----------
    team
        Only of this team, for example group:default/ops.
    """
    found = list(here().client().items("/cards", {"team": team}, limit=CARDS_READ_MAX))
    if json:
        as_json(found)
        return Exit.DONE
    if not found:
        return nothing("No cards", {"team": team}, "Nothing waits for a person.")
    table(
        (
            Column(name="card"),
            Column(name="requests", right=True),
            Column(name="rule", flex=True),
            Column(name="service", flex=True),
            Column(name="team", flex=True, spare=True),
            Column(name="first ends", right=True),
        ),
        [
            (
                short(each["id"]),
                each["count"],
                each["rule"],
                bare(each["service"]),
                bare(each["team"]),
                left(each["expires_at"]),
            )
            for each in found
            if not each["withheld"]
        ],
    )
    beyond = sum(1 for each in found if each["withheld"])
    if beyond:
        wrapped(
            f"{count(beyond, 'card')} more: automation is asking too much. Stop what asks (wk stop), or answer these first; "
            "--json lists all."
        )
    wrapped("All that is shown of one at once: wk approve CARD")
    return Exit.DONE


def is_card(identity: str) -> bool:
    return identity.startswith(f"{PREFIX}_")


def answer(verb: str, text: str, comment: str, *, emergency: bool, yes: bool, digest: str, json: bool) -> int:
    """`digest` is the card's own: a card that changed since it was read is not answered by a script."""
    client, identity, found = one("/cards", text, "card")
    if digest and digest != found["digest"]:
        raise Ends(
            Exit.NO,
            f"card {short(identity)} has changed since you read it: nothing was answered; wk approvals cards --json shows it",
        )
    shown = found["shown"]
    if not yes:
        _show(found)
        if not sys.stdin.isatty():
            raise Ends(
                Exit.USAGE,
                f"this is not a terminal: nothing was answered. To {verb} all that is shown: wk {verb} {identity} --yes "
                f"--digest {found['digest']}",
            )
        if len(found["approvals"]) > REQUESTS_SHOWN:
            raise Ends(
                Exit.USAGE,
                f"the card holds {found['count']} requests, more than can be shown here ({REQUESTS_SHOWN}): read "
                f"'wk approvals cards --json', then wk {verb} {identity} --yes --digest {found['digest']}",
            )
        if not sure(f"{verb.capitalize()} {count(len(shown), 'request')}?"):
            tell("Nothing was answered.")
            return Exit.NO
    body: dict[str, Any] = {"shown": shown, "comment": comment, **({"emergency": True} if emergency else {})}
    if digest:
        body["digest"] = digest  # the node compares it too: nothing can join between the look and the answer
    try:
        done = client.post(f"/cards/{segment(identity)}/{verb}", body)
    except Problem as problem:
        if problem.status != MOVED or "joined" not in problem.more:
            raise
        _moved(problem.more)
        raise Ends(Exit.NO, f"{problem.detail} 'wk approvals cards' lists what waits") from problem
    code = Exit.NO if done["refused"] else Exit.DONE
    if json:
        as_json(done)
        return code
    word = "Approved" if verb == "approve" else "Rejected"
    waits = sum(1 for _, state in done["answered"] if state == "pending")
    more = f" {count(waits, 'request')} of them wait for another person." if waits else ""
    wrapped(f"{word} {count(len(done['answered']), 'request')} of {count(len(shown), 'request')} shown.{more}")
    for each in done["refused"]:
        wrapped(safe(f"{short(each['approval'])}: {each['detail']}"), "    ", first="  - ")
    if done["not_shown"]:
        wrapped(f"{count(len(done['not_shown']), 'request')} joined the card meanwhile and waits: wk approvals cards")
    return code


def _moved(more: dict[str, Any]) -> None:
    """What a card holds beside what was read of it."""
    for each in more.get("joined") or ():
        wrapped(f"joined   {short(each)}", "      ", first="  - ")
    for each in more.get("changed") or ():
        wrapped(f"changed  {short(each)}", "      ", first="  - ")
    for each in more.get("gone") or ():
        wrapped(safe(f"went     {short(each['approval'])}: {each['why']}"), "      ", first="  - ")


def _show(found: dict[str, Any]) -> None:
    """Every request that a yes stands for."""
    wrapped(style(found["sentence"], "bold"))
    for each in found["approvals"][:REQUESTS_SHOWN]:
        why = "; ".join(question["reason"] for question in each["findings"])
        targets = ", ".join(bare(target) for target in each["targets"])
        emergency = " (emergency)" if each.get("emergency") else ""
        wrapped(f"{mark('ask')} {short(each['id'])} {safe(targets)}{emergency}: {brief(why)}", "      ", first="  ")
    say()
    pairs(
        [
            ("card", short(found["id"])),
            ("team", bare(found["team"])),
            ("requests", found["count"]),
            ("first ends", left(found["expires_at"])),
            ("bound to", found["digest"]),
        ]
    )
