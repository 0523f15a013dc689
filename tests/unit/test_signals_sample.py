import json
from datetime import UTC, datetime, timedelta

import pytest

from watchkeeper.errors import Malformed
from watchkeeper.signals.freshness import freshness
from watchkeeper.signals.parse import parse
from watchkeeper.signals.sample import Health, Probe, Sample, Seen, judge, sample_of
from watchkeeper.signals.signal import Delivery, Kind, Source, Standing

T0 = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
SOURCE = Source(name="probes", kind="sample", group="probes")
PROBE = Probe(name="shop", source="probes", group="probes", stale_after_ms=60_000, failures=3, successes=2)
LETTERS = {"g": Seen.GOOD, "b": Seen.BAD, "x": Seen.BLIND}


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def row(letters: str) -> list[Sample]:
    """One look every ten seconds."""
    return [Sample(probe="shop", at=at(10 * n), seen=LETTERS[letter]) for n, letter in enumerate(letters)]


def verdicts(letters: str) -> list[tuple[str, int]]:
    """(standing, start of the episode in seconds) of each signal told at the end of the row."""
    found = judge(row(letters), PROBE, at(10 * len(letters)))
    return [(signal.standing.value, int((signal.starts_at - T0).total_seconds())) for signal in found.signals]


@pytest.mark.parametrize(
    ("letters", "expected"),
    [
        ("gggg", []),
        ("bb", []),
        ("bbb", [("firing", 0)]),
        ("gbbgbb", []),
        ("gbbb", [("firing", 10)]),
        ("bbbb", [("firing", 0), ("firing", 0)]),
        ("bbbg", [("firing", 0)]),
        ("bbbgg", [("firing", 0), ("resolved", 0)]),
        ("bbbgbgg", [("firing", 0), ("resolved", 0)]),
        ("bbbggg", [("firing", 0), ("resolved", 0)]),
        ("bxbxb", [("firing", 0)]),
        ("bbx", []),
        ("bbbgxg", [("firing", 0), ("resolved", 0)]),
        ("bbbxxxx", [("firing", 0)]),
        ("xxxx", []),
        ("bbbbbbggggbbb", [("firing", 0)] * 4 + [("resolved", 0), ("firing", 100)]),
        ("bbbggbbb", [("firing", 0), ("resolved", 0), ("firing", 50)]),
    ],
)
def test_a_row_of_looks_decides_and_a_blind_one_is_no_look(letters, expected):
    assert verdicts(letters) == expected


def test_the_end_is_the_first_good_look_of_the_row_that_resolved():
    resolved = judge(row("bbbgg"), PROBE, at(60)).signals[-1]
    assert resolved.standing is Standing.RESOLVED
    assert resolved.ends_at == at(30)


def test_a_cut_row_goes_on_with_the_episode_that_was_open():
    found = judge(row("bbb"), PROBE, at(30), open_since=at(-600))
    assert found.signals[0].starts_at == at(-600)
    assert judge(row("gg"), PROBE, at(30), open_since=at(-600)).signals[0].standing is Standing.RESOLVED


@pytest.mark.parametrize(
    ("letters", "health"), [("gg", Health.GOOD), ("bbb", Health.BAD), ("g", Health.UNKNOWN), ("", Health.UNKNOWN)]
)
def test_health_is_unknown_until_something_decided(letters, health):
    assert judge(row(letters), PROBE, at(30)).health is health


def test_health_is_unknown_when_the_newest_look_that_saw_is_too_old():
    assert judge(row("gg"), PROBE, at(70)).health is Health.GOOD
    stale = judge(row("gg"), PROBE, at(70.001))
    assert stale.health is Health.UNKNOWN
    blind = judge(row("ggxxxxxxx"), PROBE, at(80))
    assert blind.health is Health.UNKNOWN
    assert blind.sentence == "probe shop: unknown: the last reading is 1m10s old, older than 1m"


def test_the_order_of_samples_does_not_matter():
    assert judge(row("bbbggb")[::-1], PROBE, at(90)) == judge(row("bbbggb"), PROBE, at(90))


def delivery(body: object, name: str = "") -> Delivery:
    fields = {"id": "dlv_1", "source": "probes", "format": "sample", "received_at": T0, "headers": {}, "sha256": ""}
    return Delivery(**fields, body=json.dumps(body).encode(), name=name)


@pytest.mark.parametrize("result", ["good", "bad", "blind"])
def test_a_delivered_sample_can_be_judged(result):
    body = {"probe": "shop", "result": result, "at": "2026-03-01T09:59:00Z", "detail": "503"}
    (signal,) = parse(delivery(body), SOURCE).signals
    assert signal.kind is Kind.SAMPLE
    assert signal.blind is (result == "blind")
    assert sample_of(signal) == Sample(probe="shop", at=at(-60), seen=Seen(result), detail="503")


@pytest.mark.parametrize(
    ("body", "path"), [({"result": "good"}, "probe"), ({"probe": "a", "result": "odd"}, "result"), ([], "")]
)
def test_a_sample_that_cannot_be_read_is_malformed(body, path):
    with pytest.raises(Malformed) as wrong:
        parse(delivery(body), SOURCE)
    assert wrong.value.path == path


def test_staleness_is_a_value_on_both_sides_of_its_limit():
    assert freshness("slo pay", T0, at(1), 1_000).known
    old = freshness("slo pay", T0, at(1.001), 1_000)
    assert (old.known, old.age_ms) == (False, 1_001)
    assert old.sentence == "slo pay: unknown: the last reading is 1s1ms old, older than 1s"
    never = freshness("slo pay", None, T0, 1_000)
    assert (never.known, never.age_ms) == (False, None)
    assert freshness("slo pay", at(9), T0, 1_000).age_ms == 0
