"""Back up a real store that goes on, put it back, and interrupt that at every step: the old or the new, never a mixture."""

import asyncio
import contextlib
import io
import secrets
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import apsw
import pytest
from starlette.requests import ClientDisconnect

from watchkeeper import bootstrap
from watchkeeper.adapters.sqlite import SqliteStore, archive, swap
from watchkeeper.adapters.sqlite import restore as restoring
from watchkeeper.bootstrap import read_key
from watchkeeper.engine.backup import Archive
from watchkeeper.engine.clock import SystemClock
from watchkeeper.engine.scribe import Scribe
from watchkeeper.engine.sequencer import Sequencer
from watchkeeper.errors import Rejected, Unavailable, Untrusted
from watchkeeper.ledger.entry import Kind
from watchkeeper.ledger.entry import read as read_entry
from watchkeeper.ports import Commit, Committed, Put
from watchkeeper.surface.api.store import Streamed

NODE = "watchkeeper/test"
SEED = b"k" * 32
AT = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)


def keyed(state: Path, name: str = NODE) -> None:
    state.mkdir(parents=True, exist_ok=True)
    (state / "ledger.key").write_text(f"{name}\n{SEED.hex()}\n")


async def write(store: SqliteStore, *words: str) -> None:
    scribe = Scribe(store, SystemClock(), secrets.token_bytes)
    for word in words:
        put = Put(kind="note", id=word, body=b'{"id": 1}')
        entry = scribe.entry(Kind.REVIEW, {"note": word}, actor="alice", content={"word": word})
        assert isinstance(await store.commit(Commit(at=AT, puts=(put,), entries=(entry,))), Committed)
    while await store.integrate():
        pass


async def back_up(store: SqliteStore, into: Path, *, key: bool = False, state: Path | None = None) -> Path:
    folder = into.with_name("parts")
    folder.mkdir()
    await store.copy(folder / "watchkeeper.db")
    frontier, epoch = archive.frontier_of(folder / "watchkeeper.db")
    note = Sequencer(store, NODE, SEED).signed(frontier)
    (folder / "checkpoint").write_text(note)
    if key and state:
        (folder / "ledger.key").write_bytes((state / "ledger.key").read_bytes())
    manifest = archive.Manifest(
        format=1,
        made_at=AT,
        node=NODE,
        watchkeeper="test",
        configuration="",
        epoch=epoch,
        size=frontier.size,
        root=frontier.root().hex(),
        checkpoint=note,
        files={path.name: archive.part_of(path) for path in sorted(folder.iterdir())},
    )
    into.write_bytes(b"".join(archive.stream(folder, manifest)))
    return into


async def restore(state: Path, source: Path, at=str, key: Path | None = None, outside: str = ""):
    """As `bootstrap.restore` does it, over a home whose one setting is where else the checkpoint goes."""
    home = state.parent / f"home-{state.name}"
    home.mkdir(exist_ok=True)
    if not (home / ".watchkeeper").exists():
        (home / ".watchkeeper").symlink_to(state, target_is_directory=True)
        state.mkdir(exist_ok=True)
    bootstrap.init(home)
    if outside:
        settings = home / "watchkeeper.yaml"
        settings.write_text(settings.read_text() + f"store: {{checkpoint: {outside}}}\n")
    return await bootstrap.restore(home, source, by="local:alice", reason="tested", key=key, at=at)


async def words(store: SqliteStore) -> set[str]:
    return {row.id for row in (await store.find("note", limit=100)).items}


@pytest.fixture
async def home(tmp_path):
    """A state folder whose store went on after its backup."""
    state = tmp_path / "state"
    keyed(state)
    store = SqliteStore.open(state)
    await write(store, "first", "second")
    source = await back_up(store, tmp_path / "backup.tar")
    await write(store, "third")
    sequencer = Sequencer(store, NODE, SEED)
    await sequencer.step()
    (state / "checkpoint").write_text(sequencer.checkpoint)
    await store.close()
    return state, source


async def test_a_backup_of_a_store_that_goes_on_is_consistent_and_whole(tmp_path):
    keyed(tmp_path / "state")
    store = SqliteStore.open(tmp_path / "state")
    await write(store, "a")
    going_on = asyncio.create_task(write(store, *(f"n{number}" for number in range(200))))
    source = await back_up(store, tmp_path / "backup.tar")
    await going_on
    await store.close()
    folder = tmp_path / "look"
    folder.mkdir()
    found = restoring.check(source, folder)
    proven = archive.prove(folder / "watchkeeper.db")
    assert 1 <= proven.size + proven.pending <= 201
    assert proven.contents == proven.size + proven.pending
    assert found.size == proven.size
    assert "ledger.key" not in found.files
    assert all((path.stat().st_mode & 0o777) == 0o600 for path in folder.iterdir())


