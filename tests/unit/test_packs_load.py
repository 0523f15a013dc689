"""Files to a rulebook: the design's own example, and everything that can be wrong, each with its place."""

import pytest
from packs_material import CALLED, FILES, PACK, RULE, RUNBOOK, SIMPLE, SIMPLE_RULE, SIMPLE_RUNBOOK, changed, packs

from watchkeeper.catalog.entity import EntityKind
from watchkeeper.packs.rule import Agreement, Corroboration, Limits, Mode, Risk, Unavailable
from watchkeeper.packs.runbook import Effect, OnStop, SecretRef, StepKind, Via
from watchkeeper.packs.template import SecretUse

RULE_AT = "packs/payments/rules/simple.yaml"
RUNBOOK_AT = "packs/payments/runbooks/look.yaml"


def errors(found):
    return [problem for problem in found.problems if problem.severity == "error"]


def only(files):
    """The one problem of files, as its place and message."""
    found = packs(files)
    assert len(found.problems) == 1, [str(problem) for problem in found.problems]
    problem = found.problems[0]
    return f"{problem.file}:{problem.line}:{problem.column}", problem.field, problem.message


def told(files, place, field):
    """What is said at a place; at most one more problem may follow from it."""
    found = packs(files)
    messages = {(f"{one.file}:{one.line}:{one.column}", one.field): one.message for one in found.problems}
    assert len(found.problems) <= 2
    assert (place, field) in messages, messages
    return messages[place, field]


class TestTheDesignsExample:
    def test_it_loads_without_a_problem(self):
        assert packs(FILES).problems == ()

    def test_the_rule_says_what_was_written(self):
        rule = packs(FILES).rulebook.rules["payments/wedged-instance"]
        assert rule.owner == "group:default/payments-sre"
        assert rule.where == "packs/payments/rules/wedged.yaml:5"
        assert rule.match == {"alertname": ("InstanceWedged",), "severity": ("critical", "major")}
        assert [clause.source for clause in rule.when] == ['alert.labels.tier != "canary"']
        assert rule.for_ms == 30_000
        assert rule.regions == Agreement(agree=2, of=("eu-west", "eu-north", "us-east"))
        assert rule.corroborate == Corroboration(groups=2, within_ms=300_000)
        assert rule.target.kind == EntityKind.RESOURCE
        assert rule.target.annotation == "watchkeeper.dev/instance"
        assert rule.target.within == {"system": "system:default/payments"}
        assert rule.runbook == "payments/restart-instance"
        assert rule.arguments == {"grace": "30s"}
        assert rule.priority == 50
        assert rule.ceiling is Mode.APPROVE
        assert [(case.when.source, case.ceiling) for case in rule.ceilings] == [('target.env == "staging"', Mode.AUTO)]
        assert rule.limits == Limits(
            attempts=3,
            attempts_within_ms=3_600_000,
            settle_ms=300_000,
            approve_within_ms=1_800_000,
            start_by_ms=600_000,
            unavailable=Unavailable(of="service", most=1),
        )

    def test_the_runbook_says_what_was_written(self):
        runbook = packs(FILES).rulebook.runbooks["payments/restart-instance"]
        drain, sure, restart, after, fleet = runbook.steps
        assert runbook.parameters["grace"].default == 30_000
        assert runbook.parameters["grace"].most == 300_000
        assert runbook.secrets == {"admin": SecretRef(store="vault", path="kv/payments/admin", field="token")}
        assert runbook.needs == ("component:default/config-store",)
        assert runbook.objective_ppm == 999_000
        assert runbook.timeout_ms == 900_000
        assert runbook.on_stop is OnStop.UNDO
        assert runbook.expects == ("InstanceDown",)
        assert drain.call.arguments["auth"] == {"bearer": SecretUse("admin")}
        assert drain.retry.attempts_max == 5
        assert drain.undo.safe_if_not_done
        assert (drain.via, drain.effect, drain.timeout_ms) == (Via.API, Effect.IDEMPOTENT, 10_000)
        assert sure.ask.by == ("group:default/payments-sre",)
        assert [show.source for show in sure.ask.show] == ["steps.drain.output.status"]
        assert restart.timeout_from.source == "${params.grace}"
        assert restart.check.action == "service.started_since"
        assert after.concurrent_max == 2
        assert [child.kind for child in after.steps] == [StepKind.CALL, StepKind.VERIFY]
        assert after.steps[1].verify.arguments["url"].source == "${target.url}/healthz"
        assert after.steps[1].verify.expect == {"status": 200}
        assert fleet.waves.waves == ("1", "10%", "50%", "100%")
        assert (fleet.waves.failed_max, fleet.waves.unhealthy_max) == (2, 1)

    def test_what_is_not_yet_built_is_listed(self):
        assert packs(FILES).rulebook.runbooks["payments/restart-instance"].unbuilt == ("store: vault (secret admin)",)

    def test_its_risk_is_worked_out_with_reasons(self):
        runbook = packs(FILES).rulebook.runbooks["payments/restart-instance"]
        assert runbook.risk is Risk.MEDIUM
        assert runbook.risk_reasons[0] == "step drain changes something (HTTP POST)"
        assert "calls payments/restart-one, which is of medium risk" in runbook.risk_reasons


