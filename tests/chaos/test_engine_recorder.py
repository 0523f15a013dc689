"""What an Alertmanager's event recorder says of muted alerts is one state with what its API answers: shown, held, let go."""

import hashlib
import json
from datetime import timedelta

from msgspec.structs import replace
from rig import START
from stage import ALICE, SETTINGS, Stage, house, play, rule
from test_engine_erase import everything
from test_engine_silences import There

from recorder_events import SILENCE, inhibited, notified, resolved, silence, silence_updated, silenced
from watchkeeper.correlate.muted import Muted
from watchkeeper.engine import recorder, silence_answers
from watchkeeper.engine.erasing import Wanted
from watchkeeper.engine.reading import Reader
from watchkeeper.engine.records import ErasureRecord, SilenceRecord
from watchkeeper.signals.signal import DeadLetter

EVERY_S = 60
RECORDED = SETTINGS.replace("{kind: alertmanager}", "{kind: alertmanager, group_interval: 1m}")
BOTH = SETTINGS.replace(
    "{kind: alertmanager}",
    '{kind: alertmanager, group_interval: 1m, api: "http://127.0.0.1:9093", every: 10s}',
)
WHY = f"it is silenced in default by {SILENCE} (ann: disk swap, until 2026-03-02T09:30Z)"


def fingerprint(alert: str, service: str) -> str:
    return hashlib.sha256(f"{alert} {service}".encode()).hexdigest()[:16]


DOWN = fingerprint("Down", "web")
HOST = fingerprint("HostDown", "cart")
STANDS = silence(ends=START + timedelta(minutes=30))


def labels(alert: str = "Down", service: str = "web") -> dict[str, str]:
    return {"alertname": alert, "service": service, "severity": "critical"}


def polled(by: str = SILENCE) -> dict[str, object]:
    return {
        "fingerprint": DOWN,
        "labels": labels(),
        "status": {"state": "suppressed", "silencedBy": [by], "inhibitedBy": []},
    }


async def said(stage: Stage, *events: object) -> None:
    """Posted as the webhook output posts one, or a batch, and taken apart."""
    body: object = events[0] if len(events) == 1 else list(events)
    before = stage.on.pipeline.taken
    await stage.on.intake.accept("default", "alertmanager-events", json.dumps(body).encode())
    stage.on.pipeline.nudge()
    await stage.until(lambda: stage.on.pipeline.taken > before)


def now(stage: Stage):
    return stage.on.clock.now()


def test_a_silenced_alert_is_held_shown_and_acted_upon_when_the_silence_ends():
    stage = Stage(house(settings=RECORDED))

    async def scene(stage: Stage) -> None:
        by = silence(ends=now(stage) + timedelta(seconds=90))
        await said(stage, silenced(DOWN, now(stage), by, **labels()))
        await stage.fire("Down", "web")
        await stage.decided(1)
        decision = (await stage.decisions())[0]
        assert decision.verdict == "hold"
        assert f"it is silenced in default by {SILENCE} (ann: disk swap, until " in decision.reason
        alert = next(iter(stage.on.correlation.alerts()))
        assert "ann: disk swap" in Reader(stage.on).alert_view(alert)["suppressed"]
        (listed,) = stage.on.silences.listed()
        assert (listed.alert, listed.labels["service"], listed.source) == (alert.id, "web", "default")
        await stage.passes(60)
        assert stage.on.world.suppressed
        await stage.ended()
        assert stage.theatre.sent
        assert not stage.on.world.suppressed

    play(scene, stage)


def test_an_inhibited_alert_names_the_alert_behind_it_and_is_free_when_it_resolves():
    stage = Stage(house(settings=RECORDED))

    async def scene(stage: Stage) -> None:
        await stage.fire("HostDown", "cart")
        await said(stage, inhibited(DOWN, now(stage), HOST, "host-down", **labels()))
        assert list(stage.on.world.suppressed.values()) == [
            f"it is inhibited in default by HostDown ({HOST}, rule host-down)"
        ]
        await said(stage, resolved(DOWN, now(stage)))
        assert not stage.on.world.suppressed

    play(scene, stage)


def test_a_notification_of_more_alerts_than_are_kept_is_taken_as_any_other(monkeypatch):
    monkeypatch.setattr(recorder, "MUTED_MAX", 2)

    async def scene(stage: Stage) -> None:
        await said(stage, *(notified(f"{number:016x}", now(stage)) for number in range(1, 6)))
        assert not await stage.all(DeadLetter)
        assert stage.on.pipeline._failures == {}

    play(scene, Stage(house(settings=RECORDED)))


