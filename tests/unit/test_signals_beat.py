import json
from datetime import UTC, datetime, timedelta

import pytest

from watchkeeper.errors import Malformed
from watchkeeper.signals.beat import Beat, Expectation, beat_of, missed
from watchkeeper.signals.parse import parse
from watchkeeper.signals.signal import Delivery, Kind, Source, Standing

T0 = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
SOURCE = Source(name="hb", kind="beat", group="hb")
EXPECTED = Expectation(
    name="nightly-billing",
    source="hb",
    group="hb",
    every_ms=60_000,
    grace_ms=5_000,
    since_at=T0,
    labels={"service": "billing", "severity": "major"},
)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def beat(seconds: float, **changes: object) -> Beat:
    return Beat(**{"name": "nightly-billing", "at": at(seconds), **changes})


def delivery(body: bytes = b"", name: str = "nightly-billing") -> Delivery:
    fields = {"id": "dlv_1", "source": "hb", "format": "beat", "received_at": T0, "headers": {}, "sha256": ""}
    return Delivery(**fields, body=body, name=name)


def test_a_beat_is_a_signal_of_its_own_kind():
    (signal,) = parse(delivery(), SOURCE).signals
    assert signal.kind is Kind.BEAT
    assert beat_of(signal) == beat(0)


def test_a_beat_that_says_fail_does_not_renew():
    (signal,) = parse(delivery(b'{"status": "fail"}'), SOURCE).signals
    assert beat_of(signal).failed
    assert missed([beat(60, failed=True)], [EXPECTED], at(66))


@pytest.mark.parametrize(
    ("body", "name", "path"), [(b"", "", "name"), (b"{", "a", ""), (b'{"status": "odd"}', "a", "status")]
)
def test_a_beat_that_cannot_be_read_is_malformed(body, name, path):
    with pytest.raises(Malformed) as wrong:
        parse(delivery(body, name), SOURCE)
    assert wrong.value.path == path


def test_the_name_may_stand_in_the_body():
    (signal,) = parse(delivery(json.dumps({"name": "b", "labels": {"n": 1}}).encode(), ""), SOURCE).signals
    assert (signal.labels["beat"], signal.labels["n"]) == ("b", "1")


def test_silence_fires_only_after_the_deadline():
    assert missed([], [EXPECTED], at(65)) == ()
    (signal,) = missed([], [EXPECTED], at(65.001))
    assert signal.standing is Standing.FIRING
    assert signal.starts_at == at(65)
    assert signal.labels["service"] == "billing"
    assert signal.annotations["summary"].startswith("heartbeat nightly-billing: expected every 1m, none by")


def test_the_episode_starts_at_the_missed_deadline_whenever_it_is_asked():
    first, later = (missed([beat(30)], [EXPECTED], at(s))[0] for s in (96, 4_000))
    assert first.starts_at == later.starts_at == at(95)
    assert first.fingerprint == later.fingerprint
    assert first.received_at < later.received_at


def test_a_beat_on_its_deadline_is_in_time_and_one_after_it_closes_the_episode():
    assert missed([beat(65)], [EXPECTED], at(70)) == ()
    firing, resolved = missed([beat(65.5)], [EXPECTED], at(70))
    assert firing.starts_at == resolved.starts_at == at(65)
    assert (resolved.standing, resolved.ends_at) == (Standing.RESOLVED, at(65.5))


def test_the_order_and_doubles_of_beats_do_not_matter():
    beats = [beat(30), beat(200), beat(90), beat(90)]
    assert missed(beats, [EXPECTED], at(300)) == missed(sorted(beats, key=lambda b: b.at), [EXPECTED], at(300))
    assert len(missed(beats, [EXPECTED], at(300))) == 3


def test_beats_of_others_and_of_the_future_say_nothing():
    assert missed([beat(60, name="other"), beat(500)], [EXPECTED], at(66))
