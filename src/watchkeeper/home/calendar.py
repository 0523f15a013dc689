"""A calendar of the home: when a part of it is closed to changes, or under maintenance, in the words of an `.ics`."""

from bisect import bisect_right
from enum import StrEnum
from typing import Final

from msgspec import Struct

from watchkeeper.home.exclusion import Scope
from watchkeeper.packs.runbook import SecretRef
from watchkeeper.values import EPOCH, Instant, after_ms, digest, duration_text, ms_between, rfc3339

DAY_MS: Final = 86_400_000
CHAIN_MAX: Final = 16  # windows of one calendar that a decision records; the end of the closed time counts all
READ_EVERY_MS: Final = 15 * 60_000
AGE_MAX_MS: Final = 24 * 3_600_000


class CalendarKind(StrEnum):
    """What its events are: times without changes, or announced work of other hands."""

    FREEZE = "freeze"
    MAINTENANCE = "maintenance"


class WhenUnreadable(StrEnum):
    """`hold`: what it covers holds from the first reading that fails. `last_known`: what was read last counts, up to
    `max_age`; then it holds.
    """

    HOLD = "hold"
    LAST_KNOWN = "last_known"


class Calendar(Struct, frozen=True, kw_only=True):
    """One entry of calendars/calendars.yaml. Exactly one of `file` (a path in the home) and `url` or `url_secret`.

    `zone` is the time zone of what states none: whole days and floating times. `body` is the file's content.
    """

    name: str
    kind: CalendarKind
    scope: Scope
    file: str = ""
    url: str = ""
    url_secret: SecretRef | None = None
    bearer: SecretRef | None = None
    zone: str = "UTC"
    when_unreadable: WhenUnreadable = WhenUnreadable.HOLD
    max_age_ms: int = AGE_MAX_MS
    every_ms: int = READ_EVERY_MS
    body: bytes = b""

    @property
    def remote(self) -> bool:
        return not self.file


class Span(Struct, frozen=True, kw_only=True):
    """One time at which an event of a calendar holds: `from_at` included, `until_at` excluded. `uid` is the event's."""

    from_at: Instant
    until_at: Instant
    summary: str
    uid: str


class Standing(Struct, frozen=True, kw_only=True):
    """A calendar as it is known: its spans in order of their beginning, worked out at `worked_out_at`; when it was read
    last, and since when it cannot be read.
    """

    calendar: Calendar
    spans: tuple[Span, ...] = ()
    read_at: Instant | None = None
    failed_at: Instant | None = None
    why: str = ""
    worked_out_at: Instant = EPOCH

    def unread(self, at: Instant) -> str:
        """Why it says nothing at this time; "" when it can be used. What was read last counts where that is declared."""
        if self.read_at is None:
            return self.why or "it has not been read"
        if not self.calendar.remote:
            return self.why
        if self.calendar.when_unreadable is WhenUnreadable.HOLD:
            return self.why if self.failed_at is not None else ""
        age_ms = ms_between(self.read_at, at)
        if age_ms <= self.calendar.max_age_ms:
            return ""
        old = f"it was read {duration_text(age_ms // 60_000 * 60_000)} ago and counts for {duration_text(self.calendar.max_age_ms)}"
        return f"{old}: {self.why}" if self.why else old

    def holding(self, at: Instant) -> tuple[Span, ...]:
        return tuple(span for span in self.spans[: self._begun(at)] if at < span.until_at)

    def closed(self, at: Instant) -> tuple[tuple[Span, ...], Instant | None]:
        """(what a decision sees: the spans that hold, those that follow without a gap, else the next one; the end of the
        closed time, None while it is open). At most CHAIN_MAX spans; the end counts all that follow.
        """
        begun = self._begun(at)
        seen = list(self.holding(at))
        if not seen:
            return self.spans[begun : begun + 1], None
        until_at = max(span.until_at for span in seen)
        for span in self.spans[begun:]:
            if span.from_at > until_at:
                break
            until_at = max(until_at, span.until_at)
            if len(seen) < CHAIN_MAX:
                seen.append(span)
        return tuple(seen[:CHAIN_MAX]), until_at

    def next_at(self, at: Instant) -> Instant:
        """When this may say something else by itself: a span begins or ends, a reading grows too old, a day has passed."""
        begun = self._begun(at)
        edges = [span.until_at for span in self.holding(at)]
        edges += [span.from_at for span in self.spans[begun : begun + 1]]
        edges.append(after_ms(max(self.worked_out_at, at), DAY_MS))
        if self.read_at is not None and self.calendar.remote:
            old_at = after_ms(self.read_at, self.calendar.max_age_ms + 1)
            edges += [old_at] if old_at > at else []
        return min(edges)

    def identity(self, span: Span) -> str:
        """`year-end:20261223T1800Z-3fa0`: the same window has the same name wherever and whenever it is worked out."""
        tail = digest([span.uid, rfc3339(span.from_at)])[:4]
        return f"{self.calendar.name}:{span.from_at:%Y%m%dT%H%MZ}-{tail}"

    def _begun(self, at: Instant) -> int:
        return bisect_right(self.spans, at, key=lambda span: span.from_at)
