"""How often rules are called for, over the whole engine: a surge asks and demotes, a silence is told, a week is a week."""

from datetime import timedelta

from rig import ALICE, START
from stage import SETTINGS, Stage, house, play, rule, services

from watchkeeper.engine.answer import No
from watchkeeper.engine.records import RhythmRecord, RhythmsRecord, put
from watchkeeper.guards.situation import Clock
from watchkeeper.learn.rhythm import Unusual
from watchkeeper.learn.standing import Demotion
from watchkeeper.packs.rule import Mode
from watchkeeper.ports import Commit
from watchkeeper.values import EPOCH, id_from

WEEKS = 6
HOUR = timedelta(hours=1)
RULE, WEB = "shop/down", "component:default/web"
MANY = rule().replace("attempts: 3", "attempts: 500")


class Watched(Stage):
    """A node that has counted for six weeks: the rule was called for on each day at nine, `daily` times."""

    def __init__(self, daily: int = 1, *, settings: str = SETTINGS, weeks: int = WEEKS, hour: int = 9) -> None:
        super().__init__(house(rules={"down": MANY}, settings=settings))
        midnight = START.replace(hour=0)
        self.since = midnight - timedelta(weeks=weeks)
        times = [midnight - timedelta(days=day) + hour * HOUR for day in range(1, weeks * 7 + 1)]
        self.broke = 0
        self.hours = {int((at - EPOCH) / HOUR): daily for at in times}

    async def begin(self) -> None:
        record = RhythmRecord(
            id=id_from("rhy", EPOCH, RULE, WEB), rule=RULE, service=WEB, since_at=self.since, hours=self.hours
        )
        node = RhythmsRecord(id="node", counted_to=START, rules={RULE: self.since})
        await self.store.commit(Commit(at=START, puts=(put(record), put(node))))
        await super().begin()

    async def breaks(self, times: int) -> None:
        for _ in range(times):
            self.broke += 1
            number, shard = int((self.clock.now() - START).total_seconds()) // 60, str(self.broke)
            before = len(await self.decisions())
            await self.fire("Down", "web", number=number, shard=shard)
            await self.decided(before + 1)
            await self.passes(2)
            await self.fire("Down", "web", number=number, shard=shard, status="resolved")
            await self.passes(58)

    async def activate(self, files: dict[str, bytes]) -> None:
        self.files = files
        done = await self.on.changes.apply(ALICE, self.on.changes.plan().digest, "changed")
        assert not isinstance(done, No), done

    def calls(self) -> int:
        (series,) = self.on.rhythms.series(RULE)
        return sum(series.hours.values())


def test_the_call_that_is_one_too_many_asks_and_the_cell_falls_to_approve() -> None:
    async def scene(stage: Watched) -> None:
        limit = stage.on.rhythms.of(RULE, [stage.on.situations.target(WEB)], stage.clock.now(), fresh=False).limit
        assert 3 <= limit <= 12, limit
        await stage.breaks(limit)
        assert set(await stage.verdicts()) == {"act"}, [each.reason for each in await stage.decisions()]
        assert await stage.all(Unusual) == []
        await stage.breaks(1)
        asked = (await stage.decisions())[-1]
        assert asked.verdict.value == "ask"
        (finding,) = [each for each in asked.findings if each.guard == "anomaly"]
        assert finding.outcome.value == "ask"
        assert finding.reason == (
            f"shop/down acts unusually often: the number of calls for it on web today is {limit + 1}, "
            f"the limit is {limit}."
        )
        (surge,) = await stage.all(Unusual)
        assert (surge.kind, surge.span) == ("surge", "day")
        assert (surge.calls, surge.bound, surge.weeks) == (limit + 1, limit, WEEKS)
        assert surge.mean_milli == 1000
        (fell, *_) = [each for each in await stage.all(Demotion) if each.cause == surge.id]
        assert (fell.level, fell.because) == (Mode.APPROVE, "anomaly")
        assert fell.why == (
            f"It was called for {limit + 1} times on web on Monday 2 March (UTC); usual are 1.0 then, "
            f"by 6 weeks, and more than {limit} are unusual"
        )
        assert any(each == "shop/down is demoted to approve" for each in stage.subjects("demoted"))
        assert stage.subjects("anomaly") == [], "told once, as a demotion"
        await stage.passes(3_600)
        await stage.breaks(1)
        again = (await stage.decisions())[-1]
        assert (again.verdict.value, again.mode.value) == ("ask", "approve"), "until a person lifts it"
        for each in await stage.all(Demotion, state="open"):
            await stage.on.standings.lift(ALICE, each.id, "a bad disk, changed")

    play(scene, Watched())


