"""Stop, hold, freeze, exclusion, maintenance, deploy: what people put in the way."""

import pytest

from situations import AT, DAY, ELSEWHERE, EVERYTHING, HOUR, MINUTE, TICK, a_proposal, a_situation, a_target, said
from watchkeeper.guards.cover import bare, covered, covers
from watchkeeper.guards.deploy import deploy
from watchkeeper.guards.exclusion import exclusion
from watchkeeper.guards.finding import Outcome
from watchkeeper.guards.freeze import freeze
from watchkeeper.guards.hold import hold
from watchkeeper.guards.maintenance import maintenance
from watchkeeper.guards.situation import Deploy, Exclusion, Freeze, Hold, Maintenance, Scope, Stop
from watchkeeper.guards.stop import stop


def a_stop(**fields):
    return Stop(
        **{"id": "stp_1", "scope": EVERYTHING, "by": "mira", "reason": "bad release", "at": AT - MINUTE, **fields}
    )


def a_hold(**fields):
    return Hold(
        **{
            "id": "hld_1",
            "scope": EVERYTHING,
            "by": "mira",
            "reason": "looking into it",
            "at": AT - MINUTE,
            "until_at": AT + HOUR,
            **fields,
        }
    )


def a_freeze(**fields):
    return Freeze(
        **{
            "id": "F-12",
            "scope": EVERYTHING,
            "by": "cab",
            "reason": "Month-end close",
            "at": AT - DAY,
            "from_at": AT,
            "until_at": AT + HOUR,
            **fields,
        }
    )


def an_exclusion(**fields):
    return Exclusion(
        **{
            "id": "EX-1",
            "scope": EVERYTHING,
            "control": "SOX-7",
            "reason": "primary database",
            "owner": "dba-core",
            "approver": "cto",
            "from_at": AT,
            "until_at": AT + DAY,
            **fields,
        }
    )


def a_maintenance(**fields):
    return Maintenance(
        **{"id": "MW-1", "scope": EVERYTHING, "reason": "disk swap", "from_at": AT, "until_at": AT + HOUR, **fields}
    )


def a_deploy(**fields):
    return Deploy(
        **{"id": "dpl_1", "service": "component:default/payments-api", "reason": "", "at": AT - MINUTE, **fields}
    )


class TestCover:
    @pytest.mark.parametrize(
        ("scope", "expected"),
        [
            (Scope(), True),
            (Scope(entity="resource:default/payments-api-3"), True),
            (Scope(entity="payments-api-3"), True),
            (Scope(entity="component:default/payments-api"), True),
            (Scope(entity="payments-api-4"), False),
            (Scope(service="component:default/payments-api"), True),
            (Scope(service="payments-api"), True),
            (Scope(service="search"), False),
            (Scope(environment="prod"), True),
            (Scope(environment="staging"), False),
            (Scope(system="payments"), True),
            (Scope(system="system:default/payments"), True),
            (Scope(system="search"), False),
            (Scope(region="eu-west"), True),
            (Scope(region="us-east"), False),
            (Scope(kind="resource"), True),
            (Scope(kind="Component"), False),
            (Scope(tier="gold"), True),
            (Scope(tier="bronze"), False),
            (Scope(rule="payments/wedged-instance"), True),
            (Scope(rule="payments/other"), False),
            (Scope(environment="prod", region="us-east"), False),
            (Scope(environment="prod", region="eu-west"), True),
        ],
    )
    def test_every_given_field_must_agree(self, scope, expected):
        assert covers(scope, "payments/wedged-instance", a_target()) is expected

    def test_an_absent_attribute_agrees_with_no_given_field(self):
        assert not covers(Scope(tier="gold"), "", a_target(tier=""))

    def test_one_covered_target_is_enough(self):
        proposal = a_proposal(targets=(a_target("a"), a_target("b")))
        assert covered(Scope(entity="b"), proposal).name == "b"
        assert covered(Scope(entity="c"), proposal) is None

    def test_bare(self):
        assert [bare("component:default/cart"), bare("component:cart"), bare("cart"), bare("")] == [
            "cart",
            "cart",
            "cart",
            "",
        ]


class TestStop:
    def test_none(self):
        assert said(stop(a_proposal(), a_situation())) == ("pass", "Automation is on.")

    def test_pressed(self):
        found = stop(a_proposal(), a_situation(stops=(a_stop(),)))
        assert said(found) == ("hold", "mira stopped automation at 03:03 UTC: bad release.")
        assert found.evidence == {"stops": ["stp_1"]}
        assert found.names == ("stop",)
        assert found.change == "Somebody resumes automation; it is then decided afresh."

    def test_lifted_or_elsewhere(self):
        stops = (a_stop(lifted_at=AT), a_stop(id="stp_2", scope=ELSEWHERE))
        assert said(stop(a_proposal(), a_situation(stops=stops))) == (
            "pass",
            "None of 2 stops in force covers these targets.",
        )

    def test_binds_people(self):
        assert stop(a_proposal(actor="person:mira"), a_situation(stops=(a_stop(),))).outcome is Outcome.HOLD


