"""One table of roles: stopping is easy, starting and enabling is hard."""

from itertools import pairwise

import pytest

from watchkeeper.approve.people import AUTOMATION, Actor
from watchkeeper.approve.roles import BOOTSTRAP, TABLE, Allowed, Denied, Role, Verb, may, verbs_of

V = Verb


def who(*roles, **fields):
    return Actor(**{"name": "mira", "roles": frozenset(roles), **fields})


LADDER = (Role.VIEWER, Role.OPERATOR, Role.APPROVER, Role.ADMIN)


def test_each_rung_may_all_that_the_one_below_may():
    rights = [TABLE[role] for role in LADDER]
    assert all(lower < higher for lower, higher in pairwise(rights))


@pytest.mark.parametrize(
    ("verb", "lowest"),
    [
        (V.READ, Role.VIEWER),
        (V.METRICS, Role.VIEWER),
        (V.STOP, Role.OPERATOR),
        (V.HOLD, Role.OPERATOR),
        (V.LIFT_HOLD, Role.OPERATOR),
        (V.FREEZE, Role.OPERATOR),
        (V.PAUSE, Role.OPERATOR),
        (V.CANCEL, Role.OPERATOR),
        (V.REJECT, Role.OPERATOR),
        (V.RUN, Role.OPERATOR),
        (V.SETTLE, Role.OPERATOR),
        (V.FEEDBACK, Role.OPERATOR),
        (V.ACKNOWLEDGE, Role.OPERATOR),
        (V.REVIEW, Role.OPERATOR),
        (V.REPLAY_DEAD_LETTER, Role.OPERATOR),
        (V.EXPORT, Role.OPERATOR),
        (V.APPROVE, Role.APPROVER),
        (V.RESUME, Role.APPROVER),
        (V.RELEASE, Role.APPROVER),
        (V.LIFT_FREEZE, Role.APPROVER),
        (V.CLOSE, Role.APPROVER),
        (V.APPROVE_EMERGENCY, Role.ADMIN),
        (V.GRANT, Role.ADMIN),
        (V.APPLY, Role.ADMIN),
        (V.IDENTITY, Role.ADMIN),
        (V.TOKEN, Role.ADMIN),
        (V.ERASE, Role.ADMIN),
        (V.RESTORE, Role.ADMIN),
    ],
)
def test_the_lowest_role_that_may(verb, lowest):
    allowed = [role for role in LADDER if isinstance(may(who(role), verb), Allowed)]
    assert allowed == list(LADDER[LADDER.index(lowest) :])


def test_nobody_posts_to_hooks_by_a_role():
    assert may(who(*Role), V.POST_HOOK) == Denied("mira may not post to a hook: that is for hook credentials.")


def test_no_role_no_right():
    assert verbs_of(who()) == ()
    assert may(who("made-up"), V.READ) == Denied(
        "mira may not read: that needs the role viewer or operator or approver or admin or emergency."
    )
    assert may(Actor(name=""), V.STOP).reason.startswith("nobody may not stop")


def test_beside_the_ladder():
    assert verbs_of(who(Role.METRICS)) == (V.METRICS,)
    assert verbs_of(who(Role.EMERGENCY)) == (V.READ, V.APPROVE, V.APPROVE_EMERGENCY)
    assert may(who(Role.EMERGENCY, Role.VIEWER), V.READ) == Allowed("emergency")


def test_the_bootstrap_token_is_narrow_whatever_its_roles():
    bootstrap = who(Role.ADMIN, bootstrap=True)
    assert verbs_of(bootstrap) == (V.READ, V.POST_HOOK, V.IDENTITY, V.TOKEN)
    assert set(verbs_of(bootstrap)) == BOOTSTRAP
    for verb in (V.APPROVE, V.RUN, V.APPLY, V.RESUME):
        assert isinstance(may(bootstrap, verb), Denied)
    assert may(bootstrap, V.APPLY).reason == (
        "The bootstrap token may not apply a configuration: make an identity (wk identity add --me)."
    )


def test_a_hook_credential_posts_and_nothing_else():
    hook = who(Role.ADMIN, source="alertmanager")
    assert verbs_of(hook) == (V.POST_HOOK,)
    assert may(hook, V.READ) == Denied("The credential of source alertmanager can only post to its hook.")


def test_what_only_a_person_may():
    machine = who(Role.ADMIN, human=False)
    assert [verb for verb in verbs_of(who(Role.ADMIN)) if verb not in verbs_of(machine)] == [
        V.SETTLE,
        V.APPROVE,
        V.APPROVE_EMERGENCY,
        V.RESUME,
        V.GRANT,
        V.REVIEW,
        V.RESTORE,
        V.RELEASE,
        V.DEMOTE,
        V.LIFT_DEMOTION,
    ]
    assert may(machine, V.RESUME) == Denied("mira is no person, and only a person may resume.")


def test_automation_holds_no_role():
    assert verbs_of(AUTOMATION) == ()
