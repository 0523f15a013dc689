"""Heartbeats, the dead man's switch: a sender says "alive"; silence is the alarm.

In: deliveries of format `beat`. Out: signals of kind `beat`, and from their silence, by `missed`, alerts.
A beat's body is empty, or JSON `{"name": .., "status": "ok" | "fail", "labels": {..}}`; the name may come from
the address instead (`/hooks/beat/NAME`).
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from watchkeeper.errors import Malformed
from watchkeeper.signals.fingerprint import fingerprint_of
from watchkeeper.signals.plain import labels_from
from watchkeeper.signals.signal import Delivery, Kind, Parsed, Signal, Source, Standing
from watchkeeper.signals.statement import bounded_labels, inside
from watchkeeper.values import Instant, Labels, after_ms, duration_text, id_from, rfc3339

ALERTNAME: Final = "HeartbeatMissed"
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Body(Struct):
    name: str = ""
    status: Literal["ok", "fail"] = "ok"
    labels: Any = None


class Expectation(Struct, frozen=True, kw_only=True):
    """A beat is due every `every_ms`, and missed `grace_ms` after that. Counted from `since_at` until the first one."""

    name: str
    source: str
    group: str
    every_ms: int
    since_at: Instant
    grace_ms: int = 0
    labels: Labels = {}
    region: str = ""


class Beat(Struct, frozen=True, kw_only=True):
    """One beat as received. One that says `fail` does not renew: the sender lives, its work does not."""

    name: str
    at: Instant
    failed: bool = False


def parse_beat(delivery: Delivery, source: Source) -> Parsed:
    """One signal of kind `beat`; its label `beat` is the name. Raises Malformed without a name, or for a bad body."""
    body = _Body()
    if delivery.body.strip():
        try:
            body = msgspec.json.decode(delivery.body, type=_Body)
        except msgspec.ValidationError as wrong:
            raise Malformed(*inside("", str(wrong))) from wrong
        except _UNREADABLE as wrong:
            raise Malformed("", f"the body is neither empty nor JSON: {wrong}") from wrong
    name = delivery.name or body.name
    if not name:
        raise Malformed("name", "is missing: nothing says whose heartbeat this is")
    labels = bounded_labels({"alertname": ALERTNAME, **labels_from(body.labels, "labels"), "beat": name}, "")
    signal = Signal(
        id=id_from("sig", delivery.received_at, delivery.id, "beat"),
        delivery=delivery.id,
        source=source.name,
        group=source.group,
        received_at=delivery.received_at,
        kind=Kind.BEAT,
        fingerprint=fingerprint_of({"alertname": ALERTNAME, "beat": name}),
        standing=Standing.FIRING if body.status == "fail" else Standing.RESOLVED,
        labels=labels,
        annotations={},
        starts_at=delivery.received_at,
        region=source.region,
    )
    return Parsed(signals=(signal,))


def beat_of(signal: Signal) -> Beat:
    return Beat(name=signal.labels["beat"], at=signal.received_at, failed=signal.standing is Standing.FIRING)


def missed(beats: Iterable[Beat], expectations: Iterable[Expectation], now: Instant) -> tuple[Signal, ...]:
    """What silence says at `now`: for each gap a firing signal, and a resolved one when the gap has ended.

    An episode starts at the deadline that was missed, not at `now`, so asking again names the same episode.
    The beats are those since the last time of asking and the one before them: a gap is told again only while
    both its ends are among them. Their order does not matter.
    A beat exactly on its deadline is in time.
    """
    known: dict[str, set[Instant]] = defaultdict(set)
    for beat in beats:
        if not beat.failed and beat.at <= now:
            known[beat.name].add(beat.at)
    found: list[Signal] = []
    for expected in expectations:
        allowed_ms = expected.every_ms + expected.grace_ms
        last_at = expected.since_at
        for at in sorted(at for at in known[expected.name] if at >= expected.since_at):
            deadline = after_ms(last_at, allowed_ms)
            if at > deadline:
                found += (
                    _silence(expected, deadline, at, Standing.FIRING),
                    _silence(expected, deadline, at, Standing.RESOLVED),
                )
            last_at = at
        deadline = after_ms(last_at, allowed_ms)
        if now > deadline:
            found.append(_silence(expected, deadline, now, Standing.FIRING))
    return tuple(found)


def _silence(expected: Expectation, deadline: Instant, at: Instant, standing: Standing) -> Signal:
    labels = {**expected.labels, "alertname": expected.labels.get("alertname", ALERTNAME), "beat": expected.name}
    every = duration_text(expected.every_ms)
    return Signal(
        id=id_from("sig", at, expected.source, expected.name, rfc3339(deadline), standing.value, rfc3339(at)),
        delivery="",
        source=expected.source,
        group=expected.group,
        received_at=at,
        kind=Kind.ALERT,
        fingerprint=fingerprint_of({"alertname": ALERTNAME, "beat": expected.name}),
        standing=standing,
        labels=labels,
        annotations={
            "summary": f"heartbeat {expected.name}: expected every {every}, none by {rfc3339(deadline)}",
        },
        starts_at=deadline,
        ends_at=at if standing is Standing.RESOLVED else None,
        region=expected.region,
    )
