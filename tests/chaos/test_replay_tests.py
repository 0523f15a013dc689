"""A decision called harmful becomes a test: it fails under the rules that made it, and passes once they no longer do that."""

import base64
import json
import zlib
from typing import Any

import msgspec
import pytest
from rig import compiled
from stage import ALICE, BOB, Stage, component, house, play, rule, runbook

from watchkeeper.decide.replay_test import pack, unpack
from watchkeeper.engine.answer import No
from watchkeeper.engine.records import Activation, Feedback, put
from watchkeeper.engine.replay_tests import Written, failing
from watchkeeper.errors import Malformed
from watchkeeper.ledger.entry import read as read_entry
from watchkeeper.ports import Commit

ACTS = "shop/down would act again: shop/mend on component:default/web"


async def harmed(stage: Stage, says: str = "harmful") -> str:
    """A decision to act, carried out, and what somebody says of it."""
    await stage.fire("Down", "web")
    await stage.ended()
    (decision,) = await stage.decisions()
    await stage.on.agreements.feedback(BOB, decision.id, says, 'took "the last" one down')
    return decision.id


async def written(stage: Stage, says: str = "harmful") -> Written:
    found = await stage.on.replay_tests.written(await harmed(stage, says))
    assert isinstance(found, Written), found
    return found


def with_test(found: Written, **changed: Any) -> Any:
    return compiled({**house(**changed), found.path: found.document.encode()})


@pytest.mark.parametrize("says", ["harmful", "false"])
def test_it_fails_under_the_rules_that_made_it_and_passes_once_they_do_not(says: str) -> None:
    async def scene(stage: Stage) -> None:
        found = await written(stage, says)
        assert found.path == f"packs/shop/replays/{says}-{found.decision[-10:]}.yaml"
        assert found.forbids == "act"
        same = with_test(found)
        (test,) = same.replays
        assert test.description == f'bob: {says} (took "the last" one down)'
        (only,) = failing(same)
        assert (only.test, only.why) == (test.name, ACTS)
        assert only.where.startswith(found.path)
        for changed in (
            {"rules": {"down": rule(ceiling="approve")}},
            {"rules": {"down": rule(more="  enabled: false\n")}},
            {"rules": {"down": rule(more="  when: ['alert.labels.service != \"web\"']\n")}},
            {"rules": {"down": rule(runbook="gently")}, "runbooks": {"gently": runbook()}},
            {"exclusions": EXCLUDED},
        ):
            assert failing(with_test(found, **changed)) == (), changed
        renamed = with_test(found, rules={"other": rule()})
        assert [each.why for each in failing(renamed)] == [ACTS.replace("shop/down", "shop/other")]

    play(scene)


def test_hidden_characters_in_what_somebody_said_leave_a_file_that_is_read() -> None:
    said = "took it\u200b down \x1b[31m\x7f\x9b\u202e\ufffe"

    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "web")
        await stage.ended()
        (decision,) = await stage.decisions()
        await stage.on.agreements.feedback(BOB, decision.id, "harmful", said)
        found = await stage.on.replay_tests.written(decision.id)
        assert isinstance(found, Written), found
        (test,) = with_test(found).replays
        assert test.description == "bob: harmful (took it\ufffd down \ufffd[31m\ufffd\ufffd\ufffd\ufffd)"

    play(scene)


EXCLUDED = """
- id: X-1
  scope: {entity: component:web}
  control: SOX-7
  reason: a person does that
  owner: group:ops
  approver: user:alice
  from: 2026-01-01T00:00:00Z
  until: 2099-01-01T00:00:00Z
"""


def test_what_cannot_be_judged_does_not_pass() -> None:
    async def scene(stage: Stage) -> None:
        found = await written(stage)
        needs = component("web", spec=", dependsOn: [component:cart]") + "---" + component("cart")
        new = with_test(found, catalog=needs, runbooks={"mend": runbook(more="  needs: [component:cart]\n")})
        (only,) = failing(new)
        assert only.why.startswith("cannot be judged: "), only.why
        counts = rule().replace("attempts: 3", "attempts: 3, unavailable: {max: 1, of: service}")
        (only,) = failing(with_test(found, rules={"down": counts}))
        assert only.why.endswith("The members that limits.unavailable counts were not recorded.")

    play(scene)


def test_one_that_was_approved_may_not_be_asked_for_again() -> None:
    asks = house(rules={"down": rule(ceiling="approve")})

    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "web")
        await stage.until(lambda: stage.on.world.approvals)
        decision = (await stage.decisions())[0]
        await stage.on.agreements.feedback(ALICE, decision.id, "harmful", "it asked for the wrong thing")
        found = await stage.on.replay_tests.written(decision.id)
        assert isinstance(found, Written), found
        assert found.forbids == "ask"
        assert "would ask again" in failing(with_test(found, rules={"down": rule(ceiling="approve")}))[0].why
        assert failing(with_test(found, rules={"down": rule(ceiling="suggest")})) == ()

    play(scene, Stage(asks))


def test_one_that_only_watched_is_held_to_what_it_would_have_been() -> None:
    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "web")
        (decision,) = await stage.decided()
        assert decision.verdict == "observe"
        await stage.on.agreements.feedback(ALICE, decision.id, "false", "a deploy")
        found = await stage.on.replay_tests.written(decision.id)
        assert isinstance(found, Written), found
        assert failing(with_test(found))[0].why == ACTS
        assert failing(with_test(found, rules={"down": rule(more="  enabled: false\n")})) == ()

    play(scene, Stage(trusted=()))