def rule(old, new):
    return {**SIMPLE, RULE_AT: changed(SIMPLE_RULE, old, new)}


def runbook(old, new):
    return {**SIMPLE, RUNBOOK_AT: changed(SIMPLE_RUNBOOK, old, new)}


RULES = [
    ("match: {alertname: Down}", "match: {}", "5:10", "spec.match", "would match every alert"),
    (
        "match: {alertname: Down}",
        "match: {alertname: 5}",
        "5:22",
        "spec.match.alertname",
        "expected a string, got the number 5, quote it",
    ),
    (
        "match: {alertname: Down}",
        "match: {alertname: []}",
        "5:22",
        "spec.match.alertname",
        "expected a value, or a list",
    ),
    ("match: {alertname: Down}", "match: {'a b': x}", "5:18", 'spec.match["a b"]', "is not the name of a label"),
    ("  match: {alertname: Down}\n", "", "5:3", "spec.match", "is missing: expected a mapping"),
    ("  runbook: look", "  runbok: look", "6:3", "spec.runbok", "unknown field: did you mean 'runbook'?"),
    (
        "runbook: look",
        "runbook: lok",
        "6:12",
        "spec.runbook",
        "there is no runbook payments/lok: did you mean 'payments/look'?",
    ),
    ("runbook: look", "runbook: look\n  runbook: look", "7:3", "", "the key 'runbook' stands twice, first in line 6"),
    (
        "runbook: look",
        "runbook: look\n  when: alert.lables.x == 'a'",
        "7:9",
        "spec.when",
        "'alert.lables.x' is not in scope; in scope: alert.annotations",
    ),
    (
        "runbook: look",
        "runbook: look\n  when: [alert.severity]",
        "7:10",
        "spec.when[0]",
        "answers string, expected bool",
    ),
    (
        "runbook: look",
        "runbook: look\n  when: [5]",
        "7:10",
        "spec.when[0]",
        "expected an expression (CEL), got the number 5",
    ),
    ("runbook: look", "runbook: look\n  for: 30", "7:8", "spec.for", "expected a duration such as 500ms"),
    ("runbook: look", "runbook: look\n  priority: 1001", "7:13", "spec.priority", "expected an integer from 0 to 1000"),
    (
        "runbook: look",
        "runbook: look\n  regions: {agree: 3, of: [a, b]}",
        "7:20",
        "spec.regions.agree",
        "asks for 3 regions of 2",
    ),
    (
        "runbook: look",
        "runbook: look\n  regions: {agree: 1, of: [a, a]}",
        "7:27",
        "spec.regions.of",
        "names a region twice",
    ),
    (
        "runbook: look",
        "runbook: look\n  with: {x: 1}",
        "7:9",
        "spec.with",
        "payments/look has no parameter 'x': it has none",
    ),
    (
        "runbook: look",
        "runbook: look\n  with: {x: '${alert.nme}'}",
        "7:13",
        "spec.with.x",
        "'alert.nme' is not in scope",
    ),
    (
        "runbook: look",
        "runbook: look\n  target: {by: {name: target.name}}",
        "7:23",
        "spec.target.by.name",
        "'target.name' is not in scope",
    ),
    (
        "runbook: look",
        "runbook: look\n  target: {by: {name: alert.entity, ref: alert.entity}}",
        "7:16",
        "spec.target.by",
        "names 2 annotations",
    ),
    (
        "runbook: look",
        "runbook: look\n  target: {kind: Resource}",
        "7:11",
        "spec.target",
        "without `by` the alert's own entity is the target",
    ),
    (
        "runbook: look",
        "runbook: look\n  target: {within: {system: nowhere}}",
        "7:20",
        "spec.target.within.system",
        "system:default/nowhere is not in the catalogue",
    ),
    (
        "runbook: look",
        "runbook: look\n  target: {within: {team: x}}",
        "7:21",
        "spec.target.within.team",
        "unknown field",
    ),
    (
        "runbook: look",
        "runbook: look\n  autonomy: {ceiling: automatic}",
        "7:23",
        "spec.autonomy.ceiling",
        "expected one of observe, suggest, approve, auto",
    ),
    (
        "runbook: look",
        "runbook: look\n  autonomy: {when: [{ceiling: auto}]}",
        "7:21",
        "spec.autonomy.when[0].if",
        "is missing",
    ),
    (
        "runbook: look",
        "runbook: look\n  limits: {unavailable: {max: 0, of: service}}",
        "7:31",
        "spec.limits.unavailable.max",
        "expected a count of at least 1",
    ),
    (
        "runbook: look",
        "runbook: look\n  limits: {unavailable: {max: 1, of: rack}}",
        "7:38",
        "spec.limits.unavailable.of",
        "expected one of service, zone, group",
    ),
    (
        "runbook: look",
        "runbook: look\n  limits: {attempts: 0}",
        "7:22",
        "spec.limits.attempts",
        "expected an integer from 1 to 1000",
    ),
    (
        "owner: group:payments-sre",
        "owner: group:nobody",
        "5:3",
        "metadata.owner",
        "owned by group:default/nobody, which is not in the catalogue",
    ),
    (
        ", owner: group:payments-sre",
        "",
        "3:11",
        "metadata.owner",
        "is missing: expected an owner such as group:payments-sre",
    ),
    ("kind: Rule", "kind: Rul", "2:7", "kind", "expected one of Rule, got 'Rul': did you mean 'Rule'?"),
    ("watchkeeper.dev/v1", "v1", "1:13", "apiVersion", "expected watchkeeper.dev/v1, got 'v1'"),
]


