"""Alerts of one batch: those that cannot meet are judged together, those of one entity in turn."""

from typing import Any

from stage import Stage, house, play, rule, runbook, services

NAMES = tuple(f"web-{number}" for number in range(8))
FLEET = house(
    rules={"down": rule(priority=20), "slow": rule("Slow", "other", priority=20)},
    runbooks={"mend": runbook(), "other": runbook()},
    catalog=services(*NAMES),
)
WHOLE = house(rules={"down": rule(more="  per: incident\n")}, runbooks={"mend": runbook()}, catalog=services(*NAMES))


class Counting:
    """How many decisions were on their way to the disk at once."""

    def __init__(self, store: Any) -> None:
        self._store, self.now, self.most = store, 0, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def commit(self, commit: Any) -> Any:
        decides = any(put.kind == "decision" for put in commit.puts)
        self.now += decides
        self.most = max(self.most, self.now)
        try:
            return await self._store.commit(commit)
        finally:
            self.now -= decides


def counted(stage: Stage) -> Counting:
    found = Counting(stage.on.scribe.store)
    stage.on.scribe.store = found
    return found


def test_services_of_one_batch_are_decided_together_and_each_is_mended_once() -> None:
    async def scene(stage: Stage) -> None:
        count = counted(stage)
        for name in NAMES:
            await stage.fire("Down", name)
        await stage.ended(len(NAMES))
        assert count.most > 1
        assert sorted(run.targets[0].rpartition("/")[2] for run in await stage.runs()) == sorted(NAMES)
        assert await stage.verdicts() == ["act"] * len(NAMES)

    play(scene, Stage(FLEET))


def test_two_alerts_on_one_entity_take_turns_and_the_second_finds_its_target_taken() -> None:
    async def scene(stage: Stage) -> None:
        count = counted(stage)
        await stage.fire("Down", "web-1")
        await stage.fire("Slow", "web-1")
        first, second = (await stage.decided(2))[:2]
        assert count.most == 1
        assert (first.rule, first.verdict) == ("shop/down", "act")
        assert (second.rule, second.verdict) == ("shop/slow", "hold")
        assert second.reason.startswith("Waits for "), second.reason
        await stage.ended(2)
        assert stage.theatre.most_at_work == 1

    play(scene, Stage(FLEET, trusted=("shop/down", "shop/slow")))


def test_where_a_rule_decides_for_incidents_the_alerts_of_one_take_turns() -> None:
    async def scene(stage: Stage) -> None:
        count = counted(stage)
        assert stage.on.world.configuration.rulebook.per_incident
        await stage.fire("Down", "web-1", number=1)
        await stage.fire("Down", "web-1", number=2)
        await stage.ended(1)
        assert count.most == 1
        assert [each.verdict.value for each in await stage.decisions(verdict="act")] == ["act"]

    play(scene, Stage(WHOLE))
