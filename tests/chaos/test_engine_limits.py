"""SEMANTICS 3: limits are claimed. A burst never passes them, and everything gets its turn."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from stage import ALICE, SETTINGS, Stage, house, play, services

from watchkeeper.engine.answer import No
from watchkeeper.engine.records import RunRecord
from watchkeeper.execute.run import Intended
from watchkeeper.guards.situation import Scope
from watchkeeper.ports import Commit

COUNT = 50
NAMES = tuple(f"svc-{number}" for number in range(COUNT))
TIGHT = SETTINGS + "limits: {runs: {service: 2, region: 8, global: 5}}\n"


def test_a_burst_of_fifty_alerts_never_runs_more_than_five_and_all_get_their_turn() -> None:
    most = 0

    async def scene(stage: Stage) -> None:
        nonlocal most
        stage.theatre.takes_s = {"drain": 0.5, "restart": 0.5}
        for name in NAMES:
            await stage.fire("Down", name)
        waited = 0.0
        while len(await stage.runs(state="closed")) < COUNT:
            most = max(most, len(stage.on.world.runs), len(await stage.runs(state="open")))
            await stage.passes(0.1)
            waited += 0.1
            assert waited < 60, f"{len(await stage.runs(state='closed'))} of {COUNT} after a minute"
        assert Counter(each.target.name for each in stage.theatre.sent if each.target) == Counter(
            dict.fromkeys(NAMES, 2)
        )
        left = [claim for claim in await stage.store.claims(stage.clock.now()) if claim.until_at is None]
        assert left == []

    play(scene, Stage(house(catalog=services(*NAMES), settings=TIGHT)))
    assert most == 5


def test_after_a_crash_in_a_burst_everything_still_gets_its_turn() -> None:
    async def scene(stage: Stage) -> None:
        stage.theatre.takes_s = {"drain": 0.5, "restart": 0.5}
        for name in NAMES[:15]:
            await stage.fire("Down", name)
        await stage.passes(0.3)
        await stage.crash()
        assert len(stage.on.world.runs) <= 5
        found = await stage.ended(15, within_s=200)
        assert {each.status for each in found} <= {"succeeded"}

    play(scene, Stage(house(catalog=services(*NAMES[:15]), settings=TIGHT)))


@pytest.mark.parametrize(
    ("scope", "field"),
    [
        (Scope(service="component:default/nothing"), "scope.service"),
        (Scope(entity="nothing"), "scope.entity"),
        (Scope(environment="moon"), "scope.environment"),
        (Scope(region="moon"), "scope.region"),
        (Scope(system="nothing"), "scope.system"),
        (Scope(tier="tin"), "scope.tier"),
        (Scope(rule="shop/none"), "scope.rule"),
    ],
)
def test_a_scope_that_covers_nothing_is_refused(scope: Scope, field: str) -> None:
    async def scene(stage: Stage) -> None:
        no = await stage.on.limits.stop(ALICE, scope, "oops")
        assert isinstance(no, No)
        assert (no.status, no.more) == (400, {"field": field})
        assert await stage.store.count("stop") == 0

    play(scene)


async def intents(stage: Stage) -> int:
    """That are on record. What was intended before the stop may still be on its way out."""
    journals = [await stage.journal(run.id) for run in await stage.all(RunRecord)]
    return sum(isinstance(event, Intended) for journal in journals for event in journal)


def test_a_stop_that_returned_is_never_passed_by_an_intent() -> None:
    async def scene(stage: Stage) -> None:
        for name in NAMES[:10]:
            await stage.fire("Down", name)
        await asyncio.sleep(0)
        await stage.on.limits.stop(ALICE, Scope(), "now")
        before = await intents(stage)
        assert before < 10, "the stop came while some had not begun"
        await stage.passes(120)
        assert await intents(stage) == before
        assert len(stage.theatre.sent) <= before

    play(scene, Stage(house(catalog=services(*NAMES[:10]))))


class LateScribe:
    """Commits as the scribe does, and hears of it a second later: what is durable is not yet known here."""

    def __init__(self, scribe: Any) -> None:
        self._scribe = scribe

    def __getattr__(self, name: str) -> Any:
        return getattr(self._scribe, name)

    async def commit(self, commit: Commit) -> Any:
        outcome = await self._scribe.store.commit(commit)
        await asyncio.sleep(1)
        self._scribe.versions.update(outcome.versions)
        return outcome


@pytest.mark.parametrize("what", ["stop", "hold", "freeze"])
def test_what_is_durable_and_not_yet_known_is_not_passed_either(what: str) -> None:
    async def scene(stage: Stage) -> None:
        stage.theatre.takes_s["drain"] = 0.5
        await stage.fire("Down", "web")
        await stage.until(lambda: stage.theatre.sent)
        stage.on.limits._scribe = LateScribe(stage.on.scribe)
        now = stage.clock.now()
        until_at = now + timedelta(minutes=5)
        match what:
            case "stop":
                await stage.on.limits.stop(ALICE, Scope(), "now")
            case "hold":
                await stage.on.limits.hold(ALICE, Scope(), until_at, "mine")
            case _:
                await stage.on.limits.freeze(ALICE, Scope(), now, until_at, "month end")
        (run,) = await stage.ended()
        assert run.status == "stopped"
        assert "restart" not in stage.theatre.verbs()

    play(scene)
