"""The calendar of what holds automation back: a month or a week as a grid, as a list on a phone, and one day in full.

Its address holds all of it: `/limits/calendar?month=2026-12&day=2026-12-24&at=18:00`, or `?week=2026-W52`. Days are the
viewer's; the API is asked in UTC.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from msgspec import Struct
from starlette.responses import Response

from watchkeeper.surface.console import words
from watchkeeper.surface.console.call import Refused
from watchkeeper.surface.console.visit import Visit
from watchkeeper.values import instant

DAYS: Final = 7
LANES_SHOWN: Final = 4  # bars under one week; the rest is counted, and stands in the list
YEAR_MIN, YEAR_MAX = 1971, 9_000
KIND: Final = {
    "freeze": ("snowflake", "Freeze"),
    "maintenance": ("settings", "Maintenance"),
    "hold": ("hand", "Hold"),
    "stop": ("octagon-pause", "Stop"),
}
SCOPES: Final = ("environment", "service", "system", "region", "tier", "rule")
WRONG: Final = 400
_MONTH: Final = re.compile(r"(\d{4})-(\d{2})")
_WEEK: Final = re.compile(r"(\d{4})-W(\d{2})")
_TIME: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


class Bar(Struct, frozen=True, kw_only=True):
    """One item in one week: from column `start` (1 to 7) over `days`. `before`, `after`: it goes on beyond the week."""

    item: Mapping[str, Any]
    start: int
    days: int
    lane: int
    before: bool
    after: bool
    label: str


class Week(Struct, frozen=True, kw_only=True):
    days: tuple[date, ...]
    bars: tuple[Bar, ...]
    more: int


class Shown(Struct, frozen=True, kw_only=True):
    """What stretch is shown, by its name in the address, and its neighbours'."""

    kind: str
    name: str
    title: str
    first: date
    last: date
    before: str
    after: str


async def calendar(visit: Visit) -> Response:
    zone = visit.zone
    now = instant(visit.status["at"]).astimezone(zone)
    day = day_of(visit.query.get("day", ""))
    shown = stretch(visit.query.get("month", ""), visit.query.get("week", ""), day or now.date())
    first = shown.first - timedelta(days=shown.first.weekday())
    last = shown.last + timedelta(days=DAYS - 1 - shown.last.weekday())
    chosen = day or (now.date() if shown.first <= now.date() <= shown.last else shown.first)
    asked = moment_of(chosen, visit.query.get("at", ""), now)
    scope = {name: value for name in SCOPES if (value := visit.query.get(name, "").strip())}
    (status, wrong), agenda, of_day = await visit.many(
        status_of(visit, said(asked), scope),
        visit.api.get("agenda", **{"from": said(begin(first, zone)), "until": said(begin(last + timedelta(1), zone))}),
        visit.api.get(
            "agenda", **{"from": said(begin(chosen, zone)), "until": said(begin(chosen + timedelta(1), zone))}
        ),
    )
    is_now = chosen == now.date() and not visit.query.get("at")
    when = "now" if is_now else f"on {chosen.day} {chosen:%B} at {asked.astimezone(zone):%H:%M}"

    def ended(item: Mapping[str, Any]) -> bool:
        return bool(item["until_at"]) and instant(item["until_at"]) <= now

    items = [{**one, "index": index, "over": ended(one)} for index, one in enumerate(agenda["items"])]
    listed = by_day(items, shown.first, shown.last, zone)
    of_list = {one["id"] for day_, found in listed if day_ == chosen for one in found}
    return visit.page(
        "calendar.html",
        at="limits",
        title="Calendar",
        answer=answer(status, when),
        status_at=status,
        asked=said(asked),
        asked_local=f"{asked.astimezone(zone):%H:%M}",
        scope={} if wrong else scope,
        given=scope,
        wrong=wrong,
        command=shlex.join(
            ["wk", "freeze", "status", "--at", said(asked), *(f"--scope={k}={v}" for k, v in scope.items())]
        ),
        shown=shown,
        weeks=weeks(items, first, last, zone),
        listed=listed,
        day_is_listed={one["id"] for one in of_day["items"]} <= of_list,
        chosen=chosen,
        today=now.date(),
        of_day=of_day["items"],
        agenda=agenda,
        items_count=len(items),
        KIND=KIND,
        ended=ended,
    )


async def status_of(visit: Visit, at: str, scope: Mapping[str, str]) -> tuple[Any, str]:
    """Whether changes may be made then and there; anywhere, and why, when the place is not known."""
    try:
        return await visit.api.get("freeze-status", at=at, **scope), ""
    except Refused as refused:
        if refused.status != WRONG or not scope:
            raise
        return await visit.api.get("freeze-status", at=at), refused.detail


def answer(status: Mapping[str, Any], when: str) -> str:
    """Open or closed at the moment that is asked about."""
    match status["state"]:
        case "open":
            return f"It is open to changes {when}."
        case "closed":
            return f"It is closed to changes {when}."
        case _:
            return f"Nobody knows whether it is open to changes {when}."


def day_of(text: str) -> date | None:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    return found if YEAR_MIN <= found.year <= YEAR_MAX else None


