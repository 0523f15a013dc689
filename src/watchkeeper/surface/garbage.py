"""The collector of cyclic garbage, on terms that an alert can live with.

What a node knows is kept for hours: alerts, incidents, decisions, the configuration. The interpreter looks at all of it in every full
collection, and at what is new in the ones between, while nothing else runs. Measured in a storm of 100,000 alerts: 217 ms in one
collection of the middle generation. So new objects are looked at in small parts, what outlives two looks is set aside
(`gc.freeze`), and the look at everything is taken when there is nothing to do.

Source: docs.python.org/3.11/library/gc.html (the thresholds, `freeze`).
"""

import asyncio
import gc
from collections.abc import Callable
from typing import Final

YOUNG: Final = 5_000  # objects between two looks at the newest
MIDDLE: Final = 4  # such looks before one at what outlived the first
NEVER: Final = 1_000_000_000  # of those before the interpreter itself would look at everything
LOOK_S: Final = 30.0
GROWN_MIN: Final = 100_000  # objects set aside since the last look at everything, before the next is worth its time
FORCED_AT: Final = 5_000_000  # from here on it is taken whether there is anything to do or not


class Garbage:
    """`idle` says whether nothing waits and nothing runs."""

    def __init__(self, idle: Callable[[], bool]) -> None:
        self._idle = idle
        self._set_aside = 0

    def settle(self) -> None:
        """What was loaded stays, and from now on the collector works in small parts."""
        gc.set_threshold(YOUNG, MIDDLE, NEVER)
        gc.callbacks.append(self._looked)
        self.look()

    def look(self) -> None:
        """At everything. Holds the process up: about 0.2 µs an object."""
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        self._set_aside = gc.get_freeze_count()

    def is_due(self) -> bool:
        grown = gc.get_freeze_count() - self._set_aside
        return grown >= FORCED_AT or (grown >= max(GROWN_MIN, self._set_aside // 4) and self._idle())

    async def work(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            if self.is_due():
                self.look()

    def _looked(self, phase: str, info: dict[str, int]) -> None:
        """After a look at the middle generation: what outlived it is taken to stay."""
        if phase == "stop" and info["generation"] == 1:
            gc.freeze()
