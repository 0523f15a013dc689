"""Past decisions, made again: the record is what the engine decides, or exactly where it is not."""

from typing import Any

from watchkeeper.surface.cli.find import whole
from watchkeeper.surface.cli.place import Exit, here
from watchkeeper.surface.cli.progress import progress
from watchkeeper.surface.cli.words import as_json, count, mark, safe, short, style, wrapped
from watchkeeper.surface.client import segment

LOOKED_AT: int = 100


def replay(identity: str = "", /, *, rule: str = "", limit: int = LOOKED_AT, json: bool = False) -> int:
    """Decide past decisions again from their records and compare. Exit code 1 when one differs.

    Parameters
    ----------
    identity
        One decision; the newest ones without it.
    rule
        Only decisions of this rule.
    limit
        How many of the newest.
    """
    client = here().client()
    if identity:
        wanted = [whole(client, "/decisions", identity, "decision")]
    else:
        wanted = [str(each["id"]) for each in client.items("/decisions", {"rule": rule}, limit=limit)]
    found: list[dict[str, Any]] = []
    with progress(lambda: f"replaying: {len(found):,} of {len(wanted):,} decisions"):
        found.extend(client.get(f"/decisions/{segment(each)}/replay") for each in wanted)
    differs = [each for each in found if each["outcome"] == "differs"]
    if json:
        as_json(found)
        return Exit.NO if differs else Exit.DONE
    if not found:
        wrapped("No decisions to replay.")
        return Exit.DONE
    unjudged = [each for each in found if each["outcome"] == "cannot judge"]
    same = len(found) - len(differs) - len(unjudged)
    parts = [f"{same} of {count(len(found), 'decision')} the same"]
    if differs:
        parts.append(f"{len(differs)} differ" if len(differs) > 1 else "1 differs")
    if unjudged:
        parts.append(f"cannot judge {len(unjudged)}")
    wrapped(style(f"{', '.join(parts)}.", "bold"))
    for each in differs:
        wrapped(f"{short(each['decision'])} {mark(each['verdict'])} differs:", "    ", first="  ")
        for difference in each["differences"]:
            wrapped(
                f"{safe(difference['what'])}: was {safe(difference['was'])}, now {safe(difference['now'])} (because of "
                f"the {difference['cause']})",
                "        ",
                first="    - ",
            )
    for why in dict.fromkeys(each["why"] for each in unjudged):
        number = sum(each["why"] == why for each in unjudged)
        wrapped(f"cannot judge {number}: {safe(why)}", "    ", first="  ")
    return Exit.NO if differs else Exit.DONE
