"""Open requests as people see them: one card a (rule, service), and an end to cards in a storm (SEMANTICS 5)."""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from watchkeeper.approve.approval import Approval, State
from watchkeeper.guards.cover import bare
from watchkeeper.guards.words import count_of
from watchkeeper.values import EPOCH, Instant, digest, id_from

CARDS_A_TEAM_MAX: Final = 20
REASONS_MAX: Final = 5  # of a card, in short


class Card(Struct, frozen=True, kw_only=True):
    """`approvals` are ids, the one that expires first at the front. Each is still answered by itself: `bindings` maps it to
    the digest that a yes to it must carry, and `digest` is that of all of them together. `emergency` are those that only an
    emergency approval answers. `reasons` are the findings that ask, each once, at most REASONS_MAX; `decision` is that of the
    one that expires first.
    """

    team: str
    rule: str
    service: str
    approvals: tuple[str, ...]
    targets: tuple[str, ...]
    asked_at: Instant
    expires_at: Instant
    sentence: str
    id: str = ""
    digest: str = ""
    bindings: dict[str, str] = {}
    emergency: tuple[str, ...] = ()
    runbook: str = ""
    reasons: tuple[str, ...] = ()
    decision: str = ""


class Desk(Struct, frozen=True, kw_only=True):
    """What one team is asked. `page` is the one sentence sent instead of the cards beyond the limit, "" without any."""

    team: str
    cards: tuple[Card, ...]
    withheld: tuple[str, ...] = ()
    page: str = ""


def key_of(approval: Approval) -> tuple[str, str]:
    """What makes one card: the rule, or the runbook that a person wants to run; and the service."""
    return approval.rule or approval.runbook, approval.service


def card_id(team: str, key: tuple[str, str]) -> str:
    """A function of what the card is about, so that it keeps its id while requests come and go."""
    return id_from("crd", EPOCH, team, *key)


def desks(approvals: Iterable[Approval], most: int = CARDS_A_TEAM_MAX) -> tuple[Desk, ...]:
    """Pending approvals by team, cards in the order in which they were first asked, so that none jumps."""
    teams: dict[str, dict[tuple[str, str], list[Approval]]] = {}
    for approval in approvals:
        if approval.state is State.PENDING:
            groups = teams.setdefault(approval.team, {})
            groups.setdefault(key_of(approval), []).append(approval)
    return tuple(_desk(team, groups, most) for team, groups in sorted(teams.items()))


def _desk(team: str, groups: dict[tuple[str, str], list[Approval]], most: int) -> Desk:
    cards = sorted(
        (_card(team, key, group) for key, group in groups.items()),
        key=lambda card: (card.asked_at, card.rule, card.service),
    )
    beyond = cards[most:]
    withheld = tuple(approval for card in beyond for approval in card.approvals)
    page = page_of(team, len(cards), len(beyond)) if beyond else ""
    return Desk(team=team, cards=tuple(cards[:most]), withheld=withheld, page=page)


def page_of(team: str, cards: int, beyond: int) -> str:
    """The one sentence that is sent instead of the cards beyond the limit."""
    return (
        f"Automation is asking too much: {count_of(cards, 'card')} wait for {team or 'nobody in particular'}, "
        f"{beyond} of them not shown. Stop or raise what asks (wk approvals)."
    )


def _card(team: str, key: tuple[str, str], group: list[Approval]) -> Card:
    rule, service = key
    by_end = sorted(group, key=lambda approval: (approval.expires_at, approval.id))
    targets = tuple(dict.fromkeys(target for approval in by_end for target in approval.targets))
    return Card(
        team=team,
        rule=rule,
        service=service,
        approvals=tuple(approval.id for approval in by_end),
        targets=targets,
        asked_at=min(approval.asked_at for approval in group),
        expires_at=by_end[0].expires_at,
        sentence=f"{rule} asks for {count_of(len(targets), 'target')} of {bare(service)}.",
        id=card_id(team, key),
        digest=digest(sorted([approval.id, approval.binding] for approval in group)),
        bindings={approval.id: approval.binding for approval in by_end},
        emergency=tuple(approval.id for approval in by_end if approval.emergency),
        runbook=by_end[0].runbook,
        reasons=tuple(dict.fromkeys(each.reason for approval in by_end for each in approval.findings))[:REASONS_MAX],
        decision=by_end[0].decision,
    )
