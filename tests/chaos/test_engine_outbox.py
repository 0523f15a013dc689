"""Telling: how long it waits between tries, when it gives up, and what it drops."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from rig import START
from virtual import run

from watchkeeper.adapters.memory_store import MemoryStore
from watchkeeper.engine.clock import LoopClock
from watchkeeper.engine.outbox import ATTEMPTS_MAX, DELAY_MOST_MS, Outbox, delay_ms, messages
from watchkeeper.engine.records import Message, put, read
from watchkeeper.errors import InDoubt, Rejected, Unavailable, Untrusted
from watchkeeper.ports import Commit, Committed, Refused
from watchkeeper.report.notices import Notice, NoticeKind
from watchkeeper.values import Severity

NOTICE = Notice(
    id="ntc_1",
    at=START,
    kind=NoticeKind.HELD,
    subject="Held",
    text="It waits.",
    severity=Severity.CRITICAL,
    ids={"decision": "dec_1", "alert": "alr_1"},
    delayed=True,
)


class Channel:
    def __init__(self, *answers: Exception | None) -> None:
        self.answers, self.told = list(answers), 0

    async def tell(self, notice: Notice, route: Mapping[str, Any]) -> None:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is not None:
            raise answer
        self.told += 1


@pytest.mark.parametrize(
    ("attempts", "expected_ms"),
    [(0, 1_000), (1, 2_000), (2, 4_000), (11, 2_048_000), (12, DELAY_MOST_MS), (99, DELAY_MOST_MS)],
)
def test_the_delay_doubles_from_a_second_to_an_hour(attempts: int, expected_ms: int) -> None:
    assert delay_ms(attempts) == expected_ms


def test_a_notice_is_one_message_a_route_and_telling_twice_is_telling_once() -> None:
    ways = [("a", "webhook", {"url": "http://x"}), ("b", "email", {})]
    first, second = messages(NOTICE, ways, START), messages(NOTICE, ways, START)
    assert [each.id for each in first] == [each.id for each in second]
    assert len({each.id for each in first}) == 2
    assert first[0].route == {"name": "a", "url": "http://x"}


async def _told(
    channel: Channel, for_s: float, *, after_s: float = 0, act: Any = None, store: MemoryStore | None = None
) -> tuple[Message, Outbox]:
    store, clock = store or MemoryStore(), LoopClock(START)
    outbox = Outbox(store, clock, {"webhook": channel})
    (message,) = messages(NOTICE, [("all", "webhook", {})], START + timedelta(seconds=after_s))
    await store.commit(Commit(at=START, puts=(put(message),)))
    outbox.add(message)
    task = asyncio.create_task(outbox.work())
    if act is not None:
        await asyncio.sleep(after_s / 2)
        act(outbox)
    await asyncio.sleep(for_s)
    task.cancel()
    row = await store.get("message", message.id)
    assert row is not None
    return read(row, Message), outbox


def test_it_is_sent_when_it_is_due_and_not_before() -> None:
    channel = Channel(None)
    early, _ = run(_told(channel, 119, after_s=120))
    assert (early.state, channel.told) == ("pending", 0)
    late, _ = run(_told(channel, 121, after_s=120))
    assert (late.state, channel.told) == ("sent", 1)


def test_a_channel_that_is_away_is_tried_until_it_is_back() -> None:
    channel = Channel(Unavailable("away"), Unavailable("away"), None)
    sent, outbox = run(_told(channel, 10))
    assert (sent.state, sent.attempts, outbox.failing) == ("sent", 3, {})


@pytest.mark.parametrize(
    "odd", [Untrusted("the secrets were altered"), InDoubt("no answer"), RuntimeError("a fault of ours")]
)
def test_whatever_goes_wrong_it_is_tried_again_and_no_route_is_left_alone_for_ever(odd: Exception) -> None:
    channel = Channel(*[odd] * 7, None)
    sent, outbox = run(_told(channel, 900))
    assert (sent.state, channel.told) == ("sent", 1)
    assert outbox.routes.left_alone() == {}


def test_what_was_told_and_could_not_be_written_down_is_told_again() -> None:
    class Full(MemoryStore):
        refuses = 2

        async def commit(self, commit: Commit) -> Committed | Refused:
            if self.refuses and any(b'"sent"' in each.body for each in commit.puts):
                self.refuses -= 1
                raise Unavailable("the disk is full")
            return await super().commit(commit)

    channel = Channel(None)
    sent, _ = run(_told(channel, 60, store=Full()))
    assert (sent.state, channel.told) == ("sent", 3)


def test_after_so_many_tries_it_is_given_up_loudly() -> None:
    channel = Channel(Unavailable("away"))
    lost, outbox = run(_told(channel, 2 * 86_400))
    assert (lost.state, lost.attempts) == ("failed", ATTEMPTS_MAX)
    assert lost.why == f"{ATTEMPTS_MAX} attempts; the last: away"
    assert outbox.failing == {"all": lost.why}


def test_what_can_never_be_sent_is_given_up_at_once() -> None:
    lost, _ = run(_told(Channel(Rejected("410 Gone")), 1))
    assert (lost.state, lost.attempts, lost.why) == ("failed", 1, "410 Gone")


def test_a_channel_that_does_not_exist_is_a_failure_and_not_silence() -> None:
    async def scene() -> Message:
        store, clock = MemoryStore(), LoopClock(START)
        outbox = Outbox(store, clock, {})
        (message,) = messages(NOTICE, [("all", "pigeon", {})], START)
        outbox.add(message)
        task = asyncio.create_task(outbox.work())
        await asyncio.sleep(1)
        task.cancel()
        row = await store.get("message", message.id)
        assert row is not None
        return read(row, Message)

    assert run(scene()).state == "failed"


def test_a_channel_that_hangs_is_no_answer() -> None:
    class Hangs:
        async def tell(self, notice: Notice, route: Mapping[str, Any]) -> None:
            await asyncio.sleep(1_000)

    late, _ = run(_told(Hangs(), 30))  # type: ignore[arg-type]  # another channel
    assert (late.state, late.why) == ("pending", "no answer in 20 s")


@pytest.mark.parametrize("verb", ["drop", "untell"])
def test_what_is_over_before_it_was_told_is_dropped_with_its_reason(verb: str) -> None:
    def act(outbox: Outbox) -> None:
        assert outbox.waits_for() == {"alr_1"}
        if verb == "drop":
            outbox.drop("alr_1", "The alert resolved.")
        else:
            assert outbox.untell("dec_1", "The alert resolved.")
            assert not outbox.untell("dec_2", "The alert resolved.")

    channel = Channel(None)
    gone, _ = run(_told(channel, 121, after_s=120, act=act))
    assert (gone.state, gone.why, channel.told) == ("dropped", "The alert resolved.", 0)


def test_what_is_about_another_alert_is_told() -> None:
    channel = Channel(None)
    sent, _ = run(_told(channel, 121, after_s=120, act=lambda outbox: outbox.drop("alr_2", "over")))
    assert (sent.state, channel.told) == ("sent", 1)


class Hangs:
    """One route hangs until its time-out, the other takes everything."""

    def __init__(self) -> None:
        self.tried: list[float] = []
        self.told = 0

    async def tell(self, notice: Notice, route: Mapping[str, Any]) -> None:
        if route["name"] == "good":
            self.told += 1
            return
        self.tried.append(asyncio.get_running_loop().time())
        await asyncio.sleep(3600)


def test_a_route_that_hangs_is_tried_by_one_message_and_keeps_no_other_route_waiting() -> None:
    async def scene() -> None:
        store, clock, channel = MemoryStore(), LoopClock(START), Hangs()
        outbox = Outbox(store, clock, {"webhook": channel})
        for number in range(40):
            notice = msgspec.structs.replace(NOTICE, id=f"ntc_{number}", delayed=False)
            (message,) = messages(notice, [("bad", "webhook", {})], START)
            outbox.add(message)
        task = asyncio.create_task(outbox.work())
        await asyncio.sleep(25)
        assert list(outbox.routes.left_alone()) == ["bad"]
        (news,) = messages(msgspec.structs.replace(NOTICE, id="ntc_news"), [("good", "webhook", {})], clock.now())
        outbox.add(news)
        await asyncio.sleep(1)
        assert channel.told == 1, "no sender hangs on the other route"
        before = len(channel.tried)
        await asyncio.sleep(30)
        assert len(channel.tried) == before + 1, "one message tries, however many wait"
        task.cancel()

    run(scene())


def test_a_route_that_takes_messages_again_takes_all_that_waited() -> None:
    async def scene() -> None:
        store, clock = MemoryStore(), LoopClock(START)
        channel = Channel(*[Unavailable("down")] * 12, None)
        outbox = Outbox(store, clock, {"webhook": channel})
        for number in range(20):
            (message,) = messages(
                msgspec.structs.replace(NOTICE, id=f"ntc_{number}", delayed=False), [("all", "webhook", {})], START
            )
            outbox.add(message)
        task = asyncio.create_task(outbox.work())
        await asyncio.sleep(900)
        assert channel.told == 20
        assert outbox.routes.left_alone() == {}
        task.cancel()

    run(scene())
