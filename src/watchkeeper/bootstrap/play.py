"""Scenarios and backtests: the real engine over a store in memory, on virtual time."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from watchkeeper.adapters.actions import all_actions
from watchkeeper.adapters.cel import CelCompiler
from watchkeeper.adapters.http import HttpClient
from watchkeeper.adapters.memory_store import Forgetful, MemoryStore
from watchkeeper.adapters.prometheus import PrometheusHistory
from watchkeeper.adapters.ssh import EXTRA as SSH_EXTRA
from watchkeeper.adapters.ssh import SshPool
from watchkeeper.adapters.ssh import installed as ssh_installed
from watchkeeper.bootstrap.record import SEED_BYTES
from watchkeeper.bootstrap.telling import Telling
from watchkeeper.bootstrap.versions import versions
from watchkeeper.decide.decision import DECIDE_REV
from watchkeeper.engine import virtual
from watchkeeper.engine.backtest import Backtest, Hand
from watchkeeper.engine.clock import LoopClock
from watchkeeper.engine.engine import Engine
from watchkeeper.engine.given_outside import Looking, Read, Remembering, Silent
from watchkeeper.engine.given_world import situated
from watchkeeper.engine.lease import FreeLease
from watchkeeper.engine.scenarios import Played
from watchkeeper.engine.scenarios import play as play_scenario
from watchkeeper.engine.sequencer import Sequencer
from watchkeeper.home.configuration import Configuration, compile_home
from watchkeeper.packs.rule import Mode
from watchkeeper.packs.runbook import SecretRef, Via
from watchkeeper.packs.scenario import Scenario
from watchkeeper.report.scrub import Scrubber


def play(configuration: Configuration, scenario: Scenario) -> Played:
    """A scenario, played by the real engine over a store in memory, on virtual time. Nothing leaves this process."""
    return virtual.run(_play(configuration, scenario))


async def _play(home: Configuration, scenario: Scenario) -> Played:
    sent: list[dict[str, Any]] = []
    store, clock, seed = MemoryStore(), LoopClock(scenario.at), bytes(SEED_BYTES)
    client, ssh = HttpClient(), SshPool()
    names = (*all_actions(client, ssh, Telling()), *home.rulebook.actions)
    await ssh.close()
    await client.close()
    given = scenario.given

    async def no_secret(reference: SecretRef) -> str:
        return f"secret:{reference.path}"

    async def nothing_left(pid: int, ticks: int) -> None:
        del pid, ticks

    async def at_once(work: Callable[..., Any], *words: Any) -> Any:
        return work(*words)

    def engine() -> Engine:
        configuration = situated(home, scenario)
        return Engine(
            store,
            clock,
            Random(scenario.name).randbytes,  # noqa: S311  a scenario is played the same each time; nothing here is secret
            configuration,
            actions={name: Remembering(name, given, sent) for name in names},
            prober=Looking(given, configuration),
            channels={"webhook": Silent(), "email": Silent()},
            leaser=no_secret,
            scrubber=Scrubber(()),
            lease=FreeLease(),
            read_folder=dict,
            compile_files=lambda files: compile_home(files, CelCompiler()),
            end_leftover=nothing_left,
            versions=versions(),
            sequencer=Sequencer(store, "watchkeeper/scenario", seed),
            aside=at_once,
            fetch_calendar=Read(given).fetch,
        )

    return await play_scenario(scenario, home, store, engine, sent)


def backtest(configuration: Configuration, *, level: Mode, healthy: bool, run_ms: int) -> Backtest:
    """A backtest over a store that forgets: versions and claims are all that a decision is admitted by."""
    found = Backtest(
        Forgetful(),
        configuration,
        Hand(),
        Random(configuration.digest).randbytes,  # noqa: S311  the same each time; nothing here is secret
        {**versions(), "decide_rev": str(DECIDE_REV)},
        level=level,
        healthy=healthy,
        run_ms=run_ms,
    )
    if not ssh_installed():
        found.situations.without[Via.SSH] = SSH_EXTRA
    return found


@asynccontextmanager
async def prometheus(
    base: str, *, token: str = "", matchers: str = "", awake: str = "up", labels: Mapping[str, str] | None = None
) -> AsyncIterator[PrometheusHistory]:
    """The history of a Prometheus. Raises Rejected for what is no address."""
    async with HttpClient() as client:
        yield PrometheusHistory(client, base, token=token, matchers=matchers, awake=awake, labels=labels or {})
