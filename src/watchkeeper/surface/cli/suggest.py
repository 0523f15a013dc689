"""`wk rules suggest`: alerts that keep coming and that no rule asks for, with what people ran for them by hand."""

from watchkeeper.surface.cli.place import Exit, here, looked_back
from watchkeeper.surface.cli.progress import progress
from watchkeeper.surface.cli.words import Column, ago, as_json, at, count, say, style, table, wrapped

LISTED: int = 100
ANSWER_WITHIN_S: float = 600.0


def suggest(*, days: int = 30, least: int = 2, limit: int = LISTED, yaml: bool = False, json: bool = False) -> int:
    """Rules that are missing: the alerts that came most, and what people ran for them. A draft only watches.

    Parameters
    ----------
    days
        How far back.
    least
        How often an alert must have come; one that a person ran something for counts always.
    yaml
        Print the drafts: wk rules suggest --yaml > packs/PACK/rules/suggested.yaml
    """
    query = {"days": looked_back(days), "least": least, "limit": limit}
    with progress(lambda: "looking at alerts and runs"):
        found = here().client(timeout_s=ANSWER_WITHIN_S).get("/history/suggestions", query)
    items = found["items"]
    if json:
        as_json(found)
        return Exit.DONE
    if yaml:
        say("---\n".join(each["draft"] for each in items).rstrip("\n"))
        return Exit.DONE
    if not items:
        wrapped(
            f"Nothing is missing: of {count(found['looked_at'], 'alert')} since {at(found['since'])} a rule asks for all."
        )
        return Exit.DONE
    wrapped(
        style(
            f"{count(len(items), 'rule')} missing, from {count(found['looked_at'], 'alert')} since {at(found['since'])}.",
            "bold",
        )
    )
    table(
        (
            Column(name="alert", flex=True),
            Column(name="came", right=True),
            Column(name="entities", right=True),
            Column(name="unmapped", right=True, spare=True),
            Column(name="last", spare=True),
            Column(name="people ran", flex=True),
        ),
        [
            (
                each["alert"],
                each["alerts"],
                each["entities"],
                each["unmapped"] or "",
                ago(each["last_at"]),
                ", ".join(f"{runbook} {number}x" for runbook, number in each["by_hand"].items()),
            )
            for each in items
        ],
    )
    wrapped("wk rules suggest --yaml prints a draft for each: it only watches.")
    return Exit.DONE
