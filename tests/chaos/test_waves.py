"""A small fleet in waves, and the process ends at every commit and in every effect: each target is carried out once, or in
doubt and told; no wave begins before the one before is over, across every crash; the threshold holds; every run ends.

`WATCHKEEPER_SEEDS` says how many seeds (a fifth of it), `WATCHKEEPER_SEED` the first one; the failing seed and moment are in the message.
"""

import asyncio
import contextlib
import os
from collections import Counter
from collections.abc import Mapping
from random import Random
from typing import Any

import pytest
from stage import ALICE, Stage, Theatre, component, house, rule, verb_of
from stage import runbook as book
from virtual import run as run_virtual

from watchkeeper.adapters.memory_store import Moment
from watchkeeper.engine.action import Invocation, Surroundings
from watchkeeper.errors import InDoubt, Rejected, Unavailable
from watchkeeper.execute.plan import wave_ends
from watchkeeper.execute.run import Doubted, Event, StepDue
from watchkeeper.ports import Commit

FIRST = int(os.environ.get("WATCHKEEPER_SEED", "1"))
SEEDS = max(20, int(os.environ.get("WATCHKEEPER_SEEDS", "60")) // 5)  # each is three runs over a whole fleet
CHUNKS = 4
ENDS_WITHIN_S = 900.0
GROUP = "web-0"


class Crash(BaseException):
    """The process ends between two writes."""


class Chosen:
    """What one seed plays."""

    def __init__(self, seed: int) -> None:
        dice = Random(seed)
        self.seed = seed
        self.count = dice.randint(5, 8)
        self.names = [f"web-{number}" for number in range(self.count)]
        self.waves = dice.choice([("1", "3", "100%"), ("1", "50%", "100%"), ("2", "100%")])
        self.most = dice.randint(1, 3)
        self.failed, self.unhealthy = dice.randint(1, 3), dice.randint(1, 2)
        self.effect = dice.choice(["keyed", "probed", "once"])
        self.honours = dice.random() < 0.6
        self.on_failure = dice.choice(["undo", "stay"])
        self.cancelled_after = dice.randint(1, self.count) if dice.random() < 0.2 else 0
        moods = ["well"] * 8 + ["refuses", "unhealthy", "silent after", "silent before", "busy"]
        self.moods = {name: dice.choice(moods) for name in self.names}

    def files(self) -> dict[str, bytes]:
        check = "" if self.effect != "probed" else CHECK
        steps = (
            STEPS.replace("WAVES", "[" + ", ".join(f'"{each}"' for each in self.waves) + "]")
            .replace("MOST", str(self.most))
            .replace("FAILED", str(self.failed))
            .replace("UNHEALTHY", str(self.unhealthy))
            .replace("EFFECT", self.effect)
            .replace("CHECK", check)
        )
        catalog = "---".join(component(name, honours=self.honours, more={"group": GROUP}) for name in self.names)
        targets = "  target: {by: {watchkeeper.dev/group: alert.labels.service}, within: {system: shop}, max: 20}\n"
        more = f"  on_stop: undo\n  on_failure: {self.on_failure}\n"
        return house(
            rules={"down": rule(runbook="fleet", more=targets)},
            runbooks={"fleet": book(steps, more).replace("timeout: 5m", "timeout: 2h")},
            catalog=catalog,
        )


STEPS = """
    - id: fleet
      foreach: {in: targets, waves: WAVES, max: MOST, stop: {failed: FAILED, unhealthy: UNHEALTHY}}
      steps:
        - id: renew
          do: http.request
          with: {method: POST, url: "${target.admin}/renew"}
          effect: EFFECT
          timeout: 5s
          retry: {attempts: 3, first: 200ms, max: 1s, errors: [unavailable]}
CHECK          undo: {do: http.request, with: {method: POST, url: "${target.admin}/renounce"}, safe_if_not_done: true}
        - id: healthy
          verify: {http: "${target.admin}/healthz", expect: {status: 200}, successes: 2, every: 500ms, within: 5s}
"""
CHECK = '          check: {do: service.started_since, with: {unit: "${target.name}", since: "${intent_at}"}}\n'


class Targets(Theatre):
    """Targets that count what takes effect, and where the process may end while one has the request in its hands."""

    def __init__(self, chosen: Chosen) -> None:
        super().__init__()
        self.chosen = chosen
        self.carried: Counter[tuple[str, str]] = Counter()  # target, verb
        self.keys: set[str] = set()
        self.met: Counter[str] = Counter()
        self.effects = 0
        self.crash_at = 0
        self.crash_after = False
        self.crashed = False
        for name, mood in chosen.moods.items():
            self.status[name] = 500 if mood == "unhealthy" else 200

    async def perform(self, name: str, invocation: Invocation, around: Surroundings) -> Mapping[str, Any]:
        assert invocation.target is not None
        target, verb = invocation.target.name, verb_of(invocation)
        if verb == "started_since":
            return {"happened": bool(self.carried[target, "renew"]), "why": "it counts"}
        self.sent.append(invocation)
        self.effects += 1
        ends = self.effects == self.crash_at
        if ends and not self.crash_after:
            await self._end()
        await asyncio.sleep(0.05)
        mood = self.chosen.moods[target] if verb == "renew" else "well"
        self.met[target] += 1
        if mood == "refuses":
            raise Rejected(f"{target}: refused")
        if self.met[target] == 1 and mood == "busy":
            raise Unavailable(f"{target}: not now")
        if self.met[target] == 1 and mood == "silent before":
            raise InDoubt(f"{target}: no answer")
        if not self.chosen.honours or invocation.key not in self.keys:
            self.keys.add(invocation.key)
            self.carried[target, verb] += 1
        if ends:
            await self._end()
        if self.met[target] == 1 and mood == "silent after":
            raise InDoubt(f"{target}: no answer")
        return {"status": 200}

    async def _end(self) -> None:
        self.crashed = True
        await asyncio.Event().wait()


class Played:
    """One run over the fleet, with the process ended where it is told to: at that commit, or in that effect."""

    def __init__(self, chosen: Chosen, *, commit: int = 0, moment: Moment = Moment.BEFORE, effect: int = 0) -> None:
        self.chosen = chosen
        self.stage = Stage(chosen.files(), seed=chosen.seed)
        self.theatre = self.stage.theatre = Targets(chosen)
        self.theatre.crash_at, self.theatre.crash_after = effect, moment is Moment.AFTER
        self.commit, self.moment = commit, moment
        self.commits = self.crashes = 0
        self.crashed = False
        self.cancelled = False
        self.doubts_told: set[str] = set()

    def _between(self, moment: Moment, _commit: Commit) -> None:
        if self.crashed:
            raise Crash
        self.commits += moment is Moment.BEFORE
        if self.commit and self.commits == self.commit and moment is self.moment:
            self.crashed = True
            raise Crash

    async def whole(self) -> None:
        stage = self.stage
        await stage.begin()
        stage.store.between = self._between
        with contextlib.suppress(Crash):
            await stage.fire("Down", GROUP)
        waited = 0.0
        while not await self._ended():
            await asyncio.sleep(0.1)
            waited += 0.1
            if self.crashed or self.theatre.crashed:
                await self._again()
            with contextlib.suppress(Crash):
                await self._person()
            assert waited < ENDS_WITHIN_S, f"no run ended: {[each.status for each in await stage.runs()]}"
        stage.store.between = None
        assert not stage.on.failed, stage.on.failed
        await stage.on.stop()

    async def _again(self) -> None:
        """The next process; who posts heard no 2xx, or posts what fires again anyway."""
        self.crashes += 1
        await self.stage.on.stop()
        self.commit, self.crashed = 0, False
        self.theatre.crash_at, self.theatre.crashed = 0, False
        self.stage.store = self.stage.store.reopened()
        self.stage.store.between = self._between
        await self.stage.boot()
        await self.stage.fire("Down", GROUP)

    async def _ended(self) -> bool:
        if self.crashed or self.theatre.crashed:
            return False
        return any(not each.open for each in await self.stage.runs())

    async def _person(self) -> None:
        """Looks at what is in doubt, once told; and cancels, where the seed says so."""
        engine = self.stage.on
        for run, live in tuple(engine.runner.live.items()):
            for path in tuple(live.run.doubts):
                told = [
                    each for each in self.stage.told.notices if each.ids.get("run") == run and each.kind == "in_doubt"
                ]
                if not told:
                    continue  # it is told at once; a run that waits for ever fails above
                self.doubts_told.add(path)
                name = f"web-{path.partition('[')[2].partition(']')[0]}"
                events = await self.stage.journal(run)
                undoing = [each.undo for each in events if isinstance(each, Doubted) and each.path == path][-1]
                verb = "renounce" if undoing else "renew"
                happened = bool(self.theatre.carried[name, verb])
                await engine.steering.settle(ALICE, run, path, "looked", happened=happened)
            begun = sum(self.theatre.met[name] > 0 for name in self.chosen.names)
            if self.chosen.cancelled_after and begun >= self.chosen.cancelled_after and not self.cancelled:
                self.cancelled = True
                await engine.steering.cancel(ALICE, run, "tested")


async def judge(played: Played) -> None:
    chosen, theatre, stage = played.chosen, played.theatre, played.stage
    runs = await stage.runs()
    first = runs[0]
    assert not first.open
    events = await stage.journal(first.id)
    assert [type(each).__name__ for each in events].count("Ended") == 1
    _waves(chosen, events)
    begun = {_index(each) for each in events if isinstance(each, StepDue)} - {None}
    for mood, most in (("refuses", chosen.failed), ("unhealthy", chosen.unhealthy)):
        bad = [index for index in begun if chosen.moods[f"web-{index}"] == mood]
        assert len(bad) < most + chosen.most, (
            f"{len(bad)} targets {mood}, the threshold is {most} with {chosen.most} at once"
        )
    for name in chosen.names:
        index = chosen.names.index(name)
        renewed, renounced = theatre.carried[name, "renew"], theatre.carried[name, "renounce"]
        assert renewed <= 1, f"{name} was carried out {renewed} times"
        assert not renewed or index in begun, f"{name} was carried out before it began"
        if first.status == "succeeded":
            good = chosen.moods[name] not in {"refuses", "unhealthy"}
            assert index in begun
            assert renewed == (chosen.moods[name] != "refuses")
            assert not good or not renounced, f"{name} did well and was undone"
        if first.status in {"undone", "cancelled"}:
            assert bool(renounced) >= renewed, f"{name}: the run is {first.status}, and it was not undone"
    if first.status == "succeeded":
        bad = Counter(chosen.moods.values())
        assert bad["refuses"] < chosen.failed
        assert bad["unhealthy"] < chosen.unhealthy
    now = stage.clock.now()
    mine = [each for each in await stage.store.claims(now) if each.until_at is None and each.run == first.id]
    assert not mine, f"claims of an ended run are left: {mine}"


def _index(event: Event) -> int | None:
    path = getattr(event, "path", "")
    return int(path.partition("[")[2].partition("]")[0]) if "[" in path else None


def _waves(chosen: Chosen, events: list[Event]) -> None:
    """A target begins only when all of the waves before have had their last word; what follows can only be an undo of the
    whole, after which none begins.
    """
    ends = wave_ends(chosen.waves, chosen.count)
    began: dict[int, int] = {}
    last: dict[int, int] = {}
    for number, event in enumerate(events):
        index = _index(event)
        if index is None:
            continue
        began.setdefault(index, number)
        last[index] = number
    assert list(began) == sorted(began), "targets begin in their order"
    final = max(began.values(), default=0)
    for index, number in began.items():
        start = max((end for end in ends if end <= index), default=0)
        for before in range(start):
            assert before in began, f"web-{index} began and web-{before} of a wave before had not"
            later = [
                at
                for at in range(number, len(events))
                if _index(events[at]) == before and not getattr(events[at], "undo", False)
            ]
            assert not later, f"web-{index} began while web-{before} of a wave before was under way"
            assert last[before] < number or last[before] > final, f"web-{before} was undone between two waves"


def play(chosen: Chosen, **ends: Any) -> Played:
    played = Played(chosen, **ends)

    async def both() -> None:
        await played.whole()
        await judge(played)

    try:
        run_virtual(both())
    except Exception as broken:
        raise AssertionError(f"seed {chosen.seed}, ended at {ends}: {type(broken).__name__}: {broken}") from broken
    return played


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_a_fleet_goes_on_in_its_wave_whatever_ends_the_process(chunk: int) -> None:
    for seed in range(FIRST + chunk, FIRST + SEEDS, CHUNKS):
        chosen, dice = Chosen(seed), Random(-seed)
        calm = play(chosen)
        moment = dice.choice(list(Moment))
        play(chosen, commit=dice.randint(1, calm.commits), moment=moment)
        play(chosen, effect=dice.randint(1, max(1, calm.theatre.effects)), moment=moment)


@pytest.mark.parametrize("effect", ["keyed", "probed", "once"])
def test_the_process_ends_at_every_commit_and_in_every_effect(effect: str) -> None:
    chosen = next(
        each for each in map(Chosen, range(10_000)) if (each.effect, each.on_failure, each.count) == (effect, "undo", 5)
    )
    calm = play(chosen)
    for moment in Moment:
        for number in range(1, calm.commits + 1):
            play(chosen, commit=number, moment=moment)
        for number in range(1, calm.theatre.effects + 1):
            play(chosen, effect=number, moment=moment)
