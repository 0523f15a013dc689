"""CloudEvents 1.0.2 over HTTP: structured, batched (JSON), and binary (attributes in `ce-` headers).

The attributes and data become labels by this convention:

- `data.labels`, `data.annotations`: taken as they are (objects of texts, numbers or booleans).
- labels `ce_type`, `ce_source`, `ce_subject`: the attributes; `alertname`: `data.alertname`, else the type;
  `service`: `data.service`, else the subject; `severity`: `data.severity`. A label of `data.labels` wins.
- standing: `data.status`, else `data.state`, else the last part of the type (`com.example.disk.firing`).
- start and end: `data.startsAt` or `data.starts_at`, `data.endsAt` or `data.ends_at`; else the start is not stated.
- annotations `summary` and `description`: from `data` when `data.annotations` has none.

The event's identity is (source, id): the same event twice is one signal.
Source: https://github.com/cloudevents/spec/tree/v1.0.2 (spec.md, formats/json-format.md, bindings/http-protocol-binding.md)
"""

import base64
import binascii
from typing import Any, Final
from urllib.parse import unquote

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from watchkeeper.errors import Malformed
from watchkeeper.signals.plain import instant_from, label_text, labels_from
from watchkeeper.signals.signal import DeadLetter, Delivery, Parsed, Signal, Source, Standing
from watchkeeper.signals.statement import (
    ELEMENTS_MAX,
    STANDINGS,
    dead_letter,
    inside,
    signal_of,
    too_many,
    utc,
)
from watchkeeper.values import EPOCH, Instant, Labels, id_from

_STRUCTURED: Final = "application/cloudevents+json"
_BATCH: Final = "application/cloudevents-batch+json"
_SPEC: Final = "1.0"
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Event(Struct):
    specversion: str
    id: str
    source: str
    type: str
    subject: str | None = None
    time: Instant | None = None
    datacontenttype: str | None = None
    data: Any | UnsetType = UNSET
    data_base64: str | None = None


_event: Final = msgspec.json.Decoder(_Event)
_events: Final = msgspec.json.Decoder(list[Raw])


def parse_cloudevents(delivery: Delivery, source: Source) -> Parsed:
    """Every event as a signal or a dead letter. Raises Malformed when the body or its mode cannot be read at all."""
    content = delivery.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content == _BATCH:
        return _batch(delivery, source)
    if content == _STRUCTURED:
        return _structured(delivery, source)
    if "ce-id" in delivery.headers or "ce-specversion" in delivery.headers:
        return _binary(delivery, source)
    raise Malformed(
        "content-type",
        f"{content or 'none'} is no CloudEvents mode; expected {_STRUCTURED}, {_BATCH}, or the headers ce-*",
    )


def _batch(delivery: Delivery, source: Source) -> Parsed:
    try:
        parts = _events.decode(delivery.body)
    except _UNREADABLE as wrong:
        raise Malformed("", f"the body is not a JSON list of events: {wrong}") from wrong
    signals: list[Signal] = []
    dead: list[DeadLetter] = []
    for position, raw in enumerate(parts[:ELEMENTS_MAX]):
        try:
            signals.append(_read(delivery, source, f"[{position}]", raw))
        except Malformed as wrong:
            dead.append(dead_letter(delivery, wrong.path, wrong.why, bytes(raw)))
    if len(parts) > ELEMENTS_MAX:
        dead.append(too_many(delivery, "", len(parts)))
    return Parsed(signals=tuple(signals), dead=tuple(dead))


def _structured(delivery: Delivery, source: Source) -> Parsed:
    try:
        msgspec.json.decode(delivery.body, type=dict[str, Raw])
    except _UNREADABLE as wrong:
        raise Malformed("", f"the body is not a JSON object: {wrong}") from wrong
    try:
        return Parsed(signals=(_read(delivery, source, "", delivery.body),))
    except Malformed as wrong:
        return Parsed(signals=(), dead=(dead_letter(delivery, wrong.path, wrong.why, delivery.body),))


