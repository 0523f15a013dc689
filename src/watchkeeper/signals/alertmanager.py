"""Alertmanager's webhook, version 4, unchanged. Grafana speaks the same (its version is "1").

In: a `Delivery` with such a body. Out: `Parsed`.
Source: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from watchkeeper.errors import Malformed
from watchkeeper.signals.signal import DeadLetter, Delivery, Parsed, Signal, Source, Standing
from watchkeeper.signals.statement import ELEMENTS_MAX, dead_letter, inside, signal_of, too_many
from watchkeeper.values import Instant, Labels

_At = Annotated[Instant, Meta(tz=True)]


class _Alert(Struct):
    status: Literal["firing", "resolved"]
    labels: Labels
    annotations: Labels | None = None
    startsAt: _At | None = None  # noqa: N815 - the wire's own names, from here on
    endsAt: _At | None = None  # noqa: N815
    generatorURL: str | None = None  # noqa: N815
    fingerprint: str | None = None


class _Batch(Struct):
    alerts: list[_Alert]
    truncatedAlerts: int | None = None  # noqa: N815


class _Apart(Struct):
    alerts: list[Raw]
    truncatedAlerts: Raw = Raw(b"0")  # noqa: N815


_batch: Final = msgspec.json.Decoder(_Batch)
_apart: Final = msgspec.json.Decoder(_Apart)
_alert: Final = msgspec.json.Decoder(_Alert)
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def parse_alertmanager(delivery: Delivery, source: Source) -> Parsed:
    """Every alert of the batch as a signal or a dead letter. Raises Malformed when there is no list of alerts."""
    try:
        batch = _batch.decode(delivery.body)
    except _UNREADABLE:
        return _one_by_one(delivery, source)
    if len(batch.alerts) > ELEMENTS_MAX:
        return _one_by_one(delivery, source)
    incomplete = (batch.truncatedAlerts or 0) > 0
    try:
        signals = tuple(
            _signal(delivery, source, position, alert, incomplete=incomplete)
            for position, alert in enumerate(batch.alerts)
        )
    except Malformed:
        return _one_by_one(delivery, source)
    return Parsed(signals=signals)


def _one_by_one(delivery: Delivery, source: Source) -> Parsed:
    try:
        apart = _apart.decode(delivery.body)
    except msgspec.ValidationError as wrong:
        raise Malformed(*inside("", str(wrong))) from wrong
    except _UNREADABLE as wrong:
        raise Malformed("", f"the body is not JSON that can be read: {wrong}") from wrong
    # A count that is no number still says that something was cut.
    incomplete = bytes(apart.truncatedAlerts) not in {b"0", b"null"}
    signals: list[Signal] = []
    dead: list[DeadLetter] = []
    for position, raw in enumerate(apart.alerts[:ELEMENTS_MAX]):
        try:
            signals.append(_signal(delivery, source, position, _alert.decode(raw), incomplete=incomplete))
        except msgspec.ValidationError as wrong:
            dead.append(dead_letter(delivery, *inside(f"alerts[{position}]", str(wrong)), bytes(raw)))
        except _UNREADABLE as wrong:
            dead.append(dead_letter(delivery, f"alerts[{position}]", f"cannot be read: {wrong}", bytes(raw)))
        except Malformed as wrong:
            dead.append(dead_letter(delivery, wrong.path, wrong.why, bytes(raw)))
    if len(apart.alerts) > ELEMENTS_MAX:
        dead.append(too_many(delivery, "alerts", len(apart.alerts)))
    return Parsed(signals=tuple(signals), dead=tuple(dead))


def _signal(delivery: Delivery, source: Source, position: int, alert: _Alert, *, incomplete: bool) -> Signal:
    resolved = alert.status == "resolved"
    return signal_of(
        delivery,
        source,
        f"alerts[{position}]",
        standing=Standing.RESOLVED if resolved else Standing.FIRING,
        labels=alert.labels,
        annotations=alert.annotations or {},
        starts_at=alert.startsAt,
        # While it fires the field is a time-out in Alertmanager's own books, not an end.
        ends_at=alert.endsAt if resolved else None,
        fingerprint=alert.fingerprint or "",
        url=alert.generatorURL or "",
        incomplete=incomplete,
    )
