"""What watchers see: what was committed, in order, or that they missed some."""

import asyncio
from datetime import UTC, datetime

from watchkeeper.adapters.memory_store import MemoryStore
from watchkeeper.engine import scribe as module
from watchkeeper.engine.records import Note, put
from watchkeeper.engine.scribe import Change, Scribe, plain
from watchkeeper.ledger.entry import Kind
from watchkeeper.ports import Commit, Put

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class Clock:
    def now(self) -> datetime:
        return START

    def monotonic_ms(self) -> int:
        return 0


def scribe() -> Scribe:
    return Scribe(MemoryStore(), Clock(), lambda size: b"\x01" * size)


def note(number: int) -> Put:
    return put(Note(id=f"nte_{number}", subject="inc_1", at=START, by="alice", text="seen"))


async def write(on: Scribe, *numbers: int) -> None:
    for number in numbers:
        await on.commit(Commit(at=START, puts=(note(number),)))


async def next_of(watching: object) -> Change | None:
    async with asyncio.timeout(1):
        found: Change | None = await anext(watching)  # type: ignore[call-overload]  # any of the generators below
        return found


async def test_a_watcher_sees_what_is_committed_after_it_came() -> None:
    on = scribe()
    await write(on, 1)
    watching = on.watch()
    task = asyncio.create_task(next_of(watching))
    await asyncio.sleep(0)
    await write(on, 2)
    found = await task
    assert found is not None
    assert (found.kind, found.id) == ("note", "nte_2")
    await watching.aclose()
    assert on.watched_by == 0


async def test_one_that_comes_back_sees_what_it_missed_in_order() -> None:
    on = scribe()
    await write(on, 1)
    first = on._changes[-1].number
    await write(on, 2, 3)
    watching = on.watch(first)
    assert [(await next_of(watching)).id for _ in range(2)] == ["nte_2", "nte_3"]
    await watching.aclose()


async def test_one_that_was_away_too_long_is_told_to_read_the_lists_again(monkeypatch: object) -> None:
    on = scribe()
    await write(on, 1)
    first = on._changes[-1].number
    await write(on, 2, 3)
    on._changes.popleft()
    on._changes.popleft()
    watching = on.watch(first)
    assert await next_of(watching) is None
    await watching.aclose()


async def test_a_number_of_an_earlier_process_is_seen_as_old() -> None:
    on = scribe()
    watching = on.watch(5)
    assert await next_of(watching) is None
    await watching.aclose()


async def test_a_watcher_that_does_not_listen_is_let_go_with_a_reset() -> None:
    on = scribe()
    watching = on.watch()
    task = asyncio.create_task(next_of(watching))
    await asyncio.sleep(0)
    await write(on, *range(module.BEHIND_MAX + 2))
    await task
    assert on.watched_by == 0


async def test_nobody_beyond_the_bound_is_taken_in() -> None:
    on = scribe()
    crowd = [on.watch() for _ in range(module.WATCHERS_MAX)]
    tasks = [asyncio.create_task(next_of(each)) for each in crowd]
    await asyncio.sleep(0)
    assert await next_of(on.watch()) is None
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_nobody_watches_is_not_announced() -> None:
    on = scribe()
    await on.commit(Commit(at=START, puts=(Put(kind="file", id="f", body=b"{}", keys={}),)))
    assert not on._changes


def test_what_is_hashed_holds_no_float_and_no_free_actor() -> None:
    assert plain({"share": 0.5, "at": START, "many": (1, None, True)}) == {
        "share": "0.5",
        "at": "2026-03-02T09:00:00Z",
        "many": [1, None, True],
    }
    entry, _ = scribe().entry(Kind.HOLD, {"hold": "hld_1", "none": ""}, actor="al ice\n<x>")
    assert entry.actor == "al_ice__x_"
    assert entry.ids == {"hold": "hld_1"}
