"""Any fact to an entry: Merkle tree, checkpoints, proofs."""
