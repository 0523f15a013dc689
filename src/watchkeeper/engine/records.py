"""Documents as they are stored: one place that says which struct is which kind, and by which keys it is listed."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

from watchkeeper.approve.approval import Approval
from watchkeeper.approve.people import Grant, Identity, Session, Token
from watchkeeper.correlate.alert import Alert
from watchkeeper.correlate.incident import Incident
from watchkeeper.correlate.muted import Muted
from watchkeeper.correlate.track import Track
from watchkeeper.decide.decision import Decision
from watchkeeper.decide.target import Untargeted
from watchkeeper.guards.situation import Freeze, Hold, Proposal, Situation, Stop
from watchkeeper.home.exclusion import Exclusion
from watchkeeper.learn.agreement import Evidence
from watchkeeper.learn.brake import Brake
from watchkeeper.learn.breaker import Circuit
from watchkeeper.learn.failover import Failover
from watchkeeper.learn.looks import Day
from watchkeeper.learn.rhythm import Unusual
from watchkeeper.learn.standing import Demotion, Standing
from watchkeeper.ports import Put, Row
from watchkeeper.signals.recorded import Silence
from watchkeeper.signals.signal import DeadLetter, Signal
from watchkeeper.values import Instant, Window

Document = TypeVar("Document", bound=Struct)

encoder: Final = msgspec.json.Encoder()


class RunRecord(Struct, frozen=True, kw_only=True):
    """What a listing shows of a run; the journal beside it is the truth. `trials` are the breakers that it tries.
    `change` says as what it is registered: standard, normal or emergency.
    """

    id: str
    decision: str
    runbook: str
    rule: str
    status: str
    open: bool
    at: Instant
    targets: tuple[str, ...]
    configuration: str
    incident: str = ""
    alert: str = ""
    symptom: str = ""
    actor: str = "automation"
    ended_at: Instant | None = None
    why: str = ""
    state: str = ""
    effects: int = 0
    drill: bool = False
    trials: tuple[str, ...] = ()
    change: str = ""


class CalendarRecord(Struct, frozen=True, kw_only=True):
    """What was read of a calendar from elsewhere, last. `source` is a digest of where."""

    id: str
    at: Instant
    body: bytes
    source: str


class JudgedRecord(Struct, frozen=True, kw_only=True):
    """What stood before the guards, beside its decision and situation: with those two it can be replayed."""

    id: str
    proposal: Proposal | None = None
    untargeted: Untargeted | None = None


class Waiting(Struct, frozen=True, kw_only=True):
    """A held decision: a durable proposal with a wake-up. Judged afresh when it wakes, never replayed."""

    id: str
    decision: str
    rule: str
    alert: str
    episode: str
    targets: tuple[str, ...]
    names: tuple[str, ...]
    reason: str
    at: Instant
    wake_at: Instant
    open: bool = True
    told: bool = False
    closed_why: str = ""
    arguments: dict[str, Any] = {}
    runbook: str = ""
    actor: str = "automation"


class Message(Struct, frozen=True, kw_only=True):
    """One notice on its way to one route: stored before it is sent, sent until it is taken or given up."""

    id: str
    at: Instant
    subject_id: str
    channel: str
    route: dict[str, Any]
    notice: dict[str, Any]
    state: str = "pending"
    attempts: int = 0
    next_at: Instant | None = None
    sent_at: Instant | None = None
    why: str = ""


class Excluded(Struct, frozen=True, kw_only=True):
    """A decision that an exclusion stopped, written in the same commit, for auditors: it is kept for ever.

    `id` is the decision's. `exclusion` is the entry as it stood then, `target` what of the targets it covers.
    """

    id: str
    at: Instant
    exclusion: Exclusion
    verdict: str
    rule: str
    runbook: str
    actor: str
    target: str
    targets: tuple[str, ...]
    reason: str
    alert: str = ""
    incident: str = ""
    configuration: str = ""


class Activation(Struct, frozen=True, kw_only=True):
    """Which configuration was made active, when and by whom. The newest is in force."""

    id: str
    at: Instant
    by: str
    digest: str
    reason: str
    files: dict[str, str]
    previous: str = ""


class PlayedRecord(Struct, frozen=True, kw_only=True):
    """The last result of a scenario, under the name of the scenario. `configuration` is the one it was played under;
    `state` is passed, failed or broken; `failures` say what differed, or why it could not be played to its end.
    """

    scenario: str
    configuration: str
    at: Instant
    by: str
    state: str
    failures: tuple[str, ...] = ()
    verdict: str = ""
    reason: str = ""
    rule: str = ""
    status: str = ""
    effects: int = 0
    took_ms: int = 0


class FileBlob(Struct, frozen=True, kw_only=True):
    """One file of a configuration, named by its SHA-256."""

    sha256: str
    body: bytes


class HealthRecord(Struct, frozen=True, kw_only=True):
    """What a probe last saw of an entity. `probe` is empty in records of 0.1.0 and before, which are not read any more."""

    entity: str
    healthy: bool
    at: Instant
    why: str = ""
    every_ms: int = 60_000
    probe: str = ""


class BeatRecord(Struct, frozen=True, kw_only=True):
    """When a heartbeat, `id`, was heard last; before the first one, since when it is waited for."""

    id: str
    source: str
    at: Instant


class NodeTimes(Struct, frozen=True, kw_only=True):
    """Since when this node keeps count, when it last said that it lives, and the stretches in which it did not."""

    id: str
    since_at: Instant
    alive_at: Instant
    gaps: tuple[Window, ...] = ()


class Reading(Struct, frozen=True, kw_only=True):
    """The last word of an objective's source. `definition` is the objective's digest: another one's numbers are not ours.

    `counts` are window -> [bad, total], in thousandths of what the source counts; of windows that held nothing none.
    `at` is when they were read, None when they never were; `why` what went wrong at the last try. `spent_at`: since when
    the budget is spent.
    """

    id: str
    definition: str
    at: Instant | None = None
    counts: dict[str, tuple[int, int]] = {}
    why: str = ""
    tried_at: Instant | None = None
    spent_at: Instant | None = None


class Note(Struct, frozen=True, kw_only=True):
    """A person's words on an incident or a run. `kind`: note, acknowledged, resolved, closed or escalated."""

    id: str
    subject: str
    at: Instant
    by: str
    text: str
    kind: str = "note"


