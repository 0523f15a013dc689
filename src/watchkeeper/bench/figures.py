"""What a measure gives back, and what is known of the machine it was taken on."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import apsw
from msgspec import Struct

from watchkeeper import __version__
from watchkeeper.values import Instant


class Figure(Struct, frozen=True, kw_only=True):
    """One number with its unit. `beside`: what it is compared with, in the same run. `goal`: as the design states it;
    `least` or `most` is that goal as a number, for the ratio or the value, whichever `of_ratio` says.
    """

    name: str
    unit: str
    value: float
    goal: str = ""
    least: float | None = None
    most: float | None = None
    beside: float | None = None
    beside_name: str = ""
    of_ratio: bool = False

    @property
    def ratio(self) -> float | None:
        return self.value / self.beside if self.beside else None


class Measure(Struct, frozen=True, kw_only=True):
    """One measure of one turn: its figures, the proof behind them in words, and raw series for plots."""

    name: str
    figures: tuple[Figure, ...]
    proof: str
    load_before: float
    load_after: float
    raw: dict[str, Any] = {}


class Machine(Struct, frozen=True, kw_only=True):
    cpu: str
    cores: int
    memory_bytes: int
    kernel: str
    python: str
    sqlite: str
    watchkeeper: str
    sync_ms: float  # median of one fdatasync of 8 KiB in the folder that is used


class Result(Struct, frozen=True, kw_only=True):
    """Everything of one `wk bench`. `turns`: the same measures, `--repeat` times."""

    at: Instant
    machine: Machine
    seconds: float
    services: int
    turns: tuple[tuple[Measure, ...], ...]
    stages_us: dict[str, float] = {}
    profiled_effects: int = 0


class Spread(Struct, frozen=True, kw_only=True):
    """One figure over all turns."""

    figure: Figure
    values: tuple[float, ...]
    ratios: tuple[float, ...]

    @property
    def value(self) -> float:
        return median(self.values)

    @property
    def ratio(self) -> float | None:
        return median(self.ratios) if self.ratios else None

    @property
    def beside(self) -> float | None:
        return self.value / self.ratio if self.ratio else None

    @property
    def reached(self) -> bool | None:
        figure = self.figure
        judged = self.ratio if figure.of_ratio else self.value
        if judged is None or (figure.least is None and figure.most is None):
            return None
        return (figure.least is None or judged >= figure.least) and (figure.most is None or judged <= figure.most)


def spreads(turns: Sequence[Sequence[Measure]]) -> list[Spread]:
    found: dict[str, list[Figure]] = {}
    for turn in turns:
        for measure in turn:
            for figure in measure.figures:
                found.setdefault(figure.name, []).append(figure)
    return [
        Spread(
            figure=each[0],
            values=tuple(figure.value for figure in each),
            ratios=tuple(figure.ratio for figure in each if figure.ratio is not None),
        )
        for each in found.values()
    ]


def load() -> float:
    return round(os.getloadavg()[0], 2)


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank; 0 of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def machine(folder: Path) -> Machine:
    return Machine(
        cpu=_after(Path("/proc/cpuinfo"), "model name") or platform.processor() or platform.machine(),
        cores=os.cpu_count() or 1,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        kernel=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        sqlite=apsw.sqlite_lib_version(),
        watchkeeper=__version__,
        sync_ms=_sync_ms(folder),
    )


def _after(path: Path, name: str) -> str:
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def _sync_ms(folder: Path) -> float:
    from time import perf_counter

    took: list[float] = []
    with (folder / "sync").open("wb", buffering=0) as file:
        for _ in range(100):
            file.write(b"x" * 8_192)
            began_s = perf_counter()
            os.fdatasync(file.fileno())
            took.append((perf_counter() - began_s) * 1_000)
    return round(median(took), 3)
