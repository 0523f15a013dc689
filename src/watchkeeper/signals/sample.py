"""Probe results (HTTP, TCP, command): a row of samples becomes firing, resolved, or *unknown*.

In: deliveries of format `sample`, one JSON object
`{"probe": .., "result": "good" | "bad" | "blind", "at": .., "detail": .., "labels": {..}}`.
Out: signals of kind `sample`, and, by `judge`, alerts. A blind probe could not look: it neither fires nor clears.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from watchkeeper.errors import Malformed
from watchkeeper.signals.fingerprint import fingerprint_of
from watchkeeper.signals.freshness import Freshness, freshness
from watchkeeper.signals.plain import labels_from
from watchkeeper.signals.signal import Delivery, Kind, Parsed, Signal, Source, Standing
from watchkeeper.signals.statement import bounded_labels, inside, utc
from watchkeeper.values import Instant, Labels, id_from, rfc3339

ALERTNAME: Final = "ProbeFailed"
DETAIL_CHARS_MAX: Final = 1_024
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Seen(StrEnum):
    """What one look saw. `BLIND`: the probe itself could not run (no route from here, no credential, no process)."""

    GOOD = "good"
    BAD = "bad"
    BLIND = "blind"


class Health(StrEnum):
    GOOD = "good"
    BAD = "bad"
    UNKNOWN = "unknown"


class Sample(Struct, frozen=True, kw_only=True):
    probe: str
    at: Instant
    seen: Seen
    detail: str = ""


class Probe(Struct, frozen=True, kw_only=True):
    """What is looked at, and how many looks in a row decide: `failures` (>= 1) fire, `successes` (>= 1) resolve."""

    name: str
    source: str
    group: str
    stale_after_ms: int
    failures: int = 3
    successes: int = 2
    labels: Labels = {}
    region: str = ""


class Judgement(Struct, frozen=True, kw_only=True):
    """`health` is unknown when the newest look that saw anything is too old, or none decided yet."""

    health: Health
    freshness: Freshness
    signals: tuple[Signal, ...]
    sentence: str


class _Body(Struct):
    result: Seen
    probe: str = ""
    at: Annotated[Instant, Meta(tz=True)] | None = None
    detail: str = ""
    labels: Any = None


def parse_sample(delivery: Delivery, source: Source) -> Parsed:
    """One signal of kind `sample`; its label `probe` is the name. Raises Malformed without a name or a result."""
    try:
        body = msgspec.json.decode(delivery.body, type=_Body)
    except msgspec.ValidationError as wrong:
        raise Malformed(*inside("", str(wrong))) from wrong
    except _UNREADABLE as wrong:
        raise Malformed("", f"the body is not JSON that can be read: {wrong}") from wrong
    name = delivery.name or body.probe
    if not name:
        raise Malformed("probe", "is missing: nothing says which probe looked")
    labels = bounded_labels({"alertname": ALERTNAME, **labels_from(body.labels, "labels"), "probe": name}, "")
    signal = Signal(
        id=id_from("sig", delivery.received_at, delivery.id, "sample"),
        delivery=delivery.id,
        source=source.name,
        group=source.group,
        received_at=delivery.received_at,
        kind=Kind.SAMPLE,
        fingerprint=_fingerprint(name),
        standing=Standing.FIRING if body.result is Seen.BAD else Standing.RESOLVED,
        labels=labels,
        annotations={"detail": body.detail[:DETAIL_CHARS_MAX]} if body.detail else {},
        starts_at=utc(body.at) or delivery.received_at,
        region=source.region,
        blind=body.result is Seen.BLIND,
    )
    return Parsed(signals=(signal,))


def sample_of(signal: Signal) -> Sample:
    seen = Seen.BLIND if signal.blind else Seen.BAD if signal.standing is Standing.FIRING else Seen.GOOD
    detail = signal.annotations.get("detail", "")
    return Sample(probe=signal.labels["probe"], at=signal.starts_at, seen=seen, detail=detail)


def judge(samples: Iterable[Sample], probe: Probe, now: Instant, open_since: Instant | None = None) -> Judgement:
    """What a row of looks says at `now`; a function of their set.

    `open_since` is the start of the episode that was firing before the first of them, when the row is cut.

    `failures` bad looks in a row fire, from the first of them; `successes` good ones in a row resolve, from the
    first of them. A blind look is no look: it neither counts nor interrupts a row. A stale row changes nothing:
    what fires goes on firing without being renewed, and its health is unknown.
    """
    looks = sorted({look for look in samples if look.probe == probe.name and look.at <= now}, key=_order)
    told: list[Signal] = []
    row_of, row_since, row_length = Seen.BLIND, now, 0  # the looks of one kind up to now
    firing_since = open_since
    health = Health.UNKNOWN if open_since is None else Health.BAD
    for look in looks:
        if look.seen is Seen.BLIND:
            continue
        if look.seen is not row_of:
            row_of, row_since, row_length = look.seen, look.at, 0
        row_length += 1
        if row_of is Seen.BAD and row_length >= probe.failures:
            firing_since = firing_since or row_since
            health = Health.BAD
            told.append(_told(probe, look, firing_since, None))
        elif row_of is Seen.GOOD and row_length >= probe.successes:
            health = Health.GOOD
            if firing_since is not None:
                told.append(_told(probe, look, firing_since, row_since))
                firing_since = None
    seen_at = next((look.at for look in reversed(looks) if look.seen is not Seen.BLIND), None)
    age = freshness(f"probe {probe.name}", seen_at, now, probe.stale_after_ms)
    if not age.known:
        return Judgement(health=Health.UNKNOWN, freshness=age, signals=tuple(told), sentence=age.sentence)
    sentence = f"probe {probe.name}: {health.value}: {age.sentence.partition(': ')[2]}"
    return Judgement(health=health, freshness=age, signals=tuple(told), sentence=sentence)


def _order(look: Sample) -> tuple[Instant, str, str]:
    return look.at, look.seen.value, look.detail


def _told(probe: Probe, look: Sample, since: Instant, ended: Instant | None) -> Signal:
    standing = Standing.FIRING if ended is None else Standing.RESOLVED
    return Signal(
        id=id_from("sig", look.at, probe.source, probe.name, rfc3339(since), standing.value),
        delivery="",
        source=probe.source,
        group=probe.group,
        received_at=look.at,
        kind=Kind.ALERT,
        fingerprint=_fingerprint(probe.name),
        standing=standing,
        labels={**probe.labels, "alertname": probe.labels.get("alertname", ALERTNAME), "probe": probe.name},
        annotations={"summary": f"probe {probe.name}: {look.detail or look.seen.value}"},
        starts_at=since,
        ends_at=ended,
        region=probe.region,
    )


def _fingerprint(name: str) -> str:
    return fingerprint_of({"alertname": ALERTNAME, "probe": name})
