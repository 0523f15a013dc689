"""A backup: one tar file with a consistent copy of the store, the checkpoint that goes with it, and what it holds in words.

What is in it is deliberate. The database holds everything durable, with every configuration that was ever applied. The
key that signs the ledger is in it only when it was asked for, because whoever has it can sign another record; secrets
never are. Nothing is believed when it is read back: lengths, hashes, the database's own check, and the whole ledger.
"""

import hashlib
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct

from watchkeeper.adapters.sqlite.contents import opened
from watchkeeper.adapters.sqlite.place import DATABASE
from watchkeeper.errors import Rejected, Untrusted
from watchkeeper.ledger.entry import read as read_entry
from watchkeeper.ledger.tree import Frontier, Growing, leaf_hash, unpacked
from watchkeeper.values import Instant

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
CHECKPOINT: Final = "checkpoint"
KEY: Final = "ledger.key"
PARTS: Final = (DATABASE, CHECKPOINT, KEY)
MANIFEST_BYTES_MAX: Final = 1024 * 1024
CHUNK_BYTES: Final = 1024 * 1024
_BLOCK: Final = 512


class Part(Struct, frozen=True, kw_only=True):
    bytes: int
    sha256: str


class Manifest(Struct, frozen=True, kw_only=True):
    """`node` names the ledger. `size` and `root` are those of the tree in the copy, which `checkpoint` signs."""

    format: int
    made_at: Instant
    node: str
    watchkeeper: str
    configuration: str
    epoch: int
    size: int
    root: str
    checkpoint: str
    files: dict[str, Part]


class Proven(Struct, frozen=True, kw_only=True):
    """A database whose every entry leads to its root. `contents` were opened and are what the entries commit to."""

    size: int
    root: bytes
    contents: int
    pending: int


def copy(database: Path, into: Path) -> None:
    """A consistent copy of a store that goes on, without the room that was freed in it: what was erased is not in it."""
    into.touch(mode=0o600, exist_ok=False)
    connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        connection.execute("VACUUM INTO ?", (str(into),))
    except apsw.FullError as full:
        raise Rejected(f"{into}: the disk is full: free some room, or back up to another disk") from full
    finally:
        connection.close()


def frontier_of(database: Path) -> tuple[Frontier, int]:
    """The tree of a database, and its epoch."""
    connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        found: Any = connection.execute("SELECT size, frontier FROM tree").fetchall()[0]
        epoch: int = connection.execute("SELECT coalesce((SELECT number FROM version WHERE key = 'epoch'), 0)").get
    finally:
        connection.close()
    return unpacked(*found), epoch


def epoch_of(database: Path) -> int:
    """Of a database whose tree may be damaged. Raises apsw.Error where not even that can be read."""
    connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        found = connection.execute("SELECT number FROM version WHERE key = 'epoch' AND typeof(number) = 'integer'").get
    finally:
        connection.close()
    return int(found or 0)


def part_of(path: Path) -> Part:
    sha256, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            sha256.update(chunk)
            size += len(chunk)
    return Part(bytes=size, sha256=sha256.hexdigest())


def stream(folder: Path, manifest: Manifest) -> Iterator[bytes]:
    """The tar file of a folder that holds what the manifest names, piece by piece."""
    body = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    yield _head(MANIFEST, len(body), manifest.made_at)
    yield body + _padding(len(body))
    for name, part in manifest.files.items():
        yield _head(name, part.bytes, manifest.made_at)
        with (folder / name).open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
        yield _padding(part.bytes)
    yield bytes(2 * _BLOCK)


def unpack(archive: Path, folder: Path) -> Manifest:
    """Its parts into a folder, mode 0600, each as the manifest says.

    Raises Rejected for what is no backup of ours or of a newer release, Untrusted for one that was cut or altered.
    """
    try:
        with tarfile.open(archive, "r:") as tar:
            return _unpack(archive, tar, folder)
    except (tarfile.TarError, EOFError, OSError) as broken:
        raise Rejected(f"{archive}: cannot be read as a backup: {broken}") from broken


