"""The child that plays scenarios, run as `python -m watchkeeper.surface.play FILE`: one line of JSON a scenario.

FILE holds the files of one configuration and the names to play. It gives way to everything else on the machine, and one
scenario that does not come to its end is told as that, and the next is played.
"""

import logging
import os
import signal
import sys
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import Any, Final

import msgspec
import structlog
from msgspec import Struct

from watchkeeper import bootstrap
from watchkeeper.engine.player import Result
from watchkeeper.errors import WatchkeeperError
from watchkeeper.home.configuration import Configuration
from watchkeeper.packs.scenario import Scenario

NICE: Final = 10


class Given(Struct):
    files: dict[str, bytes]
    names: list[str]
    each_ms: int


class Late(BaseException):
    """A scenario took too long. No Exception: nothing on the way may take it for its own."""


def main(path: Path) -> int:
    os.nice(NICE)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    given = msgspec.msgpack.decode(path.read_bytes(), type=Given)
    found = bootstrap.compile_files(given.files)
    if found.configuration is None:
        sys.stderr.write(f"the configuration has errors; the first: {found.errors[0]}\n")
        return 1
    signal.signal(signal.SIGALRM, _late)
    wanted = set(given.names)
    for scenario in sorted(found.configuration.scenarios, key=lambda each: each.name):
        if scenario.name in wanted:
            result = _played(found.configuration, scenario, given.each_ms)
            sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")
            sys.stdout.buffer.flush()
    return 0


def _played(configuration: Configuration, scenario: Scenario, each_ms: int) -> Result:
    began = monotonic()

    def result(**more: Any) -> Result:
        took_ms = int((monotonic() - began) * 1_000)
        return Result(scenario=scenario.name, configuration=configuration.digest, took_ms=took_ms, **more)

    signal.setitimer(signal.ITIMER_REAL, each_ms / 1_000)
    try:
        found = bootstrap.play(configuration, scenario)
    except Late:
        return result(broken=f"it was not at its end after {each_ms // 1_000} s")
    except WatchkeeperError as failed:
        return result(broken=str(failed))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return result(
        failures=found.failures,
        verdict=found.verdict,
        reason=found.reason,
        rule=found.rule,
        status=found.status,
        effects=len(found.effects),
    )


def _late(_number: int, _frame: FrameType | None) -> None:
    raise Late


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