class Feedback(Struct, frozen=True, kw_only=True):
    """`helpful`, `false` or `harmful`, once a person and run."""

    id: str
    run: str
    decision: str
    rule: str
    by: str
    at: Instant
    says: str
    text: str = ""


class ChangeRecord(Struct, frozen=True, kw_only=True):
    """A change that a source told of. `service` is the entity it means, "" when none is known. `until_at`: the end it
    announced, while it goes on.
    """

    id: str
    source: str
    kind: str
    subject: str
    service: str
    environment: str
    title: str
    url: str
    by: str
    at: Instant
    until_at: Instant | None = None
    ended_at: Instant | None = None
    outcome: str = ""


class Heard(Struct, frozen=True, kw_only=True):
    """A word of a pager that was carried out: said again, it is passed over."""

    id: str
    at: Instant
    source: str
    what: str
    by: str


class SilenceRecord(Struct, frozen=True, kw_only=True):
    """A silence that an event recorder told of; it goes a day after its end. `id` is the source and the silence's own."""

    id: str
    source: str
    silence: Silence


class RecorderRecord(Struct, frozen=True, kw_only=True):
    """When the event recorder of a source, `id`, was heard last: by its own clock, as far as that is believed, and by ours."""

    id: str
    at: Instant
    heard_at: Instant


