"""The agenda: everything that holds automation back in a span of time, past and to come, on one list.

Freezes, holds and stops that people set, from the store; windows of calendars, worked out for the span. What a person lifted
early ended when it was lifted.
"""

from collections.abc import Iterable
from typing import Final, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from watchkeeper.engine.answer import No, invalid
from watchkeeper.engine.engine import Engine
from watchkeeper.engine.records import kind_of, read
from watchkeeper.guards.situation import Freeze, Hold, Scope, Stop
from watchkeeper.values import Instant, duration_text, ms_between

SPAN_MS_MAX: Final = 100 * 86_400_000
AGENDA_MAX: Final = 2_000  # items of one answer; the first ones
LIMITS_READ_MAX: Final = 5_000  # of each kind that people set, the newest
PAGE: Final = 1_000

Limit = TypeVar("Limit", Hold, Freeze, Stop)


class Item(Struct, frozen=True, kw_only=True):
    """`kind`: freeze, maintenance, hold or stop. `until_at` is when it ended, or will; None: until somebody resumes.
    `ended_early`: a person lifted it. `calendar` is "" for what a person set; `by` is "" for a calendar's window.
    """

    id: str
    kind: str
    reason: str
    from_at: Instant
    until_at: Instant | None
    scope: Scope
    by: str = ""
    calendar: str = ""
    ended_early: bool = False
    lifted_by: str = ""


class Agenda(Struct, frozen=True, kw_only=True):
    """Items that touch [from_at, until_at), by their beginning. `left_off`: how many more there are. `unread`: calendars
    that cannot be read, with the reason: what they close is not known. `since_at`: what people set and lifted before that was
    not looked at; None: all of it was.
    """

    at: Instant
    from_at: Instant
    until_at: Instant
    items: tuple[Item, ...]
    left_off: int = 0
    unread: dict[str, str] = {}
    since_at: Instant | None = None


class AgendaReader:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def agenda(self, from_at: Instant, until_at: Instant) -> Agenda | No:
        if until_at <= from_at:
            return invalid("until", "must be after from")
        if ms_between(from_at, until_at) > SPAN_MS_MAX:
            return invalid("until", f"lies more than {duration_text(SPAN_MS_MAX)} after from")
        windows = await self._windows(from_at)
        if isinstance(windows, No):
            return windows
        items, unread = windows
        sinces = []
        for found, since_at in (await self._set(Freeze), await self._set(Hold), await self._set(Stop)):
            items += found
            sinces.append(since_at)
        known = [each for each in sinces if each is not None]
        touching = sorted(
            (each for each in items if _touches(each, from_at, until_at)),
            key=lambda each: (each.from_at, each.kind, each.id),
        )
        return Agenda(
            at=self._engine.clock.now(),
            from_at=from_at,
            until_at=until_at,
            items=tuple(touching[:AGENDA_MAX]),
            left_off=max(0, len(touching) - AGENDA_MAX),
            unread=unread,
            since_at=max(known) if known else None,
        )

    async def _windows(self, from_at: Instant) -> tuple[list[Item], dict[str, str]] | No:
        """Those of calendars."""
        engine = self._engine
        spans = await engine.calendars.spans_at(from_at)
        if isinstance(spans, No):
            return invalid("from", spans.detail.removeprefix("at: "))
        now, items, unread = engine.clock.now(), list[Item](), {}
        for name, state in engine.world.calendars.items():
            if why := state.unread(now):
                unread[name] = why
            around = replace(state, spans=spans.get(name, ()))
            items += [
                Item(
                    id=around.identity(span),
                    kind=state.calendar.kind.value,
                    reason=span.summary or f"calendar {name}",
                    from_at=span.from_at,
                    until_at=span.until_at,
                    scope=state.calendar.scope,
                    calendar=name,
                )
                for span in around.spans
            ]
        return items, unread

    async def _set(self, shape: type[Limit]) -> tuple[list[Item], Instant | None]:
        """Those that people set, and since when all of them were looked at; None: since ever."""
        found: list[Limit] = []
        after: str | None = None
        while len(found) < LIMITS_READ_MAX:
            page = await self._engine.store.find(kind_of(shape), after=after, limit=PAGE)
            found += [read(row, shape) for row in page.items]
            after = page.next
            if after is None:
                break
        return list(_items(found)), found[-1].at if after is not None and found else None


def _items(found: Iterable[Hold | Freeze | Stop]) -> Iterable[Item]:
    for each in found:
        until_at = None if isinstance(each, Stop) else each.until_at
        early = each.lifted_at is not None and (until_at is None or each.lifted_at < until_at)
        yield Item(
            id=each.id,
            kind={Hold: "hold", Freeze: "freeze", Stop: "stop"}[type(each)],
            reason=each.reason,
            from_at=each.from_at if isinstance(each, Freeze) else each.at,
            until_at=each.lifted_at if early else until_at,
            scope=each.scope,
            by=each.by,
            ended_early=early,
            lifted_by=each.lifted_by,
        )


def _touches(item: Item, from_at: Instant, until_at: Instant) -> bool:
    """One that was lifted before it began held nothing back."""
    if item.until_at is not None and item.until_at <= item.from_at:
        return False
    return item.from_at < until_at and (item.until_at is None or item.until_at > from_at)
