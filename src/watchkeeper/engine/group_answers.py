"""A person's one word to a card of requests: it goes to each request that was displayed, and to none that was not.

Each is answered by itself, with the digest that was shown of it, its own entry in the ledger and its own refusal. What
joined the card meanwhile, or changed, is named and left as it is. An answer that carries the card's digest is for the
whole card as it was displayed: of another one nothing is answered, and what moved is named.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from watchkeeper.approve.approval import Approval, State
from watchkeeper.approve.cards import Card, Desk, desks
from watchkeeper.approve.people import Actor
from watchkeeper.approve.roles import Verb
from watchkeeper.engine.answer import No, changed, invalid, missing
from watchkeeper.engine.records import read
from watchkeeper.engine.steering import Steering
from watchkeeper.engine.world import World
from watchkeeper.guards.words import count_of
from watchkeeper.ports import Store

SHOWN_MAX: Final = 1_000  # requests in one answer


class Refusal(Struct, frozen=True, kw_only=True):
    """Why one of those that were displayed was not answered. `status` is the HTTP status that says the same."""

    approval: str
    status: int
    detail: str


class GroupAnswer(Struct, frozen=True, kw_only=True):
    """`answered` are (approval, its state after). `not_shown` wait in the card and were not displayed: nobody touched them."""

    card: str
    answered: tuple[tuple[str, str], ...]
    refused: tuple[Refusal, ...]
    not_shown: tuple[str, ...]


class Gone(Struct, frozen=True, kw_only=True):
    """A request that was displayed and waits no more: how it ended, and why, as its own page says."""

    approval: str
    state: str
    why: str


class Moved(Struct, frozen=True, kw_only=True):
    """What a card holds beside what was displayed of it: requests that joined, went, or are bound to something else."""

    joined: tuple[str, ...]
    gone: tuple[Gone, ...]
    changed: tuple[str, ...]


class GroupAnswers:
    def __init__(self, world: World, steering: Steering, store: Store) -> None:
        self._world, self._steering, self._store = world, steering, store

    def desks(self, team: str = "") -> tuple[Desk, ...]:
        """What each team is asked, as cards; those beyond the team's limit are withheld and named."""
        most = self._world.configuration.settings.limits.cards_per_team
        return tuple(each for each in desks(self._world.approvals.values(), most) if not team or each.team == team)

    def every(self, team: str = "") -> tuple[Card, ...]:
        """Every card, withheld or not."""
        found = desks(self._world.approvals.values(), max(1, len(self._world.approvals)))
        return tuple(card for desk in found for card in desk.cards if not team or desk.team == team)

    def card(self, identity: str) -> Card | No:
        return next((card for card in self.every() if card.id == identity), None) or missing("card", identity)

    async def answer(
        self,
        actor: Actor,
        identity: str,
        verb: Verb,
        shown: Mapping[str, str],
        comment: str,
        *,
        emergency: bool,
        digest: str = "",
    ) -> GroupAnswer | No:
        """`shown`: approval -> the digest that was displayed of it. With the card's `digest`: all of it, or nothing."""
        card = await self._looked_at(identity, verb, shown, digest)
        if isinstance(card, No):
            return card
        answered: list[tuple[str, str]] = []
        refused: list[Refusal] = []
        for approval, binding in shown.items():
            if approval not in card.bindings:
                why = "It does not wait in this card any more: it was answered, lapsed, or is of another one."
                refused.append(Refusal(approval=approval, status=409, detail=why))
                continue
            found = await self._one(actor, approval, verb, binding, comment, emergency=emergency)
            if isinstance(found, No):
                refused.append(Refusal(approval=approval, status=found.status, detail=found.detail))
            else:
                answered.append((approval, found.state.value))
        left = tuple(each for each in card.approvals if each not in shown)
        return GroupAnswer(card=identity, answered=tuple(answered), refused=tuple(refused), not_shown=left)

    async def _looked_at(self, identity: str, verb: Verb, shown: Mapping[str, str], digest: str) -> Card | No:
        """The card as it is, when what was displayed may be answered."""
        if not shown:
            return invalid("shown", "name at least one request with its digest: an empty list is never everything")
        if len(shown) > SHOWN_MAX:
            return invalid("shown", f"at most {SHOWN_MAX} requests in one answer")
        card = self.card(identity)
        if isinstance(card, No):
            return await self._all_gone(card, verb, shown) if digest else card
        return await self._moved(card, verb, shown) if digest and digest != card.digest else card

    async def _moved(self, card: Card, verb: Verb, shown: Mapping[str, str]) -> No:
        """Nothing is answered; what moved is told, each by its name."""
        joined = tuple(each for each in card.approvals if each not in shown)
        other = tuple(each for each in card.approvals if each in shown and shown[each] != card.bindings[each])
        gone = tuple([await self._gone(each) for each in shown if each not in card.bindings])
        said = [
            f"{count_of(len(found), 'request')} {word}"
            for found, word in ((joined, "joined"), (gone, "went"), (other, "changed"))
            if found
        ]
        what = ", ".join(said) or "what was displayed is no card of now"
        word = "approved" if verb is Verb.APPROVE else "rejected"
        return changed(
            f"Nothing was {word}: the card changed since it was read ({what}). Look at it again.",
            **msgspec.to_builtins(Moved(joined=joined, gone=gone, changed=other)),
        )

    async def _all_gone(self, unknown: No, verb: Verb, shown: Mapping[str, str]) -> No:
        """The card ended while somebody read it: each of its requests says how."""
        gone = tuple([await self._gone(each) for each in shown])
        if not any(each.state for each in gone):
            return unknown
        word = "approved" if verb is Verb.APPROVE else "rejected"
        return changed(
            f"Nothing was {word}: no request of the card waits any more.",
            **msgspec.to_builtins(Moved(joined=(), gone=gone, changed=())),
        )

    async def _gone(self, approval: str) -> Gone:
        row = await self._store.get("approval", approval)
        if row is None:
            return Gone(approval=approval, state="", why="No such request was ever made.")
        found = read(row, Approval)
        waits = found.state is State.PENDING
        why = "It waits in another card." if waits else found.why or f"It was {found.state.value}."
        return Gone(approval=approval, state=found.state.value, why=why)

    async def _one(
        self, actor: Actor, approval: str, verb: Verb, digest: str, comment: str, *, emergency: bool
    ) -> Approval | No:
        if verb is Verb.REJECT:
            return await self._steering.reject(actor, approval, digest, comment)
        return await self._steering.approve(actor, approval, digest, comment, emergency=emergency)


def card_view(card: Card, *, withheld: bool) -> dict[str, Any]:
    """`shown` is what an answer has to carry back."""
    return {
        "id": card.id,
        "digest": card.digest,
        "team": card.team,
        "rule": card.rule,
        "service": card.service,
        "count": len(card.approvals),
        "targets": list(card.targets),
        "asked_at": card.asked_at,
        "expires_at": card.expires_at,
        "sentence": card.sentence,
        "emergency": list(card.emergency),
        "withheld": withheld,
        "shown": dict(card.bindings),
        "runbook": card.runbook,
        "reasons": list(card.reasons),
        "decision": card.decision,
    }
