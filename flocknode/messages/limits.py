"""Sizes that every decoder checks first. Bytes unless the name says otherwise."""

SEATS_MAX = 21
COLUMNS_MAX = 7
TRAINERS_MAX = 256

INLINE_VECTOR_MAX = 64_000
"""A vector up to here travels with its header; one yamux frame holds 65,524 bytes."""

CAPSULE_MAX = 2048
SEALING_KEY_MAX = 2048
GOSSIP_MESSAGE_MAX = 60_000
"""py-libp2p 0.8.1 interleaves frames of gossip above one yamux frame."""

LINK_MESSAGE_MAX = 96 * 1024
MODEL_WORDS_MAX = 1 << 27
