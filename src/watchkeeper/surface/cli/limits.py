"""Holds, freezes, stops: what people set so that automation waits or ends."""

from typing import Any, Final

from watchkeeper.surface.cli.find import whole
from watchkeeper.surface.cli.look import LISTED, more, nothing
from watchkeeper.surface.cli.place import Ends, Exit, here
from watchkeeper.surface.cli.words import Column, as_json, at, count, left, safe, scope, short, table, wrapped
from watchkeeper.surface.client import Client, segment

SCOPES: Final = ("environment", "system", "region", "kind", "tier", "entity", "service", "rule")


def stop(*, scope: tuple[str, ...] = (), now: bool = False, reason: str = "", json: bool = False) -> int:
    """Stop automation. Once this returns, no new effect can begin. Watching, deciding and recording go on.

    Parameters
    ----------
    scope
        A part, name=value: environment, system, region, kind, tier, entity, service or rule. Without one: everything.
    now
        Stop runs before their next effect, not at their next safe point.
    reason
        Why, for the record.
    """
    _reasoned(reason)
    found = here().client().post("/stops", {"scope": scope_of(scope), "reason": reason, "now": now})
    if json:
        as_json(found)
        return Exit.DONE
    wrapped(f"Stopped {_on(found)}. Nothing there acts until somebody says: wk resume {short(found['id'])}")
    return Exit.DONE


def resume(identity: str = "", /, *, after_restore: bool = False, reason: str = "", json: bool = False) -> int:
    """End a stop, or what a restore holds.

    Parameters
    ----------
    identity
        The stop's id; not needed when only one is in force.
    after_restore
        Let automation go on after a restore, once somebody looked at what the backup does not know.
    reason
        Why, for the record.
    """
    _reasoned(reason)
    client = here().client()
    if after_restore:
        return _after_restore(client, reason, json=json)
    if identity:
        full = whole(client, "/stops", identity, "stop")
    else:
        standing = list(client.items("/stops", {"state": "open"}, limit=20))
        if not standing:
            raise Ends(Exit.NO, "nothing is stopped")
        if len(standing) > 1:
            listed = "; ".join(f"{short(each['id'])} ({_on(each)})" for each in standing)
            raise Ends(Exit.USAGE, f"{len(standing)} stops are in force, say which: {listed}")
        full = str(standing[0]["id"])
    found = client.post(f"/stops/{segment(full)}/resume", {"reason": reason})
    if json:
        as_json(found)
        return Exit.DONE
    wrapped(f"Resumed {_on(found)}. What was held is decided afresh, never replayed.")
    return Exit.DONE


def _after_restore(client: Client, reason: str, *, json: bool) -> int:
    client.post("/store/resume", {"reason": reason})
    doubted = len(list(client.items("/runs", {"status": "in_doubt"}, limit=1_000)))
    if json:
        as_json({"resumed": True, "in_doubt": doubted})
        return Exit.DONE
    wrapped("Automation goes on. What was held is decided afresh, never replayed.")
    if doubted:
        wrapped(f"{count(doubted, 'run')} in doubt still: wk runs --status in_doubt")
    return Exit.DONE


def holds(*, state: str = "open", limit: int = LISTED, json: bool = False) -> int:
    """Holds: automation keeps its hands off while people work.

    Parameters
    ----------
    state
        open, closed or any.
    """
    return _listing(
        "/holds",
        "hold",
        state,
        limit,
        json=json,
        teach="Set one with: wk hold set --scope service=NAME --for 1h --reason ...",
    )


def hold_set(*, scope: tuple[str, ...], for_: str = "", until: str = "", reason: str = "", json: bool = False) -> int:
    """Set a hold: automation waits there.

    Parameters
    ----------
    scope
        name=value, for example service=web; give it again to narrow.
    for_
        How long, for example 1h.
    until
        Or until when, for example 2026-03-01T10:00:00Z.
    """
    _reasoned(reason)
    _span(for_, until)
    body = {"scope": scope_of(scope), "reason": reason, **({"for": for_} if for_ else {"until": until})}
    found = here().client().post("/holds", body)
    if json:
        as_json(found)
        return Exit.DONE
    wrapped(
        f"Held {_on(found)} until {at(found['until_at'])} ({short(found['id'])}). End it with: wk hold lift {short(found['id'])}"
    )
    return Exit.DONE


