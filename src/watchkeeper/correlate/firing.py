"""How many alerts of an incident fired at the same time, as it went.

In: its alerts, and when this node watched. Out: `Step`s: from `at` on, until the next step, so many fired; None: nobody
knows. The sender's start and end of an alert count (`began_at`, `ended_at`), so what is drawn is when it was so, not when it
was heard. An alert that fired, resolved and fired again within one episode is one stretch: an alert keeps its last end only.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from watchkeeper.correlate.alert import Alert, AlertState, ended_at, state_at
from watchkeeper.values import Instant, Window, after_ms, ms_between

STEPS_MAX: Final = 240  # past it they are drawn together, each stretch with its greatest number


class Step(Struct, frozen=True, kw_only=True):
    """From `at` on `firing` alerts fired at once; None: not known."""

    at: Instant
    firing: int | None


def firing(
    alerts: Iterable[Alert],
    watched: Sequence[Window],
    from_at: Instant,
    until_at: Instant,
    now: Instant,
    most: int = STEPS_MAX,
) -> tuple[Step, ...]:
    """[from_at, until_at) without a gap, the first step at `from_at`; () for an empty stretch. Not known: while the node did
    not run, and while the only alerts that may fire are stale ones.
    """
    if from_at >= until_at:
        return ()
    moves: list[tuple[Instant, int, int]] = []  # when, how many more fire, how many more are stale
    for alert in alerts:
        over_at = ended_at(alert, now)
        moves.append((max(alert.began_at, from_at), 1, 0))
        if over_at is not None:
            moves.append((max(over_at, from_at), -1, int(state_at(alert, now) is AlertState.STALE)))
    blind = _blind(watched, from_at, until_at)
    edges = sorted(
        {
            from_at,
            *(at for at, _, _ in moves if at < until_at),
            *(edge for window in blind for edge in (window.from_at, window.until_at or until_at) if edge < until_at),
        }
    )
    moves.sort(key=lambda move: move[0])
    found: list[Step] = []
    count = stale = place = 0
    for at in edges:
        while place < len(moves) and moves[place][0] <= at:
            count += moves[place][1]
            stale += moves[place][2]
            place += 1
        unseen = any(window.holds(at) for window in blind)
        known = None if unseen or (count == 0 and stale) else count
        if not found or found[-1].firing != known:
            found.append(Step(at=at, firing=known))
    return tuple(found) if len(found) <= most else thinned(found, from_at, until_at, most)


def thinned(steps: Sequence[Step], from_at: Instant, until_at: Instant, count: int) -> tuple[Step, ...]:
    """The same in `count` equal stretches, each with the greatest number that was known in it; None where none was."""
    span_ms = ms_between(from_at, until_at)
    found: list[Step] = []
    place = 0
    for number in range(count):
        start, end = after_ms(from_at, span_ms * number // count), after_ms(from_at, span_ms * (number + 1) // count)
        while place + 1 < len(steps) and steps[place + 1].at <= start:
            place += 1
        within = [steps[place].firing]
        ahead = place + 1
        while ahead < len(steps) and steps[ahead].at < end:
            within.append(steps[ahead].firing)
            ahead += 1
        greatest = max((each for each in within if each is not None), default=None)
        found.append(Step(at=start, firing=greatest))
    return tuple(found)


def _blind(watched: Sequence[Window], from_at: Instant, until_at: Instant) -> list[Window]:
    """What lies in none of the stretches in which the node watched; those are in order and apart."""
    found: list[Window] = []
    at = from_at
    for window in watched:
        if window.from_at > at:
            found.append(Window(from_at=at, until_at=min(window.from_at, until_at)))
        at = max(at, window.until_at or until_at)
        if at >= until_at:
            break
    if at < until_at:
        found.append(Window(from_at=at, until_at=until_at))
    return [window for window in found if window.from_at < (window.until_at or until_at)]
