"""What an Alertmanager keeps to itself is known, shown, and not acted upon; when nobody can say any more, it counts again."""

import asyncio
import hashlib
import json

import pytest
from rig import compiled
from stage import BOB, SETTINGS, Stage, house, play, rule

from watchkeeper.engine import silences
from watchkeeper.engine.engine import Engine
from watchkeeper.engine.reading import Reader
from watchkeeper.errors import Unavailable

ASKED = SETTINGS.replace("{kind: alertmanager}", '{kind: alertmanager, api: "http://127.0.0.1:9093", every: 10s}')


class There:
    """Its answer is what the test says; None: it cannot be reached."""

    def __init__(self) -> None:
        self.answer: object = []
        self.asked: list[str] = []

    async def __call__(self, url: str) -> bytes:
        self.asked.append(url)
        if self.answer is None:
            raise Unavailable("no route")
        return self.answer if isinstance(self.answer, bytes) else json.dumps(self.answer).encode()


def silenced(alert: str, service: str) -> dict[str, object]:
    return {
        "fingerprint": hashlib.sha256(f"{alert} {service}".encode()).hexdigest()[:16],
        "labels": {"alertname": alert, "service": service},
        "status": {"state": "suppressed", "silencedBy": ["b3dd"], "inhibitedBy": []},
    }


def staged() -> tuple[Stage, There]:
    return Stage(house(settings=ASKED)), There()


def test_a_silenced_alert_is_held_shown_and_acted_upon_when_the_silence_ends():
    stage, there = staged()

    async def scene(stage: Stage) -> None:
        stage.on.silences.ask = there
        there.answer = [silenced("Down", "web"), silenced("Other", "cart"), {"status": 1}, 7]
        await stage.until(lambda: stage.on.world.suppressed)
        await stage.fire("Down", "web")
        await stage.decided(1)
        decision = (await stage.decisions())[0]
        assert decision.verdict == "hold"
        assert "it is silenced in default by b3dd" in decision.reason
        alert = next(iter(stage.on.correlation.alerts()))
        assert Reader(stage.on).alert_view(alert)["suppressed"] == "it is silenced in default by b3dd"
        listed = {each.labels["alertname"]: each.alert for each in stage.on.silences.listed()}
        assert listed == {"Down": alert.id, "Other": ""}
        there.answer = []
        await stage.ended()
        assert stage.theatre.sent

    play(scene, stage)


def test_what_cannot_be_read_counts_for_a_while_and_then_no_more():
    stage, there = staged()

    async def scene(stage: Stage) -> None:
        stage.on.silences.ask = there
        there.answer = [silenced("Down", "web")]
        await stage.until(lambda: stage.on.world.suppressed)
        there.answer = None
        await stage.passes(95)
        assert stage.on.world.suppressed
        assert stage.on.silences.failing == {"default": "no route"}
        await stage.passes(30)
        assert not stage.on.world.suppressed
        there.answer = b"{"
        await stage.passes(11)
        there.answer = b"[" * 100_000
        await stage.passes(11)
        assert "default" in stage.on.silences.failing
        there.answer = [silenced("Down", "web")]
        await stage.until(lambda: stage.on.world.suppressed)
        assert not stage.on.silences.failing
        assert len(there.asked) <= 20, "every 10 s, not more often"

    play(scene, stage)


def test_nobody_is_asked_where_the_source_does_not_say_so():
    there = There()

    async def scene(stage: Stage) -> None:
        stage.on.silences.ask = there
        await stage.passes(60)
        assert not there.asked

    play(scene)


def test_a_silenced_alert_stays_held_over_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    stage, there = staged()
    start = Engine.start

    async def asking(engine: Engine) -> None:
        engine.silences.ask = there  # as every process is wired, before it starts
        await start(engine)

    monkeypatch.setattr(Engine, "start", asking)

    async def scene(stage: Stage) -> None:
        there.answer = [silenced("Down", "web")]
        await stage.until(lambda: stage.on.world.suppressed)
        await stage.fire("Down", "web")
        await stage.decided(1)
        stage.clock.skew_ms += 70_000  # what is held is due again
        await stage.crash()
        await stage.passes(30)
        assert set(await stage.verdicts()) == {"hold"}
        assert stage.theatre.sent == []

    play(scene, stage)