class AnswerRecord(Struct, frozen=True, kw_only=True):
    """What the Alertmanager of a source, `id`, answered last: fingerprint -> what suppresses it, each as [because, name].
    `whole` is False when it named more than is read.
    """

    id: str
    at: Instant
    found: dict[str, tuple[tuple[str, str], ...]]
    whole: bool = True


class ErasureRecord(Struct, frozen=True, kw_only=True):
    """An order of erasure, by its id in the ledger. While `open` it says what is still to go: ids and places, no content."""

    id: str
    at: Instant
    by: str
    counts: dict[str, int]
    documents: tuple[tuple[str, str], ...]
    entries: tuple[tuple[int, int], ...]
    open: bool = True
    done_at: Instant | None = None


class Tombstone(Struct, frozen=True, kw_only=True):
    """`id` is `kind:2026-03-01` for what went by retention on the day it began, `kind:ID` for what went by order.

    `kept_ms` is how long it was kept, 0 when an order ended that. `order` is the entry's id in the ledger.
    """

    id: str
    kind: str
    day: str
    rows: int
    kept_ms: int
    gone_at: Instant
    why: str
    order: str = ""


class Swept(Struct, frozen=True, kw_only=True):
    """How far outputs were swept: a cursor over runs, and those before it that had not ended or were still needed."""

    id: str
    cursor: str = ""
    left: tuple[str, ...] = ()


class SizeSample(Struct, frozen=True, kw_only=True):
    """What the store took, one an hour: from these the days that are left are worked out."""

    id: str
    at: Instant
    used: int


class Remembered(Struct, frozen=True, kw_only=True):
    """The answer to a request that carried an Idempotency-Key, so that sending it again changes nothing."""

    id: str
    sha256: str
    status: int
    body: str
    at: Instant


class RhythmRecord(Struct, frozen=True, kw_only=True):
    """Calls of one rule for one service, by hours since 1970 (UTC): those of any, within what is compared with."""

    id: str
    rule: str
    service: str
    since_at: Instant
    hours: dict[int, int]


class RhythmsRecord(Struct, frozen=True, kw_only=True):
    """How far calls are counted, since when each rule is in force, and the last window of each span that was looked at."""

    id: str
    counted_to: Instant
    rules: dict[str, Instant] = {}
    looked_at: dict[str, Instant] = {}


def _open(is_open: bool) -> str:
    return "open" if is_open else "closed"


