"""Trust, clock, capability, permission, ownership, still firing: what the proposal itself brings."""

import pytest

from situations import AT, MINUTE, SECOND, TICK, a_need, a_proposal, a_situation, a_target, an_alert, said
from watchkeeper.guards.capability import capability
from watchkeeper.guards.clock import clock
from watchkeeper.guards.finding import Outcome
from watchkeeper.guards.ownership import ownership
from watchkeeper.guards.permission import permission
from watchkeeper.guards.situation import Clock, Unreached
from watchkeeper.guards.still_firing import still_firing
from watchkeeper.guards.trust import trust
from watchkeeper.packs.runbook import Effect, Via


class TestTrust:
    def test_no_policy(self):
        found = trust(a_proposal(), a_situation())
        assert said(found) == ("pass", "No trust policy is set; every pack of the active configuration is accepted.")
        assert not found.configured

    def test_trusted(self):
        found = trust(a_proposal(), a_situation(trusted_pack="signed by this node"))
        assert said(found) == ("pass", "Pack payments 1.2.0 is trusted: signed by this node.")
        assert found.configured

    def test_revoked(self):
        found = trust(a_proposal(), a_situation(trusted_pack="signed", untrusted="revoked on 28 Feb"))
        assert said(found) == ("refuse", "Pack payments 1.2.0 is not trusted here: revoked on 28 Feb.")
        assert found.escalate


class TestClock:
    def test_agrees(self):
        assert said(clock(a_proposal(), a_situation())) == ("pass", "Wall time agrees with the monotonic clock.")

    def test_distrusted(self):
        found = clock(a_proposal(), a_situation(clock=Clock(trusted=False, why="it jumped 31 s back")))
        assert said(found) == ("hold", "Wall time cannot be trusted: it jumped 31 s back.")
        assert found.unknown
        assert found.escalate
        bare = clock(a_proposal(), a_situation(clock=Clock(trusted=False)))
        assert bare.reason == "Wall time cannot be trusted: it disagrees with the monotonic clock."

    @pytest.mark.parametrize(
        ("since_at", "outcome"), [(AT - 60 * SECOND, Outcome.PASS), (AT - 60 * SECOND + TICK, Outcome.HOLD)]
    )
    def test_agrees_again_for_sixty_seconds(self, since_at, outcome):
        found = clock(a_proposal(), a_situation(clock=Clock(trusted=True, since_at=since_at)))
        assert found.outcome is outcome
        assert found.unknown is (outcome is Outcome.HOLD)
        assert found.until_at == (since_at + MINUTE if outcome is Outcome.HOLD else None)


class TestCapability:
    def test_one_and_many(self):
        assert said(capability(a_proposal(), a_situation())) == (
            "pass",
            "payments-api-3 is automated and reached by ssh.",
        )
        two = a_proposal(targets=(a_target("a"), a_target("b")))
        found = capability(two, a_situation())
        assert said(found) == ("pass", "Every target is automated and can be reached.")
        assert found.names == ("target:resource:default/a", "target:resource:default/b")

    def test_none_never_runs(self):
        found = capability(a_proposal(targets=(a_target(automation="none"),)), a_situation())
        assert said(found) == (
            "refuse",
            "payments-api-3 is not automated (watchkeeper.dev/automation: none). Hand its checklist to group:default/payments-sre.",
        )
        assert found.escalate
        unowned = capability(a_proposal(targets=(a_target(automation="none", owner=""),)), a_situation())
        assert unowned.reason.endswith("Hand its checklist to its owner.")

    def test_a_word_nobody_knows_is_not_automated(self):
        assert capability(a_proposal(targets=(a_target(automation="soon"),)), a_situation()).outcome is Outcome.REFUSE

    def test_delayed_asks(self):
        targets = (a_target("a", automation="delayed"), a_target("b", automation="delayed"), a_target("c"))
        found = capability(a_proposal(targets=targets), a_situation())
        assert said(found) == ("ask", "a is automated with a delay: a person says yes first.")
        assert found.evidence == {"targets": ["resource:default/a", "resource:default/b"]}

    def test_a_stricter_target_wins_over_a_delayed_one(self):
        targets = (a_target("a", automation="delayed"), a_target("b", automation="none"))
        assert capability(a_proposal(targets=targets), a_situation()).outcome is Outcome.REFUSE

    def test_without_a_reach_it_is_observed_only(self):
        found = capability(a_proposal(targets=(a_target(reach=""),)), a_situation())
        assert said(found) == ("refuse", "payments-api-3 has no watchkeeper.dev/reach, so it is only observed.")
        assert found.change == "The catalogue declares how payments-api-3 is reached: local, ssh, kube, agent, api."

    def test_what_is_not_built_is_refused(self):
        found = capability(a_proposal(unbuilt=("via: agent",)), a_situation())
        assert said(found) == (
            "refuse",
            "payments/restart-instance uses what this release cannot do yet: via: agent.",
        )

    @pytest.mark.parametrize(
        ("need", "production", "allowed", "outcome"),
        [
            (a_need(via=Via.LOCAL), True, False, Outcome.REFUSE),
            (a_need(via=Via.LOCAL), True, True, Outcome.PASS),
            (a_need(via=Via.LOCAL), False, False, Outcome.PASS),
            (a_need(via=Via.LOCAL, effect=Effect.READ), True, False, Outcome.PASS),
            (a_need(via=Via.SSH), True, False, Outcome.PASS),
        ],
    )
    def test_local_in_production(self, need, production, allowed, outcome):
        proposal = a_proposal(needs=(a_need(), need), targets=(a_target(production=production),))
        assert capability(proposal, a_situation(local_allowed=allowed)).outcome is outcome

    def test_local_in_production_says_the_step(self):
        found = capability(a_proposal(needs=(a_need(step="copy", via=Via.LOCAL),)), a_situation())
        assert found.reason == (
            "Step copy would run on this node itself (via: local), which is not allowed in production."
        )

    def test_ssh_without_a_pinned_key(self):
        gap = Unreached(
            target="resource:default/b", name="b", via="ssh", attribute="host_key", why="no pinned host key"
        )
        found = capability(a_proposal(), a_situation(unreached=gap))
        assert said(found) == ("refuse", "b cannot be reached by ssh: no pinned host key.")
        assert found.evidence == {"target": "resource:default/b", "via": "ssh", "attribute": "host_key"}
        assert found.change == "The catalogue declares the host_key of b."


