from packs_material import CATALOG, COMPILER, FILES, SIMPLE, SIMPLE_RULE, SIMPLE_RUNBOOK, changed

from watchkeeper.home.configuration import compile_home
from watchkeeper.home.plan import Did, difference, files_differ

NODE = "environments: {staging: {production: false}}\nnotify: {routes: [{webhook: 'http://chat.example'}]}\n"
RULE_AT, RUNBOOK_AT = "packs/payments/rules/simple.yaml", "packs/payments/runbooks/look.yaml"
EXCLUSION = "[{id: X-1, scope: {entity: config-store}, control: c, reason: r, owner: group:payments-sre, approver: a, from: 2026-01-01T00:00:00Z, until: 2026-02-01T00:00:00Z}]"


def configuration(**changes):
    files = {"watchkeeper.yaml": NODE, "catalog/all.yaml": CATALOG, **SIMPLE}
    names = {
        "node": "watchkeeper.yaml",
        "catalog": "catalog/all.yaml",
        "rule": RULE_AT,
        "runbook": RUNBOOK_AT,
        "exclusions": "exclusions.yaml",
    }
    files |= {names[name]: text for name, text in changes.items()}
    found = compile_home({path: text.encode() for path, text in files.items() if text}, COMPILER)
    assert found.configuration is not None, [str(one) for one in found.problems]
    return found.configuration


def plan(**changes):
    return difference(configuration(), configuration(**changes))


def words(found, kind):
    return {change.name: change.words for change in found.changes if change.kind == kind}


def test_nothing_differs_from_itself():
    found = plan()
    assert found.empty
    assert (found.changes, found.risks, found.acts) == ((), (), ())


def test_a_comment_changes_a_file_and_nothing_else():
    found = plan(rule=SIMPLE_RULE + "# a word\n")
    assert found.files == ((RULE_AT, Did.CHANGED),)
    assert words(found, "rule") == {}
    assert found.acts == ()


def test_the_first_plan_adds_everything():
    found = difference(None, configuration())
    assert all(did is Did.ADDED for _, did in found.files)
    assert words(found, "rule") == {"payments/simple": ("runs payments/look, as far as observe",)}
    assert words(found, "runbook") == {"payments/look": ("1 steps, low risk: only reads",)}
    assert found.risks == ("payments/look: low risk: only reads",)
    assert found.acts == ()


def test_a_changed_rule_in_words():
    found = plan(
        rule=changed(
            SIMPLE_RULE, "runbook: look", "runbook: look\n  for: 90s\n  when: alert.firing\n  limits: {attempts: 5}"
        )
    )
    assert words(found, "rule") == {
        "payments/simple": ("when: [] -> [alert.firing]", "for: 0s -> 1m30s", "limits.attempts: 3 -> 5")
    }


def test_a_changed_runbook_in_words():
    text = changed(SIMPLE_RUNBOOK, "steps:\n", "steps:\n    - {id: rest, do: wait, with: {for: 5s}}\n").replace(
        "/healthz", "/ready"
    )
    (lines,) = words(plan(runbook=text), "runbook").values()
    assert lines == (
        "step see: call.arguments: {url: ${target.url}/healthz} -> {url: ${target.url}/ready}",
        "step rest: added (wait)",
    )


def test_steps_in_another_order_are_told():
    two = SIMPLE_RUNBOOK + "    - {id: rest, do: wait, with: {for: 5s}}\n"
    other = changed(SIMPLE_RUNBOOK, "steps:\n", "steps:\n    - {id: rest, do: wait, with: {for: 5s}}\n")
    found = difference(configuration(runbook=two), configuration(runbook=other))
    assert words(found, "runbook") == {"payments/look": ("steps: in another order: rest, see",)}


def test_what_becomes_able_to_act():
    assert plan(rule=changed(SIMPLE_RULE, "runbook: look", "runbook: look\n  autonomy: {ceiling: auto}")).acts == (
        "rule payments/simple may go as far as auto, was observe",
    )
    assert plan(rule=changed(SIMPLE_RULE, "runbook: look", "runbook: look\n  autonomy: {ceiling: observe}")).acts == ()


def test_what_was_able_to_act_and_matches_otherwise_is_told():
    before = changed(SIMPLE_RULE, "runbook: look", "runbook: look\n  autonomy: {ceiling: auto}")
    after = before.replace("alertname: Down", "alertname: [Down, Slow]")
    assert difference(configuration(rule=before), configuration(rule=after)).acts == (
        "rule payments/simple: match changed: it may act where it did not",
    )
    assert difference(configuration(rule=after), configuration(rule=SIMPLE_RULE)).acts == ()


def test_a_wider_permission_an_exclusion_gone_and_an_environment_opened():
    text = changed(SIMPLE_RUNBOOK, "[{do: http.request, methods: [GET]}]", "[{do: http.request, methods: [GET, POST]}]")
    assert plan(runbook=text).acts == ("runbook payments/look may now use http.request {methods: [GET, POST]}",)
    gone = difference(configuration(exclusions=EXCLUSION), configuration())
    assert gone.acts == ("exclusion X-1 is gone: what it covered is no longer kept out",)
    assert [(one.kind, one.name, one.did) for one in gone.changes] == [("exclusion", "X-1", Did.REMOVED)]
    opened = difference(configuration(node=NODE.replace("false", "true")), configuration())
    assert opened.acts == ("environment staging no longer counts as production",)
    assert words(opened, "setting") == {"environments": ("staging: production: yes -> no",)}
    local = plan(node=NODE.replace("false", "false, local: true"))
    assert local.acts == ("environment staging lets steps act on this node itself (local)",)


def test_a_risk_that_rises():
    text = changed(
        changed(SIMPLE_RUNBOOK, "methods: [GET]", "methods: [DELETE]"), "with: {url", "with: {method: DELETE, url"
    )
    assert plan(runbook=text).risks == ("payments/look: low -> high risk: step see deletes (HTTP DELETE)",)


def test_a_changed_entity_in_words():
    found = plan(catalog=changed(CATALOG, "watchkeeper.dev/tier: gold", "watchkeeper.dev/tier: silver"))
    assert words(found, "entity") == {"resource:default/web-1": ("tier: gold -> silver",)}


def test_files_differ_says_how():
    assert files_differ({"a": "1", "b": "2", "c": "3"}, {"b": "2", "c": "4", "d": "5"}) == (
        ("a", Did.REMOVED),
        ("c", Did.CHANGED),
        ("d", Did.ADDED),
    )


def test_the_designs_files_are_described_whole():
    files = {"watchkeeper.yaml": NODE, "catalog/all.yaml": CATALOG, **FILES}
    other = {
        **files,
        "packs/payments/runbooks/restart.yaml": FILES["packs/payments/runbooks/restart.yaml"].replace(
            "within: 20m", "within: 30m"
        ),
    }
    one, two = (
        compile_home({path: text.encode() for path, text in each.items()}, COMPILER).configuration
        for each in (files, other)
    )
    assert words(difference(one, two), "runbook") == {
        "payments/restart-instance": ("step sure: ask.within: 20m -> 30m",)
    }
