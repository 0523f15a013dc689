"""Things by the name a person has: a full id, or the short one that a listing shows (`dec_…c3f8e1`, `c3f8e1`)."""

from typing import Any, Final

from watchkeeper.surface.cli.place import Ends, Exit, here
from watchkeeper.surface.cli.words import short
from watchkeeper.surface.client import Client, Problem, segment

LOOKED_AT_MAX: Final = 2_000  # newest items that a short id is looked for in
TAIL_LEAST: Final = 4
_FULL: Final = 36  # characters of a uuid

LISTS: Final = {
    "dec": "/decisions",
    "run": "/runs",
    "apr": "/approvals",
    "crd": "/cards",
    "inc": "/incidents",
    "alr": "/alerts",
    "hld": "/holds",
    "frz": "/freezes",
    "stp": "/stops",
    "grt": "/grants",
    "brk": "/breakers",
    "brd": "/brakes",
    "dmt": "/demotions",
}


def whole(client: Client, path: str, text: str, noun: str) -> str:
    """The full id. Raises Ends when nothing, or more than one thing, ends so."""
    prefix, mid, rest = text.partition("_")
    tail = (rest if mid else text).removeprefix("…").removeprefix("~").removeprefix("...")
    if mid and len(rest) >= _FULL:
        return text
    if len(tail) < TAIL_LEAST:
        raise Ends(
            Exit.USAGE,
            f"{text!r} is too short for the id of {_a(noun)}: give at least its last {TAIL_LEAST} characters",
        )
    found = [
        each["id"]
        for each in client.items(path, limit=LOOKED_AT_MAX)
        if each["id"].endswith(tail) and (not mid or each["id"].startswith(f"{prefix}_"))
    ]
    if len(found) == 1:
        return str(found[0])
    if not found:
        raise Ends(
            Exit.NO, f"no {noun} {text!r} among the newest {LOOKED_AT_MAX:,}: give its full id (--json shows it)"
        )
    raise Ends(Exit.NO, f"{len(found)} {noun}s end in {tail!r}: give the full id, one of {', '.join(found[:4])}")


def one(path: str, text: str, noun: str) -> tuple[Client, str, Any]:
    """The client, the full id and the document."""
    client = here().client()
    identity = whole(client, path, text, noun)
    try:
        return client, identity, client.get(f"{path}/{segment(identity)}")
    except Problem as said:
        if said.status == 404:
            raise Ends(
                Exit.NO, f"no {noun} {short(identity) if '_' in identity else identity}: wk {path[1:]} lists them"
            ) from said
        raise


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
