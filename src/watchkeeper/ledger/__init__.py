"""Any fact to an entry: Merkle tree, checkpoints, proofs, verification, export.

In: facts worth keeping for ever. Out: `Entry`s in an append-only tree, and `Report`s on whether it still holds.
"""
