"""Episodes for senders that name no start: they follow from the order of what was said.

In: the statements of one fingerprint, as a set. Out: its episodes, oldest first.
A firing statement after silence or after a resolution begins an episode; resolutions end it; a resolution before any
firing statement is nobody's. The order is by the sender's time when it lies within `SKEW_MAX_MS` of our receipt,
else by receipt.
"""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from watchkeeper.correlate.alert import SKEW_MAX_MS, Alert, AlertState, Mapped, alert_of, join
from watchkeeper.signals.signal import Signal, Standing
from watchkeeper.values import Instant, ms_between

STATEMENTS_MAX: Final = 32
TRACK_BYTES_MAX: Final = (
    2_560 * 1024
)  # of texts in one track: two statements always fit, and a document holds all of it


class Statement(Struct, frozen=True, kw_only=True):
    signal: Signal
    mapped: Mapped


class Track(Struct, frozen=True, kw_only=True):
    """The statements of one (group, fingerprint) in their order; at most `STATEMENTS_MAX`, and of `TRACK_BYTES_MAX` together.

    Beyond that repeats inside a row are forgotten first, then whole episodes from the oldest: their alerts
    stay as they were. So the law holds exactly for statements that are at most so many behind.
    """

    group: str
    fingerprint: str
    statements: tuple[Statement, ...] = ()


def said_at(signal: Signal) -> Instant:
    stated = signal.ends_at if signal.standing is Standing.RESOLVED and signal.ends_at else signal.starts_at
    return stated if abs(ms_between(stated, signal.received_at)) <= SKEW_MAX_MS else signal.received_at


def _order(statement: Statement) -> tuple[Instant, bool, str, Instant]:
    # Said at the same instant, the resolution is the later word.
    signal = statement.signal
    return said_at(signal), signal.standing is Standing.RESOLVED, signal.id, signal.received_at


def with_statement(track: Track, statement: Statement) -> Track:
    """The track with one more statement; itself when it holds it already."""
    if statement in track.statements:
        return track
    return replace(track, statements=_bounded(tuple(sorted((*track.statements, statement), key=_order))))


def _bounded(statements: tuple[Statement, ...]) -> tuple[Statement, ...]:
    while len(statements) > STATEMENTS_MAX or (len(statements) > 1 and _bytes(statements) > TRACK_BYTES_MAX):
        statements = _fewer(statements)
    return statements


def _bytes(statements: Iterable[Statement]) -> int:
    """At least what their texts take: a character may take more."""
    return sum(
        len(name) + len(value)
        for statement in statements
        for texts in (statement.signal.labels, statement.signal.annotations)
        for name, value in texts.items()
    )


def _fewer(statements: tuple[Statement, ...]) -> tuple[Statement, ...]:
    standings = [statement.signal.standing for statement in statements]
    for number in range(1, len(statements) - 1):
        if standings[number - 1] is standings[number] is standings[number + 1]:
            return statements[:number] + statements[number + 1 :]
    # No repeats: the oldest episode goes, and with it everything up to the next firing statement.
    for number in range(1, len(statements)):
        if standings[number] is Standing.FIRING and standings[number - 1] is Standing.RESOLVED:
            return statements[number:]
    return statements[1:]


def episodes(statements: Iterable[Statement]) -> tuple[Alert, ...]:
    """The alerts of ordered statements, oldest first."""
    rows: list[list[Statement]] = []
    closed = True
    for statement in statements:
        resolving = statement.signal.standing is Standing.RESOLVED
        if closed and not resolving:
            rows.append([])
        if rows:
            rows[-1].append(statement)
        closed = resolving
    return tuple(_alert(row) for row in rows)


def _alert(row: list[Statement]) -> Alert:
    start = said_at(row[0].signal)
    found = alert_of(row[0].signal, row[0].mapped, start)
    for statement in row[1:]:
        found = join(found, alert_of(statement.signal, statement.mapped, start))
    if row[-1].signal.standing is Standing.RESOLVED and found.state is AlertState.FIRING:
        # The order decides here, not the receipt: the last word was a resolution.
        found = replace(found, state=AlertState.RESOLVED, resolved_at=max(said_at(row[-1].signal), found.began_at))
    return found