def _binary(delivery: Delivery, source: Source) -> Parsed:
    # Header values are percent-encoded UTF-8 (HTTP binding 3.1.3.2).
    attributes: dict[str, Any] = {
        name.removeprefix("ce-"): unquote(value) for name, value in delivery.headers.items() if name.startswith("ce-")
    }
    try:
        event = msgspec.convert(attributes, _Event)
        if delivery.body:
            event.data = _json(delivery.headers.get("content-type", ""), delivery.body)
        return Parsed(signals=(_signal(delivery, source, "", event),))
    except msgspec.ValidationError as wrong:
        path, why = inside("", str(wrong))
        return Parsed(signals=(), dead=(dead_letter(delivery, f"ce-{path}" if path else "ce-*", why, delivery.body),))
    except Malformed as wrong:
        return Parsed(signals=(), dead=(dead_letter(delivery, wrong.path, wrong.why, delivery.body),))


def _read(delivery: Delivery, source: Source, position: str, raw: bytes | Raw) -> Signal:
    try:
        event = _event.decode(raw)
    except msgspec.ValidationError as wrong:
        raise Malformed(*inside(position, str(wrong))) from wrong
    except _UNREADABLE as wrong:
        raise Malformed(position, f"cannot be read: {wrong}") from wrong
    if event.data_base64 is not None:
        try:
            body = base64.b64decode(event.data_base64, validate=True)
        except (binascii.Error, ValueError) as wrong:
            raise Malformed(_under(position, "data_base64"), f"is not base64: {wrong}") from wrong
        event.data = _json(event.datacontenttype or "", body)
    return _signal(delivery, source, position, event)


def _json(content_type: str, body: bytes) -> Any:
    content = content_type.partition(";")[0].strip().lower()
    if content and content != "application/json" and not content.endswith("+json"):
        raise Malformed("datacontenttype", f"{content} is not read; expected application/json")
    try:
        return msgspec.json.decode(body)
    except _UNREADABLE as wrong:
        raise Malformed("data", f"is not JSON: {wrong}") from wrong


def _signal(delivery: Delivery, source: Source, position: str, event: _Event) -> Signal:
    if event.specversion != _SPEC:
        raise Malformed(_under(position, "specversion"), f"{event.specversion!r} is not read; expected {_SPEC!r}")
    for name in ("id", "source", "type"):
        if not getattr(event, name):
            raise Malformed(_under(position, name), "is empty; CloudEvents wants a non-empty text")
    at = _under(position, "data")
    data = {} if event.data is UNSET or event.data is None else event.data
    if not isinstance(data, dict):
        raise Malformed(at, "is no JSON object, so it has no status and no labels")
    said_at = event.time if event.time is None or event.time.tzinfo is not None else None
    return signal_of(
        delivery,
        source,
        position,
        standing=_standing(event, data, at),
        labels=_labels(event, data, at),
        annotations=_annotations(data, at),
        starts_at=_instant(data, ("startsAt", "starts_at"), at),
        ends_at=_instant(data, ("endsAt", "ends_at"), at),
        fingerprint=label_text(data.get("fingerprint")) or "",
        said_at=said_at,
        identity=id_from("sig", utc(said_at) or EPOCH, source.name, event.source, event.id),
    )


def _under(position: str, name: str) -> str:
    return f"{position}.{name}" if position else name


def _standing(event: _Event, data: dict[str, Any], at: str) -> Standing:
    for name in ("status", "state"):
        if name in data:
            found = STANDINGS.get(str(data[name]).strip().lower())
            if found is None:
                raise Malformed(f"{at}.{name}", f"{str(data[name])[:40]!r} is no status; write firing or resolved")
            return found
    found = STANDINGS.get(event.type.rpartition(".")[2].lower())
    if found is None:
        raise Malformed(f"{at}.status", f"is missing, and the type {event.type!r} does not end in a status either")
    return found


def _labels(event: _Event, data: dict[str, Any], at: str) -> Labels:
    labels = {
        "alertname": label_text(data.get("alertname")) or event.type,
        "service": label_text(data.get("service")) or event.subject or "",
        "severity": label_text(data.get("severity")) or "",
        "ce_type": event.type,
        "ce_source": event.source,
        "ce_subject": event.subject or "",
    }
    labels.update(labels_from(data.get("labels"), f"{at}.labels"))
    return labels


def _annotations(data: dict[str, Any], at: str) -> Labels:
    annotations = labels_from(data.get("annotations"), f"{at}.annotations")
    for name in ("summary", "description"):
        text = label_text(data.get(name))
        if text:
            annotations.setdefault(name, text)
    return annotations


def _instant(data: dict[str, Any], names: tuple[str, ...], at: str) -> Instant | None:
    for name in names:
        if data.get(name) not in (None, ""):
            return instant_from(data[name], f"{at}.{name}")
    return None