class TestHold:
    def test_none(self):
        assert said(hold(a_proposal(), a_situation())) == ("pass", "Nobody holds automation.")

    def test_in_force(self):
        found = hold(a_proposal(), a_situation(holds=(a_hold(), a_hold(id="hld_2", by="ola", until_at=AT + 2 * HOUR))))
        assert said(found) == ("hold", "ola leads here until 05:04 UTC: looking into it.")
        assert found.until_at == AT + 2 * HOUR
        assert found.evidence == {"holds": ["hld_1", "hld_2"]}
        assert found.names == ("hold",)
        assert found.change == "ola lifts the hold, or it expires; it is then decided afresh."

    @pytest.mark.parametrize(("until_at", "outcome"), [(AT, Outcome.PASS), (AT + TICK, Outcome.HOLD)])
    def test_ends_at_until(self, until_at, outcome):
        assert hold(a_proposal(), a_situation(holds=(a_hold(until_at=until_at),))).outcome is outcome

    def test_written_by_a_node_whose_clock_is_ahead(self):
        assert hold(a_proposal(), a_situation(holds=(a_hold(at=AT + MINUTE),))).outcome is Outcome.HOLD

    def test_lifted_or_elsewhere(self):
        holds = (a_hold(lifted_at=AT - TICK), a_hold(scope=ELSEWHERE))
        assert said(hold(a_proposal(), a_situation(holds=holds))) == ("pass", "None of 2 holds covers these targets.")

    def test_does_not_stand_in_its_authors_way(self):
        situation = a_situation(holds=(a_hold(),))
        assert said(hold(a_proposal(actor="person:mira"), situation)) == (
            "pass",
            "mira holds automation here and acts in person.",
        )
        assert hold(a_proposal(actor="person:ola"), situation).outcome is Outcome.HOLD


class TestFreeze:
    def test_none(self):
        found = freeze(a_proposal(), a_situation())
        assert said(found) == ("pass", "No freeze is in force.")
        assert not found.configured

    @pytest.mark.parametrize(
        ("from_at", "until_at", "outcome"),
        [
            (AT, AT + TICK, Outcome.ASK),
            (AT + TICK, AT + HOUR, Outcome.PASS),
            (AT - HOUR, AT, Outcome.PASS),
        ],
    )
    def test_both_edges(self, from_at, until_at, outcome):
        found = freeze(a_proposal(), a_situation(freezes=(a_freeze(from_at=from_at, until_at=until_at),)))
        assert found.outcome is outcome

    def test_words(self):
        found = freeze(a_proposal(), a_situation(freezes=(a_freeze(),)))
        assert said(found) == ("ask", "Month-end close (F-12) closes this to changes until 04:04 UTC.")
        assert found.evidence == {"freezes": ["F-12"], "until": "2026-03-01T04:04:00.000000Z"}
        assert found.until_at == AT + HOUR
        assert found.names == ("freeze",)
        assert "emergency" in found.change

    def test_windows_that_touch_are_one(self):
        windows = (
            a_freeze(id="F-14", from_at=AT + 3 * HOUR, until_at=AT + 4 * HOUR),
            a_freeze(id="F-13", from_at=AT + HOUR, until_at=AT + 2 * HOUR),
            a_freeze(),
        )
        found = freeze(a_proposal(), a_situation(freezes=windows))
        assert found.until_at == AT + 2 * HOUR
        assert found.evidence["freezes"] == ["F-12"]

    def test_the_calendar_may_know_a_later_end(self):
        later = a_situation(freezes=(a_freeze(),), frozen_until=AT + 5 * HOUR)
        earlier = a_situation(freezes=(a_freeze(),), frozen_until=AT + MINUTE)
        assert freeze(a_proposal(), later).until_at == AT + 5 * HOUR
        assert freeze(a_proposal(), earlier).until_at == AT + HOUR

    def test_not_yet_says_when_it_begins(self):
        windows = (a_freeze(from_at=AT + MINUTE), a_freeze(lifted_at=AT), a_freeze(scope=ELSEWHERE))
        found = freeze(a_proposal(), a_situation(freezes=windows))
        assert said(found) == ("pass", "None of 3 freezes closes these targets now.")
        assert found.until_at == AT + MINUTE
        two = (a_freeze(from_at=AT + 2 * MINUTE), a_freeze(from_at=AT + MINUTE))
        assert freeze(a_proposal(), a_situation(freezes=two)).until_at == AT + MINUTE
        assert freeze(a_proposal(), a_situation(freezes=(a_freeze(scope=ELSEWHERE),))).until_at is None


