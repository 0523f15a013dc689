from datetime import UTC, datetime, timedelta

import pytest

from watchkeeper.correlate.alert import AlertState, Mapped
from watchkeeper.correlate.correlation import NOTHING, Changes, Correlation
from watchkeeper.correlate.incident import Because, IncidentState
from watchkeeper.correlate.track import STATEMENTS_MAX
from watchkeeper.signals.signal import Kind, Signal, Standing
from watchkeeper.values import Severity

T0 = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
PARENTS = {"web": ("pay",), "pay": ("db",), "db": ()}
HOUR_MS = 3_600_000


def at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


class Ward:
    """A correlation and a short way to speak to it; minutes all along."""

    def __init__(self) -> None:
        self.state = Correlation()

    def say(
        self, service: str, minute: float, name: str = "Down", start: float | None = None, **changes: object
    ) -> Changes:
        began = minute if start is None else start
        fields = {
            "id": f"{service}{name}{began}{minute}{changes}",
            "delivery": f"dlv-{minute}",
            "source": "am",
            "group": "am",
            "received_at": at(minute),
            "kind": Kind.ALERT,
            "fingerprint": f"{service}{name}",
            "standing": Standing.FIRING,
            "labels": {"alertname": name, "service": service, "severity": "major"},
            "annotations": {},
            "starts_at": at(began),
            **changes,
        }
        entity = service if service in PARENTS else ""
        mapped = Mapped(entity=entity, parents=PARENTS.get(service, ()), stale_after_ms=HOUR_MS)
        return self.state.apply(Signal(**fields), mapped)

    def end(self, service: str, minute: float, start: float, name: str = "Down") -> Changes:
        return self.say(service, minute, name, start, standing=Standing.RESOLVED, ends_at=at(minute))

    def alerts(self) -> list[list[str]]:
        return [
            [f"{a.labels['service']}{a.labels['alertname']}" for a in self.state.members(incident.id)]
            for incident in self.state.incidents()
        ]


@pytest.fixture
def ward() -> Ward:
    return Ward()


def test_one_alert_is_an_incident_with_its_sentence(ward):
    ward.say("pay", 0)
    (incident,) = ward.state.incidents()
    assert incident.title == "Down on pay"
    assert (incident.state, incident.severity, incident.priority) == (IncidentState.OPEN, Severity.MAJOR, 2)
    assert (incident.alerts, incident.firing, incident.opened_at) == (1, 1, at(0))
    assert ward.state.links(incident.id) == ()


def test_the_same_service_joins_while_it_lasts_and_five_minutes_on(ward):
    ward.say("pay", 0)
    ward.end("pay", 10, 0)
    ward.say("pay", 15, "Slow")
    assert ward.alerts() == [["payDown", "paySlow"]]
    (link,) = ward.state.links(ward.state.incidents()[0].id)
    assert (link.because, link.sentence) == (Because.SAME_SERVICE, "same service: both are on pay")


def test_later_it_is_another_incident(ward):
    ward.say("pay", 0)
    ward.end("pay", 10, 0)
    ward.say("pay", 15.01, "Slow")
    assert ward.alerts() == [["payDown"], ["paySlow"]]
    assert [i.state for i in ward.state.incidents()] == [IncidentState.RESOLVED, IncidentState.OPEN]


def test_a_direct_dependency_joins_an_indirect_one_does_not(ward):
    ward.say("web", 0)
    ward.say("db", 1)
    assert ward.alerts() == [["webDown"], ["dbDown"]]
    changes = ward.say("pay", 2)
    assert ward.alerts() == [["webDown", "dbDown", "payDown"]]
    (incident,) = ward.state.incidents()
    assert [link.sentence for link in ward.state.links(incident.id)] == [
        "depends on: pay depends on db",
        "depends on: web depends on pay",
    ]
    (merge,) = changes.merged
    assert (merge.into, merge.because) == (incident.id, Because.DEPENDS_ON)
    assert "directly connected in the catalogue" in merge.sentence
    assert ward.state.incident(merge.absorbed) == incident
    assert changes.incidents == (incident.id,)


