"""The law of correlation: the state of alerts and incidents is a function of the set of signals."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from watchkeeper.correlate.alert import Alert, Mapped, alert_of, fold, join, span_end
from watchkeeper.correlate.correlation import NOTHING, Correlation
from watchkeeper.correlate.incident import WINDOW_MS, Incident, incident_of, incidents, links
from watchkeeper.signals.signal import Kind, Signal, Standing

T0 = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
LAWS = settings(max_examples=100, deadline=None)
STALE_MS = 900_000
PARENTS = {"web": ("pay", "auth"), "pay": ("db",), "auth": ("db",), "db": (), "mail": ("db", "mail"), "": ()}


def at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def mapped(signal: Signal) -> Mapped:
    entity = signal.labels["entity"]
    return Mapped(entity=entity, parents=PARENTS[entity], stale_after_ms=STALE_MS)


@st.composite
def statements(draw: st.DrawFn, *, stated: bool | None = None) -> Signal:
    """Few fingerprints and few instants, so that statements meet, tie, and come late."""
    entity = draw(st.sampled_from(sorted(PARENTS)))
    name = draw(st.sampled_from(["A", "B"]))
    start = draw(st.sampled_from([0, 4, 30, 90]))
    received = start + draw(st.sampled_from([-6, 0, 0.5, 3, 5, 5.5, 9, 12, 31, 61]))
    standing = draw(st.sampled_from(Standing))
    ended = draw(st.sampled_from([None, received, received - 5, received - 5.5, received + 7]))
    named = draw(st.booleans()) if stated is None else stated
    severity = draw(st.sampled_from(["critical", "warning"]))
    labels = {"alertname": name, "service": entity or "lonely", "entity": entity, "severity": severity}
    group = draw(st.sampled_from(["g1", "g2"]))
    words = f"{entity}/{name}/{start}/{received}/{standing}/{ended}/{severity}/{named}/{group}"
    return Signal(
        id=words,
        delivery=words[-7:],
        source=f"source-{received % 2}",
        group=group,
        received_at=at(received),
        kind=Kind.ALERT,
        fingerprint=f"{entity}-{name}-{named}",
        standing=standing,
        labels=labels,
        annotations={},
        starts_at=at(start) if named else at(received),
        ends_at=at(ended) if ended is not None and standing is Standing.RESOLVED else None,
        start_stated=named,
    )


def correlated(signals: Iterable[Signal], ticks: Iterable[datetime] = ()) -> Correlation:
    state = Correlation()
    moments = list(ticks)
    for number, signal in enumerate(signals):
        state.apply(signal, mapped(signal))
        if number < len(moments):
            state.tick(moments[number])
    return state


def from_scratch(alerts: Iterable[Alert], now: datetime) -> tuple[Incident, ...]:
    """Pair by pair, by the sentence of the rule and nothing else."""
    rest, found = list(alerts), []
    gap = timedelta(milliseconds=WINDOW_MS)
    while rest:
        component, waiting = [], [rest.pop()]
        while waiting:
            one = waiting.pop()
            component.append(one)
            near = [
                other
                for other in rest
                if (one.place == other.place or one.place in other.mapped.parents or other.place in one.mapped.parents)
                and one.first_seen_at <= span_end(other) + gap
                and other.first_seen_at <= span_end(one) + gap
            ]
            waiting += near
            rest = [other for other in rest if other not in near]
        found.append(incident_of(component, now))
    return tuple(sorted(found, key=lambda incident: (incident.opened_at, incident.id)))


def picture(state: Correlation) -> object:
    found = state.incidents()
    return (
        {alert.id: alert for alert in state.alerts()},
        {incident.id: incident for incident in found},
        {incident.id: [alert.id for alert in state.members(incident.id)] for incident in found},
        {incident.id: state.links(incident.id) for incident in found},
        {place: {alert.id for alert in state.firing_on(place)} for place in PARENTS},
    )


@given(st.lists(statements(stated=True), min_size=1, max_size=5))
@LAWS
def test_fold_is_commutative_associative_and_idempotent(signals):
    one = [
        signal for signal in signals if (signal.group, signal.fingerprint) == (signals[0].group, signals[0].fingerprint)
    ]
    one = [signal for signal in one if signal.starts_at == signals[0].starts_at]
    alone = [alert_of(signal, mapped(signal)) for signal in one]
    forth = back = None
    for signal in one:
        forth = fold(forth, signal, mapped(signal))
    for signal in (*reversed(one), *one):
        back = fold(back, signal, mapped(signal))
    assert forth == back
    assert join(forth, forth) == forth
    for first, second in pairwise(alone):
        assert join(first, second) == join(second, first)
        assert join(first, join(second, forth)) == join(join(first, second), forth)


@given(st.lists(statements(), max_size=14), st.randoms(use_true_random=False), st.lists(st.integers(0, 120)), st.data())
@LAWS
def test_any_order_and_any_repetition_lead_to_the_same_state(signals, dice, minutes, data):
    now = at(data.draw(st.integers(0, 160)))
    repeated = signals + [signal for signal in signals if dice.random() < 0.5]
    dice.shuffle(repeated)
    one = correlated(signals, [min(at(m), now) for m in minutes])
    other = correlated(repeated)
    one.tick(now)
    other.tick(now)
    assert picture(one) == picture(other)


@given(st.lists(statements(), max_size=14), st.integers(0, 160))
@LAWS
def test_the_kept_state_is_the_one_worked_out_from_scratch(signals, minutes):
    state = correlated(signals)
    state.tick(at(minutes))
    alerts = list(state.alerts())
    expected = from_scratch(alerts, at(minutes))
    assert sorted(state.incidents(), key=lambda i: (i.opened_at, i.id)) == list(expected)
    grouped = incidents(alerts)
    assert {incident_of(members, at(minutes)).id for members in grouped} == {incident.id for incident in expected}
    for members in grouped:
        identity = incident_of(members, at(minutes)).id
        assert state.members(identity) == members
        assert [link.alert for link in links(members)] == [alert.id for alert in members[1:]]


@given(st.lists(statements(), max_size=14), st.integers(0, 160))
@LAWS
def test_each_step_tells_what_it_changed(signals, minutes):
    state = Correlation()
    state.tick(at(minutes))
    alerts: dict[str, Alert] = {}
    named: dict[str, str] = {}
    for signal in signals:
        before = {incident.id: incident for incident in state.incidents()}
        changes = state.apply(signal, mapped(signal))
        for old, new in changes.alerts:
            if new is None:
                del alerts[old.id]
            else:
                assert alerts.get(new.id) == old
                alerts[new.id] = new
        after = {incident.id: incident for incident in state.incidents()}
        touched = {name for name, incident in after.items() if before.get(name) != incident}
        assert touched <= set(changes.incidents) <= after.keys()
        gone = before.keys() - after.keys()
        told = {merge.absorbed for merge in changes.merged} | {split.incident for split in changes.split}
        dropped = {old.id for old, new in changes.alerts if new is None}
        assert all(name in told or before[name].root in dropped for name in gone)
        named.update({name: incident.root for name, incident in after.items()})
    assert alerts == {alert.id: alert for alert in state.alerts()}
    for name, root in named.items():
        if state.alert(root) is not None:
            assert state.incident(name) == state.incident_of(root)


@given(st.lists(statements(), max_size=12), st.integers(0, 160))
@LAWS
def test_what_is_persisted_is_enough(signals, minutes):
    state = correlated(signals)
    copy = Correlation()
    keys = {(signal.group, signal.fingerprint) for signal in signals}
    tracks = [track for key in keys if (track := state.track(*key)) is not None]
    copy.restore(sorted(state.alerts(), key=lambda alert: alert.id), tracks)
    for one in (state, copy):
        one.tick(at(minutes))
        for signal in signals[::-1][:3]:
            one.apply(signal, mapped(signal))
    assert picture(state) == picture(copy)


@given(st.lists(statements(), max_size=14), st.integers(0, 160))
@LAWS
def test_forgetting_drops_whole_ended_incidents_and_nothing_else(signals, minutes):
    state = correlated(signals)
    state.tick(at(200))
    before = {incident.id: state.members(incident.id) for incident in state.incidents()}
    gone = set(state.forget(at(minutes)))
    for name, members in before.items():
        over = all(span_end(alert) < at(minutes) for alert in members)
        assert ({alert.id for alert in members} <= gone) is over
        assert bool(state.members(name)) is not over
    kept = {alert.words for alert in state.alerts()}
    for signal in signals:
        if signal.id in kept:
            assert state.apply(signal, mapped(signal)) == NOTHING
