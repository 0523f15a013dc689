import json
from datetime import UTC, datetime

import pytest

from watchkeeper.errors import Malformed
from watchkeeper.signals.alertmanager import parse_alertmanager
from watchkeeper.signals.fingerprint import fingerprint_of
from watchkeeper.signals.parse import parse
from watchkeeper.signals.priority import priority_of
from watchkeeper.signals.signal import LABELS_MAX, VALUE_BYTES_MAX, Delivery, Source, Standing
from watchkeeper.signals.statement import ELEMENTS_MAX

NOW = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
SOURCE = Source(name="am", kind="alertmanager", group="eu", region="eu-west")


def alert(**changes: object) -> dict[str, object]:
    return {
        "status": "firing",
        "labels": {"alertname": "InstanceDown", "instance": "a:9100", "severity": "critical"},
        "annotations": {"summary": "a is down"},
        "startsAt": "2026-03-01T11:59:30.123456789+02:00",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus:9090/graph",
        "fingerprint": "0123456789abcdef",
        **changes,
    }


def delivery(body: object, **changes: object) -> Delivery:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {"id": "dlv_1", "source": "am", "format": "alertmanager", "received_at": NOW, "headers": {}, "sha256": ""}
    return Delivery(**{**fields, "body": raw, **changes})


def webhook(*alerts: object, **changes: object) -> dict[str, object]:
    return {
        "version": "4",
        "groupKey": '{}:{alertname="InstanceDown"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "watchkeeper",
        "groupLabels": {"alertname": "InstanceDown"},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093",
        "alerts": list(alerts),
        **changes,
    }


def test_a_webhook_becomes_signals_with_times_in_utc():
    (signal,) = parse_alertmanager(delivery(webhook(alert())), SOURCE).signals
    assert signal.starts_at == datetime(2026, 3, 1, 9, 59, 30, 123457, tzinfo=UTC)
    assert signal.starts_at.tzinfo is UTC
    assert signal.ends_at is None
    assert (signal.standing, signal.fingerprint) == (Standing.FIRING, "0123456789abcdef")
    assert (signal.source, signal.group, signal.region) == ("am", "eu", "eu-west")
    assert signal.labels["instance"] == "a:9100"
    assert signal.url == "http://prometheus:9090/graph"
    assert signal.start_stated
    assert not signal.incomplete


def test_taking_apart_twice_gives_the_same_and_positions_differ():
    first = parse(delivery(webhook(alert(), alert())), SOURCE)
    assert first == parse(delivery(webhook(alert(), alert())), SOURCE)
    assert first.signals[0].id != first.signals[1].id


def test_a_resolved_alert_keeps_its_end_a_firing_one_has_none():
    ended = "2026-03-01T10:00:00Z"
    body = webhook(alert(status="resolved", endsAt=ended), alert(endsAt=ended))
    resolved, firing = parse_alertmanager(delivery(body), SOURCE).signals
    assert (resolved.standing, resolved.ends_at) == (Standing.RESOLVED, NOW)
    assert firing.ends_at is None


