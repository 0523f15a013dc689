"""Events as Alertmanager's event recorder writes them.

`AS_ENCODED` was made by a protobuf 3 JSON encoder from `eventrecorder.proto` of Alertmanager 0.34; the functions make the
same shapes with other values.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SILENCE = "3b1f7a52-6f0e-4a7e-9d0c-6a1c2e5d8f10"
FINGERPRINT = "fedcba9876543210"

AS_ENCODED = {
    "silenceMutedAlert": r"""{"@timestamp": "2026-03-02T09:00:00.123456Z", "instance": "am-0", "data": {"silenceMutedAlert":
{"silence": {"id": "3b1f7a52-6f0e-4a7e-9d0c-6a1c2e5d8f10", "matchers": [{"type": "TYPE_EQUAL", "name": "service", "pattern":
"web", "rendered": "service=\"web\""}], "startsAt": "2026-03-02T08:55:00.123456Z", "endsAt": "2026-03-02T10:00:00.123456Z",
"updatedAt": "2026-03-02T08:55:00.123456Z", "createdBy": "ann", "comment": "disk swap", "matcherSets": [{"matchers":
[{"type": "TYPE_EQUAL", "name": "service", "pattern": "web", "rendered": "service=\"web\""}]}]}, "mutedAlert": {"labels":
{"labels": [{"key": "alertname", "value": "Down"}, {"key": "service", "value": "web"}]},
"fingerprint": "18364758544493064720"}}}}""",
    "inhibitionMutedAlert": r"""{"@timestamp": "2026-03-02T09:00:00.123456Z", "instance": "am-0", "data":
{"inhibitionMutedAlert": {"inhibitRules": [{"sourceMatchers": [{"type": "TYPE_EQUAL", "name": "alertname", "pattern":
"HostDown", "rendered": "alertname=\"HostDown\""}], "targetMatchers": [{"type": "TYPE_REGEXP", "name": "alertname",
"pattern": "Down|Slow", "rendered": "alertname=~\"Down|Slow\""}], "equalLabels": ["host"], "name": "host-down"}],
"mutedAlert": {"labels": {"labels": [{"key": "alertname", "value": "Down"}, {"key": "service", "value": "web"}]},
"fingerprint": "18364758544493064720"}, "inhibitingFingerprints": ["31"]}}, "clusterPosition": 1}""",
    "alertResolved": r"""{"@timestamp": "2026-03-02T09:00:00.123456Z", "instance": "am-0", "data": {"alertResolved": {"alert":
{"hash": "12345678901234567890", "details": {"fingerprint": "18364758544493064720", "name": "Down", "labels": {"labels":
[{"key": "alertname", "value": "Down"}, {"key": "service", "value": "web"}]}, "startsAt": "2026-03-02T09:00:00.123456Z",
"resolved": true}}, "groupInfo": {"groupKey": "{}:{alertname=\"Down\"}", "receiverName": "watchkeeper"}}}}""",
    "notification": r"""{"@timestamp": "2026-03-02T09:00:00.123456Z", "instance": "am-0", "data": {"notification": {"alerts":
[{"hash": "1", "details": {"fingerprint": "18364758544493064720", "name": "Down"}}], "firingAlerts": [{"hash": "1"}],
"mutedAlerts": [{"hash": "2"}], "groupInfo": {"receiverName": "watchkeeper"}, "repeatInterval": "14400s", "reason":
"NOTIFY_REASON_NEW_ALERTS_IN_GROUP", "flushId": "7", "integration": {"name": "webhook"}}}}""",
    "silenceUpdated": r"""{"@timestamp": "2026-03-02T09:00:00.123456Z", "instance": "am-0", "data": {"silenceUpdated":
{"silence": {"id": "3b1f7a52-6f0e-4a7e-9d0c-6a1c2e5d8f10", "startsAt": "2026-03-02T08:55:00.123456Z", "endsAt":
"2026-03-02T10:00:00.123456Z", "updatedAt": "2026-03-02T08:55:00.123456Z", "createdBy": "ann", "comment": "disk swap"}}}}""",
    "alertmanagerStartupEvent": """{"@timestamp": "2026-03-02T09:00:00.123456Z", "instance": "am-0", "data":
{"alertmanagerStartupEvent": {"version": "0.34.0"}}}""",
    "alertmanagerShutdownEvent": """{"@timestamp": "2026-03-02T09:00:00.123456Z", "instance": "am-0", "data":
{"alertmanagerShutdownEvent": {}}}""",
    "alertCreated": """{"@timestamp": "2026-03-02T09:00:00.123456Z", "instance": "am-0", "data": {"alertCreated": {"alert":
{"fingerprint": "5", "name": "Down"}}}}""",
    "alertGrouped": """{"@timestamp": "2026-03-02T09:00:00.123456Z", "instance": "am-0", "data": {"alertGrouped": {"alert":
{"hash": "5"}}}}""",
}


def text_of(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def event(data: dict[str, Any], at: datetime = AT) -> dict[str, Any]:
    return {"@timestamp": text_of(at), "instance": "am-0", "data": data}


def silence(
    identity: str = SILENCE, *, ends: datetime | None = None, updated: datetime = AT, comment: str = "disk swap"
) -> dict[str, Any]:
    return {
        "id": identity,
        "startsAt": text_of(AT - timedelta(hours=1)),
        "endsAt": text_of(ends or AT + timedelta(hours=1)),
        "updatedAt": text_of(updated),
        "createdBy": "ann",
        "comment": comment,
    }


def muted_alert(fingerprint: str = FINGERPRINT, **labels: str) -> dict[str, Any]:
    pairs = [{"key": name, "value": value} for name, value in sorted(labels.items())]
    return {"labels": {"labels": pairs}, "fingerprint": str(int(fingerprint, 16))}


def silenced(
    fingerprint: str = FINGERPRINT, at: datetime = AT, by: dict[str, Any] | None = None, **labels: str
) -> dict[str, Any]:
    muted = {"silence": by or silence(), "mutedAlert": muted_alert(fingerprint, **labels)}
    return event({"silenceMutedAlert": muted}, at)


def inhibited(
    fingerprint: str = FINGERPRINT, at: datetime = AT, by: str = "000000000000001f", rule: str = "", **labels: str
) -> dict[str, Any]:
    muted = {
        "inhibitRules": [{"name": rule} if rule else {}],
        "mutedAlert": muted_alert(fingerprint, **labels),
        "inhibitingFingerprints": [str(int(by, 16))],
    }
    return event({"inhibitionMutedAlert": muted}, at)


def resolved(fingerprint: str = FINGERPRINT, at: datetime = AT) -> dict[str, Any]:
    details = {"fingerprint": str(int(fingerprint, 16)), "name": "Down", "resolved": True}
    return event({"alertResolved": {"alert": {"hash": "9", "details": details}}}, at)


def notified(fingerprint: str = FINGERPRINT, at: datetime = AT) -> dict[str, Any]:
    details = {"fingerprint": str(int(fingerprint, 16)), "name": "Down"}
    return event({"notification": {"alerts": [{"hash": "9", "details": details}], "flushId": "7"}}, at)


def silence_updated(by: dict[str, Any], at: datetime = AT) -> dict[str, Any]:
    return event({"silenceUpdated": {"silence": by}}, at)
