"""Another configuration against a known history: exactly what would have been otherwise, and what cannot be known."""

from typing import Any

from a_history import CATALOG, NEEDY, home, lived, stage, tried
from stage import ALICE, Stage, component, play, rule, runbook

from watchkeeper.decide.replay import Same
from watchkeeper.engine.records import Activation
from watchkeeper.engine.replaying import Replayer
from watchkeeper.engine.trying import Than, Trier

PLACE = "stood elsewhere in the catalogue then, so what binds at its new place was not recorded."


def against(check: Any, **changed: Any) -> None:
    async def scene(found: Stage) -> None:
        await lived(found)
        await check(found, await tried(found, home(**changed)))

    play(scene, stage())


def test_the_same_configuration_decides_the_same_and_nothing_is_unknown() -> None:
    async def check(found: Stage, whole: Any) -> None:
        decisions = await found.decisions()
        assert {each.verdict.value for each in decisions} == {"act", "hold", "observe", "refuse"}
        assert (whole.looked_at, whole.same) == (len(decisions), len(decisions))
        assert (whole.items, whole.cannot, whole.passed_over) == ([], {}, 0)
        replayed = [await Replayer(found.on).replay(each.id) for each in decisions]
        assert {each.outcome for each in replayed} == {Same.__name__.lower()}

    against(check)


def test_a_lower_ceiling_asks_where_it_acted_and_holds_where_it_held() -> None:
    async def check(_: Stage, whole: Any) -> None:
        assert whole.of("differs") == [
            ("shop/down", "act", "ask"),
            ("shop/down", "act", "ask"),
            ("shop/down", "hold", "hold"),
            ("shop/down", "hold", "hold"),
        ]
        first = next(each for each in whole.items if each.was == "act")
        assert first.why == "autonomy: pass -> ask: The ladder stands at approve: that is the rule's own ceiling."
        assert first.targets in {("component:default/web",), ("component:default/edge",)}
        assert whole.cannot == {}
        assert len(whole.items) == 4

    against(check, rules={"down": rule(ceiling="approve")})


def test_fewer_attempts_refuse_what_was_the_third() -> None:
    async def check(_: Stage, whole: Any) -> None:
        (only,) = whole.items
        assert (only.kind, only.rule, only.was, only.now) == ("differs", "shop/late", "act", "refuse")
        assert only.why.startswith("attempts: pass -> refuse: Tried 2 times in 1h, and it fires again")

    against(check, rules={"late": rule("Late", more="  for: 30s").replace("attempts: 3", "attempts: 2")})


def test_a_condition_that_turned_loses_its_matches_and_finds_new_ones() -> None:
    async def check(_: Stage, whole: Any) -> None:
        assert whole.of("lost") == [("shop/gold", "act", "none")]
        assert whole.of("new") == [("shop/gold", "none", "cannot judge")]
        lost, new = whole.items
        assert lost.why == 'target.tier == "bronze" is false: target.tier = "gold".'
        assert new.why == "It matches, and would run shop/mend. No situation was recorded for it then."
        assert new.targets == ("component:default/edge",)

    against(check, rules={"gold": rule("Odd", more='  when: [target.tier == "bronze"]')})


def test_a_shorter_wait_matches_the_alert_that_was_over_before() -> None:
    async def check(_: Stage, whole: Any) -> None:
        assert [(each.kind, each.rule, each.now) for each in whole.items] == [("new", "shop/late", "cannot judge")]

    against(check, rules={"late": rule("Late", more="  for: 5s")})


def test_a_longer_wait_loses_the_alert_that_ended_before() -> None:
    async def check(_: Stage, whole: Any) -> None:
        (only,) = whole.items
        assert (only.kind, only.rule, only.was, only.now) == ("lost", "shop/late", "act", "none")
        assert only.why == "it fires for 30s of 1m, and it ended before."

    against(check, rules={"late": rule("Late", more="  for: 1m")})


def test_a_rule_that_is_gone_and_one_that_is_new() -> None:
    async def check(_: Stage, whole: Any) -> None:
        assert whole.of("lost") == [("shop/count", "refuse", "none")]
        assert whole.of("new") == [("shop/free", "none", "observe")]
        assert {each.why for each in whole.items} == {
            "shop/count is not there any more.",
            "It matches, and would run shop/mend.",
        }

    against(check, rules={"count": None, "free": rule("Free", ceiling="approve")})


def test_an_exclusion_refuses_what_was_done_there() -> None:
    async def check(_: Stage, whole: Any) -> None:
        assert whole.of("differs") == [
            ("shop/count", "refuse", "refuse"),
            ("shop/down", "act", "refuse"),
            ("shop/gold", "act", "refuse"),
            ("shop/late", "act", "refuse"),
            ("shop/probed", "observe", "observe"),
            ("shop/sure", "observe", "observe"),
            ("shop/whole", "observe", "observe"),
        ]
        assert {each.why.partition(":")[0] for each in whole.items} == {"exclusion"}
        assert whole.cannot == {}

    excluded = """
- id: X-9
  scope: {entity: component:web}
  control: SOX-7
  reason: money
  owner: group:ops
  approver: user:alice
  from: 2026-01-01T00:00:00Z
  until: 2099-01-01T00:00:00Z
"""
    against(check, exclusions=excluded)