def hold_extend(identity: str, /, *, for_: str = "", until: str = "", json: bool = False) -> int:
    """Let a hold last longer.

    Parameters
    ----------
    for_
        How long from now, for example 1h.
    until
        Or until when.
    """
    _span(for_, until)
    client = here().client()
    full = whole(client, "/holds", identity, "hold")
    found = client.post(f"/holds/{segment(full)}/extend", {"for": for_} if for_ else {"until": until})
    if json:
        as_json(found)
        return Exit.DONE
    wrapped(f"Held {_on(found)} until {at(found['until_at'])}.")
    return Exit.DONE


def hold_lift(identity: str, /, *, reason: str = "", json: bool = False) -> int:
    """End a hold now."""
    return _lift("/holds", "hold", identity, reason, json=json)


def freezes(*, state: str = "open", limit: int = LISTED, json: bool = False) -> int:
    """Change freezes. In one, automation asks, and only an emergency approval answers.

    Parameters
    ----------
    state
        open, closed or any.
    """
    return _listing(
        "/freezes",
        "freeze",
        state,
        limit,
        json=json,
        teach="Set one with: wk freeze set --scope system=NAME --for 3d --reason ...",
    )


def freeze_set(
    *, scope: tuple[str, ...], from_: str = "", for_: str = "", until: str = "", reason: str = "", json: bool = False
) -> int:
    """Set a freeze.

    Parameters
    ----------
    scope
        name=value, for example system=payments; give it again to narrow.
    from_
        From when, for example 2026-12-23T18:00:00Z; now without it.
    for_
        How long, for example 3d.
    until
        Or until when.
    """
    _reasoned(reason)
    _span(for_, until)
    body: dict[str, Any] = {"scope": scope_of(scope), "reason": reason, **({"for": for_} if for_ else {"until": until})}
    if from_:
        body["from"] = from_
    found = here().client().post("/freezes", body)
    if json:
        as_json(found)
        return Exit.DONE
    wrapped(f"Froze {_on(found)} from {at(found['from_at'])} until {at(found['until_at'])} ({short(found['id'])}).")
    return Exit.DONE


def freeze_lift(identity: str, /, *, reason: str = "", json: bool = False) -> int:
    """End a freeze now."""
    return _lift("/freezes", "freeze", identity, reason, json=json)


def scope_of(given: tuple[str, ...]) -> dict[str, str]:
    """`name=value` words as a scope. A word alone is an entity. Raises Ends."""
    found: dict[str, str] = {}
    for word in given:
        name, equals, value = word.partition("=")
        if not equals:
            name, value = "entity", word
        if name not in SCOPES or not value:
            raise Ends(Exit.USAGE, f"--scope {word}: write name=value, name one of {', '.join(SCOPES)}")
        if name in found:
            raise Ends(Exit.USAGE, f"--scope {name}: given twice; a scope names each at most once")
        found[name] = value
    return found


def _listing(path: str, noun: str, state: str, limit: int, *, json: bool, teach: str) -> int:
    asked = {"state": "" if state == "any" else state}
    found = list(here().client().items(path, asked, limit=limit))
    if json:
        as_json(found)
        return Exit.DONE
    if not found:
        return nothing(f"No {noun}s" if state == "any" else f"No {noun} is in force", {}, teach)
    table(
        (
            Column(name=noun),
            Column(name="on", flex=True),
            Column(name="from", right=True, spare=True),
            Column(name="until", right=True),
            Column(name="left", right=True),
            Column(name="by", spare=True),
            Column(name="reason", flex=True),
        ),
        [
            (
                short(each["id"]),
                scope(each["scope"]),
                at(each.get("from_at")),
                at(each["until_at"]),
                "lifted" if each.get("lifted_at") else left(each["until_at"]),
                each["by"],
                each["reason"],
            )
            for each in found
        ],
    )
    more(len(found), limit)
    return Exit.DONE


def _lift(path: str, noun: str, identity: str, reason: str, *, json: bool) -> int:
    client = here().client()
    full = whole(client, path, identity, noun)
    found = client.post(f"{path}/{segment(full)}/lift", {"reason": reason})
    if json:
        as_json(found)
        return Exit.DONE
    wrapped(f"Lifted the {noun} on {_on(found)}. What it held is decided afresh.")
    return Exit.DONE


def _on(found: dict[str, Any]) -> str:
    return safe(scope(found.get("scope")))


def _reasoned(reason: str) -> None:
    if not reason.strip():
        raise Ends(Exit.USAGE, "say why, for the record: --reason '...'")


def _span(for_: str, until: str) -> None:
    if bool(for_) == bool(until):
        raise Ends(Exit.USAGE, "say how long: either --for 1h or --until 2026-03-01T10:00:00Z")
