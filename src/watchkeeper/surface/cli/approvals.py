"""Approvals: what waits for a person, and a yes that is bound to exactly what was shown."""

import sys
from typing import Any

from watchkeeper.surface.cli import cards
from watchkeeper.surface.cli.find import one, whole
from watchkeeper.surface.cli.look import LISTED, more, nothing, one_of
from watchkeeper.surface.cli.place import Ends, Exit, here
from watchkeeper.surface.cli.words import (
    Column,
    as_json,
    at,
    bare,
    brief,
    clipped,
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
from watchkeeper.surface.cli.yes import sure as sure  # noqa: PLC0414  others know it from here
from watchkeeper.surface.client import segment

TARGETS_SHOWN: int = 20


def approvals(*, state: str = "pending", limit: int = LISTED, json: bool = False) -> int:
    """What waits for a person, newest first.

    Parameters
    ----------
    state
        pending, approved, rejected, lapsed, void, or any.
    """
    one_of("state", state, ("pending", "approved", "rejected", "lapsed", "void", "any"))
    asked = {"state": "" if state == "any" else state}
    found = list(here().client().items("/approvals", asked, limit=limit))
    if json:
        as_json(found)
        return Exit.DONE
    if not found:
        return nothing("No approvals", asked if state != "pending" else {}, "Nothing waits for a person.")
    table(
        (
            Column(name="approval"),
            Column(name="state", styled=True),
            Column(name="asks", flex=True),
            Column(name="why", flex=True),
            Column(name="ends", right=True),
            Column(name="answers", right=True, spare=True),
        ),
        [
            (
                short(each["id"]),
                each["state"],
                asks(each),
                "; ".join(question["reason"] for question in each["findings"]),
                left(each["expires_at"]) if each["state"] == "pending" else at(each.get("ended_at")),
                f"{sum(1 for answer in each['answers'] if answer['verb'] == 'approve')} of {each['count']}",
            )
            for each in found
        ],
    )
    more(len(found), limit)
    return Exit.DONE


def approve(
    identity: str,
    /,
    *,
    comment: str = "",
    emergency: bool = False,
    yes: bool = False,
    digest: str = "",
    json: bool = False,
) -> int:
    """Say yes to exactly what is shown. In a terminal it asks first; a script gives --yes and the --digest it read.

    Parameters
    ----------
    identity
        The approval's id, short or full; or a card's (crd_..), for all that is shown of it.
    comment
        For the record.
    emergency
        Answers a freeze; needs its own permission.
    yes
        Do not ask; needs --digest.
    digest
        What you were shown is bound to this digest (in 'wk approvals --json').
    """
    return _answer("approve", identity, comment, emergency=emergency, yes=yes, digest=digest, json=json)


def reject(identity: str, /, *, comment: str = "", yes: bool = False, digest: str = "", json: bool = False) -> int:
    """Say no: to an approval, or to a suggestion (dec_...).

    Parameters
    ----------
    identity
        What 'wk approvals' or 'wk suggestions' lists.
    comment
        Why, for the record and for those who asked.
    yes
        Do not ask; needs --digest.
    """
    if identity.startswith("dec_"):
        return _suggestion(identity, comment, json=json)
    return _answer("reject", identity, comment, emergency=False, yes=yes, digest=digest, json=json)


def _suggestion(identity: str, comment: str, *, json: bool) -> int:
    if not comment.strip():
        raise Ends(Exit.USAGE, "say why the suggestion is wrong: --comment '...'")
    client = here().client()
    full = whole(client, "/suggestions", identity, "suggestion")
    done = client.post(f"/decisions/{segment(full)}/reject", {"reason": comment})
    if json:
        as_json(done)
        return Exit.DONE
    wrapped(f"Rejected {short(full)}: it counts against {safe(done['rule'])}. Nothing is done.")
    return Exit.DONE


def _answer(verb: str, text: str, comment: str, *, emergency: bool, yes: bool, digest: str, json: bool) -> int:
    if yes and not digest:
        raise Ends(
            Exit.USAGE,
            "--yes needs --digest D: what you say yes to without looking must be named; 'wk approvals --json' shows it",
        )
    if digest and not yes:
        raise Ends(Exit.USAGE, "--digest goes with --yes; without --yes the digest is that of what is shown")
    if cards.is_card(text):
        return cards.answer(verb, text, comment, emergency=emergency, yes=yes, digest=digest, json=json)
    client, identity, found = one("/approvals", text, "approval")
    if found["state"] != "pending":
        raise Ends(
            Exit.NO,
            f"approval {short(identity)} is {found['state']} already{': ' + safe(found['why']) if found.get('why') else ''}",
        )
    if not yes:
        card(found)
        if not sys.stdin.isatty():
            raise Ends(
                Exit.USAGE,
                f"this is not a terminal: nothing was answered. To {verb} what is shown: wk {verb} {identity} --yes "
                f"--digest {found['digest']}",
            )
        if verb == "approve" and found.get("emergency") and not (emergency and comment.strip()):
            raise Ends(
                Exit.USAGE,
                "a freeze is in force, so nothing was answered. If it is an emergency: "
                f"wk approve {short(identity)} --emergency --comment 'why'",
            )
        if not sure(f"{verb.capitalize()} {count(len(found['targets']), 'target')}?"):
            tell("Nothing was answered.")
            return Exit.NO
    body: dict[str, Any] = {"digest": digest or found["digest"], "comment": comment}
    if emergency:
        body["emergency"] = True
    done = client.post(f"/approvals/{segment(identity)}/{verb}", body, match=body["digest"])
    if json:
        as_json(done)
        return Exit.DONE
    _told(verb, done, identity)
    return Exit.DONE


def _told(verb: str, done: dict[str, Any], identity: str) -> None:
    if verb == "reject":
        wrapped(f"Rejected {short(identity)}. Nothing is done.")
        return
    given = sum(1 for answer in done.get("answers", ()) if answer["verb"] == "approve")
    if done.get("state") == "pending":
        wrapped(f"Approved by you: {given} of {done['count']}. It waits for {done['count'] - given} more.")
        return
    eyes = " Nobody else saw it: recorded as four eyes none." if done.get("four_eyes") == "none" else ""
    run = (
        f" It goes on in {short(done['run'])}: wk runs show {short(done['run'])}."
        if done.get("run")
        else " Every guard is asked again before it starts: wk runs."
    )
    wrapped(f"Approved {short(identity)}.{run}{eyes}")


def card(found: dict[str, Any]) -> None:
    """Everything that a yes stands for."""
    wrapped(style(f"Approve {asks(found)}?", "bold"))
    for question in found["findings"]:
        wrapped(f"{mark('ask')} {safe(question['guard'])}: {brief(question['reason'])}", "      ", first="  ")
    say()
    targets = [bare(name) for name in found["targets"]]
    shown = ", ".join(targets[:TARGETS_SHOWN]) + (
        f" and {len(targets) - TARGETS_SHOWN} more" if len(targets) > TARGETS_SHOWN else ""
    )
    decided = found.get("decided") or {}
    pairs(
        [
            ("approval", short(found["id"])),
            ("targets", f"{len(targets)}: {shown}"),
            ("runbook", f"{found['runbook']}{', risk ' + found['risk'] if found.get('risk') else ''}"),
            ("with", _arguments(found.get("arguments"))),
            ("shows", _arguments(found.get("shown"))),
            ("does", " > ".join(_step(step) for step in found.get("steps") or [])),
            ("step", found.get("path")),
            ("rule", found.get("rule")),
            (
                "decision",
                f"{short(found['decision'])}: {decided.get('reason', '')}" if decided else short(found["decision"]),
            ),
            ("asked by", found.get("requester")),
            ("production", "yes" if found.get("production") else "no"),
            ("may answer", ", ".join(found.get("by") or []) or "whoever may approve"),
            (
                "needs",
                f"{count(found['count'], 'approval')}{', and an emergency permission' if found.get('emergency') else ''}",
            ),
            ("ends", f"{at(found['expires_at'])}, {left(found['expires_at'])}"),
            ("bound to", found["digest"]),
        ]
    )
    for answer in found.get("answers") or []:
        said = f": {answer['comment']}" if answer.get("comment") else ""
        wrapped(safe(f"{answer['name']} said {answer['verb']} at {at(answer['at'])}{said}"), "  ")
    say()


def asks(found: dict[str, Any]) -> str:
    """`restart-instance of payments-api, 6 targets`."""
    runbook = str(found["runbook"]).rpartition("/")[2]
    step = f", step {found['path']}" if found.get("path") else ""
    names = found["targets"]
    on = (
        f" on {bare(names[0])}"
        if len(names) == 1
        else f" on {count(len(names), 'target')} of {bare(found.get('service'))}"
    )
    return clipped(safe(f"{runbook}{step}{on}"), 200)


def _arguments(found: dict[str, Any] | None) -> str:
    return ", ".join(f"{name}={value}" for name, value in (found or {}).items())


def _step(step: dict[str, Any]) -> str:
    return f"{step['id']} ({step['do']})" if step.get("do") else f"{step['id']} ({step['kind']})"
