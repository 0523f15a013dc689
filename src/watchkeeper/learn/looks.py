"""The looks of a node's own checks, a day at a time: what they counted, and when a service turned.

In: looks as they come. Out: `Day` values, from which every window of the last 90 days is summed without reading a
look again. Counts stand in slots of five minutes, in hours once the day is four days past; turns are exact.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from watchkeeper.values import Instant, Window, after_ms, ms_between

SLOT_MS: Final = 300_000
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000
FINE_DAYS_MAX: Final = 4  # a day older than that keeps hours: the longest burn window is three days
TURNS_DAY_MAX: Final = 500  # of one service; past it what turned down counts as down until the day is over
_COUNT_MAX: Final = 2**32 - 1


class State(StrEnum):
    """What is known of a service at an instant. `unknown`: nobody looked, so it was neither up nor down."""

    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"


class Look(Struct, frozen=True, kw_only=True):
    """The newest look of one check that saw something; it counts until `until_at`."""

    at: Instant
    good: bool
    until_at: Instant


class Turn(Struct, frozen=True, kw_only=True):
    at: Instant
    state: State


class Counted(Struct, frozen=True, kw_only=True):
    """Looks by what they saw; a blind one saw nothing, and is in no ratio."""

    good: int = 0
    bad: int = 0
    blind: int = 0


class Day(Struct, frozen=True, kw_only=True):
    """One service's day in UTC. `good`, `bad` and `blind` hold one count a slot (288, or 24 when it is coarse), four bytes
    each, little-endian. `turns` begins with the state at the day's first look, so that a day stands by itself;
    what was known last counts until `until_at`. `last_at` is the newest look, `seen_at` the newest that saw something.
    """

    id: str
    entity: str
    from_at: Instant
    until_at: Instant
    turns: tuple[Turn, ...] = ()
    good: bytes = bytes(4 * DAY_MS // SLOT_MS)
    bad: bytes = bytes(4 * DAY_MS // SLOT_MS)
    blind: bytes = bytes(4 * DAY_MS // SLOT_MS)
    last_at: Instant | None = None
    seen_at: Instant | None = None


def midnight(at: Instant) -> Instant:
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


def day_id(entity: str, at: Instant) -> str:
    return f"{entity}@{at:%Y-%m-%d}"


def standing(looks: Iterable[Look], now: Instant) -> tuple[State, Instant]:
    """What the newest look of every check of a service makes together, and until when: the worst of those that count."""
    fresh = [look for look in looks if look.until_at > now]
    if not fresh:
        return State.UNKNOWN, now
    state = State.UP if all(look.good for look in fresh) else State.DOWN
    return state, max(look.until_at for look in fresh)


def looked(before: Day | None, entity: str, at: Instant, state: State, until_at: Instant, good: bool | None) -> Day:
    """The day with one more look in it. `before` is the newest day of the service; `good` None: the look was blind.

    A blind look moves no turn by itself: it is by the absence of looks that a state becomes unknown.
    """
    if before is not None and before.last_at is not None and at < before.last_at:
        at = before.last_at  # the clock went back: what was counted stays counted
    from_at = midnight(at)
    day = before
    turns: list[Turn] = []
    if before is None or before.from_at != from_at:
        day = Day(
            id=day_id(entity, at),
            entity=entity,
            from_at=from_at,
            until_at=before.until_at if before is not None else at,
            seen_at=before.seen_at if before is not None else None,
        )
    assert day is not None
    last = before.turns[-1].state if before is not None and before.turns else State.UNKNOWN
    if before is not None and before.until_at < at and last is not State.UNKNOWN:
        turns.append(Turn(at=before.until_at, state=State.UNKNOWN))
        last = State.UNKNOWN
    if good is not None and (state is not last or not day.turns):
        turns.append(Turn(at=at, state=state))
    slot = ms_between(from_at, at) // SLOT_MS
    return replace(
        day,
        turns=_bounded(day.turns, turns),
        until_at=day.until_at if good is None else until_at,
        last_at=at,
        seen_at=day.seen_at if good is None else at,
        good=_more(day.good, slot) if good is True else day.good,
        bad=_more(day.bad, slot) if good is False else day.bad,
        blind=_more(day.blind, slot) if good is None else day.blind,
    )


def _bounded(kept: tuple[Turn, ...], new: list[Turn]) -> tuple[Turn, ...]:
    if len(kept) + len(new) <= TURNS_DAY_MAX:
        return (*kept, *new)
    return (*kept, *new) if any(t.state is State.DOWN for t in new) and kept[-1].state is not State.DOWN else kept


def _more(counts: bytes, slot: int) -> bytes:
    at = 4 * slot
    found = min(_COUNT_MAX, int.from_bytes(counts[at : at + 4], "little") + 1)
    return counts[:at] + found.to_bytes(4, "little") + counts[at + 4 :]


def coarse(day: Day) -> Day:
    """The same day with a count an hour: a twelfth of the room. A coarse day stays as it is."""
    if len(day.good) == 4 * DAY_MS // HOUR_MS:
        return day
    return replace(day, good=_hours(day.good), bad=_hours(day.bad), blind=_hours(day.blind))


def _hours(counts: bytes) -> bytes:
    fine, each = _unpacked(counts), HOUR_MS // SLOT_MS
    hours = [min(_COUNT_MAX, sum(fine[start : start + each])) for start in range(0, len(fine), each)]
    return struct.pack(f"<{len(hours)}I", *hours)


def _unpacked(counts: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(counts) // 4}I", counts)


def counted(days: Iterable[Day], from_at: Instant, until_at: Instant) -> Counted:
    """The looks of [from_at, until_at), in whole slots: the slot (or hour) that holds `from_at` counts in full."""
    good = bad = blind = 0
    for day in days:
        slots = len(day.good) // 4
        width_ms = DAY_MS // slots
        first = max(0, ms_between(day.from_at, from_at) // width_ms)
        last = min(slots, -(-ms_between(day.from_at, until_at) // width_ms))
        if last > first:
            good += sum(_unpacked(day.good)[first:last])
            bad += sum(_unpacked(day.bad)[first:last])
            blind += sum(_unpacked(day.blind)[first:last])
    return Counted(good=good, bad=bad, blind=blind)


def spans(days: Sequence[Day], from_at: Instant, until_at: Instant) -> tuple[tuple[State, Instant, Instant], ...]:
    """[from_at, until_at) as stretches of one state each, oldest first; before the first look it is unknown."""
    turns = [turn for day in days for turn in day.turns]
    if days:
        turns.append(Turn(at=days[-1].until_at, state=State.UNKNOWN))
    found: list[tuple[State, Instant, Instant]] = []
    state, start = State.UNKNOWN, from_at
    for turn in (*turns, Turn(at=until_at, state=State.UNKNOWN)):
        end = min(turn.at, until_at)
        if end > start:
            found.append((state, start, end))
            start = end
        state = turn.state
    return tuple(found)


def windows(days: Sequence[Day], state: State, from_at: Instant, until_at: Instant) -> tuple[Window, ...]:
    """The stretches of one state, joined where they touch."""
    found: list[Window] = []
    for what, start, end in spans(days, from_at, until_at):
        if what is not state:
            continue
        if found and found[-1].until_at == start:
            found[-1] = Window(from_at=found[-1].from_at, until_at=end)
        else:
            found.append(Window(from_at=start, until_at=end))
    return tuple(found)


def since(days: Sequence[Day]) -> Instant | None:
    return next((day.turns[0].at for day in days if day.turns), None)


def kept(days: Mapping[str, Day], before: Instant) -> dict[str, Day]:
    """Those that a window may still reach; what ended before goes."""
    return {name: day for name, day in days.items() if after_ms(day.from_at, DAY_MS) > before}
