"""A loop whose time is moved, not waited for: hours of the engine in a second, the same for the same seed."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Answer = TypeVar("Answer")

STEPS_MAX = 3_000_000


class _Selector(selectors.DefaultSelector):
    """Looks at real descriptors without waiting; time that would be waited is added to the loop's own."""

    loop: "VirtualLoop"

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if ready:
            return ready
        if timeout is None:
            raise RuntimeError("the simulation waits for nothing: no task is ready and no timer is set")
        self.loop.steps += 1
        if self.loop.steps > STEPS_MAX:
            raise RuntimeError(f"the simulation took more than {STEPS_MAX} steps")
        if timeout > 0:
            self.loop.virtual_s += timeout
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
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(main)
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
