"""A verification as a fold over samples: `successes` healthy looks in a row inside the deadline, still so after a soak.

Three results. Healthy: the row is complete and the soak passed without another look saying otherwise. Unhealthy: time
ran out and it was seen unhealthy last, or after it had been healthy. Inconclusive: time ran out otherwise, or as many
looks in a row saw nothing as a pass needs healthy ones. So no data never passes, and never condemns either; and a
service that comes up and falls again does not pass.
"""

from msgspec import Struct
from msgspec.structs import replace

from watchkeeper.packs.runbook import Verification
from watchkeeper.values import Instant, after_ms
from watchkeeper.verify.judge import judge
from watchkeeper.verify.sample import Result, Sample, Seen

__all__ = ["Verifying", "begin", "judge", "next_at", "observe", "result", "why"]


class Verifying(Struct, frozen=True, kw_only=True):
    """`in_row` healthy looks one after another, from `row_at` on; `complete_at` is when the row became long enough, `soaked` whether a
    healthy look came after the soak. `last` is what was seen last, `blind` how many looks since saw nothing; `fell`:
    it was seen unhealthy after it had been healthy.
    """

    verification: Verification
    began_at: Instant
    samples: int = 0
    healthy: int = 0
    in_row: int = 0
    complete_at: Instant | None = None
    soaked: bool = False
    last_at: Instant | None = None
    last: Seen | None = None
    last_why: str = ""
    fell: bool = False
    blind: int = 0
    unhealthy_why: str = ""
    row_at: Instant | None = None

    @property
    def deadline_at(self) -> Instant:
        """The row must be complete by then; its soak may pass it."""
        return after_ms(self.began_at, self.verification.within_ms)


def begin(verification: Verification, at: Instant) -> Verifying:
    return Verifying(verification=verification, began_at=at)


def observe(state: Verifying, sample: Sample) -> Verifying:
    """One look later. One after the deadline completes no row."""
    if state.soaked:
        return state
    seen = sample.seen
    state = replace(state, samples=state.samples + 1, last_at=sample.at, last_why=sample.why)
    if seen is not Seen.HEALTHY:
        # A look that saw nothing breaks the row as well: what was not seen was not healthy.
        state = replace(state, in_row=0, complete_at=None, row_at=None)
        if seen is Seen.NOTHING:
            return replace(state, blind=state.blind + 1)
        return replace(state, last=seen, blind=0, fell=state.fell or state.healthy > 0, unhealthy_why=sample.why)
    state = replace(
        state,
        last=seen,
        blind=0,
        healthy=state.healthy + 1,
        in_row=state.in_row + 1,
        row_at=state.row_at or sample.at,
    )
    if state.complete_at is not None:
        return replace(state, soaked=sample.at >= after_ms(state.complete_at, state.verification.soak_ms))
    if state.in_row >= max(1, state.verification.successes) and sample.at <= state.deadline_at:
        return replace(state, complete_at=sample.at, soaked=state.verification.soak_ms <= 0)
    return state


def result(state: Verifying, now: Instant) -> Result | None:
    """None while another look may still decide."""
    if state.soaked:
        return Result.HEALTHY
    spec = state.verification
    if state.complete_at is not None:
        # The look after the soak must come: without it the row says nothing about now.
        late_at = after_ms(state.complete_at, spec.soak_ms + 2 * (spec.every_ms + spec.timeout_ms))
        return None if now <= late_at else Result.INCONCLUSIVE
    if now <= state.deadline_at:
        return None
    if state.blind >= max(1, spec.successes):
        return Result.INCONCLUSIVE
    return Result.UNHEALTHY if state.last is Seen.UNHEALTHY or state.fell else Result.INCONCLUSIVE


def next_at(state: Verifying) -> Instant:
    """When to look next: at once, then one `every_ms` after the last, and at the soak's end."""
    if state.last_at is None:
        return state.began_at
    at = after_ms(state.last_at, max(1, state.verification.every_ms))
    if state.complete_at is None:
        return at
    soaked_at = after_ms(state.complete_at, state.verification.soak_ms)
    return min(at, soaked_at) if soaked_at > state.last_at else at


def why(state: Verifying, found: Result) -> str:
    """The sentence for the operator."""
    spec = state.verification
    looks = f"{state.healthy} of {state.samples} looks healthy"
    match found:
        case Result.HEALTHY:
            soak = f", still so after {spec.soak_ms} ms" if spec.soak_ms else ""
            return f"healthy {state.in_row} times in a row{soak}"
        case Result.UNHEALTHY:
            return f"seen unhealthy within {spec.within_ms} ms ({looks}): {state.unhealthy_why or 'no reason given'}"
        case Result.INCONCLUSIVE if state.last is None:
            return f"nothing was seen within {spec.within_ms} ms: {state.last_why or 'no look was taken'}"
        case Result.INCONCLUSIVE:
            return f"not healthy {spec.successes} times in a row within {spec.within_ms} ms ({looks}): {state.last_why}"
