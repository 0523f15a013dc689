"""A person's word on what a rule would have done: suggestions, review, feedback."""

from typing import Any

from watchkeeper.surface.cli.explain import decision_of
from watchkeeper.surface.cli.find import whole
from watchkeeper.surface.cli.look import LISTED, more, nothing
from watchkeeper.surface.cli.place import Ends, Exit, here
from watchkeeper.surface.cli.words import Column, as_json, at, bare, count, safe, say, short, table, wrapped
from watchkeeper.surface.client import Client, Problem, segment

SAYS: tuple[str, ...] = ("helpful", "false", "harmful")


def suggestions(*, limit: int = LISTED, json: bool = False) -> int:
    """What rules suggest now and nobody has answered. Run one with 'wk run ID', or say no with 'wk reject ID'."""
    found = list(here().client().items("/suggestions", limit=limit))
    if json:
        as_json(found)
        return Exit.DONE
    if not found:
        return nothing(
            "Nothing is suggested", {}, "A rule at suggest (wk autonomy) lists here what a person could run."
        )
    table(
        (
            Column(name="suggestion"),
            Column(name="at", right=True),
            Column(name="runs", flex=True),
            Column(name="on", flex=True),
            Column(name="because of", flex=True),
            Column(name="rule", flex=True, spare=True),
        ),
        [
            (
                short(each["id"]),
                at(each["at"]),
                each["runbook"],
                ", ".join(bare(target["ref"]) for target in each["targets"][:3]),
                each["symptom"],
                each["rule"],
            )
            for each in found
        ],
    )
    newest = short(found[0]["id"])
    say()
    wrapped(f"Run one: wk run {newest} --reason '...'. Say no: wk reject {newest} --comment '...'.")
    more(len(found), limit)
    return Exit.DONE


def review(
    identity: str = "",
    /,
    *,
    agree: bool = False,
    disagree: bool = False,
    reason: str = "",
    rule: str = "",
    limit: int = LISTED,
    json: bool = False,
) -> int:
    """What rules would have done, and nobody has said whether that was right. With an id: say so.

    Parameters
    ----------
    identity
        A decision, or the alert or run it belongs to. Without one: the list.
    agree
        It was, or would have been, right.
    disagree
        It was not.
    reason
        Why, for the record.
    rule
        In the list: only of this rule.
    """
    if not identity:
        return _waiting(rule, limit, json=json)
    if agree == disagree:
        raise Ends(Exit.USAGE, "say --agree or --disagree: was it, or would it have been, right?")
    if not reason.strip():
        raise Ends(Exit.USAGE, "say why, for the record: --reason '...'")
    client = here().client()
    full = decision_of(client, identity)
    found = client.post(f"/decisions/{segment(full)}/review", {"agrees": agree, "reason": reason})
    if json:
        as_json(found)
        return Exit.DONE
    pieces = found["items"]
    name = safe(pieces[0]["cell"]["rule"])
    wrapped(
        f"Recorded: you {'agree' if agree else 'disagree'} with {name}. What it has earned: wk autonomy show {name}"
    )
    return Exit.DONE


def _waiting(rule: str, limit: int, *, json: bool) -> int:
    found = list(here().client().items("/reviews", {"rule": rule}, limit=limit))
    if json:
        as_json(found)
        return Exit.DONE
    if not found:
        return nothing(
            "Nothing waits for review",
            {"rule": rule},
            "What rules at observe, suggest or approve would have done shows here.",
        )
    table(
        (
            Column(name="decision"),
            Column(name="at", right=True),
            Column(name="would have", flex=True),
            Column(name="because of", flex=True),
            Column(name="severity", spare=True),
            Column(name="mode", spare=True),
            Column(name="reported", flex=True),
        ),
        [
            (
                short(each["decision"]),
                at(each["at"]),
                each["would"],
                each["symptom"],
                each["severity"],
                each["mode"],
                ", ".join(f"{word['says']} ({word['by']})" for word in each["reported"]),
            )
            for each in found
        ],
    )
    newest = short(found[0]["decision"])
    say()
    wrapped(
        f"Was it right? wk review {newest} --agree --reason '...', or --disagree. Why it was so: wk explain {newest}"
    )
    more(len(found), limit)
    return Exit.DONE


def feedback(identity: str, says: str, /, *, text: str = "", json: bool = False) -> int:
    """Say of a run, or of a decision, that it was helpful, false or harmful. Harm demotes the rule at once.

    Parameters
    ----------
    identity
        A run or a decision.
    says
        helpful, false (there was nothing to mend) or harmful.
    text
        What you saw, for those who review it.
    """
    if says not in SAYS:
        raise Ends(Exit.USAGE, f"{says!r}: say helpful, false or harmful")
    client = here().client()
    path, noun = ("/runs", "run") if identity.startswith("run") else ("/decisions", "decision")
    full = whole(client, path, identity, noun)
    found = client.post(f"{path}/{segment(full)}/feedback", {"says": says, "text": text})
    if json:
        as_json(found)
        return Exit.DONE
    wrapped(f"Recorded: {says}.{_after(client.items('/demotions', {'rule': found['rule'], 'state': 'open'}), found)}")
    if says != "helpful" and _makes_a_test(client, found["decision"]):
        tail = short(found["decision"])
        wrapped(f"A test that later rules must pass: wk decisions test {tail} --out HOME")
    return Exit.DONE


def _makes_a_test(client: Client, decision: str) -> bool:
    """Not of what did nothing, and not of a person's own act."""
    try:
        client.get(f"/decisions/{segment(decision)}/test")
    except Problem:
        return False
    return True


def _after(demotions: Any, found: dict[str, Any]) -> str:
    """What a report of harm did."""
    if found["says"] != "harmful":
        return ""
    about = {found["run"], found["decision"]} - {""}
    fell = [each for each in demotions if about & {each["run"], each["decision"]}]
    if not fell:
        return " Nothing is demoted: a person's own run has no rule, or you may not demote (wk whoami)."
    rule = safe(fell[0]["cell"]["rule"])
    return f" {rule} is demoted to {fell[0]['level']} in {count(len(fell), 'cell')}: wk autonomy show {rule}"
