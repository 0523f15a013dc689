"""A configuration as one side of a comparison: what it alone says of an alert, with nothing measured and nobody's hold.

In: the facts of an alert as they were recorded. Out: what a rule of this configuration would have made of them
(`Meant`), or why it would not have decided. A reading that a condition needs comes from the record, by the very text of
the condition; where the record has no such text it cannot be judged.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from watchkeeper.correlate.alert import symptom_of
from watchkeeper.decide.decision import ClauseResult
from watchkeeper.decide.match import FALSE, TRUE, UNKNOWN, Matched, Miss, Missed, match
from watchkeeper.decide.otherwise import CannotJudge, Meant, NotDecided
from watchkeeper.decide.replay import Record
from watchkeeper.decide.target import NoTarget, Subject, Untargeted, targets_of
from watchkeeper.engine.arguments import arguments_of
from watchkeeper.engine.intake import SignalReader
from watchkeeper.engine.mapping import mapped_of
from watchkeeper.engine.situations import Situations
from watchkeeper.engine.world import World
from watchkeeper.guards.situation import AlertFacts, Target
from watchkeeper.home.configuration import Configuration
from watchkeeper.packs.expression import Answer, Broken, Expression, Known, Unknown
from watchkeeper.packs.rule import Per, Rule
from watchkeeper.packs.scope import AGED_ROOTS
from watchkeeper.packs.template import expressions_in
from watchkeeper.values import Instant


class Later(Struct, frozen=True, kw_only=True):
    """It does not match yet: `for:` is over at `again_at`."""

    again_at: Instant
    why: str


class Untargetable(Struct, frozen=True, kw_only=True):
    """The rule matches and finds nothing to act upon."""

    rule: Rule
    facts: AlertFacts
    untargeted: Untargeted
    clauses: tuple[ClauseResult, ...]


Said = Meant | Untargetable | NotDecided | Later | CannotJudge


class Answered(Struct, frozen=True):
    """A condition whose answer was recorded: it is an input of the decision, and not evaluated again (SEMANTICS 15)."""

    source: str
    answer: str
    why: str
    references: tuple[tuple[str, ...], ...] = ()

    def evaluate(self, bindings: Mapping[str, Any]) -> Answer:
        del bindings
        if self.answer in {TRUE, FALSE}:
            return Known(self.answer == TRUE)
        return Unknown(self.why) if self.answer == UNKNOWN else Broken(self.why)


class Book:
    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self._world = World(configuration)
        self._situations = Situations(self._world)
        self._sources = SignalReader(self._world)

    def facts(self, recorded: AlertFacts) -> AlertFacts:
        """The alert at its place in this catalogue."""
        mapped = mapped_of(recorded, self._sources.source(recorded.source), self.configuration.catalog)
        if mapped.entity == recorded.entity:
            return recorded
        return replace(recorded, entity=mapped.entity, symptom=symptom_of(recorded.labels, mapped))

    def says(self, name: str, recorded: AlertFacts, at: Instant, record: Record | None) -> Said:
        """What rule `name` makes of an alert at that time. `record` is its own decision then, None when there is none."""
        rule = self.configuration.rulebook.rules.get(name)
        if rule is None:
            disabled = name in self.configuration.rules
            return NotDecided(why=f"{name} is {'disabled' if disabled else 'not there any more'}.")
        facts = self.facts(recorded)
        read = _as_recorded(rule, record)
        if isinstance(read, CannotJudge):
            return read
        target = self._situations.target(facts.entity) if facts.entity else None
        match match(read, facts, self._situations.bindings(facts, target, at), at):
            case Missed(why=Miss.TOO_EARLY, again_at=again_at, reason=reason) if again_at is not None:
                return Later(again_at=again_at, why=reason)
            case Missed(reason=reason):
                return NotDecided(why=reason)
            case Matched() as row:
                return self._meant(rule, row, replace(facts, episode=_episode(rule, facts)), at, record)

    def matching(self, recorded: AlertFacts, at: Instant) -> tuple[str, ...]:
        """Rules that would decide on this alert at that time, in name order. Those that need a reading are left out."""
        facts = self.facts(recorded)
        return tuple(
            sorted(
                rule.name
                for rule in self.configuration.rulebook.candidates(facts.labels)
                if not _reads(rule.when) and self._matches(rule, facts, at)
            )
        )

    def _matches(self, rule: Rule, facts: AlertFacts, at: Instant) -> bool:
        target = self._situations.target(facts.entity) if facts.entity else None
        return isinstance(match(rule, facts, self._situations.bindings(facts, target, at), at), Matched)

    def _meant(
        self, rule: Rule, row: Matched, facts: AlertFacts, at: Instant, record: Record | None
    ) -> Meant | Untargetable | CannotJudge:
        targets = self._targets(rule, facts, at, record)
        if isinstance(targets, CannotJudge):
            return targets
        if isinstance(targets, NoTarget):
            return self._untargetable(rule, row, facts, targets)
        runbook = self.configuration.rulebook.runbooks[rule.runbook]
        arguments, broken = arguments_of(self._situations, rule, runbook, facts, targets, at)
        if _reads(expressions_in(rule.arguments)):
            if record is None or record.proposal is None or record.proposal.rule_digest != rule.digest:
                return CannotJudge(why=f"{rule.name} hands over a reading that was not recorded.")
            arguments = record.proposal.arguments
        proposal = self._situations.proposal(rule, runbook, targets, arguments, facts, at)
        situation = self._situations.situation(
            proposal,
            rule,
            runbook,
            facts,
            at,
            rivals=self._rivals(rule, targets, facts, at, record),
            unknown_clause=row.unknown_clause,
            broken_clause=row.broken_clause or broken,
        )
        if _reads(case.when for case in rule.ceilings):
            if record is None or record.proposal is None or record.proposal.rule_digest != rule.digest:
                return CannotJudge(why=f"A ceiling of {rule.name} depends on a reading that was not recorded.")
            situation = replace(situation, ladder=replace(situation.ladder, ceiling=record.situation.ladder.ceiling))
        return Meant(
            rule=rule,
            facts=facts,
            situation=situation,
            proposal=proposal,
            parents=self.configuration.catalog.needs.get(facts.entity, ()),
            clauses=row.clauses,
        )

    def _untargetable(self, rule: Rule, row: Matched, facts: AlertFacts, missing: NoTarget) -> Untargetable:
        pack = self.configuration.rulebook.packs.get(rule.pack)
        untargeted = Untargeted(
            rule=rule.name,
            rule_digest=rule.digest,
            runbook=rule.runbook,
            pack=rule.pack,
            pack_version=pack.version if pack is not None else "",
            missing=missing,
            owner=rule.owner,
            priority=rule.priority,
        )
        return Untargetable(rule=rule, facts=facts, untargeted=untargeted, clauses=row.clauses)

    def _targets(
        self, rule: Rule, facts: AlertFacts, at: Instant, record: Record | None
    ) -> tuple[Target, ...] | NoTarget | CannotJudge:
        if rule.per is Per.INCIDENT and facts.incident:
            return self._of_incident(rule, facts, at, record)
        if rule.target.value is not None and _reads((rule.target.value,)):
            return CannotJudge(why=f"The target of {rule.name} depends on a reading that was not recorded.")
        subject = Subject(facts.entity, self._situations.bindings(facts, None, at))
        return targets_of(rule.target, (subject,), self.configuration.catalog, self._situations.production())

    def _of_incident(
        self, rule: Rule, facts: AlertFacts, at: Instant, record: Record | None
    ) -> tuple[Target, ...] | NoTarget | CannotJudge:
        """The alerts of the incident that fired then are not recorded; what the same rule made of them is."""
        if record is None or record.proposal is None or record.proposal.rule_digest != rule.digest:
            return CannotJudge(
                why=f"{rule.name} decides for whole incidents, and what fired in it then was not recorded."
            )
        found = [self._situations.target(target.ref) for target in record.proposal.targets]
        if any(target is None for target in found):
            subject = Subject(facts.entity, self._situations.bindings(facts, None, at))
            return targets_of(rule.target, (subject,), self.configuration.catalog, self._situations.production())
        return tuple(target for target in found if target is not None)

    def _rivals(
        self, rule: Rule, targets: tuple[Target, ...], facts: AlertFacts, at: Instant, record: Record | None
    ) -> tuple[str, ...]:
        """As the judge finds them: other runbooks of equal priority for one of these targets. Where another rule rests on
        a reading, those of the record stand.
        """
        refs = {target.ref for target in targets}
        found: set[str] = set()
        for other in self.configuration.rulebook.candidates(facts.labels):
            if other.name == rule.name or other.priority != rule.priority or other.runbook == rule.runbook:
                continue
            if record is not None and _reads(other.when):
                return record.situation.rivals
            if not self._matches(other, facts, at):
                continue
            theirs = self._targets(other, facts, at, None)
            if isinstance(theirs, tuple) and refs & {target.ref for target in theirs}:
                found.add(other.runbook)
        return tuple(sorted(found))


def _reads(expressions: Iterable[Expression]) -> bool:
    return any(path[0] in AGED_ROOTS for expression in expressions for path in expression.references)


def _as_recorded(rule: Rule, record: Record | None) -> Rule | CannotJudge:
    """The rule with the answers of the record in place of conditions that need a reading."""
    if not _reads(rule.when):
        return rule
    known = {row.source: row for row in record.decision.clauses} if record is not None else {}
    found: list[Expression] = []
    for clause in rule.when:
        if not _reads((clause,)):
            found.append(clause)
            continue
        row = known.get(clause.source)
        if row is None:
            return CannotJudge(why=f"What {clause.source} reads was not recorded.")
        found.append(Answered(row.source, row.answer, row.why))
    return replace(rule, when=tuple(found))


def _episode(rule: Rule, facts: AlertFacts) -> str:
    return facts.incident if rule.per is Per.INCIDENT and facts.incident else facts.id
