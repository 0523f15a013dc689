"""Attempts, breaker, blast radius: what runs did, do, and would touch."""

import pytest

from situations import AT, HOUR, MINUTE, TICK, a_proposal, a_situation, a_target, said
from watchkeeper.guards.attempts import attempts
from watchkeeper.guards.blast_radius import allowed, blast_radius
from watchkeeper.guards.breaker import breaker
from watchkeeper.guards.finding import Outcome
from watchkeeper.guards.situation import Attempt, Breaker, Members
from watchkeeper.packs.rule import Limits, Unavailable

TARGET = "resource:default/payments-api-3"


def tried(number, ended_at, **fields):
    return Attempt(
        **{
            "run": f"run_00000000-{number:06d}",
            "target": TARGET,
            "symptom": "s",
            "ended_at": ended_at,
            "status": "failed",
            "runbook": "payments/restart-instance",
            **fields,
        }
    )


def the_breaker(**fields):
    return Breaker(
        **{"key": "service.restart eu-west 1.2.0", "state": "open", "since_at": AT - MINUTE, "failures": 3, **fields}
    )


def group(**fields):
    return Members(**{"of": "payments-api", "total": 4, **fields})


class TestAttempts:
    def test_first(self):
        assert said(attempts(a_proposal(), a_situation())) == ("pass", "This is the first attempt.")
        other = a_situation(attempts=(tried(1, AT - MINUTE, target="resource:default/other"),))
        assert said(attempts(a_proposal(), other)) == ("pass", "This is the first attempt.")

    def test_below_the_limit(self):
        found = attempts(a_proposal(), a_situation(attempts=(tried(1, AT - MINUTE), tried(2, AT - MINUTE))))
        assert said(found) == ("pass", "Attempt 3 of 3 in 1h.")

    def test_the_next_one_is_a_persons(self):
        earlier = (
            tried(3, AT - MINUTE, status="succeeded"),
            tried(1, AT - 30 * MINUTE),
            tried(2, AT - 20 * MINUTE, runbook=""),
        )
        found = attempts(a_proposal(), a_situation(attempts=earlier))
        assert said(found) == (
            "refuse",
            "Tried 3 times in 1h, and it fires again: payments/restart-instance succeeded, run_…000002 failed and payments/restart-instance failed. A person takes over.",
        )
        assert found.escalate
        assert found.until_at == AT + 30 * MINUTE
        assert found.evidence["runs"] == [earlier[1].run, earlier[2].run, earlier[0].run]
        assert (found.evidence["attempts"], found.evidence["limit"]) == (3, 3)

    def test_more_than_the_limit_waits_until_fewer_are_left(self):
        earlier = tuple(tried(number, AT - (50 - 10 * number) * MINUTE) for number in range(4))
        found = attempts(a_proposal(), a_situation(attempts=earlier))
        assert found.until_at == earlier[1].ended_at + HOUR

    @pytest.mark.parametrize(("ended_at", "outcome"), [(AT - HOUR, Outcome.PASS), (AT - HOUR + TICK, Outcome.REFUSE)])
    def test_the_window_ends(self, ended_at, outcome):
        proposal = a_proposal(limits=Limits(attempts=1))
        found = attempts(proposal, a_situation(attempts=(tried(1, ended_at),)))
        assert found.outcome is outcome
        assert found.until_at == (ended_at + HOUR if outcome is Outcome.REFUSE else None)

    def test_each_target_is_counted_alone(self):
        proposal = a_proposal(limits=Limits(attempts=2), targets=(a_target(), a_target("b")))
        earlier = (tried(1, AT - MINUTE), tried(2, AT - MINUTE, target="resource:default/b"))
        assert attempts(proposal, a_situation(attempts=earlier)).outcome is Outcome.PASS
        both = (*earlier, tried(3, AT - MINUTE, target="resource:default/b"))
        assert attempts(proposal, a_situation(attempts=both)).outcome is Outcome.REFUSE

    def test_a_run_that_lapsed_was_no_attempt(self):
        proposal = a_proposal(limits=Limits(attempts=1))
        assert attempts(proposal, a_situation(attempts=(tried(1, AT, status="lapsed"),))).outcome is Outcome.PASS

    def test_no_attempt_allowed(self):
        found = attempts(a_proposal(limits=Limits(attempts=0)), a_situation(alert=None))
        assert said(found) == ("refuse", "payments/wedged-instance allows no attempt.")
        assert found.until_at is None
        assert found.evidence["symptom"] == ""

    def test_no_attempt_allowed_has_no_end_whatever_was_tried(self):
        found = attempts(a_proposal(limits=Limits(attempts=0)), a_situation(attempts=(tried(1, AT),)))
        assert said(found) == ("refuse", "payments/wedged-instance allows no attempt.")
        assert found.until_at is None

    def test_a_busy_target_waits(self):
        found = attempts(a_proposal(), a_situation(busy=("run_019-abcdef",)))
        assert said(found) == ("hold", "Waits for run_…abcdef, at work on the same target.")
        assert found.names == (f"target:{TARGET}",)

    def test_rivals_ask_naming_both(self):
        found = attempts(a_proposal(priority=50), a_situation(rivals=("payments/drain",)))
        assert said(found) == (
            "ask",
            "payments/restart-instance and payments/drain are both proposed for the same target with equal priority.",
        )
        assert found.evidence == {"rivals": ["payments/drain"], "priority": 50}

    def test_strictest_first(self):
        situation = a_situation(busy=("run_1",), rivals=("x/y",))
        assert attempts(a_proposal(), situation).outcome is Outcome.HOLD