@pytest.mark.parametrize(("old", "new", "place", "field", "words"), RULES)
def test_what_is_wrong_with_a_rule(old, new, place, field, words):
    assert words in told(rule(old, new), f"{RULE_AT}:{place}", field)


STEP = 'steps:\n    - {id: see, do: http.request, with: {url: "${target.url}/healthz"}}'
FIRST = "steps:\n    - "


def steps(*lines):
    return (STEP, "steps:\n" + "\n".join(f"    - {line}" for line in lines))


GET = 'do: http.request, with: {url: "http://a/"}'

RUNBOOKS = [
    ((STEP, "steps: []"), "6:10", "spec.steps", "is empty: a list of steps holds at least one"),
    (steps("{id: a, doo: http.request}"), "7:15", "spec.steps[0].doo", "unknown field: did you mean 'do'?"),
    (
        steps("{id: a, do: http.request, call: look, with: {url: x}}"),
        "7:39",
        "spec.steps[0].call",
        "has do and call: a step does one thing",
    ),
    (steps(f"{{{GET}}}"), "7:7", "spec.steps[0].id", "is missing"),
    (steps(f"{{id: a-b, {GET}}}"), "7:12", "spec.steps[0].id", "'a-b' cannot be said as steps.a-b"),
    (steps(f"{{id: in, {GET}}}"), "7:12", "spec.steps[0].id", "no word of CEL"),
    (
        steps(f"{{id: a, {GET}}}", f"{{id: a, {GET}}}"),
        "8:12",
        "spec.steps[1].id",
        "the id 'a' stands twice, first in line 7",
    ),
    (
        steps("{id: a, do: http.requst, with: {url: x}}"),
        "7:19",
        "spec.steps[0].do",
        "there is no action 'http.requst': did you mean 'http.request'?",
    ),
    (steps("{id: a, do: http.request}"), "7:7", "spec.steps[0].with", "http.request needs 'url'"),
    (
        steps("{id: a, do: service.restart, with: {unit: x}}"),
        "7:19",
        "spec.steps[0].do",
        "no permission for service.restart: add {do: service.restart}",
    ),
    (
        steps("{id: a, do: http.request, with: {url: x, method: POST}}"),
        "7:19",
        "spec.steps[0].do",
        "method 'POST' is not among the methods of its permission: GET",
    ),
    (steps(f"{{id: a, {GET}, effect: probed}}"), "7:67", "spec.steps[0].effect", "no `check` says how to ask"),
    (steps(f"{{id: a, {GET}, effect: ONCE}}"), "7:67", "spec.steps[0].effect", "expected one of read, idempotent"),
    (steps(f"{{id: a, {GET}, timeout: soon}}"), "7:68", "spec.steps[0].timeout", "expected a duration"),
    (steps(f'{{id: a, {GET}, timeout: "${{parms.x}}"}}'), "7:68", "spec.steps[0].timeout", "'parms.x' is not in scope"),
    (steps(f"{{id: a, {GET}, timeout: 16m}}"), "5:3", "spec.timeout", "ends the run before its step a may"),
    (
        steps(f"{{id: a, {GET}, retry: {{errors: [all]}}}}"),
        "7:75",
        "spec.steps[0].retry.errors",
        "expected some of unavailable",
    ),
    (
        steps(f"{{id: a, {GET}, retry: {{first: 2m, max: 1s}}}}"),
        "7:74",
        "spec.steps[0].retry.first",
        "is longer than `max`",
    ),
    (
        steps('{id: a, do: http.request, with: {url: "${steps.b.output.x}"}}', f"{{id: b, {GET}}}"),
        "7:45",
        "spec.steps[0].with.url",
        "'steps.b.output.x' is not in scope",
    ),
    (
        steps('{id: a, do: http.request, with: {url: "${steps.a.output.x}"}}'),
        "7:45",
        "spec.steps[0].with.url",
        "is not in scope",
    ),
    (
        steps('{id: a, do: http.request, with: {url: "${target.url"}}'),
        "7:45",
        "spec.steps[0].with.url",
        "has no closing brace",
    ),
    (
        steps("{id: a, do: http.request, with: {url: x, auth: {bearer: {secret: admin}}}}"),
        "7:72",
        "spec.steps[0].with.auth.bearer.secret",
        "no secret 'admin' is declared",
    ),
    (
        steps("{id: a, do: http.request, with: {url: x, auth: {bearer: {secret: admin, x: y}}}}"),
        "7:63",
        "spec.steps[0].with.auth.bearer",
        "stands alone",
    ),
    (
        steps('{id: a, do: http.request, with: {url: x, body: "ghp_0123456789abcdefghijklmnopqrstuvwxyz"}}'),
        "7:54",
        "spec.steps[0].with.body",
        "this looks like a GitHub token",
    ),
    (steps(f"{{id: a, {GET}, when: target.tier}}"), "7:65", "spec.steps[0].when", "answers string, expected bool"),
    (
        steps("{id: a, approve: {by: [group:nobody]}}"),
        "5:3",
        "spec.steps",
        "step a asks group:default/nobody, which is not in the catalogue",
    ),
    (steps("{id: a, approve: {by: []}}"), "7:29", "spec.steps[0].approve.by", "is empty: name at least one"),
    (
        steps("{id: a, verify: {expect: {status: 200}}}"),
        "7:23",
        "spec.steps[0].verify",
        "looks at nothing: expected one of http, tcp",
    ),
    (steps("{id: a, verify: {http: a, tcp: b}}"), "7:38", "spec.steps[0].verify.tcp", "has http and tcp"),
    (
        steps("{id: a, verify: {http: a, successes: 3, every: 30s, within: 60s}}"),
        "7:44",
        "spec.steps[0].verify.successes",
        "never fit in 60000 ms",
    ),
    (
        steps("{id: a, verify: {http: a, via: ssh}}"),
        "7:38",
        "spec.steps[0].verify.via",
        "only a command looks elsewhere than from this node, and only by ssh: write via: ssh",
    ),
    (
        steps("{id: a, verify: {command: [ls], via: kube}}"),
        "7:44",
        "spec.steps[0].verify.via",
        "only a command looks elsewhere than from this node, and only by ssh: write via: ssh",
    ),
    (steps("{id: a, verify: {command: ls}}"), "7:33", "spec.steps[0].verify.command", "a command is a list of words"),
    (
        steps('{id: a, verify: {tcp: "${alert.labels.host}:80"}}'),
        "7:29",
        "spec.steps[0].verify.tcp",
        "'alert.labels.host' would decide what is dialled; only an attribute of the target may",
    ),
    (
        steps('{id: a, verify: {promql: {query: up, server: "${alert.labels.prom}"}}}'),
        "7:32",
        "spec.steps[0].verify.promql",
        "would decide what is dialled",
    ),
    (steps("{id: a, parallel: {max: 2}}"), "7:7", "spec.steps[0].steps", "is missing: expected a list"),
    (
        steps(f"{{id: a, foreach: {{in: hosts}}, steps: [{{id: b, {GET}}}]}}"),
        "7:29",
        "spec.steps[0].foreach.in",
        "expected targets",
    ),
    (
        steps(f'{{id: a, foreach: {{in: targets, waves: ["0%"]}}, steps: [{{id: b, {GET}}}]}}'),
        "7:46",
        "spec.steps[0].foreach.waves[0]",
        "expected a count or a share",
    ),
    (steps("{id: a, call: nothing}"), "7:21", "spec.steps[0].call", "there is no runbook payments/nothing"),
    (
        steps("{id: a, call: look}"),
        "7:21",
        "spec.steps[0].call",
        "these calls never end: payments/look -> payments/look",
    ),
    (
        steps(f"{{id: a, {GET}, undo: {{do: service.stop, with: {{unit: x}}}}}}"),
        "7:70",
        "spec.steps[0].undo.do",
        "no permission for service.stop",
    ),
    (
        steps(f"{{id: a, {GET}, effect: probed, check: {{do: service.restart, with: {{unit: x}}}}}}"),
        "7:87",
        "spec.steps[0].check.do",
        "a check only looks",
    ),
    (
        ("[{do: http.request, methods: [GET]}]", "[{do: http.reqest}]"),
        "5:22",
        "spec.permissions[0].do",
        "there is no action",
    ),
    (("methods: [GET]", "methods: []"), "5:45", "spec.permissions[0].methods", "is empty: it would allow nothing"),
    (("methods: [GET]", "methods: [GET], to: target.tier.x"), "5:56", "spec.permissions[0].to", "column"),
    (
        ("  permissions:", "  needs: [component:gone]\n  permissions:"),
        "5:11",
        "spec.needs[0]",
        "component:default/gone is not in the catalogue",
    ),
    (
        ("  permissions:", "  objective: {success: 99.9}\n  permissions:"),
        "5:24",
        "spec.objective.success",
        "expected a percentage such as 99.9%",
    ),
    (("  permissions:", "  risk: none\n  permissions:"), "5:9", "spec.risk", "expected one of low, medium, high"),
    (
        ("  permissions:", "  params: {x: {type: number}}\n  permissions:"),
        "5:22",
        "spec.params.x.type",
        "expected one of text, integer",
    ),
    (
        ("  permissions:", "  params: {x: {type: choice}}\n  permissions:"),
        "5:15",
        "spec.params.x.options",
        "is missing: a choice lists",
    ),
    (
        ("  permissions:", "  params: {x: {type: integer, min: 5, max: 4}}\n  permissions:"),
        "5:36",
        "spec.params.x.min",
        "is more than `max`",
    ),
    (
        ("  permissions:", "  params: {x: {type: duration, default: 1h, max: 5m}}\n  permissions:"),
        "5:41",
        "spec.params.x.default",
        "is more than its max",
    ),
    (
        ("  permissions:", "  params: {x: {type: text, pattern: '['}}\n  permissions:"),
        "5:37",
        "spec.params.x.pattern",
        "is not a regular expression",
    ),
    (
        ("  permissions:", "  params: {a-b: {type: text}}\n  permissions:"),
        "5:17",
        "spec.params.a-b",
        "cannot be said as params.a-b",
    ),
    (
        ("  permissions:", "  secrets: {x: {store: bank, path: a}}\n  permissions:"),
        "5:24",
        "spec.secrets.x.store",
        "expected one of file, env, vault",
    ),
]