def _unpack(archive: Path, tar: tarfile.TarFile, folder: Path) -> Manifest:
    manifest: Manifest | None = None
    written: set[str] = set()
    for member in tar:
        file = tar.extractfile(member) if member.isreg() else None
        if file is None:
            raise Rejected(f"{archive}: holds {member.name!r}, which is no file: it is no backup of this program")
        if manifest is None:
            manifest = _manifest(archive, member, file)
            continue
        part = manifest.files.get(member.name)
        if part is None or member.name not in PARTS or member.name in written:
            raise Untrusted(f"{archive}: holds {member.name!r}, which its manifest does not name")
        if _kept(file, folder / member.name, part.bytes) != part:
            raise Untrusted(f"{archive}: {member.name} is not what the manifest says: it was cut or altered")
        written.add(member.name)
    if manifest is None or set(manifest.files) - written:
        missing = sorted(set(manifest.files) - written) if manifest is not None else [MANIFEST]
        raise Untrusted(f"{archive}: {missing[0]} is missing: it was cut short")
    if DATABASE not in written:
        raise Rejected(f"{archive}: holds no {DATABASE}: it is no backup of a store")
    return manifest


def _manifest(archive: Path, member: tarfile.TarInfo, file: Any) -> Manifest:
    if member.name != MANIFEST or member.size > MANIFEST_BYTES_MAX:
        raise Rejected(f"{archive}: does not begin with {MANIFEST}: it is no backup of this program")
    body = file.read(MANIFEST_BYTES_MAX)
    try:
        found = msgspec.json.decode(body, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as broken:
        raise Rejected(f"{archive}: {MANIFEST}: {broken}") from broken
    if found.format != FORMAT:
        raise Rejected(
            f"{archive}: is of format {found.format}, this release reads {FORMAT}: restore it with that release"
        )
    return found


def _kept(file: Any, path: Path, most: int) -> Part:
    """Write at most one byte more than there should be."""
    sha256, size = hashlib.sha256(), 0
    path.touch(mode=0o600, exist_ok=False)
    with path.open("wb") as out:
        while size <= most and (chunk := file.read(CHUNK_BYTES)):
            sha256.update(chunk)
            size += len(chunk)
            out.write(chunk)
    return Part(bytes=size, sha256=sha256.hexdigest())


def prove(database: Path) -> Proven:
    """Look at every page, every entry, every kept hash and every content. Raises Untrusted with the first fault."""
    connection = apsw.Connection(f"file:{database}?immutable=1", flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
    try:
        return _prove(database, connection)
    except apsw.Error as broken:
        raise Untrusted(f"{database.name}: is damaged ({broken})") from broken
    finally:
        connection.close()


def _prove(database: Path, connection: apsw.Connection) -> Proven:
    said = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(3)")]
    if said != ["ok"]:
        raise Untrusted(f"{database.name}: is damaged ({said[0]})")
    found: Any = connection.execute("SELECT size, frontier FROM tree").fetchall()[0]
    frontier = unpacked(*found)
    growing = Growing(Frontier())
    contents = pending = place = 0
    rows: Any = connection.execute(_ENTRIES)
    keys: dict[bytes, AESGCM] = {}
    for place, (index, body, leaf, sealed, erased, key) in enumerate(rows, start=1):
        if index != place - 1:
            raise Untrusted(f"{database.name}: ledger: entry {place - 1} is missing")
        if sealed is not None:
            opener = keys.get(key) or keys.setdefault(key, AESGCM(key)) if key is not None else None
            if opener is None or opened(opener, sealed, read_entry(body).digest) is None:
                raise Untrusted(f"{database.name}: ledger: the content of entry {index} is not what it commits to")
            contents += 1
        elif not erased:
            raise Untrusted(f"{database.name}: ledger: the content of entry {index} is gone and no order names it")
        if index >= frontier.size:
            pending += 1
        elif leaf != leaf_hash(body):
            raise Untrusted(f"{database.name}: ledger: the bytes of entry {index} are not those that were hashed")
        else:
            growing.append(leaf)
    if place - pending != frontier.size:
        raise Untrusted(f"{database.name}: ledger: has {place - pending} of {frontier.size} entries")
    root = Frontier(growing.size, tuple(growing.hashes)).root()
    if root != frontier.root():
        raise Untrusted(f"{database.name}: ledger: its entries do not lead to its root")
    return Proven(size=frontier.size, root=root, contents=contents, pending=pending)


_ENTRIES: Final = (
    "SELECT e.place, e.body, k.hash, e.sealed, e.erased, d.key FROM entry e "
    "LEFT JOIN kept_hash k ON k.level = 0 AND k.place = e.place LEFT JOIN day_key d ON d.number = e.day_key "
    "ORDER BY e.place"
)


def _head(name: str, size: int, at: Instant) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = size, 0o600, int(at.timestamp())
    return member.tobuf(tarfile.USTAR_FORMAT if size < 8 * 1024**3 else tarfile.GNU_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % _BLOCK)
