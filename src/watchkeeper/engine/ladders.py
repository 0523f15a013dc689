"""How far automation may go by itself: the rule's ceiling, its risk class's, and what its cell has earned or was granted.

In: a proposal and its targets. Out: a `Ladder`, of the lowest standing of all cells that the targets lie in.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from watchkeeper.approve.people import Grant
from watchkeeper.engine.earned import basis_of, cell_of, granted
from watchkeeper.engine.world import World
from watchkeeper.guards.situation import AlertFacts, Ladder, Proposal, Target
from watchkeeper.learn.agreement import Cell
from watchkeeper.learn.standing import Demotion
from watchkeeper.packs.expression import Known
from watchkeeper.packs.rule import MODE_ORDER, Mode, Risk, Rule
from watchkeeper.packs.runbook import Runbook
from watchkeeper.values import Instant, id_short

RISK_CEILINGS: Final = {Risk.LOW: Mode.AUTO, Risk.MEDIUM: Mode.AUTO, Risk.HIGH: Mode.APPROVE}

Bindings = Callable[[AlertFacts | None, Target | None, Instant], dict[str, Any]]


class Ladders:
    """`bindings`: what a rule's expressions see, for ceilings that depend on a condition."""

    def __init__(self, world: World, bindings: Bindings) -> None:
        self._world, self._bindings = world, bindings

    def ladder(
        self, proposal: Proposal, rule: Rule | None, runbook: Runbook, facts: AlertFacts | None, now: Instant
    ) -> Ladder:
        """The lowest standing of all cells that the targets lie in: one target may not lend another its trust."""
        if rule is None:
            return Ladder(
                cell=proposal.rule,
                ceiling=Mode.AUTO,
                risk_ceiling=Mode.AUTO,
                granted=Mode.AUTO,
                grant="a person's own act",
            )
        severity = facts.severity.value if facts is not None else ""
        basis = basis_of(runbook)
        rungs: dict[Cell, _Rung] = {}
        ceiling = Mode.AUTO
        for target in proposal.targets:
            ceiling = min(ceiling, self._ceiling(rule, facts, target, now), key=MODE_ORDER.index)
            cell = cell_of(rule.name, target, severity)
            if cell not in rungs:
                rungs[cell] = self._rung(cell, basis, now, production=target.production)
        lowest = min(rungs.values(), key=_height, default=_NO_RUNG)
        review = self._review(rule, ceiling)
        return Ladder(
            cell=lowest.cell.key if lowest.cell is not None else rule.name,
            ceiling=Mode.APPROVE if review else ceiling,
            risk_ceiling=self._risk_ceiling(runbook),
            earned=lowest.earned,
            granted=Mode(lowest.grant.level) if lowest.grant is not None else Mode.OBSERVE,
            grant=lowest.grant.id if lowest.grant is not None else "",
            demoted=lowest.cap.level if lowest.cap is not None else None,
            demotion=f"{id_short(lowest.cap.id)}: {lowest.cap.why}" if lowest.cap is not None else "",
            evidence=lowest.counts,
            review=review,
        )

    def _review(self, rule: Rule, ceiling: Mode) -> str:
        """The numbers that a rule rests on and that a person must review, where it could go to auto."""
        rests = self._world.configuration.measured.get(rule.name)
        return ", ".join(rests.review) if rests is not None and ceiling is Mode.AUTO else ""

    def ceilings(self, rule: Rule, target: Target | None, now: Instant) -> tuple[Mode, Mode]:
        """The rule's and its risk class's, for a target without an alert: a case that asks for one does not hold."""
        runbook = self._world.configuration.rulebook.runbooks[rule.runbook]
        own = self._ceiling(rule, None, target, now) if target is not None else rule.ceiling
        return Mode.APPROVE if self._review(rule, own) else own, self._risk_ceiling(runbook)

    def _rung(self, cell: Cell, basis: str, now: Instant, *, production: bool) -> "_Rung":
        earned = self._world.earned
        grant = granted(self._world.grants.values(), cell, now)
        return _Rung(
            cell=cell,
            earned=earned.level(cell, basis),
            grant=grant,
            cap=earned.cap(cell),
            counts=earned.counts(cell, basis, grant, self._world.configuration, now, production=production),
        )

    def _risk_ceiling(self, runbook: Runbook) -> Mode:
        return self._world.configuration.settings.risk_ceilings.get(runbook.risk, RISK_CEILINGS[runbook.risk])

    def _ceiling(self, rule: Rule, facts: AlertFacts | None, target: Target, now: Instant) -> Mode:
        """The first case whose condition holds, else the rule's own. A condition that cannot be answered does not hold."""
        if not rule.ceilings:
            return rule.ceiling
        bindings = self._bindings(facts, target, now)
        for case in rule.ceilings:
            match case.when.evaluate(bindings):
                case Known(value=True):
                    return case.ceiling
                case _:
                    continue
        return rule.ceiling


class _Rung(NamedTuple):
    """Where one cell stands, beside the ceilings."""

    cell: Cell | None = None
    earned: Mode = Mode.OBSERVE
    grant: Grant | None = None
    cap: Demotion | None = None
    counts: str = ""


_NO_RUNG: Final = _Rung()


def _height(rung: _Rung) -> int:
    """How far it may go, and of two that may go as far the one that is kept down by a demotion comes first."""
    grant = Mode(rung.grant.level) if rung.grant is not None else Mode.OBSERVE
    stands = max(MODE_ORDER.index(rung.earned), MODE_ORDER.index(grant))
    return 2 * stands + 1 if rung.cap is None else 2 * min(stands, MODE_ORDER.index(rung.cap.level))