@pytest.mark.parametrize(("change", "place", "field", "words"), RUNBOOKS)
def test_what_is_wrong_with_a_runbook(change, place, field, words):
    assert words in told(runbook(*change), f"{RUNBOOK_AT}:{place}", field)


def test_one_look_tells_every_problem_of_a_file():
    text = changed(SIMPLE_RULE, "match: {alertname: Down}", "match: {}\n  for: x\n  priority: -1\n  wen: true")
    assert [problem.field for problem in packs({**SIMPLE, RULE_AT: text}).problems] == [
        "spec.match",
        "spec.for",
        "spec.priority",
        "spec.wen",
    ]


def test_a_rule_with_an_error_is_not_in_the_rulebook():
    assert packs(rule("runbook: look", "runbook: look\n  for: x")).rulebook.rules == {}


def test_a_runbook_with_errors_is_not_called_missing_too():
    found = packs(runbook("id: see", "id: s-e"))
    assert [problem.field for problem in found.problems] == ["spec.steps[0].id"]


def test_a_disabled_rule_is_checked_and_stands_aside():
    found = packs(rule("runbook: look", "runbook: look\n  enabled: false"))
    assert found.problems == ()
    assert found.rulebook.rules == {}
    assert list(found.rules) == ["payments/simple"]


class TestPacks:
    def test_two_rules_of_one_name(self):
        files = {**SIMPLE, "packs/payments/rules/zz.yaml": SIMPLE_RULE}
        assert only(files) == (
            "packs/payments/rules/zz.yaml:5:3",
            "metadata.name",
            f"Rule payments/simple stands twice, first at {RULE_AT}:5: rename one",
        )

    def test_a_pack_without_its_file(self):
        files = {path: text for path, text in SIMPLE.items() if not path.endswith("pack.yaml")}
        assert {problem.message for problem in packs(files).problems} == {
            "packs/payments has no pack.yaml: who owns it, and which version is it?"
        }

    def test_a_pack_named_otherwise_than_its_folder(self):
        files = {**SIMPLE, "packs/payments/pack.yaml": changed(PACK, "name: payments", "name: payment")}
        assert only(files)[1:] == ("metadata.name", "is 'payment', and its folder is 'payments': name both alike")

    def test_a_pack_without_an_owner_in_the_catalogue(self):
        files = {**SIMPLE, "packs/payments/pack.yaml": changed(PACK, "group:payments-sre", "group:gone")}
        assert only(files)[2].startswith("pack payments is owned by group:default/gone, which is not in the catalogue")

    def test_a_version_is_three_numbers(self):
        files = {**SIMPLE, "packs/payments/pack.yaml": changed(PACK, "1.0.0", "one")}
        assert only(files)[1] == "spec.version"

    def test_a_file_that_nobody_reads_is_told(self):
        problem = packs({**SIMPLE, "packs/payments/rule/x.yaml": SIMPLE_RULE}).problems[0]
        assert problem.severity == "warning"
        assert "is not read" in problem.message

    def test_the_digest_of_a_pack_covers_every_file_of_it(self):
        one = packs(SIMPLE).rulebook.packs["payments"].digest
        assert packs({**SIMPLE, "packs/payments/notes.txt": "x"}).rulebook.packs["payments"].digest != one
        assert packs({**SIMPLE, "packs/other.txt": "x"}).rulebook.packs["payments"].digest == one

    def test_comments_and_order_of_keys_do_not_change_a_rules_digest(self):
        one = packs(SIMPLE).rulebook.rules["payments/simple"].digest
        same = "# a comment\n" + changed(
            SIMPLE_RULE, "  match: {alertname: Down}\n  runbook: look", "  runbook: look\n  match: {alertname: Down}"
        )
        assert packs({**SIMPLE, RULE_AT: same}).rulebook.rules["payments/simple"].digest == one
        other = packs(rule("Down", "Up")).rulebook.rules["payments/simple"].digest
        assert other != one

    def test_a_number_and_its_text_are_two_things_to_a_digest(self):
        texts = [changed(SIMPLE_RUNBOOK, "with: {url", f"with: {{x: {value}, url") for value in ("5", "'5'")]
        digests = {packs({**SIMPLE, RUNBOOK_AT: text}).rulebook.runbooks["payments/look"].digest for text in texts}
        assert len(digests) == 2


