"""SEMANTICS 4, on the whole engine: a level is earned episode by episode and day by day, and lost at once."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from stage import ALICE, BOB, DRAIN, Stage, component, house, play, runbook

from watchkeeper.approve.people import Actor, Identity
from watchkeeper.decide.decision import Decision
from watchkeeper.engine.answer import No
from watchkeeper.engine.judged import Judged
from watchkeeper.engine.records import Feedback
from watchkeeper.learn.agreement import Cell, Evidence
from watchkeeper.learn.standing import Because, Demotion, Standing, evidence_line
from watchkeeper.ledger.entry import Kind
from watchkeeper.packs.rule import Mode

EU = Cell(rule="shop/down", tier="gold", severity="critical", environment="prod", region="eu")
ROBOT = Actor(name="robot", roles=frozenset({"admin", "operator"}), identity="idn_r", human=False)
VERA = Actor(name="vera", roles=frozenset({"viewer"}), identity="idn_v")
DAY = timedelta(days=1)


NAMES = tuple(f"s{at}" for at in range(16))  # each breaks once: one that breaks again and again would be flapping
FILES = house(catalog="---".join(component(name) for name in ("web", "cart", *NAMES)))


class Days(Stage):
    """Days pass while the process is down: so each of them proves that what was earned is kept."""

    episode = 0

    async def morning(self, days: int = 1, **more: int) -> None:
        self.clock.skew_ms += int((days * DAY + timedelta(**more)).total_seconds() * 1000)
        await self.crash()

    async def breaks(self, service: str = "web", severity: str = "critical") -> Decision:
        self.episode += 1
        before = len(await self.decisions())
        await self.fire("Down", service, number=self.episode, severity=severity)
        return (await self.decided(before + 1))[-1]

    async def heals(self, service: str = "web") -> None:
        await self.fire("Down", service, number=self.episode, status="resolved")
        await self.passes(61)  # the next one begins a minute later, by its sender's clock too

    async def accepts(self, decision: Decision) -> None:
        before = len(await self.runs(state="closed"))
        judged = await self.on.agreements.accept(ALICE, decision.id, "it is what I would do")
        assert isinstance(judged, Judged), judged
        assert judged.opening is not None, judged.decision.reason
        assert (await self.ended(before + 1))[-1].status == "succeeded"
        await self.passes(1)

    def line(self, cell: Cell = EU) -> str:
        now = self.clock.now()
        return evidence_line(self.on.standings.outlook(cell, now), self.on.world.configuration.settings.autonomy, now)

    def level(self, cell: Cell = EU) -> Mode:
        found = self.on.world.earned.standings.get(cell)
        return found.level if found is not None else Mode.OBSERVE

    async def entries(self, kind: Kind) -> list[Any]:
        await self.on.sequencer.step()
        rows = await self.store.entries(0, 10_000)
        found = [msgspec.json.decode(row.body) for row in rows]
        return [each for each in found if each["kind"] == kind.value]


async def suggests(stage: Days, days: int = 8, a_day: int = 2) -> None:
    """Suggestions are accepted, `a_day` of them on each of so many days."""
    for day in range(days):
        if day:
            await stage.morning()
        for at in range(a_day):
            service = ("web", "cart")[at % 2]
            decision = await stage.breaks(service)
            assert decision.verdict.value == "suggest", (day, at, decision.reason)
            await stage.accepts(decision)
            await stage.heals(service)


def test_from_suggestions_to_acting_and_back_to_watching() -> None:
    """Sixteen suggestions accepted over seven days: it asks. Sixteen more reviewed over seven more: it acts. One harm
    report: it watches.
    """

    async def scene(stage: Days) -> None:
        await stage.trust("shop/down", "suggest")
        await suggests(stage, days=7, a_day=2)
        assert stage.line() == "14 of 14 agreed. 2 more in a row to reach approve. Not before 2026-03-09 09:00 UTC."
        for service in ("web", "cart"):  # the sixteenth, and the week is not over by seconds
            await stage.accepts(await stage.breaks(service))
            await stage.heals(service)
        assert stage.line() == "16 of 16 agreed. Enough for approve, not before 2026-03-09 09:00 UTC."
        assert stage.level() is Mode.OBSERVE
        await stage.morning()
        await stage.until(lambda: stage.level() is Mode.APPROVE)
        await stage.until(lambda: stage.subjects("promoted") == ["shop/down earned approve"])
        for day in range(8):
            if day:
                await stage.morning()
            for service in ("web", "cart"):
                decision = await stage.breaks(service)
                assert decision.verdict.value == "ask", (day, decision.reason)
                assert stage.level() is Mode.APPROVE
                found = await stage.on.agreements.review(BOB, decision.id, "right", agrees=True)
                assert not isinstance(found, No), found
                await stage.heals(service)
        assert stage.level() is Mode.AUTO
        acted = await stage.breaks()
        assert acted.verdict.value == "act", acted.reason
        assert acted.reason.startswith("All ")
        run = (await stage.ended(len(await stage.runs())))[-1]
        assert (run.actor, run.status) == ("automation", "succeeded")
        await stage.heals()
        await stage.on.agreements.feedback(BOB, run.id, "harmful", "it dropped carts")
        await stage.until(lambda: stage.subjects("demoted") == ["shop/down is demoted to observe"])
        watched = await stage.breaks("cart")
        assert watched.verdict.value == "observe"
        assert "bob reported harm by run_" in watched.reason
        assert "it dropped carts" in watched.reason
        promotions = await stage.entries(Kind.PROMOTION)
        assert [each["verdict"] for each in promotions] == ["approve", "auto"]
        assert [each["verdict"] for each in await stage.entries(Kind.DEMOTION)] == ["observe"]

    play(scene, Days(trusted=()))


async def reviews(stage: Days, names: tuple[str, ...] = NAMES, severity: str = "critical") -> list[Decision]:
    found = []
    for name in names:
        decision = await stage.breaks(name, severity)
        given = await stage.on.agreements.review(ALICE, decision.id, "right", agrees=True)
        assert not isinstance(given, No), given
        found.append(decision)
    return found


@pytest.mark.parametrize("days", [6, 7])
def test_six_days_are_not_seven(days: int) -> None:
    async def scene(stage: Days) -> None:
        first, *_ = await reviews(stage)
        until = first.at + days * DAY - stage.clock.now()
        stage.clock.skew_ms += int(until.total_seconds() * 1000)
        await stage.crash()
        await stage.passes(1)
        assert stage.level() is (Mode.SUGGEST if days == 7 else Mode.OBSERVE)

    play(scene, Days(FILES, trusted=()))


@pytest.mark.parametrize("episodes", [15, 16])
def test_fifteen_episodes_are_not_sixteen(episodes: int) -> None:
    async def scene(stage: Days) -> None:
        for decision in await reviews(stage, NAMES[:episodes]):
            await stage.on.agreements.review(BOB, decision.id, "right too", agrees=True)  # an episode counts once
        await stage.morning(7, hours=1)
        await stage.passes(1)
        assert stage.level() is (Mode.SUGGEST if episodes == 16 else Mode.OBSERVE)

    play(scene, Days(FILES, trusted=()))


def test_the_same_alert_is_decided_differently_by_region_and_severity() -> None:
    """What was earned in one cell is not lent to another that has shown nothing of its own."""
    files = house(
        catalog="---".join([*map(component, NAMES), component("web"), component("far", more={"region": "us"})])
    )

    async def scene(stage: Days) -> None:
        await reviews(stage)
        await stage.morning(7, hours=1)
        await stage.until(lambda: stage.level() is Mode.SUGGEST)
        assert (await stage.breaks("web")).verdict.value == "suggest"
        assert (await stage.breaks("far")).verdict.value == "observe"
        await stage.heals("web")
        assert (await stage.breaks("web", "minor")).verdict.value == "observe"

    play(scene, Days(files, trusted=()))


# -- what is evidence ----------------------------------------------------------------------------------


async def agreed(stage: Days, decision: Decision) -> list[tuple[str, bool, str]]:
    found = await stage.all(Evidence, rule="shop/down")
    return [(each.how.value, each.agrees, each.by) for each in found if each.episode == decision.episode]


async def own_run(stage: Days, name: str = "web", runbook: str = "shop/mend") -> None:
    before = len(await stage.runs(state="closed"))
    judged = await stage.on.steering.run(ALICE, runbook, (name,), {}, "I do it myself")
    assert judged.opening is not None, judged.decision.reason
    await stage.ended(before + 1)
    await stage.passes(1)


@pytest.mark.parametrize(("minutes", "counts"), [(29, True), (31, False)])
def test_a_person_who_runs_the_same_within_half_an_hour_agrees(minutes: int, counts: bool) -> None:
    async def scene(stage: Days) -> None:
        decision = await stage.breaks()
        await stage.passes(minutes * 60)
        await own_run(stage)
        assert await agreed(stage, decision) == ([("run", True, "alice")] if counts else [])

    play(scene, Days(trusted=()))


def test_another_runbook_another_target_or_a_machine_agrees_with_nothing() -> None:
    async def scene(stage: Days) -> None:
        decision = await stage.breaks()
        await own_run(stage, "cart")
        await own_run(stage, "web", "shop/drain")
        at = stage.clock.now()
        stage.on.identities.identities["idn_r"] = Identity(
            id="idn_r", name="robot", roles=("operator",), at=at, by="alice", human=False
        )
        judged = await stage.on.steering.run(ROBOT, "shop/mend", ("web",), {}, "nightly")
        assert judged.opening is not None
        await stage.ended(3)
        await stage.passes(1)
        assert await agreed(stage, decision) == []

    play(scene, Days(house(runbooks={"mend": runbook(), "drain": runbook(DRAIN)}), trusted=()))


def test_a_run_that_failed_agrees_with_nothing_and_one_that_left_it_unwell_demotes_what_suggested_it() -> None:
    async def scene(stage: Days) -> None:
        await stage.trust("shop/down", "suggest")
        decision = await stage.breaks()
        stage.theatre.heals, stage.theatre.status["web"] = False, 500
        judged = await stage.on.agreements.accept(ALICE, decision.id, "")
        assert isinstance(judged, Judged)
        (run,) = await stage.ended()
        await stage.passes(1)
        assert run.status != "succeeded"
        assert await agreed(stage, decision) == []
        (demotion,) = await stage.all(Demotion)
        assert (demotion.level, demotion.because, demotion.run) == (Mode.APPROVE, Because.UNHEALTHY, run.id)
        await stage.crash()
        assert len(await stage.all(Demotion)) == 1  # the end is looked at again, and counts once

    play(scene, Days(trusted=()))


def test_a_suggestion_is_answered_once_and_only_while_it_stands() -> None:
    async def scene(stage: Days) -> None:
        await stage.trust("shop/down", "suggest")
        first = await stage.breaks()
        assert [each.id for each in stage.on.agreements.suggestions()] == [first.id]
        mute = await stage.on.agreements.reject(ALICE, first.id, " ")
        assert isinstance(mute, No)
        assert mute.detail.startswith("reason: ")
        machine = await stage.on.agreements.reject(ROBOT, first.id, "no")
        assert isinstance(machine, No)
        assert machine.status == 403
        assert await stage.on.agreements.reject(ALICE, first.id, "it heals by itself") == first
        assert stage.on.agreements.suggestions() == ()
        again = await stage.on.agreements.accept(BOB, first.id, "")
        assert isinstance(again, No)
        assert again.detail == "alice answered it already"
        assert await agreed(stage, first) == [("suggestion", False, "alice")]
        second = await stage.breaks("cart")
        await stage.fire("Down", "cart", number=stage.episode, status="resolved")
        await stage.passes(2)
        assert stage.on.agreements.suggestions() == ()
        late = await stage.on.agreements.accept(ALICE, second.id, "")
        assert isinstance(late, No)
        assert "stands no more" in late.detail
        nothing = await stage.on.agreements.accept(ALICE, "dec_none", "")
        assert isinstance(nothing, No)
        assert nothing.status == 404

    play(scene, Days(trusted=()))


def test_a_review_is_replaced_by_the_same_person_and_outvoted_by_another() -> None:
    async def scene(stage: Days) -> None:
        decision = await stage.breaks()
        for actor, agrees, line in (
            (ALICE, False, "0 of 1 agreed"),
            (ALICE, True, "1 of 1 agreed"),
            (BOB, False, "0 of 1 agreed"),
        ):
            await stage.on.agreements.review(actor, decision.id, "because", agrees=agrees)
            assert stage.line().startswith(line)
        machine = await stage.on.agreements.review(ROBOT, decision.id, "because", agrees=True)
        assert isinstance(machine, No)
        assert machine.status == 403

    play(scene, Days(trusted=()))


def test_feedback_is_one_word_a_person_and_run_and_a_later_one_takes_it_back() -> None:
    async def scene(stage: Days) -> None:
        await stage.trust("shop/down", "auto")
        decision = await stage.breaks()
        (run,) = await stage.ended()
        await stage.on.agreements.feedback(ALICE, run.id, "false", "it was a deploy")
        assert await agreed(stage, decision) == [("report", False, "alice")]
        await stage.on.agreements.feedback(ALICE, decision.id, "helpful", "")
        assert await agreed(stage, decision) == []
        assert await stage.all(Demotion) == []
        (word,) = await stage.all(Feedback)
        assert (word.run, word.says) == (run.id, "helpful")
        wrong = await stage.on.agreements.feedback(ALICE, run.id, "meh", "")
        assert isinstance(wrong, No)

    play(scene, Days(trusted=()))


def test_harm_reported_by_who_may_not_demote_counts_and_does_not_demote() -> None:
    async def scene(stage: Days) -> None:
        await stage.trust("shop/down", "auto")
        decision = await stage.breaks()
        (run,) = await stage.ended()
        await stage.on.agreements.feedback(VERA, run.id, "harmful", "ouch")
        assert await stage.all(Demotion) == []
        assert await agreed(stage, decision) == [("report", False, "vera")]

    play(scene, Days(trusted=()))


# -- falling, and being lifted -------------------------------------------------------------------------


def test_an_unhealthy_verification_demotes_in_the_commit_of_its_runs_end_and_two_people_lift_it() -> None:
    async def scene(stage: Days) -> None:
        await stage.trust("shop/down", "auto")
        stage.theatre.heals, stage.theatre.status["web"] = False, 500
        await stage.breaks()
        (run,) = await stage.ended()
        (demotion,) = await stage.all(Demotion)  # no time passed since the end was stored
        assert (demotion.level, demotion.run, demotion.by) == (Mode.APPROVE, run.id, "automation")
        await stage.crash()
        asked = await stage.breaks("cart")
        assert asked.verdict.value == "ask"
        assert asked.reason.startswith("The ladder stands at approve: that is a demotion (dmt_"), asked.reason
        assert "shop/mend was verified unhealthy in run_" in asked.reason
        mute = await stage.on.standings.lift(ALICE, demotion.id, "")
        assert isinstance(mute, No)
        machine = await stage.on.standings.lift(ROBOT, demotion.id, "go")
        assert isinstance(machine, No)
        waits = await stage.on.standings.lift(ALICE, demotion.id, "the disk was full; it is not")
        assert waits.open
        assert (await stage.decisions())[-1].verdict.value == "ask"
        alone = await stage.on.standings.second(ALICE, demotion.id)
        assert isinstance(alone, No)
        assert "another person" in alone.detail
        await stage.crash()  # who waits for a second still waits
        lifted = await stage.on.standings.second(BOB, demotion.id)
        assert (lifted.lift_by, lifted.lifted_by, lifted.open) == ("alice", "bob", False)
        await stage.until(lambda: stage.on.judge.counts.get("act") == 1)
        again = await stage.on.standings.second(BOB, demotion.id)
        assert isinstance(again, No)
        assert [each["verdict"] for each in await stage.entries(Kind.DEMOTION)] == ["approve", "lift_asked", "lifted"]

    play(scene, Days(trusted=()))


def test_one_cause_demotes_a_cell_once_also_after_it_was_lifted() -> None:
    async def scene(stage: Days) -> None:
        demote = stage.on.standings.demote
        (fell,) = await demote((EU,), Because.BUDGET, "the error budget is spent", cause="budget 2026-03")
        assert fell.level is Mode.APPROVE
        assert await demote((EU, EU), Because.BUDGET, "the error budget is spent", cause="budget 2026-03") == ()
        await stage.on.standings.lift(ALICE, fell.id, "it is a new month")
        await stage.on.standings.second(BOB, fell.id)
        assert await demote((EU,), Because.BUDGET, "the error budget is spent", cause="budget 2026-03") == ()
        assert len(await demote((EU,), Because.ANOMALY, "five times the usual", cause="anomaly 1")) == 1

    play(scene, Days(trusted=()))


def test_of_two_demotions_the_lower_binds_and_each_is_lifted_by_itself() -> None:
    async def scene(stage: Days) -> None:
        await stage.trust("shop/down", "auto")
        (soft,) = await stage.on.standings.demote((EU,), Because.ANOMALY, "odd", cause="a")
        (hard,) = await stage.on.standings.demote((EU,), Because.HARM, "bad", cause="b")
        assert (await stage.breaks()).verdict.value == "observe"
        for each, verdict in ((hard, "ask"), (soft, "act")):
            before = len(await stage.decisions())
            await stage.on.standings.lift(ALICE, each.id, "looked at")
            await stage.on.standings.second(BOB, each.id)
            assert (await stage.decided(before + 1))[-1].verdict.value == verdict

    play(scene, Days(trusted=()))


def test_a_demotion_moves_the_version_that_admission_and_start_compare() -> None:
    async def scene(stage: Days) -> None:
        await stage.trust("shop/down", "auto")
        number = stage.on.world.number("standing:shop/down")
        decision = await stage.breaks()
        assert decision.versions["standing:shop/down"] == number
        await stage.on.standings.demote((EU,), Because.ANOMALY, "odd", cause="a")
        assert stage.on.world.number("standing:shop/down") == number + 1

    play(scene, Days(trusted=()))


def test_another_runbook_under_the_same_rule_starts_anew() -> None:
    async def scene(stage: Days) -> None:
        at = stage.clock.now()
        standing = Standing(id="std_1", cell=EU, level=Mode.AUTO, since_at=at, basis="shop/mend medium")
        stage.on.world.earned.stands(standing)
        assert (await stage.breaks()).verdict.value == "act"
        stage.on.world.earned.stands(replace(standing, basis="shop/wipe medium"))
        assert (await stage.breaks("cart")).verdict.value == "observe"

    play(scene, Days(trusted=()))
