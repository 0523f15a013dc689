"""Business transactions: what they cross, and which hop is protected by something that was proven to work."""

from typing import Any, Final

from watchkeeper.surface.cli.look import nothing
from watchkeeper.surface.cli.place import Ends, Exit, here
from watchkeeper.surface.cli.words import Column, as_json, at, bare, count, lasts, say, style, table, wrapped

QUESTIONS: Final = ("watched", "repair", "undo", "verify")


def transactions(*, json: bool = False) -> int:
    """Business transactions, most important first, with the hops that are in trouble now."""
    found = here().client().get("/transactions")["items"]
    if json:
        as_json(found)
        return Exit.DONE
    if not found:
        return nothing("No transactions", {}, "They stand in transactions.yaml.")
    table(
        (
            Column(name="transaction"),
            Column(name="priority", right=True),
            Column(name="hops", flex=True),
            Column(name="in trouble", flex=True),
            Column(name="objective", spare=True),
            Column(name="owner", flex=True, spare=True),
        ),
        [
            (
                each["name"],
                each["priority"],
                " > ".join(bare(hop) for hop in each["hops"]),
                ", ".join(bare(hop) for hop in each["troubled"]),
                each["objective"],
                bare(each["owner"]),
            )
            for each in found
        ],
    )
    return Exit.DONE


def coverage(
    transaction: str = "", /, *, within: str = "", fail_under: str = "", strict: bool = False, json: bool = False
) -> int:
    """Which hop of a transaction is protected, by which rule, and whether that was proven.

    Parameters
    ----------
    transaction
        Only this one.
    within
        How old a proof may be, for example 30d; without it as watchkeeper.yaml says (90d).
    fail_under
        Exit code 1 when a smaller share of the hops is proven, for example 80%.
    strict
        Exit code 1 when a hop is not proven.
    """
    least_ppm = _share(fail_under) if fail_under else 0
    found = here().client().get("/coverage", {"within": within, "transaction": transaction})
    report = found["report"]
    unprotected = report["hops"] - report["proven"]
    short = report["covered_ppm"] < least_ppm
    code = Exit.NO if short or (strict and unprotected) else Exit.DONE
    if json:
        as_json(found)
        return code
    if not report["transactions"]:
        nothing("No transactions", {}, "They stand in transactions.yaml.")
        return code
    _matrix(report["transactions"])
    for row in report["transactions"]:
        say(style(f"{row['name']}, priority {row['priority']}", "bold"))
        table(
            (
                Column(name="hop", flex=True),
                Column(name="state", styled=True),
                Column(name="rule", flex=True),
                Column(name="may go to", spare=True),
                Column(name="proven", right=True),
                Column(name="why", flex=True),
            ),
            list(_lines(row["hops"])),
        )
        for mark in row.get("marks", ()):
            lacking = [hop for hop in row["hops"] if hop["ref"] in mark["lacking"]]
            for hop in lacking if mark["question"] != "repair" else ():
                why = next(each["why"] for each in hop["answers"] if each["question"] == mark["question"])
                wrapped(f"{mark['question']}: {bare(hop['ref'])}: {why}", indent="  ")
        say()
    wrapped(
        f"{report['proven']} of {count(report['hops'], 'hop')} proven within {lasts(report['within_ms'])} "
        f"({_percent(report['covered_ppm'])}); {report['declared']} declared and not proven, "
        f"{report['uncovered']} uncovered."
    )
    names = [f"{bare(hop)} of {row['name']}" for row in report["transactions"] for hop in row["unprotected"]]
    if names:
        wrapped(f"Not protected by anything that was proven: {', '.join(names)}.")
    if found["looked_short"]:
        wrapped(f"Not every run was looked at of {', '.join(found['looked_short'])}: an older proof may exist.")
    if short:
        wrapped(f"That is under {fail_under}.")
    return code


def _matrix(rows: list[dict[str, Any]]) -> None:
    """Each transaction at one look: what all, some or none of its hops have."""
    table(
        (Column(name="transaction", flex=True), *[Column(name=name, styled=True) for name in QUESTIONS]),
        [(row["name"], *_marks(row)) for row in rows],
    )
    say()


def _marks(row: dict[str, Any]) -> list[str]:
    found = {mark["question"]: mark for mark in row.get("marks", ())}
    return [found[name]["extent"] if name in found else "" for name in QUESTIONS]


def _lines(hops: list[dict[str, Any]]) -> Any:
    for hop in hops:
        first = True
        for rule in hop["rules"] or [{"rule": "", "mode": "", "proven_at": None, "by": ""}]:
            yield (
                bare(hop["ref"]) if first else "",
                hop["state"] if first else "",
                rule["rule"],
                rule["mode"],
                f"{at(rule['proven_at'])}{' (drill)' if rule['by'] == 'drill' else ''}" if rule["proven_at"] else "no",
                hop["why"] if first and hop["state"] != "proven" else "",
            )
            first = False


def _share(text: str) -> int:
    from watchkeeper.documents import percent_ppm

    try:
        return percent_ppm(text if text.endswith("%") else f"{text}%")
    except ValueError as wrong:
        raise Ends(Exit.USAGE, f"--fail-under: {wrong}") from wrong


def _percent(ppm: int) -> str:
    from watchkeeper.documents import percent_text

    return percent_text(ppm // 1000 * 1000)