def test_an_earlier_alert_that_comes_to_light_renames_and_says_so(ward):
    ward.say("pay", 5)
    (old,) = ward.state.incidents()
    changes = ward.say("pay", 3, "Slow")
    (new,) = ward.state.incidents()
    assert new.id != old.id
    (merge,) = changes.merged
    assert (merge.absorbed, merge.into, merge.because) == (old.id, new.id, Because.EARLIER)
    assert merge.sentence == "pay: the alert seen first at 10:03:00 UTC came to light"
    assert ward.state.incident(old.id) == new


def test_a_late_resolution_that_parts_an_incident_says_so(ward):
    ward.say("pay", 0)
    ward.say("pay", 30, "Slow")
    (whole,) = ward.state.incidents()
    changes = ward.end("pay", 10, 0)
    first, second = ward.state.incidents()
    (split,) = changes.split
    assert split.incident == whole.id == first.id
    assert set(split.parts) == {first.id, second.id} == set(changes.incidents)
    assert changes.merged == ()


def test_placing_an_incident_anew_tells_no_merge_that_was_told(ward):
    for service, minute in (("web", 0), ("db", 1), ("pay", 2)):
        ward.say(service, minute)
    ward.say("web", 40, "Slow")
    changes = ward.end("web", 5, 0)
    assert ward.alerts() == [["webDown", "dbDown", "payDown", "webSlow"]]
    assert (changes.merged, changes.split) == ((), ())


@pytest.mark.parametrize(("minute", "together"), [(15, True), (15.01, False)])
def test_neighbours_too_join_up_to_five_minutes_apart_in_either_order(ward, minute, together):
    ward.say("db", minute)
    ward.end("pay", 10, 0)
    assert (len(ward.state.incidents()) == 1) is together
    turned = Ward()
    turned.end("pay", 10, 0)
    turned.say("db", minute)
    assert turned.alerts() == ward.alerts()


def test_an_alert_that_changes_its_name_changes_its_symptom(ward):
    ward.say("pay", 0)
    ward.say("pay", 1, "Worse", start=0, fingerprint="payDown")
    assert ward.state.with_symptom("Down on pay") == {}
    (alert,) = ward.state.with_symptom("Worse on pay")["am"]
    assert alert.labels["alertname"] == "Worse"


def test_an_episode_cut_otherwise_may_begin_later_by_our_receipt(ward):
    ward.say("pay", 4, start=0, start_stated=False)
    ward.say("pay", 1, start=1, start_stated=False)
    assert ward.state.incidents()[0].opened_at == at(1)
    ward.say("pay", 4.5, start=0.5, standing=Standing.RESOLVED, start_stated=False)
    (incident,) = ward.state.incidents()
    root = ward.state.alert(incident.root)
    assert (root.starts_at, root.first_seen_at, incident.opened_at) == (at(1), at(1), at(1))


def test_an_incident_is_forgotten_as_a_whole_or_not_at_all(ward):
    ward.say("pay", 0)
    ward.end("pay", 2, 0)
    ward.say("db", 4)
    ward.end("db", 30, 4)
    assert ward.state.forget(at(30)) == ()
    assert len(ward.state.forget(at(30.01))) == 2


def test_an_early_resolution_of_one_alert_of_many_leaves_the_rest_together(ward):
    ward.say("pay", 0)
    ward.say("pay", 1, "Slow")
    ward.end("pay", 2, 1, "Slow")
    ward.say("db", 50)
    assert ward.alerts() == [["payDown", "paySlow", "dbDown"]]


def test_when_the_last_alert_ends_the_incident_is_resolved_at_that_time(ward):
    ward.say("pay", 0)
    ward.say("db", 1, "Slow")
    ward.end("db", 9, 1, "Slow")
    assert ward.state.incidents()[0].firing == 1
    ward.end("pay", 7, 0)
    (incident,) = ward.state.incidents()
    assert (incident.state, incident.resolved_at, incident.alerts) == (IncidentState.RESOLVED, at(9), 2)


def test_silence_makes_stale_once_and_a_renewal_wakes_it(ward):
    ward.say("pay", 0)
    assert ward.state.tick(at(59.9)) == ()
    (stale,) = ward.state.tick(at(60))
    assert stale.labels["service"] == "pay"
    assert ward.state.tick(at(61)) == ()
    (incident,) = ward.state.incidents()
    assert (incident.state, incident.resolved_at) == (IncidentState.RESOLVED, at(60))
    assert ward.state.firing_on("pay") == ()
    ward.say("pay", 62, start=0)
    assert ward.state.incidents()[0].state is IncidentState.OPEN
    assert len(ward.state.firing_on("pay")) == 1
    assert len(ward.state.tick(at(122))) == 1


