"""A circuit breaker: what keeps failing is left alone, then tried once, and let in again when that was seen to be well.

In: the breaker as it is kept, and what came of a run. Out: the breaker afterwards. The key is action x failure domain x
pack version (SEMANTICS 6): another version of the pack is another attempt at the problem, and begins closed.

Source: Nygard, Release It! (2nd ed.), "Circuit Breaker"; here a failed verification counts as an error does.
"""

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from watchkeeper.guards.breaker import CLOSED, HALF_OPEN, OPEN
from watchkeeper.home.breakers import FAILURES_KEPT_MAX, BreakerSettings
from watchkeeper.values import EPOCH, Instant, after_ms, id_from, ms_between

WHY_CHARS_MAX: Final = 300
DOUBLINGS_MAX: Final = 16


class Failure(Struct, frozen=True, kw_only=True):
    """One run that failed here: an error of the action, or a verification that found its target unwell after it."""

    at: Instant
    run: str
    rule: str
    target: str
    region: str = ""
    why: str = ""


class Circuit(Struct, frozen=True, kw_only=True):
    """A breaker as it is kept. `state` is closed or open; half open is a matter of time (`standing`).

    `failures` are those inside the window, oldest first; `failed` counts all since it was last closed. `opened` is how
    often in a row it opened: it sets how long. `opened_at` is when that row began.
    """

    id: str
    key: str
    action: str
    domain: str
    pack: str
    state: str
    since_at: Instant
    region: str = ""
    until_at: Instant | None = None
    opened: int = 0
    opened_at: Instant | None = None
    failed: int = 0
    failures: tuple[Failure, ...] = ()
    closed_by: str = ""
    reason: str = ""


def key_of(action: str, domain: str, pack: str) -> str:
    """`service.restart on component:default/web by shop@1.2.0+3fa0`: a key that can stand in a sentence."""
    return f"{action} on {domain} by {pack}"


def fresh(action: str, domain: str, pack: str, region: str, at: Instant) -> Circuit:
    key = key_of(action, domain, pack)
    return Circuit(
        id=id_from("brk", EPOCH, key),
        key=key,
        action=action,
        domain=domain,
        pack=pack,
        region=region,
        state=CLOSED,
        since_at=at,
    )


def failed(circuit: Circuit, failure: Failure, settings: BreakerSettings, *, trial: bool = False) -> Circuit:
    """One failure more. It never closes a breaker, and never lets one that is open be tried sooner."""
    at = failure.at
    kept = (*within(circuit.failures, settings.within_ms, at), failure)[-FAILURES_KEPT_MAX:]
    circuit = replace(circuit, failures=kept, failed=circuit.failed + 1)
    if circuit.state == OPEN:
        if trial:
            return _opened(circuit, at, circuit.opened + 1, settings)
        if standing(circuit, at) == HALF_OPEN:  # a run from before it opened: no trial, and no sign of health
            return _opened(circuit, at, circuit.opened, settings)
        return circuit
    if len(kept) < settings.failures:
        return circuit
    return replace(_opened(circuit, at, 1, settings), opened_at=at)


def healthy(circuit: Circuit, at: Instant, *, trial: bool) -> Circuit:
    """Seen to be well. Only a trial closes what is open: a run from before it opened says nothing of what failed since."""
    if circuit.state != OPEN or not trial:
        return circuit
    return _closed(circuit, at, "", "the trial was healthy")


def shut(circuit: Circuit, at: Instant, by: str, reason: str) -> Circuit:
    """Closed by a person who mended what failed."""
    return _closed(circuit, at, by, reason)


def standing(circuit: Circuit, at: Instant) -> str:
    """closed, open, or half_open: its time is up, and one run may try."""
    if circuit.state == OPEN and circuit.until_at is not None and circuit.until_at <= at:
        return HALF_OPEN
    return circuit.state


def idle(circuit: Circuit, settings: BreakerSettings, at: Instant) -> bool:
    """Closed, and nothing happened lately: it says no more than a breaker that was never made."""
    longest_ms = max(settings.within_ms, settings.brake.within_ms)
    if circuit.state != CLOSED or within(circuit.failures, longest_ms, at):
        return False
    return ms_between(circuit.since_at, at) >= longest_ms


def within(failures: tuple[Failure, ...], window_ms: int, at: Instant) -> tuple[Failure, ...]:
    return tuple(each for each in failures if ms_between(each.at, at) < window_ms)


def open_for_ms(opened: int, settings: BreakerSettings) -> int:
    """Doubling with each trial that failed, up to the bound."""
    doublings = min(max(0, opened - 1), DOUBLINGS_MAX)
    return min(settings.open_ms << doublings, max(settings.open_ms, settings.open_max_ms))


def _opened(circuit: Circuit, at: Instant, opened: int, settings: BreakerSettings) -> Circuit:
    until_at = after_ms(at, open_for_ms(opened, settings))
    return replace(
        circuit,
        state=OPEN,
        since_at=at,
        until_at=until_at if circuit.until_at is None else max(until_at, circuit.until_at),
        opened=opened,
        closed_by="",
        reason="",
    )


def _closed(circuit: Circuit, at: Instant, by: str, reason: str) -> Circuit:
    return replace(
        circuit,
        state=CLOSED,
        since_at=at,
        until_at=None,
        opened=0,
        opened_at=None,
        failed=0,
        failures=(),
        closed_by=by,
        reason=reason,
    )
