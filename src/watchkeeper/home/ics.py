"""iCalendar (RFC 5545) to spans of time, within bounds.

In: the bytes of an `.ics`, a zone for what states none, and a stretch of time. Out: the spans that touch it, in order, or
`Malformed` with the line. Pure: the same bytes and the same time zone data give the same spans.

What counts, where the standard or its writers leave room:

- A time that the clocks skip is read with the offset before the gap; one that they show twice is the first of the two
  (RFC 5545 3.3.5). A repeated event ends at the hour on the wall that it names, also on the night of a change.
- STATUS:CANCELLED and TRANSP:TRANSPARENT close nothing; TENTATIVE does. An event without a length closes nothing.
- A whole day lasts from midnight to midnight in the calendar's zone.
- What could be read in two ways (a zone nobody knows, one UID twice, EXRULE) makes the calendar unreadable: a window that
  is missed is worse than a hold.

Nothing here repeats without a bound: rules are cut at the end of the stretch that is asked for before they are worked
out, and a rule whose working out would take too long is refused. The libraries are imported when the first calendar is
read: a home without calendars does not load them.
"""

import itertools
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from watchkeeper.errors import Malformed
from watchkeeper.home.calendar import Span
from watchkeeper.values import Instant

ICS_BYTES_MAX: Final = 4 * 1024 * 1024
EVENTS_MAX: Final = 5_000
DATES_MAX: Final = 5_000  # EXDATE and RDATE of one event
STEPS_MAX: Final = 300_000  # that the rules of one calendar take from their beginnings to the end that is asked for
SPANS_MAX: Final = 50_000  # in one stretch
TIMES_A_PERIOD_MAX: Final = 24  # of one rule: BYHOUR times BYMINUTE
SUMMARY_CHARS_MAX: Final = 200
PROBLEMS_MAX: Final = 50

_UNIT: Final = {
    "HOURLY": timedelta(hours=1),
    "DAILY": timedelta(days=1),
    "WEEKLY": timedelta(days=7),
    "MONTHLY": timedelta(days=28),
    "YEARLY": timedelta(days=365),
}
_NO_TIME: Final = ("CANCELLED",)
_UNREAD: Final = (ValueError, TypeError, KeyError, AttributeError, IndexError, ArithmeticError)
_BEGIN: Final = re.compile(rb"^BEGIN:VEVENT[ \t]*$", re.IGNORECASE | re.MULTILINE)

Problems = list[tuple[int, str]]  # (line, message)


