"""The supervisor: a small process that starts the worker, watches its heartbeat, and starts it again.

It holds no state but the worker's process. A worker that has not renewed within half the lease is killed, because a
process that hangs with an effect in its hands is worse than one that died: the successor knows what was intended.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Final

LEASE_MS: Final = 6_000
RENEW_MS: Final = 500
BEAT: Final = b"."
READY: Final = b"r"  # a beat too: hooks are accepted
START_WITHIN_MS: Final = 60_000  # a worker that compiles a large home must be given time before its first beat
RESTART_FIRST_MS: Final = 200
RESTART_MOST_MS: Final = 10_000
STEADY_MS: Final = 30_000  # a worker that lived so long starts the back-off afresh
STOP_WITHIN_MS: Final = 20_000
EXIT_CANNOT: Final = 3  # final while none was ever ready: starting again would say the same
EXIT_FINAL: Final = frozenset({0, 2, EXIT_CANNOT})  # done, wrong use, cannot now


class Supervisor:
    """`argv` starts a worker that writes one byte to the descriptor named by WATCHKEEPER_BEAT_FD every RENEW_MS."""

    def __init__(self, argv: Sequence[str], *, lease_ms: int = LEASE_MS) -> None:
        self._argv = tuple(argv)
        self._silent_max_ms = lease_ms // 2
        self._stopping = False
        self._served = False  # a worker was ready once: what it cannot now (a disk is full) it can again
        self._worker: subprocess.Popen[bytes] | None = None

    def run(self) -> int:
        """Blocks until asked to stop, or until the worker ends in a way that starting again cannot mend."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        delay_ms = RESTART_FIRST_MS
        while True:
            began = time.monotonic()
            code = self._one_life()
            if self._stopping:
                return 0 if code in (0, -signal.SIGTERM, -signal.SIGINT) else code
            if code in EXIT_FINAL and not (code == EXIT_CANNOT and self._served):
                return code
            lived_ms = int((time.monotonic() - began) * 1000)
            delay_ms = RESTART_FIRST_MS if lived_ms > STEADY_MS else min(delay_ms * 2, RESTART_MOST_MS)
            _say(f"watchkeeper: the worker ended ({_cause(code)}); starting it again in {delay_ms} ms")
            time.sleep(delay_ms / 1000)
            if self._stopping:
                return 0

    def _one_life(self) -> int:
        beat_in, beat_out = os.pipe()
        environment = {**os.environ, "WATCHKEEPER_BEAT_FD": str(beat_out), "WATCHKEEPER_SUPERVISOR": str(os.getpid())}
        # The worker leads its own group, so that Ctrl-C reaches the supervisor alone and it decides the order.
        self._worker = subprocess.Popen(
            self._argv, env=environment, pass_fds=(beat_out,), start_new_session=True, stdin=subprocess.DEVNULL
        )
        os.close(beat_out)
        try:
            return self._watch(self._worker, beat_in)
        finally:
            os.close(beat_in)

    def _watch(self, worker: subprocess.Popen[bytes], beat_in: int) -> int:
        allowed_ms, last, asked = START_WITHIN_MS, time.monotonic(), 0.0
        while True:
            ready: list[int] = []
            with contextlib.suppress(InterruptedError):
                ready, _, _ = select.select([beat_in], [], [], 0.1)
            now = time.monotonic()
            if ready:
                said = os.read(beat_in, 4096)
                if not said:
                    return worker.wait()
                last, allowed_ms, self._served = now, self._silent_max_ms, self._served or READY in said
            code = worker.poll()
            if code is not None:
                return code
            if self._stopping:
                asked = asked or now
                if now - asked > STOP_WITHIN_MS / 1000:
                    _say(
                        "watchkeeper: the worker did not stop in time and is killed; open runs resume at the next start"
                    )
                    worker.kill()
                    return worker.wait()
            elif (now - last) * 1000 > allowed_ms:
                _say(f"watchkeeper: the worker gave no sign of life for {allowed_ms} ms and is killed")
                worker.kill()
                return worker.wait()

    def _stop(self, _number: int, _frame: object) -> None:
        self._stopping = True
        if self._worker is not None and self._worker.poll() is None:
            self._worker.terminate()


def _cause(code: int) -> str:
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)  # noqa: T201  the supervisor has no log of its own
