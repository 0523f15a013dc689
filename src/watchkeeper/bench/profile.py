"""Where a node's CPU goes, by stage: a worker that looks at itself while it works.

`python -m watchkeeper.bench.profile FILE --home HOME --port 0` is `watchkeeper.surface.node` with a timer of CPU time.
At each tick the CPU that a thread used since the tick before goes to the stage that the thread is found in: the
innermost frame that belongs to one. What a thread spends in C between two lines of Python counts for the next line.
"""

import atexit
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any, Final

import msgspec

EVERY_S: Final = 0.002

# The first that a frame's file and function match, from the innermost frame outwards.
STAGES: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("telemetry", ("prometheus_client/", "structlog/")),
    ("ledger", ("watchkeeper/ledger/", "engine/scribe.py:entry", "engine/scribe.py:plain", "sqlite/batch.py:_seal",
                "sqlite/sequencer.py", "engine/sequencer.py", "sqlite/contents.py", "store.py:_grow")),
    ("effect", ("adapters/http", "adapters/address", "adapters/actions/", "engine/perform.py", "yarl/")),
    ("intake", ("surface/api/", "uvicorn/", "starlette/", "engine/intake.py", "report/scrub.py", "signals/priority.py")),
    ("correlate and match", ("signals/", "correlate/", "engine/mapping.py", "decide/match.py", "decide/target.py",
                             "decide/episode.py", "engine/facts.py", "engine/witnesses.py", "adapters/cel.py",
                             "engine/concerns.py", "engine/relating.py")),
    ("guards and encoding", ("watchkeeper/guards/", "watchkeeper/decide/", "engine/situations.py", "engine/judge.py", "engine/admitting.py",
                             "engine/moments.py", "watchkeeper/packs/", "approve/", "watchkeeper/values.py",
                             "engine/records.py")),
    ("journal and claims", ("watchkeeper/execute/", "engine/runner.py", "adapters/sqlite/", "adapters/judge.py",
                            "engine/scribe.py", "engine/engine.py", "engine/pipeline.py")),
)  # fmt: skip
REST: Final = "loop and rest"


class Sampler:
    def __init__(self) -> None:
        self.spent: Counter[str] = Counter()
        self._main = threading.main_thread()
        self._before: dict[int, float] = {}
        self._known: dict[tuple[str, str], str | None] = {}
        self.began_s = time.process_time()

    def tick(self, _number: int, frame: FrameType | None) -> None:
        frames = sys._current_frames()  # noqa: SLF001  the documented way to another thread's frame
        for thread in threading.enumerate():
            identity = thread.ident
            if identity is None:
                continue
            now_s = time.clock_gettime(time.pthread_getcpuclockid(identity))
            used_s = now_s - self._before.get(identity, now_s)
            self._before[identity] = now_s
            if used_s > 0:
                found = frame if thread is self._main else frames.get(identity)
                self.spent[self._stage(found)] += int(used_s * 1e9)

    def clear(self) -> None:
        self.spent.clear()
        self.began_s = time.process_time()

    def _stage(self, frame: FrameType | None) -> str:
        while frame is not None:
            code = frame.f_code
            place = (code.co_filename, code.co_name)
            if place not in self._known:
                self._known[place] = _named(*place)
            stage = self._known[place]
            if stage is not None:
                return stage
            frame = frame.f_back
        return REST


def _named(file: str, function: str) -> str | None:
    words = f"{file}:{function}"
    return next((stage for stage, parts in STAGES if any(part in words for part in parts)), None)


def main() -> int:
    """SIGUSR1 begins to count afresh; the counts are written when the node ends."""
    from watchkeeper.surface import node

    into = Path(sys.argv[1])
    sampler = Sampler()

    def write() -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        total_s = time.process_time() - sampler.began_s
        into.write_bytes(msgspec.json.encode({"spent_ns": dict(sampler.spent), "total_s": total_s}))

    def clear(_number: int, _frame: Any) -> None:
        sampler.clear()

    signal.signal(signal.SIGUSR1, clear)
    signal.signal(signal.SIGPROF, sampler.tick)
    signal.setitimer(signal.ITIMER_PROF, EVERY_S, EVERY_S)
    atexit.register(write)
    return node.main(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
