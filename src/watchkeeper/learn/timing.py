"""How long the stages of the pipeline took, and what came in, by the minute and by the hour.

In: lengths in microseconds, counts. Out: `Spread`s, from which quantiles are read; they add up without a loss, so an hour is
the sum of its minutes. A length falls into one of eight buckets an octave: what is read back is the upper bound of its
bucket, so it is never flattering and at most an eighth too long.
Source: Gil Tene, HdrHistogram (buckets whose width grows with their value).
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from watchkeeper.values import Instant, after_ms

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
FINEST_BITS: Final = 6  # below 64 microseconds all is one bucket
OCTAVE_BITS: Final = 3  # eight buckets an octave
PPM: Final = 1_000_000

# What is measured, in the order in which it happens, and what each means.
STAGES: Final = {
    "intake": "A delivery until it is durable, before its 2xx.",
    "line": "From its cause until the alert's turn before the rules.",
    "decided": "From its cause until a decision is durable.",
    "effect": "From the cause of the decision until the first step of its run goes out.",
    "step": "One effect, from going out until its outcome is known.",
    "verification": "A verification, from its first look to its result.",
    "commit": "One durable write of the engine, the wait for the writer included.",
}
# What a signal was: each is counted once.
NEWS: Final = {
    "news": "Said something new: an alert fired, resolved, or changed.",
    "repeated": "Said again what was known.",
    "suppressed": "Is silenced or inhibited where it comes from.",
    "beats": "A heartbeat or a sample.",
    "unread": "Could not be read: a dead letter.",
}


class Spread(Struct, kw_only=True):
    """`counts`: bucket -> how many. It grows in place; whoever hands it on copies it."""

    counts: dict[int, int] = {}
    count: int = 0
    sum_us: int = 0
    max_us: int = 0


class Slot(Struct, kw_only=True):
    """A minute, or an hour that was summed: lengths by stage, signals by what they were and by their source. That it is
    there says that the node ran in it.
    """

    stages: dict[str, Spread] = {}
    signals: dict[str, int] = {}
    sources: dict[str, int] = {}


class Hour(Struct, kw_only=True):
    """`id` is `2026-03-01T13` in UTC. `minutes` by their number; of an hour that is `summed` only the whole is kept."""

    id: str
    from_at: Instant
    minutes: dict[int, Slot] = {}
    whole: Slot | None = None


class Point(Struct, frozen=True, kw_only=True):
    """One stretch of a plot. `watched`: the node ran in it. Quantiles are None where nothing was measured: nothing came,
    or, unwatched, nobody knows.
    """

    at: Instant
    watched: bool
    count: int = 0
    p50_us: int | None = None
    p99_us: int | None = None
    max_us: int | None = None


def bucket(length_us: int) -> int:
    if length_us < 1 << FINEST_BITS:
        return 0
    octave = length_us.bit_length() - 1
    part = (length_us >> (octave - OCTAVE_BITS)) & ((1 << OCTAVE_BITS) - 1)
    return 1 + ((octave - FINEST_BITS) << OCTAVE_BITS) + part


def bound_us(number: int) -> int:
    """The least length that is too long for this bucket."""
    if number == 0:
        return 1 << FINEST_BITS
    octave, part = divmod(number - 1, 1 << OCTAVE_BITS)
    return ((1 << OCTAVE_BITS) + part + 1) << (octave + FINEST_BITS - OCTAVE_BITS)


def took(spread: Spread, length_us: int) -> None:
    number = bucket(length_us)
    spread.counts[number] = spread.counts.get(number, 0) + 1
    spread.count += 1
    spread.sum_us += length_us
    spread.max_us = max(spread.max_us, length_us)


def quantile_us(spread: Spread, ppm: int) -> int | None:
    """The length that `ppm` of all did not exceed; None of none. Never above the longest that was seen."""
    if not spread.count:
        return None
    wanted, seen = max(1, -(-spread.count * ppm // PPM)), 0
    for number in sorted(spread.counts):
        seen += spread.counts[number]
        if seen >= wanted:
            return min(bound_us(number), spread.max_us)
    return spread.max_us


def added(spreads: Iterable[Spread]) -> Spread:
    found = Spread(counts={})
    for each in spreads:
        for number, count in each.counts.items():
            found.counts[number] = found.counts.get(number, 0) + count
        found.count += each.count
        found.sum_us += each.sum_us
        found.max_us = max(found.max_us, each.max_us)
    return found


def summed(slots: Iterable[Slot]) -> Slot:
    """Several stretches as one."""
    listed = tuple(slots)
    stages = {name: [slot.stages[name] for slot in listed if name in slot.stages] for name in STAGES}
    signals, sources = Counter[str](), Counter[str]()
    for slot in listed:
        signals.update(slot.signals)
        sources.update(slot.sources)
    return Slot(
        stages={name: added(found) for name, found in stages.items() if found},
        signals=dict(signals),
        sources=dict(sources),
    )


def joined(kept: Hour, more: Hour) -> Hour:
    """What two processes saw of the same hour."""
    if kept.whole is not None:
        return replace(kept, whole=summed((kept.whole, *more.minutes.values())))
    minutes = dict(kept.minutes)
    for minute, slot in more.minutes.items():
        minutes[minute] = summed((minutes[minute], slot)) if minute in minutes else slot
    return replace(kept, minutes=minutes)


def hour_of(at: Instant) -> Instant:
    return at.replace(minute=0, second=0, microsecond=0)


def hour_id(at: Instant) -> str:
    return f"{at:%Y-%m-%dT%H}"


def coarse(hour: Hour) -> Hour:
    """The hour as one. One that is so already stays as it is."""
    if hour.whole is not None:
        return hour
    return Hour(id=hour.id, from_at=hour.from_at, minutes={}, whole=summed(hour.minutes.values()))


def slots(hours: Mapping[str, Hour], now: Instant, window_ms: int, every_ms: int) -> list[tuple[Instant, Slot | None]]:
    """A window that ends with the stretch of `now`, cut into stretches of `every_ms` (a minute, or whole hours), oldest
    first; None where the node did not run. Stretches of hours begin at midnight in UTC, so that they stay where they are.
    """
    count = window_ms // every_ms
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    newest = midnight + (now - midnight) // timedelta(milliseconds=every_ms) * timedelta(milliseconds=every_ms)
    found: list[tuple[Instant, Slot | None]] = []
    for place in range(count - 1, -1, -1):
        at = after_ms(newest, -place * every_ms)
        if every_ms < HOUR_MS:
            hour = hours.get(hour_id(at))
            found.append((at, hour.minutes.get(at.minute) if hour is not None else None))
            continue
        parts = [hours.get(hour_id(after_ms(at, each))) for each in range(0, every_ms, HOUR_MS)]
        ran = [each for each in parts if each is not None and (each.whole is not None or each.minutes)]
        whole = [each.whole if each.whole is not None else summed(each.minutes.values()) for each in ran]
        found.append((at, summed(whole) if ran else None))
    return found


def point(at: Instant, slot: Slot | None, stage: str) -> Point:
    spread = slot.stages.get(stage) if slot is not None else None
    if spread is None:
        return Point(at=at, watched=slot is not None)
    return Point(
        at=at,
        watched=True,
        count=spread.count,
        p50_us=quantile_us(spread, 500_000),
        p99_us=quantile_us(spread, 990_000),
        max_us=spread.max_us,
    )


def length_text(us: int) -> str:
    """`640 µs`, `7.7 ms`, `250 ms`, `1.2 s`, `3 min 5 s`."""
    if us < 1_000:
        return f"{us} µs"
    if us < 1_000_000:
        return f"{us / 1_000:.1f} ms" if us < 100_000 else f"{us // 1_000} ms"
    return f"{us / 1_000_000:.1f} s" if us < 60_000_000 else f"{us // 60_000_000} min {us // 1_000_000 % 60} s"
