"""DBOS: three-step durable workflows on SQLite in WAL mode."""

# ruff: noqa: ASYNC240  nothing else runs in this loop

from pathlib import Path
from typing import Final

import msgspec

from watchkeeper.bench.peers.peer import python, run, version_of

NAME: Final = "dbos"
INSTALL: Final = "python3 -m venv dbos && dbos/bin/pip install dbos"

# Run by the peer's own interpreter: FOLDER SECONDS AT_ONCE; one line of JSON.
PROGRAM: Final = """
import json, sqlite3, sys, threading, time
from pathlib import Path
from dbos import DBOS

folder, seconds, at_once = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
path = folder / "dbos.sqlite"
before = sqlite3.connect(path)
mode = before.execute("PRAGMA journal_mode=WAL").fetchone()[0]
before.close()
assert mode == "wal", mode
DBOS(config={
    "name": "bench",
    "system_database_url": f"sqlite:///{path}",
    "log_level": "ERROR",
    "run_admin_server": False,
})

@DBOS.step()
def act(service, step):
    return {"status": 200, "service": service, "step": step}

@DBOS.workflow()
def mend(service):
    for step in ("drain", "restart", "undrain"):
        act(service, step)
    return "succeeded"

DBOS.launch()
mend("warm")
done = [0] * at_once
end_s = time.monotonic() + seconds

def drive(lane):
    while time.monotonic() < end_s:
        assert mend(f"svc-{lane}") == "succeeded"
        done[lane] += 1

began_s, began_cpu_s = time.monotonic(), time.process_time()
lanes = [threading.Thread(target=drive, args=(lane,)) for lane in range(at_once)]
for each in lanes:
    each.start()
for each in lanes:
    each.join()
took_s, cpu_s, runs = time.monotonic() - began_s, time.process_time() - began_cpu_s, sum(done)
DBOS.destroy()
rows = sqlite3.connect(path).execute("SELECT count(*) FROM workflow_status WHERE status = 'SUCCESS'").fetchone()[0]
assert rows == runs + 1, f"{rows} of {runs + 1} workflows are recorded as done"
print(json.dumps({"runs": runs, "runs_per_s": runs / took_s, "cpu_us": cpu_s / max(1, runs) * 1e6}))
"""


async def version(folder: Path) -> str:
    """Raises Absent."""
    program = "from importlib.metadata import version; print(version('dbos'))"
    return await version_of([str(python(folder, NAME)), "-c", program])


async def runs(folder: Path, into: Path, seconds: float, at_once: int) -> dict[str, float]:
    """As `bench.alone` answers. Raises Absent."""
    into.mkdir(parents=True)
    program = into / "runs.py"
    program.write_text(PROGRAM, encoding="utf-8")
    said = await run([str(python(folder, NAME)), str(program), str(into), str(seconds), str(at_once)])
    return msgspec.json.decode(said.strip().splitlines()[-1].encode(), type=dict[str, float])
