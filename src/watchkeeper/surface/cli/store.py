"""What is kept: how large it is and for how long there is room, what went, and taking out what may go."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from watchkeeper.surface.cli.look import LISTED, more, nothing
from watchkeeper.surface.cli.place import Ends, Exit, here
from watchkeeper.surface.cli.words import Column, as_json, at, count, table, wrapped
from watchkeeper.surface.cli.words import size as size_text
from watchkeeper.values import duration_text

KEY: Final = "ledger.key"


def size(*, json: bool = False) -> int:
    """How large the store is, by kind, and for how long there is room."""
    found = here().client().get("/store")
    if json:
        as_json(found)
        return Exit.DONE
    share = found["used"] * 100 // found["disk_max"]
    wrapped(
        f"{size_text(found['bytes'])} on the disk, {size_text(found['used'])} in use: {share} % of store.disk_max "
        f"({size_text(found['disk_max'])}); {count(found['ledger'], 'ledger entry', 'ledger entries')}."
    )
    wrapped(_ahead(found))
    if found["legal_hold"]:
        wrapped("A legal hold (retention.legal_hold) keeps everything: nothing is taken out.")
    table(
        (
            Column(name="kind"),
            Column(name="rows", right=True),
            Column(name="bytes", right=True),
            Column(name="oldest", right=True),
            Column(name="kept for", right=True),
        ),
        [
            (
                each["kind"],
                f"{each['rows']:,}",
                size_text(each["bytes"]),
                at(each["oldest_at"]) if each["oldest_at"] else "",
                "ever" if each["kept_ms"] is None else duration_text(each["kept_ms"]),
            )
            for each in found["kinds"]
        ],
    )
    return Exit.DONE


def gone(*, kind: str = "", limit: int = LISTED, json: bool = False) -> int:
    """What went by retention or by order, newest first.

    Parameters
    ----------
    kind
        Only of this kind, such as situation.
    """
    asked = {"kind": kind}
    found = list(here().client().items("/store/gone", asked, limit=limit))
    if json:
        as_json(found)
        return Exit.DONE
    if not found:
        return nothing("Nothing went", asked, "How long each kind is kept: wk store size")
    table(
        (
            Column(name="kind"),
            Column(name="of"),
            Column(name="rows", right=True),
            Column(name="gone at", right=True),
            Column(name="why", flex=True),
        ),
        [
            (
                each["kind"],
                each["day"] or each["id"].partition(":")[2],
                f"{each['rows']:,}",
                at(each["gone_at"]),
                f"order {each['order']}" if each["order"] else each["why"],
            )
            for each in found
        ],
    )
    more(len(found), limit)
    return Exit.DONE


def backup(to: Path, /, *, with_key: bool = False, json: bool = False) -> int:
    """A consistent copy of everything durable, in one file, while the node goes on. It is looked at in full afterwards.

    Parameters
    ----------
    to
        A file that does not exist yet, or a folder for one.
    with_key
        Put ledger.key into it. Without it keep a copy of that file apart: a store without its key cannot go on.
    """
    target = to / f"watchkeeper-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar" if to.is_dir() else to
    if target.exists():
        raise Ends(Exit.USAGE, f"{target} is there already: name a new file, so that no backup is overwritten")
    try:
        found = _downloaded(target, with_key=with_key)
    except OSError as failed:
        raise Ends(Exit.LATER, f"{failed.filename or target}: cannot be written: {failed.strerror}") from failed
    noted = target.with_name(f"{target.name}.checkpoint")
    size = target.stat().st_size
    if json:
        as_json(
            {
                "file": str(target),
                "bytes": size,
                "checkpoint": str(noted),
                "ledger": found.size,
                "files": sorted(found.files),
            }
        )
        return Exit.DONE
    wrapped(
        f"Wrote {target} ({size_text(size)}), and looked at all of it: {count(found.size, 'ledger entry', 'ledger entries')} lead to its root."
    )
    wrapped(
        "In it: everything durable, with every configuration that was ever applied. Not in it: secrets, the token of the first start."
    )
    if KEY in found.files:
        wrapped(f"{KEY} is in it: whoever has this file can sign another record under the name of this node.")
    else:
        wrapped(f"{KEY} is not in it: keep a copy of .watchkeeper/{KEY} apart, or nothing can go on from this backup.")
    wrapped(f"Its checkpoint stands in {noted}: keep it where the owner of the node cannot change it.")
    return Exit.DONE


def _downloaded(target: Path, *, with_key: bool) -> Any:
    from watchkeeper.bootstrap import keep_backup

    client = here().client()
    return keep_backup(target, lambda file: client.download("/store/backup", {"key": with_key}, file))


def sweep(*, json: bool = False) -> int:
    """Take out now what retention lets go. It happens every hour by itself."""
    found = here().client().post("/store/sweep", {})
    if json:
        as_json(found)
        return Exit.DONE
    rows = ", ".join(f"{rows:,} {kind}" for kind, rows in sorted(found["gone"].items()))
    wrapped(f"Gone: {rows}." if rows else "Nothing is older than it is kept, or what is older is still needed.")
    return Exit.DONE


def _ahead(found: dict[str, object]) -> str:
    match found["room"]:
        case "full":
            return "It is full: hooks answer 503 until there is room. Raise store.disk_max, or shorten retention."
        case "tight":
            return "There is little room: outputs of runs that ended go first."
        case _:
            pass
    days = found["days_left"]
    if days is None:
        return "At the growth of the last week the limit is not in sight, or there is too little history to say."
    return f"At the growth of the last week the limit is reached in {days} days."
