"""What admission compares and claims."""

import pytest

from situations import AT, HOUR, a_ladder, a_proposal, a_situation, a_target
from watchkeeper.decide.admission import LimitSettings, claims, expects
from watchkeeper.decide.decide import decide
from watchkeeper.decide.decision import ClaimWant
from watchkeeper.guards.situation import Breaker, Members
from watchkeeper.packs.rule import Limits, Mode, Unavailable

SETTINGS = LimitSettings(service_max=2, region_max=3, global_max=4)
TARGET = "resource:default/payments-api-3"


def wanted(proposal, situation):
    return claims(proposal, decide(proposal, situation), situation, SETTINGS)


def test_all_in_key_order():
    found = wanted(a_proposal(), a_situation())
    assert found == (
        ClaimWant(key=f"attempts:{TARGET}:InstanceWedged payments-api", limit=3, units=1, until_at=AT + HOUR),
        ClaimWant(key="run:global", limit=4),
        ClaimWant(key="run:region:eu-west", limit=3),
        ClaimWant(key="run:service:component:default/payments-api", limit=2),
        ClaimWant(key=f"run:target:{TARGET}", limit=1),
    )
    assert list(found) == sorted(found, key=lambda want: want.key)


def test_scopes_are_claimed_once_and_targets_each():
    proposal = a_proposal(targets=(a_target("a"), a_target("b", service="", region="")))
    keys = [want.key for want in wanted(proposal, a_situation(alert=None))]
    assert keys == [
        "run:global",
        "run:region:eu-west",
        "run:service:component:default/payments-api",
        "run:target:resource:default/a",
        "run:target:resource:default/b",
    ]


@pytest.mark.parametrize("mode", [Mode.OBSERVE, Mode.SUGGEST, Mode.APPROVE])
def test_nothing_is_claimed_for_what_does_not_act(mode):
    assert wanted(a_proposal(), a_situation(ladder=a_ladder(mode))) == ()


def test_a_trial_is_one_over_all_nodes():
    breakers = (
        Breaker(key="open", state="open", since_at=AT, until_at=AT),
        Breaker(key="half", state="half_open", since_at=AT),
        Breaker(key="shut", state="closed", since_at=AT),
    )
    trials = [want for want in wanted(a_proposal(), a_situation(breakers=breakers)) if want.key.startswith("trial:")]
    assert trials == [ClaimWant(key="trial:half", limit=1), ClaimWant(key="trial:open", limit=1)]


@pytest.mark.parametrize(
    ("members", "most", "limit"),
    [
        (Members(of="s", total=4), 2, 2),
        (Members(of="s", total=4), 4, 3),  # whoever takes a good one leaves one
        (Members(of="s", total=4), None, 3),
        (Members(of="s", total=4, unhealthy=(TARGET,)), 4, 4),
        (Members(of="s", total=4, unhealthy=("b",)), 3, 2),
        (Members(of="s", total=4, unhealthy=("b",), repairing=("b",)), 3, 3),  # its run holds the claim
    ],
)
def test_unavailable(members, most, limit):
    limits = Limits(unavailable=Unavailable(of="service", most=most) if most is not None else None)
    found = wanted(a_proposal(limits=limits), a_situation(members=members))
    assert [want for want in found if want.key == "unavailable:s"] == [ClaimWant(key="unavailable:s", limit=limit)]


def test_the_last_two_good_replicas_are_not_both_taken():
    """Two runs read the same situation; the second claim passes the limit that the first has used up."""
    limits = Limits(unavailable=Unavailable(of="service", most=2))
    situation = a_situation(members=Members(of="s", total=2))
    first, second = (
        next(
            want
            for want in wanted(a_proposal(limits=limits, targets=(a_target(name),)), situation)
            if "unavail" in want.key
        )
        for name in ("a", "b")
    )
    assert first.units + second.units > second.limit


def test_expects_everything_the_situation_lists():
    situation = a_situation(versions={"stop": 2, "breaker:x": 5})
    decision = decide(a_proposal(), situation)
    found = expects(decision, situation)
    assert found == tuple(sorted(found))
    assert {"stop": 2, "breaker:x": 5, "hold": 0, "freeze": 0, "exclusion": 0, "grant": 0, "epoch": 0}.items() <= dict(
        found
    ).items()
    assert dict(found)[f"target:{TARGET}"] == 0