class TestBreaker:
    def test_none(self):
        assert said(breaker(a_proposal(), a_situation())) == ("pass", "No breaker is open.")

    def test_closed(self):
        found = breaker(a_proposal(), a_situation(breakers=(the_breaker(state="closed"),)))
        assert said(found) == ("pass", "Every breaker on the way is closed.")
        assert found.names == ("breaker:brake", "breaker:service.restart eu-west 1.2.0")

    def test_open(self):
        found = breaker(a_proposal(), a_situation(breakers=(the_breaker(until_at=AT + TICK),)))
        assert said(found) == (
            "hold",
            "service.restart eu-west 1.2.0 failed 3 times and is left alone until 03:04 UTC.",
        )
        assert found.until_at == AT + TICK
        forever = breaker(a_proposal(), a_situation(breakers=(the_breaker(),)))
        assert said(forever) == (
            "hold",
            "service.restart eu-west 1.2.0 failed 3 times and is left alone since 03:03 UTC.",
        )

    @pytest.mark.parametrize("each", [the_breaker(until_at=AT), the_breaker(state="half_open")])
    def test_one_trial(self, each):
        found = breaker(a_proposal(), a_situation(breakers=(each,)))
        assert said(found) == ("pass", "This is the trial of service.restart eu-west 1.2.0.")

    def test_a_state_nobody_knows_holds(self):
        found = breaker(a_proposal(), a_situation(breakers=(the_breaker(state="ajar"),)))
        assert said(found) == (
            "hold",
            "The breaker of service.restart eu-west 1.2.0 is in a state nobody knows: ajar.",
        )
        assert found.unknown

    def test_the_brake_holds_restarts_and_asks_for_failovers(self):
        situation = a_situation(braked="4 rules failed in eu-west")
        found = breaker(a_proposal(), situation)
        assert said(found) == ("hold", "The brake is on: 4 rules failed in eu-west.")
        assert found.escalate
        failover = breaker(a_proposal(failover=True), situation)
        assert failover.outcome is Outcome.ASK
        assert not failover.escalate

    def test_the_brake_of_its_own_rule_holds_a_failover_too(self):
        situation = a_situation(braked="rule x/y failed on 5 targets in 30m", brake="rule")
        found = breaker(a_proposal(failover=True), situation)
        assert found.outcome is Outcome.HOLD
        assert found.escalate
        region = breaker(a_proposal(failover=True), a_situation(braked="x", brake="region"))
        assert region.outcome is Outcome.ASK
        assert region.evidence == {"braked": True, "brake": "region", "seen": {"brake": "x"}}

    @pytest.mark.parametrize("each", [the_breaker(until_at=AT), the_breaker(state="half_open")])
    def test_a_trial_that_is_taken_holds_and_says_whose_it_is(self, each):
        taken = Breaker(key=each.key, state=each.state, since_at=AT, until_at=each.until_at, trial="run_019-abcdef")
        found = breaker(a_proposal(), a_situation(breakers=(taken,)))
        assert said(found) == (
            "hold",
            "service.restart eu-west 1.2.0 is tried by run_…abcdef now, and only one run tries.",
        )
        assert found.names == ("breaker:brake", f"breaker:{each.key}")

    def test_an_open_breaker_holds_a_failover_too(self):
        situation = a_situation(braked="x", breakers=(the_breaker(),))
        assert breaker(a_proposal(failover=True), situation).outcome is Outcome.HOLD


