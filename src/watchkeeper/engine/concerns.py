"""The rules that concern an alert, and what each would be about: its targets, its rivals, who was there before.

In: the facts of an alert. Out: rules that match, most important first, and for one of them its targets. Nothing is
decided here and nothing written; what must be looked at again later is said to the pipeline.
"""

import zlib
from collections.abc import Mapping
from typing import Any, Final

from watchkeeper.correlate.alert import Alert
from watchkeeper.correlate.correlation import Correlation
from watchkeeper.decide.episode import LastRun, acted_for
from watchkeeper.decide.match import Matched, Miss, Missed, match
from watchkeeper.decide.target import NoTarget, Subject, targets_of
from watchkeeper.engine.facts import facts_of
from watchkeeper.engine.judged import Seats
from watchkeeper.engine.situations import Situations
from watchkeeper.engine.witnesses import Witnesses
from watchkeeper.engine.world import Decided, World
from watchkeeper.guards.situation import AlertFacts, Target
from watchkeeper.packs.rule import Per, Rule
from watchkeeper.values import EPOCH, Instant, after_ms, ms_between

NOTHING: Final[Mapping[str, Any]] = {}
MEASURED_AGAIN_MS: Final = 60_000  # a metric moves by itself: a rule on one is looked at again while its alert fires


class Concerns:
    """Reads the world and the correlation; keeps nothing itself."""

    def __init__(
        self, world: World, situations: Situations, correlation: Correlation, witnesses: Witnesses, seats: Seats
    ) -> None:
        self._world, self._situations = world, situations
        self._correlation, self._witnesses, self._seats = correlation, witnesses, seats

    def matching(self, facts: AlertFacts, alert: Alert, now: Instant) -> list[tuple[Rule, Matched]]:
        found: list[tuple[Rule, Matched]] = []
        for rule in self._situations.configuration.rulebook.candidates(facts.labels):
            match match(rule, facts, self._seen(rule, facts, now), now):
                case Matched() as row:
                    found.append((rule, row))
                case Missed(why=Miss.TOO_EARLY, again_at=again_at) if again_at is not None:
                    self._seats.again(alert.id, again_at)
                case Missed(why=Miss.CLAUSE | Miss.UNKNOWN) if rule.name in self._situations.configuration.measured:
                    self._seats.again(alert.id, _turn(alert.id, now))
                case _:
                    pass
        found.sort(key=lambda pair: (-pair[0].priority, pair[0].name))
        return found

    def _seen(self, rule: Rule, facts: AlertFacts, now: Instant) -> Mapping[str, Any]:
        """What the rule's conditions see; nothing where it has none, which is most rules."""
        if not rule.when:
            return NOTHING
        entity = self._situations.target(facts.entity) if facts.entity else None
        return self._situations.bindings(facts, entity, now)

    def targets(self, rule: Rule, facts: AlertFacts, now: Instant) -> tuple[Target, ...] | NoTarget:
        configuration = self._situations.configuration
        if rule.target.value is None and rule.per is Per.ALERT:
            return self._situations.own_target(rule.target, facts.entity)
        subjects = [Subject(facts.entity, self._situations.bindings(facts, None, now))]
        if rule.per is Per.INCIDENT and facts.incident:
            subjects = [
                Subject(other.entity, self._situations.bindings(other, None, now))
                for other in self._same_incident(rule, facts, now)
            ]
        return targets_of(rule.target, subjects, configuration.catalog, self._situations.production())

    def _same_incident(self, rule: Rule, facts: AlertFacts, now: Instant) -> list[AlertFacts]:
        found: list[AlertFacts] = []
        for alert in self._correlation.members(facts.incident):
            other = facts_of(alert, self._correlation, self._witnesses, now)
            if not other.firing:
                continue
            if isinstance(match(rule, other, self._seen(rule, other, now), now), Matched):
                found.append(other)
        return found or [facts]

    def rivals(
        self,
        rule: Rule,
        targets: tuple[Target, ...],
        facts: AlertFacts,
        matched: list[tuple[Rule, Matched]],
        now: Instant,
    ) -> tuple[str, ...]:
        """Runbooks of other rules of the same priority for one of these targets: a person must choose (SEMANTICS 1)."""
        refs = {target.ref for target in targets}
        found: set[str] = set()
        for other, _ in matched:
            if other.name == rule.name or other.priority != rule.priority or other.runbook == rule.runbook:
                continue
            theirs = self.targets(other, facts, now)
            if isinstance(theirs, tuple) and refs & {target.ref for target in theirs}:
                found.add(other.runbook)
        return tuple(sorted(found))

    def elsewhere(
        self,
        rule: Rule,
        facts: AlertFacts,
        targets: tuple[Target, ...] | NoTarget,
        last: Decided | None,
        now: Instant,
    ) -> LastRun | None:
        """What the decision for another witness of the same symptom did on these targets meanwhile."""
        if isinstance(targets, NoTarget):
            return None
        tried = {target.ref: self._world.attempts(target.ref, now, rule.limits.settle_ms) for target in targets}
        return acted_for(tried, facts, rule.runbook, last.decision.at if last is not None else None)


def _turn(alert: str, now: Instant) -> Instant:
    """The alert's next turn: one each MEASURED_AGAIN_MS, whenever and however often it is asked for."""
    own_ms = zlib.crc32(alert.encode()) % MEASURED_AGAIN_MS
    return after_ms(now, MEASURED_AGAIN_MS - (ms_between(EPOCH, now) - own_ms) % MEASURED_AGAIN_MS)
