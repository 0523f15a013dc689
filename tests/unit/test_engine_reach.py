"""Which way a step goes that states none, and the target that this way does not reach."""

import pytest

from situations import a_need, a_proposal, a_target
from watchkeeper.engine.needs import needs_of, unreached
from watchkeeper.engine.perform import _secrets, _via
from watchkeeper.packs.runbook import Call, SecretRef, Step, StepKind, Via

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIL0hUCj1x9Zp0V1B8k3b0yq0p4bZ7m0cVYc1n6m2s3d4"


def step(action, via=None, **fields):
    return Step(id="a", kind=StepKind.DO, call=Call(action=action), via=via, **fields)


def test_a_step_without_a_way_goes_as_its_target_is_reached():
    steps = (step("service.restart"), step("http.request", Via.API), step("command.run", Via.LOCAL))
    assert [need.via for need in needs_of(steps, {}, "", Via.SSH)] == [Via.SSH, Via.API, Via.LOCAL]


def test_the_first_target_that_a_step_cannot_reach_is_named():
    fine = a_target("a", attributes={"host": "a", "host_key": KEY}, addresses=("host",))
    bare = a_target("b", attributes={"host": "b"}, addresses=("host",))
    assert unreached(a_proposal(targets=(fine,))) is None
    found = unreached(a_proposal(targets=(fine, bare)))
    assert (found.target, found.via, found.attribute) == ("resource:default/b", "ssh", "host_key")
    assert unreached(a_proposal(targets=(bare,), needs=(a_need(via=Via.API),))) is None


@pytest.mark.parametrize(
    ("stated", "action", "way"),
    [
        (Via.SSH, "service.started_since", Via.SSH),
        (Via.SSH, "http.request", Via.API),
        (Via.KUBE, "command.run", Via.SSH),
        (Via.API, "service.restart", Via.API),
        (Via.API, "command.run", Via.SSH),
        (Via.SSH, "kube.rollout_observed", Via.KUBE),
        (None, "command.run", Via.SSH),
    ],
)
def test_what_checks_or_undoes_a_step_goes_a_way_that_carries_it(stated, action, way):
    assert _via(step("service.restart", stated), Call(action=action), a_target(reach="ssh")) is way


def test_the_way_in_of_a_target_is_leased_like_a_secret_of_the_runbook():
    target = a_target(attributes={"ssh_key": "secret:ops", "kube_token": "env:TOKEN", "unit": "x"})
    own = {"admin": SecretRef(store="file", path="admin")}
    assert _secrets(own, target) == {
        "admin": SecretRef(store="file", path="admin"),
        "target.ssh_key": SecretRef(store="file", path="ops"),
        "target.kube_token": SecretRef(store="env", path="TOKEN"),
    }
    assert _secrets(own, None) == own
