import contextlib
import json
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from watchkeeper.errors import Malformed
from watchkeeper.signals.beat import Beat, Expectation, missed
from watchkeeper.signals.fingerprint import fingerprint_of
from watchkeeper.signals.generic import read_mapping
from watchkeeper.signals.parse import parse
from watchkeeper.signals.priority import priority_of
from watchkeeper.signals.sample import Probe, Sample, Seen, judge
from watchkeeper.signals.signal import LABELS_MAX, Delivery, Source

NOW = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
SOURCE = Source(name="s", kind="s", group="g")
LAWS = settings(max_examples=80, deadline=None)
MAPPING = read_mapping({"each": "alerts", "status": "status", "labels": {"alertname": "labels.alertname"}})

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
labels = st.dictionaries(st.text(min_size=1, max_size=5), st.text(min_size=1, max_size=5), min_size=1, max_size=4)
alerts = st.fixed_dictionaries(
    {"status": st.sampled_from(["firing", "resolved"]) | json_values, "labels": labels | json_values},
    optional={
        "annotations": labels | json_values,
        "startsAt": st.just("2026-03-01T09:00:00Z") | json_values,
        "endsAt": st.just("0001-01-01T00:00:00Z") | json_values,
        "fingerprint": st.text(max_size=17) | json_values,
    },
)


def delivery(body: bytes, name: str, content_type: str = "") -> Delivery:
    headers = {"content-type": content_type}
    return Delivery(id="d", source="s", format=name, received_at=NOW, headers=headers, body=body, sha256="")


@given(st.lists(alerts, max_size=6), json_values)
@LAWS
def test_every_alert_of_a_batch_is_a_signal_or_a_dead_letter(batch, cut):
    body = json.dumps({"alerts": batch, "truncatedAlerts": cut}).encode()
    for name in ("alertmanager", "generic"):
        parsed = parse(delivery(body, name), SOURCE, MAPPING)
        assert len(parsed.signals) + len(parsed.dead) == len(batch)
        assert parsed == parse(delivery(body, name), SOURCE, MAPPING)
        assert all(dead.path and dead.why for dead in parsed.dead)
        for signal in parsed.signals:
            assert 1 <= len(signal.labels) <= LABELS_MAX
            assert all(signal.labels.values())
            assert len(signal.fingerprint) == 16
            assert signal.starts_at.tzinfo is UTC


@given(st.lists(st.dictionaries(st.sampled_from(["specversion", "id", "source", "type", "time", "data"]), json_values)))
@LAWS
def test_every_event_of_a_batch_is_a_signal_or_a_dead_letter(batch):
    found = parse(delivery(json.dumps(batch).encode(), "cloudevents", "application/cloudevents-batch+json"), SOURCE)
    assert len(found.signals) + len(found.dead) == len(batch)


@given(
    st.binary(max_size=80) | json_values.map(lambda value: json.dumps(value).encode()),
    st.sampled_from(["alertmanager", "cloudevents", "generic", "beat", "sample"]),
    st.sampled_from(["application/cloudevents+json", "application/cloudevents-batch+json", "text/plain"]),
)
@LAWS
def test_hostile_bytes_are_parsed_or_malformed_and_nothing_else(body, name, content_type):
    assert 0 <= priority_of(body) <= 3
    with contextlib.suppress(Malformed):
        parse(delivery(body, name, content_type), SOURCE, MAPPING)


@given(labels)
@LAWS
def test_a_fingerprint_does_not_depend_on_the_order_or_on_empty_labels(found):
    turned = {**dict(reversed(list(found.items()))), "zzz_empty": ""}
    assert fingerprint_of(turned) == fingerprint_of(found)


@given(st.permutations([(n, seen) for n, seen in enumerate("gbbbxgbgggxbbbbg")]), st.integers(0, 20))
@LAWS
def test_what_a_probe_says_is_a_function_of_the_set_of_samples(shuffled, until):
    seen = {"g": Seen.GOOD, "b": Seen.BAD, "x": Seen.BLIND}
    probe = Probe(name="p", source="s", group="g", stale_after_ms=60_000)
    samples = [Sample(probe="p", at=NOW + timedelta(seconds=n), seen=seen[letter]) for n, letter in shuffled]
    now = NOW + timedelta(seconds=until)
    assert judge(samples + samples[:3], probe, now) == judge(sorted(samples, key=lambda s: s.at), probe, now)


@given(st.lists(st.integers(0, 600), max_size=12), st.integers(0, 700))
@LAWS
def test_a_beat_never_causes_a_later_alarm_sooner(seconds, until):
    expected = Expectation(name="b", source="s", group="g", every_ms=60_000, since_at=NOW)
    now = NOW + timedelta(seconds=until)
    beats = [Beat(name="b", at=NOW + timedelta(seconds=n)) for n in seconds]
    open_now = [s for s in missed(beats, [expected], now) if s.starts_at <= now and s.received_at == now]
    newest = max([n for n in seconds if n <= until], default=0)
    assert bool([s for s in open_now if s.ends_at is None and s.starts_at >= NOW + timedelta(seconds=newest)]) == (
        until - newest > 60
    )


pager_events = st.fixed_dictionaries(
    {
        "event_type": st.sampled_from(["incident.acknowledged", "incident.resolved", "incident.reopened"])
        | json_values,
        "id": st.text(max_size=6) | json_values,
        "occurred_at": st.just("2026-03-01T09:00:00Z") | json_values,
        "agent": st.fixed_dictionaries({"type": st.just("user_reference") | json_values}) | json_values,
        "data": st.fixed_dictionaries(
            {
                "id": st.text(max_size=6) | json_values,
                "service": st.fixed_dictionaries({"id": json_values, "summary": json_values}) | json_values,
            }
        )
        | json_values,
    }
)
hub_events = st.fixed_dictionaries(
    {},
    optional={
        "action": st.sampled_from(["created", "published", "requested", "completed"]) | json_values,
        "repository": st.fixed_dictionaries({"full_name": st.just("a/b") | json_values}) | json_values,
        "sender": json_values,
        "deployment": st.fixed_dictionaries({"id": st.integers(), "created_at": st.just("2026-03-01T09:00:00Z")})
        | json_values,
        "deployment_status": st.fixed_dictionaries({"state": st.just("success") | json_values}) | json_values,
        "release": json_values,
        "workflow_run": json_values,
    },
)
envelopes = st.fixed_dictionaries(
    {
        "Type": st.sampled_from(["Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"]) | json_values,
        "Message": st.fixed_dictionaries(
            {"AlarmName": json_values, "NewStateValue": st.just("ALARM") | json_values, "Trigger": json_values}
        ).map(json.dumps)
        | json_values,
        "MessageId": json_values,
    }
)


@LAWS
@given(
    st.tuples(st.just("pagerduty"), pager_events.map(lambda each: {"event": each}) | json_values)
    | st.tuples(st.just("github"), hub_events | json_values)
    | st.tuples(st.just("sns"), envelopes | json_values),
    st.sampled_from(["", "deployment", "deployment_status", "release", "workflow_run", "ping"]),
)
def test_whatever_a_tool_says_is_read_or_kept_with_its_reason(said, event):
    format_, body = said
    raw = json.dumps(body).encode()
    found = Delivery(
        id="d", source="s", format=format_, received_at=NOW, headers={"x-github-event": event}, body=raw, sha256=""
    )
    with contextlib.suppress(Malformed):
        parsed = parse(found, SOURCE)
        assert all(letter.why and letter.delivery == "d" for letter in parsed.dead)
        assert parsed == parse(found, SOURCE)
