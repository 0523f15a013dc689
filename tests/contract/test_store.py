"""One suite for every store: what a commit promises, whoever keeps it."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import apsw
import pytest

from watchkeeper.adapters import listing
from watchkeeper.adapters.memory_store import MemoryStore, Moment
from watchkeeper.adapters.sqlite import SqliteStore, connect, place, readers, reads, schema
from watchkeeper.errors import Malformed, Rejected, Unavailable, Untrusted
from watchkeeper.ledger.entry import Content, Entry, Erased, Kind, erasure, seal
from watchkeeper.ledger.tree import leaf_hash, root_at
from watchkeeper.ledger.verify import Row as LedgerRow
from watchkeeper.ledger.verify import verify_entries
from watchkeeper.ports import (
    DOCUMENT_BYTES_MAX,
    KINDS,
    LIST_LIMIT_MAX,
    Append,
    Claim,
    Commit,
    Committed,
    Drop,
    Forget,
    Put,
    Refused,
    Store,
)
from watchkeeper.signals.signal import Delivery
from watchkeeper.values import id_new

AT = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Kept:
    """A store and how to find it again after its process ended."""

    def __init__(self, store, again) -> None:
        self.store = store
        self._again = again

    async def reopen(self):
        self.store = await self._again(self.store)
        return self.store


@pytest.fixture(params=["memory", "sqlite"])
async def kept(request, tmp_path) -> AsyncIterator[Kept]:
    if request.param == "memory":

        async def again(store):
            return store.reopened()

        found = Kept(MemoryStore(), again)
    else:

        async def again(store):
            await store.close()
            return SqliteStore.open(tmp_path / "state")

        found = Kept(SqliteStore.open(tmp_path / "state"), again)
    yield found
    await found.store.close()


@pytest.fixture
def store(kept) -> Store:
    return kept.store


@pytest.fixture
async def sqlite(tmp_path):
    found = SqliteStore.open(tmp_path / "state")
    yield found
    await found.close()


def commit(**parts) -> Commit:
    return Commit(**{"at": AT, **parts})


def put(identity="run_1", kind="run", body=b"{}", **parts) -> Put:
    return Put(kind=kind, id=identity, body=body, **parts)


def delivery(identity="dlv_1", **parts) -> Delivery:
    whole = {"source": "am", "format": "alertmanager", "received_at": AT, "headers": {}, "body": b"{}", "sha256": "00"}
    return Delivery(**{**whole, "id": identity, **parts})


def sealed(number: int, **ids: str) -> tuple[Entry, Content]:
    ids = ids or {"run": f"run_{number}"}
    return seal(
        Kind.INTENT, ids, at=AT, actor="automation", verdict="act", content={"n": number}, salt=number.to_bytes(16)
    )


async def ok(store: Store, **parts) -> Committed:
    answer = await store.commit(commit(**parts))
    assert isinstance(answer, Committed), answer
    return answer


async def no(store: Store, **parts) -> Refused:
    answer = await store.commit(commit(**parts))
    assert isinstance(answer, Refused), answer
    return answer


async def everything(store: Store) -> tuple:
    """All that can be read: two equal answers mean that nothing was written between them."""
    found = [await store.find(kind, limit=LIST_LIMIT_MAX) for kind in KINDS]
    return (
        found,
        await store.versions(),
        await store.claims(AT),
        await store.deliveries(LIST_LIMIT_MAX),
        await store.pending_entries(),
        await store.tree_size(),
        [await store.journal(f"run_{number}") for number in range(10)],
    )


# -- atomicity -------------------------------------------------------------------------------------

REFUSALS = {
    "version": {"expects": (("stop", 7),)},
    "journal": {"appends": (Append(run="run_1", number=1, body=b"x"),)},
    "journal twice in one": {"appends": tuple(Append(run="run_9", number=1, body=b"x") for _ in "ab")},
    "document": {"puts": (put("run_1", expect=0),)},
    "document gone": {"puts": (put("run_9", expect=3),)},
    "claim": {"claims": (Claim(key="service", run="run_9", limit=1),)},
    "claim in one": {"claims": tuple(Claim(key="zone", run="run_9", limit=1) for _ in "ab")},
}


@pytest.mark.parametrize("why", REFUSALS)
async def test_each_check_refuses_all_of_its_commit_and_says_which(store, why) -> None:
    await ok(
        store,
        puts=(put("run_1"),),
        appends=(Append(run="run_1", number=1, body=b"e"),),
        claims=(Claim(key="service", run="run_1", limit=1),),
    )
    before = await everything(store)
    whole = {
        "bumps": ("freeze",),
        "puts": (put("run_2"),),
        "drops": (Drop(kind="run", id="run_1"),),
        "appends": (Append(run="run_2", number=1, body=b"e"),),
        "claims": (Claim(key="region", run="run_2", limit=5),),
        "releases": ("run_1",),
        "voids": ("run_2",),
        "entries": (sealed(1),),
        "accepts": (delivery(),),
    }
    broken = {name: (*whole.get(name, ()), *more) for name, more in REFUSALS[why].items()}
    refused = await no(store, **{**whole, **broken})
    assert refused.what == why.split()[0]
    assert refused.key
    assert refused.why.count(":") >= 1
    assert await everything(store) == before


async def test_the_checks_come_in_their_order(store) -> None:
    await ok(store, puts=(put(),), appends=(Append(run="run_1", number=1, body=b"e"),))
    wrong = {
        name: parts for what in ("claim", "document", "journal", "version") for name, parts in REFUSALS[what].items()
    }
    await ok(store, claims=(Claim(key="service", run="run_1", limit=1),))
    for what, part in (("version", "expects"), ("journal", "appends"), ("document", "puts"), ("claim", "claims")):
        assert (await no(store, **wrong)).what == what
        del wrong[part]


async def together(store: Store, *commits: Commit) -> list:
    """All in one durable write, where there is such a thing."""
    release = block(store) if isinstance(store, SqliteStore) else None
    waiting = [asyncio.ensure_future(store.commit(one)) for one in commits]
    await asyncio.sleep(0)
    if release:
        release()
    return await asyncio.gather(*waiting)


async def test_a_commit_of_nothing_is_one_all_the_same(store) -> None:
    first, second = await ok(store), await ok(store)
    assert second.position > first.position


async def test_many_at_once_each_stand_and_fall_alone(store) -> None:
    """Ten want the one place, and the version moves on once: one of each wins, the others are told, none hangs."""
    claims = [commit(claims=(Claim(key="db", run=f"run_{n}", limit=1),), puts=(put(f"run_{n}"),)) for n in range(10)]
    answers = await together(store, *claims)
    assert [isinstance(answer, Committed) for answer in answers] == [True] + [False] * 9
    assert await store.count("run") == 1
    moves = [commit(expects=(("config", 0),), bumps=("config",)) for _ in range(10)]
    answers = await together(store, *moves)
    assert sum(isinstance(answer, Committed) for answer in answers) == 1
    assert await store.versions() == {"config": 1}


async def test_commits_at_once_see_each_other_in_order(store) -> None:
    """What one batch writes twice is written as if one after the other."""
    steps = [
        commit(puts=(put(body=b"1", keys={"state": "open"}),)),
        commit(puts=(put(body=b"2", expect=1),)),
        commit(drops=(Drop(kind="run", id="run_1"),)),
        commit(puts=(put(body=b"3", expect=0, keys={"state": "ended"}),), claims=(Claim(key="db", run="r", limit=1),)),
        commit(releases=("r",)),
        commit(puts=(put(body=b"4", expect=1),), claims=(Claim(key="db", run="s", limit=1),)),
    ]
    answers = await together(store, *steps)
    assert all(isinstance(answer, Committed) for answer in answers), answers
    row = await store.get("run", "run_1")
    assert (row.revision, row.body) == (2, b"4")
    assert row.position > answers[2].position
    assert [claim.run for claim in await store.claims(AT)] == ["s"]
    assert (await store.find("run", {"state": "open"})).items == ()


async def test_claims_taken_and_given_back_in_one_write_count_as_if_one_after_the_other(store) -> None:
    await ok(store, claims=(Claim(key="host", run="old", limit=2, units=2), Claim(key="zone", run="old", limit=1)))
    host = [Claim(key="host", run=f"run_{n}", limit=2) for n in range(3)]
    short = Claim(key="attempts", run="run_1", limit=1, until_at=AT + HOUR)
    answers = await together(
        store,
        commit(claims=(host[0],)),
        commit(releases=("old",)),
        commit(releases=("old",), claims=(host[0],)),
        commit(claims=(host[1], short)),
        commit(claims=(host[2],)),
        commit(releases=("run_1",)),
        commit(claims=(host[2],)),
        Commit(at=AT + HOUR - timedelta(microseconds=1), claims=(short,)),
        Commit(at=AT + HOUR, claims=(short,)),
    )
    assert [isinstance(answer, Committed) for answer in answers] == [
        False, True, True, True, False, True, True, False, True,
    ]  # fmt: skip
    assert sorted(claim.run for claim in await store.claims(AT, "host")) == ["run_0", "run_2"]
    assert await store.claims(AT, "zone") == ()


async def test_a_document_dropped_and_written_in_one_write_is_new(store) -> None:
    await ok(store, puts=(put(), put(), put("run_2", keys={"state": "open"})))
    answers = await together(
        store,
        commit(drops=(Drop(kind="run", id="run_1"),)),
        commit(puts=(put(expect=2),)),
        commit(puts=(put(body=b"new", expect=0),)),
        commit(puts=(put(body=b"newer", expect=1),)),
    )
    assert [isinstance(answer, Committed) for answer in answers] == [True, False, True, True]
    assert [(row.id, row.revision) for row in (await store.find("run")).items] == [("run_1", 2), ("run_2", 1)]


async def test_positions_rise_with_the_order_of_commits(store) -> None:
    answers = await asyncio.gather(*(store.commit(commit(puts=(put(f"run_{n}"),))) for n in range(50)))
    positions = [answer.position for answer in answers]
    assert positions == sorted(set(positions))
    rows = (await store.find("run", oldest_first=True)).items
    assert [row.id for row in rows] == [f"run_{n}" for n in range(50)]


async def test_a_cancelled_caller_has_not_undone_its_commit(store) -> None:
    task = asyncio.ensure_future(store.commit(commit(puts=(put(),))))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await ok(store)
    assert await store.get("run", "run_1")


# -- documents -------------------------------------------------------------------------------------


async def test_revisions_count_writes_and_the_place_stays(store) -> None:
    first = await ok(store, puts=(put(body=b"a", expect=0),))
    await ok(store, puts=(put(body=b"b", expect=1),))
    await ok(store, puts=(put(body=b"c"), put(body=b"d")))
    row = await store.get("run", "run_1")
    assert (row.revision, row.body) == (4, b"d")
    assert row.position <= first.position
    assert "revision 4, expected 2" in (await no(store, puts=(put(expect=2),))).why


async def test_dropped_is_gone_and_may_come_again(store) -> None:
    await ok(store, puts=(put(),))
    await ok(store, drops=(Drop(kind="run", id="run_1"), Drop(kind="run", id="never")))
    assert await store.get("run", "run_1") is None
    assert await store.count("run") == 0
    await ok(store, puts=(put(expect=0),))
    assert (await store.get("run", "run_1")).revision == 1


async def test_a_drop_beside_a_put_of_the_same_document_wins(store) -> None:
    await ok(store, puts=(put(),), drops=(Drop(kind="run", id="run_1"),))
    assert await store.get("run", "run_1") is None


async def test_listed_by_keys_alone_together_and_by_absence(store) -> None:
    for number in range(12):
        keys = {"state": ("open", "ended")[number % 2], "target": f"host_{number % 3}"}
        if number % 4 == 0:
            keys["rule"] = "restart"
        await ok(store, puts=(put(f"run_{number:02}", keys=keys),))

    async def ids(where, **how) -> list[int]:
        return [int(row.id[4:]) for row in (await store.find("run", where, **how)).items]

    assert await ids(None) == list(range(11, -1, -1))
    assert await ids({}, oldest_first=True) == list(range(12))
    assert await ids({"state": "open", "target": "host_1"}) == [10, 4]
    assert await ids({"target": ["host_0", "host_1"]}, oldest_first=True) == [0, 1, 3, 4, 6, 7, 9, 10]
    assert await ids({"rule": "restart"}) == [8, 4, 0]
    assert await ids({"rule": "", "state": "open"}) == [10, 6, 2]
    assert await ids({"rule": ["", "restart"], "target": "host_0"}) == [9, 6, 3, 0]
    assert await ids({"target": []}) == []
    assert await ids({"state": "Open"}) == []
    assert await store.count("run", {"target": ["host_0", "host_1"]}) == 8
    assert await store.count("run", {"target": ()}) == 0
    await ok(store, puts=(put("run_00", keys={"state": "ended"}),))
    assert await ids({"rule": "restart"}) == [8, 4]
    assert 0 in await ids({"rule": "", "state": "ended"})


async def test_counted_by_several_keys_and_from_a_place_on(store) -> None:
    for number in range(12):
        keys = {"state": ("open", "ended")[number % 2], "target": f"host_{number % 3}"}
        if number % 4 == 0:
            keys["rule"] = "restart"
        await ok(store, puts=(put(f"run_{number:02}", keys=keys),))
    fifth = str((await store.get("run", "run_04")).position)
    every = {"state": "open", "target": ["host_0", "host_1"]}
    assert await store.count("run", every) == len((await store.find("run", every)).items) == 4
    assert await store.count("run", {"state": "open", "rule": ""}) == 3
    assert await store.count("run", {"rule": "", "target": ""}) == 0
    assert await store.count("run", {"state": "open", "target": ()}) == 0
    assert await store.count("run", since=fifth) == 7
    assert await store.count("run", {"state": "open"}, since=fifth) == 3
    assert await store.count("run", {"state": "open", "target": "host_0"}, since=fifth) == 1
    assert await store.count("run", {"state": "open", "rule": ""}, since=fifth) == 2
    assert await store.count("run", {"state": "open"}, since="0") == 6
    with pytest.raises(Malformed):
        await store.count("run", since="x")


@pytest.mark.parametrize("oldest_first", [True, False])
async def test_pages_neither_repeat_nor_skip_while_others_write(store, oldest_first) -> None:
    for number in range(25):
        await ok(store, puts=(put(f"run_{number}", keys={"state": "open"}),))
    seen, cursor, new = [], None, 100
    while True:
        page = await store.find("run", {"state": "open"}, after=cursor, limit=4, oldest_first=oldest_first)
        assert len(page.items) <= 4
        seen += [row.id for row in page.items]
        await ok(store, puts=(put(f"run_{new}", keys={"state": "open"}), put("run_3", keys={"state": "open"})))
        new += 1
        cursor = page.next
        if cursor is None or new > 130:
            break
    older = [identity for identity in seen if int(identity[4:]) < 100]
    assert older == [f"run_{n}" for n in (range(25) if oldest_first else range(24, -1, -1))]
    assert len(seen) == len(set(seen))


async def test_the_last_page_names_no_next(store) -> None:
    await ok(store, puts=tuple(put(f"run_{n}") for n in range(4)))
    assert (await store.find("run", limit=4)).next is None
    first = await store.find("run", limit=2)
    second = await store.find("run", limit=2, after=first.next)
    assert len(second.items) == 2
    assert second.next is None
    assert (await store.find("alert")).items == ()


async def test_a_page_ends_by_bytes_too(store, monkeypatch) -> None:
    monkeypatch.setattr(listing, "PAGE_BYTES_MAX", 250)
    monkeypatch.setattr("watchkeeper.adapters.sqlite.reads.PAGE_BYTES_MAX", 250)
    await ok(store, puts=tuple(put(f"run_{n}", body=b"x" * 100) for n in range(7)))
    seen, cursor, pages = [], None, 0
    while pages == 0 or cursor:
        page = await store.find("run", after=cursor, oldest_first=True)
        seen += [row.id for row in page.items]
        cursor, pages = page.next, pages + 1
    assert seen == [f"run_{n}" for n in range(7)]
    assert pages == 3


async def test_what_cannot_be_listed_is_said(store) -> None:
    with pytest.raises(Malformed, match="is not a cursor: give the 'next' of the page before"):
        await store.find("run", after="12; DROP TABLE doc_run")
    with pytest.raises(Rejected, match=r"run is not listed by 'colour', only by state, status"):
        await store.find("run", {"colour": "red"})
    with pytest.raises(Rejected, match="'runs' is not a kind of document"):
        await store.count("runs")
    with pytest.raises(Rejected, match="a page has 1 to 1000 rows"):
        await store.find("run", limit=LIST_LIMIT_MAX + 1)
    assert (await store.find("run", limit=LIST_LIMIT_MAX)).items == ()


async def test_a_document_of_the_largest_size_is_kept_and_one_more_byte_is_not(store) -> None:
    body = os.urandom(DOCUMENT_BYTES_MAX)
    await ok(store, puts=(put(body=body), put("run_empty", body=b"")))
    assert (await store.get("run", "run_1")).body == body
    assert (await store.get("run", "run_empty")).body == b""
    with pytest.raises(Rejected, match=f"has {DOCUMENT_BYTES_MAX + 1} bytes, at most {DOCUMENT_BYTES_MAX} are kept"):
        await store.commit(commit(puts=(put(body=body + b"x"),)))


async def test_empty_bodies_alone_are_empty_bodies(store) -> None:
    await ok(
        store, puts=(put(body=b""),), appends=(Append(run="r", number=1, body=b""),), accepts=(delivery(body=b""),)
    )
    assert (await store.get("run", "run_1")).body == b""
    assert await store.journal("r") == (b"",)
    assert (await store.delivery("dlv_1")).body == b""


async def test_a_commit_too_large_is_to_be_split(store) -> None:
    many = tuple(put(f"run_{n}", body=bytes(DOCUMENT_BYTES_MAX)) for n in range(9))
    with pytest.raises(Rejected, match="written at once: split it"):
        await store.commit(commit(puts=many))
    assert await store.count("run") == 0


@pytest.mark.parametrize(
    "text",
    ["a\0b", "\0", "Grüße 🌍", "\u2028", "'; DROP TABLE doc_run; --", '"\\', "123", "\ufeff", "null", "[1]", "%_"],
)
async def test_any_unicode_text_is_kept_as_it_is(store, text) -> None:
    await ok(
        store,
        bumps=(text,),
        puts=(put(text, keys={"target": text}, body=text.encode()),),
        appends=(Append(run=text, number=0, body=b"\x00\xff"),),
        claims=(Claim(key=text, run=text, limit=1),),
        accepts=(delivery(text, headers={text: text}, name=text, source=text, body=b"\xff\x00"),),
    )
    row = await store.get("run", text)
    assert (row.id, row.body) == (text, text.encode())
    assert [row.id for row in (await store.find("run", {"target": text})).items] == [text]
    assert await store.journal(text) == (b"\x00\xff",)
    assert (await store.claims(AT, text))[0].key == text
    assert await store.versions() == {text: 1}
    assert await store.delivery(text) == delivery(text, headers={text: text}, name=text, source=text, body=b"\xff\x00")
    await ok(store, expects=((text, 1),), puts=(put(text, expect=1),), releases=(text,), taken=(text,))
    assert await store.claims(AT) == ()
    assert await store.deliveries(10) == ()
    assert (await no(store, appends=(Append(run=text, number=0, body=b""),))).what == "journal"
    await ok(store, drops=(Drop(kind="run", id=text),))
    assert await store.count("run") == 0


@pytest.mark.parametrize(
    "parts",
    [
        {"puts": (put("run_\ud800"),)},
        {"puts": (put(keys={"target": "\udfff"}),)},
        {"drops": (Drop(kind="run", id="\ud800"),)},
        {"appends": (Append(run="\ud800", number=1, body=b""),)},
        {"claims": (Claim(key="\ud800", run="r", limit=1),)},
        {"bumps": ("\ud800",)},
        {"accepts": (delivery(headers={"content-type": "\ud800"}),)},
        {
            "entries": (
                (Entry(kind="intent", ids={"run": "\ud800"}, at="", actor="", verdict="", digest=""), sealed(1)[1]),
            )
        },
        {"puts": (put(""),)},
        {"puts": (put("x" * 10_000),)},
        {"puts": (put(kind="runs"),)},
        {"puts": (put(keys={"colour": "red"}),)},
        {"puts": (put(expect=-1),)},
        {"appends": (Append(run="r", number=2**53 + 1, body=b""),)},
        {"claims": (Claim(key="k", run="r", limit=1, units=0),)},
        {"claims": (Claim(key="k", run="r", limit=1, until_at=datetime(2026, 3, 1)),)},  # noqa: DTZ001  the point of it
        {"accepts": (delivery(priority=64),)},
        {"at": datetime(2026, 3, 1)},  # noqa: DTZ001  the point of it
    ],
    ids=str,
)
async def test_what_no_store_keeps_is_rejected_with_a_sentence_and_harms_nobody(store, parts) -> None:
    whole = commit(puts=(put("run_beside"),), **{k: v for k, v in parts.items() if k != "puts"})
    whole = commit(**{"puts": (put("run_beside"),), **parts}) if "puts" in parts else whole
    good, bad = await asyncio.gather(ok(store, puts=(put("run_good"),)), store.commit(whole), return_exceptions=True)
    assert isinstance(good, Committed)
    assert isinstance(bad, Rejected)
    assert ":" in str(bad) or "kind of document" in str(bad)
    assert await store.count("run") == 1


# -- versions, journal, claims ---------------------------------------------------------------------


async def test_versions_start_at_nought_and_rise_by_one(store) -> None:
    assert await store.versions() == {}
    answer = await ok(store, expects=(("stop", 0),), bumps=("stop", "freeze", "stop"))
    assert answer.versions == {"stop": 2, "freeze": 1}
    refused = await no(store, expects=(("freeze", 1), ("stop", 1)))
    assert refused == Refused(what="version", key="stop", why="stop: is at 2, was read at 1: read again, decide afresh")
    assert await store.versions() == {"stop": 2, "freeze": 1}


async def test_one_writer_a_number_and_events_in_order(store) -> None:
    await ok(store, appends=tuple(Append(run="run_1", number=n, body=b"%d" % n) for n in (3, 1, 2)))
    await ok(store, appends=(Append(run="run_2", number=1, body=b"other"),))
    assert await store.journal("run_1") == (b"1", b"2", b"3")
    refused = await no(store, appends=(Append(run="run_1", number=2, body=b"late"),))
    assert (refused.what, refused.key) == ("journal", "run_1/2")
    assert await store.journal("run_9") == ()


async def test_claims_add_up_to_the_limit_and_not_beyond(store) -> None:
    await ok(store, claims=(Claim(key="zone", run="run_1", limit=5, units=3),))
    refused = await no(store, claims=(Claim(key="zone", run="run_2", limit=5, units=3),))
    assert refused.why == "zone: 3 of 5 taken, 3 more would pass the limit"
    await ok(store, claims=(Claim(key="zone", run="run_2", limit=5, units=2),))
    assert (await no(store, claims=(Claim(key="zone", run="run_1", limit=5),))).key == "zone"
    await ok(store, claims=(Claim(key="zone", run="run_1", limit=6),))
    assert (await no(store, claims=(Claim(key="none", run="run_1", limit=0),))).what == "claim"


async def test_several_claims_are_taken_all_or_none(store) -> None:
    await ok(store, claims=(Claim(key="b", run="run_1", limit=1),))
    wanted = tuple(Claim(key=key, run="run_2", limit=1) for key in "abc")
    assert (await no(store, claims=wanted)).key == "b"
    assert [claim.key for claim in await store.claims(AT)] == ["b"]


async def test_a_released_run_gives_back_its_places_but_not_its_attempts(store) -> None:
    window = Claim(key="attempts", run="run_1", limit=1, until_at=AT + HOUR)
    await ok(store, claims=(Claim(key="host", run="run_1", limit=1), window))
    assert (await no(store, claims=(Claim(key="host", run="run_2", limit=1),), releases=("run_1",))).what == "claim"
    await ok(store, releases=("run_1", "run_unknown"))
    await ok(store, claims=(Claim(key="host", run="run_2", limit=1),))
    assert (await no(store, claims=(Claim(key="attempts", run="run_2", limit=1, until_at=AT + HOUR),))).what == "claim"


async def test_a_voided_run_gives_back_its_attempts_too(store) -> None:
    """It ended without an effect, so it was no attempt."""
    window = Claim(key="attempts", run="run_1", limit=1, until_at=AT + HOUR)
    await ok(store, claims=(Claim(key="host", run="run_1", limit=1), window))
    await ok(store, voids=("run_1", "run_unknown"))
    assert await store.claims(AT) == ()
    await ok(store, claims=(Claim(key="attempts", run="run_2", limit=1, until_at=AT + HOUR),))


async def test_voided_released_and_claimed_in_one_write_count_as_if_one_after_the_other(store) -> None:
    window = Claim(key="attempts", run="old", limit=2, units=2, until_at=AT + HOUR)
    await ok(store, claims=(Claim(key="host", run="old", limit=1), window))
    again = Claim(key="attempts", run="new", limit=2, until_at=AT + HOUR)
    host = [Claim(key="host", run=f"run_{n}", limit=1) for n in range(2)]
    answers = await together(
        store,
        commit(claims=(again,)),
        commit(releases=("old",)),
        commit(voids=("old",)),
        commit(claims=(again, host[0])),
        commit(claims=(host[1],)),
        commit(voids=("new",)),
        commit(voids=("run_0",), claims=(Claim(key="attempts", run="last", limit=2, units=2, until_at=AT + HOUR),)),
    )
    assert [isinstance(answer, Committed) for answer in answers] == [False, True, True, True, False, True, True]
    assert [(claim.key, claim.run, claim.units) for claim in await store.claims(AT)] == [("attempts", "last", 2)]


async def test_a_window_ends_at_its_moment(store) -> None:
    def wanted(at: datetime) -> Commit:
        return Commit(at=at, claims=(Claim(key="attempts", run="run_1", limit=1, until_at=at + HOUR),))

    assert isinstance(await store.commit(wanted(AT)), Committed)
    assert isinstance(await store.commit(wanted(AT + HOUR - timedelta(microseconds=1))), Refused)
    assert len(await store.claims(AT + HOUR - timedelta(microseconds=1))) == 1
    assert await store.claims(AT + HOUR) == ()
    assert isinstance(await store.commit(wanted(AT + HOUR)), Committed)


async def test_claims_are_listed_by_the_start_of_their_key(store) -> None:
    await ok(
        store, claims=tuple(Claim(key=key, run="run_1", limit=1) for key in ("host:a", "host:b", "hosts", "Host:c"))
    )
    assert [claim.key for claim in await store.claims(AT, "host:")] == ["host:a", "host:b"]
    assert [claim.key for claim in await store.claims(AT, "host_")] == []
    assert len(await store.claims(AT)) == 4
    assert (await store.claims(AT))[0].until_at is None


async def test_what_is_over_is_pruned_and_what_is_not_stays(store) -> None:
    keys = (("over", AT), ("running", AT + HOUR), ("concurrent", None))
    await ok(store, claims=tuple(Claim(key=key, run="run_1", limit=1, until_at=until) for key, until in keys))
    early = AT - HOUR
    await ok(store, accepts=(delivery("old", received_at=early), delivery("waits", received_at=early), delivery("new")))
    await ok(store, taken=("old", "new"))
    assert await store.prune(AT) == 2
    assert {claim.key for claim in await store.claims(AT - HOUR)} == {"running", "concurrent"}
    assert await store.delivery("old") is None
    assert await store.delivery("waits")
    assert await store.delivery("new")


async def test_what_is_forgotten_goes_with_its_journal_and_leaves_a_tombstone(store) -> None:
    await ok(store, puts=(Put(kind="run", id="run_1", body=b"{}"), Put(kind="run", id="run_2", body=b"{}")))
    await ok(
        store, appends=tuple(Append(run=run, number=n, body=b"long") for run in ("run_1", "run_2") for n in (0, 1))
    )
    await ok(store, accepts=(delivery("dlv_1"), delivery("dlv_2")))
    await ok(store, taken=("dlv_1",))
    stone = Put(kind="tombstone", id="run:2026-03-01", body=b"{}", keys={"kind": "run"})
    gone = Forget(
        commit=Commit(at=AT, drops=(Drop(kind="run", id="run_1"),), puts=(stone,)),
        runs=("run_1",),
        rewrites=(Append(run="run_2", number=1, body=b"-"), Append(run="run_2", number=7, body=b"-")),
        deliveries=("dlv_1", "dlv_2"),
        secure=True,
    )
    assert isinstance(await store.forget(gone), Committed)
    assert await store.get("run", "run_1") is None
    assert await store.journal("run_1") == ()
    assert await store.journal("run_2") == (b"long", b"-")
    assert await store.delivery("dlv_1") is None
    assert await store.delivery("dlv_2") is not None, "it waits to be taken apart"
    assert await store.count("tombstone", {"kind": "run"}) == 1


async def test_what_is_forgotten_goes_whole_or_not_at_all(store) -> None:
    await ok(
        store, puts=(Put(kind="run", id="run_1", body=b"{}"),), appends=(Append(run="run_1", number=0, body=b"x"),)
    )
    again = Put(kind="run", id="run_1", body=b"{}", expect=0)
    refused = await store.forget(Forget(commit=Commit(at=AT, puts=(again,)), runs=("run_1",)))
    assert isinstance(refused, Refused)
    assert await store.journal("run_1") == (b"x",)


async def test_old_deliveries_are_those_taken_apart_oldest_first(store) -> None:
    early = AT - HOUR
    names = ("dlv_1", "dlv_2", "dlv_3")
    await ok(store, accepts=(*(delivery(name, received_at=early) for name in names), delivery("dlv_4")))
    await ok(store, taken=("dlv_3", "dlv_1", "dlv_4"))
    assert [found.id for found in await store.old_deliveries(AT, 10)] == ["dlv_1", "dlv_3"]
    assert [found.id for found in await store.old_deliveries(AT, 1)] == ["dlv_1"]


async def test_every_kind_says_its_rows_bytes_and_age(store) -> None:
    name = id_new("sig", AT, b"0123456789")
    await ok(store, puts=(Put(kind="signal", id=name, body=b"12345"), Put(kind="health", id="web", body=b"1")))
    await ok(store, accepts=(delivery("dlv_1"),), appends=(Append(run="run_1", number=0, body=b"abc"),))
    found = {each.kind: each for each in await store.sizes()}
    assert set(found) == {"signal", "health", "delivery", "journal"}
    assert (found["signal"].rows, found["signal"].bytes, found["signal"].oldest_at) == (1, 5, AT)
    assert found["health"].oldest_at is None
    assert found["delivery"].oldest_at == delivery("dlv_1").received_at
    assert (found["journal"].rows, found["journal"].bytes) == (1, 3)


async def test_room_that_was_freed_counts_as_free(store) -> None:
    before = await store.used_bytes()
    await ok(store, puts=(Put(kind="import", id="big", body=b"x" * 400_000),))
    assert await store.used_bytes() >= before + 390_000
    await store.forget(Forget(commit=Commit(at=AT, drops=(Drop(kind="import", id="big"),))))
    assert await store.used_bytes() < before + 100_000


# -- deliveries ------------------------------------------------------------------------------------


async def test_deliveries_wait_by_priority_then_in_order(store) -> None:
    for number, priority in enumerate([2, 0, 3, 1, 0, 2]):
        await ok(store, accepts=(delivery(f"dlv_{number}", priority=priority),))
    assert [found.id[4:] for found in await store.deliveries(10)] == ["1", "4", "3", "0", "5", "2"]
    assert [found.id[4:] for found in await store.deliveries(2)] == ["1", "4"]
    await ok(store, taken=("dlv_4", "dlv_3", "dlv_unknown"))
    assert [found.id[4:] for found in await store.deliveries(10)] == ["1", "0", "5", "2"]
    assert [found.id[4:] for found in await store.longest_waiting(10)] == ["0", "1", "2", "5"]
    assert [found.id[4:] for found in await store.longest_waiting(2)] == ["0", "1"]
    assert await store.deliveries_waiting() == 4
    assert (await store.delivery("dlv_4")).priority == 0
    assert await store.delivery("dlv_9") is None


async def test_a_delivery_is_kept_whole_and_once(store) -> None:
    found = delivery(
        body=bytes(range(256)),
        headers={"content-type": "application/json", "ce-id": "7"},
        received_at=AT + timedelta(microseconds=1),
        name="grafana",
        priority=1,
    )
    await ok(store, accepts=(found, delivery(body=b"second")))
    await ok(store, accepts=(delivery(body=b"third"),))
    assert await store.deliveries(10) == (found,)


# -- the ledger ------------------------------------------------------------------------------------


async def test_entries_wait_then_stand_in_the_tree_in_commit_order(store) -> None:
    later = AT + timedelta(seconds=1)
    await ok(store, entries=(sealed(1), sealed(2)))
    await store.commit(Commit(at=later, entries=(sealed(3),)))
    waiting = await store.pending_entries()
    assert [at for at, _ in waiting] == [AT, AT, later]
    assert (await store.tree_size(), await store.entries(0, 10)) == (0, ())
    assert await store.integrate(2) == 2
    assert len(await store.pending_entries()) == 1
    assert await store.integrate() == 1
    assert await store.integrate() == 0
    rows = await store.entries(0, 10)
    assert [row.index for row in rows] == [0, 1, 2]
    assert [row.body for row in rows] == [body for _, body in waiting]
    assert [row.leaf for row in rows] == [leaf_hash(row.body) for row in rows]
    assert [Content(salt=row.salt, body=row.content) for row in rows] == [sealed(n)[1] for n in (1, 2, 3)]
    assert await store.leaf_hashes(1, 5) == tuple(row.leaf for row in rows[1:])
    assert [row.index for row in await store.entries(1, 1)] == [1]
    assert await store.pending_entries() == ()


async def test_the_trail_of_an_id(store) -> None:
    await ok(store, entries=(sealed(1, run="run_1", incident="inc_1"), sealed(2, run="inc_1")))
    await ok(store, entries=(sealed(3, run="run_2", incident="inc_1"),))
    assert await store.entries_of("incident", "inc_1") == ()
    await store.integrate()
    assert [row.index for row in await store.entries_of("incident", "inc_1")] == [0, 2]
    assert [row.index for row in await store.entries_of("run", "run_1")] == [0]
    assert await store.entries_of("run", "run_7") == ()


async def read_tree(store: Store) -> list[LedgerRow]:
    rows = []
    for row in await store.entries(0, 10_000):
        beside = Erased(order=row.order) if row.erased else None
        if row.content is not None:
            beside = Content(salt=row.salt, body=row.content)
        rows.append(LedgerRow(index=row.index, data=row.body, beside=beside))
    return rows


async def verified(store: Store):
    frontier = await store.frontier()
    hashes = {level: await store.kept_hashes(level, 0, 65_536) for level in (0, 1, 2)}
    return verify_entries(
        await read_tree(store),
        size=frontier.size,
        root=frontier.root(),
        kept=lambda level, first, count: hashes[level][first : first + count],
        checkpoints=(),
        keys=(),
        now=AT,
    )


async def test_the_tree_is_kept_with_its_upper_hashes(store) -> None:
    for start in range(0, 600, 50):
        await ok(store, entries=tuple(sealed(n) for n in range(start, start + 50)))
        await store.integrate(70)
    await store.integrate()
    frontier = await store.frontier()
    assert frontier.size == await store.tree_size() == 600
    hashes = {level: await store.kept_hashes(level, 0, 1_000) for level in (0, 1, 2)}
    assert [len(hashes[level]) for level in (0, 1, 2)] == [600, 2, 0]
    assert root_at(lambda level, first, count: hashes[level][first : first + count], 600) == frontier.root()
    assert await store.kept_hashes(0, 500, 3) == hashes[0][500:503]
    assert (await verified(store)).ok


async def order(store: Store, name: str, indexes) -> None:
    await ok(store, entries=(erasure(name, indexes, reason="law", at=AT, actor="local:alice", salt=bytes(16)),))
    await store.integrate()


async def test_content_is_erased_and_the_tree_still_verifies(store) -> None:
    await ok(store, entries=tuple(sealed(n) for n in range(5)))
    await store.integrate()
    await order(store, "era_1", [1, 3])
    assert await store.erase("era_1", [1, 3]) == 2
    assert await store.erase("era_1", [1, 3]) == 0
    rows = await store.entries(0, 10)
    assert [row.erased for row in rows] == [False, True, False, True, False, False]
    assert (rows[1].content, rows[1].salt, rows[1].order) == (None, None, "era_1")
    report = await verified(store)
    assert report.ok, report.lines


async def test_a_whole_day_is_erased_with_its_key_but_never_the_order(kept) -> None:
    store = kept.store
    next_day = AT + timedelta(days=1)
    await ok(store, entries=(sealed(1), sealed(2)))
    await store.commit(Commit(at=next_day, entries=(sealed(3),)))
    assert await store.entries_on("2026-03-01") == ()
    await store.integrate()
    assert await store.entries_on("2026-03-01") == ((0, 1),)
    await order(store, "era_1", [0, 1])
    with pytest.raises(Rejected, match="entry 3 is itself an order of erasure, which is never erased"):
        await store.erase("era_1", [0, 3])
    with pytest.raises(Rejected, match="entry 9 is not in the tree of 4 entries"):
        await store.erase("era_1", [0, 9])
    assert await store.erase("era_1", [0, 1]) == 2
    assert await store.entries_on("2026-03-01") == ()
    await ok(store, entries=(sealed(4),))  # late, for the same day: under a key of its own
    store = await kept.reopen()
    await store.integrate()
    assert (await store.entries(4, 1))[0].content == sealed(4)[1].body
    assert (await store.entries(2, 1))[0].content == sealed(3)[1].body
    assert (await verified(store)).ok


# -- after the end of the process ------------------------------------------------------------------


async def test_all_of_it_is_there_again(kept) -> None:
    store = kept.store
    await ok(
        store,
        bumps=("stop",),
        puts=(put(keys={"state": "open"}), put("dec_1", kind="decision")),
        appends=(Append(run="run_1", number=1, body=b"e"),),
        claims=(Claim(key="host", run="run_1", limit=1), Claim(key="w", run="run_1", limit=1, until_at=AT + HOUR)),
        entries=(sealed(1), sealed(2)),
        accepts=(delivery(), delivery("dlv_2", priority=0)),
    )
    await store.integrate(1)
    last = await ok(store, taken=("dlv_1",), entries=(sealed(3),))
    before = await everything(store), await store.entries(0, 10), await store.frontier()
    store = await kept.reopen()
    assert (await everything(store), await store.entries(0, 10), await store.frontier()) == before
    assert (await ok(store, expects=(("stop", 1),))).position > last.position
    assert await store.integrate() == 2
    assert (await verified(store)).ok


async def test_closed_is_said(kept) -> None:
    await kept.store.close()
    with pytest.raises(Unavailable, match="is closed"):
        await kept.store.commit(commit())
    with pytest.raises(Unavailable, match="is closed"):
        await kept.store.find("run")
    await kept.reopen()


async def test_the_size_grows_with_what_is_kept(store) -> None:
    before = await store.size_bytes()
    await ok(store, puts=(put(body=bytes(100_000)),))
    assert await store.size_bytes() >= before + 100_000


# -- in memory only --------------------------------------------------------------------------------


async def test_a_simulation_stops_the_world_before_and_after_a_commit() -> None:
    class PowerCut(Exception):
        pass

    def cut(at: Moment):
        def between(moment: Moment, _: Commit) -> None:
            if moment is at:
                raise PowerCut

        return between

    for at, there in ((Moment.BEFORE, 0), (Moment.AFTER, 1)):
        store = MemoryStore(cut(at))
        with pytest.raises(PowerCut):
            await store.commit(commit(puts=(put(),)))
        assert await store.reopened().count("run") == there


async def test_a_snapshot_is_a_moment_to_go_back_to_more_than_once() -> None:
    store = MemoryStore()
    await ok(store, puts=(put(),), entries=(sealed(1),), bumps=("stop",))
    before, snapshot = await everything(store), store.snapshot()
    for _ in range(2):
        await ok(
            store,
            puts=(put("run_2"),),
            entries=(sealed(2),),
            bumps=("stop",),
            appends=(Append(run="r", number=1, body=b""),),
        )
        await store.integrate()
        store.restore(snapshot)
        assert await everything(store) == before


# -- on disk only ----------------------------------------------------------------------------------


async def test_one_process_owns_the_folder(sqlite) -> None:
    code = (
        "import sys, pathlib; from watchkeeper.adapters.sqlite import SqliteStore; from watchkeeper.errors import Unavailable\n"
        "try: SqliteStore.open(pathlib.Path(sys.argv[1]))\n"
        "except Unavailable as no: print(no)"
    )
    told = subprocess.run(
        [sys.executable, "-c", code, str(sqlite.path.parent)], capture_output=True, text=True, check=True
    ).stdout
    assert f"process {os.getpid()} owns it and one process may: stop that one, or use another --home" in told
    with pytest.raises(Unavailable, match="owns it"):
        SqliteStore.open(sqlite.path.parent)


async def test_the_folder_and_its_files_are_private(sqlite) -> None:
    assert sqlite.path.parent.stat().st_mode & 0o777 == 0o700
    assert {file.name: oct(file.stat().st_mode & 0o077) for file in sqlite.path.parent.iterdir()} == {
        file.name: "0o0" for file in sqlite.path.parent.iterdir()
    }


def test_a_network_file_system_is_refused(tmp_path, monkeypatch) -> None:
    for number, name in ((0x6969, "NFS"), (0xFF534D42, "CIFS"), (0x65735546, "FUSE")):
        monkeypatch.setattr(place, "magic", lambda _, number=number: number)
        with pytest.raises(Rejected, match=rf"network file system \({name}\).*give a folder on a local disk"):
            SqliteStore.open(tmp_path / "state")
    assert not (tmp_path / "state" / place.DATABASE).exists()


def test_a_local_file_system_tells_its_kind(tmp_path) -> None:
    assert place.magic(tmp_path) != 0
    assert place.magic(tmp_path) not in place._NETWORK


async def test_it_writes_as_it_promises(sqlite) -> None:
    connection = sqlite._writer._connection
    assert connection.pragma("synchronous") == 2
    assert connection.pragma("journal_mode") == "wal"
    assert connection.pragma("wal_autocheckpoint") == 0  # SQLite's own would swallow an error
    assert sqlite.remark == ""
    strict = {row[1]: row[5] for row in connection.execute("PRAGMA table_list") if not row[1].startswith("sqlite_")}
    assert set(strict.values()) == {1}, strict
    assert {f"doc_{kind}" for kind in KINDS} <= set(strict)


def test_an_old_library_is_remarked_on(monkeypatch) -> None:
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.40.1")
    assert "fixed in 3.51.3" in connect.remark()


async def test_a_store_of_a_newer_release_is_refused(sqlite) -> None:
    sqlite._writer._connection.execute("INSERT INTO schema_version VALUES (9000, 'later')")
    await sqlite.close()
    with pytest.raises(Rejected, match=r"was written by a newer release \(schema 9000, this one knows 1\)"):
        SqliteStore.open(sqlite.path.parent)
    with pytest.raises(Rejected):  # and the folder is free again: the same answer, not "owned"
        SqliteStore.open(sqlite.path.parent)


async def test_a_new_kind_and_a_new_key_come_with_the_release(sqlite, monkeypatch) -> None:
    await ok(sqlite, puts=(put(),))
    await sqlite.close()
    monkeypatch.setitem(KINDS, "run", (*KINDS["run"], "colour"))
    monkeypatch.setitem(KINDS, "planet", ("name",))
    schema_cache = __import__("watchkeeper.adapters.sqlite.rows", fromlist=["put_sql"]).put_sql
    schema_cache.cache_clear()
    again = SqliteStore.open(sqlite.path.parent)
    await ok(again, puts=(put("run_2", keys={"colour": "red"}), put("earth", kind="planet", keys={"name": "earth"})))
    assert [row.id for row in (await again.find("run", {"colour": "red"})).items] == ["run_2"]
    assert [row.id for row in (await again.find("run", {"colour": ""})).items] == ["run_1"]
    await again.close()
    monkeypatch.undo()
    schema_cache.cache_clear()


def test_migrations_are_numbered_without_gaps() -> None:
    assert [number for number, _, _ in schema.migrations()] == list(range(1, len(schema.migrations()) + 1))


async def test_a_file_that_is_no_database_is_not_trusted(tmp_path) -> None:
    (tmp_path / place.DATABASE).write_bytes(b"this is not a database, whatever its name says" * 100)
    with pytest.raises(Untrusted, match=r"is damaged .* stop, keep the file, restore a backup"):
        SqliteStore.open(tmp_path)


async def test_the_queue_is_bounded_and_drains(sqlite, monkeypatch) -> None:
    monkeypatch.setattr("watchkeeper.adapters.sqlite.writer.WRITE_QUEUE_MAX", 10)
    release = block(sqlite)
    waiting = [asyncio.ensure_future(sqlite.commit(commit(puts=(put(f"run_{n}"),)))) for n in range(10)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="10 commits wait for the disk: try again in a second"):
        await sqlite.commit(commit())
    release()
    assert all(isinstance(answer, Committed) for answer in await asyncio.gather(*waiting))
    await ok(sqlite)
    assert await sqlite.count("run") == 10


async def test_the_queue_is_bounded_in_bytes_too(sqlite, monkeypatch) -> None:
    monkeypatch.setattr("watchkeeper.adapters.sqlite.writer.QUEUE_BYTES_MAX", 10_000)
    release = block(sqlite)
    waiting = asyncio.ensure_future(sqlite.commit(commit(puts=(put(body=bytes(8_000)),))))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="1 commits wait"):
        await sqlite.commit(commit(puts=(put("run_2", body=bytes(8_000)),)))
    release()
    assert isinstance(await waiting, Committed)
    await ok(sqlite, puts=(put("run_2", body=bytes(8_000)),))


def block(store: SqliteStore) -> Callable[[], None]:
    """Keep the writer busy until called: what is committed meanwhile waits."""
    import threading

    gate = threading.Event()
    store._writer.job(lambda _: gate.wait(30))
    return gate.set


async def test_what_waits_together_is_one_durable_write(sqlite) -> None:
    release = block(sqlite)
    waiting = [asyncio.ensure_future(sqlite.commit(commit(puts=(put(f"run_{n}"),)))) for n in range(200)]
    await asyncio.sleep(0)
    before = sqlite._writer.batches
    release()
    await asyncio.gather(*waiting)
    assert sqlite._writer.batches == before + 1


async def test_one_durable_write_is_bounded_in_bytes(sqlite) -> None:
    release = block(sqlite)
    body = bytes(3_000_000)
    waiting = [asyncio.ensure_future(sqlite.commit(commit(puts=(put(f"run_{n}", body=body),)))) for n in range(5)]
    await asyncio.sleep(0)
    before = sqlite._writer.batches
    release()
    await asyncio.gather(*waiting)
    assert sqlite._writer.batches == before + 3


async def test_listing_by_a_key_reads_its_index(sqlite) -> None:
    plans: list[str] = []

    class Explained:
        def __init__(self, connection: apsw.Connection) -> None:
            self.connection = connection

        def execute(self, sql, bindings):
            plans.extend(row[3] for row in self.connection.execute(f"EXPLAIN QUERY PLAN {sql}", bindings))
            return self.connection.execute(sql, bindings)

    def found(connection: apsw.Connection) -> None:
        asked = Explained(connection)
        reads.find(asked, "run", {"target": "x"}, after=None, limit=10, oldest_first=False)
        reads.find(asked, "run", {"target": ["x", "y"], "state": "open"}, after=5, limit=10, oldest_first=True)

    await sqlite._readers.read(found)
    searches = [plan for plan in plans if "doc_run" in plan]
    assert len(searches) == 2
    assert all("USING INDEX doc_run_" in plan for plan in searches), plans


async def test_close_writes_what_waits_first(sqlite) -> None:
    waiting = [asyncio.ensure_future(sqlite.commit(commit(puts=(put(f"run_{n}"),)))) for n in range(300)]
    await asyncio.sleep(0)
    await sqlite.close()
    assert all(isinstance(answer, Committed) for answer in await asyncio.gather(*waiting))
    again = SqliteStore.open(sqlite.path.parent)
    assert await again.count("run") == 300
    await again.close()


async def test_a_batch_that_one_commit_spoils_is_written_without_it(sqlite) -> None:
    """A fault that only the database sees: each of the others is durable, the one is told, nobody waits for ever."""
    sqlite._writer._connection.execute(
        "CREATE TRIGGER spoil BEFORE INSERT ON doc_run WHEN new.id = 'run_3' BEGIN SELECT RAISE(ABORT, 'spoilt'); END"
    )
    release = block(sqlite)
    waiting = [asyncio.ensure_future(sqlite.commit(commit(puts=(put(f"run_{n}"),)))) for n in range(6)]
    await asyncio.sleep(0)
    release()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert [isinstance(answer, Committed) for answer in answers] == [True, True, True, False, True, True]
    assert isinstance(answers[3], Rejected)
    assert "cannot write this commit: spoilt" in str(answers[3])
    assert await sqlite.count("run") == 5


async def test_another_writer_is_waited_for_then_told_of(sqlite, monkeypatch) -> None:
    sqlite._writer._connection.set_busy_timeout(20)
    other = apsw.Connection(str(sqlite.path))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="locked"):
        await sqlite.commit(commit(puts=(put(),)))
    other.execute("ROLLBACK")
    other.close()
    await ok(sqlite, puts=(put(),))


async def test_a_full_disk_is_said_and_nothing_is_written(sqlite) -> None:
    pages = sqlite._writer._connection.pragma("page_count")
    sqlite._writer._connection.pragma("max_page_count", pages + 2)
    with pytest.raises(Unavailable, match="the disk is full: free some room; nothing was written"):
        await sqlite.commit(commit(puts=(put(body=bytes(100_000)),)))
    sqlite._writer._connection.pragma("max_page_count", 1_000_000)
    await ok(sqlite, puts=(put(expect=0),))


async def test_a_fault_in_the_writer_ends_the_process(tmp_path, monkeypatch) -> None:
    told: list[str] = []
    store = SqliteStore.open(tmp_path / "state", die=told.append)
    monkeypatch.setattr("threading.excepthook", lambda _: None)
    with pytest.raises(Unavailable, match="the writer failed"):
        await store._writer.job(lambda _: 1 // 0)
    await asyncio.to_thread(store._writer._thread.join)
    assert "the writer failed (ZeroDivisionError" in told[0]
    with pytest.raises(Unavailable, match="the writer failed"):
        await store.commit(commit())
    await store.close()


def test_the_end_is_one_sentence_and_exit_code_4() -> None:
    code = "from watchkeeper.adapters.sqlite.writer import die; die('store x: the disk refused a write')"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (4, "store x: the disk refused a write\n")


async def test_the_log_is_brought_into_the_file_again_and_again(sqlite, monkeypatch) -> None:
    monkeypatch.setattr("watchkeeper.adapters.sqlite.writer.CHECKPOINT_PAGES", 20)
    monkeypatch.setattr("watchkeeper.adapters.sqlite.writer.CHECKPOINT_PAGES_MAX", 20)
    log = sqlite.path.with_name(f"{sqlite.path.name}-wal")
    before = log.stat().st_size  # the tables were made in it
    for number in range(60):
        await ok(sqlite, puts=(put(f"run_{number}", body=bytes(20_000)),))
    assert log.stat().st_size <= before + 5 * 20_000
    assert sqlite.path.stat().st_size > 60 * 20_000 / 2


async def test_a_long_read_moves_to_a_thread_and_gives_the_same(sqlite, monkeypatch) -> None:
    await ok(sqlite, puts=tuple(put(f"run_{n}", keys={"state": "open", "target": f"t{n}"}) for n in range(900)))
    hops: list[int] = []
    apart = sqlite._readers.read_apart

    async def counted(what):
        hops.append(1)
        return await apart(what)

    monkeypatch.setattr(sqlite._readers, "read_apart", counted)
    assert await sqlite.count("run", {"target": "t7"}) == 1
    assert not hops
    monkeypatch.setattr(readers, "STEPS_INLINE_MAX", 1)
    assert await sqlite.count("run", {"state": "open"}) == 900
    assert len((await sqlite.find("run", {"state": "open"}, limit=500)).items) == 500
    assert hops


async def test_contents_do_not_lie_open_in_the_file_and_erased_ones_not_at_all(sqlite) -> None:
    entry, content = seal(
        Kind.INTENT, {"run": "run_1"}, at=AT, actor="a", verdict="act", content={"who": "Marie-Curie"}, salt=bytes(16)
    )
    await ok(sqlite, entries=((entry, content), sealed(2)))
    await sqlite.integrate()
    sealed_bytes = sqlite._writer._connection.execute("SELECT sealed FROM entry WHERE place = 0").get
    key = sqlite._writer._connection.execute("SELECT key FROM day_key").get

    def on_disk() -> bytes:
        return b"".join(file.read_bytes() for file in sqlite.path.parent.iterdir() if not file.name.endswith("-shm"))

    assert b"Marie-Curie" not in on_disk()
    assert sealed_bytes in on_disk()
    await order(sqlite, "era_1", [0, 1])
    await sqlite.erase("era_1", [0, 1])
    assert sealed_bytes not in on_disk()
    assert key not in on_disk()


@pytest.mark.parametrize(
    "sql", ["UPDATE entry SET sealed = (SELECT sealed FROM entry WHERE place = 1)", "DELETE FROM day_key"]
)
async def test_a_content_that_was_moved_or_lost_its_key_does_not_open_and_is_no_erasure(sqlite, sql) -> None:
    await ok(sqlite, entries=(sealed(1), sealed(2)))
    await sqlite.integrate()
    await sqlite._writer.job(lambda connection: connection.execute(sql).fetchall())
    row = (await sqlite.entries(0, 1))[0]
    assert (row.content, row.erased) == (None, False)
    assert not (await verified(sqlite)).ok
