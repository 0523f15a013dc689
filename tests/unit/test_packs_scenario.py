import pytest
from packs_material import SIMPLE, changed, packs

from watchkeeper.packs.given import GivenHealth
from watchkeeper.packs.rule import Mode
from watchkeeper.packs.scenario import START_AT, Standing

AT = "packs/payments/scenarios/one.yaml"
ONE = """\
apiVersion: watchkeeper.dev/v1
kind: Scenario
metadata: {name: one, owner: group:payments-sre}
spec:
  given:
    mode: approve
    signals:
      - {labels: {alertname: Down}}
      - {after: 30s, labels: {alertname: Down}, standing: resolved}
    situation: {freezes: [{reason: month end}]}
    catalog: [{ref: resource:default/web-1, health: unhealthy}]
    outputs: {drain: {status: 200}}
  expect:
    verdict: ask
    findings: {freeze: ask}
    effects: [{step: drain, arguments: {method: POST}}]
"""


def test_a_scenario_says_what_was_written():
    found = packs({**SIMPLE, AT: ONE})
    assert found.problems == ()
    one = found.scenarios[0]
    assert (one.name, one.mode, one.at) == ("payments/one", Mode.APPROVE, START_AT)
    assert [signal.after_ms for signal in one.signals] == [0, 30_000]
    assert one.signals[1].standing is Standing.RESOLVED
    assert [freeze.reason for freeze in one.given.freezes] == ["month end"]
    assert one.given.health == (GivenHealth(entity="resource:default/web-1", health="unhealthy"),)
    assert one.given.outputs == {"drain": {"status": 200}}
    assert one.expected.findings == {"freeze": "ask"}
    assert one.expected.effects == ({"step": "drain", "arguments": {"method": "POST"}},)


def test_no_effects_and_nothing_said_of_effects_differ():
    none = packs({**SIMPLE, AT: changed(ONE, "    effects: [{step: drain, arguments: {method: POST}}]\n", "")})
    empty = packs({**SIMPLE, AT: changed(ONE, "[{step: drain, arguments: {method: POST}}]", "[]")})
    assert none.scenarios[0].expected.effects is None
    assert empty.scenarios[0].expected.effects == ()


@pytest.mark.parametrize(
    ("old", "new", "place", "words"),
    [
        ("verdict: ask", "verdict: maybe", "14:14", "expected one of act, ask"),
        ("freeze: ask", "freeze: no", "15:15", "freeze: expected one of pass, ask, hold, refuse"),
        ("freezes:", "freezers:", "10:17", "unknown field: did you mean 'freezes'?"),
        ("after: 30s", "after: later", "9:17", "expected a duration"),
        (
            "{labels: {alertname: Down}}",
            "{after: 1m, labels: {alertname: Down}}",
            "8:7",
            "are not in the order of `after`",
        ),
        ("{step: drain, arguments: {method: POST}}", "{}", "16:15", "names nothing"),
        (
            "    verdict: ask\n    findings: {freeze: ask}\n    effects: [{step: drain, arguments: {method: POST}}]",
            "    reason: x",
            "14:5",
            "expects nothing",
        ),
        ("mode: approve", "mode: auto\n    at: noon", "7:9", "expected an instant such as"),
        ("outputs: {drain: {status: 200}}", "outputs: [1]", "12:14", "expected a mapping"),
        (
            "freezes: [{reason: month end}]",
            "anomaly: 3",
            "10:26",
            "this release does not measure how often automation acts",
        ),
        (
            "freezes: [{reason: month end}]",
            "freezes: [{until: soon}]",
            "10:35",
            "a length of time such as 2h, or an instant",
        ),
        ("freezes: [{reason: month end}]", "freezes: [{scope: {colour: red}}]", "10:36", "unknown field"),
        ("freezes: [{reason: month end}]", "metrics: {web: {uptime: 110%}}", "10:41", "a share such as 12.5%"),
        ("freezes: [{reason: month end}]", "metrics: {web: {uptime: -1%}}", "10:41", "a share from 0% to 100%"),
        ("freezes: [{reason: month end}]", "metrics: {web: {mttr: 1m, mttd: 2m}}", "10:39", "cannot end before it was"),
        (
            "freezes: [{reason: month end}]",
            "metrics: {web: {budget_left: 3%}}",
            "10:46",
            "give it under `slo` or `budget`",
        ),
        (
            "freezes: [{reason: month end}]",
            "metrics: {web: {incidents: 0, mttr: 5m}}",
            "10:44",
            "there is no mean time",
        ),
        ("freezes: [{reason: month end}]", "slo: {web-looks: much}", "10:34", "budget_left, burn and age"),
        (
            "freezes: [{reason: month end}]",
            "slo: {x: {burn: {1h: fast}}}",
            "10:38",
            "expected a burn rate such as 14.4",
        ),
        ("freezes: [{reason: month end}]", "regions: {eu: firing}", "10:31", "write the signal that it sends"),
        ("freezes: [{reason: month end}]", "dependencies: {db: fine}", "10:36", "expected one of healthy, unhealthy"),
        (
            "freezes: [{reason: month end}]",
            "agreement: [{rule: a/b, target: web, agreed: 3, of: 2}]",
            "10:62",
            "at most all of the 2 episodes",
        ),
        ("freezes: [{reason: month end}]", "calendars: {cab: gone}", "10:34", "expected a mapping"),
        (
            "freezes: [{reason: month end}]",
            "demotions: [{rule: a/b, target: w, because: mood}]",
            "",
            "expected one of harm",
        ),
        ("outputs: {drain: {status: 200}}", "probes: {web-1: down}", "12:13", "what a look at it sees"),
        ("    findings: {freeze: ask}", "    ladder: {mood: bad}", "15:14", "unknown field"),
        ("    findings: {freeze: ask}", "    verification: nice", "15:19", "expected one of healthy, unhealthy"),
    ],
)
def test_what_is_wrong(old, new, place, words):
    found = packs({**SIMPLE, AT: changed(ONE, old, new)})
    assert len(found.problems) == 1
    assert not place or f"{found.problems[0].line}:{found.problems[0].column}" == place
    assert words in found.problems[0].message
    assert found.scenarios == ()
