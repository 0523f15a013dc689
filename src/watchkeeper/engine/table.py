"""The table: requests that lie before people, found by what they are about, so that a storm of them costs no more each.

It is a dict of approvals by id, with two indexes kept beside it: by (rule, episode), for the judge, and by team and card,
for what people are told.
"""

from collections import defaultdict
from collections.abc import Iterator, MutableMapping
from itertools import islice

from watchkeeper.approve.approval import Approval, State
from watchkeeper.approve.cards import key_of

Key = tuple[str, str]


class Table(MutableMapping[str, Approval]):
    def __init__(self) -> None:
        self.answering: set[str] = set()  # a person's word to it is on its way to the disk: it does not lapse meanwhile
        self._all: dict[str, Approval] = {}
        self._about: dict[Key, dict[str, None]] = defaultdict(dict)
        self._cards: dict[str, dict[Key, dict[str, None]]] = defaultdict(dict)

    def __getitem__(self, identity: str) -> Approval:
        return self._all[identity]

    def __setitem__(self, identity: str, approval: Approval) -> None:
        before = self._all.get(identity)
        if before is not None and _places(before) != _places(approval):
            self._forget(before)
        self._all[identity] = approval
        self._about[approval.rule, approval.episode][identity] = None
        if approval.state is State.PENDING:
            self._cards[approval.team].setdefault(key_of(approval), {})[identity] = None

    def __delitem__(self, identity: str) -> None:
        self._forget(self._all.pop(identity))

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def about(self, rule: str, episode: str) -> tuple[Approval, ...]:
        """Of one rule and episode, answered or not, first asked first."""
        return tuple(self._all[identity] for identity in self._about.get((rule, episode), ()))

    def pending(self, team: str, key: Key) -> tuple[Approval, ...]:
        """What waits in one card."""
        return tuple(self._all[identity] for identity in self._cards.get(team, {}).get(key, ()))

    def cards(self, team: str) -> int:
        """How many cards lie before a team."""
        return len(self._cards.get(team, ()))

    def is_among_first(self, team: str, key: Key, most: int) -> bool:
        """Whether a card is one of the first so many of its team, or would be when it were laid down now."""
        cards = self._cards.get(team, {})
        return key in islice(cards, most) if key in cards else len(cards) < most

    def _forget(self, approval: Approval) -> None:
        about = self._about[approval.rule, approval.episode]
        about.pop(approval.id, None)
        if not about:
            del self._about[approval.rule, approval.episode]
        cards = self._cards.get(approval.team, {})
        card = cards.get(key_of(approval), {})
        card.pop(approval.id, None)
        if not card:
            cards.pop(key_of(approval), None)
        if not cards:
            self._cards.pop(approval.team, None)


def _places(approval: Approval) -> tuple[object, ...]:
    return approval.rule, approval.episode, approval.team, key_of(approval), approval.state is State.PENDING
