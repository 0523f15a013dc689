"""A whole home: what compiles to what, and bad homes with the place of what is bad."""

import pytest
from packs_material import CATALOG, COMPILER, FILES, PACK, SIMPLE, SIMPLE_RULE, SIMPLE_RUNBOOK, changed

from watchkeeper.home.configuration import PROBLEMS_MAX, compile_home, file_digests, home_digest, unbuilt
from watchkeeper.home.starter import starter

NODE = "environments: {staging: {production: false}}\n"
NOTIFY = "notify: {routes: [{webhook: 'http://chat.example/hook'}]}\n"


def home(files=SIMPLE, **more):
    return {
        "watchkeeper.yaml": NODE,
        "catalog/all.yaml": CATALOG,
        **files,
        **{path.replace("__", "/") + ".yaml": text for path, text in more.items()},
    }


def compiled(files, **options):
    return compile_home(
        {path: text if isinstance(text, bytes) else text.encode() for path, text in files.items()}, COMPILER, **options
    )


def test_the_first_home_compiles_without_a_word():
    found = compile_home(starter(), COMPILER)
    assert found.problems == ()
    assert list(found.configuration.rulebook.rules) == ["starter/service-down"]
    assert list(found.configuration.catalog.entities) == [
        "component:default/web",
        "group:default/operations",
        "system:default/example",
    ]
    assert [one.name for one in found.configuration.scenarios] == ["starter/only-observed"]


def test_the_digest_is_that_of_paths_and_contents():
    files = {path: text.encode() for path, text in home().items()}
    one = compile_home(files, COMPILER).configuration
    assert one.digest == home_digest(file_digests(files)) == home_digest(one.files)
    assert compile_home(dict(reversed(files.items())), COMPILER).configuration.digest == one.digest
    assert compile_home({**files, "policy/x.cedar": b""}, COMPILER).configuration.digest != one.digest
    assert (
        compile_home({**files, "watchkeeper.yaml": NODE.encode() + b"#"}, COMPILER).configuration.digest != one.digest
    )


def test_the_designs_home_compiles_and_cannot_be_applied_yet():
    found = compiled({**home(FILES), "watchkeeper.yaml": NODE + NOTIFY})
    assert found.errors == ()
    assert [(problem.severity, problem.message) for problem in found.problems] == [
        (
            "warning",
            "uses what is not yet built: store: vault (secret admin); it can be checked, not applied",
        )
    ]
    (sentence,) = unbuilt(found.configuration)
    assert sentence.startswith(
        "packs/payments/runbooks/restart.yaml:5: runbook payments/restart-instance uses what is not"
    )
    assert sentence.endswith("yet built: store: vault (secret admin)")


def test_a_folder_without_its_file_is_no_home():
    files = home()
    del files["watchkeeper.yaml"]
    found = compiled(files)
    assert found.configuration is None
    assert str(found.problems[0]).startswith("watchkeeper.yaml: is missing, so this folder is no home: run 'wk init'")


class TestTelling:
    """A rule above observe has a route. Source: SEMANTICS 14."""

    RULE = changed(SIMPLE_RULE, "runbook: look", "runbook: look\n  autonomy: {ceiling: suggest}")

    def problems(self, routes, rule=RULE):
        files = home({**SIMPLE, "packs/payments/rules/simple.yaml": rule})
        return compiled(
            {**files, "watchkeeper.yaml": NODE + (f"notify: {{routes: [{routes}]}}\n" if routes else "")}
        ).problems

    def test_without_one_it_is_an_error(self):
        (problem,) = self.problems("")
        assert (problem.severity, problem.line, problem.column, problem.field) == ("error", 7, 13, "spec.autonomy")
        assert problem.message.startswith(
            "may go as far as suggest, and no route of `notify` in watchkeeper.yaml would tell group:default/payments-sre"
        )

    def test_any_route_for_its_team_will_do(self):
        assert self.problems("{webhook: 'http://x'}") == ()
        assert self.problems("{match: {team: payments-sre}, webhook: 'http://x'}") == ()
        assert len(self.problems("{match: {team: other}, webhook: 'http://x'}")) == 1

    def test_a_route_for_another_severity_will_not(self):
        rule = changed(self.RULE, "alertname: Down", "alertname: Down, severity: minor")
        assert len(self.problems("{match: {severity: critical}, webhook: 'http://x'}", rule)) == 1
        assert self.problems("{match: {severity: [critical, minor]}, webhook: 'http://x'}", rule) == ()

    def test_a_case_that_raises_the_ceiling_counts(self):
        rule = changed(
            SIMPLE_RULE, "runbook: look", "runbook: look\n  autonomy: {when: [{if: target.production, ceiling: auto}]}"
        )
        assert "may go as far as auto" in self.problems("", rule)[0].message

    def test_a_rule_that_only_observes_needs_none(self):
        assert self.problems("", SIMPLE_RULE) == ()


class TestWarnings:
    def test_a_label_that_was_never_seen(self):
        text = changed(SIMPLE_RULE, "runbook: look", 'runbook: look\n  when: alert.labels.instnce != ""')
        files = home({**SIMPLE, "packs/payments/rules/simple.yaml": text})
        seen = frozenset({"alertname", "instance"})
        (problem,) = compiled(files, seen_labels=seen).problems
        assert (problem.severity, problem.line) == ("warning", 5)
        assert problem.message == "the label 'instnce' was never seen, so it equals \"\" here: did you mean 'instance'?"
        assert compiled(files).problems == ()
        assert compiled(files, seen_labels=seen | {"instnce"}).problems == ()

    def test_an_environment_that_is_not_declared_counts_as_production(self):
        (problem,) = compiled({**home(), "watchkeeper.yaml": "{}"}).problems
        assert problem.severity == "warning"
        assert (
            problem.message
            == "the environment 'staging' is not declared in watchkeeper.yaml, so it counts as production"
        )

    def test_a_warning_does_not_stop(self):
        assert compiled({**home(), "watchkeeper.yaml": "{}"}).configuration is not None