class Ics:
    """A calendar that was read and found whole. Made by `read_ics`."""

    __slots__ = ("_events", "_head", "_zone")

    def __init__(self, head: Any, events: tuple[tuple[int, Any], ...], zone: tzinfo) -> None:
        self._head, self._events, self._zone = head, events, zone

    @property
    def events(self) -> int:
        return len(self._events)

    def spans(self, from_at: Instant, until_at: Instant) -> tuple[Span, ...]:
        """Those that touch the stretch, by their beginning. Raises Malformed when working them out passes a bound."""
        self._bounded(from_at, until_at)
        calendar = self._head.copy()
        for line, event in self._events:
            calendar.add_component(_cut(event, until_at, line))
        found = set(_occurrences(calendar, from_at, until_at, self._zone))
        return tuple(sorted(found, key=lambda span: (span.from_at, span.until_at, span.uid)))

    def _bounded(self, from_at: Instant, until_at: Instant) -> None:
        """Before anything is worked out: how often the rules come round, at most, from their beginnings and in the stretch."""
        steps = spans = 0
        for line, event in self._events:
            rule = event.get("RRULE")
            if rule is None:
                spans += 1
                continue
            period = _UNIT[_freq(rule)] * _interval(rule)
            begins = _utc(event["DTSTART"].dt, self._zone)
            mine = max(0, (until_at - begins) // period)
            steps += mine * _times(rule)
            if steps > STEPS_MAX:
                why = f"repeats {mine:,} times from its beginning until {until_at.date()}: let it begin later"
                raise Malformed(f"line {line}", why)
            inside = max(0, (until_at - max(from_at, begins)) // period) + 1
            spans += min(mine + 1, inside) * _times(rule) * _days(rule)
            if spans > SPANS_MAX:
                raise Malformed(f"line {line}", f"opens more than {SPANS_MAX:,} windows until {until_at.date()}")


def read_ics(data: bytes, zone: str = "UTC") -> tuple[Ics | None, Problems]:
    """The calendar, or None and what is wrong with it, each with its line (0: the whole file)."""
    if len(data) > ICS_BYTES_MAX:
        return None, [(0, f"has more than {ICS_BYTES_MAX} bytes")]
    try:
        own = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None, [(0, f"no time zone is called {zone!r}")]
    if not re.match(rb"\s*BEGIN:VCALENDAR", data, re.IGNORECASE):
        return None, [(1, "is no iCalendar: it does not begin with BEGIN:VCALENDAR")]
    import icalendar

    try:
        parsed = icalendar.Calendar.from_ical(data, multiple=True)
    except _UNREAD as unread:
        return None, [(_line_in(str(unread), data), f"cannot be read: {_one_line(str(unread))}")]
    if len(parsed) != 1:
        return None, [(0, f"holds {len(parsed)} calendars, expected one")]
    calendar = parsed[0]
    plain = data.replace(b"\r\n", b"\n")
    lines = [plain.count(b"\n", 0, found.start()) + 1 for found in _BEGIN.finditer(plain)]
    events = list(itertools.zip_longest(lines, calendar.walk("VEVENT"), fillvalue=0))
    if len(events) > EVENTS_MAX:
        return None, [(0, f"holds {len(events)} events, more than {EVENTS_MAX}")]
    problems: Problems = []
    kept = tuple((line, event) for line, event in events if event and _whole(event, line, problems))
    _unique(kept, problems)
    if problems:
        return None, problems[:PROBLEMS_MAX]
    head = icalendar.Calendar()
    for name in ("X-WR-TIMEZONE", "CALSCALE"):
        if name in calendar:
            head[name] = calendar[name]
    return Ics(head, kept, own), []


# -- one event ---------------------------------------------------------------------------------------


def _whole(event: Any, line: int, problems: Problems) -> bool:
    """Whether the event can be worked out; what is wrong goes to `problems`."""
    before = len(problems)
    for name, why in event.errors:
        problems.append((line, f"{name or 'a line'}: {_one_line(str(why))}"))
    start = event.get("DTSTART")
    if len(problems) == before and (start is None or isinstance(start, list)):
        problems.append((line, "DTSTART: an event begins once"))
    if len(problems) == before:
        for wrong in itertools.chain(_dates_wrong(event), _rule_wrong(event)):
            problems.append((line, wrong))
    return len(problems) == before


def _dates_wrong(event: Any) -> Iterator[str]:
    for name in ("DTSTART", "DTEND", "RECURRENCE-ID", "EXDATE", "RDATE"):
        found = event.get(name)
        given = found if isinstance(found, list) else [] if found is None else [found]
        count = 0
        for each in given:
            dates = [one.dt for one in each.dts] if hasattr(each, "dts") else [each.dt]
            count += len(dates)
            zone = each.params.get("TZID", "")
            if zone and any(isinstance(one, datetime) and one.tzinfo is None for one in dates):
                yield f"{name}: no time zone is called {str(zone)[:64]!r}, and the file defines none of that name"
        if count > DATES_MAX:
            yield f"{name}: {count} dates, more than {DATES_MAX}"
    start, end = event["DTSTART"].dt, event.get("DTEND")
    if end is not None and isinstance(end.dt, datetime) is not isinstance(start, datetime):
        yield "DTEND: one of DTSTART and DTEND is a day, the other a time"
    elif end is not None and _aware(end.dt) is not _aware(start):
        yield "DTEND: one of DTSTART and DTEND states a time zone, the other does not"
    elif end is not None and end.dt < start:
        yield "DTEND: lies before DTSTART"
    if end is not None and event.get("DURATION") is not None:
        yield "DURATION: stands beside DTEND; one of the two says how long"
    if event.get("EXRULE") is not None:
        yield "EXRULE: is obsolete and not read: name the dates with EXDATE"


def _rule_wrong(event: Any) -> Iterator[str]:
    rule = event.get("RRULE")
    if rule is None:
        return
    if isinstance(rule, list):
        yield "RRULE: stands more than once"
        return
    freq = _freq(rule)
    if freq not in _UNIT:
        yield f"RRULE: FREQ={freq or '(none)'} is not read; DAILY, WEEKLY, MONTHLY, YEARLY are, and HOURLY"
    if "COUNT" in rule and "UNTIL" in rule:
        yield "RRULE: COUNT and UNTIL exclude each other"
    if _interval(rule) < 1 or ("COUNT" in rule and int(rule["COUNT"][0]) < 1):
        yield "RRULE: INTERVAL and COUNT are at least 1"
    if len(rule.get("BYSECOND", ())) > 1 or _times(rule) > TIMES_A_PERIOD_MAX:
        yield f"RRULE: more than {TIMES_A_PERIOD_MAX} times a period"
    if (
        freq in {"MONTHLY", "YEARLY", "WEEKLY", "DAILY"}
        and not isinstance(event["DTSTART"].dt, datetime)
        and _times(rule) > 1
    ):
        yield "RRULE: BYHOUR and BYMINUTE on a whole day"


def _unique(events: Iterable[tuple[int, Any]], problems: Problems) -> None:
    """One event a UID, beside its exceptions; of two revisions the higher SEQUENCE counts, as the standard has it."""
    seen: dict[tuple[str, int], int] = {}
    for number, (line, event) in enumerate(events):
        uid = str(event.get("UID", ""))
        if not uid:
            event["UID"] = f"event-{number + 1}"
            continue
        if event.get("RECURRENCE-ID") is not None:
            continue
        key = (uid, int(event.get("SEQUENCE", 0)))
        if key in seen:
            problems.append((line, f"UID: {uid[:64]!r} stands twice, first in line {seen[key]}"))
        seen.setdefault(key, line)


# -- rules, cut to a stretch -----------------------------------------------------------------------------


def _cut(event: Any, until_at: Instant, line: int) -> Any:
    """The event with a rule that ends with the stretch: COUNT becomes UNTIL, and nothing goes on for ever."""
    rule = event.get("RRULE")
    if rule is None:
        return event
    found = event.copy()
    found.subcomponents = []
    start = event["DTSTART"].dt
    last = _in_kind(until_at, start)
    if "UNTIL" in rule:
        last = _earlier(rule["UNTIL"][0], last, start)
    cut = {name: value for name, value in rule.items() if name not in {"COUNT", "UNTIL"}}
    if "COUNT" in rule:
        last = _last_of(cut, int(rule["COUNT"][0]), start, last, line)
    import icalendar

    found["RRULE"] = icalendar.vRecur({**cut, "UNTIL": [last]})
    return found


def _last_of(rule: dict[str, Any], count: int, start: Any, last: Any, line: int) -> Any:
    """When the rule comes round for the last time: after `count`, or at `last`, whichever is first."""
    import icalendar
    from dateutil.rrule import rrulestr

    written: bytes = icalendar.vRecur({**rule, "UNTIL": [last]}).to_ical()  # type: ignore[no-untyped-call]
    text = written.decode()
    begins = start if isinstance(start, datetime) else datetime.combine(start, time())
    if not isinstance(start, datetime):
        text = re.sub(r"UNTIL=(\d{8})(?!T)", r"UNTIL=\1T000000", text)
    try:
        times = list(itertools.islice(rrulestr(text, dtstart=begins), count))
    except _UNREAD as unread:
        raise Malformed(f"line {line}", f"RRULE: {_one_line(str(unread))}") from unread
    if len(times) < count:
        return last
    end = times[-1]
    return end.date() if not isinstance(start, datetime) else end.astimezone(UTC) if end.tzinfo is not None else end


def _earlier(one: Any, other: Any, start: Any) -> Any:
    """The earlier of two UNTILs, in the kind of DTSTART. Writers mix the kinds."""
    if not isinstance(start, datetime):
        return min(one.date() if isinstance(one, datetime) else one, other)
    if not isinstance(one, datetime):  # a day ends the rule with its end
        one = datetime.combine(one, time(23, 59, 59))
    if start.tzinfo is None:
        return min(one.replace(tzinfo=None), other)
    if one.tzinfo is None:
        one = one.replace(tzinfo=start.tzinfo)
    return min(one.astimezone(UTC), other)


def _in_kind(at: Instant, start: Any) -> Any:
    """An instant as a day, a floating time or UTC, as DTSTART is; a day later where the zone is not known."""
    if not isinstance(start, datetime):
        return (at + timedelta(days=1)).date()
    return at if start.tzinfo is not None else (at + timedelta(days=1)).replace(tzinfo=None)


def _occurrences(calendar: Any, from_at: Instant, until_at: Instant, zone: tzinfo) -> Iterator[Span]:
    import recurring_ical_events

    day = timedelta(days=1)  # what states no zone may lie a day to either side
    try:
        found = recurring_ical_events.of(calendar).between(from_at - day, until_at + day)
        for each in found:
            span = _span(each, zone)
            if span is not None and span.from_at < until_at and span.until_at > from_at:
                yield span
    except _UNREAD as unread:
        raise Malformed("", f"cannot be worked out: {_one_line(str(unread))}") from unread


def _span(event: Any, zone: tzinfo) -> Span | None:
    if str(event.get("STATUS", "")).upper() in _NO_TIME or str(event.get("TRANSP", "")).upper() == "TRANSPARENT":
        return None
    from_at, until_at = _utc(event["DTSTART"].dt, zone), _utc(event["DTEND"].dt, zone)
    if until_at <= from_at:
        return None
    return Span(
        from_at=from_at,
        until_at=until_at,
        summary=_one_line(str(event.get("SUMMARY", "")))[:SUMMARY_CHARS_MAX],
        uid=str(event.get("UID", "")),
    )


def _utc(at: date | datetime, zone: tzinfo) -> Instant:
    """A day or a time as an instant. A time in a gap goes by the offset before it, one in an overlap is the first."""
    from dateutil.tz import resolve_imaginary

    if not isinstance(at, datetime):
        at = datetime.combine(at, time())
    local = at if at.tzinfo is not None else at.replace(tzinfo=zone)
    found: datetime = resolve_imaginary(local)
    return found.astimezone(UTC)


# -- small things ---------------------------------------------------------------------------------------


def _aware(at: Any) -> bool:
    return isinstance(at, datetime) and at.tzinfo is not None


def _freq(rule: Any) -> str:
    found = rule.get("FREQ", ())
    return str(found[0]).upper() if found else ""


def _interval(rule: Any) -> int:
    found = rule.get("INTERVAL", ())
    return int(found[0]) if found else 1


def _times(rule: Any) -> int:
    return max(1, len(rule.get("BYHOUR", ()))) * max(1, len(rule.get("BYMINUTE", ())))


def _days(rule: Any) -> int:
    """On how many days of one period, at most."""
    by_day, by_date = len(rule.get("BYDAY", ())), len(rule.get("BYMONTHDAY", ()))
    match _freq(rule):
        case "WEEKLY":
            return max(1, by_day)
        case "MONTHLY":
            return max(1, min(31, 5 * by_day or by_date))
        case "YEARLY":
            return min(366, 366 if by_day or by_date > 12 else max(1, by_date) * max(1, len(rule.get("BYMONTH", ()))))
        case _:
            return 1


def _one_line(text: str) -> str:
    return " ".join(text.split())[:SUMMARY_CHARS_MAX]


def _line_in(message: str, data: bytes) -> int:
    """The line that the parser's message quotes, when it quotes one."""
    for quoted in re.findall(r"'([^']{3,200})'", message):
        at = data.find(quoted.encode())
        if at >= 0:
            return data.count(b"\n", 0, at) + 1
    return 0
