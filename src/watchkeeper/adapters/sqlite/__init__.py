"""SQLite on the local disk: the default store. One process owns the file, one thread writes it, group-committed."""

from watchkeeper.adapters.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
