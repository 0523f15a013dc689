"""Past decisions, made again: the record is what the engine decides, or exactly where it is not. With another folder:
what its rules would have decided.
"""

import base64
from collections import Counter
from pathlib import Path
from typing import Any

from watchkeeper.surface.cli.find import whole
from watchkeeper.surface.cli.place import Ends, Exit, here, looked_back
from watchkeeper.surface.cli.progress import progress
from watchkeeper.surface.cli.words import as_json, at, bare, brief, count, mark, safe, short, style, wrapped
from watchkeeper.surface.client import segment

LOOKED_AT: int = 100
TRIED_MAX: int = 10_000
PAGE: int = 200
ANSWER_WITHIN_S: float = 600.0  # a page of history, and the folder compiled before it
SHOWN_MAX: int = 200  # differences printed; --json has all of them
KINDS = (
    ("differs", "Would have been decided otherwise"),
    ("lost", "Would not have been decided"),
    ("new", "Would have been decided, and were not"),
    ("engine", "Decided otherwise by this release, whatever the rules"),
)


def replay(
    identity: str = "",
    /,
    *,
    with_: Path | None = None,
    rule: str = "",
    days: int = 30,
    limit: int = 0,
    json: bool = False,
) -> int:
    """Decide past decisions again from their records and compare. Exit code 1 when one differs.

    Parameters
    ----------
    identity
        One decision; the newest ones without it.
    with_
        A folder: decide them under its rules instead, and list what would have been otherwise. The home itself, for
        what is edited and not applied.
    rule
        Only decisions of this rule.
    days
        With --with: how far back.
    limit
        How many of the newest: 100, or 10,000 with --with.
    """
    if with_ is not None:
        if identity:
            raise Ends(Exit.USAGE, "give a decision or --with, not both: --with looks at all of them")
        return _with(with_, rule, looked_back(days), limit or TRIED_MAX, json=json)
    limit = limit or LOOKED_AT
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


def _with(folder: Path, rule: str, days: int, limit: int, *, json: bool) -> int:
    from watchkeeper import bootstrap

    files = bootstrap.read_home(folder)
    client = here().client(timeout_s=ANSWER_WITHIN_S)
    body: dict[str, Any] = {
        "files": {path: base64.b64encode(data).decode() for path, data in files.items()},
        "rule": rule,
        "days": days,
    }
    whole = Whole(limit)
    with progress(lambda: f"deciding again: {whole.looked_at:,} decisions, {whole.alerts:,} alerts"):
        while whole.wants:
            whole.add(client.post("/history/try", {**body, "after": whole.after, "limit": whole.page}, asks=True))
    if json:
        as_json(whole.data())
        return Exit.NO if whole.items else Exit.DONE
    _told(whole, folder)
    return Exit.NO if whole.items else Exit.DONE


class Whole:
    """All pages as one. After `limit` decisions it goes on to the alerts, and looks at as many of them."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.looked_at = self.same = self.passed_over = self.alerts = 0
        self.cannot: Counter[str] = Counter()
        self.items: list[dict[str, Any]] = []
        self.after = ""
        self.cut = False
        self.wants = True
        self._first: dict[str, Any] = {}

    @property
    def page(self) -> int:
        done = self.alerts if self.after.startswith("alerts:") else self.looked_at
        return max(1, min(PAGE, self._limit - done))

    def add(self, page: dict[str, Any]) -> None:
        self._first = self._first or page
        self.looked_at += page["looked_at"]
        self.same += page["same"]
        self.passed_over += page["passed_over"]
        self.alerts += page["alerts"]
        self.cannot.update(page["cannot"])
        self.items.extend(page["items"])
        self.after = page["next"] or ""
        if self.after.startswith("decisions:") and self.looked_at >= self._limit:
            self.after, self.cut = "alerts:", True
        elif self.after.startswith("alerts:") and self.alerts >= self._limit:
            self.after, self.cut = "", True
        self.wants = bool(self.after)

    def data(self) -> dict[str, Any]:
        return {
            "configuration": self._first["configuration"],
            "since": self._first["since"],
            "looked_at": self.looked_at,
            "same": self.same,
            "passed_over": self.passed_over,
            "cannot_judge": sum(self.cannot.values()),
            "cannot": dict(self.cannot.most_common()),
            "alerts": self.alerts,
            "cut": self.cut,
            "items": self.items,
        }


def _told(whole: Whole, folder: Path) -> None:
    unjudged = sum(whole.cannot.values())
    since = at(whole.data()["since"])
    if not whole.looked_at and not whole.alerts:
        wrapped(f"No decisions since {since}: there is no history to try {safe(folder)} against.")
        return
    counted = {kind: sum(each["kind"] == kind for each in whole.items) for kind, _ in KINDS}
    wrapped(
        style(
            f"{count(whole.looked_at, 'decision')} since {since}: {whole.same:,} the same, {counted['differs']:,} "
            f"otherwise, {counted['lost']:,} not made; {counted['new']:,} new. "
            f"Cannot judge: {unjudged:,} of {whole.looked_at:,}.",
            "bold",
        )
    )
    if whole.passed_over:
        wrapped(f"{count(whole.passed_over, 'decision')} passed over: people's own runs.", "    ", first="  ")
    if whole.cut:
        wrapped("There is more history than --limit: the newest part was looked at.", "    ", first="  ")
    for kind, title in KINDS:
        found = [each for each in whole.items if each["kind"] == kind]
        if found:
            wrapped(style(title, "bold"))
        for each in found[:SHOWN_MAX]:
            _difference(each)
        if len(found) > SHOWN_MAX:
            wrapped(f"and {len(found) - SHOWN_MAX:,} more: --json has all of them", "    ", first="  ")
    for why, number in whole.cannot.most_common():
        wrapped(f"cannot judge {number:,}: {safe(why)}", "    ", first="  ")


def _difference(each: dict[str, Any]) -> None:
    who = short(each["decision"]) if each.get("decision") else "no decision"
    where = ", ".join(bare(target) for target in each["targets"]) or safe(each["name"])
    wrapped(
        f"{at(each['at'])}  {who}  {safe(each['rule'])} on {where}: {_verdict(each['was'])} -> {_verdict(each['now'])}",
        "      ",
        first="  ",
    )
    wrapped(brief(each["why"]), "      ", first="      ")


def _verdict(word: str) -> str:
    """With its shape; that there would be no decision has none."""
    return word if word == "none" else mark(word)
