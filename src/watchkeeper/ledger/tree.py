"""The Merkle tree: hashes, the frontier that grows it, proofs and their checks.

Source: RFC 6962 section 2.1 (hashes), RFC 9162 sections 2.1.3 and 2.1.4 (how proofs are checked).

What is stored next to the entries are the *kept hashes*, at levels 0, 1, 2 ...: the hash at (level, index) covers the
entries from `index * 256**level` on, `256**level` of them. Level 0 are the leaf hashes. It is the layout of C2SP
tiles, so an export copies them, and any node of the tree is made of at most 128 kept hashes of one level.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from msgspec import Struct

from watchkeeper.errors import Untrusted

HASH_BYTES: Final = 32
TILE_HEIGHT: Final = 8
TILE_WIDTH: Final = 1 << TILE_HEIGHT
SIZE_MAX: Final = 2**53

EMPTY_ROOT: Final = hashlib.sha256(b"").digest()

Kept = Callable[[int, int, int], Sequence[bytes]]
"""`kept(level, first, count)`: that many kept hashes, in order. Where one is missing it gives `b""`."""


def leaf_hash(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class KeptHash(Struct, frozen=True, kw_only=True):
    """One row to store: see the module."""

    level: int
    index: int
    hash: bytes


class Frontier(Struct, frozen=True):
    """The right edge of a tree: the roots of its complete subtrees, largest first; one for each bit set in `size`.

    All that is needed to append and to know the root; at most 53 hashes.
    """

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    def append(self, leaf: bytes) -> "Frontier":
        return grow(self, (leaf,))[0]

    def root(self) -> bytes:
        return _fold(self.hashes)

    def packed(self) -> bytes:
        """The hashes, one after the other; `unpacked` reads it back."""
        return b"".join(self.hashes)


def unpacked(size: int, packed: bytes) -> Frontier:
    """Raises Untrusted when the number of hashes does not fit the size."""
    if not 0 <= size <= SIZE_MAX or len(packed) != size.bit_count() * HASH_BYTES:
        raise Untrusted(f"ledger: a frontier of {len(packed)} bytes does not fit a tree of {size} entries")
    return Frontier(size, tuple(packed[at : at + HASH_BYTES] for at in range(0, len(packed), HASH_BYTES)))


class Growing:
    """A frontier that changes in place: what `grow` and the verifier use for a million leaves in one pass."""

    __slots__ = ("hashes", "size")

    def __init__(self, start: Frontier) -> None:
        self.size = start.size
        self.hashes = list(start.hashes)

    def append(self, leaf: bytes) -> list[KeptHash]:
        """The kept hashes above level 0 that this leaf completes: none, but once in 256 times."""
        found: list[KeptHash] = []
        bits, height, top, hashes = self.size, 0, leaf, self.hashes
        while bits & 1:
            top = hashlib.sha256(b"\x01" + hashes.pop() + top).digest()
            bits >>= 1
            height += 1
            if height % TILE_HEIGHT == 0:
                found.append(KeptHash(level=height // TILE_HEIGHT, index=self.size >> height, hash=top))
        hashes.append(top)
        self.size += 1
        return found

    def frontier(self) -> Frontier:
        return Frontier(self.size, tuple(self.hashes))

    def root(self) -> bytes:
        return _fold(self.hashes)


def grow(frontier: Frontier, leaves: Iterable[bytes]) -> tuple[Frontier, tuple[KeptHash, ...]]:
    """Append leaf hashes. Gives the new frontier and every kept hash to store, level 0 included.

    Costs two hashes a leaf on average, log2(size) at most.
    """
    growing, found = Growing(frontier), []
    for leaf in leaves:
        found.append(KeptHash(level=0, index=growing.size, hash=leaf))
        found.extend(growing.append(leaf))
    return growing.frontier(), tuple(found)


# -- roots and proofs out of kept hashes ------------------------------------------------------------


def root_at(kept: Kept, size: int) -> bytes:
    """The root the tree had when it held `size` entries. Raises Untrusted when a kept hash is missing."""
    return _span(kept, 0, size) if size else EMPTY_ROOT


def frontier_at(kept: Kept, size: int) -> Frontier:
    """The frontier the tree had at `size`, out of the kept hashes. Raises Untrusted when one is missing."""
    return Frontier(size, tuple(_subtree(kept, start, height) for start, height in _subtrees(0, size)))


def inclusion_proof(kept: Kept, index: int, size: int) -> tuple[bytes, ...]:
    """That entry `index` is in the tree of `size`: the siblings on its way up, lowest first.

    Raises ValueError unless 0 <= index < size, Untrusted when a kept hash is missing.
    """
    if not 0 <= index < size:
        raise ValueError(f"entry {index} is not in a tree of {size} entries")
    found: list[bytes] = []
    first, end = 0, size
    while end - first > 1:
        split = first + _split(end - first)
        if index < split:
            found.append(_span(kept, split, end))
            end = split
        else:
            found.append(_span(kept, first, split))
            first = split
    return tuple(reversed(found))


def consistency_proof(kept: Kept, old_size: int, size: int) -> tuple[bytes, ...]:
    """That the tree of `size` begins with the tree of `old_size`. Empty when either is empty or both are equal.

    Raises ValueError unless 0 <= old_size <= size, Untrusted when a kept hash is missing.
    """
    if not 0 <= old_size <= size:
        raise ValueError(f"a tree of {size} entries has no state of {old_size} entries")
    if old_size in {0, size}:
        return ()
    found: list[bytes] = []
    first, end, whole = 0, size, True  # whole: the old tree is a prefix that its holder knows the root of
    while old_size != end:
        split = first + _split(end - first)
        if old_size <= split:
            found.append(_span(kept, split, end))
            end = split
        else:
            found.append(_span(kept, first, split))
            first, whole = split, False
    if not whole:
        found.append(_span(kept, first, end))
    return tuple(reversed(found))


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Source: RFC 9162 section 2.1.3.2."""
    if not 0 <= index < size:
        return False
    node, last, top = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            top = node_hash(sibling, top)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            top = node_hash(top, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and top == root


def verify_consistency(old_size: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Source: RFC 9162 section 2.1.4.2. The empty tree is a prefix of every tree, with an empty proof."""
    if not 0 <= old_size <= size:
        return False
    if old_size == 0:
        return not proof and old_root == EMPTY_ROOT and (size > 0 or root == EMPTY_ROOT)
    if old_size == size:
        return not proof and old_root == root
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    node, last = old_size - 1, size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old_top = top = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            old_top, top = node_hash(sibling, old_top), node_hash(sibling, top)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            top = node_hash(top, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and old_top == old_root and top == root


def _split(count: int) -> int:
    """The largest power of two below `count` (which is 2 or more)."""
    return 1 << (count - 1).bit_length() - 1


def _span(kept: Kept, first: int, end: int) -> bytes:
    """The root over entries first..end-1, where `first` is a multiple of a power of two not below end - first."""
    return _fold([_subtree(kept, start, height) for start, height in _subtrees(first, end)])


def _subtrees(first: int, end: int) -> Iterator[tuple[int, int]]:
    """The complete subtrees of a span, as (first entry, height), largest first."""
    while first < end:
        height = (end - first).bit_length() - 1
        yield first, height
        first += 1 << height


def _subtree(kept: Kept, first: int, height: int) -> bytes:
    level, rest = divmod(height, TILE_HEIGHT)
    index, count = first >> level * TILE_HEIGHT, 1 << rest
    row = kept(level, index, count)
    if len(row) != count or not all(row):
        raise Untrusted(
            f"ledger: kept hashes {index} to {index + count - 1} of level {level} are not all there: "
            "run 'watchkeeper ledger verify'"
        )
    while len(row) > 1:
        row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
    return row[0]


def _fold(hashes: Sequence[bytes]) -> bytes:
    """Complete subtrees, largest first, to the root over all of them."""
    if not hashes:
        return EMPTY_ROOT
    top = hashes[-1]
    for left in reversed(hashes[:-1]):
        top = node_hash(left, top)
    return top
