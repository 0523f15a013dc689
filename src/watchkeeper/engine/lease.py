"""The lease of this worker: renewed towards its supervisor, and read on the boot-time clock before each send.

The boot-time clock goes on while the machine sleeps, so a worker that was suspended with an effect in its hands
finds its lease gone when it wakes.
"""

import asyncio
import contextlib
import os
import time
from typing import Final

from watchkeeper.engine.supervisor import BEAT, LEASE_MS, READY, RENEW_MS

_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_ms() -> int:
    return time.clock_gettime_ns(_CLOCK) // 1_000_000


class Lease:
    """Held for `lease_ms` after each renewal. Without a supervisor (tests, dry runs) it renews itself alone."""

    def __init__(self, *, lease_ms: int = LEASE_MS, renew_ms: int = RENEW_MS) -> None:
        self._lease_ms, self._renew_ms = lease_ms, renew_ms
        self._renewed_ms = boot_ms()
        text = os.environ.get("WATCHKEEPER_BEAT_FD", "")
        self._beat_fd = int(text) if text.isdigit() else None
        if self._beat_fd is not None:
            os.set_blocking(self._beat_fd, False)

    def held(self) -> bool:
        return boot_ms() - self._renewed_ms < self._lease_ms

    def renew(self) -> None:
        """Raises BrokenPipeError when the supervisor is gone: the worker then ends, and takes its children along."""
        self._beat(BEAT)
        self._renewed_ms = boot_ms()

    def ready(self) -> None:
        """Tells the supervisor that this worker is at work: from now on no end of one is final that time may mend."""
        self._beat(READY)

    def _beat(self, word: bytes) -> None:
        if self._beat_fd is not None:
            with contextlib.suppress(BlockingIOError):  # a supervisor that is stopped reads later
                os.write(self._beat_fd, word)

    async def keep(self) -> None:
        while True:
            self.renew()
            await asyncio.sleep(self._renew_ms / 1000)


class FreeLease(Lease):
    """Always held: for simulations, whose clock is not the machine's."""

    def held(self) -> bool:
        return True
