"""PagerDuty's webhooks, version 3: who took an incident, and who let it go.

In: a `Delivery` with one event. Out: `Parsed`; events that say nothing of that are passed over.
Source: https://developer.pagerduty.com/docs/webhooks-overview
"""

from typing import Any, Final

import msgspec

from watchkeeper.errors import Malformed
from watchkeeper.signals.plain import instant_from
from watchkeeper.signals.said import Acknowledgement, Act
from watchkeeper.signals.signal import Delivery, Parsed, Source
from watchkeeper.signals.statement import dead_letter

TEXT_CHARS_MAX: Final = 300
HUMAN: Final = frozenset({"user_reference", "user"})  # an integration, a service or nobody is no person
ACTS: Final = {
    "incident.acknowledged": Act.ACKNOWLEDGED,
    "incident.unacknowledged": Act.UNACKNOWLEDGED,
    "incident.resolved": Act.RESOLVED,
}


def parse_pagerduty(delivery: Delivery, source: Source) -> Parsed:
    """Raises Malformed when the body holds no event at all; a field that is missing makes a dead letter."""
    try:
        body: Any = msgspec.json.decode(delivery.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        raise Malformed("", f"the body is not JSON: {wrong}") from wrong
    event = body.get("event") if isinstance(body, dict) else None
    if not isinstance(event, dict):
        raise Malformed("event", "is missing, or no object")
    act = ACTS.get(str(event.get("event_type")))
    if act is None:
        return Parsed(signals=())
    try:
        return Parsed(signals=(), acknowledgements=(_acknowledgement(event, act, delivery, source),))
    except Malformed as wrong:
        return Parsed(signals=(), dead=(dead_letter(delivery, wrong.path, wrong.why, delivery.body),))


def _acknowledgement(event: dict[str, Any], act: Act, delivery: Delivery, source: Source) -> Acknowledgement:
    agent = event.get("agent")
    agent = agent if isinstance(agent, dict) else {}
    data = _object(event, "event.data", "data")
    service = _object(data, "event.data.service", "service")
    names = (str(service.get("id") or ""), str(service.get("summary") or ""))
    return Acknowledgement(
        event=_text(event, "event.id", "id"),
        source=source.name,
        act=act,
        incident=_text(data, "event.data.id", "id"),
        key=str(data.get("incident_key") or "")[:TEXT_CHARS_MAX],
        services=tuple(name[:TEXT_CHARS_MAX] for name in names if name),
        by=str(agent.get("summary") or agent.get("id") or "nobody")[:TEXT_CHARS_MAX],
        human=agent.get("type") in HUMAN,
        at=instant_from(event.get("occurred_at"), "event.occurred_at"),
        received_at=delivery.received_at,
        title=str(data.get("title") or "")[:TEXT_CHARS_MAX],
        url=str(data.get("html_url") or "")[:TEXT_CHARS_MAX],
    )


def _object(inside: dict[str, Any], path: str, name: str) -> dict[str, Any]:
    found = inside.get(name)
    if not isinstance(found, dict):
        raise Malformed(path, "is missing, or no object")
    return found


def _text(inside: dict[str, Any], path: str, name: str) -> str:
    found = inside.get(name)
    if not isinstance(found, str) or not found:
        raise Malformed(path, "is missing, or no text")
    return found[:TEXT_CHARS_MAX]
