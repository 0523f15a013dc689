"""What was told to people, and what could not be understood."""

from watchkeeper.surface.cli.find import TAIL_LEAST
from watchkeeper.surface.cli.look import LISTED, more, nothing, one_of
from watchkeeper.surface.cli.place import Ends, Exit, here
from watchkeeper.surface.cli.words import Column, as_json, at, count, pairs, safe, say, short, table, wrapped
from watchkeeper.surface.client import Client, segment

LOOKED_AT_MAX: int = 2_000
LETTER_CHARS_SHOWN: int = 4_000


def messages(*, state: str = "", channel: str = "", limit: int = LISTED, json: bool = False) -> int:
    """What was told to people, newest first.

    Parameters
    ----------
    state
        pending, sent, given_up or dropped.
    channel
        webhook or email.
    """
    one_of("state", state, ("pending", "sent", "given_up", "dropped"))
    one_of("channel", channel, ("webhook", "email"))
    asked = {"state": state, "channel": channel}
    found = list(here().client().items("/messages", asked, limit=limit))
    if json:
        as_json(found)
        return Exit.DONE
    if not found:
        return nothing(
            "Nobody was told anything",
            asked,
            "Routes stand under notify.routes in watchkeeper.yaml; try them with: wk notify test",
        )
    table(
        (
            Column(name="at", right=True),
            Column(name="state"),
            Column(name="route", flex=True, spare=True),
            Column(name="tries", right=True, spare=True),
            Column(name="subject", flex=True),
            Column(name="why", flex=True),
        ),
        [
            (
                at(each["at"]),
                each["state"],
                each.get("route") or each["channel"],
                each["attempts"],
                each.get("notice", {}).get("subject"),
                each.get("why"),
            )
            for each in found
        ],
    )
    more(len(found), limit)
    return Exit.DONE


def notify_test(route: str = "", /, *, json: bool = False) -> int:
    """Send a test the way every notice goes.

    Parameters
    ----------
    route
        The name of a route; every route that a critical notice takes without one.
    """
    found = here().client().post("/notify/test", {"route": route})
    if json:
        as_json(found)
        return Exit.DONE if found["routes"] else Exit.NO
    if not found["routes"]:
        raise Ends(Exit.NO, "no route takes a critical notice: see notify.routes in watchkeeper.yaml")
    wrapped(f"Sent over {count(found['routes'], 'route')}. Whether it arrived: wk notify")
    return Exit.DONE


def dead_letters(*, source: str = "", state: str = "open", limit: int = LISTED, json: bool = False) -> int:
    """What could not be understood, newest first.

    Parameters
    ----------
    source
        Only of this source.
    state
        open, replayed or dropped.
    """
    one_of("state", state, ("open", "replayed", "dropped"))
    asked = {"source": source, "state": state}
    found = list(here().client().items("/dead-letters", asked, limit=limit))
    if json:
        as_json(found)
        return Exit.DONE
    if not found:
        return nothing(
            "No dead letters", {"source": source}, "What a source sends and nobody can read would stand here."
        )
    table(
        (
            Column(name="letter"),
            Column(name="at", right=True),
            Column(name="source"),
            Column(name="where", flex=True),
            Column(name="why", flex=True),
        ),
        [
            (
                short(each["id"]),
                at(each.get("at") or each.get("received_at")),
                each.get("source"),
                each.get("path"),
                each.get("why"),
            )
            for each in found
        ],
    )
    more(len(found), limit)
    return Exit.DONE


def dead_letter_show(identity: str, /, *, json: bool = False) -> int:
    """One dead letter, with what was received."""
    found = _letter(here().client(), identity)
    if json:
        as_json(found)
        return Exit.DONE
    pairs(
        [
            ("letter", found["id"]),
            ("at", at(found.get("at") or found.get("received_at"))),
            ("source", found.get("source")),
            ("delivery", found.get("delivery")),
            ("where", found.get("path")),
            ("why", found.get("why")),
        ]
    )
    raw = found.get("raw") or found.get("text") or found.get("excerpt") or found.get("body")
    if raw:
        say()
        wrapped(safe(str(raw)[:LETTER_CHARS_SHOWN]), "  ")
    say()
    say(f"After what was wrong is mended: wk dead-letters replay {short(found['id'])}")
    return Exit.DONE


def dead_letter_replay(identity: str, /, *, json: bool = False) -> int:
    """Read it again, after what was wrong was mended."""
    client = here().client()
    letter = _letter(client, identity)
    found = client.post(f"/dead-letters/{segment(str(letter['id']))}/replay", {})
    if json:
        as_json(found)
        return Exit.DONE
    wrapped("It could be read. What it says is judged as it is now.")
    return Exit.DONE


def dead_letter_drop(identity: str, /, *, reason: str = "", json: bool = False) -> int:
    """Let it go, with a reason for the record."""
    if not reason.strip():
        raise Ends(Exit.USAGE, "say why, for the record: --reason '...'")
    client = here().client()
    letter = _letter(client, identity)
    found = client.post(f"/dead-letters/{segment(str(letter['id']))}/drop", {"reason": reason})
    if json:
        as_json(found)
        return Exit.DONE
    wrapped(f"Dropped {short(letter['id'])}.")
    return Exit.DONE


def _letter(client: Client, text: str) -> dict[str, object]:
    tail = text.rpartition("_")[2].removeprefix("…").removeprefix("~")
    if len(tail) < TAIL_LEAST:
        raise Ends(Exit.USAGE, f"{text!r} is too short: give at least its last {TAIL_LEAST} characters")
    for state in ("open", "replayed", "dropped"):
        for each in client.items("/dead-letters", {"state": state}, limit=LOOKED_AT_MAX):
            if each["id"] == text or each["id"].endswith(tail):
                return {**each, "state": state}
    raise Ends(Exit.NO, f"no dead letter {text!r}: wk dead-letters lists them")
