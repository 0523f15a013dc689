"""Erasing by order: shown first, exactly that, on record; the ledger verifies; what is open stays; a hold refuses."""

import pytest
from stage import ALICE, SETTINGS, Stage, house, play

from watchkeeper.correlate.alert import Alert
from watchkeeper.engine.answer import No
from watchkeeper.engine.erasing import Erasing, Found, Wanted
from watchkeeper.engine.ledger_reading import LedgerReader
from watchkeeper.engine.reading import Reader
from watchkeeper.engine.records import ErasureRecord, RunRecord
from watchkeeper.guards.situation import Situation
from watchkeeper.signals.signal import Signal

MARK = "Ann Lee <ann@example.org>"


async def ended(stage: Stage) -> str:
    """An incident that is over a day ago, with a person's name in an output, an annotation's place and a comment."""
    stage.theatre.script["drain"].append({"status": 200, "by": MARK})
    await stage.fire("Down", "web")
    await stage.ended()
    await stage.fire("Down", "web", status="resolved")
    await stage.passes(5)
    decision = (await stage.decisions())[0]
    await stage.on.agreements.feedback(ALICE, decision.id, "helpful", f"thanks to {MARK}")
    stage.clock.skew_ms = 2 * 86_400_000
    stage.on.pipeline.forget()
    return decision.id


async def shown(stage: Stage, wanted: Wanted) -> Found:
    found = await stage.on.erasing.find(wanted)
    assert isinstance(found, Found), found
    return found


def everything(stage: Stage) -> bytes:
    world = stage.store._world
    rows = [each.row.body for kind in world.documents.values() for each in kind.values()]
    events = [body for found in world.journal.values() for body in found.values()]
    contents = [entry.content.body for entry in world.entries if entry.content]
    return b"".join([*rows, *events, *contents, *(each.body for _, each in world.deliveries.values())])


def test_a_subject_goes_from_everywhere_and_the_ledger_verifies():
    async def scene(stage: Stage) -> None:
        decision = await ended(stage)
        assert b"Ann Lee" in everything(stage)
        wanted = Wanted(subject="ann lee")
        found = await shown(stage, wanted)
        assert found.counts["run"] == found.counts["feedback"] == 1
        assert found.counts["content"] > 0
        assert b"Ann Lee" in everything(stage), "showing changes nothing"
        done = await stage.on.erasing.erase(ALICE, wanted, found.digest, "asked for by the person, ticket 4711")
        assert isinstance(done, ErasureRecord), done
        assert b"Ann Lee" not in everything(stage)
        checked = await LedgerReader(stage.on).verify()
        assert checked.ok, checked.faults
        assert checked.contents_erased == found.counts["content"]
        run = (await Reader(stage.on).runs({}, after=None, limit=10)).items
        assert run == ()
        assert not await stage.all(RunRecord)
        explained = await Reader(stage.on).explain(decision)
        assert not isinstance(explained, No), "the decision held nothing of it"

    play(scene)


def test_an_id_goes_with_what_belongs_to_it_and_says_so_afterwards():
    async def scene(stage: Stage) -> None:
        decision = await ended(stage)
        wanted = Wanted(ids=(decision,))
        found = await shown(stage, wanted)
        assert found.counts["decision"] == found.counts["run"] == 1
        done = await stage.on.erasing.erase(ALICE, wanted, found.digest, "asked for")
        assert isinstance(done, ErasureRecord)
        assert not await stage.all(Situation)
        gone = await Reader(stage.on).explain(decision)
        assert isinstance(gone, No)
        assert gone.status == 410
        assert f"erased by order {done.id}" in gone.detail
        assert len(await stage.all(Signal)) == 2
        assert len(await stage.all(Alert)) == 1

    play(scene)


def test_what_was_not_shown_does_not_go_and_a_reason_must_not_repeat_it():
    async def scene(stage: Stage) -> None:
        decision = await ended(stage)
        wanted = Wanted(subject="Ann Lee")
        found = await shown(stage, wanted)
        await stage.on.agreements.feedback(ALICE, decision, "helpful", "Ann Lee again")
        no = await stage.on.erasing.erase(ALICE, wanted, found.digest, "asked for")
        assert isinstance(no, No)
        assert (no.status, "look again" in no.detail) == (409, True)
        found = await shown(stage, wanted)
        no = await stage.on.erasing.erase(ALICE, wanted, found.digest, "ann LEE asked for it")
        assert isinstance(no, No)
        assert no.status == 400
        assert b"Ann Lee" in everything(stage)

    play(scene)


