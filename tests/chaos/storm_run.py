"""The storm at its real size, on the real clock and the store on disk: measures memory, order and drain, prints one line.

    python tests/chaos/storm_run.py [--alerts 100000] [--services 5000]

All of it is on the disk before anything is judged. One alert in twenty is critical and has a repair; the rest is noise
about the same services. Three services are of the most important transaction. While the backlog drains, a fresh critical
alert of that transaction comes every half second, and how long its run takes to start is measured. The line is JSON: what was measured, and `failures`, which is empty when the promises held.
"""

import argparse
import asyncio
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from random import Random

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import storm  # noqa: E402
from stage import Stage  # noqa: E402

from watchkeeper.adapters.sqlite import SqliteStore  # noqa: E402
from watchkeeper.engine.clock import SystemClock  # noqa: E402
from watchkeeper.engine.pipeline import BATCH_MAX, LINE_MAX  # noqa: E402
from watchkeeper.engine.records import RunRecord  # noqa: E402
from watchkeeper.errors import Unavailable  # noqa: E402

BATCH = 50  # alerts in one delivery
AT_ONCE = 200  # runs
WITHIN_S = 3_600.0
GROWTH_KIB_MAX = 12  # of memory for each alert that is known: the alert, its incident and the store's own pages
FIRST = ("s17", "s1234", "s4321")
FRESH = 20
FRESH_EVERY_S = 0.5


class Disk(Stage):
    def __init__(self, folder: Path, files: dict[str, bytes]) -> None:
        super().__init__(files)
        self.store = SqliteStore.open(folder)
        self.clock = SystemClock()


def rss_mib() -> float:
    return float(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


async def played(folder: Path, count: int, services: int, seed: int) -> dict[str, object]:
    first = [name for name in FIRST if int(name[1:]) < services] or ["s0"]
    fresh = [f"s{number}" for number in range(services, services + FRESH)]
    transactions = f"- {{name: checkout, priority: 1, owner: group:ops, hops: [{', '.join((*first, *fresh))}]}}"
    stage = Disk(folder, storm.many(services + FRESH, at_once=AT_ONCE, transactions=transactions))
    await stage.begin()
    engine = stage.on
    alerts = [storm.alert("Down", f"s{number}", "critical") for number in range(services)]
    alerts += [storm.alert("Noise", f"s{n % services}", "info", 1 + n // services) for n in range(count - services)]
    Random(seed).shuffle(alerts)
    before, line_most, waiting_most, later = rss_mib(), 0, 0, 0
    began = time.monotonic()

    async def post() -> None:
        nonlocal later
        for start in range(0, len(alerts), BATCH):
            body = storm.webhook(alerts[start : start + BATCH])
            while True:
                try:
                    await engine.intake.accept("default", "alertmanager", body, {"content-type": "application/json"})
                    break
                except Unavailable:
                    later += 1
                    await asyncio.sleep(0.2)
            engine.pipeline.nudge()

    async with engine.pipeline.turn:
        await post()
    posted_s, repaired_s, drained_s = time.monotonic() - began, 0.0, 0.0
    came: dict[str, float] = {}

    async def comes() -> None:
        for name in fresh:
            came[name] = time.time()
            body = storm.webhook([storm.alert("Down", name, "critical")])
            await engine.intake.accept("default", "alertmanager", body, {"content-type": "application/json"})
            engine.pipeline.nudge()
            await asyncio.sleep(FRESH_EVERY_S)

    posting = asyncio.create_task(comes())
    while not posting.done() or engine.intake.pending or len(engine.pipeline._line) or engine.runner.live:
        assert not engine.failed, engine.failed
        assert time.monotonic() - began < WITHIN_S, f"{engine.intake.pending} deliveries wait after {WITHIN_S:.0f} s"
        line_most, waiting_most = max(line_most, len(engine.pipeline._line)), max(waiting_most, engine.intake.pending)
        if not drained_s and not engine.intake.pending and not len(engine.pipeline._line):
            drained_s = time.monotonic() - began - posted_s
        if len(stage.theatre.sent) >= services and not repaired_s:
            repaired_s = time.monotonic() - began - posted_s
        await asyncio.sleep(0.05)
    drained_s = drained_s or time.monotonic() - began - posted_s
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    records = await stage.all(RunRecord)
    opened = {record.targets[0].rpartition("/")[2]: record.at.timestamp() for record in records}
    waits = sorted(round((opened[name] - at) * 1000) for name, at in came.items() if name in opened)
    ran = [name for record in records if (name := record.targets[0].rpartition("/")[2]) not in came]
    places = [ran.index(name) for name in first]
    failures = []
    if sorted(ran) != sorted(f"s{number}" for number in range(services)):
        failures.append(f"{len(ran)} runs, {len(set(ran))} targets, expected {services}")
    if max(places) >= len(first) or len(waits) < FRESH:
        failures.append(f"the critical transaction's runs were number {places}; {len(waits)} of {FRESH} fresh ones ran")
    if line_most > LINE_MAX + (BATCH_MAX + 1) * BATCH + services:
        failures.append(f"{line_most} alerts stood in line")
    if (peak - before) * 1024 / count > GROWTH_KIB_MAX:
        failures.append(f"memory grew by {(peak - before) * 1024 / count:.1f} KiB an alert")
    held = await stage.store.count("decision", {"verdict": "hold"})
    await engine.stop()
    size = await stage.store.size_bytes()
    await stage.store.close()
    return {
        "alerts": count,
        "services": services,
        "posted_s": round(posted_s, 1),
        "repaired_s": round(repaired_s, 1),
        "drained_s": round(drained_s, 1),
        "alerts_per_s": round(count / drained_s),
        "rss_before_mib": round(before),
        "rss_peak_mib": round(peak),
        "line_most": line_most,
        "deliveries_waiting_most": waiting_most,
        "answered_later": later,
        "held_decisions": held,
        "transaction_places": [place + 1 for place in places],
        "fresh_ms_p50": waits[len(waits) // 2] if waits else None,
        "fresh_ms_most": waits[-1] if waits else None,
        "store_mib": round(size / 2**20),
        "failures": failures,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--alerts", type=int, default=100_000)
    parser.add_argument("--services", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="storm-") as folder:
        found = asyncio.run(played(Path(folder), given.alerts, given.services, given.seed))
    sys.stdout.write(json.dumps(found) + "\n")
    return 1 if found["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
