"""An export: the ledger as a folder of files, and its verification without the node that made it.

checkpoint                 the newest signed checkpoint: it fixes the size of everything else
checkpoints/<size>         earlier ones
keys                       public keys, one a line; compare them with those you were given before
tile/<level>/<number>      kept hashes        (C2SP tlog-tiles)
tile/entries/<number>      entry bundles      (C2SP tlog-tiles)
content/<number>           one JSON object a line for each entry of the bundle of that number; absent when left out
README.txt                 how to check all this, with this tool or another

In: readers over stored rows. Out: (relative path, bytes), in an order that can be streamed to a disk or a bucket.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, assert_never

import msgspec
from msgspec import Struct

from watchkeeper.errors import Malformed, Untrusted
from watchkeeper.ledger import checkpoint as checkpoints_of
from watchkeeper.ledger import note
from watchkeeper.ledger.entry import Content, Erased
from watchkeeper.ledger.fault import Fault, Report, Wrong
from watchkeeper.ledger.note import PublicKey
from watchkeeper.ledger.tile import ReadFile, Tile, bundle, kept_in, tiles, tiles_of, unbundle
from watchkeeper.ledger.tree import Kept
from watchkeeper.ledger.verify import Contents, Row, verify_entries
from watchkeeper.values import Instant, canonical

CHECKPOINTS_MAX: Final = 100_000  # earlier checkpoints listed in `checkpoints/index`

ReadRows = Callable[[int, int], Sequence[Row]]
"""`rows(first, count)`: that many stored entries from `first` on, in order."""


class _Line(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of a content file. Either salt (hex) and content, or the erasure that took them."""

    index: int
    salt: str = ""
    content: msgspec.Raw = msgspec.Raw(b"")
    erased: str = ""


_read_line: Final = msgspec.json.Decoder(_Line)


def layout(
    checkpoint: str,
    *,
    keys: Sequence[PublicKey],
    rows: ReadRows,
    kept: Kept,
    contents: Contents,
    earlier: Iterable[str] = (),
) -> Iterator[tuple[str, bytes]]:
    """The files of an export of all entries under `checkpoint`, which is the newest signed text.

    `earlier` are older signed texts, ascending by size. Raises Untrusted when the store lacks a row or a kept hash:
    an export never papers over a hole. Whether everything else is right is for `verify_entries`.
    """
    size = checkpoints_of.verify(checkpoint, keys).size
    yield "README.txt", README.encode()
    yield "keys", "".join(f"{key.text()}\n" for key in keys).encode()
    for tile in tiles_of(0, size):
        found = rows(tile.first, tile.width)
        if [row.index for row in found] != list(range(tile.first, tile.first + tile.width)):
            raise Untrusted(
                f"ledger: entries {tile.first} to {tile.first + tile.width - 1} are not all there: "
                "run 'watchkeeper ledger verify' before an export"
            )
        yield tile.bundle_path(), bundle([row.data for row in found])
        if contents is Contents.SHOWN:
            yield f"content/{tile.number()}", b"".join(_line(row) for row in found)
    for tile in tiles(size):
        row = kept(tile.level, tile.first, tile.width)
        if len(row) != tile.width or not all(row):
            raise Untrusted(f"ledger: kept hashes of {tile.path()} are not all there: run 'watchkeeper ledger verify'")
        yield tile.path(), b"".join(row)
    sizes: list[int] = []
    for text in earlier:
        old = checkpoints_of.read(text).size
        if old < size and old not in sizes[-1:] and len(sizes) < CHECKPOINTS_MAX:
            sizes.append(old)
            yield f"checkpoints/{old}", text.encode()
    yield "checkpoints/index", "".join(f"{old}\n" for old in sizes).encode()
    yield "checkpoint", checkpoint.encode()  # last: a folder without it is an export that was not finished


def verify_export(
    read: ReadFile, *, now: Instant, keys: Sequence[PublicKey] = (), origin: str = "", against: Sequence[str] = ()
) -> Report:
    """Verify the files of an export; nothing else is needed.

    Without `keys` the ones in the export are believed, and the report says so: whoever can alter an export can also
    sign it anew. Raises Malformed when there is no readable checkpoint, Untrusted when no trusted key signed it.
    """
    remarks: tuple[str, ...] = ()
    if not keys:
        keys = _keys(read)
        remarks = (
            "the checkpoint was checked with the key in the export itself: compare it with one you got elsewhere: "
            + ", ".join(key.text() for key in keys),
        )
    raw = read("checkpoint")
    if raw is None:
        raise Malformed(
            "checkpoint", "the export has no file of that name: it was not finished, or this is not its folder"
        )
    newest = _text(raw)
    size = checkpoints_of.verify(newest, keys, origin).size
    first = Tile(0, 0, min(size, 256))
    contents = Contents.SHOWN if size and read(f"content/{first.number()}") is not None else Contents.LEFT_OUT
    return verify_entries(
        _rows(read, size, contents),
        size=size,
        root=None,
        kept=kept_in(read, size),
        checkpoints=_checkpoints(read, newest),
        keys=keys,
        now=now,
        origin=origin,
        against=against,
        contents=contents,
        remarks=remarks,
    )


