"""What counts as production, and what that asks for: where local steps may act, and when a grant needs two people."""

from datetime import timedelta

import pytest
from rig import ALICE, Rig, home
from virtual import run

from watchkeeper.approve.people import Grant

BOTH = b"""
environments:
  prod: {production: true}
  dev: {production: false}
sources:
  default: {kind: alertmanager}
notify:
  routes:
    - {name: all, webhook: "http://127.0.0.1:1/none"}
"""


def _grant(rig: Rig, environment: str) -> Grant:
    now = rig.clock.now()
    return Grant(
        id="",
        rule="shop/down",
        level="auto",
        at=now,
        until_at=now + timedelta(days=1),
        by="",
        reason="tested",
        environment=environment,
    )


async def _asked(files, environment: str) -> bool:
    rig = Rig(1, files=files)
    engine = await rig.boot()
    found = await engine.limits.grant(ALICE, _grant(rig, environment))
    await engine.stop()
    return found.pending


@pytest.mark.parametrize(
    ("stands_in", "names", "two_people"),
    [
        ("prod", "prod", True),
        ("prod", "dev", False),
        ("prod", "", True),
        ("dev", "", False),
        ("dev", "dev", False),
        ("dev", "prod", True),
        ("nowhere", "", True),
    ],
)
def test_a_grant_needs_a_second_person_where_it_reaches_production(stands_in, names, two_people):
    files = home(2)
    entities = files["catalog/all.yaml"].replace(b"environment: prod", b"environment: " + stands_in.encode())
    files = {**files, "catalog/all.yaml": entities, "watchkeeper.yaml": BOTH}
    assert run(_asked(files, names)) is two_people


@pytest.mark.parametrize(("local", "allowed"), [(b"true", True), (b"false", False)])
def test_local_steps_are_a_matter_of_the_targets_own_environment(local, allowed):
    settings = b"environments: {prod: {production: true, local: " + local + b"}, other: {production: true}}\n"
    files = {**home(2), "watchkeeper.yaml": settings + BOTH.split(b"}\nsources")[1].join([b"sources", b""])}

    async def look() -> bool:
        rig = Rig(1, files=files)
        engine = await rig.boot()
        target = engine.situations.target("component:svc-0")
        runbook = rig.configuration.rulebook.runbooks["shop/mend"]
        now = rig.clock.now()
        proposal = engine.situations.proposal(None, runbook, (target,), {}, None, now)
        situation = engine.situations.situation(proposal, None, runbook, None, now)
        await engine.stop()
        return situation.local_allowed

    assert run(look()) is allowed