def test_events_in_any_order_and_again_come_to_the_same():
    async def after(stage: Stage, order: list[int], found: list[object]) -> None:
        at = now(stage)
        shorter = silence(ends=at + timedelta(hours=2), updated=at + timedelta(seconds=1), comment="longer")
        events = [
            silenced(DOWN, at, STANDS, **labels()),
            silence_updated(shorter, at),
            silenced(HOST, at, STANDS, **labels("HostDown", "cart")),
            resolved(HOST, at + timedelta(seconds=2)),
            inhibited(DOWN, at, HOST, **labels()),
        ]
        for number in order:
            await said(stage, events[number])
        found.append(dict(stage.on.world.suppressed))

    whole: list[object] = []
    for order in ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [3, 0, 0, 4, 1, 2, 3, 0, 1]):
        play(lambda stage, order=order: after(stage, order, whole), Stage(house(settings=RECORDED)))
    assert whole[0] == whole[1] == whole[2]
    assert list(whole[0]) == [("default", DOWN)]
    assert "ann: longer" in whole[0]["default", DOWN]


def test_a_silence_goes_by_order_of_erasure_and_goes_on_holding():
    async def scene(stage: Stage) -> None:
        await said(stage, silenced(DOWN, now(stage), STANDS, **labels()))
        assert "disk swap" in stage.on.world.suppressed["default", DOWN]
        wanted = Wanted(subject="Disk swap")
        found = await stage.on.erasing.find(wanted)
        assert (found.counts["silence"], found.stays) == (1, ())
        done = await stage.on.erasing.erase(ALICE, wanted, found.digest, "asked for")
        assert isinstance(done, ErasureRecord), done
        assert b"disk swap" not in everything(stage)
        await stage.passes(6)
        assert stage.on.world.suppressed["default", DOWN] == f"it is silenced in default by {SILENCE}"
        held = await stage.on.erasing.find(Wanted(subject="HostDown"))
        assert held.counts == {}
        held = await stage.on.erasing.find(Wanted(subject="critical"))
        assert [(each.kind, each.why) for each in held.stays] == [("muted", "something open rests on it")]
        await stage.crash()
        assert stage.on.world.suppressed["default", DOWN] == f"it is silenced in default by {SILENCE}"

    play(scene, Stage(house(settings=RECORDED)))


def test_a_restart_forgets_nothing():
    stage = Stage(house(settings=RECORDED))

    async def scene(stage: Stage) -> None:
        await said(stage, silenced(DOWN, now(stage), STANDS, **labels()))
        await stage.crash()
        assert stage.on.world.suppressed == {("default", DOWN): WHY}
        await stage.fire("Down", "web")
        assert (await stage.decided(1))[0].verdict == "hold"
        assert stage.on.silences.sources()[0]["recorder"]["heard_at"] < now(stage)

    play(scene, stage)


def test_a_silence_that_is_ended_by_hand_is_noticed_by_what_goes_on_without_it():
    """Alertmanager records nothing when somebody expires a silence."""
    stage = Stage(house(settings=RECORDED))

    async def scene(stage: Stage) -> None:
        await said(stage, silenced(DOWN, now(stage), STANDS, **labels()))
        for _ in range(2):
            await stage.passes(EVERY_S)
            await said(stage, silenced(HOST, now(stage), STANDS, **labels("HostDown", "cart")))
        assert ("default", DOWN) in stage.on.world.suppressed
        await stage.passes(EVERY_S)
        await said(stage, silenced(HOST, now(stage), STANDS, **labels("HostDown", "cart")))
        await stage.passes(6)
        assert list(stage.on.world.suppressed) == [("default", HOST)]
        await said(stage, notified(HOST, now(stage) + timedelta(seconds=1)))
        assert stage.on.world.suppressed, "it may have been made before"
        await stage.passes(EVERY_S)
        await said(stage, notified(HOST, now(stage)))
        assert not stage.on.world.suppressed

    play(scene, stage)


def test_a_recorder_that_falls_quiet_is_believed_for_ten_intervals_and_then_no_more():
    stage = Stage(house(settings=RECORDED))

    async def scene(stage: Stage) -> None:
        await said(stage, inhibited(DOWN, now(stage), HOST, **labels()))
        assert stage.on.silences.sources()[0]["recorder"]["quiet"] is False
        await stage.passes(9 * EVERY_S)
        assert stage.on.world.suppressed
        assert stage.on.silences.sources()[0]["recorder"]["quiet"] is True
        await stage.passes(EVERY_S + 6)
        assert not stage.on.world.suppressed

    play(scene, stage)