def _line(row: Row) -> bytes:
    match row.beside:
        case Content(salt=salt, body=body):
            line = _Line(index=row.index, salt=salt.hex(), content=msgspec.Raw(body))
        case Erased(order=order):
            line = _Line(index=row.index, erased=order)
        case None:
            return b""
        case _:
            assert_never(row.beside)
    return canonical(line) + b"\n"


def _rows(read: ReadFile, size: int, contents: Contents) -> Iterator[Row | Fault]:
    for tile in tiles_of(0, size):
        path = tile.bundle_path()
        raw = read(path)
        if raw is None:
            yield _file(tile, f"{path} is missing: its {tile.width} entries were not exported, or were removed")
            continue
        found, rest = unbundle(raw, tile.width)
        beside: dict[int, Content | Erased] = {}
        if contents is Contents.SHOWN:
            beside, broken = _beside(read, tile)
            if broken is not None:
                yield broken
        for place, data in enumerate(found):
            index = tile.first + place
            yield Row(index=index, data=data, beside=beside.get(index))
        if rest:
            yield _file(tile, f"{path} has {len(rest)} bytes after its last whole entry: it was altered or cut")


def _beside(read: ReadFile, tile: Tile) -> tuple[dict[int, Content | Erased], Fault | None]:
    path = f"content/{tile.number()}"
    found: dict[int, Content | Erased] = {}
    raw = read(path)
    if raw is None:
        return found, _file(tile, f"{path} is missing")
    *lines, rest = raw.split(b"\n")
    if rest:
        return found, _file(tile, f"{path} does not end with a whole line: it was altered or cut")
    next_index = tile.first
    for number, line in enumerate(lines, start=1):
        try:
            read_line = _read_line.decode(line)
            salt = bytes.fromhex(read_line.salt)
        except (msgspec.MsgspecError, ValueError) as broken:
            return found, _file(tile, f"{path}, line {number} cannot be read: {broken}")
        if canonical(msgspec.structs.replace(read_line, salt=salt.hex())) != line:  # e.g. a hex digit in capitals
            return found, _file(tile, f"{path}, line {number} is not written as an export writes it: it was altered")
        if not next_index <= read_line.index < tile.first + tile.width:
            return found, _file(tile, f"{path}, line {number} is for entry {read_line.index}: it does not belong there")
        next_index = read_line.index + 1
        if read_line.erased:
            found[read_line.index] = Erased(order=read_line.erased)
        else:
            found[read_line.index] = Content(salt=salt, body=bytes(read_line.content))
    return found, None


def _checkpoints(read: ReadFile, newest: str) -> Iterator[str]:
    """Ascending by size, as `layout` wrote them. One that is listed and gone reads as an empty text, and is a fault."""
    for line in _text(read("checkpoints/index") or b"").splitlines()[:CHECKPOINTS_MAX]:
        yield _text(read(f"checkpoints/{line}") or b"") if line.isdigit() else line
    yield newest


def _keys(read: ReadFile) -> tuple[PublicKey, ...]:
    raw = read("keys")
    if raw is None:
        raise Malformed("keys", "the export has no file of that name: give the public key to verify with")
    return tuple(note.read_key(line) for line in _text(raw).splitlines() if line)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")  # a replaced byte fails the signature, in words a person can read


def _file(tile: Tile, sentence: str) -> Fault:
    return Fault(what=Wrong.EXPORT, first=tile.first, last=tile.first + tile.width - 1, sentence=sentence)


README: Final = """\
This folder is an export of a Watchkeeper ledger: what automation did, and what it refused to do.

Check it:            watchkeeper ledger verify --export .
With the key you hold, not the one in `keys`, and a checkpoint from an old notification or ticket:
                     watchkeeper ledger verify --export . --key KEY --against FILE

Without Watchkeeper, with any tool for RFC 6962 trees:
- `checkpoint` and `checkpoints/*` are C2SP signed notes (c2sp.org/signed-note, c2sp.org/tlog-checkpoint): origin, number
  of entries, base64 of the root hash; a blank line; an Ed25519 signature by a key in `keys`.
- `tile/entries/*` hold the entries, `tile/0/*` their leaf hashes, `tile/1/*` and up the hashes over 256 of the level below
  (c2sp.org/tlog-tiles). A bundle is a sequence of entries, each after its length in two bytes, big-endian.
- leaf hash = SHA-256(0x00 || entry), node hash = SHA-256(0x01 || left || right). The root over all leaf hashes must be
  the one in `checkpoint`.
- An entry is canonical JSON (RFC 8785). Its `digest` is the hex of SHA-256(salt || content), with the salt (hex) and the
  bytes of `content` exactly as they stand in `content/*`, one line for each entry.
- A line with `erased` names the erasure that took its content. The entry of kind `erase` with that id lists, in its own
  content, which entries it speaks of. Without such an order a missing content is a fault.
"""