def test_no_test_is_made_of_what_nobody_called_wrong_or_of_what_did_nothing() -> None:
    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "web")
        await stage.ended()
        (decision,) = await stage.decisions()
        no = await stage.on.replay_tests.written(decision.id)
        assert isinstance(no, No)
        assert "nobody called" in no.detail
        assert f"wk feedback {decision.id} harmful" in no.detail
        await stage.on.agreements.feedback(BOB, decision.id, "helpful", "")
        assert isinstance(await stage.on.replay_tests.written(decision.id), No)
        missing = await stage.on.replay_tests.written("dec_none")
        assert isinstance(missing, No)
        assert missing.status == 404

    play(scene)
    refused = house(exclusions=EXCLUDED)

    async def nothing(stage: Stage) -> None:
        await stage.fire("Down", "web")
        (decision,) = await stage.decided()
        assert decision.verdict == "refuse"
        await stage.on.agreements.feedback(BOB, decision.id, "false", "")
        no = await stage.on.replay_tests.written(decision.id)
        assert isinstance(no, No)
        assert "did nothing, and would have done nothing (refuse)" in no.detail

    play(nothing, Stage(refused))


def test_the_next_version_must_not_do_what_was_called_harmful_unless_somebody_says_so_on_record() -> None:
    async def scene(stage: Stage) -> None:
        identity = await harmed(stage)
        changes = stage.on.changes
        stage.files = house(rules={"down": rule(priority=11)})
        planned = changes.plan(None, await changes.harms())
        assert [each.why for each in planned.replays] == [ACTS]
        no = await changes.apply(ALICE, planned.digest, "another priority")
        assert isinstance(no, No)
        assert (no.status, no.title) == (409, "would do it again")
        assert ACTS in no.detail
        assert "wk apply --despite-replays" in no.detail
        assert [each["decision"] for each in no.more["replays"]] == [identity]
        done = await changes.apply(ALICE, planned.digest, "it must go out", despite=True)
        assert isinstance(done, Activation), done
        await stage.on.sequencer.step()
        rows = await stage.store.entries(0, await stage.store.tree_size())
        entry = [row for row in rows if read_entry(row.body).kind == "apply"][-1]
        assert json.loads(entry.content)["despite_replays"] == [f"shop/harmful-{identity[-10:]}"]
        assert await changes.harms() == (), "it was answered, on record"
        stage.files = house(rules={"down": rule(priority=12)})
        assert isinstance(await changes.apply(ALICE, changes.plan().digest, "the next"), Activation)

    play(scene)


def test_praise_does_not_bury_a_report_of_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(stage: Stage) -> None:
        identity = await harmed(stage)
        for number in range(3):
            said = Feedback(
                id=f"fbk_{number}", run="", decision="dec_other", rule="shop/down", by=f"p{number}",
                at=stage.clock.now(), says="helpful", text="",
            )  # fmt: skip
            await stage.store.commit(Commit(at=said.at, puts=(put(said),)))
        assert [each.decision for each in await stage.on.changes.harms()] == [identity]

    monkeypatch.setattr("watchkeeper.engine.replay_tests.REPORTS_MAX", 2)
    play(scene)


def test_a_version_that_no_longer_does_it_goes_into_force_and_a_test_in_a_file_binds_for_good() -> None:
    async def scene(stage: Stage) -> None:
        found = await written(stage)
        stage.files = {**house(rules={"down": rule(ceiling="approve")}), found.path: found.document.encode()}
        changes = stage.on.changes
        assert changes.plan(None, await changes.harms()).replays == ()
        assert isinstance(await changes.apply(ALICE, changes.plan().digest, "it asks from now on"), Activation)
        stage.files = {**house(), found.path: found.document.encode()}
        no = await changes.apply(ALICE, changes.plan().digest, "back to auto")
        assert isinstance(no, No)
        assert ACTS in no.detail

    play(scene)


def test_an_altered_record_fails_and_says_so() -> None:
    async def scene(stage: Stage) -> None:
        found = await written(stage)
        test = with_test(found).replays[0]
        assert pack(unpack(test.record)) == test.record
        deep = b'{"format":1,"record":{"decision":{"arguments":{"a":' + b"[" * 100_000
        bodies = [base64.b64encode(zlib.compress(body)).decode() for body in (b"{}", deep)]
        for record in ("no base64!", test.record[:-40], *bodies):
            with pytest.raises(Malformed, match="record"):
                unpack(record)
            broken = msgspec.structs.replace(with_test(found), replays=(msgspec.structs.replace(test, record=record),))
            assert "write it again" in failing(broken)[0].why or "cut short" in failing(broken)[0].why

    play(scene)


def test_of_a_suggestion_that_a_person_ran_the_rules_own_decision_is_tested() -> None:
    async def scene(stage: Stage) -> None:
        await stage.trust("shop/down", "suggest")
        await stage.fire("Down", "web")
        (suggestion,) = await stage.decided(verdict="suggest")
        accepted = await stage.on.agreements.accept(BOB, suggestion.id, "it is what I would do")
        assert not isinstance(accepted, No), accepted
        (run,) = await stage.ended()
        assert run.decision != suggestion.id
        await stage.on.agreements.feedback(BOB, run.id, "harmful", "it was not")
        found = await stage.on.replay_tests.written(run.decision)
        assert isinstance(found, Written), found
        assert found.decision == suggestion.id
        assert failing(with_test(found))[0].why == ACTS
        assert [each.decision for each in await stage.on.changes.harms()] == [suggestion.id]

    play(scene, Stage(trusted=()))
