"""What a replay test keeps in a file, and what is the same again: the runbook, one of the targets, and as lenient."""

import pytest
from msgspec.structs import replace

from situations import a_proposal, a_situation, a_target
from watchkeeper.decide import replay_test
from watchkeeper.decide.decide import decide
from watchkeeper.decide.decision import Verdict
from watchkeeper.decide.otherwise import Before
from watchkeeper.decide.replay import Record
from watchkeeper.decide.replay_test import FORMAT, Kept, does_again, pack, unpack
from watchkeeper.errors import Malformed

DECISION = decide(a_proposal(), a_situation())
KEPT = Kept(
    format=FORMAT, record=Record(decision=DECISION, situation=a_situation(), proposal=a_proposal()), before=Before()
)
REFS = frozenset(each.ref for each in DECISION.targets)


def test_what_is_packed_is_unpacked() -> None:
    assert unpack(pack(KEPT)) == KEPT


@pytest.mark.parametrize("format_", [FORMAT - 1, FORMAT + 1])
def test_another_format_is_not_guessed_at(format_: int) -> None:
    with pytest.raises(Malformed, match=f"is of format {format_}, this release reads {FORMAT}: write it again"):
        unpack(pack(replace(KEPT, format=format_)))


def test_a_record_that_unpacks_to_more_than_one_decision_holds_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_test, "UNPACKED_BYTES_MAX", 100)
    with pytest.raises(Malformed, match="is cut short, or too large"):
        unpack(pack(KEPT))


@pytest.mark.parametrize(
    ("runbook", "targets", "forbids", "again"),
    [
        (DECISION.runbook, REFS, Verdict.ACT, True),
        ("other/runbook", REFS, Verdict.ACT, False),
        (DECISION.runbook, frozenset({"component:default/elsewhere"}), Verdict.ACT, False),
        (DECISION.runbook, REFS | {"component:default/elsewhere"}, Verdict.ACT, True),
    ],
)
def test_it_does_the_same_again(runbook: str, targets: frozenset[str], forbids: Verdict, again: bool) -> None:
    acts = replace(DECISION, verdict=Verdict.ACT, would_be=Verdict.ACT, targets=(a_target(),))
    refs = frozenset(each.ref for each in acts.targets) if targets == REFS else targets
    assert does_again(acts, runbook, refs, forbids, meant=False) is again


@pytest.mark.parametrize(
    ("verdict", "would_be", "meant", "again"),
    [
        (Verdict.ASK, Verdict.ASK, False, True),
        (Verdict.ACT, Verdict.ACT, False, True),  # more lenient than what was wrong
        (Verdict.HOLD, Verdict.HOLD, False, False),
        (Verdict.OBSERVE, Verdict.ACT, False, False),
        (Verdict.OBSERVE, Verdict.ACT, True, True),
        (Verdict.OBSERVE, Verdict.REFUSE, True, False),
    ],
)
def test_as_lenient_as_what_was_wrong(verdict: Verdict, would_be: Verdict, meant: bool, again: bool) -> None:
    made = replace(DECISION, verdict=verdict, would_be=would_be)
    assert does_again(made, DECISION.runbook, REFS, Verdict.ASK, meant=meant) is again
