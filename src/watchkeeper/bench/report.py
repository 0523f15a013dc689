"""What a result looks like: a table on the terminal, JSON, and the page in the docs with its plots."""

from datetime import UTC
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table

from watchkeeper.bench.figures import Machine, Result, Spread, spreads
from watchkeeper.bench.plot import bars, line

BUDGET_US: Final = {
    "intake": 70,
    "correlate and match": 40,
    "guards and encoding": 60,
    "journal and claims": 120,
    "ledger": 40,
    "effect": 80,
    "telemetry": 20,
}


def show(result: Result, console: Console) -> None:
    console.print(described(result.machine))
    if result.turns:
        table = Table(box=None, pad_edge=False)
        for name, right in (
            ("figure", False),
            ("measured", True),
            ("spread", True),
            ("beside", True),
            ("ratio", True),
            ("goal", False),
            ("", False),
        ):
            table.add_column(name, justify="right" if right else "left")
        for each in spreads(result.turns):
            table.add_row(*_cells(each))
        console.print(table)
        for measure in result.turns[-1]:
            console.print(
                f"{measure.name}: {measure.proof} (load {measure.load_before} to {measure.load_after})", style="dim"
            )
    if result.stages_us:
        table = Table(box=None, pad_edge=False)
        for name in ("stage", "CPU µs an effect", "budget at 2,000/s"):
            table.add_column(name, justify="left" if name == "stage" else "right")
        for stage, spent in result.stages_us.items():
            table.add_row(stage, f"{spent:,.0f}", str(BUDGET_US.get(stage, "")))
        table.add_row("together", f"{sum(result.stages_us.values()):,.0f}", "450")
        console.print(table)


def described(machine: Machine) -> str:
    return (
        f"{machine.cpu}, {machine.cores} cores, {machine.memory_bytes / 2**30:.0f} GiB, {machine.kernel}, "
        f"Python {machine.python}, SQLite {machine.sqlite}, Watchkeeper {machine.watchkeeper}; "
        f"one sync of 8 KiB takes {machine.sync_ms} ms"
    )


def as_json(result: Result) -> bytes:
    return msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n"


def write(result: Result, folder: Path) -> list[Path]:
    """Raw results and plots, named by the time of the run."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = result.at.astimezone(UTC).strftime("%Y-%m-%dT%H%MZ")
    written = {
        f"{stem}.json": as_json(result),
        **{f"{stem}-{name}.svg": text.encode() for name, text in plots(result).items()},
    }
    for name, data in written.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in written]


def plots(result: Result) -> dict[str, str]:
    found: dict[str, str] = {}
    measures = {measure.name: measure for turn in result.turns for measure in turn}
    if "latency" in measures:
        took = sorted(measures["latency"].raw["accepted_to_effect_ms"])
        points = [(100 * place / len(took), each) for place, each in enumerate(took)]
        found["latency"] = line("Accepted to first effect, 50 alerts a second", "share of the alerts, %", "ms", points)
    if "effects" in measures:
        counts = measures["effects"].raw["effects_by_second"]
        points = [(float(second), float(count)) for second, count in enumerate(counts)]
        found["effects"] = line("Effects each second", "second", "effects", points)
    if result.stages_us:
        found["stages"] = bars("CPU of one effect, by stage", "µs", list(result.stages_us.items()), BUDGET_US)
    return found


def page_table(result: Result) -> str:
    rows = ["| figure | measured | spread | beside | ratio | goal | |", "|---|--:|--:|--:|--:|---|---|"]
    rows += [f"| {' | '.join(_cells(each))} |" for each in spreads(result.turns)]
    return "\n".join(rows)


def _cells(each: Spread) -> tuple[str, ...]:
    figure = each.figure
    wide = f"{_number(min(each.values))} to {_number(max(each.values))}" if len(each.values) > 1 else ""
    beside = f"{_number(each.beside)} ({figure.beside_name})" if each.beside is not None else ""
    ratio = ""
    if each.ratio is not None:
        spread = f" ({min(each.ratios):.2f} to {max(each.ratios):.2f})" if len(each.ratios) > 1 else ""
        ratio = f"{each.ratio:.2f}{spread}"
    reached = {True: "reached", False: "missed", None: ""}[each.reached]
    return f"{figure.name}", f"{_number(each.value)} {figure.unit}", wide, beside, ratio, figure.goal, reached


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
