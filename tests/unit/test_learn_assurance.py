"""The four questions of a hop, on both sides of each, in the words that people read."""

import pytest
from msgspec.structs import replace
from packs_material import CATALOG, COMPILER, SIMPLE
from test_learn_coverage import API, ROUTED, TRANSACTIONS, WEB, home, proof, report

from watchkeeper.home.configuration import compile_home
from watchkeeper.learn.assurance import Answer, Extent, Question, Watchers, marks, steps_of, undo, verify, watched
from watchkeeper.packs.runbook import StepKind

ONE, TWO = "resource:default/web-1", "resource:default/web-2"

BOOK = """
apiVersion: watchkeeper.dev/v1
kind: Runbook
metadata: {name: look, owner: group:payments-sre}
spec:
  permissions: [{do: http.request, methods: [GET, POST], to: target.url}]
  steps:
"""
LOOK = '    - {id: see, do: http.request, with: {method: GET, url: "${target.url}/"}, effect: read}\n'
DO = '    - {id: NAME, do: http.request, with: {method: POST, url: "${target.url}/NAME"}, effect: idempotent}\n'
BACK = DO.replace("}\n", ', undo: {do: http.request, with: {method: POST, url: "${target.url}/back"}}}\n')
VERIFY = '    - {id: well, verify: {http: "${target.url}/healthz"}}\n'


def act(name: str, *, back: bool = False) -> str:
    return (BACK if back else DO).replace("NAME", name)


def book(*steps: str):
    files = {
        "watchkeeper.yaml": ROUTED,
        "catalog/all.yaml": CATALOG,
        **SIMPLE,
        "packs/payments/runbooks/look.yaml": BOOK + "".join(steps),
        "transactions.yaml": TRANSACTIONS,
    }
    found = compile_home({path: content.encode() for path, content in files.items()}, COMPILER)
    assert found.configuration is not None, [str(each) for each in found.problems]
    return found.configuration.rulebook.runbooks["payments/look"]


@pytest.mark.parametrize(
    ("probes", "rules", "extent", "why"),
    [
        ({API: ("probe api",)}, {}, "all", "probe api looks at it."),
        ({}, {API: ("shop/down", "shop/slow")}, "all", "rule shop/down, rule shop/slow look at it."),
        ({ONE: ("probe a",), TWO: ("probe b",)}, {}, "all", "probe a, probe b look at it."),
        ({ONE: ("probe a",)}, {}, "some", "Nothing looks at 1 of its 2 members: web-2."),
        ({ONE: ("probe a",)}, {API: ("shop/down",)}, "all", "rule shop/down, probe a look at it."),
        ({}, {}, "none", "No probe and no heartbeat looks at it, and no enabled rule listens for it."),
    ],
)
def test_a_hop_is_watched_itself_or_all_that_serves_it(probes, rules, extent, why):
    found = watched(API, (ONE, TWO), Watchers(probes=probes, rules=rules))
    assert (found.question, found.extent, found.why) == ("watched", extent, why)


@pytest.mark.parametrize(
    ("steps", "extent", "why"),
    [
        ((LOOK,), "all", "payments/look changes nothing."),
        ((act("drain", back=True), VERIFY), "all", "Every step of payments/look that changes something has an undo."),
        ((act("drain", back=True), act("restart")), "some", "No undo for restart of payments/look."),
        ((LOOK, act("restart")), "none", "No undo for restart of payments/look."),
    ],
)
def test_what_changes_something_can_be_undone_or_is_named(steps, extent, why):
    found = undo([book(*steps)], {})
    assert (found.extent, found.why) == (extent, why)


@pytest.mark.parametrize(
    ("steps", "extent", "why"),
    [
        ((act("restart"), VERIFY), "all", "payments/look verifies at the end."),
        ((VERIFY, act("restart")), "some", "payments/look does not verify after the last change."),
        ((act("restart"),), "none", "payments/look does not verify after the last change."),
        ((LOOK,), "none", "payments/look does not verify after the last change."),
    ],
)
def test_the_end_is_verified_after_the_last_change(steps, extent, why):
    found = verify([book(*steps)], {})
    assert (found.extent, found.why) == (extent, why)


