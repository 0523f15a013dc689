"""A loop whose time is moved, not waited for: an hour of the engine in a moment, and the same each time."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from watchkeeper.errors import Rejected

Answer = TypeVar("Answer")

STEPS_MAX: Final = 1_000_000  # looks at the selector; beyond it something turns in a circle


class _Selector(selectors.DefaultSelector):
    """Looks at real descriptors without waiting; time that would be waited is added to the loop's own."""

    loop: "VirtualLoop"

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if ready:
            return ready
        if timeout is None:
            raise Rejected("the simulation waits for nothing: no task is ready and no timer is set")
        self.loop.steps += 1
        if self.loop.steps > STEPS_MAX:
            raise Rejected(f"the simulation took more than {STEPS_MAX} steps and did not end")
        self.loop.virtual_s += max(timeout, 0.0)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        selector = _Selector()
        selector.loop = self
        self.virtual_s = 0.0
        self.steps = 0
        super().__init__(selector)

    def time(self) -> float:
        return self.virtual_s


def run(main: Coroutine[Any, Any, Answer]) -> Answer:
    """The answer of `main` on a loop of its own. Raises what `main` raises, and Rejected when it does not end."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(main)
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