def test_what_depends_on_a_target_is_counted_in_the_other_catalogue() -> None:
    async def check(_: Stage, whole: Any) -> None:
        assert {each.targets for each in whole.items} == {("component:default/web",)}
        assert {each.why.partition(":")[0] for each in whole.items} == {"blast radius"}
        assert ("shop/down", "act") in {(each.rule, each.was) for each in whole.items}

    leaning = CATALOG.replace("dependsOn: [component:store]", "dependsOn: [component:store, component:web]")
    assert leaning != CATALOG
    against(check, catalog=leaning, rules={"down": rule(limits=", blast: 0")})


def test_an_entity_elsewhere_cannot_be_judged_but_what_only_watches_can() -> None:
    async def check(_: Stage, whole: Any) -> None:
        assert whole.cannot == {f"component:default/web {PLACE}": 3}
        assert [each.kind for each in whole.items] == ["lost"]  # the rule wants gold

    moved = CATALOG.replace(component("web"), component("web", more={"tier": "silver"}))
    against(check, catalog=moved)


def test_another_dependency_was_never_looked_at() -> None:
    async def check(_: Stage, whole: Any) -> None:
        assert whole.cannot == {"The health of component:default/edge was not recorded.": 1}
        assert whole.items == []

    against(check, runbooks={"needy": NEEDY.replace("component:store", "component:edge")})


def test_without_its_dependency_it_would_have_asked() -> None:
    async def check(_: Stage, whole: Any) -> None:
        (only,) = whole.items
        assert (only.rule, only.was, only.now) == ("shop/slow", "hold", "ask")
        assert only.why.startswith("dependency: hold -> pass")

    against(check, runbooks={"needy": runbook()})


def test_other_inputs_that_were_not_recorded() -> None:
    async def check(_: Stage, whole: Any) -> None:
        assert whole.cannot == {
            'What probe.cart == "healthy" reads was not recorded.': 1,
            "shop/whole decides for whole incidents, and what fired in it then was not recorded.": 1,
            "Who else saw it in that window was not recorded.": 1,
            "Attempts before the shorter window were not recorded.": 1,
        }
        assert whole.items == []

    against(
        check,
        rules={
            "probed": rule("Probed", ceiling="observe", more='  when: [probe.cart == "healthy"]\n  unknown: hold'),
            "whole": rule(
                "Wide", "needy", more="  per: incident\n  target: {by: {name: alert.labels.service}, max: 5}"
            ),
            "gold": rule("Odd", more='  when: [target.tier == "gold"]\n  corroborate: {groups: 2, within: 5m}'),
            "late": rule("Late", more="  for: 30s").replace("within: 1h", "within: 2h"),
        },
    )


def test_an_alert_that_nothing_answered_for_is_mapped() -> None:
    async def check(_: Stage, whole: Any) -> None:
        (only,) = whole.items
        assert (only.kind, only.rule, only.was, only.now) == ("lost", "unmapped", "observe", "none")
        assert only.why == "It is mapped, to component:default/nowhere, and no longer an unknown alert."

    against(check, catalog=f"{CATALOG}---{component('nowhere')}")


def test_one_rule_alone_and_pages_of_any_size_say_the_same() -> None:
    async def scene(found: Stage) -> None:
        await lived(found)
        files = home(rules={"down": rule(ceiling="approve"), "late": None})
        wholes = [await tried(found, files, limit=limit) for limit in (1, 7, 500)]
        assert len({tuple((each.decision, each.now, each.why) for each in whole.items) for whole in wholes}) == 1
        alone = await tried(found, files, rule="shop/late")
        assert alone.of("lost") == [("shop/late", "act", "none")]
        assert (alone.looked_at, len(alone.items)) == (1, 1)

    play(scene, stage())


def test_against_the_active_configuration_an_earlier_change_is_no_difference() -> None:
    async def scene(found: Stage) -> None:
        await lived(found)
        found.files = home(rules={"down": rule(ceiling="approve")})
        planned = found.on.changes.plan()
        assert isinstance(await found.on.changes.apply(ALICE, planned.digest, "tried"), Activation)
        await found.passes(1)
        assert (await tried(found, found.files, than=Than.ACTIVE)).items == []
        assert len((await tried(found, found.files)).items) == 4
        both = home(rules={"down": rule(ceiling="approve"), "late": None})
        assert (await tried(found, both, than=Than.ACTIVE)).of("lost") == [("shop/late", "act", "none")]

    play(scene, stage())


def test_a_folder_that_does_not_load_says_its_first_error() -> None:
    async def scene(found: Stage) -> None:
        await lived(found)
        refused = await Trier(found.on).configuration(home(rules={"down": "kind: Nothing\n"}))
        assert refused.status == 422
        assert "packs/shop/rules/down.yaml" in refused.detail

    play(scene, stage())
