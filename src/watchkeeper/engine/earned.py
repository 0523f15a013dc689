"""What cells have earned, in memory: standings, demotions and evidence as they are stored, for who decides or lists.

Mutable, owned by the engine's loop; every method is quick. `engine.standing` writes, and applies here what it wrote.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from watchkeeper.approve.people import Grant
from watchkeeper.guards.situation import Target
from watchkeeper.home.configuration import Configuration
from watchkeeper.learn.agreement import Cell, Evidence
from watchkeeper.learn.standing import Demotion, Ground, Outlook, Standing, counts_text, outlook
from watchkeeper.packs.rule import MODE_ORDER, Mode, Rule
from watchkeeper.packs.runbook import Runbook
from watchkeeper.values import Instant, Severity

EVIDENCE_PER_RULE_MAX: Final = 20_000  # pieces in memory; the oldest go first
_RANK: Final = {mode: rank for rank, mode in enumerate(MODE_ORDER)}


class Earned:
    def __init__(self) -> None:
        self.standings: dict[Cell, Standing] = {}
        self._demotions: dict[str, dict[str, Demotion]] = defaultdict(dict)
        self._evidence: dict[str, dict[str, Evidence]] = defaultdict(dict)
        self._counts: dict[str, dict[tuple[Cell, str, str, str], str]] = defaultdict(dict)

    def stands(self, standing: Standing) -> None:
        self.standings[standing.cell] = standing
        self._counts.pop(standing.cell.rule, None)

    def demoted(self, demotion: Demotion) -> None:
        self._demotions[demotion.cell.rule][demotion.id] = demotion
        self._counts.pop(demotion.cell.rule, None)

    def undo_demoted(self, demotion: Demotion) -> None:
        """The store did not take it."""
        self._demotions[demotion.cell.rule].pop(demotion.id, None)

    def take(self, evidence: Evidence) -> None:
        kept = self._evidence[evidence.cell.rule]
        kept[evidence.id] = evidence
        if len(kept) > EVIDENCE_PER_RULE_MAX:
            del kept[min(kept.values(), key=lambda each: each.decided_at).id]
        self._counts.pop(evidence.cell.rule, None)

    def drop(self, evidence: Evidence) -> None:
        self._evidence[evidence.cell.rule].pop(evidence.id, None)
        self._counts.pop(evidence.cell.rule, None)

    def evidence(self, rule: str) -> tuple[Evidence, ...]:
        return tuple(self._evidence.get(rule, {}).values())

    def piece(self, rule: str, identity: str) -> Evidence | None:
        return self._evidence.get(rule, {}).get(identity)

    def demotions(self, rule: str) -> tuple[Demotion, ...]:
        """Every one of the rule, lifted ones too: they keep it from rising for a while."""
        return tuple(self._demotions.get(rule, {}).values())

    def demotion(self, identity: str) -> Demotion | None:
        return next((found[identity] for found in self._demotions.values() if identity in found), None)

    def cap(self, cell: Cell) -> Demotion | None:
        """The open demotion of a cell that takes it lowest, the oldest of those."""
        found = self._demotions.get(cell.rule)
        if not found:
            return None
        open_ = [each for each in found.values() if each.open and each.cell == cell]
        return min(open_, key=lambda each: (_RANK[each.level], each.at), default=None)

    def level(self, cell: Cell, basis: str) -> Mode:
        """What it has earned with what it runs now."""
        found = self.standings.get(cell)
        return found.level if found is not None and found.basis == basis else Mode.OBSERVE

    def cells(self) -> set[Cell]:
        """Every cell of which anything is known."""
        found = set(self.standings)
        found.update(each.cell for kept in self._demotions.values() for each in kept.values())
        found.update(each.cell for kept in self._evidence.values() for each in kept.values())
        return found

    def counts(
        self,
        cell: Cell,
        basis: str,
        grant: Grant | None,
        configuration: Configuration,
        at: Instant,
        *,
        production: bool,
    ) -> str:
        """`17 of 20 agreed`: kept until a piece of evidence, a level or a demotion of the rule comes or goes."""
        if not self._evidence.get(cell.rule):
            return ""
        key = (cell, basis, grant.id if grant is not None else "", configuration.digest)
        kept = self._counts[cell.rule]
        if key not in kept:
            ground = ground_of(self, grant, cell, basis, production=production)
            kept[key] = counts_text(look(ground, configuration, at))
        return kept[key]


def cell_of(rule: str, target: Target, severity: Severity | str) -> Cell:
    return Cell(
        rule=rule, tier=target.tier, severity=str(severity), environment=target.environment, region=target.region
    )


def basis_of(runbook: Runbook) -> str:
    """What people agree to: this runbook, as dangerous as it is."""
    return f"{runbook.name} {runbook.risk.value}"


def basis_now(rule: Rule | None, configuration: Configuration) -> str:
    runbook = configuration.rulebook.runbooks.get(rule.runbook) if rule is not None else None
    return basis_of(runbook) if runbook is not None else ""


def granted(grants: Iterable[Grant], cell: Cell, now: Instant) -> Grant | None:
    """The highest grant in force that covers the cell; of several, the one that is so longest."""
    covering = [each for each in grants if each.rule == cell.rule and _covers(each, cell, now)]
    return min(covering, key=lambda each: (-_RANK[Mode(each.level)], _in_force_at(each), each.id), default=None)


def _in_force_at(grant: Grant) -> Instant:
    return grant.in_force_at or grant.at


def _covers(grant: Grant, cell: Cell, now: Instant) -> bool:
    return (
        not grant.pending
        and grant.until_at > now
        and grant.tier in {"", cell.tier}
        and grant.severity in {"", cell.severity}
        and grant.environment in {"", cell.environment}
        and grant.region in {"", cell.region}
    )


def ground_of(
    earned: Earned, grant: Grant | None, cell: Cell, basis: str, *, production: bool, ceiling: Mode | None = None
) -> Ground:
    """What a cell stands on now. `grant` is the highest that covers it. The level of a grant counts as the level it is
    on: who suggests by a grant is measured as one that suggests. `ceiling` None: it depends on the alert, so that of
    the newest episode stands.
    """
    evidence = earned.evidence(cell.rule)
    own = [each for each in evidence if each.cell == cell and each.basis == basis]
    standing = earned.standings.get(cell)
    level = Mode.OBSERVE
    since_at = min((each.decided_at for each in own), default=None)
    if standing is not None and standing.basis == basis:
        level, since_at = standing.level, standing.since_at
    if grant is not None and _RANK[Mode(grant.level)] > _RANK[level]:
        level, since_at = Mode(grant.level), _in_force_at(grant)
    newest = max(own, key=lambda each: (each.decided_at, each.at), default=None)
    return Ground(
        cell=cell,
        level=level,
        since_at=since_at,
        basis=basis,
        production=production,
        ceiling=ceiling or (newest.ceiling if newest is not None else Mode.AUTO),
        evidence=evidence,
        demotions=earned.demotions(cell.rule),
    )


def look(ground: Ground, configuration: Configuration, at: Instant) -> Outlook:
    return outlook(ground, configuration.settings.autonomy, at)
