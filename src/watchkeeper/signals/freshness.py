"""Whether a reading is young enough to say anything. Too old is *unknown*: never true, never false."""

from msgspec import Struct

from watchkeeper.values import Instant, duration_text, ms_between


class Freshness(Struct, frozen=True, kw_only=True):
    """`age_ms` is None when there never was a reading. `sentence` is for the operator."""

    known: bool
    age_ms: int | None
    limit_ms: int
    sentence: str


def freshness(subject: str, read_at: Instant | None, now: Instant, limit_ms: int) -> Freshness:
    """The age of `subject` at `now`: known up to and including `limit_ms`. A reading from the future is of age 0."""
    limit = duration_text(limit_ms)
    if read_at is None:
        sentence = f"{subject}: unknown: never read, expected at least every {limit}"
        return Freshness(known=False, age_ms=None, limit_ms=limit_ms, sentence=sentence)
    age_ms = max(0, ms_between(read_at, now))
    age = duration_text(age_ms)
    if age_ms > limit_ms:
        sentence = f"{subject}: unknown: the last reading is {age} old, older than {limit}"
        return Freshness(known=False, age_ms=age_ms, limit_ms=limit_ms, sentence=sentence)
    return Freshness(known=True, age_ms=age_ms, limit_ms=limit_ms, sentence=f"{subject}: read {age} ago")
