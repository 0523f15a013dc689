"""The long runs, by `make soak`: real nodes killed hundreds of times, thousands of seeds of the simulated world, power
lost at hundreds of seeded moments. Prints as it goes and writes docs/soak.md, with every failure and how to repeat it.

The first seed rotates with the day, so that each run looks where none has looked before; --seed repeats one.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from time import monotonic
from typing import Any

import apsw

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "soak.md"
PYTEST = (sys.executable, "-m", "pytest", "-o", "addopts=-q --strict-markers -p no:cacheprovider")
SEEDS_A_DAY = 100_000
FAILURES_SHOWN = 40
WORDS_SHOWN = 300
KILL_ROUND, SIMULATION_ROUND, POWER_ROUND, STORE_ROUND = 100, 240, 120, 60  # so many between two lines of progress
RESTORE_ROUND = 60
BULK = "Bulk in waves"
RESTORE_KILLS = "Restore and backup killed"
COUNTED = "WATCHKEEPER_COUNTED"
SURE = {"PYTHONPATH": str(ROOT / "src"), "COLUMNS": "600"}  # this tree, and whole sentences


@dataclass
class Part:
    name: str
    unit: str
    done: int = 0
    first: int = 0
    last: int = 0
    seconds: float = 0.0
    skipped: bool = False
    failures: list[str] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)
    figures: dict[str, Any] = field(default_factory=dict)
    measured: dict[str, Any] = field(default_factory=dict)


def main() -> int:
    given = _arguments()
    began = datetime.now(UTC)
    first = given.seed if given.seed is not None else (began.date() - date(2026, 1, 1)).days * SEEDS_A_DAY + 1
    parts: list[Part] = []
    for part, rounds in (
        (Part("Simulated world", "seeds"), _simulated(first, given.seeds)),
        (Part("Power lost", "seeds"), _power(first, given.power)),
        (Part("Store killed", "kills"), _store(first, given.store_kills)),
        (Part("Node killed", "kills"), _kills(first, given.kills)),
        (Part("Power lost in a restore", "seeds"), _restores(first, given.restores)),
        (Part(RESTORE_KILLS, "kills"), _restore_kills(first, given.restore_kills)),
        (Part("Prometheus and Alertmanager", "rounds"), _servers(given.servers)),
        (Part(BULK, "targets"), _bulk(given.bulk)),
    ):
        _carry_out(part, rounds)
        parts.append(part)
        PAGE.write_text(_page(began, parts), encoding="utf-8")
    if given.storm:
        parts.append(_storm(given.storm, given.storm_services, first))
        PAGE.write_text(_page(began, parts), encoding="utf-8")
    failed = sum(len(part.failures) for part in parts)
    _say(f"{PAGE.relative_to(ROOT)}: {failed} failures")
    return 1 if failed else 0


@dataclass
class Round:
    argv: tuple[str, ...]
    seed: int
    count: int
    environment: dict[str, str]


def _simulated(first: int, seeds: int) -> Iterator[Round]:
    for start, count in _steps(first, seeds, SIMULATION_ROUND):
        environment = {"WATCHKEEPER_SEED": str(start), "WATCHKEEPER_SEEDS": str(count)}
        yield Round(("tests/chaos/test_simulation.py", *_both()), start, count, environment)


def _power(first: int, seeds: int) -> Iterator[Round]:
    for start, count in _steps(first, seeds, POWER_ROUND):
        environment = {"WATCHKEEPER_SEED": str(start), "WATCHKEEPER_SEEDS": str(count)}
        yield Round(("tests/chaos/test_power_loss.py", *_both()), start, count, environment)


def _store(first: int, kills: int) -> Iterator[Round]:
    for start, count in _steps(first, kills, STORE_ROUND):
        environment = {"WATCHKEEPER_SEED": str(start), "WATCHKEEPER_KILLS": str(count)}
        yield Round(("tests/chaos/test_store_kill.py", "-o", "timeout=0"), start, count, environment)


def _kills(first: int, kills: int) -> Iterator[Round]:
    for start, count in _steps(first, kills, KILL_ROUND):
        environment = {"WATCHKEEPER_SEED": str(start), "WATCHKEEPER_KILLS": str(count)}
        yield Round(("tests/e2e/test_kill.py", "-o", "timeout=0"), start, count, environment)


def _restores(first: int, seeds: int) -> Iterator[Round]:
    for start, count in _steps(first, seeds, RESTORE_ROUND):
        environment = {"WATCHKEEPER_SEED": str(start), "WATCHKEEPER_RESTORES": str(count)}
        yield Round(("tests/chaos/test_restore_power.py", *_both()), start, count, environment)


def _restore_kills(first: int, lives: int) -> Iterator[Round]:
    for start, count in _steps(first, lives, RESTORE_ROUND):
        environment = {"WATCHKEEPER_SEED": str(start), "WATCHKEEPER_RESTORE_KILLS": str(count)}
        yield Round(("tests/chaos/test_restore_kill.py", "-o", "timeout=0"), start, count, environment)


def _servers(rounds: int) -> Iterator[Round]:
    for number in range(rounds):
        yield Round(("tests/e2e/test_alertmanager.py",), number + 1, 1, {})


def _bulk(targets: int) -> Iterator[Round]:
    """One run over so many targets in waves, killed twice and stopped by its threshold. 0 leaves it out."""
    if targets:
        yield Round(("tests/e2e/test_bulk.py", "-o", "timeout=0"), 1, targets, {"WATCHKEEPER_BULK": str(targets)})


def _storm(alerts: int, services: int, seed: int) -> Part:
    """One storm at its real size: `tests/chaos/storm_run.py` measures it and says itself what failed."""
    part = Part("Storm", "alerts", first=seed, last=seed)
    began = monotonic()
    argv = (
        sys.executable,
        "tests/chaos/storm_run.py",
        f"--alerts={alerts}",
        f"--services={services}",
        f"--seed={seed}",
    )
    environment = {**os.environ, **SURE}
    said = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    part.seconds = monotonic() - began
    try:
        part.measured = json.loads(said.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        part.failures = [f"it ended with {said.returncode}: {said.stderr[-WORDS_SHOWN:]}"]
    else:
        part.done = alerts
        part.failures = [str(each) for each in part.measured["failures"]]
    _say(f"{part.name}: {part.measured or part.failures}")
    return part


def _both() -> tuple[str, ...]:
    return ("-n", str(os.cpu_count() or 1), "-o", "timeout=0")


def _steps(first: int, total: int, size: int) -> Iterator[tuple[int, int]]:
    for start in range(0, total, size):
        yield first + start, min(size, total - start)


def _carry_out(part: Part, rounds: Iterator[Round]) -> None:
    for each in rounds:
        began = monotonic()
        with tempfile.TemporaryDirectory(prefix="soak-") as folder:
            counted = Path(folder) / "counted"
            environment = {**os.environ, **each.environment, COUNTED: str(counted), **SURE}
            environment["WATCHKEEPER_BULK_FIGURES"] = f"{folder}/figures"
            argv = (*PYTEST, *each.argv, "--basetemp", f"{folder}/tests")
            said = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
            for line in counted.read_text().splitlines() if counted.exists() else ():
                part.counted.update(json.loads(line))
            figures = Path(folder) / "figures"
            part.figures = json.loads(figures.read_text()) if figures.exists() else part.figures
        part.seconds += monotonic() - began
        part.first, part.last = part.first or each.seed, each.seed + each.count - 1
        skipped = re.search(r"\b\d+ skipped", said.stdout) is not None
        part.done += 0 if skipped else each.count
        part.skipped = part.skipped or skipped
        part.failures += _failures(each, said)
        _say(f"{part.name}: {part.done} {part.unit}, {part.seconds:.0f} s, {len(part.failures)} failures")
    if part.unit == "kills" and part.counted:
        part.done = part.counted["kills"]


def _failures(each: Round, said: subprocess.CompletedProcess[str]) -> list[str]:
    """One sentence a failed test, and the line that repeats it."""
    if said.returncode == 0:
        return []
    sys.stdout.write(said.stdout[-8_000:] + said.stderr[-2_000:])
    words = re.findall(r"^(?:FAILED|ERROR) (.*)$", said.stdout, flags=re.MULTILINE)
    words = words or [f"pytest ended with {said.returncode} and named no test"]
    again = " ".join(f"{name}={value}" for name, value in each.environment.items())
    return [f"{found[:WORDS_SHOWN]} (again: `{again} pytest {each.argv[0]}`)" for found in words]


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _page(began: datetime, parts: list[Part]) -> str:
    lines = [
        "# Soak",
        "",
        "Written by `make soak`. What each part proves stands at the top of its test.",
        "",
        f"- {began:%Y-%m-%d %H:%M} UTC, commit {_commit()}",
        f"- {', '.join(_machine())}",
        "",
        "| part | how many | first seed | last seed | took | failures |",
        "|---|---|---|---|---|---|",
    ]
    for part in parts:
        seeded = part.name not in {"Prometheus and Alertmanager", BULK}
        seeds = f"{part.first} | {part.last}" if seeded else "- | -"
        took = f"{part.seconds:.0f} s"
        done = "not installed here" if part.skipped else f"{part.done} {part.unit}"
        lines.append(f"| {part.name} | {done} | {seeds} | {took} | {len(part.failures)} |")
    counted = sum((part.counted for part in parts), Counter[str]())
    if counted["starts"]:
        lines += [
            "",
            f"The killed nodes were started {counted['starts']} times. They acknowledged {counted['acknowledged']} "
            f"alerts and lost none of those; they opened {counted['runs']} runs, of which {counted['in_doubt']} "
            "ended in doubt and were told to a person, and the others succeeded."
            if not any(part.failures for part in parts)
            else f"The killed nodes were started {counted['starts']} times; {counted['runs']} runs.",
        ]
    lines += [line for part in parts for line in _bulk_words(part.figures)]
    for found in (part.measured for part in parts if part.measured):
        lines += ["", "## Storm", "", _of_storm(found)]
    failures = [(part.name, failure) for part in parts for failure in part.failures]
    lines += ["", "## Failures", ""]
    lines += [f"- {name}: {failure}" for name, failure in failures[:FAILURES_SHOWN]] or ["None."]
    if len(failures) > FAILURES_SHOWN:
        lines.append(f"- and {len(failures) - FAILURES_SHOWN} more")
    return "\n".join(lines) + "\n"


def _bulk_words(found: dict[str, Any]) -> Iterator[str]:
    if found:
        yield ""
        yield (
            f"The bulk over {found['targets']:,} targets was killed twice with -9 and was under way again after "
            f"{' and '.join(f'{each:g} s' for each in found['taken_up_after_s'])}; {found['effects']:,} targets were "
            f"carried out once each, {found['repeated_under_one_key']} of them asked again under one key, and then its "
            f"threshold stopped it, after {found['took_s']:g} s in all. Its node had {found['peak_bytes'] / 2**20:.0f} MiB at "
            f"most ({found['idle_peak_bytes'] / 2**20:.0f} MiB before), and {found['state_bytes'] / 2**20:.0f} MiB of state."
        )


def _of_storm(found: dict[str, Any]) -> str:
    return (
        f"{found['alerts']:,} alerts on {found['services']:,} services lay on the disk before the first was judged. They were "
        f"drained in {found['drained_s']} s ({found['alerts_per_s']:,} a second, {found['services']:,} repairs among them); "
        f"the runs of the critical transaction were number {', '.join(map(str, found['transaction_places']))} to start. "
        f"{found['fresh']:,} fresh critical alerts came meanwhile: from accepted to their effect {found['fresh_ms_p50']} ms "
        f"(median), {found['fresh_ms_p99']} ms (p99), {found['fresh_ms_most']} ms (the longest). {found['unloaded']:,} such "
        f"alerts before it, to an idle node: {found['unloaded_ms_p50']}, {found['unloaded_ms_p99']} and "
        f"{found['unloaded_ms_most']} ms; so in the storm the p99 was {found['p99_ratio']} times the one without. Memory went from {found['rss_before_mib']} to {found['rss_peak_mib']} MiB; at most "
        f"{found['line_most']:,} alerts stood in line to be judged; the store took {found['store_mib']} MiB."
    )


def _commit() -> str:
    """With a word when what was tested is not exactly that commit."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", "src", "tests")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head}, with {len(changed.splitlines())} files changed since" if changed else head


