"""Why: a decision in a sentence, its clauses and guards, what nearly matched and what would change it."""

from typing import Any, Final

from watchkeeper.surface.cli.find import one, whole
from watchkeeper.surface.cli.place import Ends, Exit, here
from watchkeeper.surface.cli.words import (
    Column,
    as_json,
    at,
    bare,
    brief,
    coloured,
    mark,
    pairs,
    safe,
    say,
    short,
    style,
    table,
    wrapped,
)
from watchkeeper.surface.client import Client, segment

SHOWN_CHARS_MAX: Final = 200


def explain(what: str, /, *, counterfactual: str = "", all: bool = False, json: bool = False) -> int:  # noqa: A002
    """Why a decision was made. Of an alert or a run: its newest decision. Of a runbook: its handbook page in Markdown.

    Parameters
    ----------
    what
        The id of a decision, an alert, a run or an approval, or the name of a runbook (pack/name).
    counterfactual
        Say only what would lead to this verdict: act, ask, suggest, observe, hold or refuse.
    all
        Show the clear guards too.
    """
    if "/" in what:
        return handbook(what)
    client = here().client()
    identity = decision_of(client, what)
    found = client.get(f"/decisions/{segment(identity)}")
    told = client.get(f"/decisions/{segment(identity)}/explain", {"counterfactual": counterfactual})
    if json:
        as_json({**told, "record": found})
        return Exit.DONE
    show(found, told, everything=all)
    return Exit.DONE


def handbook(name: str) -> int:
    """The page of a runbook, from the home's files: no node needs to run for it."""
    place = here()
    if not place.local:
        found = place.client().get(f"/runbooks/{segment(name)}")
        text = found.get("handbook") or found.get("text") or ""
        say(text.rstrip())
        return Exit.DONE
    from watchkeeper.report.handbook import page
    from watchkeeper.surface.cli.home import compiled

    configuration = compiled(place.home())
    runbook = configuration.rulebook.runbooks.get(name)
    if runbook is None:
        from watchkeeper.surface.cli.verbs import nearest

        close = nearest(name, tuple(configuration.rulebook.runbooks))
        hint = f"did you mean {close}?" if close else "wk runbooks lists them"
        raise Ends(Exit.NO, f"no runbook {name!r}: {hint}")
    say(page(runbook, configuration.rulebook).rstrip())
    return Exit.DONE


def decision_of(client: Client, text: str) -> str:
    """The decision that is meant by any id that leads to one. Raises Ends."""
    prefix = text.partition("_")[0] if "_" in text else ""
    if prefix == "alr":
        identity = whole(client, "/alerts", text, "alert")
        newest = next(client.items("/decisions", {"alert": identity}, limit=1), None)
        if newest is None:
            raise Ends(
                Exit.NO,
                f"no decision for alert {short(identity)}: no rule matches it, or its rule's 'for' has not passed; "
                "wk rules lists them",
            )
        return str(newest["id"])
    if prefix == "inc":
        identity = whole(client, "/incidents", text, "incident")
        newest = next(client.items("/decisions", {"incident": identity}, limit=1), None)
        if newest is None:
            raise Ends(Exit.NO, f"no decision for incident {short(identity)} yet")
        return str(newest["id"])
    if prefix in {"run", "apr"}:
        path, noun = ("/runs", "run") if prefix == "run" else ("/approvals", "approval")
        _, _, found = one(path, text, noun)
        return str(found["decision"])
    return whole(client, "/decisions", text, "decision")


def show(found: dict[str, Any], told: dict[str, Any], *, everything: bool = False) -> None:
    wrapped(style(brief(told["sentence"]), "bold"))
    wrapped(safe(told["counts"]))
    say()
    targets = [bare(target.get("ref") or target.get("name")) for target in found.get("targets") or []]
    pairs(
        [
            (
                "decision",
                f"{short(found['id'])} at {at(found['at'])}, verdict {mark(found['verdict'])}, mode {found['mode']}",
            ),
            ("rule", found.get("rule")),
            ("runbook", found.get("runbook")),
            ("targets", ", ".join(targets[:8]) + (f" and {len(targets) - 8} more" if len(targets) > 8 else "")),
            ("with", ", ".join(f"{name}={value}" for name, value in (found.get("arguments") or {}).items())),
            ("alert", short(found.get("alert"))),
            ("incident", short(found.get("incident"))),
            ("run", short(found.get("run"))),
            ("because", found.get("because")),
        ]
    )
    ladder(told.get("ladder"))
    clauses(told["clauses"])
    findings("What decided", told["decided"])
    findings("Also not clear", told["also"])
    if everything:
        clear = [each for each in found["findings"] if each["outcome"] == "pass"]
        findings("Clear", clear)
    points("What would change it", [*told["changes"]])
    points("Tried on the record", [each["sentence"] for each in told["counterfactuals"]])
    points("Nearly matched", [each["sentence"] for each in told["near_misses"]])


def ladder(found: dict[str, Any] | None) -> None:
    """The four inputs of the mode, and which of them binds."""
    if not found:
        return
    from watchkeeper.surface.cli.autonomy import inputs

    say()
    say(style(f"How far it may go by itself: {found['mode']}", "bold"))
    pairs(inputs(found))


def clauses(rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    say()
    table(
        (Column(name="clause", flex=True), Column(name="answer", styled=True), Column(name="seen", flex=True)),
        [(each["source"], each["answer"], str(each.get("why") or "")[:SHOWN_CHARS_MAX]) for each in rows],
    )


def findings(title: str, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    say()
    say(style(title, "bold"))
    for each in rows:
        until = f" Until {at(each.get('until_at'))}." if each.get("until_at") else ""
        unknown = " (unknown)" if each.get("unknown") else ""
        wrapped(
            f"{coloured(each['outcome'])} {safe(each['guard'])}{unknown}: {brief(each['reason'])}{until}",
            "      ",
            first="  ",
        )


def points(title: str, lines: list[str]) -> None:
    if not lines:
        return
    say()
    say(style(title, "bold"))
    for line in lines:
        wrapped(brief(line), "    ", first="  - ")
