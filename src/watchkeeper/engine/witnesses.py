"""Who else says so: alerts by symptom, by fingerprint and by place, so that a look costs what it finds.

In: every alert as it changes. Out: what corroboration, flapping and topology make of it.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final, TypeVar

from watchkeeper.correlate.alert import Alert, AlertState, state_at
from watchkeeper.correlate.corroborate import corroborate
from watchkeeper.correlate.flapping import TRANSITIONS_MAX, flapping
from watchkeeper.correlate.inhibit import by_topology
from watchkeeper.engine.world import World
from watchkeeper.guards.situation import Seen
from watchkeeper.home.settings import SourceKind
from watchkeeper.packs.expression import Unknown
from watchkeeper.packs.rule import Rule
from watchkeeper.signals.sample import Probe
from watchkeeper.values import Instant, after_ms, duration_text, ms_between

EPISODES_KEPT_MAX: Final = 50  # of one fingerprint: flapping counts transitions in a window, and no more are needed
REGION_WITHIN_MS: Final = 300_000  # a region that said nothing for so long cannot see


TRANSITIONS_EACH: Final = 2  # that one episode can show: it fired, it cleared


class Witnesses:
    def __init__(self, world: World) -> None:
        self._world = world
        self._symptoms: dict[str, dict[str, Alert]] = defaultdict(dict)
        self._episodes: dict[tuple[str, str], dict[str, Alert]] = defaultdict(dict)
        self._places: dict[str, dict[str, Alert]] = defaultdict(dict)
        self._alerts: dict[str, Alert] = {}
        self._heard: dict[str, Instant] = {}  # region -> when anything came from it
        self._saw: dict[
            tuple[str, str], Instant
        ] = {}  # (source, check of this node) -> until when its last look counts

    def saw(self, before: Alert | None, after: Alert | None) -> None:
        """An alert changed; `after` None: it is now known under another id."""
        if before is not None and (after is None or before.id != after.id or before.symptom != after.symptom):
            self._drop(before)
        if after is None:
            return
        self._alerts[after.id] = after
        self._symptoms[after.symptom][after.id] = after
        episodes = self._episodes[after.group, after.fingerprint]
        episodes[after.id] = after
        while len(episodes) > EPISODES_KEPT_MAX:
            episodes.pop(next(iter(episodes)))
        if after.state is AlertState.FIRING:
            self._places[after.place][after.id] = after
        else:
            self._places[after.place].pop(after.id, None)

    def heard(self, region: str, at: Instant) -> None:
        """A delivery came from a region: it can see."""
        if region:
            self._heard[region] = max(at, self._heard.get(region, at))

    def looked(self, probe: Probe, at: Instant, *, blind: bool) -> None:
        """A check of this node looked from its region. One that could not look saw nothing: the region ages."""
        if not blind:
            self._saw[probe.source, probe.name] = after_ms(at, probe.stale_after_ms)
            self.heard(probe.region, at)

    def regions(self, now: Instant) -> dict[str, Any]:
        """`region` of an expression: each region that anything ever came from, `seeing` or unknown."""
        return {
            name: "seeing" if ms_between(at, now) <= REGION_WITHIN_MS else Unknown(_silent(name, at, now))
            for name, at in self._heard.items()
        }

    def forget(self, identity: str) -> None:
        """An alert whose incident is long over."""
        alert = self._alerts.get(identity)
        if alert is not None:
            self._drop(alert)

    def _drop(self, alert: Alert) -> None:
        self._alerts.pop(alert.id, None)
        _forget(self._symptoms, alert.symptom, alert.id)
        _forget(self._episodes, (alert.group, alert.fingerprint), alert.id)
        _forget(self._places, alert.place, alert.id)

    def say(self, rule: Rule, alert: Alert, now: Instant) -> tuple[tuple[Seen, ...], tuple[Seen, ...]]:
        """What groups and regions say of the symptom, where the rule asks for them."""
        alike = tuple(self._symptoms.get(alert.symptom, {}).values())
        groups: tuple[Seen, ...] = ()
        regions: tuple[Seen, ...] = ()
        if rule.corroborate is not None:
            by_group: dict[str, list[Alert]] = defaultdict(list)
            for other in alike:
                by_group[other.group].append(other)
            judged = corroborate(
                alert.symptom, by_group, wanted=rule.corroborate.groups, within_ms=rule.corroborate.within_ms, now=now
            )
            groups = tuple(Seen(name=name, says="firing", at=now) for name in judged.groups)
        if rule.regions is not None:
            regions = tuple(self._region(name, alike, now) for name in rule.regions.of)
        return groups, regions

    def _region(self, name: str, alike: Iterable[Alert], now: Instant) -> Seen:
        """Firing while an alert from there fires that is still seen; quiet while the region sees; else blind. What a probe
        raised that cannot look any more is not seen: it goes on firing, and says nothing of now.
        """
        blinded = False
        for other in alike:
            if other.region != name or state_at(other, now) is not AlertState.FIRING:
                continue
            if not self._sees(other, now):
                blinded = True
                continue
            return Seen(name=name, says="firing", at=other.last_seen_at)
        at = self._heard.get(name)
        if blinded:
            return Seen(name=name, says="blind", at=at)
        blind = at is None or ms_between(at, now) > REGION_WITHIN_MS
        return Seen(name=name, says="blind" if blind else "quiet", at=at)

    def _sees(self, alert: Alert, now: Instant) -> bool:
        """Whether what said so can still look. Others say it again by themselves, or become stale."""
        source = self._world.configuration.settings.source(alert.source)
        if source is None or source.kind is not SourceKind.PROBE:
            return True
        until_at = self._saw.get((alert.source, alert.labels.get("probe", "")))
        return until_at is not None and now <= until_at

    def episodes(self, group: str, fingerprint: str) -> tuple[Alert, ...]:
        """What is known of one fingerprint, oldest first."""
        return tuple(self._episodes.get((group, fingerprint), {}).values())

    def flapping(self, alert: Alert, now: Instant) -> str:
        episodes = self._episodes.get((alert.group, alert.fingerprint))
        if len(episodes or ()) * TRANSITIONS_EACH < TRANSITIONS_MAX:
            return ""
        found = flapping(self._episodes.get((alert.group, alert.fingerprint), {alert.id: alert}).values(), now)
        return found.sentence.removeprefix("flapping: ") if found.flapping else ""

    def inhibited(self, alert: Alert, now: Instant) -> str:
        """The sentence that says what else explains the alert: its source suppresses it, something it depends on is down,
        or a run expects it.
        """
        if self._world.suppressed and (why := self._world.suppressed.get((alert.group, alert.fingerprint))):
            return why
        if not alert.entity:
            return ""
        needs = self._world.configuration.catalog.needs
        if needs.get(alert.place):
            found = by_topology(
                alert,
                lambda place: needs.get(place, ()),
                lambda place: [
                    other for other in self._places.get(place, {}).values() if state_at(other, now) is AlertState.FIRING
                ],
            )
            if found is not None:
                return found.sentence
        name = alert.labels.get("alertname", "")
        for expectation in self._world.expectations(alert.entity, now):
            if name in expectation.names:
                return f"{expectation.runbook} works on {expectation.target} and expects it ({expectation.run})"
        return ""


def _silent(name: str, at: Instant, now: Instant) -> str:
    return f"nothing came from {name} for {duration_text(ms_between(at, now) // 1000 * 1000)}"


Key = TypeVar("Key")


def _forget(index: dict[Key, dict[str, Alert]], key: Key, alert: str) -> None:
    found = index.get(key)
    if found is not None:
        found.pop(alert, None)
        if not found:
            del index[key]
