from datetime import UTC, datetime, timedelta

import pytest

from watchkeeper.correlate.alert import Alert, Mapped, alert_of, fold
from watchkeeper.correlate.incident import incident_of
from watchkeeper.correlate.timeline import EventKind, Phase, TimelineEvent, ordered, progress, told_by_alerts
from watchkeeper.learn.measures import Mean, down_ms, measures, uptime_ppm
from watchkeeper.signals.signal import Kind, Signal, Standing
from watchkeeper.values import Window

T0 = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
PAY = Mapped(entity="pay", stale_after_ms=3_600_000)


def at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def alert(seen: float, ended: float | None = None, start: float = 0) -> Alert:
    found = None
    for minute, standing in ((seen, Standing.FIRING), (ended, Standing.RESOLVED)):
        if minute is not None:
            said = Signal(
                id=f"{minute}",
                delivery="d",
                source="am",
                group="am",
                received_at=at(minute),
                kind=Kind.ALERT,
                fingerprint="f",
                standing=standing,
                labels={"alertname": "Down", "severity": "critical"},
                annotations={},
                starts_at=at(start),
                ends_at=at(minute) if standing is Standing.RESOLVED else None,
            )
            found = fold(found, said, PAY) if found else alert_of(said, PAY)
    return found


def event(kind: EventKind, minute: float, actor: str = "local:alice") -> TimelineEvent:
    return TimelineEvent(at=at(minute), actor=actor, kind=kind, sentence=f"{kind}", ids=("inc_1",))


ACK, MIT, CLOSE, AGAIN = EventKind.ACKNOWLEDGED, EventKind.MITIGATED, EventKind.CLOSED, EventKind.REOPENED


@pytest.mark.parametrize(
    ("ended", "events", "phase"),
    [
        (None, [], Phase.OPEN),
        (None, [(EventKind.NOTE, 2)], Phase.OPEN),
        (None, [(ACK, 2)], Phase.ACKNOWLEDGED),
        (None, [(ACK, 2), (MIT, 3)], Phase.MITIGATED),
        (None, [(MIT, 3)], Phase.MITIGATED),
        (None, [(ACK, 2), (CLOSE, 4)], Phase.ACKNOWLEDGED),
        (None, [(ACK, 2), (AGAIN, 3)], Phase.OPEN),
        (9, [], Phase.RESOLVED),
        (9, [(CLOSE, 20)], Phase.CLOSED),
        (9, [(CLOSE, 20), (AGAIN, 21)], Phase.RESOLVED),
    ],
)
def test_an_incident_goes_from_open_to_closed_and_signals_have_the_last_word(ended, events, phase):
    incident = incident_of([alert(1, ended)], at(30))
    found = [event(kind, minute) for kind, minute in events]
    assert progress(incident, found).phase is phase
    assert progress(incident, found[::-1] + found) == progress(incident, found)


def test_the_first_acknowledgement_counts():
    incident = incident_of([alert(1)], at(30))
    assert progress(incident, [event(ACK, 5), event(ACK, 3)]).acknowledged_at == at(3)


def test_the_alerts_tell_their_part_of_the_timeline():
    assert [(e.at, e.sentence) for e in told_by_alerts([alert(1, 9)], at(30))] == [
        (at(1), "Down on pay: firing, severity critical"),
        (at(9), "Down on pay: resolved"),
    ]
    assert [e.sentence for e in told_by_alerts([alert(1)], at(61))][-1] == "Down on pay: stale"
    assert len(told_by_alerts([alert(1)], at(60))) == 1


def test_an_event_is_told_once():
    assert len(ordered([event(ACK, 1), event(ACK, 1), event(ACK, 2)])) == 2


def test_the_measures_agree_with_a_set_worked_out_by_hand():
    found = [
        progress(incident_of([alert(1, 11)], at(99)), [event(ACK, 3)]),  # detect 1, acknowledge 2, restore 11
        progress(incident_of([alert(2, 20)], at(99)), [event(ACK, 7)]),  # detect 2, acknowledge 5, restore 20
        progress(incident_of([alert(6)], at(30)), []),  # detect 6, still firing, nobody came
    ]
    answer = measures(found)
    assert answer.incidents == 3
    assert answer.detect == Mean(mean_ms=180_000, count=3)
    assert answer.acknowledge == Mean(mean_ms=210_000, count=2)
    assert answer.restore == Mean(mean_ms=930_000, count=2)
    assert measures([]).restore == Mean(mean_ms=None, count=0)


def test_a_clock_ahead_of_ours_makes_no_negative_time():
    found = progress(incident_of([alert(1, start=4)], at(30)), [])
    assert measures([found]).detect.mean_ms == 0


def span(from_minute: float, until_minute: float | None) -> Window:
    return Window(from_at=at(from_minute), until_at=None if until_minute is None else at(until_minute))


@pytest.mark.parametrize(
    ("outages", "minutes"),
    [
        ([], 0),
        ([span(10, 20)], 10),
        ([span(10, 20), span(15, 25)], 15),
        ([span(15, 18), span(10, 20)], 10),
        ([span(-10, 5), span(95, 200)], 10),
        ([span(90, None)], 10),
        ([span(-20, -10), span(100, 110)], 0),
        ([span(-5, None)], 100),
    ],
)
def test_outages_that_overlap_count_once_and_only_inside_the_window(outages, minutes):
    assert down_ms(outages, at(0), at(100)) == minutes * 60_000
    assert uptime_ppm(outages, at(0), at(100)) == 1_000_000 - minutes * 10_000


def test_no_time_has_no_uptime():
    assert uptime_ppm([], at(0), at(0)) is None
    assert uptime_ppm([span(0, 1)], at(0), at(3)) == 666_666