class TestCalls:
    def test_arguments_are_checked_where_they_are_literal(self):
        text = changed(RUNBOOK, 'with: {host: "${target.host}"}', "with: {hst: 5}")
        found = [problem.message for problem in errors(packs({**FILES, "packs/payments/runbooks/restart.yaml": text}))]
        assert found == [
            "payments/warm-cache has no parameter 'hst': did you mean 'host'?",
            "payments/warm-cache needs the parameter 'host'",
        ]

    def test_a_literal_of_the_wrong_type(self):
        text = changed(RULE, "with: {grace: 30s}", "with: {grace: 6m}")
        found = errors(packs({**FILES, "packs/payments/rules/wedged.yaml": text}))
        assert [problem.message for problem in found] == [
            "parameter 'grace' of payments/restart-instance: is more than its max (300000)"
        ]
        assert (found[0].line, found[0].column) == (16, 9)

    def test_a_circle_of_calls_is_told_once_with_its_way(self):
        text = changed(
            CALLED,
            '- {id: restart, do: service.restart, with: {unit: "${target.unit}"}}',
            "- {id: again, call: restart-instance}",
        )
        found = [problem.message for problem in errors(packs({**FILES, "packs/payments/runbooks/called.yaml": text}))]
        assert found == [
            "these calls never end: payments/restart-instance -> payments/restart-one -> payments/restart-instance"
        ]

    def test_calls_may_be_eight_deep_and_no_deeper(self):
        def chain(depth):
            books = [
                changed(
                    changed(SIMPLE_RUNBOOK, "name: look", f"name: r{at}"),
                    STEP,
                    f"steps:\n    - {{id: a, call: r{at + 1}}}",
                )
                for at in range(depth)
            ]
            books.append(changed(SIMPLE_RUNBOOK, "name: look", f"name: r{depth}"))
            return {**SIMPLE, "packs/payments/runbooks/chain.yaml": "---\n".join(books)}

        assert packs(chain(8)).problems == ()
        assert only(chain(9))[2] == "calls go 9 deep from here, more than 8"

    def test_what_is_called_counts_in_risk_and_in_what_is_unbuilt(self):
        far = """\
apiVersion: watchkeeper.dev/v1
kind: Runbook
metadata: {name: far, owner: group:payments-sre}
spec:
  permissions: [{do: command.run}]
  steps: [{id: rm, do: command.run, via: agent, with: {argv: [rm, -rf, /data]}}]
"""
        files = {**runbook(*steps("{id: a, call: far}")), "packs/payments/runbooks/far.yaml": far}
        look = packs(files).rulebook.runbooks["payments/look"]
        assert look.risk is Risk.HIGH
        assert look.risk_reasons == ("calls payments/far, which is of high risk",)
        assert look.unbuilt == ("via: agent (step rm), called in payments/far",)


