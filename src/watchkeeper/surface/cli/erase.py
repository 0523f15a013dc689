"""Erasing content by order: first what would go, then, with --yes, exactly that."""

from typing import Any

from watchkeeper.surface.cli.find import known
from watchkeeper.surface.cli.place import Ends, Exit, here
from watchkeeper.surface.cli.words import as_json, count, say, short, wrapped


def erase(
    *ids: str,
    subject: str = "",
    query: tuple[str, ...] = (),
    kind: str = "",
    source: str = "",
    before: str = "",
    reason: str = "",
    yes: bool = False,
    json: bool = False,
) -> int:
    """Erase content by order. Without --yes nothing goes: it shows how much would.

    Parameters
    ----------
    ids
        Ids of incidents, alerts, signals, decisions, runs and others, each with what belongs to it; a number is that of a
        ledger entry.
    subject
        A text, for example a name or an address: whatever holds it, anywhere.
    query
        A label as NAME=VALUE, given again for each: the signals and alerts that carry all of them, with what belongs to them.
    kind
        All of a kind, with --source or --before: signal, dead_letter, message and so on.
    source
        With --kind: only of this source.
    before
        With --kind: only what began before, for example 2026-03-01T00:00:00Z.
    reason
        Why; it stays in the ledger for ever, so do not repeat there what is to be erased.
    yes
        Erase what is shown.
    """
    labels = dict(_label(each) for each in query)
    client = here().client()
    asked: dict[str, Any] = {
        "subject": subject,
        "ids": [known(client, each) for each in ids],
        "labels": labels,
        "kind": kind,
        "source": source,
        "before": before,
    }
    if yes and not reason.strip():
        raise Ends(Exit.USAGE, "say why, for the record: --reason '...'")
    found = client.post("/erase", asked)
    if not found["counts"]:
        if json:
            as_json(found)
            return Exit.NO
        _stays(found)
        wrapped("Nothing to erase.")
        return Exit.NO
    if not yes:
        if json:
            as_json(found)
            return Exit.DONE
        _shown(found["counts"])
        _stays(found)
        wrapped("Nothing was erased. To erase exactly this: the same again with --reason '...' --yes")
        return Exit.DONE
    done = client.post("/erase", {**asked, "digest": found["digest"], "reason": reason})
    if json:
        as_json(done)
        return Exit.DONE
    _shown(done["counts"])
    _stays(found)
    wrapped(
        f"Erased by order {short(done['id'])}, which stays in the ledger. Backups and exports made before still hold it."
    )
    return Exit.DONE


def _label(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name.strip() or not value.strip():
        raise Ends(Exit.USAGE, f"--query {text}: expected a label as NAME=VALUE, for example customer=4711")
    return name.strip(), value.strip()


def _shown(counts: dict[str, int]) -> None:
    for kind, rows in counts.items():
        say(f"  {rows:>8,}  {'contents of ledger entries' if kind == 'content' else kind}")


def _stays(found: dict[str, Any]) -> None:
    stays = found["stays"]
    if not stays:
        return
    wrapped(f"{count(len(stays), 'document')} would stay:")
    for each in stays[:10]:
        say(f"  {each['kind']} {short(each['id'])}: {each['why']}")