class TestExclusion:
    def test_none(self):
        found = exclusion(a_proposal(), a_situation())
        assert said(found) == ("pass", "Nothing is registered as excluded.")
        assert not found.configured

    def test_binds(self):
        found = exclusion(a_proposal(), a_situation(exclusions=(an_exclusion(),)))
        assert said(found) == (
            "refuse",
            "dba-core excluded payments-api-3 on 1 Mar 2026 (EX-1): primary database. Only cto can lift that.",
        )
        assert found.evidence == {
            "exclusion": "EX-1",
            "control": "SOX-7",
            "target": "resource:default/payments-api-3",
            "expired": False,
        }
        assert found.change == "cto removes exclusion EX-1 on record."
        assert found.names == ("exclusion",)

    def test_an_expired_one_still_binds(self):
        found = exclusion(a_proposal(), a_situation(exclusions=(an_exclusion(from_at=AT - DAY, until_at=AT),)))
        assert found.outcome is Outcome.REFUSE
        assert found.reason.endswith("It expired on 1 Mar 2026 and binds until it is renewed or removed on record.")
        assert found.evidence["expired"] is True
        assert (
            exclusion(a_proposal(), a_situation(exclusions=(an_exclusion(until_at=AT + TICK),))).evidence["expired"]
            is False
        )

    def test_without_an_approver_its_owner_lifts_it(self):
        found = exclusion(a_proposal(), a_situation(exclusions=(an_exclusion(approver=""),)))
        assert found.reason.endswith("Only dba-core can lift that.")

    def test_a_future_one_does_not_bind_yet(self):
        exclusions = (an_exclusion(from_at=AT + TICK), an_exclusion(scope=ELSEWHERE))
        assert said(exclusion(a_proposal(), a_situation(exclusions=exclusions))) == (
            "pass",
            "None of 2 exclusions covers these targets.",
        )

    def test_one_that_binds_is_found_behind_one_that_does_not_yet(self):
        exclusions = (
            an_exclusion(id="EX-0", from_at=AT + TICK),
            an_exclusion(scope=ELSEWHERE),
            an_exclusion(id="EX-2"),
        )
        assert exclusion(a_proposal(), a_situation(exclusions=exclusions)).evidence["exclusion"] == "EX-2"

    def test_binds_people(self):
        situation = a_situation(exclusions=(an_exclusion(),))
        assert exclusion(a_proposal(actor="person:mira", emergency=True), situation).outcome is Outcome.REFUSE


class TestMaintenance:
    def test_none(self):
        found = maintenance(a_proposal(), a_situation())
        assert said(found) == ("pass", "No maintenance is announced.")
        assert not found.configured

    def test_under_way(self):
        windows = (a_maintenance(), a_maintenance(id="MW-2", reason="reboot", until_at=AT + 2 * HOUR))
        found = maintenance(a_proposal(), a_situation(maintenance=windows))
        assert said(found) == ("hold", "Maintenance until 05:04 UTC: reboot.")
        assert found.until_at == AT + 2 * HOUR
        assert found.evidence == {"windows": ["MW-1", "MW-2"]}

    @pytest.mark.parametrize(
        "window",
        [
            a_maintenance(from_at=AT + TICK),
            a_maintenance(from_at=AT - HOUR, until_at=AT),
            a_maintenance(scope=ELSEWHERE),
        ],
    )
    def test_not_now_or_not_here(self, window):
        assert said(maintenance(a_proposal(), a_situation(maintenance=(window,)))) == (
            "pass",
            "None of 1 maintenance window covers these targets now.",
        )


class TestDeploy:
    def test_none(self):
        found = deploy(a_proposal(), a_situation())
        assert said(found) == ("pass", "No deploy is under way.")
        assert not found.configured

    def test_unknown_holds(self):
        found = deploy(a_proposal(), a_situation(deploys_unknown="no answer for 6 min"))
        assert said(found) == ("hold", "Nobody knows whether a deploy is under way: no answer for 6 min.")
        assert found.unknown

    def test_holds_until_the_announced_end(self):
        deploys = (a_deploy(until_at=AT + MINUTE), a_deploy(id="dpl_2", until_at=AT + 2 * MINUTE), a_deploy(id="dpl_3"))
        found = deploy(a_proposal(), a_situation(deploys=deploys))
        assert said(found) == ("hold", "A deploy of payments-api is under way until 03:06 UTC.")
        assert found.until_at == AT + 2 * MINUTE
        assert found.evidence == {"deploys": ["dpl_1", "dpl_2"]}

    def test_asks_when_no_end_was_announced(self):
        found = deploy(a_proposal(), a_situation(deploys=(a_deploy(),)))
        assert said(found) == ("ask", "The deploy of payments-api (dpl_1) announced no end.")

    def test_asks_when_the_end_has_passed(self):
        found = deploy(a_proposal(), a_situation(deploys=(a_deploy(until_at=AT),)))
        assert said(found) == (
            "ask",
            "The deploy of payments-api (dpl_1) should have ended at 03:04 UTC and has not.",
        )
        assert deploy(a_proposal(), a_situation(deploys=(a_deploy(until_at=AT + TICK),))).outcome is Outcome.HOLD

    def test_one_target_of_several_is_enough(self):
        proposal = a_proposal(targets=(a_target("a"), a_target("b", service="component:default/search")))
        assert deploy(proposal, a_situation(deploys=(a_deploy(service="search"),))).outcome is Outcome.ASK

    def test_elsewhere(self):
        found = deploy(a_proposal(), a_situation(deploys=(a_deploy(service="search"),)))
        assert said(found) == ("pass", "Deploys are under way, but of other services.")