def test_an_alertmanager_that_does_not_answer_holds_no_start_up(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    start = Engine.start

    async def never(url: str) -> bytes:
        asked.append(url)
        await asyncio.sleep(86_400)
        raise AssertionError

    async def asking(engine: Engine) -> None:
        engine.silences.ask = never
        await start(engine)

    monkeypatch.setattr(Engine, "start", asking)
    monkeypatch.setattr(silences, "FIRST_LOOK_S", 0.1)

    async def scene(stage: Stage) -> None:
        assert asked
        await stage.fire("Down", "web")
        await stage.ended()

    play(scene, Stage(house(settings=ASKED)))


def test_a_yes_to_what_was_asked_before_the_silence_is_held_like_everything_else_and_carried_out_after_it():
    stage, there = Stage(house(settings=ASKED, rules={"down": rule(ceiling="approve")})), There()

    async def scene(stage: Stage) -> None:
        stage.on.silences.ask = there
        await stage.fire("Down", "web")
        await stage.decided()
        (card,) = await stage.approvals(state="pending")
        there.answer = [silenced("Down", "web")]
        await stage.until(lambda: stage.on.world.suppressed)
        await stage.on.steering.approve(BOB, card.id, card.binding, "yes")
        await stage.passes(20)
        assert stage.theatre.sent == []
        assert "it is silenced in default by b3dd" in (await stage.decisions())[-1].reason
        there.answer = []
        (run,) = await stage.ended()
        assert run.status == "succeeded"
        assert [each.verdict.value for each in await stage.decisions()][:3] == ["ask", "hold", "act"]

    play(scene, stage)


@pytest.mark.parametrize("down_s", [0, 3_600])
def test_a_silenced_alert_stays_held_over_a_restart_while_its_alertmanager_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, down_s: int
) -> None:
    stage, there = staged()
    start = Engine.start

    async def asking(engine: Engine) -> None:
        engine.silences.ask = there
        await start(engine)

    monkeypatch.setattr(Engine, "start", asking)

    async def scene(stage: Stage) -> None:
        there.answer = [silenced("Down", "web"), silenced("Other", "cart")]
        await stage.until(lambda: stage.on.world.suppressed)
        await stage.fire("Down", "web")
        await stage.passes(15)
        there.answer = None
        stage.clock.skew_ms += down_s * 1000
        await stage.crash()
        await stage.passes(120)
        assert stage.theatre.sent == []
        last = (await stage.decisions())[-1]
        assert last.verdict == "hold"
        assert (
            "it is silenced in default by b3dd, as it said at 2026-03-02T09:00Z; it does not answer any more"
            in last.reason
        )
        assert [each.fingerprint for each in stage.on.silences.listed()] == [silenced("Down", "web")["fingerprint"]], (
            "what waits for nobody here is forgotten"
        )
        await stage.fire("Down", "web")
        await stage.ended()
        assert stage.theatre.sent, "the source's own word counts"

    play(scene, stage)


def test_an_answer_goes_with_the_address_that_was_asked() -> None:
    stage, there = staged()

    async def scene(stage: Stage) -> None:
        stage.on.silences.ask = there
        there.answer = [silenced("Down", "web")]
        await stage.until(lambda: stage.on.world.suppressed)
        assert await stage.store.count("answer") == 1
        stage.files["watchkeeper.yaml"] = SETTINGS.encode()
        await stage.on.activated(compiled(stage.files))
        await stage.passes(10)
        assert await stage.store.count("answer") == 0
        assert not stage.on.world.suppressed

    play(scene, stage)


def test_an_answer_is_written_while_something_is_suppressed_and_that_nothing_is_now_and_then() -> None:
    stage, there = staged()

    async def scene(stage: Stage) -> None:
        stage.on.silences.ask = there
        there.answer = []
        await stage.passes(60)
        assert await stage.store.count("answer") == 0, "nothing is suppressed: there is nothing to keep"
        there.answer = [silenced("Down", "web")]
        await stage.until(lambda: stage.on.world.suppressed)
        await stage.passes(60)
        row = await stage.store.get("answer", "default")
        assert 6 <= row.revision <= 8, "with each look: until when it was so decides whose word is the later one"
        there.answer = []
        await stage.passes(60)
        assert (await stage.store.get("answer", "default")).revision == row.revision + 1

    play(scene, stage)
