"""One side of one step (the step, or its undo) from due to an outcome: what each event makes of its state.

Every function takes the state and gives the next one; `errors.Conflict` when the event does not fit it.
"""

from typing import Any, Final

from msgspec.structs import replace

from watchkeeper.errors import Conflict
from watchkeeper.execute.backoff import backoff_ms, dice_ppm
from watchkeeper.execute.plan import Treatment
from watchkeeper.execute.run import Child, Done, Doubted, Failed, Intended, Probed, StepDue, StepStatus
from watchkeeper.execute.state import StepState
from watchkeeper.packs.runbook import Retry
from watchkeeper.values import Instant, after_ms

REPEATS_MAX: Final = 3  # sendings of a step whose target honours a repetition, while no answer comes back
LOOKS_MAX: Final = 4  # a check that cannot look is asked so often in one doubt before a person is
LOOK_LONG_MS: Final = 30_000  # a look in vain that took longer is the last one: a person is not kept waiting
LOOK_AGAIN_MS: Final = 2_000  # until its second look
LOOK_AGAIN_GROWS: Final = 3  # each further pause is so many times the one before
INTERRUPTIONS_MAX: Final = 20  # a step that loses its performer so often is what kills it: a person looks


def due(state: StepState, event: StepDue) -> StepState:
    if state.status is not StepStatus.PENDING:
        raise Conflict(f"step {event.path} is {state.status}, it cannot fall due again")
    if event.broken:
        return replace(
            state, status=StepStatus.FAILED, due_at=event.at, ended_at=event.at, error="broken", why=event.broken
        )
    if event.skipped:
        return replace(state, status=StepStatus.SKIPPED, due_at=event.at, ended_at=event.at)
    return replace(
        state,
        status=StepStatus.DUE,
        due_at=event.at,
        arguments=event.arguments,
        timeout_ms=event.timeout_ms,
        verify=event.verify,
    )


def intended(state: StepState, event: Intended, number: int) -> StepState:
    if state.status is not StepStatus.DUE or event.attempt != state.attempts + 1:
        raise Conflict(
            f"step {event.path} is {state.status} after {state.attempts} attempts: "
            f"the intent of attempt {event.attempt} does not follow"
        )
    return replace(
        state,
        status=StepStatus.INTENDED,
        attempts=event.attempt,
        intent_at=event.at,
        started_at=state.started_at or event.at,
        order=number,
        fence=event.fence,
        retry_at=None,
        children=(),
        error="",
        why="",
    )


def child(state: StepState, event: Child) -> StepState:
    if state.status is not StepStatus.INTENDED:
        raise Conflict(f"step {event.path} is {state.status}: process {event.pid} was started without an intent")
    return replace(state, children=(*state.children, (event.pid, event.start_ticks)))


def done(state: StepState, event: Done) -> StepState:
    _answers(state, event)
    return replace(
        state,
        status=StepStatus.DONE,
        ended_at=event.at,
        output=event.output,
        repeat=False,
        ask_at=None,
        children=(),
    )


def failed(state: StepState, event: Failed, *, denied: bool = True) -> StepState:
    """Due again when another attempt was scheduled. A step that was never sent may fail too: it was denied."""
    if state.status is StepStatus.DUE and denied and event.attempt == state.attempts + 1:
        pass
    else:
        _answers(state, event)
    if event.retry_at is not None:
        return replace(
            state, status=StepStatus.DUE, retry_at=event.retry_at, error=event.error, why=event.why, children=()
        )
    if state.repeat:
        # The target refused the repetition; what the sending before it did is still unknown.
        return replace(
            state,
            status=StepStatus.IN_DOUBT,
            error=event.error,
            why=f"an earlier attempt has no outcome, and its repetition failed: {event.why}",
            ask_at=None,
            children=(),
        )
    return replace(state, status=StepStatus.FAILED, ended_at=event.at, error=event.error, why=event.why, children=())


def doubted(
    state: StepState, event: Doubted, treatment: Treatment, retry: Retry, key: str, *, read: bool, checked: bool
) -> StepState:
    """Due again where a repetition is harmless and the bound not reached; else in doubt: for its check, or a person."""
    _answers(state, event)
    interruptions = state.interruptions + event.interrupted
    counted = state.attempts - interruptions
    if event.interrupted:
        again = interruptions < INTERRUPTIONS_MAX
        retry_at = None
    else:
        again = counted < max(retry.attempts_max, REPEATS_MAX)
        retry_at = after_ms(event.at, backoff_ms(retry, state.attempts, dice_ppm(key, state.attempts)))
    # Its processes stay on record until the next intent: they are seen ended before anything is sent or asked.
    after = replace(state, interruptions=interruptions, error="timeout", why=event.why, retry_at=None)
    if treatment is Treatment.REPEAT:
        if again:
            return replace(after, status=StepStatus.DUE, repeat=not read, retry_at=retry_at)
        if read:
            return replace(after, status=StepStatus.FAILED, ended_at=event.at, children=())
    may_ask = checked and treatment is not Treatment.PERSON
    return replace(after, status=StepStatus.IN_DOUBT, ask_at=event.ask_at if may_ask else None, looks=0)


def blind(state: StepState, event: Probed) -> StepState:
    """The check could not tell: it is asked again where the event says when, or a person decides."""
    if state.status is not StepStatus.IN_DOUBT:
        raise Conflict(f"step {event.path} is {state.status}, not in doubt")
    return replace(state, ask_at=event.ask_at, why=event.why or state.why, looks=state.looks + 1)


def look_again_at(look: int, took_ms: int, now: Instant) -> Instant | None:
    """When a check that could not look is asked again after its look number `look` (from 1), which took so long; None: not
    again. Who waits long for each look is not left waiting for several.
    """
    return (
        None
        if look >= LOOKS_MAX or took_ms > LOOK_LONG_MS
        else after_ms(now, LOOK_AGAIN_MS * LOOK_AGAIN_GROWS ** (look - 1))
    )


def settled(
    state: StepState, path: str, at: Instant, why: str, output: dict[str, Any], retry: Retry, *, happened: bool
) -> StepState:
    """A step in doubt did, or did not happen. One that did not is due again while its attempts last."""
    if state.status is not StepStatus.IN_DOUBT and not (state.status is StepStatus.DUE and state.repeat):
        raise Conflict(f"step {path} is {state.status}, not in doubt")
    if happened:
        return replace(
            state,
            status=StepStatus.DONE,
            ended_at=at,
            output=output,
            error="",
            why=why,
            ask_at=None,
            repeat=False,
            children=(),
        )
    lost = state.attempts > 0 and state.interruptions < INTERRUPTIONS_MAX
    again = lost and state.attempts - state.interruptions < retry.attempts_max
    return replace(
        state,
        status=StepStatus.DUE if again else StepStatus.FAILED,
        ended_at=None if again else at,
        error="not_done",
        why=why or "it did not happen",
        ask_at=None,
        repeat=False,
        children=(),
    )


def _answers(state: StepState, event: Done | Failed | Doubted) -> None:
    if state.status is not StepStatus.INTENDED or event.attempt != state.attempts:
        raise Conflict(
            f"step {event.path} is {state.status} at attempt {state.attempts}: "
            f"an outcome of attempt {event.attempt} answers no intent"
        )
