"""One bench from the first measure to the last, in a folder that goes afterwards."""

import asyncio
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from watchkeeper.bench.figures import Measure, Result, machine
from watchkeeper.bench.measures import ALL, Unproven, ledger, profile
from watchkeeper.bench.peers.compare import peers
from watchkeeper.bench.peers.killed import killed
from watchkeeper.bench.report import as_json, described, show, write

ENTRIES_FULL: Final = 1_000_000
SERVICES: Final = 1_000
BESIDE: Final = {"peers": peers, "killed": killed}  # these know other software
FAILED: Final = 1


def main(
    *,
    only: Sequence[str] = (),
    seconds: float = 10.0,
    repeat: int = 1,
    services: int = SERVICES,
    profiled: bool = False,
    full: bool = False,
    json: bool = False,
    out: Path | None = None,
    peers: Path | None = None,
) -> int:
    console = Console(stderr=json, highlight=False)
    try:
        result = asyncio.run(
            _bench(console, only, seconds, repeat, services, profiled=profiled, full=full, installed=peers)
        )
    except Unproven as unproven:
        Console(stderr=True).print(f"wk bench: no figures: {unproven}")
        return FAILED
    if json:
        sys.stdout.buffer.write(as_json(result))
    else:
        show(result, console)
    if out is not None:
        for path in write(result, out):
            console.print(f"wrote {path}", style="dim")
    return 0


async def _bench(
    console: Console,
    only: Sequence[str],
    seconds: float,
    repeat: int,
    services: int,
    *,
    profiled: bool,
    full: bool,
    installed: Path | None,
) -> Result:
    """`profiled` alone prints the stages and nothing else. `installed`: where peers are, to be measured beside."""
    at = datetime.now(UTC)
    names = list(only) or ([] if profiled and not full and installed is None else list(ALL))
    if installed is not None and not only:
        names += BESIDE
    with tempfile.TemporaryDirectory(prefix="wk-bench-") as folder:
        known = machine(Path(folder))
        console.print(described(known), style="dim")
        turns: list[tuple[Measure, ...]] = []
        for turn in range(repeat if names else 0):
            found: list[Measure] = []
            for name in names:
                measure: Any = ALL.get(name)
                if full and name == "ledger":
                    measure = partial(ledger, entries=ENTRIES_FULL)
                if name in BESIDE:
                    measure = partial(BESIDE[name], installed=installed or Path("peers"))
                what = (getattr(measure, "func", measure).__doc__ or "").splitlines()[0]
                console.print(f"turn {turn + 1} of {repeat}: {name} ({what})", style="dim")
                found.append(await measure(Path(folder) / f"{turn}-{name}", seconds, services))
            turns.append(tuple(found))
        stages: dict[str, float] = {}
        effects = 0
        if profiled:
            console.print("where the CPU goes", style="dim")
            stages, effects = await profile(Path(folder) / "profile", seconds, services)
    return Result(
        at=at,
        machine=known,
        seconds=seconds,
        services=services,
        turns=tuple(turns),
        stages_us=stages,
        profiled_effects=effects,
    )
