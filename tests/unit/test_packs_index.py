from watchkeeper.packs.index import build_index, matches
from watchkeeper.packs.rule import Rule
from watchkeeper.packs.rulebook import Rulebook
from work import lines_run


def rule(name, **match):
    return Rule(
        name=name,
        owner="",
        pack="p",
        where="",
        digest=name,
        match={label: (value,) if isinstance(value, str) else value for label, value in match.items()},
        runbook="p/x",
    )


def book(rules):
    found = {one.name: one for one in rules}
    index, labels, unindexed = build_index(found)
    return Rulebook(digest="", packs={}, rules=found, runbooks={}, index=index, labels=labels, unindexed=unindexed)


def test_a_rule_stands_under_the_label_that_tells_it_best():
    found = book([rule("a", alertname="A", severity="critical"), rule("b", alertname="B", severity="critical")])
    assert found.labels == ("alertname",)
    assert found.index == {("alertname", "A"): ("a",), ("alertname", "B"): ("b",)}


def test_a_rule_with_several_values_stands_under_each():
    found = book([rule("a", alertname=("A", "B"))])
    assert set(found.index) == {("alertname", "A"), ("alertname", "B")}


def test_a_label_that_most_alerts_lack_is_the_last_choice():
    assert book([rule("a", a_mute="", b="x")]).labels == ("b",)


def test_a_rule_without_labels_is_always_a_candidate():
    found = book([rule("a"), rule("b", alertname="B")])
    assert found.unindexed == ("a",)
    assert [one.name for one in found.candidates({})] == ["a"]


def test_an_absent_label_is_the_empty_text():
    found = book([rule("a", maintenance=""), rule("b", alertname="B", maintenance="")])
    assert [one.name for one in found.candidates({"alertname": "A"})] == ["a"]
    assert [one.name for one in found.candidates({"alertname": "B"})] == ["b", "a"]
    assert [one.name for one in found.candidates({"maintenance": "yes"})] == []
    assert matches(found.rules["b"], {"alertname": "B"})
    assert not matches(found.rules["b"], {"alertname": "B", "maintenance": "yes"})


def test_every_rule_that_matches_is_a_candidate():
    labels = [{"alertname": f"A{i % 7}", "severity": f"s{i % 3}", "x": str(i % 2)} for i in range(42)]
    found = book(
        [rule(f"r{i:02}", **one) for i, one in enumerate(labels)] + [rule("e", alertname="A1"), rule("z", x=("0", "1"))]
    )
    for one in labels:
        candidates = [each.name for each in found.candidates(one)]
        assert len(candidates) == len(set(candidates))
        assert {name for name, each in found.rules.items() if matches(each, one)} <= set(candidates)


def candidate_lines(count):
    found = book([rule(f"r{i:05}", alertname=f"A{i}", severity="critical", team=f"t{i % 20}") for i in range(count)])
    labels = {"alertname": f"A{count // 2}", "severity": "critical", "team": "t1", "instance": "x"}
    assert len(list(found.candidates(labels))) == 1
    return lines_run(lambda: list(found.candidates(labels)))


def test_matching_costs_the_same_from_ten_rules_to_ten_thousand():
    assert candidate_lines(10_000) == candidate_lines(10)


def test_an_index_over_ten_thousand_rules_with_two_labels_has_two_places_to_look():
    rules = [rule(f"a{i}", alertname=f"A{i}", severity="critical") for i in range(5_000)]
    rules += [rule(f"b{i}", job=f"J{i}", severity="critical") for i in range(5_000)]
    assert book(rules).labels == ("alertname", "job")
