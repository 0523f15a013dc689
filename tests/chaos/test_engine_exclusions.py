"""The exclusion register over the whole engine: what it stops is on record, agrees with the decisions, and is told of."""

import json

from rig import BOB
from stage import Stage, component, house, play, rule

from watchkeeper.decide.decision import Decision
from watchkeeper.engine.reading import Listed
from watchkeeper.engine.records import Excluded, Message
from watchkeeper.engine.register_reading import RegisterReader
from watchkeeper.guards.finding import Outcome
from watchkeeper.ports import Commit, Drop
from watchkeeper.report.register import HEAD, Export, csv_of

EXCLUSIONS = """
- id: X-1
  scope: {entity: component:billing}
  control: PCI DSS 10.2
  reason: "money, and =only people"
  owner: group:ops
  approver: jane
  from: 2026-01-01T00:00:00Z
  until: 2026-02-01T09:30:00Z
- id: X-2
  scope: {entity: component:idp}
  control: own rule
  reason: who may come in
  owner: group:ops
  approver: jane
  from: 2026-01-01T00:00:00Z
  until: 2027-01-01T00:00:00Z
- id: X-3
  scope: {entity: component:later}
  control: own rule
  reason: not yet
  owner: group:ops
  approver: jane
  from: 2026-06-01T00:00:00Z
  until: 2027-01-01T00:00:00Z
"""
CATALOG = "---".join(component(name) for name in ("web", "billing", "idp", "later"))
RULES = {"down": rule(), "seen": rule("Seen", ceiling="observe")}


def files(exclusions: str = EXCLUSIONS):
    return house(rules=RULES, catalog=CATALOG, exclusions=exclusions)


async def exported(stage: Stage) -> Export:
    found = await RegisterReader(stage.on).export(None, None)
    assert isinstance(found, Export), found
    return found


async def refused_by_the_guard(stage: Stage) -> set[str]:
    """Read from the decisions alone, by the guard's own findings."""
    return {
        each.id
        for each in await stage.all(Decision)
        if any(finding.guard == "exclusion" and finding.outcome is Outcome.REFUSE for finding in each.findings)
    }


def test_the_export_holds_every_decision_that_an_exclusion_stopped_and_no_other():
    async def scene(stage: Stage) -> None:
        for alert, service in (
            ("Down", "web"),
            ("Down", "billing"),
            ("Down", "idp"),
            ("Down", "later"),
            ("Seen", "billing"),
        ):
            await stage.fire(alert, service)
        await stage.decided(5)
        mine = await stage.on.steering.run(BOB, "shop/mend", ("billing",), {}, "I insist")
        assert mine.decision.verdict.value == "refuse"
        await stage.ended(2)
        found = await exported(stage)
        by_id = {each.id: each for each in found.exclusions}
        assert {name: (each.state, each.stopped, each.observed) for name, each in by_id.items()} == {
            "X-1": ("expired", 2, 1),  # expired, and binding; a person's own run; a rule that only observes
            "X-2": ("in_force", 1, 0),
            "X-3": ("planned", 0, 0),
        }
        listed = {one.decision for each in found.exclusions for one in each.decisions}
        assert listed == await refused_by_the_guard(stage)
        assert (found.stopped, found.observed, found.agrees) == (3, 1, True)
        assert found.reconciled.decisions == found.reconciled.listed == len(listed) == 4
        assert sorted(one.actor for one in by_id["X-1"].decisions) == ["automation", "automation", "person:bob"]

    play(scene, Stage(files()))


def test_each_decision_is_found_at_its_place_in_the_ledger():
    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "billing")
        await stage.decided(1)
        (one,) = (await exported(stage)).exclusions[0].decisions
        (row,) = await stage.store.entries(one.ledger[0], 1)
        entry = json.loads(row.body)
        assert entry["ids"]["decision"] == one.decision
        assert entry["ids"]["exclusion"] == "X-1"
        assert entry["verdict"] == "refuse"
        assert [each.index for each in await stage.store.entries_of("exclusion", "X-1")] == list(one.ledger)

    play(scene, Stage(files()))