_KINDS: Final[dict[type[Struct], tuple[str, Callable[[Any], dict[str, str]]]]] = {
    Signal: ("signal", lambda x: {"source": x.source}),
    DeadLetter: ("dead_letter", lambda x: {"source": x.source, "state": "open"}),
    Situation: ("situation", lambda _: {}),
    JudgedRecord: ("judged", lambda _: {}),
    Decision: (
        "decision",
        lambda x: {
            "verdict": x.verdict._value_,
            "rule": x.rule,
            "alert": x.alert,
            "incident": x.incident,
            "episode": x.episode,
            "service": x.targets[0].service if x.targets else "",
        },
    ),
    Waiting: (
        "proposal",
        lambda x: {
            "state": _open(x.open),
            "rule": x.rule,
            "episode": x.episode,
            "target": x.targets[0] if x.targets else "",
        },
    ),
    RunRecord: (
        "run",
        lambda x: {
            "state": _open(x.open),
            "status": x.status,
            "runbook": x.runbook,
            "decision": x.decision,
            "incident": x.incident,
            "target": x.targets[0] if x.targets else "",
            "rule": x.rule,
        },
    ),
    Hold: ("hold", lambda x: {"state": _open(x.lifted_at is None)}),
    Freeze: ("freeze", lambda x: {"state": _open(x.lifted_at is None)}),
    CalendarRecord: ("calendar", lambda _: {}),
    PlayedRecord: ("played", lambda _: {}),
    Circuit: ("breaker", lambda x: {"state": x.state}),
    Brake: ("brake", lambda x: {"state": _open(x.ended_at is None)}),
    Stop: ("stop", lambda x: {"state": _open(x.lifted_at is None)}),
    Grant: ("grant", lambda x: {"state": _open(x.revoked_at is None), "rule": x.rule}),
    Feedback: ("feedback", lambda x: {"run": x.run, "decision": x.decision}),
    Standing: ("standing", lambda x: {"rule": x.cell.rule}),
    Demotion: ("demotion", lambda x: {"state": _open(x.open), "rule": x.cell.rule}),
    Evidence: ("evidence", lambda x: {"rule": x.cell.rule, "decision": x.decision, "run": x.run}),
    Message: ("message", lambda x: {"state": x.state, "channel": x.channel, "subject": x.subject_id}),
    Identity: ("identity", lambda x: {"state": _open(x.removed_at is None), "name": x.name}),
    Token: ("token", lambda x: {"state": _open(x.revoked_at is None), "identity": x.identity, "name": x.name}),
    Excluded: ("excluded", lambda x: {"exclusion": x.exclusion.id, "verdict": x.verdict, "rule": x.rule}),
    Session: ("session", lambda _: {}),
    Activation: ("activation", lambda _: {"state": "recorded"}),
    FileBlob: ("file", lambda _: {}),
    HealthRecord: ("health", lambda x: {"entity": x.entity}),
    BeatRecord: ("beat", lambda x: {"source": x.source}),
    Day: ("looks", lambda x: {"entity": x.entity}),
    Failover: ("failover", lambda x: {"service": x.service}),
    NodeTimes: ("measured", lambda _: {}),
    RhythmRecord: ("rhythm", lambda x: {"rule": x.rule}),
    RhythmsRecord: ("rhythms", lambda _: {}),
    Unusual: ("unusual", lambda x: {"rule": x.rule, "service": x.service}),
    Reading: ("objective", lambda _: {}),
    Note: ("note", lambda x: {"subject": x.subject}),
    ChangeRecord: (
        "change",
        lambda x: {"state": _open(x.ended_at is None), "service": x.service, "source": x.source},
    ),
    Heard: ("heard", lambda _: {}),
    Muted: ("muted", lambda x: {"source": x.source}),
    SilenceRecord: ("silence", lambda x: {"source": x.source}),
    RecorderRecord: ("recorder", lambda _: {}),
    AnswerRecord: ("answer", lambda _: {}),
    ErasureRecord: ("erasure", lambda x: {"state": _open(x.open)}),
    Tombstone: ("tombstone", lambda x: {"kind": x.kind}),
    Swept: ("swept", lambda _: {}),
    SizeSample: ("size", lambda _: {}),
    Remembered: ("answered", lambda _: {}),
    Alert: (
        "alert",
        lambda x: {
            "state": x.state._value_,
            "entity": x.entity,
            "severity": x.severity._value_,
            "symptom": x.symptom,
            "source": x.source,
        },
    ),
    Track: ("track", lambda _: {}),
    Incident: ("incident", lambda x: {"state": x.state._value_, "entity": x.entity, "severity": x.severity._value_}),
    Approval: ("approval", lambda x: {"state": x.state._value_, "decision": x.decision, "run": x.run, "rule": x.rule}),
}


def put(document: Struct, *, identity: str = "", expect: int | None = None, **keys: str) -> Put:
    """The `Put` that stores a document under its kind and keys. `keys` adds or replaces keys."""
    kind, keys_of = _KINDS[type(document)]
    name = identity or getattr(document, "id", "") or getattr(document, "sha256", "") or getattr(document, "entity", "")
    return Put(kind=kind, id=name, body=encoder.encode(document), keys={**keys_of(document), **keys}, expect=expect)


def kind_of(document: type[Struct]) -> str:
    return _KINDS[document][0]


def read(row: Row, document: type[Document]) -> Document:
    """The document of a row. Journals and documents of earlier releases decode: fields are only ever added."""
    return msgspec.json.decode(row.body, type=document)