def test_asked_and_told_agree_word_for_word_and_the_later_one_wins():
    stage, there = Stage(house(settings=BOTH)), There()

    async def scene(stage: Stage) -> None:
        stage.on.silences.ask = there
        there.answer = []
        await stage.until(lambda: there.asked)
        await said(stage, silenced(DOWN, now(stage), STANDS, **labels()))
        assert stage.on.world.suppressed == {("default", DOWN): WHY}, "told after it was asked"
        there.answer = [polled()]
        await stage.passes(11)
        assert stage.on.world.suppressed == {("default", DOWN): WHY}, "one sentence, whoever says it"
        assert len(stage.on.silences.listed()) == 1
        there.answer = []
        await stage.passes(11)
        assert not stage.on.world.suppressed, "asked after it was told"
        await said(stage, silenced(DOWN, now(stage) - timedelta(seconds=30), STANDS, **labels()))
        assert not stage.on.world.suppressed, "an event from before it was asked"
        there.answer = [polled()]
        await stage.passes(11)
        await said(stage, resolved(DOWN, now(stage)))
        assert not stage.on.world.suppressed, "resolved after it was asked"
        there.answer = None
        await said(stage, silenced(DOWN, now(stage), STANDS, **labels()))
        await stage.passes(150)
        assert stage.on.world.suppressed == {("default", DOWN): WHY}, "nobody can be asked, and the recorder was heard"
        (source,) = stage.on.silences.sources()
        assert (source["failing"], source["asked"], source["suppressed"]) == ("no route", True, 1)

    play(scene, stage)


def test_a_silence_that_is_over_is_over_whatever_was_asked_before():
    stage, there = Stage(house(settings=BOTH)), There()

    async def scene(stage: Stage) -> None:
        stage.on.silences.ask = there
        there.answer = [polled()]
        await stage.until(lambda: stage.on.world.suppressed)
        assert list(stage.on.world.suppressed.values()) == [f"it is silenced in default by {SILENCE}"]
        at = now(stage)
        await said(stage, silence_updated(silence(ends=at + timedelta(hours=1), updated=at - timedelta(hours=1)), at))
        await stage.passes(11)
        assert "(ann: disk swap, until " in next(iter(stage.on.world.suppressed.values())), "told without being muted"
        at = now(stage)
        await said(stage, silence_updated(silence(ends=at + timedelta(seconds=2), updated=at), at))
        there.answer = None
        await stage.passes(11)
        assert not stage.on.world.suppressed

    play(scene, stage)


def test_what_is_long_over_goes_from_the_store_and_deliveries_go_before(monkeypatch):
    monkeypatch.setattr(recorder, "KEPT_AFTER_MS", 600_000)
    stage = Stage(house(settings=RECORDED))

    async def scene(stage: Stage) -> None:
        by = silence(ends=now(stage) + timedelta(minutes=1))
        await said(stage, silenced(DOWN, now(stage), by, **labels()), {"data": {"alertCreated": {}}})
        await said(stage, {"data": {"silenceUpdated": 7}})
        assert len(await stage.all(Muted)) == 1
        assert len(await stage.all(SilenceRecord)) == 1
        assert len(await stage.all(DeadLetter)) == 1
        before = stage.on.sweeper.gone["delivery"]
        await stage.on.sweeper.sweep()
        assert stage.on.sweeper.gone["delivery"] == before + 1, "the one with a dead letter stays"
        await stage.passes(760)
        assert await stage.store.count("muted") == 0
        assert await stage.store.count("silence") == 0
        assert await stage.store.count("recorder") == 1

    play(scene, stage)


def test_under_a_legal_hold_nothing_of_it_goes(monkeypatch):
    monkeypatch.setattr(recorder, "KEPT_AFTER_MS", 600_000)
    stage = Stage(house(settings=f"{RECORDED}retention: {{legal_hold: true}}\n"))

    async def scene(stage: Stage) -> None:
        by = silence(ends=now(stage) + timedelta(minutes=1))
        await said(stage, silenced(DOWN, now(stage), by, **labels()))
        await stage.on.sweeper.sweep()
        assert not stage.on.sweeper.gone["delivery"]
        await stage.passes(760)
        assert not stage.on.world.suppressed
        assert await stage.store.count("muted") == 1
        assert await stage.store.count("silence") == 1

    play(scene, stage)