@pytest.mark.parametrize("start", ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
def test_a_zero_start_is_no_start(start):
    (signal,) = parse_alertmanager(delivery(webhook(alert(startsAt=start))), SOURCE).signals
    assert not signal.start_stated
    assert signal.starts_at == NOW


@pytest.mark.parametrize(
    ("bad", "path", "why"),
    [
        (alert(startsAt="yesterday"), "alerts[1].startsAt", "invalid RFC3339"),
        (alert(startsAt="2026-03-01T10:00:00"), "alerts[1].startsAt", "timezone"),
        (alert(status="maybe"), "alerts[1].status", "maybe"),
        (alert(labels={"alertname": 7}), "alerts[1].labels[...]", "expected `str`"),
        (alert(labels={}), "alerts[1].labels", "no label has a value"),
        (alert(labels={"alertname": ""}), "alerts[1].labels", "no label has a value"),
        (alert(labels={"alertname": "x" * (VALUE_BYTES_MAX + 1)}), "alerts[1].labels.alertname", "4096 bytes"),
        (alert(labels={"alertname": "\U0001f525" * 1_025}), "alerts[1].labels.alertname", "4096 bytes"),
        (alert(labels={"n" * 257: "x"}), "alerts[1].labels", "256 bytes"),
        (alert(labels={f"n{i}": "x" for i in range(LABELS_MAX + 1)}), "alerts[1].labels", "at most 128"),
        ("no object", "alerts[1]", "expected `object`"),
        ({"labels": {"a": "b"}}, "alerts[1]", "status"),
    ],
)
def test_a_bad_alert_is_a_dead_letter_with_its_field_and_the_good_ones_are_kept(bad, path, why):
    parsed = parse_alertmanager(delivery(webhook(alert(), bad, alert())), SOURCE)
    assert len(parsed.signals) == 2
    (dead,) = parsed.dead
    assert dead.path == path
    assert why in dead.why
    assert json.loads(dead.body) == bad


def test_bounds_are_inclusive():
    labels = {**{f"n{i}": "x" for i in range(LABELS_MAX - 1)}, "n" * 256: "é" * (VALUE_BYTES_MAX // 2)}
    parsed = parse_alertmanager(delivery(webhook(alert(labels=labels))), SOURCE)
    assert parsed.signals[0].labels == labels


def test_bytes_that_are_no_utf8_cost_one_alert_only():
    body = json.dumps(webhook(alert(), alert(labels={"alertname": "XX"}))).encode().replace(b"XX", b"\xff\xfe")
    parsed = parse_alertmanager(delivery(body), SOURCE)
    assert len(parsed.signals) == 1
    assert parsed.dead[0].path == "alerts[1]"


def test_a_bomb_of_brackets_is_malformed_and_ends_nothing():
    bomb = b'{"status":"firing","labels":{"a":"b"},"x":' + b"[" * 20_000 + b"]" * 20_000 + b"}"
    body = json.dumps(webhook(alert(), "BOMB")).encode().replace(b'"BOMB"', bomb)
    with pytest.raises(Malformed, match="recursion"):
        parse_alertmanager(delivery(body), SOURCE)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"alerts": 7}', b"{}", b"\xff", b"[" * 100_000])
def test_what_cannot_be_read_at_all_is_malformed(body):
    with pytest.raises(Malformed):
        parse_alertmanager(delivery(body), SOURCE)


def test_a_missing_list_is_named():
    with pytest.raises(Malformed, match="alerts"):
        parse_alertmanager(delivery({"version": "4"}), SOURCE)


def test_an_empty_batch_is_no_error():
    assert parse_alertmanager(delivery(webhook()), SOURCE).signals == ()


@pytest.mark.parametrize(("cut", "incomplete"), [(0, False), (None, False), (3, True), ("many", True)])
def test_a_batch_cut_short_says_so_on_each_signal(cut, incomplete):
    (signal,) = parse_alertmanager(delivery(webhook(alert(), truncatedAlerts=cut)), SOURCE).signals
    assert signal.incomplete is incomplete
    (signal,) = parse_alertmanager(delivery(webhook(alert(), "bad", truncatedAlerts=cut)), SOURCE).signals
    assert signal.incomplete is incomplete


def test_empty_labels_count_as_absent():
    stated = alert(labels={"alertname": "X", "team": ""}, fingerprint="")
    (signal,) = parse_alertmanager(delivery(webhook(stated)), SOURCE).signals
    assert signal.labels == {"alertname": "X"}
    assert signal.fingerprint == fingerprint_of({"alertname": "X"})


def test_a_long_description_is_cut_and_says_so():
    stated = alert(annotations={"description": "x" * 5_000, "n" * 300: "gone"})
    (signal,) = parse_alertmanager(delivery(webhook(stated)), SOURCE).signals
    assert signal.annotations["description"].endswith("… (cut from 5000 characters)")
    assert list(signal.annotations) == ["description"]


def test_the_rest_of_an_endless_batch_is_one_dead_letter():
    body = webhook(*[alert()] * (ELEMENTS_MAX + 1))
    parsed = parse_alertmanager(delivery(body), SOURCE)
    assert len(parsed.signals) == ELEMENTS_MAX
    assert [dead.path for dead in parsed.dead] == ["alerts[10000:]"]


# Source: prometheus/common, model/metric_test.go
@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({}, 14695981039346656037),
        ({"first_name": "electro", "occupation": "robot", "manufacturer": "westinghouse"}, 5911716720268894962),
        ({"x": "y"}, 8241431561484471700),
        ({"a": "bb", "b": "c"}, 3016285359649981711),
        ({"a": "b", "bb": "c"}, 7122421792099404749),
    ],
)
def test_the_fingerprint_is_the_one_of_prometheus(labels, expected):
    assert fingerprint_of(labels) == f"{expected:016x}"


@pytest.mark.parametrize("stated", ["4711", "0123456789ABCDEF", "0123456789abcdef0"])
def test_a_fingerprint_of_another_shape_is_hashed_not_trusted(stated):
    (signal,) = parse_alertmanager(delivery(webhook(alert(fingerprint=stated))), SOURCE).signals
    assert signal.fingerprint == fingerprint_of({"fingerprint": stated})


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["critical"], 0),
        (["info", "page"], 0),
        (["major"], 1),
        (["warning", "high"], 1),
        (["warning"], 2),
        (["info"], 3),
        (["nobodyknows"], 2),
        ([], 2),
    ],
)
def test_the_priority_class_is_the_worst_severity_in_the_raw_text(words, expected):
    alerts = [alert(labels={"severity": word}) for word in words]
    assert priority_of(json.dumps(webhook(*alerts)).encode()) == expected


@pytest.mark.parametrize("body", [b"", b"\xff\x00", b'"severity":', b'{"Priority" : "P1"}'])
def test_the_priority_class_never_fails(body):
    assert priority_of(body) == (0 if b"P1" in body else 2)


def test_an_unknown_format_is_named():
    with pytest.raises(Malformed, match="format: 'smtp' has no parser"):
        parse(delivery(b"", format="smtp"), SOURCE)