def stretch(month: str, week: str, default: date) -> Shown:
    """As the address says; the month of `default` for what it does not, or says wrongly."""
    given = _WEEK.fullmatch(week)
    if given is not None and YEAR_MIN <= int(given[1]) <= YEAR_MAX:
        try:
            first = date.fromisocalendar(int(given[1]), int(given[2]), 1)
        except ValueError:
            pass
        else:
            last = first + timedelta(days=DAYS - 1)
            title = f"{first.day} {first:%b} to {last.day} {last:%b} {last:%Y}"
            before, after = week_name(first - timedelta(days=DAYS)), week_name(first + timedelta(days=DAYS))
            return Shown(
                kind="week", name=week_name(first), title=title, first=first, last=last, before=before, after=after
            )
    given = _MONTH.fullmatch(month)
    first = default.replace(day=1)
    if given is not None and YEAR_MIN <= int(given[1]) <= YEAR_MAX and 1 <= int(given[2]) <= 12:
        first = date(int(given[1]), int(given[2]), 1)
    after_ = (first + timedelta(days=31)).replace(day=1)
    before_ = (first - timedelta(days=1)).replace(day=1)
    return Shown(
        kind="month",
        name=f"{first:%Y-%m}",
        title=f"{first:%B %Y}",
        first=first,
        last=after_ - timedelta(days=1),
        before=f"{before_:%Y-%m}",
        after=f"{after_:%Y-%m}",
    )


def week_name(day: date) -> str:
    year, week, _ = day.isocalendar()
    return f"{year}-W{week:02}"


def begin(day: date, zone: ZoneInfo) -> datetime:
    """When that day begins for the viewer."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def moment_of(day: date, text: str, now: datetime) -> datetime:
    """The time of that day that is asked about; without one it is now, on the day of now, else its noon."""
    given = _TIME.fullmatch(text)
    if given is None and day == now.date():
        return now.astimezone(UTC).replace(microsecond=0)
    clock = time(int(given[1]), int(given[2])) if given is not None else time(12)
    return datetime.combine(day, clock, now.tzinfo).astimezone(UTC)


def said(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def days_of(item: Mapping[str, Any], zone: ZoneInfo) -> tuple[date, date | None]:
    """The first and the last day on which it holds; None: it has no end. One that ends at midnight ended the day before."""
    first = instant(item["from_at"]).astimezone(zone).date()
    if not item["until_at"]:
        return first, None
    last = (instant(item["until_at"]) - timedelta(microseconds=1)).astimezone(zone).date()
    return first, max(first, last)


def weeks(items: Sequence[Mapping[str, Any]], first: date, last: date, zone: ZoneInfo) -> list[Week]:
    """Each item in the lowest lane that is free in its week; long ones first, so that they lie above short ones."""
    found: list[Week] = []
    spans = [(item, *days_of(item, zone)) for item in items]
    monday = first
    while monday <= last:
        sunday = monday + timedelta(days=DAYS - 1)
        inside = [one for one in spans if one[1] <= sunday and (one[2] is None or one[2] >= monday)]
        inside.sort(key=lambda one: (max(one[1], monday), -(_end(one[2], sunday) - max(one[1], monday)).days))
        lanes: list[date] = []
        bars: list[Bar] = []
        more = 0
        for item, begins, ends in inside:
            start, end = max(begins, monday), _end(ends, sunday)
            lane = next((place for place, until in enumerate(lanes) if until < start), len(lanes))
            if lane >= LANES_SHOWN:
                more += 1
                continue
            lanes[lane : lane + 1] = [end]
            bars.append(
                Bar(
                    item=item,
                    start=(start - monday).days + 1,
                    days=(end - start).days + 1,
                    lane=lane + 1,
                    before=begins < monday,
                    after=ends is None or ends > sunday,
                    label=label(item, zone),
                )
            )
        found.append(Week(days=tuple(monday + timedelta(days=n) for n in range(DAYS)), bars=tuple(bars), more=more))
        monday += timedelta(days=DAYS)
    return found


def _end(ends: date | None, sunday: date) -> date:
    return sunday if ends is None else min(ends, sunday)


def label(item: Mapping[str, Any], zone: ZoneInfo) -> str:
    """`22:00 Month-end close`; whole days need no time."""
    at = instant(item["from_at"]).astimezone(zone)
    clock = "" if at.time() == time() else f"{at:%H:%M} "
    name = item["reason"] or f"{KIND[item['kind']][1]} of {reach(item['scope'])}"
    return clock + "".join(shown for _, shown in words.pieces(name, 80))


def reach(scope: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {words.short_ref(value)}" for name, value in scope.items() if value) or "everything"


def by_day(
    items: Sequence[Mapping[str, Any]], first: date, last: date, zone: ZoneInfo
) -> list[tuple[date, list[Mapping[str, Any]]]]:
    """The same as a list: under each day what begins on it; under the first one also what goes on from before."""
    found: dict[date, list[Mapping[str, Any]]] = {}
    for item in items:
        begins, ends = days_of(item, zone)
        if begins <= last and (ends is None or ends >= first):
            found.setdefault(max(begins, first), []).append(item)
    return sorted(found.items())


PAGES: Final = (("GET", "/limits/calendar", calendar),)
