"""Backups and restores of a store."""

import asyncio
import secrets as dice
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

from msgspec import Struct

from watchkeeper import __version__
from watchkeeper.adapters.dice import Dice
from watchkeeper.adapters.sqlite import SqliteStore, archive, backup_file
from watchkeeper.adapters.sqlite import restore as restoring
from watchkeeper.adapters.sqlite.archive import Manifest
from watchkeeper.adapters.sqlite.place import DATABASE
from watchkeeper.adapters.sqlite.restore import Backed, Marked
from watchkeeper.bootstrap.held import Node
from watchkeeper.bootstrap.home import check, state_of
from watchkeeper.bootstrap.record import checkpoints, read_key
from watchkeeper.engine.backup import Archive
from watchkeeper.engine.clock import SystemClock
from watchkeeper.engine.restoring import Lost, Outcome, restored
from watchkeeper.engine.scribe import Scribe
from watchkeeper.engine.sequencer import Sequencer
from watchkeeper.ports import Store

BACKUP: Final = "backup-"


async def back_up(node: Node, *, with_key: bool) -> Archive:
    """A consistent copy of the store beside it, described and ready to be streamed; `Archive.close` takes it away."""
    state = state_of(node.home)
    folder = state / f"{BACKUP}{dice.token_hex(4)}"
    folder.mkdir(mode=0o700)
    try:
        assert isinstance(node.store, SqliteStore)
        await node.store.copy(folder / DATABASE)
        frontier, epoch = await asyncio.to_thread(archive.frontier_of, folder / DATABASE)
        note = node.engine.sequencer.signed(frontier)
        (folder / archive.CHECKPOINT).write_text(note, encoding="utf-8")
        if with_key:
            (folder / archive.KEY).touch(mode=0o600)
            (folder / archive.KEY).write_bytes((state / archive.KEY).read_bytes())
        names = [name for name in archive.PARTS if (folder / name).exists()]
        manifest = archive.Manifest(
            format=archive.FORMAT,
            made_at=node.engine.clock.now(),
            node=node.engine.sequencer.key.name,
            watchkeeper=__version__,
            configuration=node.engine.world.configuration.digest,
            epoch=epoch,
            size=frontier.size,
            root=frontier.root().hex(),
            checkpoint=note,
            files={name: await asyncio.to_thread(archive.part_of, folder / name) for name in names},
        )
    except BaseException:  # also when cancelled: half a backup is none
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Archive(
        name=f"watchkeeper-{manifest.made_at:%Y%m%dT%H%M%SZ}.tar",
        size=frontier.size,
        checkpoint=note,
        pieces=archive.stream(folder, manifest),
        close=lambda: shutil.rmtree(folder, ignore_errors=True),
    )


def check_backup(source: Path, beside: Path) -> Manifest:
    """Unpack a backup beside, look at every byte and entry, and take it away again. Raises Rejected or Untrusted."""
    backup_file.refuse_part(source)
    return backup_file.look(source, beside)


def keep_backup(target: Path, fill: Callable[[BinaryIO], object]) -> Manifest:
    """What `fill` writes, as a backup on this disk: whole, looked at, or not under that name. Raises Unavailable,
    Rejected, Untrusted; OSError.
    """
    return backup_file.write(target, fill)


class Restored(Struct, frozen=True, kw_only=True):
    """`aside` holds the store that was there; None when there was none."""

    outcome: Outcome
    manifest: Manifest
    aside: Path | None


async def restore(
    home: Path, source: Path, *, by: str, reason: str, key: Path | None = None, at: Callable[[str], object] = str
) -> Restored:
    """Put a store back, offline. Raises Unavailable while a node runs; Rejected, Untrusted: nothing was changed."""
    backup_file.refuse_part(source)
    found = check(home).configuration if (home / "watchkeeper.yaml").is_file() else None
    outside = checkpoints(home, found)[1:] if found is not None else ()
    outcomes: list[Outcome] = []

    async def mark(store: Store, backed: Backed) -> Marked:
        scribe = Scribe(store, SystemClock(), Dice())
        lost = Lost(size=backed.lost_size, checkpoint=backed.lost_checkpoint)
        made_at = backed.manifest.made_at
        done = await restored(scribe, by=by, reason=reason, made_at=made_at, lost=lost, epoch_before=backed.epoch)
        outcomes.append(done)
        sequencer = Sequencer(store, backed.origin, backed.seed)
        await sequencer.step()
        stamp = f"{scribe.clock.now():%Y%m%dT%H%M%SZ}-{done.restore[-6:]}"
        return Marked(name=stamp, checkpoint=sequencer.checkpoint, epoch=done.epoch)

    backed, aside = await restoring.restore(
        state_of(home),
        source,
        key=key,
        outside=str(outside[0].absolute()) if outside else "",  # who carries it on may stand in another folder
        read_key=read_key,
        mark=mark,
        at=at,
    )
    return Restored(outcome=outcomes[0], manifest=backed.manifest, aside=aside)
