"""What this machine does: figures from real processes, each proven by the record before it is shown."""

import importlib
from pathlib import Path
from typing import Final

from watchkeeper.surface.cli.place import Ends, Exit

MEASURES: Final = ("latency", "effects", "intake", "runs", "ledger", "start", "peers", "killed")


def bench(
    *,
    only: tuple[str, ...] = (),
    seconds: float = 10.0,
    repeat: int = 1,
    services: int = 1_000,
    profile: bool = False,
    full: bool = False,
    json: bool = False,
    out: Path | None = None,
    peers: Path | None = None,
) -> int:
    """Measure this machine: a node, a sender and a target as processes of their own, in a folder that goes afterwards.

    Parameters
    ----------
    only
        One of latency, effects, intake, runs, ledger, start, peers, killed, as often as wanted. Without one all of them, the
        last two only with --peers: other software at the same work, and what `kill -9` loses.
    seconds
        How long each measure drives.
    repeat
        How many times all is measured; the spread is shown.
    services
        How many services the node looks after.
    profile
        Show where the CPU of one effect goes, by stage; alone unless measures are named.
    full
        Verify a million ledger entries instead of working it out from fewer.
    json
        Raw results.
    out
        A folder for raw results and plots.
    peers
        A folder where DBOS, Prefect, ansible-rulebook and n8n are installed, each in a folder of its name; those that are
        there are measured beside. 'killed' measures this software without it.
    """
    unknown = [each for each in only if each not in MEASURES]
    if unknown:
        raise Ends(Exit.USAGE, f"{unknown[0]!r} is no measure: one of {', '.join(MEASURES)}")
    if not 1 <= seconds <= 3_600 or not 1 <= repeat <= 100 or not 10 <= services <= 20_000:
        raise Ends(Exit.USAGE, "--seconds is 1 to 3600, --repeat 1 to 100, --services 10 to 20000")
    try:
        found = importlib.import_module("watchkeeper.bench.bench")
    except ModuleNotFoundError as missing:
        raise Ends(Exit.LATER, f"this installation has no bench ({missing.name} is missing)") from missing
    done = found.main(
        only=only,
        seconds=seconds,
        repeat=repeat,
        services=services,
        profiled=profile,
        full=full,
        json=json,
        out=out,
        peers=peers,
    )
    return int(done)
