"""An event recorder's words: their order and their repetition change nothing, and no bytes break the reading of them."""

import contextlib
import json
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from recorder_events import AT, inhibited, notified, resolved, silence, silence_updated, silenced
from watchkeeper.correlate.muted import Muted, let_go, muted, newer, standing
from watchkeeper.errors import Malformed
from watchkeeper.signals.parse import parse
from watchkeeper.signals.recorded import Silence
from watchkeeper.signals.signal import Delivery, Source

LAWS = settings(max_examples=150, deadline=None)
INTERVAL_MS = 300_000
FINGERPRINTS = ("000000000000000a", "00000000000000ab")
minutes = st.integers(0, 90).map(lambda number: AT + timedelta(minutes=number))


def _silence(number: int, ends: int, updated: int):
    at = AT + timedelta(minutes=updated)
    return silence(f"s{number}", ends=AT + timedelta(minutes=ends), updated=at)


silences = st.builds(_silence, st.integers(0, 2), st.integers(0, 120), st.integers(0, 60))
fingerprints = st.sampled_from(FINGERPRINTS)
events = st.one_of(
    st.builds(silenced, fingerprints, minutes, silences),
    st.builds(inhibited, fingerprints, minutes, st.sampled_from(["01", "02"]), st.sampled_from(["", "r"])),
    st.builds(resolved, fingerprints, minutes),
    st.builds(notified, fingerprints, minutes),
    st.builds(silence_updated, silences, minutes),
)


def heard(bodies, seen):
    """What is known after these deliveries, each received when its event was made: the state, and the last word."""
    known: dict[str, Muted] = {}
    held: dict[str, Silence] = {}
    last = AT
    for body in bodies:
        at = max(seen[json.dumps(body)], AT)
        delivery = Delivery(
            id="d",
            source="am",
            format="alertmanager-events",
            received_at=at,
            headers={},
            body=json.dumps(body).encode(),
            sha256="",
        )
        found = parse(delivery, Source(name="am", kind="alertmanager", group="am")).recorded
        assert found is not None
        for each in found.silences:
            held[each.id] = newer(held.get(each.id), each)
        for word in (*found.mutings, *found.lettings):
            before = known.get(word.fingerprint, Muted(id="x", source="am", fingerprint=word.fingerprint))
            known[word.fingerprint] = muted(before, word) if hasattr(word, "because") else let_go(before, word)
        last = max(last, found.latest_at or last)
    return known, held, last


def said_at(body):
    return datetime.fromisoformat(body["@timestamp"])


@given(st.data(), st.lists(events, max_size=14), st.integers(0, 200))
@LAWS
def test_order_and_repetition_change_nothing(data, bodies, after):
    seen = {json.dumps(body): said_at(body) for body in bodies}
    shuffled = data.draw(st.permutations(bodies))
    again = [*shuffled, *bodies[: len(bodies) // 2]]
    first, second = heard(bodies, seen), heard(again, seen)
    assert first == second
    now = AT + timedelta(minutes=after)
    for fingerprint in first[0]:
        one, other = (
            standing(each[0][fingerprint], each[1], now, group_interval_ms=INTERVAL_MS, recorder_at=each[2])
            for each in (first, second)
        )
        assert one == other


@given(st.lists(events, min_size=1, max_size=10), st.integers(0, 300), st.integers(0, 300))
@LAWS
def test_what_is_over_by_time_stays_over_until_something_new_is_said(bodies, one, other):
    seen = {json.dumps(body): said_at(body) for body in bodies}
    known, held, last = heard(bodies, seen)
    sooner, later = (AT + timedelta(minutes=each) for each in sorted((one, other)))
    for found in known.values():
        first, second = (
            set(standing(found, held, now, group_interval_ms=INTERVAL_MS, recorder_at=last)) for now in (sooner, later)
        )
        assert second <= first


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(
    [
        "silenceMutedAlert",
        "inhibitionMutedAlert",
        "silenceUpdated",
        "alertResolved",
        "notification",
        "alertCreated",
        "x",
    ]
)
odd = st.fixed_dictionaries(
    {"data": st.dictionaries(NAMES, json_values, max_size=2) | json_values},
    optional={"@timestamp": st.just("2026-03-02T09:00:00Z") | json_values},
)
FIELDS = st.sampled_from(["silence", "mutedAlert", "alert", "inhibitingFingerprints", "@timestamp", "data"])


@given(
    st.binary(max_size=80)
    | (odd | json_values | st.lists(odd | events, max_size=4)).map(lambda x: json.dumps(x).encode())
)
@LAWS
def test_hostile_bytes_are_read_dead_letters_or_malformed(body):
    delivery = Delivery(
        id="d", source="am", format="alertmanager-events", received_at=AT, headers={}, body=body, sha256=""
    )
    with contextlib.suppress(Malformed):
        found = parse(delivery, Source(name="am", kind="alertmanager", group="am"))
        assert found.recorded is not None
        assert sum(found.recorded.events.values()) + len(found.dead) == (
            len(json.loads(body)) if body.lstrip().startswith(b"[") else 1
        )


@given(events, FIELDS, json_values)
@LAWS
def test_an_event_with_one_field_turned_is_read_or_a_dead_letter(body, field, value):
    turned = json.loads(json.dumps(body))
    inside = next(iter(turned["data"].values()))
    (turned if field in turned else inside)[field] = value
    delivery = Delivery(
        id="d",
        source="am",
        format="alertmanager-events",
        received_at=AT,
        headers={},
        body=json.dumps(turned).encode(),
        sha256="",
    )
    found = parse(delivery, Source(name="am", kind="alertmanager", group="am"))
    assert found.recorded is not None
    assert sum(found.recorded.events.values()) + len(found.dead) == 1
