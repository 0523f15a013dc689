"""Small parts of the engine: the lease, live output, the place of a signal, what a decision rests on, records."""

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from msgspec.structs import replace

from situations import a_proposal, a_situation
from watchkeeper.adapters.cel import CelCompiler
from watchkeeper.decide.decide import decide
from watchkeeper.decide.decision import Decision, Verdict
from watchkeeper.engine import lease as lease_module
from watchkeeper.engine.lease import FreeLease, Lease
from watchkeeper.engine.mapping import mapped_of
from watchkeeper.engine.outputs import BYTES_PER_RUN_MAX, CHUNKS_PER_STEP_MAX, RUNS_MAX, Outputs
from watchkeeper.engine.perform import OUTPUT_TEXT_MAX, bounded
from watchkeeper.engine.records import Note, RunRecord, kind_of, put, read
from watchkeeper.engine.world import Decided, Expectation, World, rests_on
from watchkeeper.guards.finding import Finding, Outcome
from watchkeeper.home.configuration import Configuration, compile_home
from watchkeeper.home.load_notify import KINDS
from watchkeeper.ports import Row
from watchkeeper.report.notices import NoticeKind
from watchkeeper.signals.signal import Kind, Signal, Source, Standing

CATALOG = b"""
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: web
  annotations: {watchkeeper.dev/alias: shopfront, watchkeeper.dev/environment: prod}
spec: {type: service, lifecycle: production, owner: group:ops}
---
apiVersion: backstage.io/v1alpha1
kind: Group
metadata: {name: ops}
spec: {type: team, children: []}
"""


@cache
def a_configuration() -> Configuration:
    found = compile_home({"watchkeeper.yaml": b"{}", "catalog/all.yaml": CATALOG}, CelCompiler())
    assert found.configuration is not None, [str(each) for each in found.errors]
    return found.configuration


START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class Boot:
    ms = 0

    def __call__(self) -> int:
        return self.ms


@pytest.mark.parametrize(("passed_ms", "held"), [(0, True), (5_999, True), (6_000, False)])
def test_a_lease_is_held_for_so_long_and_no_longer(monkeypatch: pytest.MonkeyPatch, passed_ms: int, held: bool) -> None:
    boot = Boot()
    monkeypatch.setattr(lease_module, "boot_ms", boot)
    found = Lease(lease_ms=6_000, renew_ms=2_000)
    boot.ms += passed_ms
    assert found.held() is held
    found.renew()
    assert found.held()


def test_a_lease_of_a_simulation_is_always_held(monkeypatch: pytest.MonkeyPatch) -> None:
    boot = Boot()
    monkeypatch.setattr(lease_module, "boot_ms", boot)
    found = FreeLease()
    boot.ms += 10**9
    assert found.held()