BAD = [
    ("packs/payments/rules/simple.yaml", SIMPLE_RULE.replace("{alertname: Down}", "{alertname: 7}"), 5, 22, "quote it"),
    ("packs/payments/rules/simple.yaml", SIMPLE_RULE + "  colour: red\n", 7, 3, "unknown field"),
    ("packs/payments/rules/simple.yaml", SIMPLE_RULE + "  runbook: look\n", 7, 3, "stands twice, first in line 6"),
    ("packs/payments/rules/simple.yaml", SIMPLE_RULE + "  <<: {a: b}\n", 7, 3, "merge keys"),
    ("packs/payments/rules/simple.yaml", SIMPLE_RULE + "  when: 1 +\n", 7, 9, "Syntax error"),
    ("packs/payments/rules/simple.yaml", SIMPLE_RULE + "  when: !!str x\n", 7, 9, "tags (!)"),
    (
        "packs/payments/rules/simple.yaml",
        SIMPLE_RULE.replace("runbook: look", "runbook: gone"),
        6,
        12,
        "there is no runbook payments/gone",
    ),
    (
        "packs/payments/runbooks/look.yaml",
        SIMPLE_RUNBOOK + "    - {id: again, call: look}\n",
        8,
        25,
        "these calls never end",
    ),
    ("packs/payments/runbooks/look.yaml", "a: &a [x, x]\nb: &b [*a, *a]\n", 1, 4, "anchors (&) and aliases (*)"),
    ("packs/payments/runbooks/look.yaml", "a: [" * 40 + "]" * 40, 1, 0, "nested deeper than 32"),
    ("packs/payments/runbooks/look.yaml", "- x\n" * 300_000, 0, 0, "more than 1048576"),
    ("packs/payments/runbooks/look.yaml", b"a: \xff\n", 1, 4, "not UTF-8"),
    ("packs/payments/runbooks/look.yaml", "a: 'x\n", 0, 0, "this is not YAML"),
    ("packs/payments/runbooks/look.yaml", "a: x\u202ey\n", 1, 5, "cannot be seen"),
    ("packs/payments/runbooks/look.yaml", SIMPLE_RUNBOOK.replace("[GET]", "[${x}]"), 5, 0, ""),
    ("packs/payments/runbooks/look.yaml", "[]\n", 1, 1, "expected a mapping"),
    ("packs/payments/pack.yaml", PACK + "---\n" + PACK, 0, 0, "holds 2 documents"),
    (
        "catalog/all.yaml",
        CATALOG.replace("system: payments}", "system: gone}", 1),
        0,
        0,
        "system:default/gone is not in the catalogue",
    ),
    ("exclusions.yaml", "a: b\n", 1, 1, "expected a list of exclusions"),
    ("exclusions.yaml", "- {id: X}\n", 1, 3, "is missing"),
    ("watchkeeper.yaml", "sources: {a: {kind: x}}\n", 1, 21, "expected one of"),
    (
        "watchkeeper.yaml",
        "notify: {routes: [{webhook: 'https://hooks.slack.com/services/T0000/B0000/abcdefghijklmnopqrstuvwx'}]}\n",
        1,
        29,
        "looks like a Slack webhook",
    ),
]


@pytest.mark.parametrize(("path", "text", "line", "column", "words"), BAD)
def test_bad_homes(path, text, line, column, words):
    """`line` or `column` 0: anywhere."""
    found = compiled({**home(), path: text})
    assert found.configuration is None
    assert any(
        one.file == path and line in {0, one.line} and column in {0, one.column} and words in one.message
        for one in found.errors
    ), [str(one) for one in found.problems]


def test_a_flood_of_problems_is_told_in_part():
    rules = "---\n".join(
        SIMPLE_RULE.replace("name: simple", f"name: r{at}").replace("runbook: look", "x: y\n  z: w")
        for at in range(700)
    )
    found = compiled({**home(), "packs/payments/rules/simple.yaml": rules})
    assert len(found.problems) == PROBLEMS_MAX + 1
    assert found.problems[-1].message == "100 more problems"


def test_a_home_that_compiles_on_one_node_compiles_to_the_same_on_another():
    one, other = (compiled({**home(FILES), "watchkeeper.yaml": NODE + NOTIFY}).configuration for _ in range(2))
    assert one.rulebook.digest == other.rulebook.digest
    assert one.catalog.digest == other.catalog.digest
    assert one.settings == other.settings
    assert one.packs == other.packs == {"payments": one.rulebook.packs["payments"].digest}


@pytest.mark.parametrize("text", ["sources: [\n", "enviroments: {}\n", b"\xff\xfe"], ids=["yaml", "field", "encoding"])
def test_settings_that_cannot_be_read_are_the_only_thing_said_of_settings(text):
    wrong = {**home(FILES), "watchkeeper.yaml": text}
    assert any("no route of" in problem.message for problem in compiled(home(FILES)).errors)
    found = compiled(wrong)
    assert {problem.file for problem in found.errors} == {"watchkeeper.yaml"}
    assert not any("is not declared in" in problem.message for problem in found.problems)
