"""When a decision is due: once an episode, and afresh only for the reasons of SEMANTICS 1."""

import msgspec
import pytest

from situations import AT, HOUR, MINUTE, TICK, a_ladder, a_proposal, a_situation, an_alert
from watchkeeper.decide.decide import decide
from watchkeeper.decide.episode import (
    Because,
    Due,
    LastRun,
    NotDue,
    Present,
    acted_for,
    changed_names,
    due,
    newest,
    severity_fell,
)
from watchkeeper.guards.situation import Attempt, Hold, Scope
from watchkeeper.packs.rule import Mode
from watchkeeper.values import Severity

TARGET = "resource:default/payments-api-3"
WATCHED = decide(a_proposal(), a_situation(ladder=a_ladder(Mode.OBSERVE)))
HELD = decide(
    a_proposal(),
    a_situation(holds=(Hold(id="h", scope=Scope(), by="m", reason="r", at=AT, until_at=AT + HOUR),)),
)


def present(**fields):
    return Present(
        **{
            "at": AT,
            "alert": an_alert(),
            "targets": (TARGET,),
            "versions": WATCHED.versions,
            **fields,
        }
    )


def test_first():
    assert due(None, present()) == Due(because=Because.FIRST, why="The episode is new to this rule.")


def test_seen_again_is_no_reason():
    assert due(WATCHED, present(at=AT + HOUR)) == NotDue(
        why="It was decided, and nothing that it rests on has changed."
    )


@pytest.mark.parametrize("alert", [an_alert(firing=False), an_alert(stale=True)])
@pytest.mark.parametrize("last", [None, WATCHED, HELD])
def test_resolved_or_unseen_lapses(alert, last):
    assert due(last, present(alert=alert, asked_by="mira")).lapsed


def test_a_person_asks():
    assert due(WATCHED, present(asked_by="mira")) == Due(because=Because.ASKED, why="mira asked.")


@pytest.mark.parametrize(("at", "is_due"), [(AT + MINUTE - TICK, False), (AT + MINUTE, True)])
def test_a_hold_wakes(at, is_due):
    found = due(HELD, present(at=at))
    assert isinstance(found, Due) is is_due
    if is_due:
        assert found.because is Because.WOKE
    else:
        assert found == NotDue(why="It is held.", again_at=AT + MINUTE)


def test_severity():
    found = due(WATCHED, present(alert=an_alert(severity=Severity.MAJOR)))
    assert found == Due(because=Because.SEVERITY, why="Severity went from critical to major.")


def test_targets():
    found = due(WATCHED, present(targets=(TARGET, "resource:default/b")))
    assert found == Due(because=Because.TARGETS, why="The targets changed: resource:default/b.")
    assert due(WATCHED, present(targets=())).because is Because.TARGETS


def test_a_version_that_its_findings_name():
    found = due(WATCHED, present(versions={**WATCHED.versions, "freeze": 9, "grant": 1}))
    assert found == Due(because=Because.VERSION, why="freeze and grant changed.")


def test_a_version_that_they_do_not_name():
    moved = {**WATCHED.versions, "epoch": 9, "target:elsewhere": 3}
    assert changed_names(WATCHED, moved) == ()
    assert isinstance(due(WATCHED, present(versions=moved)), NotDue)


def test_a_run_at_work_waits_for_its_end():
    run = LastRun(acting=True)
    assert due(WATCHED, present(run=run, asked_by="mira", versions={"stop": 9})) == NotDue(why="Its run is at work.")


def test_a_run_that_waits_for_an_approval_is_judged_by_what_changed():
    run = LastRun(acting=False)
    assert isinstance(due(WATCHED, present(run=run)), NotDue)
    assert due(WATCHED, present(run=run, versions={"stop": 9})).because is Because.VERSION


