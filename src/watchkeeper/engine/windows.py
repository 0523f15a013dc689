"""What the calendars say of a proposal at one time: windows as freezes and maintenance, and calendars that say nothing."""

from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

from watchkeeper.guards.situation import Freeze, Maintenance, Scope
from watchkeeper.home.calendar import CalendarKind, Span, Standing
from watchkeeper.values import EPOCH, Instant


class Windows(Struct, frozen=True, kw_only=True):
    """Those that hold, those that follow them without a gap, and else the next one. `unread` maps a guard to why."""

    freezes: tuple[Freeze, ...] = ()
    maintenance: tuple[Maintenance, ...] = ()
    frozen_until: Instant | None = None
    unread: dict[str, str] = {}


NO_WINDOWS: Final = Windows()


def windows_of(calendars: Mapping[str, Standing], matters: Callable[[Scope], bool], now: Instant) -> Windows:
    """`matters` says which scopes cover one of the targets: a calendar about something else is not even asked."""
    freezes: list[Freeze] = []
    maintenance: list[Maintenance] = []
    ends: list[Instant] = []
    unread: dict[str, str] = {}
    for name, state in calendars.items():
        calendar = state.calendar
        if not matters(calendar.scope):
            continue
        if why := state.unread(now):
            unread.setdefault(calendar.kind.value, f"calendar {name}: {why}")
        spans, until_at = state.closed(now)
        if calendar.kind is CalendarKind.MAINTENANCE:
            maintenance += [maintenance_of(state, span) for span in spans]
            continue
        freezes += [freeze_of(state, span) for span in spans]
        ends += [until_at] if until_at is not None else []
    return Windows(
        freezes=tuple(freezes), maintenance=tuple(maintenance), frozen_until=max(ends, default=None), unread=unread
    )


def freeze_of(state: Standing, span: Span) -> Freeze:
    """`at` is the beginning of all time: a window begins at its time, whenever it was read."""
    calendar = state.calendar
    return Freeze(
        id=state.identity(span),
        scope=calendar.scope,
        by=f"calendar:{calendar.name}",
        reason=span.summary or f"Calendar {calendar.name}",
        at=EPOCH,
        from_at=span.from_at,
        until_at=span.until_at,
        origin="calendar",
    )


def maintenance_of(state: Standing, span: Span) -> Maintenance:
    return Maintenance(
        id=state.identity(span),
        scope=state.calendar.scope,
        reason=span.summary or f"calendar {state.calendar.name}",
        from_at=span.from_at,
        until_at=span.until_at,
    )
