"""Alertmanager's event recorder: one event as a JSON object, or several in an array, as its webhook output posts them.

In: a `Delivery`. Out: `Parsed` with a `Recorded`. Events that say nothing of what is kept back are counted and passed over,
also those of types that a later release brings.
Source: Alertmanager 0.33 and 0.34, eventrecorder/eventrecorderpb/eventrecorder.proto in the JSON form of protobuf 3:
64-bit numbers are text, and what is empty is left out.
"""

from collections import Counter
from collections.abc import Callable
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct, field

from watchkeeper.errors import Malformed
from watchkeeper.signals.recorded import Because, Letting, Muting, Recorded, Silence
from watchkeeper.signals.signal import LABELS_MAX, DeadLetter, Delivery, Parsed, Source
from watchkeeper.signals.statement import ELEMENTS_MAX, dead_letter, inside, too_many, utc
from watchkeeper.values import Instant, Labels

TEXT_CHARS_MAX: Final = 300
_FINGERPRINT_MOST: Final = 2**64 - 1
_At = Annotated[Instant, Meta(tz=True)]
_Whole = int | str  # 64 bits: text in this encoding, and a number is understood


class _Event(Struct):
    data: dict[str, Raw]
    timestamp: _At | None = field(default=None, name="@timestamp")


class _Pair(Struct):
    key: str
    value: str = ""


class _LabelSet(Struct):
    labels: list[_Pair] = []


class _Silence(Struct):
    id: str
    createdBy: str = ""  # noqa: N815 - the wire's own names, from here on
    comment: str = ""
    endsAt: _At | None = None  # noqa: N815
    updatedAt: _At | None = None  # noqa: N815


class _MutedAlert(Struct):
    fingerprint: _Whole
    labels: _LabelSet = field(default_factory=_LabelSet)


class _SilenceEvent(Struct):
    silence: _Silence


class _SilenceMuted(Struct):
    silence: _Silence
    mutedAlert: _MutedAlert  # noqa: N815


class _Rule(Struct):
    name: str = ""


class _InhibitionMuted(Struct):
    mutedAlert: _MutedAlert  # noqa: N815
    inhibitRules: list[_Rule] = []  # noqa: N815
    inhibitingFingerprints: list[_Whole] = []  # noqa: N815


class _Alert(Struct):
    fingerprint: _Whole
    resolved: bool = False


class _Grouped(Struct):
    details: _Alert | None = None


class _Resolved(Struct):
    alert: _Grouped


class _Notification(Struct):
    alerts: list[_Grouped] = []


class _Found:
    """What the events of one delivery said, as it is taken in."""

    def __init__(self, received_at: Instant) -> None:
        self.received_at = received_at
        self.mutings: list[Muting] = []
        self.lettings: list[Letting] = []
        self.silences: list[Silence] = []
        self.events: Counter[str] = Counter()
        self.latest_at: Instant | None = None


_event: Final = msgspec.json.Decoder(_Event)
_elements: Final = msgspec.json.Decoder(list[Raw])
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
Wire = TypeVar("Wire", bound=Struct)


def parse_alertmanager_events(delivery: Delivery, source: Source) -> Parsed:  # noqa: ARG001  like every parser
    """Raises Malformed when the body is neither an object nor an array; an event that cannot be read is a dead letter."""
    found = _Found(delivery.received_at)
    dead: list[DeadLetter] = []
    body = delivery.body.strip()
    if not body.startswith(b"["):
        raws, positions = [Raw(body)], [""]
    else:
        try:
            raws = _elements.decode(body)
        except _UNREADABLE as wrong:
            raise Malformed("", f"the body is not JSON that can be read: {wrong}") from wrong
        positions = [f"[{number}]" for number in range(len(raws))]
    for raw, position in zip(raws[:ELEMENTS_MAX], positions, strict=False):
        try:
            _take(found, raw, position)
        except Malformed as wrong:
            dead.append(dead_letter(delivery, wrong.path, wrong.why, bytes(raw)))
    if len(raws) > ELEMENTS_MAX:
        dead.append(too_many(delivery, "", len(raws)))
    recorded = Recorded(
        mutings=tuple(found.mutings),
        lettings=tuple(found.lettings),
        silences=tuple(found.silences),
        events=dict(found.events),
        latest_at=found.latest_at,
    )
    return Parsed(signals=(), dead=tuple(dead), recorded=recorded)


def _take(found: _Found, raw: Raw, position: str) -> None:
    event = _read(_event, bytes(raw), position)
    names = list(event.data)
    kind = next((name for name in names if name in _READ), names[0] if names else "")
    at = utc(event.timestamp)
    read = _READ.get(kind)
    if read is not None:
        if at is None:
            where = f"{position}.@timestamp" if position else "@timestamp"
            raise Malformed(where, "is missing, or no time: the order of events follows from it")
        read(found, bytes(event.data[kind]), f"{position}.data.{kind}" if position else f"data.{kind}", at)
    found.events[kind[:TEXT_CHARS_MAX]] += 1
    if at is not None:
        found.latest_at = max(at, found.latest_at or at)


