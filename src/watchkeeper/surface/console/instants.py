"""Times inside sentences of ours, found again so that the page can say them in the viewer's zone. Pure.

A sentence is text, and part of it may be what somebody outside wrote. So a time in it counts only where the record that the
sentence belongs to holds that very instant: in a field of its own (`until_at`, `wake_at`, `evidence.until`), or where the
guard that speaks always writes it. Anything else stays text as it stands, with its UTC.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final
from zoneinfo import ZoneInfo

from watchkeeper.values import instant

MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
DEPTH_MAX: Final = 8
INSTANTS_MAX: Final = 2_000

# As `guards.words.when`, `correlate.grouping` and `learn.standing` write it.
TIME: Final = re.compile(
    rf"(?<![\w:])(?:(?P<day>\d{{1,2}}) (?P<month>{'|'.join(MONTHS)}) (?P<year>\d{{4}}), |(?P<date>\d{{4}}-\d\d-\d\d) )?"
    r"(?P<clock>[0-2]\d:[0-5]\d)(?P<second>:[0-5]\d)? UTC(?!\w)"
)
# Guards that name an instant which their finding holds in no field: where it stands in their sentence.
SPOKEN: Final = {
    "stop": re.compile(rf"\A[^:]{{1,200}}? stopped automation at (?P<time>{TIME.pattern}):"),
    "hold": re.compile(rf"\AThe store was restored at (?P<time>{TIME.pattern}), and automation is held since:"),
    "still_firing": re.compile(rf"\AThe alert was last seen at (?P<time>{TIME.pattern}): nobody knows"),
    "deploy": re.compile(rf" should have ended at (?P<time>{TIME.pattern}) and has not\.\Z"),
    "breaker": re.compile(rf" and is left alone since (?P<time>{TIME.pattern})\.\Z"),
}
FIELDS: Final = frozenset({"at", "until", "since"})
FOREIGN: Final = frozenset({"labels", "annotations", "arguments", "shown", "answers", "output"})  # what others wrote
WHEN: Final = ("at", "asked_at", "made_at")

Known = frozenset[datetime]


def known(*records: Any) -> Known:
    """Every instant that the records hold in fields of ours, to the second; those that their guards always write too."""
    return frozenset(moment.replace(microsecond=0) for moment in islice(_all(records, 0), INSTANTS_MAX))


def _all(found: Any, depth: int) -> Iterator[datetime]:
    if depth > DEPTH_MAX:
        return
    if isinstance(found, list | tuple):
        for one in found:
            yield from _all(one, depth + 1)
    elif isinstance(found, Mapping):
        said_at = written_at(found)
        for key, value in found.items():
            if isinstance(value, str):
                if (key in FIELDS or key.endswith("_at")) and (moment := _read(value)) is not None:
                    yield moment
            elif key not in FOREIGN:
                yield from _all(value, depth + 1)
            if key == "findings" and said_at is not None and isinstance(value, list):
                yield from _spoken(value, said_at)


def _spoken(findings: Iterable[Any], said_at: datetime) -> Iterator[datetime]:
    for each in findings:
        shape = SPOKEN.get(each.get("guard", "")) if isinstance(each, Mapping) else None
        found = shape.search(str(each.get("reason", ""))) if shape is not None else None
        moment = resolved(found, said_at) if found is not None else None
        if moment is not None:
            yield moment


def written_at(record: Any) -> datetime | None:
    """When the sentence of a record was written: a time without a day is of that day, in UTC."""
    for name in WHEN:
        found = record.get(name) if isinstance(record, Mapping) else None
        moment = _read(found) if isinstance(found, str) else None
        if moment is not None:
            return moment
    return None


def _read(text: str) -> datetime | None:
    try:
        return instant(text)
    except ValueError:
        return None


def resolved(found: "re.Match[str]", said_at: datetime) -> datetime | None:
    """The instant that a time of a sentence stands for; None for no time of any day."""
    parts = found.groupdict()
    if parts["date"]:
        day = parts["date"]
    elif parts["day"]:
        day = f"{parts['year']}-{MONTHS.index(parts['month']) + 1:02}-{int(parts['day']):02}"
    else:
        day = f"{said_at:%Y-%m-%d}"
    return _read(f"{day}T{parts['clock']}{parts['second'] or ':00'}Z")


def cut(text: str, said_at: datetime | None, vouched: Known) -> list[str | datetime]:
    """The text, with each time that the record vouches for as its instant: to the second where the text has seconds, else
    the one of that minute.
    """
    found: list[str | datetime] = []
    place = 0
    for each in TIME.finditer(text):
        moment = resolved(each, said_at) if said_at is not None or each["date"] or each["day"] else None  # type: ignore[arg-type]
        if moment is None or not _holds(vouched, moment, exact=each["second"] is not None):
            continue
        found += [text[place : each.start()], moment]
        place = each.end()
    return [part for part in (*found, text[place:]) if part != ""]


def _holds(vouched: Known, moment: datetime, *, exact: bool) -> bool:
    if exact or moment in vouched:
        return moment in vouched
    return any(moment <= each < moment + timedelta(minutes=1) for each in vouched)


def spoken(moment: datetime, now: datetime, zone: ZoneInfo) -> tuple[str, str]:
    """An instant as a sentence says it: in the viewer's zone, with its day where that is not today; and in UTC, with its day
    where that is another one. The second is "" where the viewer lives by UTC: then the first says so itself.
    """
    here, today = moment.astimezone(zone), now.astimezone(zone)
    clock = f"{here:%H:%M:%S}" if moment.second else f"{here:%H:%M}"
    year = f" {here.year}" if here.year != today.year else ""
    day = "" if here.date() == today.date() else f"{here.day} {here:%b}{year} "
    if zone.key == "UTC":
        return f"{day}{clock} UTC", ""
    utc = f"{moment:%H:%M:%S} UTC" if moment.second else f"{moment:%H:%M} UTC"
    return f"{day}{clock}", utc if here.date() == moment.date() else f"{moment.day} {moment:%b} {utc}"
