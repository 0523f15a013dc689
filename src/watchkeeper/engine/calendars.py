"""Calendars of this node: read, kept, worked out into windows, and told when they open and close.

A file is part of the active configuration. A URL is read on its interval; what was read is kept in the store, so that a
start without the network knows what an earlier process read. Each time a window opens, closes or changes, or a calendar
becomes unreadable or readable, `freeze` (or `maintenance`) is raised: admission and every intent compare it, and what was
held is decided afresh.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

import structlog
from msgspec.structs import replace

from watchkeeper.engine.answer import No, invalid, missing
from watchkeeper.engine.changes import Aside
from watchkeeper.engine.limits import Changed
from watchkeeper.engine.records import CalendarRecord, put, read
from watchkeeper.engine.scribe import Scribe
from watchkeeper.engine.world import World
from watchkeeper.errors import Malformed, WatchkeeperError
from watchkeeper.guards.situation import Scope
from watchkeeper.home.calendar import Calendar, CalendarKind, Span, Standing, WhenUnreadable
from watchkeeper.home.ics import Ics, read_ics
from watchkeeper.ports import Commit, Drop, Put
from watchkeeper.report.notices import Notice, of_calendar
from watchkeeper.values import EPOCH, Instant, after_ms, ms_between

log = structlog.get_logger("watchkeeper.calendars")

Fetch = Callable[[Calendar], Awaitable[bytes]]
Notices = Callable[[Iterable[Notice]], tuple[Put, ...]]
Told = Callable[[Iterable[Put]], None]

HORIZON_MS: Final = 400 * 86_400_000  # how far windows are worked out; further only when somebody asks for that time
BEHIND_MS: Final = 2 * 86_400_000
WORKED_OUT_EVERY_MS: Final = 86_400_000
RETRY_MS: Final = 30_000  # a reading that failed is tried again so soon
IDLE_S: Final = 1.0
READERS_MAX: Final = 8  # read at once: a server that hangs must not keep the others waiting for long
BODY_BYTES_MAX: Final = 3 * 1024 * 1024  # of what is fetched: it is kept whole as one document
WHY_CHARS_MAX: Final = 500

VERSION: Final = {CalendarKind.FREEZE: "freeze", CalendarKind.MAINTENANCE: "maintenance"}
NOT_YET: Final = "it has not been read yet"


class _Kept:
    """One calendar in memory. `failed_at` is when it was found unreadable, None while it can be read."""

    __slots__ = ("calendar", "digest", "due_at", "failed_at", "ics", "read_at", "spans", "told", "why", "worked_out_at")

    def __init__(self, calendar: Calendar) -> None:
        self.calendar = calendar
        self.ics: Ics | None = None
        self.digest = ""  # of the body that it was read from
        self.spans: tuple[Span, ...] = ()
        self.read_at: Instant | None = None
        self.failed_at: Instant | None = None
        self.why = NOT_YET if calendar.remote else ""
        self.due_at: Instant = EPOCH
        self.worked_out_at: Instant = EPOCH
        self.told = False


class Calendars:
    """`fetch` None: nothing is read from elsewhere (a scenario). `aside` works beside the loop."""

    def __init__(
        self,
        scribe: Scribe,
        world: World,
        notices: Notices,
        told: Told,
        changed: Changed,
        fetch: Fetch | None,
        aside: Aside,
    ) -> None:
        self._scribe, self._world = scribe, world
        self._notices, self._told, self._changed = notices, told, changed
        self._fetch, self._aside = fetch, aside
        self._kept: dict[str, _Kept] = {}
        self._said: dict[str, tuple[str, ...]] = {}
        self._looked_at: Instant = EPOCH
        self._look_at: Instant | None = None
        self._more = asyncio.Event()

    # What is read.

    async def configure(self) -> None:
        """Take up the calendars of the active configuration. What is kept of one that is the same stays."""
        wanted = {each.name: each for each in self._world.configuration.calendars}
        if not wanted and not self._kept:
            return
        before, after = self._kept, dict[str, _Kept]()
        for name, calendar in wanted.items():
            kept = before.get(name)
            if kept is None or kept.calendar != calendar:
                kept = _Kept(calendar)
                await self._begin(kept)
            after[name] = kept
        self._kept = after  # what is looked at meanwhile is whole: the old ones, then the new ones
        for name in before.keys() - wanted.keys():
            await self._scribe.commit(Commit(at=self._now(), drops=(Drop(kind="calendar", id=name),)))
        self._more.set()
        await self.look(again=True)

    async def _begin(self, kept: _Kept) -> None:
        calendar, now = kept.calendar, self._now()
        if not calendar.remote:
            await self._take(kept, calendar.body, now)
            return
        row = await self._scribe.store.get("calendar", calendar.name)
        record = read(row, CalendarRecord) if row is not None else None
        if record is not None and record.source == source_of(calendar):
            await self._take(kept, record.body, record.at)
            if calendar.when_unreadable is WhenUnreadable.HOLD:
                kept.failed_at, kept.why = now, NOT_YET  # since this start

    async def _take(self, kept: _Kept, body: bytes, at: Instant) -> bool:
        """Read a body; True when the calendar could be read and worked out."""
        name = hashlib.sha256(body).hexdigest()
        if kept.ics is not None and kept.digest == name:
            kept.read_at, kept.failed_at, kept.why = at, None, ""
            return True
        ics, problems = await self._aside(read_ics, body, kept.calendar.zone)
        if ics is None:
            line, message = problems[0]
            return self._failed(kept, f"line {line}: {message}" if line else message)
        spans = await self._worked_out(kept, ics)
        if spans is None:
            return False
        kept.ics, kept.spans, kept.read_at, kept.digest = ics, spans, at, name
        kept.failed_at, kept.why = None, ""
        return True

    async def _worked_out(self, kept: _Kept, ics: Ics) -> tuple[Span, ...] | None:
        now = self._now()
        day = now.replace(hour=0, minute=0, second=0, microsecond=0)  # the same stretch all day: the same windows
        try:
            found: tuple[Span, ...] = await self._aside(ics.spans, after_ms(day, -BEHIND_MS), after_ms(day, HORIZON_MS))
        except Malformed as unread:
            self._failed(kept, str(unread))
            return None
        kept.worked_out_at = now
        return found

    def _failed(self, kept: _Kept, why: str) -> bool:
        kept.failed_at = kept.failed_at or self._now()
        kept.why = why[:WHY_CHARS_MAX]
        log.warning("a calendar cannot be read", calendar=kept.calendar.name, why=kept.why)
        return False

    async def work(self) -> None:
        """Read what is due, for ever."""
        while True:
            now = self._now()
            due = [each for each in self._kept.values() if each.calendar.remote and each.due_at <= now]
            for start in range(0, len(due), READERS_MAX):
                await asyncio.gather(*(self._read(kept) for kept in due[start : start + READERS_MAX]))
            self._more.clear()
            try:
                async with asyncio.timeout(IDLE_S):
                    await self._more.wait()
            except TimeoutError:
                continue

    async def again(self, name: str) -> dict[str, Any] | No:
        """Read one now, because a person asks."""
        kept = self._kept.get(name)
        if kept is None:
            return missing("calendar", name)
        if kept.calendar.remote:
            await self._read(kept)
        return self.view(name)

    async def _read(self, kept: _Kept) -> None:
        calendar = kept.calendar
        if self._fetch is None:
            kept.due_at = after_ms(self._now(), calendar.every_ms)
            return
        try:
            body = await self._fetch(calendar)
        except WatchkeeperError as failed:
            good = self._failed(kept, str(failed))
        else:
            if len(body) > BODY_BYTES_MAX:
                good = self._failed(kept, f"has more than {BODY_BYTES_MAX} bytes")
            else:
                good = await self._take(kept, body, self._now())
        now = self._now()
        kept.due_at = after_ms(now, calendar.every_ms if good else min(RETRY_MS, calendar.every_ms))
        if self._kept.get(calendar.name) is not kept:
            return  # another configuration came meanwhile
        if good:
            record = CalendarRecord(id=calendar.name, at=now, body=body, source=source_of(calendar))
            await self._scribe.commit(Commit(at=now, puts=(put(record),)))
        await self.look(again=True)

    # What time makes of it.

    async def look(self, *, again: bool = False) -> None:
        """Windows that opened or closed since the last look raise their version. Called at each tick; mostly no work."""
        now = self._now()
        due = self._look_at is not None and now >= self._look_at
        if not (again or due or now < self._looked_at):
            return
        self._looked_at = now
        for kept in self._kept.values():
            if kept.ics is not None and ms_between(kept.worked_out_at, now) >= WORKED_OUT_EVERY_MS:
                spans = await self._worked_out(kept, kept.ics)
                kept.spans = kept.spans if spans is None else spans
        states = {name: self._standing(kept) for name, kept in self._kept.items()}
        said = {name: _said(state, now) for name, state in states.items()}
        before, was = self._world.calendars, self._said
        moved = {
            VERSION[(states.get(name) or before[name]).calendar.kind]
            for name in states.keys() | before.keys()
            if said.get(name) != was.get(name) or _other(before.get(name), states.get(name))
        }
        self._world.calendars, self._said = states, said
        self._look_at = min((each.next_at(now) for each in states.values()), default=None)
        messages = self._notices(self._unread_notices(states, now))
        if not moved and not messages:
            return
        await self._scribe.commit(Commit(at=now, puts=messages, bumps=tuple(sorted(moved))))
        self._told(messages)
        for key in sorted(moved):
            await self._changed(key)

    def _standing(self, kept: _Kept) -> Standing:
        return Standing(
            calendar=replace(kept.calendar, body=b""),
            spans=kept.spans,
            read_at=kept.read_at,
            failed_at=kept.failed_at,
            why=kept.why,
            worked_out_at=kept.worked_out_at,
        )

    def _unread_notices(self, states: dict[str, Standing], now: Instant) -> list[Notice]:
        """Once for each time that one cannot be read any more and holds for it."""
        found = []
        for name, state in states.items():
            why, kept = state.unread(now), self._kept[name]
            if why and why != NOT_YET and not kept.told:
                found.append(of_calendar(name, why, now))
            kept.told = bool(why) and (kept.told or why != NOT_YET)
        return found

    # What people look at.

    def view(self, name: str) -> dict[str, Any] | No:
        state = self._world.calendars.get(name)
        kept = self._kept.get(name)
        return missing("calendar", name) if state is None or kept is None else _view(state, kept, self._now())

    def views(self) -> list[dict[str, Any]]:
        now = self._now()
        states = sorted(self._world.calendars.items())
        return [_view(state, kept, now) for name, state in states if (kept := self._kept.get(name)) is not None]

    async def spans_at(self, at: Instant) -> dict[str, tuple[Span, ...]] | No:
        """The windows of each calendar around a time; worked out on purpose when that lies beyond what is kept."""
        now = self._now()
        near = after_ms(now, -BEHIND_MS) <= at < after_ms(now, HORIZON_MS // 2)
        found: dict[str, tuple[Span, ...]] = {}
        for name, kept in self._kept.items():
            if near or kept.ics is None:
                found[name] = kept.spans
                continue
            try:
                found[name] = await self._aside(kept.ics.spans, after_ms(at, -BEHIND_MS), after_ms(at, HORIZON_MS))
            except (Malformed, OverflowError) as unread:
                return invalid("at", f"calendar {name} cannot be worked out for that time: {unread}")
        return found

    def _now(self) -> Instant:
        return self._scribe.clock.now()


def _said(state: Standing, now: Instant) -> tuple[str, ...]:
    """What decisions see of it: whether it can be read, and which windows hold."""
    readable = "" if state.unread(now) else "readable"
    return (readable, *(state.identity(span) for span in state.holding(now)))


def _other(before: Standing | None, after: Standing | None) -> bool:
    """Whether it means something else: a reading that says the same is no change."""
    if before is None or after is None:
        return before is not after
    return before.calendar != after.calendar or before.spans != after.spans


def source_of(calendar: Calendar) -> str:
    """Where it was read, as a digest: an address may itself be a secret, and what another one said is not known here."""
    secret = calendar.url_secret
    text = calendar.url or (f"{secret.store}:{secret.path}" if secret is not None else "")
    return hashlib.sha256(text.encode()).hexdigest()


WINDOWS_SHOWN_MAX: Final = 5


def _view(state: Standing, kept: _Kept, now: Instant) -> dict[str, Any]:
    calendar, unread = state.calendar, state.unread(now)
    coming = [span for span in state.spans if span.until_at > now][:WINDOWS_SHOWN_MAX]
    return {
        "name": calendar.name,
        "kind": calendar.kind.value,
        "scope": calendar.scope,
        "source": calendar.file or _host(calendar.url),
        "zone": calendar.zone,
        "state": "unreadable" if unread else "closed" if state.holding(now) else "open",
        "why": kept.why,
        "read_at": state.read_at,
        "age_ms": ms_between(state.read_at, now) if state.read_at is not None else None,
        "events": kept.ics.events if kept.ics is not None else 0,
        "when_unreadable": calendar.when_unreadable.value,
        "max_age_ms": calendar.max_age_ms,
        "every_ms": calendar.every_ms if calendar.remote else None,
        "windows": [window_view(state, span) for span in coming],
    }


def _host(url: str) -> str:
    """The address without its path: private calendars carry their password there."""
    scheme, mark, rest = url.partition("://")
    return f"{scheme}{mark}{rest.partition('/')[0]}" if url else "an address kept as a secret"


def window_view(state: Standing, span: Span) -> dict[str, Any]:
    scope: Scope = state.calendar.scope
    return {
        "id": state.identity(span),
        "calendar": state.calendar.name,
        "reason": span.summary or f"calendar {state.calendar.name}",
        "from_at": span.from_at,
        "until_at": span.until_at,
        "scope": scope,
    }
