"""What people are told of a proposal, within bounds: no more cards than a team can read, no more than one word an hour
on a rule that is broken.
"""

from typing import Final

from watchkeeper.approve.approval import Approval
from watchkeeper.approve.cards import card_id, key_of, page_of
from watchkeeper.decide.decision import Decision
from watchkeeper.engine.world import World
from watchkeeper.guards.cover import bare
from watchkeeper.guards.situation import AlertFacts
from watchkeeper.packs.rule import Rule
from watchkeeper.report.notices import Notice, NoticeKind, of_approval, of_decision
from watchkeeper.values import Instant, Severity, id_from, ms_between

BROKEN_EVERY_MS: Final = 3_600_000
TOO_MUCH_EVERY_MS: Final = 1_800_000
COMING_MAX_MS: Final = 10_000  # what is not committed by then was refused, and decided afresh
ONE_BY_ONE_MAX: Final = (
    3  # requests of one card that are told each by itself; then the card is, whenever it has doubled
)


class Words:
    def __init__(self, world: World) -> None:
        self._world = world
        self._broken: dict[str, Instant] = {}
        self._too_much: dict[str, Instant] = {}
        self._coming: dict[str, Approval] = {}  # told of and not yet on the table: their commits are under way

    def of_ask(self, approval: Approval, decision: Decision) -> tuple[Notice, ...]:
        """The first requests of a card one by one, then the card; beyond the team's limit one page instead, that
        automation asks too much (SEMANTICS 5).
        """
        most = self._world.configuration.settings.limits.cards_per_team
        table, key = self._world.approvals, key_of(approval)
        coming = self._on_their_way(approval)
        self._coming[approval.id] = approval
        new = [each for each in dict.fromkeys(map(key_of, coming)) if not table.pending(approval.team, each)]
        waiting = len(table.pending(approval.team, key)) + sum(1 for each in coming if key_of(each) == key) + 1
        cards = table.cards(approval.team) + len(new)
        if table.pending(approval.team, key):
            shown = table.is_among_first(approval.team, key, most)
        else:
            cards += key not in new
            shown = table.cards(approval.team) + ([*new, key].index(key)) < most
        if shown:
            return _of_card(approval, decision, key, waiting)
        if not _due(self._too_much, approval.team, decision.at, TOO_MUCH_EVERY_MS):
            return ()
        return (
            Notice(
                id=id_from("ntc", decision.at, approval.team, "too much"),
                at=decision.at,
                kind=NoticeKind.ASK,
                subject=f"Automation is asking too much of {approval.team or 'everybody'}",
                text=page_of(approval.team, cards, cards - most),
                severity=Severity.CRITICAL,
                team=approval.team,
                commands=("wk approvals cards", "wk stop --reason 'too many questions'"),
            ),
        )

    def _on_their_way(self, approval: Approval) -> list[Approval]:
        """Requests of the same team that are being committed: those before this one, as if they lay on the table."""
        for each in tuple(self._coming.values()):
            if each.id in self._world.approvals or ms_between(each.asked_at, approval.asked_at) > COMING_MAX_MS:
                del self._coming[each.id]
        return [each for each in self._coming.values() if each.team == approval.team and each.id != approval.id]

    def of_decision(self, decision: Decision) -> tuple[Notice, ...]:
        """A hold, a refusal or an escalation; and its owner's word when a clause of the rule is broken."""
        broken = next((row for row in decision.clauses if row.answer == "broken"), None)
        if broken is None:
            return of_decision(decision)
        if not _due(self._broken, decision.rule, decision.at, BROKEN_EVERY_MS):
            return ()
        return (
            Notice(
                id=id_from("ntc", decision.at, decision.rule, "broken"),
                at=decision.at,
                kind=NoticeKind.BROKEN_RULE,
                subject=f"Rule {decision.rule} is broken and holds",
                text=f"{broken.source} is broken: {broken.why}. It holds for every alert that it matches until it is repaired.",
                severity=decision.severity,
                team=decision.owner,
                ids={"decision": decision.id, "alert": decision.alert},
                commands=(f"wk explain {decision.id}", "wk check"),
            ),
        )

    def of_broken(self, rule: Rule, facts: AlertFacts, why: str, at: Instant) -> tuple[Notice, ...]:
        """A rule that broke while it was judged: nothing was decided for this alert, and nothing acts."""
        if not _due(self._broken, rule.name, at, BROKEN_EVERY_MS):
            return ()
        return (
            Notice(
                id=id_from("ntc", at, rule.name, "broken"),
                at=at,
                kind=NoticeKind.BROKEN_RULE,
                subject=f"Rule {rule.name} broke while it was judged",
                text=f"{why}. Nothing is decided by it for {facts.symptom} until it is repaired; other rules go on.",
                severity=facts.severity,
                team=rule.owner,
                ids={"alert": facts.id},
                commands=("wk check", f"wk explain {facts.id}"),
            ),
        )


def _of_card(approval: Approval, decision: Decision, key: tuple[str, str], waiting: int) -> tuple[Notice, ...]:
    """The request by itself while its card is short; the card at 4, 8, 16 and so on; nothing in between."""
    if waiting <= ONE_BY_ONE_MAX:
        return (of_approval(approval, decision),)
    if waiting & (waiting - 1):
        return ()
    rule, service = key
    card = card_id(approval.team, key)
    return (
        Notice(
            id=id_from("ntc", decision.at, card, str(waiting)),
            at=decision.at,
            kind=NoticeKind.ASK,
            subject=f"{waiting} requests of {rule} for {bare(service)} wait",
            text=f"{decision.reason} The newest of {waiting}. Answer them one by one, or all that you are shown at once.",
            severity=approval.severity,
            team=approval.team,
            service=approval.service,
            ids={"card": card},
            commands=(f"wk approve {card}", f"wk reject {card}", "wk approvals cards"),
        ),
    )


def of_lapse(approval: Approval, at: Instant) -> Notice:
    """Nobody answered in time, and it is still needed: the next person is asked, and told that it is not the first time."""
    return Notice(
        id=id_from("ntc", at, approval.id, "lapsed"),
        at=at,
        kind=NoticeKind.LAPSED,
        subject=f"Nobody answered: {approval.runbook} on {', '.join(approval.targets)}",
        text=f"{approval.why} It still fires, so it is asked again.",
        severity=approval.severity,
        team=approval.team,
        service=approval.service,
        ids={"approval": approval.id, "decision": approval.decision, "incident": approval.incident},
        commands=("wk approvals", f"wk explain {approval.decision}"),
    )


def _due(told: dict[str, Instant], key: str, at: Instant, every_ms: int) -> bool:
    last = told.get(key)
    if last is not None and ms_between(last, at) < every_ms:
        return False
    told[key] = at
    return True
