"""The tree against published vectors, an independent implementation, and every small size there is."""

import hashlib

import pymerkle
import pytest

from watchkeeper.errors import Untrusted
from watchkeeper.ledger import tree
from watchkeeper.ledger.tree import EMPTY_ROOT, Frontier, KeptHash

SIZE_ALL = 70

# Source: the test vectors of Certificate Transparency for RFC 6962 trees.
INPUTS = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def grown(datas):
    frontier, rows = tree.grow(Frontier(), [tree.leaf_hash(data) for data in datas])
    table = {(row.level, row.index): row.hash for row in rows}
    return frontier, lambda level, first, count: [table.get((level, at), b"") for at in range(first, first + count)]


def datas(size):
    return [f"entry {number}".encode() for number in range(size)]


def test_known_roots():
    frontier = Frontier()
    assert frontier.root() == EMPTY_ROOT == hashlib.sha256(b"").digest()
    for data, root in zip(INPUTS, ROOTS, strict=True):
        frontier = frontier.append(tree.leaf_hash(data))
        assert frontier.root().hex() == root


def test_known_proofs():
    _, kept = grown(INPUTS)
    assert [step.hex() for step in tree.inclusion_proof(kept, 5, 8)] == [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]
    assert [step.hex() for step in tree.consistency_proof(kept, 6, 8)] == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


def test_every_inclusion_proof_holds_and_no_other_place_or_size_does():
    for size in range(1, SIZE_ALL + 1):
        frontier, kept = grown(datas(size))
        root = frontier.root()
        for index in range(size):
            proof = tree.inclusion_proof(kept, index, size)
            leaf = kept(0, index, 1)[0]
            assert tree.verify_inclusion(leaf, index, size, proof, root)
            assert not tree.verify_inclusion(tree.leaf_hash(b"other"), index, size, proof, root)
            assert not tree.verify_inclusion(leaf, index, size, (*proof, root), root)
            assert not proof or not tree.verify_inclusion(leaf, index, size, proof[:-1], root)
            assert not proof or not tree.verify_inclusion(leaf, index ^ 1, size, proof, root)
            assert not tree.verify_inclusion(leaf, index, size, proof, EMPTY_ROOT)
        assert not tree.verify_inclusion(leaf, size, size, (), root)
        assert size == 1 or not tree.verify_inclusion(root, 0, size, (), root)
        assert not tree.verify_inclusion(leaf, -1, size, (), root)


def test_every_consistency_proof_holds_and_none_for_another_root():
    roots = [grown(datas(size))[0].root() for size in range(SIZE_ALL + 1)]
    _, kept = grown(datas(SIZE_ALL))
    for size in range(SIZE_ALL + 1):
        for old in range(size + 1):
            proof = tree.consistency_proof(kept, old, size)
            assert tree.verify_consistency(old, roots[old], size, roots[size], proof)
            assert not tree.verify_consistency(old, tree.leaf_hash(b""), size, roots[size], proof)
            assert not tree.verify_consistency(old, roots[old], size, roots[size], (*proof, roots[old]))
            assert not proof or not tree.verify_consistency(old, roots[old], size, roots[size], proof[:-1])
            assert old == 0 or not tree.verify_consistency(old, roots[old], size, tree.leaf_hash(b""), proof)
    assert not tree.verify_consistency(3, roots[3], 5, roots[5], ())
    assert not tree.verify_consistency(2, roots[2], 1, roots[1], ())
    assert not tree.verify_consistency(0, EMPTY_ROOT, 0, roots[1], ())
    assert not tree.verify_consistency(-1, EMPTY_ROOT, 1, roots[1], ())


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 255, 256, 257, 300])
def test_an_independent_implementation_agrees(size):
    frontier, kept = grown(datas(size))
    other = pymerkle.InmemoryTree.init_from_entries(datas(size), algorithm="sha256")
    root = frontier.root()
    assert other.get_root() == root
    for index in {0, size // 2, size - 1}:
        theirs = other.prove_inclusion(index + 1, size)
        leaf, ours = kept(0, index, 1)[0], tree.inclusion_proof(kept, index, size)
        assert tree.verify_inclusion(leaf, index, size, theirs.path[1:], root)
        mine = pymerkle.InclusionProof("sha256", True, size, index + 1, theirs.rule, [leaf, *ours])
        pymerkle.verify_inclusion(leaf, root, mine, index + 1, size)
    for old in {1, size // 2, size - 1} - {0, size}:
        proof = other.prove_consistency(old, size)
        pymerkle.verify_consistency(tree.root_at(kept, old), root, proof, old, size)
        ours = tree.consistency_proof(kept, old, size)
        assert tree.verify_consistency(old, other.get_root(old), size, other.get_root(), ours)


def test_growing_in_one_go_or_one_by_one_or_after_a_restart_is_the_same():
    leaves = [tree.leaf_hash(data) for data in datas(600)]
    whole, rows = tree.grow(Frontier(), leaves)
    frontier, found = Frontier(), []
    for leaf in leaves:
        frontier, more = tree.grow(tree.unpacked(frontier.size, frontier.packed()), [leaf])
        found.extend(more)
    assert frontier == whole
    assert tuple(found) == rows


def test_kept_hashes_are_the_roots_of_256_and_of_65536():
    leaves = [tree.leaf_hash(b"%d" % number) for number in range(65_536 + 1)]
    _, rows = tree.grow(Frontier(), leaves)
    above = [row for row in rows if row.level]
    assert [(row.level, row.index) for row in above] == [(1, at) for at in range(256)] + [(2, 0)]
    assert above[0] == KeptHash(level=1, index=0, hash=tree.grow(Frontier(), leaves[:256])[0].root())
    assert above[256].hash == tree.grow(Frontier(), leaves[:65_536])[0].root()


def test_roots_and_frontiers_of_the_past():
    _, kept = grown(datas(600))
    for size in (0, 1, 255, 256, 257, 511, 512, 600):
        frontier, _ = grown(datas(size))
        assert tree.root_at(kept, size) == frontier.root()
        assert tree.frontier_at(kept, size) == frontier


def test_a_missing_hash_is_not_papered_over():
    _, kept = grown(datas(300))
    with pytest.raises(
        Untrusted, match=r"kept hashes 300 to 300 of level 0 are not all there: run 'watchkeeper ledger"
    ):
        tree.root_at(kept, 301)
    with pytest.raises(Untrusted):
        tree.root_at(lambda _level, _first, _count: [], 4)


@pytest.mark.parametrize(("size", "packed"), [(1, b""), (3, b"x" * 32), (0, b"x" * 32), (-1, b"")])
def test_a_frontier_that_does_not_fit_its_size_is_refused(size, packed):
    with pytest.raises(Untrusted, match="does not fit a tree of"):
        tree.unpacked(size, packed)


def test_what_is_not_in_the_tree_has_no_proof():
    _, kept = grown(datas(4))
    with pytest.raises(ValueError, match="entry 4 is not in a tree of 4 entries"):
        tree.inclusion_proof(kept, 4, 4)
    with pytest.raises(ValueError, match="a tree of 4 entries has no state of 5"):
        tree.consistency_proof(kept, 5, 4)
