"""Laws of the store: whatever is asked, in whatever batches, disk and memory answer the same."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from watchkeeper.adapters.memory_store import MemoryStore
from watchkeeper.adapters.sqlite import SqliteStore
from watchkeeper.ledger.entry import Kind, seal
from watchkeeper.ports import KINDS, Append, Claim, Commit, Committed, Drop, Put
from watchkeeper.signals.signal import Delivery

AT = datetime(2026, 3, 1, 23, 0, tzinfo=UTC)

instants = st.integers(0, 120).map(lambda minutes: AT + timedelta(minutes=minutes))
names = st.sampled_from(["a", "b", "c"])
keys = st.sampled_from(["host", "zone"])
numbers = st.integers(0, 2)
bodies = st.binary(max_size=20)


def some(strategy, most=2):
    return st.lists(strategy, max_size=most).map(tuple)


puts = st.builds(
    Put,
    kind=st.sampled_from(["run", "situation"]),
    id=names,
    body=bodies,
    expect=st.none() | numbers,
    keys=st.just({}),
) | st.builds(
    Put,
    kind=st.just("run"),
    id=names,
    body=bodies,
    expect=st.none() | numbers,
    keys=st.dictionaries(st.sampled_from(["state", "target"]), st.sampled_from(["", "x", "y"])),
)
claims = st.builds(
    Claim,
    key=keys,
    run=names,
    limit=st.integers(0, 4),
    units=st.integers(1, 2),
    until_at=st.none() | instants,
)
deliveries = st.builds(
    Delivery,
    id=names,
    source=names,
    format=names,
    received_at=instants,
    headers=st.dictionaries(names, names),
    body=bodies,
    sha256=names,
    priority=st.integers(0, 3),
)


@st.composite
def entries(draw):
    return seal(
        draw(st.sampled_from([Kind.INTENT, Kind.REFUSAL])),
        {draw(keys): draw(names)},
        at=AT,
        actor="automation",
        verdict="",
        content={"n": draw(numbers)},
        salt=bytes(16),
    )


commits = st.builds(
    Commit,
    at=instants,
    expects=some(st.tuples(keys, numbers), 1),
    bumps=some(keys),
    puts=some(puts, 3),
    drops=some(st.builds(Drop, kind=st.just("run"), id=names), 1),
    appends=some(st.builds(Append, run=names, number=numbers, body=bodies), 1),
    claims=some(claims),
    releases=some(names, 1),
    voids=some(names, 1),
    entries=some(entries()),
    accepts=some(deliveries),
    taken=some(names, 1),
)
batches = st.lists(st.lists(commits, min_size=1, max_size=5), min_size=1, max_size=4)


async def everything(store) -> tuple:
    wheres = ({}, {"state": "x"}, {"state": ["", "y"]}, {"state": "y", "target": "x"})
    return (
        [(await store.find("run", where, oldest_first=turn)) for where in wheres for turn in (True, False)],
        [await store.find(kind) for kind in KINDS],
        await store.versions(),
        [await store.journal(name) for name in "abc"],
        [await store.claims(AT + timedelta(minutes=minutes)) for minutes in (0, 30, 60, 119)],
        await store.deliveries(100),
        await store.pending_entries(),
        await store.entries(0, 100),
        [await store.entries_of(key, name) for key in ("host", "zone") for name in "abc"],
        (await store.frontier()).root(),
        await store.entries_on("2026-03-01"),
    )


@given(batches, st.integers(0, 8))
@settings(max_examples=50, deadline=None)
def test_disk_and_memory_answer_the_same_whatever_the_batches(asked, limit) -> None:
    async def scene(folder: str) -> None:
        memory, disk = MemoryStore(), SqliteStore.open(Path(folder) / "state")
        try:
            for batch in asked:
                one = [await memory.commit(commit) for commit in batch]
                gate = threading.Event()
                blocked = disk._writer.job(lambda _, gate=gate: gate.wait(30))  # so that it is one durable write
                waiting = [asyncio.ensure_future(disk.commit(commit)) for commit in batch]
                await asyncio.sleep(0)
                gate.set()
                await blocked
                two = await asyncio.gather(*waiting)
                assert [type(answer) for answer in one] == [type(answer) for answer in two]
                assert [a for a in one if not isinstance(a, Committed)] == [
                    a for a in two if not isinstance(a, Committed)
                ]
                assert one == two
                assert await memory.integrate(limit) == await disk.integrate(limit)
                assert await everything(memory) == await everything(disk)
            before = await everything(memory)
            await disk.close()
            disk = SqliteStore.open(Path(folder) / "state")
            assert await everything(disk) == before
        finally:
            await disk.close()

    with TemporaryDirectory() as folder:
        asyncio.run(scene(folder))


@given(st.lists(st.tuples(claims, instants, some(names, 1)), min_size=1, max_size=25))
@settings(max_examples=100, deadline=None)
def test_claims_never_exceed_the_limit_they_were_taken_under(asked) -> None:
    """At the moment of a commit, what its claim was let in beside did not pass its limit."""
    store = MemoryStore()
    for claim, at, releases in asked:
        answer = store.commit_now(Commit(at=at, claims=(claim,)))
        taken = sum(row.units for row in asyncio.run(store.claims(at, claim.key)))
        if isinstance(answer, Committed):
            assert taken <= claim.limit or (claim.until_at is not None and claim.until_at <= at)
        else:
            assert taken + claim.units > claim.limit
        store.commit_now(Commit(at=at, releases=releases))