@pytest.mark.parametrize(
    ("run", "shown_from"),
    [
        (LastRun(acting=False, ended_at=AT, effect_at=AT - MINUTE), AT - MINUTE),
        (LastRun(acting=False, ended_at=AT), AT),
    ],
)
def test_after_a_run_it_settles(run, shown_from):
    again_at = shown_from + 5 * MINUTE
    early = due(WATCHED, present(run=run, at=again_at - TICK, versions={"stop": 9}))
    assert early == NotDue(why="Its run ended; what it did must show first.", again_at=again_at)
    assert due(WATCHED, present(run=run, at=again_at)).because is Because.STILL_FIRING
    assert due(WATCHED, present(run=run, at=again_at - TICK, asked_by="mira")).because is Because.ASKED
    assert isinstance(due(WATCHED, present(run=run, at=shown_from, settle_ms=0)), Due)


def test_severity_fell():
    assert severity_fell(Severity.CRITICAL, Severity.MAJOR)
    assert not severity_fell(Severity.MAJOR, Severity.MAJOR)
    assert not severity_fell(Severity.MAJOR, Severity.CRITICAL)


def test_a_held_decision_without_a_wake_up_is_not_forgotten_by_a_change():
    silent = msgspec.structs.replace(HELD, wake_at=None)
    assert isinstance(due(silent, present()), NotDue)
    assert due(silent, present(versions={"hold": 1})).because is Because.VERSION


# -- another witness's run ----------------------------------------------------------------------------------


def attempt(**fields):
    return Attempt(
        **{
            "run": "run_1",
            "target": TARGET,
            "symptom": an_alert().symptom,
            "ended_at": an_alert().first_seen_at + MINUTE,
            "status": "succeeded",
            "runbook": "payments/recycle",
            **fields,
        }
    )


def ended(found, *, decided_at=None, target=TARGET):
    return acted_for({target: found}, an_alert(), "payments/recycle", decided_at)


def test_a_run_for_the_same_symptom_on_the_target_was_for_this_episode_too():
    found = ended((attempt(),))
    assert found == LastRun(acting=False, ended_at=an_alert().first_seen_at + MINUTE)


@pytest.mark.parametrize(
    "other",
    [
        {"runbook": "payments/other"},
        {"symptom": "Another on payments"},
        {"ended_at": an_alert().first_seen_at - TICK},
    ],
)
def test_another_runbook_another_symptom_or_an_earlier_firing_are_not(other):
    assert ended((attempt(**other),)) is None
    assert ended(()) is None


def test_it_fired_already_when_the_run_ended():
    assert ended((attempt(ended_at=an_alert().first_seen_at),)) is not None


def test_what_was_decided_since_does_not_look_back():
    at = an_alert().first_seen_at + MINUTE
    assert ended((attempt(),), decided_at=at) is not None
    assert ended((attempt(),), decided_at=at + TICK) is None


def test_each_target_must_have_been_repaired():
    assert acted_for({TARGET: (attempt(),), "resource:default/other": ()}, an_alert(), "payments/recycle", None) is None
    assert acted_for({}, an_alert(), "payments/recycle", None) is None


def test_one_that_is_new_to_the_rule_waits_for_what_was_done_to_show():
    ran = LastRun(acting=False, ended_at=AT)
    assert due(None, present(at=AT + MINUTE, run=ran)) == NotDue(
        why="Its run ended; what it did must show first.", again_at=AT + 5 * MINUTE
    )
    assert due(None, present(at=AT + 5 * MINUTE, run=ran)).because is Because.STILL_FIRING


OWN = LastRun(acting=False, ended_at=AT)
LATER = LastRun(acting=False, ended_at=AT + TICK)
EARLIER = LastRun(acting=False, ended_at=AT - TICK)
WORKING = LastRun(acting=True)


@pytest.mark.parametrize(
    ("own", "elsewhere", "counts"),
    [
        (None, None, None),
        (OWN, None, OWN),
        (None, OWN, OWN),
        (OWN, LATER, LATER),
        (OWN, EARLIER, OWN),
        (OWN, LastRun(acting=False, ended_at=AT, effect_at=AT - TICK), OWN),
        (WORKING, LATER, WORKING),
    ],
)
def test_what_was_done_last_counts(own: LastRun | None, elsewhere: LastRun | None, counts: LastRun | None) -> None:
    assert newest(own, elsewhere) == counts
