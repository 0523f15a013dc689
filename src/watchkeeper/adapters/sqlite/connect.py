"""Connections: one that writes, others that only read."""

from contextlib import suppress
from pathlib import Path
from typing import Final

import apsw

from watchkeeper.errors import Rejected, Unavailable, Untrusted, WatchkeeperError

SYNCHRONOUS: Final = "FULL"  # every COMMIT waits for the disk; the power-loss suite shows what less would cost
BUSY_MS: Final = 2_000
CACHE_KIB: Final = 32 * 1024
_SAFE_LIBRARY: Final = (3, 51, 3)


def writing(path: Path, vfs: str | None = None) -> apsw.Connection:
    """Raises Rejected when the file does not give the durability we promise."""
    connection = apsw.Connection(str(path), vfs=vfs)
    connection.set_busy_timeout(BUSY_MS)
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", SYNCHRONOUS)
    connection.pragma("fullfsync", value=True)  # macOS: fsync alone stops at the drive's cache
    connection.pragma("checkpoint_fullfsync", value=True)
    connection.pragma("foreign_keys", value=False)
    connection.pragma("trusted_schema", value=False)
    connection.pragma("temp_store", "memory")
    connection.pragma("cache_size", -CACHE_KIB)
    connection.pragma("journal_size_limit", 64 * 1024 * 1024)
    connection.wal_autocheckpoint(0)  # ours: SQLite's own swallows an error of fsync
    mode = connection.pragma("journal_mode")
    if mode != "wal":
        raise Rejected(f"store {path}: has no write-ahead log ({mode}): give a folder on a local disk")
    return connection


def reading(path: Path, vfs: str | None = None) -> apsw.Connection:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY, vfs=vfs)
    connection.set_busy_timeout(BUSY_MS)
    connection.pragma("query_only", value=True)
    connection.pragma("temp_store", "memory")
    connection.pragma("cache_size", -CACHE_KIB // 4)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    return connection


def shut(connection: apsw.Connection) -> None:
    """Close, and leave the file as it is: what is acknowledged is in the log, and the next start reads it there."""
    with suppress(apsw.Error):
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection.close(force=True)


def remark() -> str:
    """What a person should know of the library; empty when there is nothing.

    Source: sqlite.org/releaselog/3_51_3.html (the WAL-reset bug).
    """
    version = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    if version >= _SAFE_LIBRARY:
        return ""
    return (
        f"SQLite {apsw.sqlite_lib_version()} can damage a database that two connections write (fixed in 3.51.3): "
        "let no other program write it, and install an apsw that bundles a current library"
    )


def translated(broken: apsw.Error, path: Path) -> WatchkeeperError:
    """A library's error, as what the caller does next."""
    match broken:
        case apsw.CorruptError() | apsw.NotADBError():
            return Untrusted(f"store {path}: is damaged ({broken}): stop, keep the file, restore a backup")
        case apsw.FullError():
            return Unavailable(f"store {path}: the disk is full: free some room; nothing was written")
        case _:
            return Unavailable(f"store {path}: {broken}")