def _git(*words: str) -> str:
    return subprocess.run(("git", *words), cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def _machine() -> Iterator[str]:
    yield f"{os.cpu_count()} cores"
    yield f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    yield f"{platform.system()} {platform.machine()}"
    yield f"Python {platform.python_version()}"
    yield f"SQLite {apsw.sqlite_lib_version()}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--kills", type=int, default=600, help="of a real node")
    parser.add_argument("--store-kills", type=int, default=300, help="of a process that writes to the store")
    parser.add_argument("--seeds", type=int, default=6_000, help="of the simulated world")
    parser.add_argument("--power", type=int, default=1_200, help="seeds at which the power goes")
    parser.add_argument(
        "--restores", type=int, default=600, help="seeds at which the power goes in a restore or a backup"
    )
    parser.add_argument(
        "--restore-kills", type=int, default=300, help="lives of a restore and of a backup that is killed"
    )
    parser.add_argument("--servers", type=int, default=3, help="times from Prometheus to a resolved incident")
    parser.add_argument("--bulk", type=int, default=10_000, help="targets of one run in waves; 0 leaves it out")
    parser.add_argument("--storm", type=int, default=100_000, help="alerts of one storm; 0 for none")
    parser.add_argument("--storm-services", type=int, default=5_000, help="services that they are about")
    parser.add_argument("--seed", type=int, help="the first seed; without it, by the day")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