def test_a_renewed_alert_is_not_stale_at_its_first_date(ward):
    ward.say("pay", 0)
    ward.say("pay", 30, start=0)
    assert ward.state.tick(at(89)) == ()
    assert len(ward.state.tick(at(90))) == 1


def test_time_does_not_go_back(ward):
    ward.say("pay", 0)
    ward.state.tick(at(60))
    ward.state.tick(at(1))
    assert ward.state.now == at(60)


def test_twice_the_same_is_nothing_and_beats_and_samples_are_nothing(ward):
    assert ward.say("pay", 0) is not NOTHING
    assert ward.say("pay", 0) is NOTHING
    assert ward.say("pay", 1, kind=Kind.BEAT) is NOTHING
    assert ward.say("pay", 1, kind=Kind.SAMPLE) is NOTHING


def test_an_alert_whose_label_names_another_service_moves_there(ward):
    ward.say("pay", 0)
    ward.say("pay", 1, "Slow")
    changes = ward.say("db", 2, start=0, fingerprint="payDown")
    assert sorted(a.place for a in ward.state.alerts()) == ["db", "pay"]
    assert ward.state.firing_on("db")[0].id == changes.alerts[0][1].id
    assert ward.state.with_symptom("Down on pay") == {}
    assert len(ward.state.incidents()) == 1


def test_unmapped_alerts_are_incidents_of_their_own(ward):
    ward.say("old-box", 0)
    ward.say("older-box", 0)
    assert [i.title for i in ward.state.incidents()] == [
        "Down on unmapped:service=old-box",
        "Down on unmapped:service=older-box",
    ]
    assert all(i.entity == "" for i in ward.state.incidents())


def test_without_a_stated_start_a_late_word_cuts_the_episodes_otherwise(ward):
    ward.say("pay", 0, start_stated=False)
    ward.say("pay", 20, start_stated=False)
    assert ward.alerts() == [["payDown"]]
    changes = ward.say("pay", 10, standing=Standing.RESOLVED, start_stated=False)
    assert [a.state for a in ward.state.alerts()] == [AlertState.RESOLVED, AlertState.FIRING]
    assert changes.track == ward.state.track("am", "payDown")
    earlier = ward.say("pay", 15, start_stated=False)
    assert [(old is None, new is None) for old, new in earlier.alerts] == [(False, True), (True, False)]
    assert sorted(a.starts_at for a in ward.state.alerts()) == [at(0), at(15)]


def test_episodes_that_a_track_has_forgotten_stay(ward):
    for n in range(STATEMENTS_MAX + 10):
        standing = Standing.RESOLVED if n % 2 else Standing.FIRING
        ward.say("pay", n * 20, standing=standing, start_stated=False)
    assert len(list(ward.state.alerts())) == (STATEMENTS_MAX + 10) // 2
    assert len(ward.state.episodes_of("am", "payDown")) == (STATEMENTS_MAX + 10) // 2


def test_forgetting_keeps_the_track_of_what_is_left(ward):
    ward.say("pay", 0, start_stated=False)
    ward.say("pay", 1, standing=Standing.RESOLVED, start_stated=False)
    ward.say("pay", 20, start_stated=False)
    ward.state.tick(at(21))
    assert len(ward.state.forget(at(1))) == 0
    assert len(ward.state.forget(at(1.01))) == 1
    assert len(ward.state.track("am", "payDown").statements) == 1
    ward.say("pay", 25, start_stated=False)
    assert len(list(ward.state.alerts())) == 1
    ward.state.tick(at(200))
    assert len(ward.state.forget(at(200))) == 1
    assert ward.state.track("am", "payDown") is None
    assert ward.state.incidents() == ()


def test_what_is_not_known_is_none(ward):
    assert ward.state.alert("alr_x") is None
    assert ward.state.incident("inc_x") is None
    assert ward.state.incident_of("alr_x") is None
    assert ward.state.incident_id_of("alr_x") is None
    assert ward.state.members("inc_x") == ()


def test_many_renewals_do_not_pile_up(ward):
    for n in range(500):
        ward.say("pay", n, start=0)
    (stretch,) = ward.state._grouping.places["pay"]
    assert len(stretch.ends) < 100
    assert len(ward.state._due) == 1
