"""The routes of the outbox under breakers: one that does not take messages is tried by one of them, not by all.

A channel that hangs would otherwise keep every sender busy, and the people on other routes would hear nothing.
"""

from typing import Final

from watchkeeper.engine.clock import Clock
from watchkeeper.guards.breaker import CLOSED, HALF_OPEN
from watchkeeper.home.breakers import BreakerSettings
from watchkeeper.learn.breaker import Circuit, Failure, failed, fresh, standing
from watchkeeper.values import Instant, ms_between

FAILURES_MAX: Final = 5  # in a row, before a route is left alone
OPEN_FIRST_MS: Final = 15_000
OPEN_MOST_MS: Final = 300_000
TRIAL_LOOK_MS: Final = 1_000  # how soon others look again while one message tries

ROUTE: Final = BreakerSettings(
    failures=FAILURES_MAX, within_ms=86_400_000, open_ms=OPEN_FIRST_MS, open_max_ms=OPEN_MOST_MS
)


class Routes:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._circuits: dict[str, Circuit] = {}
        self._trying: set[str] = set()

    def wait_ms(self, route: str) -> int:
        """How long a message of this route has to wait; 0: it goes now, and when the route was left alone it is the trial."""
        circuit = self._circuits.get(route)
        if circuit is None or circuit.state == CLOSED or circuit.until_at is None:
            return 0
        now = self._clock.now()
        if standing(circuit, now) != HALF_OPEN:
            return (
                min(ms_between(now, circuit.until_at), OPEN_MOST_MS) + 1
            )  # a clock that was put back is not waited for
        if route in self._trying:
            return TRIAL_LOOK_MS
        self._trying.add(route)
        return 0

    def failed(self, route: str, why: str) -> None:
        now = self._clock.now()
        circuit = self._circuits.get(route) or fresh("tell", route, "", "", now)
        failure = Failure(at=now, run="", rule="", target=route, why=why[:200])
        self._circuits[route] = failed(circuit, failure, ROUTE, trial=route in self._trying)
        self._trying.discard(route)

    def sent(self, route: str) -> None:
        """It takes messages: what failed before is over."""
        self._circuits.pop(route, None)
        self._trying.discard(route)

    def untried(self, route: str) -> None:
        """Nothing came of the message that was to try it: the next one is the trial."""
        self._trying.discard(route)

    def left_alone(self) -> dict[str, Instant]:
        """Routes that are not tried now, and until when."""
        return {
            route: circuit.until_at
            for route, circuit in self._circuits.items()
            if circuit.until_at is not None and circuit.state != CLOSED
        }