class TestBlastRadius:
    ONE = Limits(unavailable=Unavailable(of="service", most=1))
    TWO = Limits(unavailable=Unavailable(of="service", most=2))

    def test_free(self):
        found = blast_radius(a_proposal(), a_situation())
        assert said(found) == ("pass", "No service depends on it, and no limit is set.")
        assert not found.configured

    def test_without_a_limit_it_is_told(self):
        found = blast_radius(a_proposal(), a_situation(blast=("a", "b")))
        assert said(found) == ("pass", "2 services depend on it.")
        assert not found.configured

    @pytest.mark.parametrize(("most", "outcome"), [(2, Outcome.PASS), (1, Outcome.ASK)])
    def test_blast_max(self, most, outcome):
        found = blast_radius(a_proposal(limits=Limits(blast_max=most)), a_situation(blast=("b", "a")))
        assert found.outcome is outcome
        assert found.configured

    def test_blast_max_words(self):
        found = blast_radius(a_proposal(limits=Limits(blast_max=0)), a_situation(blast=("a",)))
        assert said(found) == ("ask", "1 service depends on it (a); the rule may touch 0.")
        assert found.evidence == {"services": ["a"], "count": 1, "limit": 0}

    @pytest.mark.parametrize("members", [None, group(total=0)])
    def test_unknown_members_hold(self, members):
        found = blast_radius(a_proposal(limits=self.ONE), a_situation(members=members))
        assert found.outcome is Outcome.HOLD
        assert found.unknown
        assert found.reason.startswith("Nobody knows the members of ")

    def test_unknown_health_holds(self):
        found = blast_radius(a_proposal(limits=self.ONE), a_situation(members=group(unknown=("b", "c"))))
        assert said(found) == ("hold", "The health of b and c in payments-api is not known.")
        assert found.unknown

    def test_the_targets_own_unknown_health_counts_as_good(self):
        found = blast_radius(a_proposal(limits=self.ONE), a_situation(members=group(unknown=(TARGET,))))
        assert said(found) == ("pass", "0 services depend on it. Enough of payments-api stays.")
        last = blast_radius(a_proposal(), a_situation(members=group(total=1, unknown=(TARGET,))))
        assert last.outcome is Outcome.REFUSE

    def test_one_away_already(self):
        situation = a_situation(members=group(unhealthy=("b",)))
        found = blast_radius(a_proposal(limits=self.ONE), situation)
        assert said(found) == ("hold", "b of payments-api is away already; 1 of 4 may be.")
        assert blast_radius(a_proposal(limits=self.TWO), situation).outcome is Outcome.PASS
        two = blast_radius(a_proposal(limits=self.TWO), a_situation(members=group(unhealthy=("b",), repairing=("c",))))
        assert said(two) == ("hold", "b and c of payments-api are away already; 2 of 4 may be.")

    def test_the_target_counts_once(self):
        situation = a_situation(members=group(unhealthy=(TARGET,), repairing=(TARGET,)))
        assert blast_radius(a_proposal(limits=self.ONE), situation).outcome is Outcome.PASS

    def test_more_targets_than_may_ever_go(self):
        proposal = a_proposal(limits=self.ONE, targets=(a_target(), a_target("b")))
        found = blast_radius(proposal, a_situation(members=group()))
        assert said(found) == ("refuse", "It would take 2 of 4 in payments-api at once; the rule may take 1.")

    def test_never_the_last_good_replica(self):
        lenient = Limits(unavailable=Unavailable(of="service", most=4))
        away = group(unhealthy=("b",), repairing=("c", "d"))
        for limits in (lenient, Limits()):
            found = blast_radius(a_proposal(limits=limits), a_situation(members=away))
            assert said(found) == (
                "refuse",
                "It would take the last good replica of payments-api (1 of 4 must stay).",
            )
            assert found.escalate
        spare = group(unhealthy=("b",), repairing=("c",))
        assert blast_radius(a_proposal(limits=lenient), a_situation(members=spare)).outcome is Outcome.PASS

    def test_what_is_broken_already_is_no_good_replica(self):
        away = group(unhealthy=(TARGET, "b", "c", "d"))
        assert blast_radius(a_proposal(), a_situation(members=away)).outcome is Outcome.PASS

    @pytest.mark.parametrize(
        ("limit", "total", "expected"),
        [
            (Unavailable(of="zone", most=3), 10, 3),
            (Unavailable(of="zone", most_ppm=250_000), 8, 2),
            (Unavailable(of="zone", most_ppm=250_000), 7, 1),
            (Unavailable(of="zone", most_ppm=100_000), 9, 0),
            (Unavailable(of="zone"), 9, 0),
        ],
    )
    def test_a_percentage_is_rounded_down(self, limit, total, expected):
        assert allowed(limit, total) == expected
