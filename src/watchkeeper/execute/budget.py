"""The retry budget of one target: all runs together may retry it so often, so that a storm does not feed itself.

A token bucket as a value. First attempts are free; each retry takes a token. Source: Google SRE Workbook, "Addressing
Cascading Failures": retry budgets.
"""

from typing import Final

from msgspec import Struct

from watchkeeper.values import Instant, ms_between

MILLI: Final = 1_000  # tokens are counted in thousandths: no fractions


class Budget(Struct, frozen=True, kw_only=True):
    """At most `most` retries at once, `refill` more each `each_ms`. `milli` thousandths of a token are left at `at`."""

    at: Instant
    milli: int
    most: int = 10
    refill: int = 10
    each_ms: int = 60_000


def full(at: Instant, most: int = 10, refill: int = 10, each_ms: int = 60_000) -> Budget:
    return Budget(at=at, milli=most * MILLI, most=most, refill=refill, each_ms=each_ms)


def take(budget: Budget, now: Instant) -> tuple[Budget, bool]:
    """The budget after asking for one retry, and whether it was granted. Time that runs backwards refills nothing."""
    passed_ms = max(0, ms_between(budget.at, now))
    milli = min(budget.most * MILLI, budget.milli + passed_ms * budget.refill * MILLI // budget.each_ms)
    # What the division left over stays with the clock: looking often must not starve the refill.
    at = now if milli != budget.milli or milli == budget.most * MILLI else budget.at
    granted = milli >= MILLI
    after = Budget(
        at=max(at, budget.at),
        milli=milli - MILLI if granted else milli,
        most=budget.most,
        refill=budget.refill,
        each_ms=budget.each_ms,
    )
    return after, granted