def test_output_of_a_run_is_bounded_and_the_newest_is_kept() -> None:
    outputs = Outputs()
    for number in range(5):
        outputs.show("run_1", "a", "stdout", str(number).encode() * (BYTES_PER_RUN_MAX // 2))
    kept = [chunk.text[0] for chunk in outputs.of("run_1")]
    assert kept == ["3", "4"]


def test_pieces_of_a_run_are_bounded() -> None:
    outputs = Outputs()
    for _ in range(CHUNKS_PER_STEP_MAX + 10):
        outputs.show("run_1", "a", "stdout", b"x\n")
    assert len(list(outputs.of("run_1"))) == CHUNKS_PER_STEP_MAX


def test_text_that_is_not_ascii_does_not_shrink_the_bound() -> None:
    outputs = Outputs()
    for _ in range(20):
        outputs.show("run_1", "a", "stdout", "ü".encode() * (BYTES_PER_RUN_MAX // 4))
    assert len(list(outputs.of("run_1"))) == 2


def test_runs_are_bounded_and_the_first_is_forgotten() -> None:
    outputs = Outputs()
    for number in range(RUNS_MAX + 1):
        outputs.show(f"run_{number}", "a", "stdout", b"x")
    assert not list(outputs.of("run_0"))
    assert list(outputs.of(f"run_{RUNS_MAX}", "a"))
    assert not list(outputs.of(f"run_{RUNS_MAX}", "b"))


def test_the_output_of_a_step_is_cut_and_says_so() -> None:
    assert bounded({"status": 200}, []) == {"status": 200}
    found = bounded({"body": "x" * OUTPUT_TEXT_MAX}, [])
    assert found["truncated"] is True
    assert found["bytes"] > OUTPUT_TEXT_MAX
    assert len(found["text"]) < OUTPUT_TEXT_MAX


def test_what_was_leased_is_cut_out_wherever_it_stands() -> None:
    secret = "s3cret-value-of-some-length"
    found = bounded({"a": [f"Bearer {secret}", {secret: 1}], "b": 2, "c": None}, [secret])
    assert secret not in repr(found)
    assert found["b"] == 2


def decision(verdict: Verdict, **names: tuple[Outcome, str]) -> Decision:
    """A decision with these findings: guard=(outcome, the version it names)."""
    found = decide(a_proposal(), a_situation())
    findings = tuple(
        Finding(guard=guard, outcome=outcome, reason="because", names=(name,))
        for guard, (outcome, name) in names.items()
    )
    return replace(found, verdict=verdict, findings=findings)


FINDINGS = {
    "hold": (Outcome.HOLD, "hold"),
    "freeze": (Outcome.PASS, "freeze"),
    "autonomy": (Outcome.ASK, "grant"),
}


@pytest.mark.parametrize(
    ("verdict", "names"),
    [
        (Verdict.ACT, set()),
        (Verdict.ASK, {"hold", "freeze", "grant"}),
        (Verdict.OBSERVE, {"grant"}),
        (Verdict.SUGGEST, {"grant"}),
        (Verdict.HOLD, {"hold", "grant"}),
        (Verdict.REFUSE, {"hold", "grant"}),
    ],
)
def test_what_may_turn_a_decision(verdict: Verdict, names: set[str]) -> None:
    assert rests_on(decision(verdict, **FINDINGS)) == names


def test_a_decision_is_found_by_what_it_rests_on_until_another_takes_its_place() -> None:
    world = World(a_configuration())
    held = replace(decision(Verdict.HOLD, **FINDINGS), episode="alr_1", alert="alr_1", rule="shop/down")
    world.remember("alr_1", "shop/down", Decided(decision=held))
    assert world.concerned("hold") == ("alr_1",)
    assert world.concerned("freeze") == ()
    world.remember("alr_1", "shop/down", Decided(decision=replace(held, verdict=Verdict.ACT)))
    assert world.concerned("hold") == ()
    world.remember("alr_1", "shop/down", Decided(decision=held))
    world.forget("alr_1")
    assert world.concerned("hold") == ()
    assert world.decided("alr_1", "shop/down") is None


def record(number: int, minutes_ago: int, **fields: Any) -> RunRecord:
    base = RunRecord(
        id=f"run_{number}",
        decision="dec_1",
        runbook="shop/mend",
        rule="shop/down",
        status="succeeded",
        open=False,
        at=START,
        targets=("component:default/web",),
        configuration="c",
        ended_at=START - timedelta(minutes=minutes_ago),
        effects=1,
    )
    return replace(base, **fields)


def test_attempts_are_those_that_sent_something_or_failed_before_it() -> None:
    world = World(a_configuration())
    world.tried(record(1, 50))
    world.tried(record(2, 40, effects=0, status="failed"))
    world.tried(record(3, 30, effects=0, status="stopped"))
    world.tried(record(4, 20, effects=0, status="lapsed"))
    world.tried(record(5, 10, ended_at=None))
    found = world.attempts("component:default/web", START, 3_600_000)
    assert [each.run for each in found] == ["run_1", "run_2"]


@pytest.mark.parametrize(("minutes", "counted"), [(59, 1), (60, 0)])
def test_an_attempt_leaves_the_window_at_its_end(minutes: int, counted: int) -> None:
    world = World(a_configuration())
    world.tried(record(1, minutes))
    assert len(world.attempts("component:default/web", START, 3_600_000)) == counted


def test_an_expectation_ends_at_its_very_instant() -> None:
    world = World(a_configuration())
    world.expect("web", Expectation(run="run_1", runbook="shop/mend", target="web", names=("Noisy",), until_at=START))
    assert world.expectations("web", START - timedelta(milliseconds=1))
    assert not world.expectations("web", START)


def a_signal(**labels: str) -> Signal:
    return Signal(
        id="sig_1",
        delivery="dlv_1",
        source="default",
        group="default",
        received_at=START,
        kind=Kind.ALERT,
        fingerprint="f",
        standing=Standing.FIRING,
        labels=labels,
        annotations={},
        starts_at=START,
    )


@pytest.mark.parametrize(
    ("labels", "entity"),
    [
        ({"service": "web"}, "component:default/web"),
        ({"service": "nothing", "job": "web"}, "component:default/web"),
        ({"instance": "web"}, "component:default/web"),
        ({"service": "shopfront"}, "component:default/web"),
        ({"service": ""}, ""),
        ({"pod": "web"}, ""),
        ({}, ""),
    ],
)
def test_the_first_label_that_names_an_entity_maps_it(labels: dict[str, str], entity: str) -> None:
    source = Source(name="default", kind="alertmanager", group="default", stale_after_ms=1_000)
    found = mapped_of(a_signal(**labels), source, a_configuration().catalog)
    assert (found.entity, found.stale_after_ms) == (entity, 1_000)


def test_every_kind_of_document_is_read_as_it_was_put() -> None:
    for document in (record(1, 5), Note(id="nte_1", subject="inc_1", at=START, by="alice", text="ü")):
        stored = put(document)
        row = Row(id=stored.id, revision=1, position=1, body=stored.body)
        assert read(row, type(document)) == document
        assert stored.kind == kind_of(type(document))


def test_a_document_of_an_earlier_release_is_read_with_defaults() -> None:
    body = b'{"id":"nte_1","subject":"inc_1","at":"2026-03-02T09:00:00Z","by":"alice","text":"seen"}'
    assert read(Row(id="nte_1", revision=1, position=1, body=body), Note).kind == "note"


def test_keys_of_a_listing_say_open_or_closed() -> None:
    assert put(record(1, 5)).keys["state"] == "closed"
    assert put(record(1, 5, open=True)).keys["state"] == "open"


def test_what_the_notify_file_may_match_are_the_words_that_notices_have() -> None:
    assert set(KINDS) == {kind.value for kind in NoticeKind}