async def test_restoring_gives_back_what_was_raises_the_epoch_and_says_what_was_lost(home):
    state, source = home
    done = await restore(state, source)
    assert done.outcome.entries_lost == 1
    assert done.outcome.epoch == 1
    store = SqliteStore.open(state)
    assert await words(store) == {"first", "second"}
    assert (await store.versions())["epoch"] == 1
    entries = [read_entry(row.body) for row in await store.entries(0, 10)]
    assert [each.kind for each in entries] == ["review", "review", "restore"]
    assert entries[-1].actor == "local:alice"
    assert len((await store.find("hold")).items) == 1
    sequencer = Sequencer(store, NODE, SEED)
    await sequencer.step()
    assert (await sequencer.against((state / "checkpoint").read_text())).fault is None
    await store.close()
    assert archive.prove(state / "watchkeeper.db").size == 3
    aside = SqliteStore.open(done.aside)
    assert await words(aside) == {"first", "second", "third"}
    await aside.close()


async def test_a_restore_interrupted_at_every_step_leaves_the_old_or_the_new(home, tmp_path):
    import shutil

    state, source = home
    steps: list[str] = []
    whole = tmp_path / "whole"
    shutil.copytree(state, whole)
    await restore(whole, source, steps.append)
    assert len(steps) > 10
    outcomes = set()
    for number in range(len(steps)):
        again = tmp_path / f"again{number}"
        shutil.copytree(state, again)
        seen = 0

        def stops(_step: str, last: int = number) -> None:
            nonlocal seen
            seen += 1
            if seen > last:
                raise PowerCut

        with pytest.raises(PowerCut):
            await restore(again, source, stops)
        store = SqliteStore.open(again)  # as the next start does
        found = await words(store)
        epoch = (await store.versions()).get("epoch", 0)
        await store.close()
        assert (found, epoch) in [({"first", "second", "third"}, 0), ({"first", "second"}, 1)], steps[number]
        proven = archive.prove(again / "watchkeeper.db")
        assert proven.size == 3
        assert not (again / swap.READY).exists()
        decided = "decide" in steps[:number]
        assert epoch == int(decided), steps[number]
        outcomes.add(epoch)
        shutil.rmtree(again)
    assert outcomes == {0, 1}


class PowerCut(BaseException):
    pass


async def test_an_interrupted_finish_may_be_interrupted_again(home):
    state, source = home
    for last in range(1, 40):
        seen = 0

        def stops(_step: str, most: int = last) -> None:
            nonlocal seen
            seen += 1
            if seen > most:
                raise PowerCut

        try:
            if last == 1:
                await restore(state, source, stops if False else _after_decide())
            else:
                swap.finish(state, stops)
        except PowerCut:
            continue
        break
    store = SqliteStore.open(state)
    assert await words(store) == {"first", "second"}
    await store.close()


def _after_decide():
    decided = False

    def stops(step: str) -> None:
        nonlocal decided
        if decided:
            raise PowerCut
        decided = step == "decide"

    return stops


async def test_nothing_is_restored_over_a_running_node(home):
    state, source = home
    store = SqliteStore.open(state)
    with pytest.raises(Unavailable, match="owns it"):
        await restore(state, source)
    assert await words(store) == {"first", "second", "third"}
    await store.close()


@pytest.mark.parametrize("damage", ["UPDATE tree SET frontier = x'00'", "UPDATE tree SET size = -1"])
async def test_a_store_whose_tree_is_damaged_is_replaced_and_its_epoch_counts(home, damage):
    state, source = home
    await restore(state, source)
    connection = apsw.Connection(str(state / "watchkeeper.db"))
    connection.execute(damage)
    connection.close()
    assert swap.epoch_before(state) == 1
    await restore(state, source)
    store = SqliteStore.open(state)
    assert (await store.versions())["epoch"] == 2
    await store.close()


@pytest.mark.parametrize("where", [0.05, 0.3, 0.6, 0.95])
async def test_an_altered_backup_changes_nothing(home, where):
    state, source = home
    data = bytearray(source.read_bytes())
    data[int(len(data) * where)] ^= 0x40
    source.write_bytes(data)
    with pytest.raises((Untrusted, Rejected)):
        await restore(state, source)
    store = SqliteStore.open(state)
    assert await words(store) == {"first", "second", "third"}
    await store.close()