class TestPermission:
    def test_no_steps(self):
        found = permission(a_proposal(needs=()), a_situation())
        assert said(found) == ("pass", "No step needs a permission.")
        assert not found.configured

    def test_permitted(self):
        assert said(permission(a_proposal(), a_situation())) == (
            "pass",
            "1 step within the permissions of payments/restart-instance.",
        )

    def test_a_step_beyond_its_permissions(self):
        needs = (a_need(), a_need(step="wipe", action="command.run", permitted=False, why_not="argv is not listed"))
        found = permission(a_proposal(needs=needs), a_situation())
        assert said(found) == ("refuse", "Step wipe may not use command.run: argv is not listed.")
        assert found.evidence == {"step": "wipe", "action": "command.run", "via": "ssh"}
        undeclared = permission(a_proposal(needs=(a_need(permitted=False),)), a_situation())
        assert undeclared.reason == (
            "Step restart may not use service.restart: the runbook declares no permission for it."
        )

    def test_denied_by_policy(self):
        found = permission(a_proposal(), a_situation(denied="policy no-prod-restarts forbids it."))
        assert said(found) == (
            "refuse",
            "automation may not run payments/restart-instance: policy no-prod-restarts forbids it.",
        )


class TestOwnership:
    def test_owned(self):
        assert said(ownership(a_proposal(), a_situation())) == (
            "pass",
            "group:default/payments-sre owns payments/wedged-instance.",
        )

    def test_nobody(self):
        found = ownership(a_proposal(owner=""), a_situation())
        assert said(found) == ("refuse", "Nobody owns payments/wedged-instance.")
        assert found.change == "payments/wedged-instance names its owner."
        assert (
            ownership(a_proposal(owner="", rule=""), a_situation()).reason == "Nobody owns payments/restart-instance."
        )

    def test_an_owner_the_catalogue_does_not_know(self):
        found = ownership(a_proposal(owner="group:default/gone"), a_situation(owner_known=False))
        assert said(found) == (
            "refuse",
            "group:default/gone owns payments/wedged-instance, but the catalogue does not know group:default/gone.",
        )


class TestStillFiring:
    def test_fires(self):
        assert said(still_firing(a_proposal(), a_situation())) == ("pass", "The alert fires.")

    def test_nobody_claims_an_alert(self):
        found = still_firing(a_proposal(), a_situation(alert=None))
        assert said(found) == ("pass", "No alert stands behind this: somebody asked for it.")
        assert not found.configured

    def test_resolved(self):
        found = still_firing(a_proposal(), a_situation(alert=an_alert(firing=False, stale=True)))
        assert said(found) == ("refuse", "No longer needed: the alert resolved.")

    def test_stale_is_unknown(self):
        found = still_firing(a_proposal(), a_situation(alert=an_alert(stale=True, last_seen_at=AT - 300 * MINUTE)))
        assert said(found) == (
            "hold",
            "The alert was last seen at 28 Feb 2026, 22:04 UTC: nobody knows whether it still fires.",
        )
        assert found.unknown

    def test_flapping_holds(self):
        found = still_firing(a_proposal(), a_situation(alert=an_alert(flapping="6 changes in 10m")))
        assert said(found) == ("hold", "The alert flaps: 6 changes in 10m.")
