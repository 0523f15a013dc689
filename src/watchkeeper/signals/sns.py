"""Amazon SNS: the envelope of a notification, and a CloudWatch alarm inside. The signature was checked at the door.

In: a `Delivery` with one SNS message. Out: `Parsed`. A message that is no alarm is read by the source's mapping, where it
has one. CloudWatch names no start of an episode, only the moment of each change: episodes follow from their order.
Source: https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html
"""

from typing import Any, Final

import msgspec
from msgspec.structs import replace

from watchkeeper.errors import Malformed
from watchkeeper.signals.generic import Mapping, parse_generic
from watchkeeper.signals.plain import instant_from
from watchkeeper.signals.signal import Delivery, Parsed, Source, Standing
from watchkeeper.signals.statement import dead_letter, signal_of
from watchkeeper.values import Labels, id_from

STATES: Final = {"ALARM": Standing.FIRING, "OK": Standing.RESOLVED}
BLIND: Final = "INSUFFICIENT_DATA"  # says nothing of the condition: it neither fires nor clears
DIMENSIONS_MAX: Final = 30


def parse_sns(delivery: Delivery, source: Source, mapping: Mapping | None) -> Parsed:
    """Raises Malformed when the body is no SNS message."""
    envelope = envelope_of(delivery.body)
    match envelope.get("Type"):
        case "Notification":
            pass
        case "SubscriptionConfirmation":
            why = (
                f"topic {envelope.get('TopicArn')} asks whether it may send here: set confirm: true on source "
                f"{source.name} and subscribe again, or open its SubscribeURL yourself"
            )
            return Parsed(signals=(), dead=(dead_letter(delivery, "Type", why, delivery.body),))
        case _:
            return Parsed(signals=())
    text = str(envelope.get("Message") or "")
    try:
        alarm: Any = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        alarm = None
    if isinstance(alarm, dict) and "AlarmName" in alarm and "NewStateValue" in alarm:
        return _alarm(alarm, envelope, delivery, source)
    if mapping is not None:
        return parse_generic(replace(delivery, body=text.encode()), source, mapping)
    why = "is no CloudWatch alarm, and the source has no mapping for anything else"
    return Parsed(signals=(), dead=(dead_letter(delivery, "Message", why, text),))


def envelope_of(body: bytes) -> dict[str, Any]:
    try:
        found: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        raise Malformed("", f"the body is not JSON: {wrong}") from wrong
    if not isinstance(found, dict) or not isinstance(found.get("Type"), str):
        raise Malformed("Type", "is missing: the body is no SNS message; turn raw message delivery off")
    return found


def _alarm(alarm: dict[str, Any], envelope: dict[str, Any], delivery: Delivery, source: Source) -> Parsed:
    state = alarm["NewStateValue"]
    if state == BLIND:
        return Parsed(signals=())
    try:
        standing = STATES.get(str(state))
        if standing is None:
            raise Malformed("Message.NewStateValue", f"{str(state)[:40]!r} is none of {', '.join(STATES)}, {BLIND}")
        at = instant_from(alarm.get("StateChangeTime"), "Message.StateChangeTime")
        found = signal_of(
            delivery,
            source,
            "Message",
            standing=standing,
            labels=_labels(alarm),
            annotations={
                "summary": str(alarm.get("NewStateReason") or ""),
                "description": str(alarm.get("AlarmDescription") or ""),
            },
            starts_at=None,
            ends_at=at if standing is Standing.RESOLVED else None,
            said_at=at,
            identity=id_from("sig", at, source.name, str(envelope.get("MessageId"))),
        )
    except Malformed as wrong:
        return Parsed(signals=(), dead=(dead_letter(delivery, wrong.path, wrong.why, delivery.body),))
    return Parsed(signals=(found,))


def _labels(alarm: dict[str, Any]) -> Labels:
    """The alarm, where it is, and the dimensions of its metric (`InstanceId` becomes `instance_id`)."""
    trigger = alarm.get("Trigger")
    trigger = trigger if isinstance(trigger, dict) else {}
    labels: Labels = {"alertname": str(alarm["AlarmName"])}
    for label, value in (
        ("account", alarm.get("AWSAccountId")),
        ("aws_region", alarm.get("Region")),
        ("namespace", trigger.get("Namespace")),
        ("metric", trigger.get("MetricName")),
    ):
        if isinstance(value, str) and value:
            labels[label] = value
    dimensions = trigger.get("Dimensions")
    for each in dimensions[:DIMENSIONS_MAX] if isinstance(dimensions, list) else ():
        if isinstance(each, dict) and isinstance(each.get("name"), str) and isinstance(each.get("value"), str):
            labels.setdefault(_snake(each["name"]), each["value"])
    return labels


def _snake(name: str) -> str:
    found = "".join(f"_{char.lower()}" if char.isupper() and at else char.lower() for at, char in enumerate(name))
    return "".join(char if char.isalnum() or char == "_" else "_" for char in found)
