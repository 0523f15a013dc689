"""Tiles and entry bundles: the files of a ledger that any reader of transparency logs understands.

Source: C2SP tlog-tiles (https://c2sp.org/tlog-tiles). A tile holds up to 256 kept hashes of one level, a bundle up to
256 entries, each after its length in two bytes, big-endian. Only the last of a level may be *partial*.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from msgspec import Struct

from watchkeeper.errors import Malformed
from watchkeeper.ledger.entry import ENTRY_BYTES_MAX
from watchkeeper.ledger.tree import HASH_BYTES, TILE_HEIGHT, TILE_WIDTH, Kept

LENGTH_BYTES: Final = 2

ReadFile = Callable[[str], bytes | None]
"""`read(path)`: the bytes of a file below the export, None where there is none."""


class Tile(Struct, frozen=True):
    """Hashes `index * 256` to `index * 256 + width - 1` of a level; or the entries of those numbers."""

    level: int
    index: int
    width: int

    @property
    def first(self) -> int:
        return self.index * TILE_WIDTH

    def path(self) -> str:
        return f"tile/{self.level}/{self.number()}"

    def bundle_path(self) -> str:
        return f"tile/entries/{self.number()}"

    def number(self) -> str:
        """`x001/x234/067`, and `.p/17` where it is partial."""
        digits = str(self.index)
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        parts = [digits[at : at + 3] for at in range(0, len(digits), 3)]
        text = "/".join([f"x{part}" for part in parts[:-1]] + parts[-1:])
        return text if self.width == TILE_WIDTH else f"{text}.p/{self.width}"


def tiles(size: int) -> Iterator[Tile]:
    """Every tile of a tree of `size`, level by level. None for the empty tree."""
    level = 0
    while count := size >> TILE_HEIGHT * level:
        yield from tiles_of(level, count)
        level += 1


def tiles_of(level: int, count: int) -> Iterator[Tile]:
    """The tiles over `count` hashes of a level; with level 0, the bundles over `count` entries."""
    for first in range(0, count, TILE_WIDTH):
        yield Tile(level, first // TILE_WIDTH, min(TILE_WIDTH, count - first))


def bundle(entries: Sequence[bytes]) -> bytes:
    """Raises Malformed for an entry that two bytes cannot give the length of."""
    for data in entries:
        if len(data) > ENTRY_BYTES_MAX:
            raise Malformed("entry", f"has {len(data)} bytes, at most {ENTRY_BYTES_MAX} fit a bundle")
    return b"".join(len(data).to_bytes(LENGTH_BYTES) + data for data in entries)


def unbundle(raw: bytes, width: int) -> tuple[list[bytes], bytes]:
    """Up to `width` entries, and the bytes left over. A damaged length spoils what follows it, never what precedes."""
    found: list[bytes] = []
    at = 0
    while len(found) < width and at + LENGTH_BYTES <= len(raw):
        end = at + LENGTH_BYTES + int.from_bytes(raw[at : at + LENGTH_BYTES])
        if end > len(raw):
            break
        found.append(raw[at + LENGTH_BYTES : end])
        at = end
    return found, raw[at:]


def kept_in(read: ReadFile, size: int) -> Kept:
    """The kept hashes of an export of `size` entries. Reads the tiles that are asked for; remembers the last of each level."""
    last: dict[int, tuple[int, bytes]] = {}

    def tile(level: int, index: int) -> bytes:
        held = last.get(level)
        if held is not None and held[0] == index:
            return held[1]
        count = size >> TILE_HEIGHT * level
        width = min(TILE_WIDTH, count - index * TILE_WIDTH)
        raw = (read(Tile(level, index, width).path()) or b"") if width > 0 else b""
        if len(raw) > width * HASH_BYTES:
            raw = b""  # not the file that was written
        last[level] = (index, raw)
        return raw

    def kept(level: int, first: int, count: int) -> list[bytes]:
        found: list[bytes] = []
        for at in range(first, first + count):
            raw = tile(level, at // TILE_WIDTH)
            start = at % TILE_WIDTH * HASH_BYTES
            found.append(raw[start : start + HASH_BYTES] if len(raw) >= start + HASH_BYTES else b"")
        return found

    return kept
