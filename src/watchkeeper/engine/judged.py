"""What comes of judging, and what judging asks of the rest of the engine."""

from collections.abc import Iterable
from typing import Protocol

from msgspec import Struct

from watchkeeper.approve.approval import Approval
from watchkeeper.decide.decision import Decision
from watchkeeper.decide.target import Untargeted
from watchkeeper.engine.records import RunRecord
from watchkeeper.engine.runner import Begun
from watchkeeper.execute.run import Opened, Plan
from watchkeeper.guards.situation import Proposal, Situation
from watchkeeper.ports import Put
from watchkeeper.report.notices import Notice
from watchkeeper.values import Instant


class Opening(Struct, frozen=True, kw_only=True):
    """An admitted run: what the runner takes over."""

    record: RunRecord
    plan: Plan
    opened: Opened
    decision: Decision
    answered: tuple[str, ...] = ()
    begun: Begun | None = None


class Judged(Struct, frozen=True, kw_only=True):
    """What came of one proposal. `opening` when it acts, `approval` when it asks."""

    decision: Decision
    situation: Situation
    body: bytes  # of the situation, as it was hashed
    proposal: Proposal | None = None
    untargeted: Untargeted | None = None
    opening: Opening | None = None
    approval: Approval | None = None
    told: dict[str, str] = {}


class Seats(Protocol):
    """What the judge needs of the rest of the engine."""

    def again(self, alert: str, at: Instant) -> None: ...

    def begin(self, opening: Opening, look: tuple[Proposal, Situation] | None) -> Begun | None:
        """The run's first turn, for the commit that admits it; None when it cannot simply begin. `look`: what the
        decision was read from.
        """

    def open(self, opening: Opening) -> None: ...

    def lapse(self, alert: str, why: str) -> None:
        """The episode is over or unseen: held and unanswered proposals lapse, runs learn that they are not needed."""

    def notices(self, found: Iterable[Notice]) -> tuple[Put, ...]:
        """Notices as messages to store in the same commit; handed to the outbox once `told` is called."""

    def told(self, puts: Iterable[Put]) -> None: ...

    def approval_ended(self, approval: Approval) -> None:
        """It lapsed or became void: store that and take it off the table."""

    def let_go(self, waiting: str, why: str) -> None:
        """A held proposal is not wanted any more."""

    async def breakers_moved(self) -> None:
        """Another node was first: read the breakers again."""

    def untell(self, decision: str, why: str) -> bool:
        """Drop what was to be told later of a decision; True when nobody had been told yet."""
