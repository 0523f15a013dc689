"""A home whose store went on after its backup, and what must hold of it whatever interrupted a restore."""

import asyncio
from pathlib import Path

from watchkeeper import bootstrap
from watchkeeper.adapters.sqlite import SqliteStore, archive, swap
from watchkeeper.ledger.entry import Kind
from watchkeeper.ports import Commit, Committed, Put

BEFORE = {"first", "second"}  # what the backup knows
ALL = {"first", "second", "third"}
KEPT = "kept/checkpoint.txt"


async def _write(node: bootstrap.Node, *words: str) -> None:
    scribe = node.engine.scribe
    for word in words:
        put = Put(kind="note", id=word, body=b'{"id": 1}')
        entry = scribe.entry(Kind.REVIEW, {"note": word}, actor="alice", content={"word": word})
        assert isinstance(
            await node.store.commit(Commit(at=scribe.clock.now(), puts=(put,), entries=(entry,))), Committed
        )
    await node.engine.sequencer.step()
    node.engine.sequencer._keep(node.engine.sequencer.checkpoint)


async def make(home: Path) -> bytes:
    """The home, stopped. The backup's bytes."""
    bootstrap.init(home)
    settings = home / "watchkeeper.yaml"
    settings.write_text(settings.read_text() + f"store: {{checkpoint: {KEPT}}}\n")
    (home / KEPT).parent.mkdir()
    node = await bootstrap.open_node(home)
    await _write(node, "first", "second")
    found = await bootstrap.back_up(node, with_key=False)
    backup = b"".join(found.pieces)
    found.close()
    await _write(node, "third")
    await node.close()
    return backup


async def restore(home: Path, source: Path, at=str) -> bootstrap.Restored:
    return await bootstrap.restore(home, source, by="local:alice", reason="tested", at=at)


async def words_of(store: SqliteStore) -> set[str]:
    return {row.id for row in (await store.find("note", limit=100)).items}


async def start(home: Path) -> tuple[set[str], int, str]:
    """As `wk up` opens it: the words it knows, its epoch, and what it says of an interrupted restore."""
    node = await bootstrap.open_node(home)
    assert isinstance(node.store, SqliteStore)
    found = await words_of(node.store), (await node.store.versions()).get("epoch", 0), node.interrupted
    await node.close()
    return found


async def judge(home: Path, checkpoints: dict[str, str], *, decided: bool | None = None) -> int:
    """It starts; it is the old store or the new one, whole; nothing of the old one is lost. Its epoch.

    `checkpoints` are those that the old home had, by their path; `decided`: whether the restore had said that it was done.
    """
    state = home / ".watchkeeper"
    words, epoch, said = await start(home)
    assert (words, epoch > 0) in [(ALL, False), (BEFORE, True)], (words, epoch)
    if decided is not None:
        assert (epoch > 0) >= decided, "it had said that it was done"
    left = [
        path.name
        for path in state.iterdir()
        if path.name in {swap.STAGE, swap.READY} or path.name.startswith("backup-")
    ]
    assert not left, left
    again = (await start(home))[2]
    assert again == "", f"told twice: {again}"
    archive.prove(state / archive.DATABASE)
    if epoch == 0:
        assert not list(state.glob(f"{swap.ASIDE}*")), "nothing was put aside of a store that stands"
        assert said == "" or "before it decided" in said
        for path, text in checkpoints.items():
            assert (home / path).read_text() == text
        return 0
    if said:  # a second restore may have carried on the first, and been interrupted itself
        assert "carried on" in said or "before it decided" in said
    asides = [path for path in sorted(state.glob(f"{swap.ASIDE}*")) if (path / archive.DATABASE).exists()]
    found = []
    for aside in asides:
        store = SqliteStore.open(aside)
        found.append(await words_of(store))
        await store.close()
    assert ALL in found, f"the old store is nowhere: {found}"
    olds = {path.read_text() for path in state.glob(f"{swap.ASIDE}*/checkpoint")}
    assert checkpoints[".watchkeeper/checkpoint"] in olds, "the old checkpoint is lost or torn"
    kept = {path.read_text() for path in (home / KEPT).parent.iterdir() if swap.ASIDE in path.name}
    assert checkpoints[KEPT] in kept, f"the old checkpoint outside is lost or torn: {kept}"
    return epoch


def checkpoints_of(home: Path) -> dict[str, str]:
    return {path: (home / path).read_text() for path in (".watchkeeper/checkpoint", KEPT)}


def made(folder: Path) -> tuple[Path, Path]:
    """A home and its backup, in an empty folder."""
    source = folder / "backup.tar"
    source.write_bytes(asyncio.run(make(folder / "home")))
    return folder / "home", source