async def test_a_cut_backup_and_a_file_that_is_none_are_told_apart_from_a_whole_one(home, tmp_path):
    state, source = home
    cut = tmp_path / "cut.tar"
    cut.write_bytes(source.read_bytes()[:200_000])
    with pytest.raises((Untrusted, Rejected)):
        await restore(state, cut)
    other = tmp_path / "other.tar"
    with tarfile.open(other, "w") as tar:
        member = tarfile.TarInfo("../../etc/passwd")
        member.size = 1
        tar.addfile(member, io.BytesIO(b"x"))
    with pytest.raises(Rejected, match="no backup of this program"):
        await restore(state, other)


async def test_a_new_machine_needs_the_key_and_gets_it(home, tmp_path):
    state, source = home
    fresh = tmp_path / "fresh"
    with pytest.raises(Rejected, match="--key FILE"):
        await restore(fresh, source)
    done = await restore(fresh, source, key=state / "ledger.key")
    assert done.aside is None
    assert done.outcome.entries_lost is None
    assert read_key(fresh / "ledger.key") == (SEED, NODE)
    assert ((fresh / "ledger.key").stat().st_mode & 0o777) == 0o600


async def test_a_backup_of_another_node_and_a_strange_key_are_refused(home, tmp_path):
    state, source = home
    other = tmp_path / "other"
    keyed(other, "watchkeeper/other")
    with pytest.raises(Rejected, match="home of its own"):
        await restore(other, source)
    (tmp_path / "forged").mkdir()
    (tmp_path / "forged" / "ledger.key").write_text(f"{NODE}\n{(b'x' * 32).hex()}\n")
    with pytest.raises(Untrusted):
        await restore(tmp_path / "fresh", source, key=tmp_path / "forged" / "ledger.key")
    assert state.exists()


async def test_the_checkpoint_kept_elsewhere_is_told_and_its_old_one_kept(home, tmp_path):
    state, source = home
    outside = tmp_path / "elsewhere" / "checkpoint"
    outside.parent.mkdir()
    outside.write_text((state / "checkpoint").read_text())
    before = outside.read_text()
    await restore(state, source, outside=str(outside))
    assert outside.read_text() == (state / "checkpoint").read_text() != before
    kept = [path for path in outside.parent.iterdir() if "before-restore" in path.name]
    assert [path.read_text() for path in kept] == [before]


async def test_up_refuses_a_store_put_back_by_hand_and_takes_one_that_was_restored(tmp_path):
    home = tmp_path / "home"
    bootstrap.init(home)
    node = await bootstrap.open_node(home)
    await node.engine.start()
    backup = await bootstrap.back_up(node, with_key=False)
    source = tmp_path / "backup.tar"
    source.write_bytes(b"".join(backup.pieces))
    backup.close()
    assert not list((home / ".watchkeeper").glob("backup-*"))
    scribe = node.engine.scribe
    entry = scribe.entry(Kind.REVIEW, {"note": "later"}, actor="alice")
    await scribe.commit(Commit(at=node.engine.clock.now(), entries=(entry,)))
    await node.engine.sequencer.step()
    node.engine.sequencer._keep(node.engine.sequencer.checkpoint)
    await node.close()
    found = bootstrap.check_backup(source, tmp_path)
    assert found.configuration == bootstrap.check(home).configuration.digest
    by_hand = tmp_path / "by_hand"
    by_hand.mkdir()
    archive.unpack(source, by_hand)
    database = home / ".watchkeeper" / "watchkeeper.db"
    database.write_bytes((by_hand / "watchkeeper.db").read_bytes())
    with pytest.raises(Untrusted, match="wk restore FILE"):
        await bootstrap.open_node(home)
    done = await bootstrap.restore(home, source, by="local:alice", reason="tested")
    assert done.outcome.entries_lost == 1
    node = await bootstrap.open_node(home)
    await node.engine.start()
    assert [each.origin for each in node.engine.world.holds.values()] == ["restore"]
    await node.close()


@pytest.mark.parametrize("spec", ["2.3", "2.4"])
async def test_a_backup_that_nobody_waits_for_any_more_is_taken_away(spec):
    """Who asked was killed with the answer half sent: servers say so by a message, or by an error."""
    closed, sent = [], asyncio.Event()
    pieces = (b"x" for _ in range(1_000))
    archive = Archive(name="a.tar", size=1, checkpoint="", pieces=pieces, close=lambda: closed.append(1))

    async def receive():
        await sent.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        if message["type"] == "http.response.body":
            sent.set()
            if spec == "2.4":
                raise OSError("gone")
            await asyncio.Event().wait()

    scope = {"type": "http", "asgi": {"spec_version": spec}, "method": "POST", "path": "/", "headers": []}
    with contextlib.suppress(ClientDisconnect):
        await Streamed(archive)(scope, receive, send)
    assert closed == [1]
    assert next(pieces) == b"x", "it was not sent to the end"
