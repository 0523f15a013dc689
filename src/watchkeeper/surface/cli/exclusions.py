"""The exclusion register: what automation never touches, whether a rule could get there, and the whole for auditors."""

from pathlib import Path

from watchkeeper.surface.cli.look import LISTED, more, nothing
from watchkeeper.surface.cli.place import Ends, Exit, here
from watchkeeper.surface.cli.words import (
    Column,
    as_json,
    at,
    bare,
    count,
    mark,
    pairs,
    safe,
    say,
    scope,
    short,
    table,
    tell,
    wrapped,
)
from watchkeeper.surface.client import segment

FORMATS = ("json", "csv")


def exclusions(*, json: bool = False) -> int:
    """The register: how each exclusion stands, and how many decisions it stopped."""
    found = here().client().get("/exclusions")["items"]
    if json:
        as_json(found)
        return Exit.DONE
    if not found:
        return nothing("No exclusions", {}, "They stand in exclusions.yaml.")
    table(
        (
            Column(name="exclusion"),
            Column(name="state", styled=True),
            Column(name="scope", flex=True),
            Column(name="control", flex=True),
            Column(name="stopped", right=True),
            Column(name="until", right=True),
            Column(name="owner", flex=True, spare=True),
            Column(name="reached by", flex=True, spare=True),
        ),
        [
            (
                each["id"],
                each["state"],
                scope(each["scope"]),
                each["control"],
                each["stopped"],
                at(each["until_at"]),
                bare(each["owner"]),
                ", ".join(each["reached_by"]),
            )
            for each in found
        ],
    )
    late = [each["id"] for each in found if each["state"] in {"expired", "review_due"}]
    if late:
        wrapped(f"Renew or remove: {', '.join(late)}. What has expired binds all the same.")
    return Exit.DONE


def show(identity: str, /, *, limit: int = LISTED, json: bool = False) -> int:
    """One exclusion, and the newest decisions that it stopped.

    Parameters
    ----------
    identity
        The exclusion's id, for example X-12.
    """
    client = here().client()
    found = client.get(f"/exclusions/{segment(identity)}")
    decisions = list(client.items(f"/exclusions/{segment(identity)}/decisions", limit=limit))
    if json:
        as_json({**found, "decisions": decisions})
        return Exit.DONE
    pairs(
        [
            ("exclusion", found["id"]),
            ("state", mark(found["state"])),
            ("scope", scope(found["scope"])),
            ("control", found["control"]),
            ("criterion", found["criterion"]),
            ("reason", found["reason"]),
            ("owner", found["owner"]),
            ("approver", found["approver"]),
            ("from", at(found["from_at"])),
            ("review", at(found["review_at"])),
            ("until", at(found["until_at"])),
            ("instead", found["compensating"]),
            ("stopped", count(found["stopped"], "decision")),
            ("reached by", ", ".join(found["reached_by"])),
        ]
    )
    if decisions:
        say()
        table(
            (
                Column(name="at", right=True),
                Column(name="decision"),
                Column(name="verdict", styled=True),
                Column(name="rule", flex=True),
                Column(name="target", flex=True),
                Column(name="actor", spare=True),
            ),
            [
                (at(each["at"]), short(each["id"]), each["verdict"], each["rule"], bare(each["target"]), each["actor"])
                for each in decisions
            ],
        )
        more(len(decisions), limit)
    return Exit.DONE


def prove(*, json: bool = False) -> int:
    """Can an enabled rule be led to what is excluded? Exit code 1 when one can, with the witness.

    Parameters
    ----------
    json
        Print the proof as it is.
    """
    found = here().client().get("/exclusions/proof")
    code = Exit.DONE if found["holds"] else Exit.NO
    if json:
        as_json(found)
        return code
    for sentence in found["sentences"]:
        wrapped(safe(sentence), "    ", first="  - ")
    held = f"{count(found['rules'], 'enabled rule')} against {count(found['exclusions'], 'exclusion')}"
    if found["holds"]:
        wrapped(f"{held}: none can be led to what is excluded, whatever fires.")
    else:
        met = count(len(found["witnesses"]), "pair meets", "pairs meet")
        wrapped(f"{held}: {met}. Bound them with target.within; the guard refuses it all the same.")
    return code


def export(
    *,
    format: str = "json",  # noqa: A002  the word of the flag
    since: str = "",
    until: str = "",
    out: Path | None = None,
    json: bool = False,
) -> int:
    """Each exclusion and every decision that it stopped, for auditors. Exit code 1 when it does not agree with the decisions.

    Parameters
    ----------
    format
        json or csv.
    since
        Decisions from this instant on, for example 2026-01-01T00:00:00Z.
    until
        Decisions before this instant.
    out
        Write it to this file.
    json
        As --format json.
    """
    wanted = "json" if json else format
    if wanted not in FORMATS:
        raise Ends(Exit.USAGE, f"--format {format}: is none of {', '.join(FORMATS)}")
    client, asked = here().client(), {"since": since, "until": until}
    found = client.get("/exclusions/export", {name: value for name, value in asked.items() if value})
    if wanted == "csv":
        import msgspec

        from watchkeeper.report.register import Export, csv_of

        text = csv_of(msgspec.convert(found, Export))
    else:
        text = _pretty(found)
    if out is None:
        print(text, end="")
    else:
        try:
            out.write_text(text, encoding="utf-8", newline="")
        except OSError as failed:
            raise Ends(Exit.LATER, f"{out}: cannot be written: {failed.strerror}") from failed
        tell(
            f"Wrote {count(len(found['exclusions']), 'exclusion')} and {count(found['reconciled']['listed'], 'decision')} "
            f"to {out}."
        )
    told = found["reconciled"]
    for what, names in (("are missing here", told["missing"]), ("have no entry in the ledger", told["unledgered"])):
        if names:
            tell(f"{count(len(names), 'decision')} that an exclusion refused {what}: {', '.join(names[:5])}.")
    return Exit.DONE if found["agrees"] else Exit.NO


def _pretty(found: object) -> str:
    import msgspec

    return msgspec.json.format(msgspec.json.encode(found)).decode() + "\n"
