"""The record's own key, and the checkpoints that are kept outside the database."""

import os
import secrets as dice
from pathlib import Path
from typing import Final

from watchkeeper.bootstrap.home import state_of
from watchkeeper.engine.sequencer import Sequencer
from watchkeeper.errors import Rejected, Untrusted
from watchkeeper.home.configuration import Configuration

SEED_BYTES: Final = 32


def checkpoints(home: Path, configuration: Configuration) -> tuple[Path, ...]:
    """Where the newest checkpoint is kept outside the database: in the state folder, and where `store.checkpoint` says."""
    elsewhere = configuration.settings.store.checkpoint
    return (state_of(home) / "checkpoint", *([home / elsewhere] if elsewhere else []))


async def not_behind(sequencer: Sequencer, path: Path) -> None:
    """A store that was put back is noticed by the checkpoint kept outside it: automation must not repeat a night."""
    await sequencer.step()
    try:
        text = path.read_text(encoding="utf-8")  # noqa: ASYNC240  before the loop has anything else to do
    except FileNotFoundError:
        return
    compared = await sequencer.against(text)
    if compared.fault is not None:
        raise Untrusted(
            f"the store does not go with the checkpoint kept in {path}: {compared.fault.sentence}. A backup is "
            f"put back with 'wk restore FILE', which records what was lost; nothing is acted upon until then"
        )


def ledger_key(state: Path, *, begun: bool = False) -> tuple[bytes, str]:
    """The node's own key and the name of its log, made at the first start: whole or not at all. Mode 0600. A log that
    has `begun` never gets a second one: Raises Rejected.
    """
    path = state / "ledger.key"
    try:
        return read_key(path)
    except FileNotFoundError:
        if begun:
            raise Rejected(
                f"{path}: is missing, and the record has begun: put it back from a copy of the home; without it the "
                f"record cannot go on under its name"
            ) from None
        name, raw = f"watchkeeper/{dice.token_hex(4)}", dice.token_bytes(SEED_BYTES)
        beside = path.with_suffix(".new")  # of a start that was killed, when it is there: nothing was signed with it
        number = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(number, "w", encoding="ascii") as file:
            file.write(f"{name}\n{raw.hex()}\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        folder = os.open(state, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return raw, name


def read_key(path: Path) -> tuple[bytes, str]:
    """The seed and the name in a ledger.key. Raises FileNotFoundError, Rejected for anything else."""
    name, _, seed = path.read_text(encoding="ascii", errors="replace").strip().partition("\n")
    try:
        found = bytes.fromhex(seed)
    except ValueError:
        found = b""
    if len(found) != SEED_BYTES or not name:
        raise Rejected(
            f"{path}: holds no key of this program: put it back from a copy of the home; without it the record goes "
            f"on under no signature that anybody knows"
        )
    return found, name