class TestScopes:
    def test_a_step_sees_what_is_before_it(self):
        files = runbook(
            *steps(f"{{id: a, {GET}}}", '{id: b, do: http.request, with: {url: "http://a/${steps.a.output.x}"}}')
        )
        assert packs(files).problems == ()

    def test_siblings_of_a_parallel_group_do_not_see_each_other(self):
        line = f'{{id: p, parallel: {{max: 2}}, steps: [{{id: a, {GET}}}, {{id: b, do: http.request, with: {{url: "http://a/${{steps.a.output.x}}"}}}}]}}'
        assert "is not in scope" in only(runbook(*steps(line)))[2]

    def test_what_follows_a_parallel_group_sees_into_it(self):
        line = f"{{id: p, parallel: {{}}, steps: [{{id: a, {GET}}}]}}"
        files = runbook(*steps(line, '{id: b, do: http.request, with: {url: "http://a/${steps.a.output.x}"}}'))
        assert packs(files).problems == ()

    def test_what_follows_a_foreach_does_not(self):
        line = f"{{id: p, foreach: {{in: targets, stop: {{failed: 1}}}}, steps: [{{id: a, {GET}}}]}}"
        files = runbook(*steps(line, '{id: b, do: http.request, with: {url: "http://a/${steps.a.output.x}"}}'))
        assert "is not in scope" in only(files)[2]

    def test_an_undo_sees_the_output_of_its_own_step(self):
        line = f'{{id: a, {GET}, undo: {{do: http.request, with: {{url: "http://a/${{steps.a.output.x}}"}}}}}}'
        assert packs(runbook(*steps(line))).problems == ()

    def test_an_attribute_no_entity_has_is_a_warning(self):
        problem = packs(runbook("${target.url}", "${target.uri}")).problems[0]
        assert (problem.severity, problem.line) == ("warning", 5)
        assert "no entity of the catalogue has watchkeeper.dev/attr.uri" in problem.message
        assert "did you mean 'url'?" in problem.message

    def test_a_look_up_by_an_annotation_nobody_has_is_a_warning(self):
        problem = packs(
            rule("runbook: look", "runbook: look\n  target: {by: {watchkeeper.dev/rack: alert.labels.rack}}")
        ).problems[0]
        assert problem.severity == "warning"
        assert "this rule finds no target" in problem.message