def test_a_source_that_leaves_the_configuration_is_forgotten():
    stage = Stage(house(settings=RECORDED))

    async def scene(stage: Stage) -> None:
        await said(stage, silenced(DOWN, now(stage), STANDS, **labels()))
        assert stage.on.world.suppressed
        settings = stage.on.world.configuration.settings
        stage.on.world.configuration = replace(stage.on.world.configuration, settings=replace(settings, sources={}))
        await stage.passes(70)
        assert not stage.on.world.suppressed
        assert stage.on.silences.sources() == ()
        for kind in ("muted", "silence", "recorder"):
            assert await stage.store.count(kind) == 0

    play(scene, stage)


def test_an_alert_that_inhibits_and_is_itself_muted_has_its_name():
    stage = Stage(house(settings=RECORDED))

    async def scene(stage: Stage) -> None:
        await said(stage, silenced(HOST, now(stage), STANDS, **labels("HostDown", "cart")))
        await said(stage, inhibited(DOWN, now(stage), HOST, **labels()))
        assert stage.on.world.suppressed["default", DOWN] == f"it is inhibited in default by HostDown ({HOST})"

    play(scene, stage)


def test_what_passes_the_bound_is_counted_and_what_let_go_makes_room(monkeypatch):
    monkeypatch.setattr(recorder, "MUTED_MAX", 2)
    monkeypatch.setattr(recorder, "SILENCES_MAX", 1)
    stage = Stage(house(settings=RECORDED))

    async def scene(stage: Stage) -> None:
        await said(stage, notified(fingerprint("A", "a"), now(stage)), notified(fingerprint("B", "b"), now(stage)))
        assert await stage.store.count("muted") == 0, "what nothing keeps back is known for a while, and not stored"
        await said(stage, silenced(DOWN, now(stage), STANDS, **labels()))
        await said(stage, silenced(HOST, now(stage), STANDS, **labels("HostDown", "cart")))
        assert {each for _, each in stage.on.world.suppressed} == {DOWN, HOST}
        await said(stage, inhibited(fingerprint("C", "c"), now(stage), HOST, alertname="C"))
        await said(stage, silence_updated(silence("another"), now(stage)))
        assert {each for _, each in stage.on.world.suppressed} == {DOWN, HOST}
        assert stage.on.silences.sources()[0]["recorder"]["not_kept"] == 2

    play(scene, stage)


def test_what_is_suppressed_no_more_is_decided_within_a_minute():
    stage = Stage(house(settings=RECORDED, rules={"down": rule(ceiling="approve")}))

    async def scene(stage: Stage) -> None:
        await said(stage, silenced(DOWN, now(stage), STANDS, **labels()))
        await stage.fire("Down", "web")
        await stage.decided(1)
        await said(stage, resolved(DOWN, now(stage)))
        await stage.decided(2, within_s=61)
        assert await stage.verdicts() == ["hold", "ask"]

    play(scene, stage)


def test_an_inhibition_that_is_asked_and_told_bears_the_rule_that_only_one_of_them_knows():
    stage, there = Stage(house(settings=BOTH)), There()

    async def scene(stage: Stage) -> None:
        stage.on.silences.ask = there
        there.answer = [{**polled(), "status": {"state": "suppressed", "silencedBy": [], "inhibitedBy": [HOST]}}]
        await stage.until(lambda: stage.on.world.suppressed)
        assert list(stage.on.world.suppressed.values()) == [f"it is inhibited in default by {HOST}"]
        await said(stage, inhibited(DOWN, now(stage), HOST, "host-down", **labels()))
        both = [f"it is inhibited in default by {HOST} (rule host-down)"]
        assert list(stage.on.world.suppressed.values()) == both
        await stage.passes(11)
        assert list(stage.on.world.suppressed.values()) == both

    play(scene, stage)


def test_an_answer_that_is_not_read_to_its_end_ends_nothing(monkeypatch):
    monkeypatch.setattr(silence_answers, "SUPPRESSED_MAX", 1)
    stage, there = Stage(house(settings=BOTH)), There()

    async def scene(stage: Stage) -> None:
        stage.on.silences.ask = there
        await said(stage, silenced(HOST, now(stage), STANDS, **labels("HostDown", "cart")))
        there.answer = [polled(), {**polled(), "fingerprint": HOST}]
        await stage.passes(11)
        assert {each for _, each in stage.on.world.suppressed} == {DOWN, HOST}
        there.answer = [polled()]
        await stage.passes(11)
        assert {each for _, each in stage.on.world.suppressed} == {DOWN}

    play(scene, stage)