def test_what_is_open_stays_and_is_said():
    async def scene(stage: Stage) -> None:
        stage.theatre.heals = False
        stage.theatre.status["web"] = 500
        await stage.fire("Down", "web")
        await stage.ended()
        incident = stage.on.correlation.incidents()[0]
        found = await shown(stage, Wanted(ids=(incident.id,)))
        assert {each.kind for each in found.stays} >= {"incident", "alert", "signal", "decision"}
        assert not set(found.counts) & {"incident", "alert", "signal", "decision"}

    play(scene)


def test_a_legal_hold_refuses_with_the_reason():
    held = house(settings=SETTINGS + "retention: {legal_hold: true}\n")

    async def scene(stage: Stage) -> None:
        no = await stage.on.erasing.find(Wanted(subject="anything"))
        assert isinstance(no, No)
        assert (no.status, no.title) == (409, "legal hold")
        assert "retention.legal_hold" in no.detail

    play(scene, Stage(held))


def test_an_order_that_was_interrupted_is_carried_on_at_the_next_start():
    async def scene(stage: Stage) -> None:
        await ended(stage)
        wanted = Wanted(subject="Ann Lee")
        found = await shown(stage, wanted)

        async def dies(_self: Erasing, record: ErasureRecord) -> ErasureRecord:
            return record

        whole = Erasing._carry_out
        Erasing._carry_out = dies  # type: ignore[method-assign]
        try:
            await stage.on.erasing.erase(ALICE, wanted, found.digest, "asked for")
        finally:
            Erasing._carry_out = whole  # type: ignore[method-assign]
        assert b"Ann Lee" in everything(stage)
        await stage.crash()
        assert b"Ann Lee" not in everything(stage)
        assert (await LedgerReader(stage.on).verify()).ok
        assert [each.open for each in await stage.all(ErasureRecord)] == [False]

    play(scene)


def test_a_query_by_labels_takes_what_carries_all_of_them_and_leaves_the_rest():
    async def scene(stage: Stage) -> None:
        await ended(stage)
        stage.clock.skew_ms = 0
        await stage.fire("Down", "cart")
        await stage.ended(2)
        await stage.fire("Down", "cart", status="resolved")
        await stage.passes(5)
        stage.clock.skew_ms = 2 * 86_400_000
        stage.on.pipeline.forget()
        assert (await shown(stage, Wanted(labels={"service": "web", "alertname": "Slow"}))).nothing
        wanted = Wanted(labels={"service": "web", "alertname": "Down"})
        found = await shown(stage, wanted)
        assert found.counts["alert"] == found.counts["incident"] == found.counts["decision"] == found.counts["run"] == 1
        assert found.counts["signal"] == found.counts["delivery"] == 2
        assert found.counts["message"] > 0, "what people were told of it goes too"
        done = await stage.on.erasing.erase(ALICE, wanted, found.digest, "the contract ended")
        assert isinstance(done, ErasureRecord), done
        (left,) = await stage.all(Alert)
        assert left.labels["service"] == "cart"
        assert [each.targets for each in await stage.runs()] == [("component:default/cart",)]
        assert b'"service":"web"' not in everything(stage).replace(b'": "', b'":"')
        assert (await LedgerReader(stage.on).verify()).ok

    play(scene)


def test_an_incident_stays_while_anything_else_is_in_it():
    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "web")
        await stage.fire("Slow", "web")
        await stage.ended()
        for alert in ("Down", "Slow"):
            await stage.fire(alert, "web", status="resolved")
        await stage.passes(5)
        stage.clock.skew_ms = 2 * 86_400_000
        stage.on.pipeline.forget()
        assert await stage.store.count("incident") == 1
        found = await shown(stage, Wanted(labels={"alertname": "Slow"}))
        assert found.counts["alert"] == 1
        assert "incident" not in found.counts

    play(scene)


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        (Wanted(labels={"service": ""}), "a label that is absent equals an empty one"),
        (Wanted(labels={f"l{number}": "x" for number in range(21)}), "at most 20 at once"),
        (Wanted(), "a subject, ids, labels"),
    ],
)
def test_a_query_that_would_be_everything_is_refused(wanted: Wanted, says: str):
    async def scene(stage: Stage) -> None:
        no = await stage.on.erasing.find(wanted)
        assert isinstance(no, No)
        assert says in no.detail

    play(scene)


def test_a_name_is_found_however_its_sender_spelt_it():
    async def scene(stage: Stage) -> None:
        stage.theatre.script["drain"].append({"status": 200, "by": "J\u00dcRGEN"})
        await stage.fire("Down", "web")
        await stage.ended()
        await stage.fire("Down", "web", status="resolved")
        await stage.passes(5)
        stage.clock.skew_ms = 2 * 86_400_000
        stage.on.pipeline.forget()
        for spelt in ("J\u00fcrgen", "Ju\u0308rgen"):
            assert (await shown(stage, Wanted(subject=spelt))).counts["run"] == 1

    play(scene)