def test_every_runbook_that_counts_must_and_one_that_is_called_counts_with_its_caller():
    good, bad = book(act("drain", back=True), VERIFY), book(act("restart"))
    other = replace(bad, name="payments/other")
    assert undo([good, other], {}).extent is Extent.SOME
    assert (found := verify([good, other], {})).extent is Extent.SOME
    assert found.why == "payments/other does not verify after the last change."
    call = replace(good.steps[0], kind=StepKind.CALL, runbook="payments/other", call=None, undo=None)
    caller = replace(good, name="payments/caller", steps=(call,))
    assert [step.id for step in steps_of(caller, {"payments/other": other})] == ["restart"]
    ring = {"payments/ring": replace(caller, name="payments/ring", steps=(replace(call, runbook="payments/ring"),))}
    assert len(list(steps_of(ring["payments/ring"], ring))) == 1, "a circle ends"


def test_without_a_rule_there_is_nothing_to_undo_or_verify():
    assert [found([], {}).why for found in (undo, verify)] == ["No rule repairs it."] * 2


def answers(*extents: str) -> list[Answer]:
    return [Answer(question=Question.UNDO, extent=Extent(each), why="") for each in extents]


@pytest.mark.parametrize(
    ("hops", "extent", "whole", "lacking"),
    [
        (("all", "all"), "all", 2, ()),
        (("all", "none"), "some", 1, ("h1",)),
        (("some", "none"), "some", 0, ("h0", "h1")),
        (("none", "none"), "none", 0, ("h0", "h1")),
    ],
)
def test_a_transaction_is_as_its_hops_are(hops, extent, whole, lacking):
    found = marks([(f"h{number}", answers(each)) for number, each in enumerate(hops)])
    one = next(mark for mark in found if mark.question is Question.UNDO)
    assert (one.extent, one.hops, one.of, one.lacking) == (extent, whole, 2, lacking)
    assert [mark.question for mark in found] == list(Question)


def marked(found, name: str = "checkout") -> dict[str, str]:
    row = next(each for each in found.transactions if each.name == name)
    return {mark.question.value: mark.extent.value for mark in row.marks}


def test_the_report_asks_each_hop_and_only_a_proof_makes_a_repair_whole():
    configuration = home()
    found = report(configuration)
    assert marked(found)["watched"] == "all", "a rule listens"
    assert marked(found)["repair"] == "some", "declared, not proven"
    assert marked(report(configuration, proof()), "log-in")["repair"] == "all"
    hop = found.transactions[0].hops[1]
    assert hop.ref == WEB
    assert [each.question for each in hop.answers] == list(Question)


def test_a_rule_that_only_observes_listens_and_repairs_nothing():
    found = report(home(ceiling="observe"))
    assert marked(found) == {"watched": "all", "repair": "none", "undo": "none", "verify": "none"}
    off = report(home(more="\n  enabled: false"))
    assert marked(off)["watched"] == "none"


def test_the_runbook_of_a_rule_that_was_proven_counts_before_those_that_were_not():
    configuration = home()
    books = dict(configuration.rulebook.runbooks)
    (rule,) = configuration.rules.values()
    books["payments/other"] = replace(books[rule.runbook], name="payments/other", steps=book(act("restart")).steps)
    books[rule.runbook] = replace(books[rule.runbook], steps=book(act("drain", back=True), VERIFY).steps)
    rules = [rule, replace(rule, name="payments/second", runbook="payments/other")]
    from watchkeeper.learn.coverage import coverage
    from watchkeeper.values import instant

    def of(*proofs):
        return coverage(
            configuration.transactions, rules, configuration.catalog, proofs, ("service",),
            instant("2026-03-01T12:00:00Z"), 90 * 86_400_000, runbooks=books,
        )  # fmt: skip

    assert marked(of(), "log-in")["verify"] == "some"
    assert marked(of(proof()), "log-in")["verify"] == "all"
