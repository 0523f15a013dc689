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
# path -> what one of them is called, and the command that lists them
_SHOWN: Final = {
    "/decisions": ("decision", "wk decisions"),
    "/runs": ("run", "wk runs"),
    "/approvals": ("approval", "wk approvals"),
    "/cards": ("card", "wk approvals cards"),
    "/incidents": ("incident", "wk incidents"),
    "/alerts": ("alert", "wk alerts"),
    "/holds": ("hold", "wk hold"),
    "/freezes": ("freeze", "wk freeze"),
    "/stops": ("stop", "wk status"),
    "/grants": ("grant", "wk autonomy grants"),
    "/breakers": ("breaker", "wk breakers"),
    "/brakes": ("brake", "wk breakers"),
    "/demotions": ("demotion", "wk autonomy demotions"),
}


def whole(client: Client, path: str, text: str, noun: str) -> str:
    """The full id. Raises Ends when nothing, or more than one thing, ends so."""
    prefix, mid, rest = text.partition("_")
    tail = (rest if mid else text).removeprefix("…").removeprefix("~").removeprefix("...")
    _kind(prefix if mid else "", path, text, noun)
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


def known(client: Client, text: str) -> str:
    """The full id of a short one that says its kind (`dec_…c3f8e1`); anything else as it is. Raises Ends."""
    prefix, mid, rest = text.partition("_")
    if not mid or prefix not in LISTS or len(rest) >= _FULL:
        return text
    return whole(client, LISTS[prefix], text, _SHOWN[LISTS[prefix]][0])


def _kind(prefix: str, path: str, text: str, noun: str) -> None:
    """An id of another kind is never found here, however long one looks. Raises Ends."""
    own = LISTS.get(prefix, path)
    if own != path and path in _SHOWN:
        other, _ = _SHOWN[own]
        raise Ends(
            Exit.USAGE, f"{text!r} is the id of {_a(other)}, not of {_a(noun)}: {_SHOWN[path][1]} lists what there is"
        )


def one(path: str, text: str, noun: str) -> tuple[Client, str, Any]:
    """The client, the full id and the document."""
    client = here().client()
    identity = whole(client, path, text, noun)
    try:
        return client, identity, client.get(f"{path}/{segment(identity)}")
    except Problem as said:
        if said.status == 404:
            lists = _SHOWN[path][1] if path in _SHOWN else f"wk {path[1:]}"
            raise Ends(
                Exit.NO, f"no {noun} {short(identity) if '_' in identity else identity}: {lists} lists them"
            ) from said
        raise


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