def test_an_attribute_of_the_target_may_be_dialled():
    assert packs(runbook(*steps('{id: a, verify: {tcp: "${target.host}:80"}}'))).problems == ()


def test_a_restart_without_a_check_gets_the_probe_the_action_ships():
    one = packs(FILES).rulebook.runbooks["payments/restart-one"].steps[0]
    assert one.effect is Effect.PROBED
    assert one.check.action == "service.started_since"
    assert one.check.arguments["unit"].source == "${target.unit}"
    assert one.check.arguments["since"].source == "${intent_at}"


@pytest.mark.parametrize(
    ("method", "effect"),
    [
        ("GET", Effect.READ),
        ("HEAD", Effect.READ),
        ("PUT", Effect.IDEMPOTENT),
        ("DELETE", Effect.IDEMPOTENT),
        ("POST", Effect.ONCE),
        ("PATCH", Effect.ONCE),
    ],
)
def test_the_effect_of_a_request_that_states_none(method, effect):
    text = changed(
        changed(SIMPLE_RUNBOOK, "methods: [GET]", f"methods: [{method}]"),
        "with: {url",
        f"with: {{method: {method}, url",
    )
    assert packs({**SIMPLE, RUNBOOK_AT: text}).rulebook.runbooks["payments/look"].steps[0].effect is effect
