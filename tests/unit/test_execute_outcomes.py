"""What a run's events say of each action on each target."""

import pytest
from execute_material import at, call, do, foreach, plan, runbook, target, verify

from watchkeeper.execute.outcomes import NOTHING, Came, tally
from watchkeeper.execute.run import Done, Doubted, Failed, Intended, Probed, Settled, Verified
from watchkeeper.packs.runbook import Effect
from watchkeeper.verify.sample import Result

WEB = "resource:web-1"
PLAN = plan(do("drain", undo="safe"), do("restart"), do("look", effect=Effect.READ), verify(), verify("again"))


def came(*events, of=PLAN, before=NOTHING):
    return {key: word.came.value for key, word in tally(of, events, before).words.items()}


def done(path, **more):
    return Done(at=at(), path=path, attempt=1, **more)


def failed(path, error="unavailable", **more):
    return Failed(at=at(), path=path, attempt=1, error=error, why="it said no", **more)


def verified(path="healthy", result=Result.UNHEALTHY, **more):
    return Verified(at=at(), path=path, result=result, why="status 500", **more)


def test_done_is_no_verification():
    assert came(done("restart")) == {("restart", WEB): "done"}


@pytest.mark.parametrize("error", ["unavailable", "rejected", "timeout", "untrusted"])
def test_an_error_is_a_failure_of_its_own_action(error):
    assert came(done("drain"), failed("restart", error)) == {("drain", WEB): "done", ("restart", WEB): "failed"}


@pytest.mark.parametrize("error", ["denied", "broken", "inconclusive"])
def test_what_is_no_word_of_the_target_does_not_count(error):
    assert came(failed("restart", error)) == {}


def test_an_attempt_that_is_tried_again_is_no_word_yet():
    assert came(failed("restart", retry_at=at(500))) == {}


@pytest.mark.parametrize(
    ("result", "word"), [(Result.HEALTHY, "healthy"), (Result.UNHEALTHY, "failed"), (Result.INCONCLUSIVE, "unclear")]
)
def test_a_verification_speaks_of_the_last_effect_before_it(result, word):
    found = came(done("drain"), done("restart"), done("look"), verified(result=result))
    assert found == {("drain", WEB): "done", ("restart", WEB): word}


def test_a_verification_before_any_effect_speaks_of_nothing():
    assert came(verified()) == {}
    assert came(done("restart"), verified(result=Result.HEALTHY, healed_by_itself=True)) == {("restart", WEB): "done"}


def test_the_last_word_counts():
    assert came(done("restart"), verified(result=Result.HEALTHY), verified("again")) == {("restart", WEB): "failed"}
    assert came(done("restart"), verified(), verified("again", Result.HEALTHY)) == {("restart", WEB): "healthy"}


def test_an_undo_that_fails_counts_and_one_that_works_says_nothing():
    assert came(done("drain"), done("drain", undo=True)) == {("drain", WEB): "done"}
    assert came(done("drain"), failed("drain", undo=True)) == {("drain", WEB): "done", ("undrain", WEB): "failed"}


def test_a_doubt_counts_unless_it_was_our_own_crash():
    doubted = Doubted(at=at(), path="restart", attempt=1, why="no answer")
    assert came(doubted) == {("restart", WEB): "failed"}
    assert came(Doubted(at=at(), path="restart", attempt=1, why="gone", interrupted=True)) == {}
    assert came(doubted, Probed(at=at(), path="restart", happened=True)) == {("restart", WEB): "done"}
    assert came(doubted, Probed(at=at(), path="restart", happened=None)) == {("restart", WEB): "failed"}
    assert came(doubted, Settled(at=at(), path="restart", happened=False, by="alice")) == {("restart", WEB): "failed"}


def test_of_many_targets_each_has_its_own_words():
    many = plan(
        foreach("fleet", call("one", "payments/one"), waves=("100%",), most=2),
        targets=(target("a"), target("b")),
        called=(runbook(do("restart"), verify(), name="payments/one"),),
    )
    found = came(
        done("fleet[0]/one/restart"),
        done("fleet[1]/one/restart"),
        verified("fleet[0]/one/healthy"),
        verified("fleet[1]/one/healthy", Result.HEALTHY),
        of=many,
    )
    assert found == {("restart", "resource:a"): "failed", ("restart", "resource:b"): "healthy"}


def test_a_step_on_several_targets_speaks_of_each():
    several = plan(do("restart"), verify(), targets=(target("a"), target("b")))
    assert came(done("restart"), verified(), of=several) == {
        ("restart", "resource:a"): "failed",
        ("restart", "resource:b"): "failed",
    }


def test_events_that_say_nothing_leave_it_as_it_was():
    before = tally(PLAN, (done("restart"),))
    assert tally(PLAN, (Intended(at=at(), path="restart", attempt=1, key="k"),), before) is before
    assert tally(PLAN, (done("no/such/step"),), before) is before


def test_piece_by_piece_is_the_same_as_at_once():
    events = (done("drain"), done("restart"), verified(), failed("drain", undo=True))
    found = NOTHING
    for event in events:
        found = tally(PLAN, (event,), found)
    assert found == tally(PLAN, events)
    assert found.words["restart", WEB].came is Came.FAILED
    assert found.words["restart", WEB].why == "status 500"
