"""Retention: how long each kind of content is kept, when its time begins, and what stays where it was.

In: a stored row and what is still needed. Out: whether it may go. A tombstone (one a kind and day, or one a document
that went by order) says afterwards that something was there, how long it was kept, and since when it is gone.
Source: SEMANTICS 13.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final

from msgspec import Struct

from watchkeeper.approve.approval import Approval, State
from watchkeeper.approve.people import Grant
from watchkeeper.correlate.alert import Alert
from watchkeeper.correlate.incident import Incident
from watchkeeper.correlate.muted import Muted
from watchkeeper.correlate.track import Track
from watchkeeper.decide.decision import Decision
from watchkeeper.engine.answer import No, missing, went
from watchkeeper.engine.records import (
    ChangeRecord,
    Feedback,
    Heard,
    Message,
    Note,
    RunRecord,
    SilenceRecord,
    Tombstone,
    Waiting,
    read,
)
from watchkeeper.guards.situation import Freeze, Hold, Stop
from watchkeeper.home.settings import Retention
from watchkeeper.ledger.entry import read as read_entry
from watchkeeper.ports import Row, Store
from watchkeeper.signals.signal import DeadLetter, Signal
from watchkeeper.values import EPOCH, Instant, after_ms, duration_text, id_time


class Keeps(StrEnum):
    """Which setting of `retention:` keeps a kind."""

    SIGNALS = "signals"
    OUTPUTS = "outputs"
    SITUATIONS = "situations"
    EVER = "ever"


KEPT_BY: Final[dict[str, Keeps]] = {
    **dict.fromkeys(("signal", "dead_letter", "delivery", "track", "heard"), Keeps.SIGNALS),
    **dict.fromkeys(("message", "output"), Keeps.OUTPUTS),
    **dict.fromkeys(
        (
            *("decision", "situation", "judged", "proposal", "approval", "run", "journal", "incident", "alert"),
            *("note", "feedback", "hold", "freeze", "stop", "grant", "change"),
        ),
        Keeps.SITUATIONS,
    ),
}
SWEPT: Final = (  # in this order: what points to another goes before it
    *("signal", "dead_letter", "track", "message", "feedback", "note", "approval", "proposal", "run", "decision"),
    *("incident", "alert", "hold", "freeze", "stop", "grant", "change", "heard"),
)
LEDGERED: Final = frozenset({"decision", "run"})  # kinds of which the ledger has entries
GONE: Final = "gone"  # the one name in an output that went


class Needed(Struct, frozen=True, kw_only=True):
    """What an open run, a held proposal, a firing alert, an open incident or an unexpired claim rests on."""

    runs: frozenset[str]
    decisions: frozenset[str]
    alerts: Callable[[str], bool]
    incidents: Callable[[str], bool]
    signals: frozenset[str] = frozenset()
    tracks: Callable[[str, str], bool] = lambda _group, _fingerprint: False
    muted: Callable[[Muted], bool] = lambda _: False


def keep_ms(retention: Retention, kind: str) -> int | None:
    """None: for ever."""
    match KEPT_BY.get(kind, Keeps.EVER):
        case Keeps.SIGNALS:
            return retention.signals_ms
        case Keeps.OUTPUTS:
            return retention.outputs_ms
        case Keeps.SITUATIONS:
            return retention.situations_ms
        case Keeps.EVER:
            return None


def day_of(at: Instant) -> str:
    return at.strftime("%Y-%m-%d")


def may_go(kind: str, row: Row, cutoff_at: Instant, needed: Needed) -> bool:
    """Whether its time is over and nothing open rests on it."""
    document_type, over, rests = _RULES[kind]
    document = read(row, document_type)
    over_at = over(document)
    return over_at is not None and over_at < cutoff_at and not rests(document, needed)


def sentence(tombstone: Tombstone) -> str:
    """`kept for 400d, gone since 2027-02-06T10:00Z`: what a person reads where something was."""
    since = f"gone since {tombstone.gone_at:%Y-%m-%dT%H:%MZ}"
    if tombstone.order:
        return f"erased by order {tombstone.order}, {since}"
    began = f"{tombstone.day}T00:00:00+00:00"
    until = day_of(after_ms(Instant.fromisoformat(began), tombstone.kept_ms))
    return f"kept for {duration_text(tombstone.kept_ms)}, until {until}; {since} ({tombstone.why})"


async def gone(store: Store, kind: str, identity: str) -> str:
    """What became of a document that is not there; "" when nothing says that it ever was."""
    names = [f"{kind}:{identity}"]
    at = id_time(identity)
    if at is not None:
        names.append(f"{kind}:{day_of(at)}")
    for name in names:
        row = await store.get("tombstone", name)
        if row is not None:
            return sentence(read(row, Tombstone))
    return ""


def stays(kind: str, row: Row, needed: Needed) -> str:
    """Why an order of erasure passes it over; "" when it may go, whatever its age."""
    document_type, over, rests = _RULES[kind]
    document = read(row, document_type)
    if over(document) is None:
        return "it is still open"
    return "something open rests on it" if rests(document, needed) else ""


async def absent(store: Store, kind: str, identity: str) -> No:
    """Why there is no such document: it never was here, or it went. What went has entries in the ledger for ever."""
    was = await gone(store, kind, identity)
    entries = await store.entries_of(kind, identity) if was else ()
    if not was or (not entries and kind in LEDGERED):
        return missing(kind, identity)
    shown = [read_entry(row.body) for row in entries[:1]]
    of = "".join(f" of {each.at[:16]}Z ({each.verdict or each.kind})" for each in shown)
    return went(kind, f"{identity}{of}", was)


def _at(document: Any) -> Instant:
    found: Instant = document.at
    return found


def _received(document: Signal | DeadLetter) -> Instant:
    return document.received_at


def _heard(track: Track) -> Instant | None:
    return max((each.signal.received_at for each in track.statements), default=None)


def _sent(message: Message) -> Instant | None:
    return None if message.state == "pending" else message.at


def _answered(approval: Approval) -> Instant | None:
    if approval.state is State.PENDING:
        return None
    return approval.ended_at or approval.asked_at


def _closed(waiting: Waiting) -> Instant | None:
    return None if waiting.open else waiting.at


def _lifted(limit: Hold | Freeze | Stop) -> Instant | None:
    return limit.lifted_at


def _revoked(grant: Grant) -> Instant | None:
    return grant.revoked_at or grant.until_at


def _nothing(_document: Any, _needed: Needed) -> bool:
    return False


def _of_decision(found: Decision, needed: Needed) -> bool:
    return found.id in needed.decisions or needed.alerts(found.alert) or needed.incidents(found.incident)


def _of_run(found: RunRecord, needed: Needed) -> bool:
    open_ = found.id in needed.runs or found.decision in needed.decisions
    return open_ or needed.alerts(found.alert) or needed.incidents(found.incident)


def _of_approval(found: Approval, needed: Needed) -> bool:
    return found.run in needed.runs or found.decision in needed.decisions or needed.incidents(found.incident)


_Rule = tuple[type[Any], Callable[[Any], Instant | None], Callable[[Any, Needed], bool]]
_RULES: Final[dict[str, _Rule]] = {
    # kind -> what it is, when its time begins (None: not yet), what may still need it
    "signal": (Signal, _received, lambda x, needed: x.id in needed.signals),
    "dead_letter": (DeadLetter, _received, _nothing),
    "track": (Track, _heard, lambda x, needed: needed.tracks(x.group, x.fingerprint)),
    "message": (Message, _sent, _nothing),
    "feedback": (Feedback, _at, lambda x, needed: x.decision in needed.decisions),
    "note": (Note, _at, lambda x, needed: needed.incidents(x.subject) or x.subject in needed.runs),
    "approval": (Approval, _answered, _of_approval),
    "proposal": (Waiting, _closed, _nothing),
    "run": (RunRecord, lambda x: x.ended_at, _of_run),
    "decision": (Decision, _at, _of_decision),
    "incident": (Incident, lambda x: x.resolved_at, lambda x, needed: needed.incidents(x.id)),
    "alert": (Alert, lambda x: x.resolved_at or x.stale_at, lambda x, needed: needed.alerts(x.id)),
    "hold": (Hold, _lifted, _nothing),
    "freeze": (Freeze, _lifted, _nothing),
    "stop": (Stop, _lifted, _nothing),
    "grant": (Grant, _revoked, _nothing),
    "change": (ChangeRecord, lambda x: x.ended_at, _nothing),
    "heard": (Heard, _at, _nothing),
    "muted": (Muted, lambda x: x.said_at, lambda x, needed: needed.muted(x)),
    "silence": (SilenceRecord, lambda x: x.silence.updated_at or x.silence.ends_at or EPOCH, _nothing),
}
RECORDED: Final = frozenset({"muted", "silence"})  # go by what they say only: their ids bear no time
ERASABLE_TYPES: Final[dict[str, type[Any]]] = {kind: rule[0] for kind, rule in _RULES.items()}
ERASABLE: Final = frozenset({*_RULES, "delivery"}) - RECORDED
