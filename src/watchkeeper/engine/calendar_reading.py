"""Looking at calendars, and the question they are for: may there be changes at this time, here, and until when?"""

from collections.abc import Iterable
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from watchkeeper.engine.answer import No, invalid, missing
from watchkeeper.engine.calendars import HORIZON_MS
from watchkeeper.engine.engine import Engine
from watchkeeper.engine.reading import Listed
from watchkeeper.engine.records import read
from watchkeeper.guards.cover import bare, covers
from watchkeeper.guards.situation import Freeze, Scope, Target
from watchkeeper.guards.words import clipped, count_of, when
from watchkeeper.home.calendar import CalendarKind
from watchkeeper.values import Instant, duration_text

WINDOWS_SHOWN_MAX: Final = 20
FREEZES_READ_MAX: Final = 5_000  # of people, the newest, for a time that is over
PAGE: Final = 1_000


class Window(Struct, frozen=True, kw_only=True):
    """A time without changes. `calendar` is "" for one that a person set."""

    id: str
    reason: str
    from_at: Instant
    until_at: Instant
    scope: Scope
    calendar: str = ""


class FreezeStatus(Struct, frozen=True, kw_only=True):
    """`state` is open, closed, or unknown (a calendar that covers this cannot be read, so what it covers is held).
    `until_at` is the end of the whole closed time, windows that follow without a gap included.
    """

    at: Instant
    state: str
    sentence: str
    until_at: Instant | None = None
    windows: tuple[Window, ...] = ()
    next: Window | None = None
    unread: dict[str, str] = {}


class CalendarReader:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def calendars(self) -> Listed:
        return Listed(items=tuple(self._engine.calendars.views()))

    def calendar(self, name: str) -> dict[str, Any] | No:
        return self._engine.calendars.view(name)

    async def status(self, at: Instant | None, scope: Scope) -> FreezeStatus | No:
        """Without a scope every freeze counts, wherever it is; with one, those that may concern it."""
        engine = self._engine
        now = engine.clock.now()
        asked = at or now
        target = self._target(scope)
        if isinstance(target, No):
            return target
        spans = await engine.calendars.spans_at(asked)
        if isinstance(spans, No):
            return spans
        windows, unread = [], {}
        for name, state in engine.world.calendars.items():
            calendar = state.calendar
            if calendar.kind is not CalendarKind.FREEZE or not concerns(calendar.scope, scope, target):
                continue
            if why := state.unread(now):
                unread[name] = why
            around = replace(state, spans=spans.get(name, ()))
            windows += [
                Window(
                    id=around.identity(span),
                    reason=span.summary or f"calendar {name}",
                    from_at=span.from_at,
                    until_at=span.until_at,
                    scope=calendar.scope,
                    calendar=name,
                )
                for span in around.spans
            ]
        windows += [
            Window(id=each.id, reason=each.reason, from_at=each.from_at, until_at=each.until_at, scope=each.scope)
            for each in (engine.world.freezes.values() if asked >= now else await self._set_by(asked))
            if each.lifted_at is None and concerns(each.scope, scope, target)
        ]
        return _answer(asked, now, windows, unread)

    async def _set_by(self, at: Instant) -> list[Freeze]:
        """Freezes of people as they stood at a time that is over: what was lifted since stood then."""
        found: list[Freeze] = []
        after: str | None = None
        looked_at = 0
        while looked_at < FREEZES_READ_MAX:
            page = await self._engine.store.find("freeze", after=after, limit=PAGE)
            known = [read(row, Freeze) for row in page.items]
            found += [
                replace(each, lifted_at=None, until_at=min(each.until_at, each.lifted_at or each.until_at))
                for each in known
                if each.at <= at and (each.lifted_at is None or each.lifted_at > at)
            ]
            looked_at += len(page.items)
            after = page.next
            if after is None:
                break
        return found

    def _target(self, scope: Scope) -> Target | No | None:
        """The one thing that a scope names, as guards see it; None when it names a part of the whole."""
        for field in ("entity", "service"):
            name = getattr(scope, field)
            if name:
                catalog = self._engine.world.configuration.catalog
                found = self._engine.situations.target(
                    name if name in catalog.entities else catalog.named.get(name, name)
                )
                return found if found is not None else invalid(f"scope.{field}", missing("service", name).detail)
        return None


def concerns(freeze: Scope, asked: Scope, target: Target | None) -> bool:
    """Whether a freeze may close what is asked about: what both name must agree."""
    if target is not None:
        return covers(freeze, asked.rule, target)
    for field in Scope.__struct_fields__:
        one, other = getattr(freeze, field), getattr(asked, field)
        if one and other and one != other and bare(one) != bare(other):
            return False
    return True


def _answer(at: Instant, now: Instant, windows: Iterable[Window], unread: dict[str, str]) -> FreezeStatus:
    found = sorted(windows, key=lambda each: (each.from_at, each.until_at, each.id))
    closed = [each for each in found if each.from_at <= at < each.until_at]
    until_at = max((each.until_at for each in closed), default=None)
    for each in found:
        if until_at is not None and each.from_at <= until_at < each.until_at:
            until_at = each.until_at
    after_at = until_at or at
    following = next((each for each in found if each.from_at > after_at), None)
    unreadable = "; ".join(f"calendar {name}: {clipped(why)}" for name, why in sorted(unread.items()))
    if closed and until_at is not None:
        state = "closed"
        others = f" and {count_of(len(closed) - 1, 'more window')}" if len(closed) > 1 else ""
        sentence = f"Closed until {when(until_at, now)}: {clipped(closed[0].reason)} ({closed[0].id}){others}."
        if unreadable:
            sentence += f" Beyond that it is not known: {unreadable}. What it covers is held until it can be read."
    elif unreadable:
        state = "unknown"
        sentence = f"Not known: {unreadable}. What it covers is held until it can be read."
    else:
        state = "open"
        then = (
            f"closes at {when(following.from_at, now)}: {clipped(following.reason)} ({following.id})"
            if following is not None
            else f"no freeze is known for the next {duration_text(HORIZON_MS // 2)}"
        )
        sentence = f"Open; {then}."
    return FreezeStatus(
        at=at,
        state=state,
        sentence=sentence,
        until_at=until_at,
        windows=tuple(closed[:WINDOWS_SHOWN_MAX]),
        next=following,
        unread=unread,
    )
