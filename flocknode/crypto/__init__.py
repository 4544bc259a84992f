"""Hashing, Merkle trees, EIP-712, signatures, sealing, ChaCha20 masks."""