def test_what_was_decided_again_in_one_episode_is_one_call_and_a_crash_counts_none_twice() -> None:
    async def scene(stage: Watched) -> None:
        before = stage.calls()
        await stage.breaks(2)
        assert stage.calls() == before + 2
        await stage.crash()
        assert stage.calls() == before + 2, "counted again from what was decided since the last write"
        await stage.passes(40)
        await stage.crash()
        assert stage.calls() == before + 2, "written, and not counted again"
        await stage.fire("Down", "web", number=5)
        await stage.passes(2)
        stage.on.pipeline.now(next(iter(stage.on.correlation.alerts())).id, "a person asked", "alice")
        await stage.passes(5)
        assert stage.calls() == before + 3

    play(scene, Watched())


def test_a_day_without_a_call_is_told_once_it_is_over_and_only_where_there_should_have_been_one() -> None:
    async def scene(stage: Watched) -> None:
        await stage.passes(15 * 3_600 - 120)
        assert await stage.all(Unusual) == [], "the day is not over"
        await stage.passes(240)
        (silence,) = await stage.all(Unusual)
        assert (silence.kind, silence.span, silence.calls, silence.bound) == ("silence", "day", 0, silence.bound)
        assert silence.from_at == START.replace(hour=0)
        assert stage.subjects("anomaly") == ["shop/down is called for unusually seldom"]
        (notice,) = [each for each in stage.told.notices if each.kind.value == "anomaly"]
        assert notice.text.startswith(
            "It was never called for on web on Monday 2 March (UTC); usual are 20.0 then, by 6 weeks"
        )
        assert "a source may be silent" in notice.text
        await stage.crash()
        await stage.passes(300)
        assert len(await stage.all(Unusual)) == 1, "also over a restart"

    play(scene, Watched(daily=20))


def test_one_call_a_day_is_too_few_to_call_a_day_without_one_a_silence() -> None:
    async def scene(stage: Watched) -> None:
        await stage.passes(15 * 3_600 + 120)
        assert await stage.all(Unusual) == []

    play(scene, Watched())


def test_while_it_learns_it_says_nothing_and_switched_off_it_watches_nothing() -> None:
    async def scene(stage: Watched) -> None:
        await stage.breaks(8)
        assert set(await stage.verdicts()) == {"act"}, [each.reason for each in await stage.decisions()]
        (finding,) = [each for each in (await stage.decisions())[-1].findings if each.guard == "anomaly"]
        assert (finding.configured, finding.reason) == (False, "Nothing watches how often this acts.")
        assert await stage.all(Unusual) == []

    play(scene, Watched(weeks=3))
    play(scene, Watched(settings=f"{SETTINGS}\nanomaly: {{watch: false}}\n"))


def test_a_rule_that_left_the_configuration_is_forgotten_and_counts_anew_when_it_comes_back() -> None:
    async def scene(stage: Watched) -> None:
        files = dict(stage.files)
        without = {path: body for path, body in files.items() if not path.endswith("rules/down.yaml")}
        await stage.activate(without)
        assert stage.on.rhythms.series() == ()
        await stage.activate(files)
        await stage.breaks(1)
        assert stage.calls() == 1
        await stage.passes(40)
        (record,) = await stage.all(RhythmRecord)
        assert sum(record.hours.values()) == 1
        assert record.since_at == START, "and not six weeks ago"

    play(scene, Watched())


def test_a_service_that_left_the_catalogue_is_no_silence() -> None:
    async def scene(stage: Watched) -> None:
        only = house(rules={"down": MANY}, catalog=services("cart"))
        await stage.activate(only)
        assert stage.on.rhythms.series() == ()
        await stage.passes(15 * 3_600 + 240)
        assert (await stage.all(Unusual), stage.subjects("anomaly")) == ([], [])

    play(scene, Watched(daily=20))


def test_by_a_clock_that_cannot_be_trusted_nothing_is_counted_and_nothing_is_unusual() -> None:
    async def scene(stage: Watched) -> None:
        def distrusted() -> Clock:
            stage.on.world.clock = Clock(trusted=False, why="it jumped")
            return stage.on.world.clock

        before = stage.calls()
        stage.on._look_at_clock = stage.on.situations.clock = distrusted
        await stage.breaks(3)
        assert set(await stage.verdicts()) == {"hold"}
        assert stage.calls() == before
        await stage.passes(15 * 3_600 + 240)
        assert await stage.all(Unusual) == [], "no day is over by such a clock"

    play(scene, Watched(daily=20))


def test_the_hours_are_those_of_the_zone_that_is_set() -> None:
    """What comes at nine in Berlin comes at eight UTC in winter and at seven in summer, and is as usual after the change."""

    async def scene(stage: Watched) -> None:
        rhythms = stage.on.rhythms
        winter, summer = START.replace(hour=8), START.replace(month=3, day=30, hour=7)
        assert (rhythms.hour(winter) % 24, rhythms.hour(summer) % 24) == (9, 9)
        (series,) = rhythms.series(RULE)
        assert {hour % 24 for hour in series.wall} == {9}

    settings = f"{SETTINGS}\nanomaly: {{zone: Europe/Berlin}}\n"
    play(scene, Watched(settings=settings, hour=8))
