"""Reminders: an exclusion that has expired, or whose review is due, is told to its owner once a day until somebody acts.

A day is counted from the date that passed, so each exclusion has its own hour. What was told is known from the message
itself: a restart tells nothing twice, and a node that was down tells only the newest day.
"""

from collections.abc import Callable, Iterable
from typing import Final

from watchkeeper.engine.scribe import Scribe
from watchkeeper.engine.world import World
from watchkeeper.home.exclusion import Exclusion, State, state_of
from watchkeeper.ports import Commit, Put
from watchkeeper.report.notices import Notice, of_exclusion
from watchkeeper.values import Instant, after_ms, ms_between

LOOK_EVERY_MS: Final = 60_000
DAY_MS: Final = 86_400_000


def due(exclusion: Exclusion, now: Instant) -> Notice | None:
    """Today's word on an exclusion; None while nobody has to act."""
    state = state_of(exclusion, now)
    match state:
        case State.EXPIRED:
            since = exclusion.until_at
        case State.REVIEW_DUE if exclusion.review_at is not None:
            since = exclusion.review_at
        case _:
            return None
    days = ms_between(since, now) // DAY_MS
    return of_exclusion(exclusion, state, after_ms(since, days * DAY_MS))


class Reminders:
    def __init__(
        self,
        scribe: Scribe,
        world: World,
        notices: Callable[[Iterable[Notice]], tuple[Put, ...]],
        told: Callable[[Iterable[Put]], None],
    ) -> None:
        self._scribe, self._world, self._notices, self._told = scribe, world, notices, told
        self._looked_at_ms: int | None = None
        self._known: set[str] = set()  # messages of which the store is known to have them

    async def look(self) -> None:
        """Once a minute; cheap when nothing is due."""
        at_ms = self._scribe.clock.monotonic_ms()
        if self._looked_at_ms is not None and at_ms - self._looked_at_ms < LOOK_EVERY_MS:
            return
        self._looked_at_ms = at_ms
        now = self._scribe.clock.now()
        stored: list[Put] = []
        names: set[str] = set()
        for exclusion in self._world.configuration.exclusions:
            notice = due(exclusion, now)
            for each in self._notices((notice,)) if notice is not None else ():
                names.add(each.id)
                if each.id not in self._known and await self._scribe.store.get(each.kind, each.id) is None:
                    stored.append(each)
        self._known = names  # of yesterday nothing is asked again
        if stored:
            await self._scribe.commit(Commit(at=now, puts=tuple(stored)))
            self._told(stored)