def test_a_decision_that_the_register_lacks_is_missed():
    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "billing")
        (decision,) = await stage.decided(1)
        await stage.store.commit(Commit(at=stage.clock.now(), drops=(Drop(kind="excluded", id=decision.id),)))
        found = await exported(stage)
        assert not found.agrees
        assert found.reconciled.missing == (decision.id,)

    play(scene, Stage(files()))


def test_an_exclusion_that_was_removed_keeps_what_it_stopped():
    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "idp")
        await stage.decided(1)
        stage.files = files(EXCLUSIONS[: EXCLUSIONS.index("- id: X-2")])
        done = await stage.on.changes.apply(BOB, stage.on.changes.plan().digest, "no longer needed")
        assert not hasattr(done, "detail"), done
        found = {each.id: each for each in (await exported(stage)).exclusions}
        assert set(found) == {"X-1", "X-2"}
        assert (found["X-2"].state, found["X-2"].stopped, found["X-2"].control) == ("removed", 1, "own rule")
        listed = await RegisterReader(stage.on).decisions("X-2", after=None, limit=10)
        assert isinstance(listed, Listed)
        assert [each.exclusion.id for each in listed.items] == ["X-2"]

    play(scene, Stage(files()))


def test_what_is_listed_counts_what_was_stopped():
    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "billing")
        await stage.fire("Seen", "billing")
        await stage.decided(2)
        listed = {each["id"]: each for each in (await RegisterReader(stage.on).exclusions()).items}
        assert (listed["X-1"]["stopped"], listed["X-1"]["observed"], listed["X-1"]["state"]) == (1, 1, "expired")
        assert listed["X-1"]["reached_by"] == ["shop/down", "shop/seen"]
        assert (listed["X-3"]["stopped"], listed["X-3"]["last_at"]) == (0, None)

    play(scene, Stage(files()))


def test_csv_has_one_line_a_decision_and_no_formula():
    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "billing")
        await stage.decided(1)
        lines = csv_of(await exported(stage)).split("\r\n")
        assert lines[0] == ",".join(HEAD)
        assert len(lines) == 1 + 3 + 1  # X-1 with its decision, X-2 and X-3 with none, and the end
        assert '"money, and =only people"' in lines[1]
        assert all(line.count(",") >= len(HEAD) - 1 for line in lines[1:4])

    play(scene, Stage(files()))


def test_an_expired_exclusion_is_told_to_its_owner_once_a_day_through_restarts():
    async def told(stage: Stage) -> list[Message]:
        found = await stage.all(Message)
        return [each for each in found if each.notice["kind"] == "exclusion"]

    async def scene(stage: Stage) -> None:
        await stage.until(lambda: stage.subjects("exclusion"))
        assert stage.subjects("exclusion") == ["Exclusion X-1 has expired and binds all the same"]
        (notice,) = (each for each in stage.told.notices if each.kind.value == "exclusion")
        assert notice.team == "group:default/ops"
        await stage.passes(300)
        assert len(await told(stage)) == 1
        await stage.crash()
        await stage.passes(300)
        assert len(await told(stage)) == 1
        await stage.passes(1_500)  # it expired at half past nine: at half past nine it is told again
        assert [each.notice["at"][11:16] for each in await told(stage)] == ["09:30", "09:30"]
        assert [each.notice["at"][:10] for each in await told(stage)] == ["2026-03-01", "2026-03-02"]

    play(scene, Stage(files()))


def test_the_register_keeps_one_record_for_each_decision():
    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "billing")
        (decision,) = await stage.decided(1)
        (record,) = await stage.all(Excluded)
        assert (record.id, record.exclusion.id, record.target) == (decision.id, "X-1", "component:default/billing")

    play(scene, Stage(files()))