def _read(decoder: msgspec.json.Decoder[Wire], body: bytes, position: str) -> Wire:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as wrong:
        raise Malformed(*inside(position, str(wrong))) from wrong
    except _UNREADABLE as wrong:
        raise Malformed(position, f"cannot be read: {wrong}") from wrong


def _silence_muted(found: _Found, body: bytes, position: str, at: Instant) -> None:
    event = _read(_silence_muted_event, body, position)
    silence = _silence(event.silence, f"{position}.silence")
    muting = Muting(
        fingerprint=_fingerprint(event.mutedAlert.fingerprint, f"{position}.mutedAlert.fingerprint"),
        labels=_labels(event.mutedAlert.labels),
        because=Because.SILENCED,
        name=silence.id,
        at=at,
        received_at=found.received_at,
    )
    found.silences.append(silence)
    found.mutings.append(muting)


def _inhibition_muted(found: _Found, body: bytes, position: str, at: Instant) -> None:
    event = _read(_inhibition_muted_event, body, position)
    muted = _fingerprint(event.mutedAlert.fingerprint, f"{position}.mutedAlert.fingerprint")
    by = [_fingerprint(each, f"{position}.inhibitingFingerprints") for each in event.inhibitingFingerprints]
    rule = next((each.name for each in event.inhibitRules if each.name), "")[:TEXT_CHARS_MAX]
    labels = _labels(event.mutedAlert.labels)
    for name in dict.fromkeys(by or [""]):
        found.mutings.append(
            Muting(
                fingerprint=muted,
                labels=labels,
                because=Because.INHIBITED,
                name=name,
                rule=rule,
                at=at,
                received_at=found.received_at,
            )
        )


def _silence_told(found: _Found, body: bytes, position: str, _at: Instant) -> None:
    found.silences.append(_silence(_read(_silence_event, body, position).silence, f"{position}.silence"))


def _resolved(found: _Found, body: bytes, position: str, at: Instant) -> None:
    details = _read(_resolved_event, body, position).alert.details
    if details is None:
        raise Malformed(f"{position}.alert.details", "is missing: nothing says which alert resolved")
    fingerprint = _fingerprint(details.fingerprint, f"{position}.alert.details.fingerprint")
    found.lettings.append(Letting(fingerprint=fingerprint, resolved=True, at=at, received_at=found.received_at))


def _notified(found: _Found, body: bytes, position: str, at: Instant) -> None:
    for number, each in enumerate(_read(_notification_event, body, position).alerts[:ELEMENTS_MAX]):
        if each.details is None or each.details.resolved:
            continue
        fingerprint = _fingerprint(each.details.fingerprint, f"{position}.alerts[{number}].details.fingerprint")
        found.lettings.append(Letting(fingerprint=fingerprint, resolved=False, at=at, received_at=found.received_at))


def _silence(silence: _Silence, position: str) -> Silence:
    if not silence.id:
        raise Malformed(f"{position}.id", "is empty: nothing says which silence this is")
    return Silence(
        id=silence.id[:TEXT_CHARS_MAX],
        by=_line(silence.createdBy),
        comment=_line(silence.comment),
        ends_at=utc(silence.endsAt),
        updated_at=utc(silence.updatedAt),
    )


def _line(text: str) -> str:
    """One line of a text that people wrote."""
    return " ".join(text[:TEXT_CHARS_MAX].split())


def _fingerprint(value: _Whole, position: str) -> str:
    """As Alertmanager's API and webhook write it: 16 hexadecimal digits."""
    number = (
        int(value) if isinstance(value, int) or (value.isascii() and value.isdecimal() and len(value) <= 20) else -1
    )
    if not 0 < number <= _FINGERPRINT_MOST:
        raise Malformed(position, f"{str(value)[:40]!r} is no fingerprint: expected a number of 64 bits, in digits")
    return f"{number:016x}"


def _labels(found: _LabelSet) -> Labels:
    return {each.key[:TEXT_CHARS_MAX]: each.value[:TEXT_CHARS_MAX] for each in found.labels[:LABELS_MAX] if each.value}


_silence_event: Final = msgspec.json.Decoder(_SilenceEvent)
_silence_muted_event: Final = msgspec.json.Decoder(_SilenceMuted)
_inhibition_muted_event: Final = msgspec.json.Decoder(_InhibitionMuted)
_resolved_event: Final = msgspec.json.Decoder(_Resolved)
_notification_event: Final = msgspec.json.Decoder(_Notification)
_READ: Final[dict[str, Callable[[_Found, bytes, str, Instant], Any]]] = {
    "silenceMutedAlert": _silence_muted,
    "inhibitionMutedAlert": _inhibition_muted,
    "silenceCreated": _silence_told,
    "silenceUpdated": _silence_told,
    "alertResolved": _resolved,
    "notification": _notified,
}
