"""Live output of steps: bounded, already scrubbed, kept in memory while the run is open. The journal keeps the result."""

from collections import deque
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

RUNS_MAX: Final = 500
CHUNKS_PER_STEP_MAX: Final = 2_000
BYTES_PER_RUN_MAX: Final = 1024 * 1024


class Chunk(Struct, frozen=True):
    """`stream` is stdout, stderr or sample (one JSON sample of a verification)."""

    step: str
    stream: str
    text: str


class Outputs:
    def __init__(self) -> None:
        self._runs: dict[str, deque[Chunk]] = {}
        self._bytes: dict[str, int] = {}

    def show(self, run: str, step: str, stream: str, data: bytes) -> None:
        kept = self._runs.get(run)
        if kept is None:
            while len(self._runs) >= RUNS_MAX:
                self.forget(next(iter(self._runs)))
            kept = self._runs[run] = deque()
        chunk = Chunk(step, stream, data.decode("utf-8", "replace"))
        kept.append(chunk)
        self._bytes[run] = self._bytes.get(run, 0) + _size(chunk)
        while kept and (self._bytes[run] > BYTES_PER_RUN_MAX or len(kept) > CHUNKS_PER_STEP_MAX):
            self._bytes[run] -= _size(kept.popleft())

    def of(self, run: str, step: str = "") -> Iterator[Chunk]:
        for chunk in self._runs.get(run, ()):
            if not step or chunk.step == step:
                yield chunk

    def forget(self, run: str) -> None:
        self._runs.pop(run, None)
        self._bytes.pop(run, None)


def _size(chunk: Chunk) -> int:
    return len(chunk.text.encode())
