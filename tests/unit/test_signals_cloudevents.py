import base64
import json
from datetime import UTC, datetime

import pytest

from watchkeeper.errors import Malformed
from watchkeeper.signals.parse import parse
from watchkeeper.signals.signal import Delivery, Source, Standing

NOW = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
SOURCE = Source(name="bus", kind="cloudevents", group="bus")
ONE = "application/cloudevents+json; charset=utf-8"
MANY = "application/cloudevents-batch+json"


def event(**changes: object) -> dict[str, object]:
    data = {"status": "firing", "severity": "major", "labels": {"shard": 7, "hot": True}, "summary": "disk full"}
    fields = {
        "specversion": "1.0",
        "id": "e-1",
        "source": "//disks",
        "type": "com.example.disk",
        "subject": "orders-db",
        "time": "2026-03-01T09:58:00Z",
        "data": data,
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not None}


def delivery(body: object, content_type: str = ONE, **headers: str) -> Delivery:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Delivery(
        id="dlv_1",
        source="bus",
        format="cloudevents",
        received_at=NOW,
        headers={"content-type": content_type, **named},
        body=body if isinstance(body, bytes) else json.dumps(body).encode(),
        sha256="",
    )


def test_a_structured_event_becomes_a_signal_by_the_convention():
    (signal,) = parse(delivery(event()), SOURCE).signals
    assert signal.standing is Standing.FIRING
    assert signal.labels == {
        "alertname": "com.example.disk",
        "service": "orders-db",
        "severity": "major",
        "shard": "7",
        "hot": "true",
        "ce_type": "com.example.disk",
        "ce_source": "//disks",
        "ce_subject": "orders-db",
    }
    assert signal.annotations == {"summary": "disk full"}
    assert not signal.start_stated
    assert signal.starts_at == datetime(2026, 3, 1, 9, 58, tzinfo=UTC)


def test_stated_times_and_labels_win():
    data = {
        "state": "RESOLVED",
        "startsAt": "2026-03-01T09:00:00Z",
        "ends_at": 1_772_359_200,
        "service": "a",
        "labels": {"service": "b", "alertname": "Full"},
    }
    (signal,) = parse(delivery(event(data=data)), SOURCE).signals
    assert (signal.labels["service"], signal.labels["alertname"]) == ("b", "Full")
    assert signal.start_stated
    assert signal.ends_at == NOW


def test_the_type_may_end_in_the_status():
    (signal,) = parse(delivery(event(data=None, type="com.example.disk.resolved")), SOURCE).signals
    assert signal.standing is Standing.RESOLVED


def test_the_same_event_twice_is_one_signal_and_another_source_is_another():
    batch = delivery([event(), event(), event(source="//other"), event(id="e-2")], MANY)
    signals = parse(batch, SOURCE).signals
    assert len({signal.id for signal in signals}) == 3
    assert parse(delivery(event()), SOURCE).signals[0].id == signals[0].id


def test_binary_mode_reads_percent_encoded_headers_and_the_body_as_data():
    headers = {"ce_specversion": "1.0", "ce_id": "e%201", "ce_source": "//d", "ce_type": "x.firing", "ce_subject": "a"}
    found = parse(delivery({"labels": {"zone": "a"}}, "application/json", **headers), SOURCE)
    (signal,) = found.signals
    assert (signal.labels["zone"], signal.labels["service"]) == ("a", "a")
    twin = event(id="e 1", source="//d", type="x.firing", time=None)
    assert signal.id == parse(delivery(twin), SOURCE).signals[0].id


def test_binary_data_as_base64():
    data = base64.b64encode(b'{"status": "resolved"}').decode()
    (signal,) = parse(delivery(event(data=None, data_base64=data)), SOURCE).signals
    assert signal.standing is Standing.RESOLVED


@pytest.mark.parametrize(
    ("changes", "path", "why"),
    [
        ({"id": None}, "", "`id`"),
        ({"id": ""}, "id", "is empty"),
        ({"specversion": "0.3"}, "specversion", "expected '1.0'"),
        ({"data": "text"}, "data", "no JSON object"),
        ({"data": {}}, "data.status", "is missing, and the type 'com.example.disk' does not end in a status"),
        ({"data": {"status": "wobbly"}}, "data.status", "'wobbly' is no status; write firing or resolved"),
        ({"data": {"status": "firing", "labels": {"a": []}}}, "data.labels.a", "neither text"),
        ({"data": {"status": "firing", "labels": [1]}}, "data.labels", "no object"),
        ({"data": {"status": "firing", "startsAt": "noon"}}, "data.startsAt", "is no time"),
        ({"data": None, "data_base64": "!!"}, "data_base64", "is not base64"),
        ({"data": None, "data_base64": "eyI="}, "data", "is not JSON"),
        ({"data": None, "data_base64": "eyI=", "datacontenttype": "text/xml"}, "datacontenttype", "text/xml"),
    ],
)
def test_a_bad_event_is_a_dead_letter_alone_and_in_a_batch(changes, path, why):
    (dead,) = parse(delivery(event(**changes)), SOURCE).dead
    assert dead.path == path
    assert why in dead.why
    parsed = parse(delivery([event(), event(**changes)], MANY), SOURCE)
    assert len(parsed.signals) == 1
    assert parsed.dead[0].path in {f"[1].{path}", f"[1]{path}", path}


def test_a_binary_event_without_its_headers_is_a_dead_letter_naming_them():
    (dead,) = parse(delivery({}, "application/json", ce_id="1"), SOURCE).dead
    assert dead.path == "ce-*"
    (dead,) = parse(
        delivery(b"<x/>", "text/xml", ce_id="1", ce_source="s", ce_type="t", ce_specversion="1.0"), SOURCE
    ).dead
    assert dead.path == "datacontenttype"


@pytest.mark.parametrize(
    ("body", "content_type", "why"),
    [
        (b"{", ONE, "not a JSON object"),
        (b"[]", ONE, "not a JSON object"),
        (b"{}", MANY, "not a JSON list"),
        (b"{}", "application/json", "no CloudEvents mode"),
    ],
)
def test_what_cannot_be_read_is_malformed(body, content_type, why):
    with pytest.raises(Malformed, match=why):
        parse(delivery(body, content_type), SOURCE)
