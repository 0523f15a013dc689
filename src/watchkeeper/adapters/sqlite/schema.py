"""The tables: ordered migrations from .sql files, and one table a kind of document, out of KINDS."""

from importlib import resources
from typing import Final

import apsw

from watchkeeper.errors import Rejected
from watchkeeper.ports import KINDS

_VERSIONS: Final = "CREATE TABLE IF NOT EXISTS schema_version (number INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT"


def table(kind: str) -> str:
    return f"doc_{kind}"


def column(key: str) -> str:
    """Prefixed, so that a key may be called like a column of ours or a word of SQL."""
    return f"k_{key}"


def migrations() -> tuple[tuple[int, str, str], ...]:
    """(number, name, SQL), ascending."""
    folder = resources.files("watchkeeper.adapters.sqlite") / "migrations"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return tuple((int(file.name[:4]), file.name, file.read_text()) for file in files)


def migrate(connection: apsw.Connection, path: str) -> None:
    """Bring the tables up to this release, in one transaction. Raises Rejected when they are of a newer one."""
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        connection.execute(_VERSIONS)
        ours = migrations()
        found = connection.execute("SELECT coalesce(max(number), 0) FROM schema_version").get
        if found > ours[-1][0]:
            raise Rejected(
                f"store {path}: was written by a newer release (schema {found}, this one knows {ours[-1][0]}): "
                "start that release"
            )
        for number, name, sql in ours:
            if number > found:
                connection.execute(sql)
                connection.execute("INSERT INTO schema_version VALUES (?, ?)", (number, name))
        for kind, keys in KINDS.items():
            _documents(connection, kind, keys)
    connection.execute("COMMIT")


def _documents(connection: apsw.Connection, kind: str, keys: tuple[str, ...]) -> None:
    """`position` is where the document was first written; it is the row number, so every index ends with it."""
    name = table(kind)
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS {name} (position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, "
        "revision INTEGER NOT NULL, body BLOB NOT NULL) STRICT"
    )
    present = {row[1] for row in connection.execute(f"PRAGMA table_info({name})")}
    for key in keys:
        field = column(key)
        if field not in present:
            connection.execute(f"ALTER TABLE {name} ADD COLUMN {field} TEXT NOT NULL DEFAULT ''")
        # Absent keys are not indexed: most documents lack most keys, and an index entry costs a write.
        connection.execute(f"CREATE INDEX IF NOT EXISTS {name}_{key} ON {name} ({field}) WHERE {field} <> ''")
