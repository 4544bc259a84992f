from dataclasses import replace

import numpy as np
import pytest

from flocknode.crypto.hashing import seed_commitment, sha256
from flocknode.crypto.merkle import TreeKind, tree_root
from flocknode.crypto.sealing import SUITE_X25519, SealingKey, seal
from flocknode.model.errors import NonFiniteError
from flocknode.model.stages import ModelDelta
from flocknode.model.words import ring_words
from flocknode.node.blobs import MemoryBlobs
from flocknode.node.secrets import attempt_name
from flocknode.node.vault import BytesGone, SecretGone, Vault
from flocknode.privacy.masking import sum_masks
from flocknode.protocol.effects import (
    ComputeAggregate,
    MaskDelta,
    OpenCapsule,
    Reseal,
    ServeMaskSum,
    SumMasks,
)
from tests.consortium import consortium, draw

US = consortium()
ROUND, SEAT, INDEX = 3, 4, 2
COLUMN = SEAT % 3
WORDS = US.terms.integers.words
DELTA = ModelDelta(np.linspace(-0.1, 0.1, WORDS))
KEYS = [SealingKey(sha256(b"seat %d" % seat)) for seat in range(9)]


def test_aggregate_of_bytes_that_left_the_store_is_refused():
    root = sha256(b"long gone")
    with pytest.raises(BytesGone):
        Vault(MemoryBlobs()).compute_aggregate(ComputeAggregate(US.seating, (root,), (), 1))


def trainer_vault(**changes):
    vault = Vault(MemoryBlobs(), **changes)
    vault.keep_delta(ROUND, DELTA)
    return vault


def masking(seating=US.seating, absent=(), round_=ROUND):
    keys = tuple((0, b"") if s in absent else (SUITE_X25519, k.public) for s, k in enumerate(KEYS))
    return MaskDelta(seating, INDEX, round_, keys)


def retry():
    """Return the next attempt of the same round."""
    return replace(US.seating, drawn=draw(US.terms, attempt=1))


def seeds_of(made):
    return [KEYS[column].open(made.capsules[column]) for column in range(3)]


def unmasked(made):
    """Return q(x), as whoever held every seed could."""
    words = ring_words(made.vector, WORDS, 16)
    return (words - sum_masks(seeds_of(made), WORDS, 16).words).view(np.int16)


def seat_vault():
    """Return a seat's vault and the public half of its key."""
    vault = Vault(MemoryBlobs())
    return vault, vault.make_sealing_key(US.seating).key


def opening(public, seed=None, **changes):
    """Return the order to open a capsule of ``seed``, by default the committed one."""
    committed = US.seed(INDEX, COLUMN)
    trainer = US.trainers[INDEX].address
    commitment = seed_commitment(US.ctx, trainer, COLUMN, committed)
    capsule = seal(public, seed or committed)
    header = US.valid(INDEX).digest
    return replace(OpenCapsule(US.seating, header, INDEX, SEAT, capsule, commitment), **changes)


def summing():
    return SumMasks(US.seating, sha256(b"set"), (US.valid(INDEX).digest,))


def test_masked_delta_is_the_quantised_one_plus_every_columns_mask():
    made = trainer_vault().mask_delta(masking())
    # k / weight_max * 2^s = 3 / 16 * 2^12 = 768, rounded one way or the other.
    scaled = DELTA.values * 768
    assert np.all(np.abs(unmasked(made) - scaled) <= 1)


def test_vector_is_named_by_its_root_and_served():
    blobs = MemoryBlobs()
    vault = Vault(blobs)
    vault.keep_delta(ROUND, DELTA)
    made = vault.mask_delta(masking())
    assert made.root == tree_root(TreeKind.MASKED_VECTOR, made.vector)
    assert blobs.get(made.root) == made.vector


def test_seats_of_a_column_get_the_same_seed_and_columns_different_ones():
    made = trainer_vault().mask_delta(masking())
    opened = [KEYS[seat].open(capsule) for seat, capsule in enumerate(made.capsules)]
    assert opened[:3] * 3 == opened
    assert len(set(opened)) == 3


def test_commitments_bind_the_seeds_to_their_place():
    made = trainer_vault().mask_delta(masking())
    trainer = US.trainers[INDEX].address
    expected = [seed_commitment(US.ctx, trainer, c, s) for c, s in enumerate(seeds_of(made))]
    assert list(made.commitments) == expected


@pytest.mark.parametrize("key", [(0, b""), (9, bytes(32)), (1, bytes(32)), (1, b"short")])
def test_seat_without_a_usable_key_gets_an_empty_capsule(key):
    effect = masking()
    keys = (*effect.sealing_keys[:8], key)
    made = trainer_vault().mask_delta(replace(effect, sealing_keys=keys))
    assert made.capsules[8] == b""
    assert all(made.capsules[:8])


def test_retry_masks_the_same_delta_with_fresh_seeds():
    vault = trainer_vault()
    first, second = vault.mask_delta(masking()), vault.mask_delta(masking(retry()))
    assert np.array_equal(unmasked(first), unmasked(second))
    assert not set(seeds_of(first)) & set(seeds_of(second))
    assert first.root != second.root


def test_retrained_delta_of_the_same_round_is_not_used():
    vault = trainer_vault()
    first = vault.mask_delta(masking())
    vault.keep_delta(ROUND, ModelDelta(-DELTA.values))
    assert np.array_equal(unmasked(first), unmasked(vault.mask_delta(masking(retry()))))


def test_next_round_has_its_own_delta():
    vault = trainer_vault()
    first = vault.mask_delta(masking())
    assert vault.holds_delta(ROUND)
    assert not vault.holds_delta(ROUND + 1)
    vault.keep_delta(ROUND + 1, ModelDelta(-DELTA.values))
    second = vault.mask_delta(masking(round_=ROUND + 1))
    assert np.abs(unmasked(first) + unmasked(second)).max() <= 1


def test_delta_beyond_the_clip_norm_is_scaled_to_it():
    vault = Vault(MemoryBlobs())
    vault.keep_delta(ROUND, ModelDelta(np.full(WORDS, 10.0)))
    # C = 1 over 40 equal words: 1 / sqrt(40) * 768 = 121.4.
    assert set(unmasked(vault.mask_delta(masking()))) <= {121, 122}


def test_delta_that_is_no_number_is_refused():
    vault = Vault(MemoryBlobs())
    vault.keep_delta(ROUND, ModelDelta(np.full(WORDS, np.nan)))
    with pytest.raises(NonFiniteError):
        vault.mask_delta(masking())


def test_committed_seed_opens():
    vault, public = seat_vault()
    opened = vault.open_capsule(opening(public))
    assert opened.valid
    assert opened.header == US.valid(INDEX).digest


def test_wrong_seed_in_a_capsule_is_invalid():
    vault, public = seat_vault()
    assert not vault.open_capsule(opening(public, seed=bytes(32))).valid


@pytest.mark.parametrize("capsule", [b"", bytes(80), bytes(79)])
def test_capsule_that_does_not_open_is_invalid(capsule):
    vault, public = seat_vault()
    assert not vault.open_capsule(opening(public, capsule=capsule)).valid


def test_seed_of_another_trainer_or_column_is_invalid():
    vault, public = seat_vault()
    assert not vault.open_capsule(opening(public, index=INDEX + 1)).valid
    assert not vault.open_capsule(opening(public, seat=SEAT + 1)).valid


def test_capsule_without_a_key_is_invalid():
    _, public = seat_vault()
    assert not Vault(MemoryBlobs()).open_capsule(opening(public)).valid


def test_sum_is_served_on_order_only():
    blobs = MemoryBlobs()
    vault = Vault(blobs)
    public = vault.make_sealing_key(US.seating).key
    vault.open_capsule(opening(public))
    summed = vault.sum_masks(summing())
    expected = sum_masks([US.seed(INDEX, COLUMN)], WORDS, 16).words.tobytes()
    assert summed.vector == expected
    assert summed.root == tree_root(TreeKind.MASK_SUM, expected)
    assert blobs.get(summed.root) is None
    vault.serve_mask_sum(ServeMaskSum(US.seating, summed.root))
    assert blobs.get(summed.root) == expected


def test_resealed_seed_opens_at_the_mate():
    vault, public = seat_vault()
    vault.open_capsule(opening(public))
    mate, mates_key = seat_vault()
    resealed = vault.reseal(
        Reseal(US.seating, US.valid(INDEX).digest, INDEX, SEAT + 3, SUITE_X25519, mates_key)
    )
    order = opening(public, capsule=resealed.capsule, seat=SEAT + 3)
    assert mate.open_capsule(order).valid


def test_aggregate_without_a_vector_that_made_room_names_it():
    gone = sha256(b"gone")
    with pytest.raises(BytesGone) as caught:
        Vault(MemoryBlobs()).compute_aggregate(ComputeAggregate(US.seating, (gone,), (), 1))
    assert caught.value.roots == (gone,)


def test_destroyed_secrets_are_gone():
    vault, public = seat_vault()
    order = opening(public)
    vault.open_capsule(order)
    vault.destroy_before(US.seating.drawn.round, US.seating.drawn.attempt + 1)
    assert not vault.open_capsule(order).valid
    with pytest.raises(SecretGone):
        vault.sum_masks(summing())


def test_secrets_of_one_attempt_outlive_those_of_another():
    vault, public = seat_vault()
    vault.destroy_before(US.seating.drawn.round, US.seating.drawn.attempt)
    assert vault.open_capsule(opening(public)).valid


def test_sealing_keys_are_fresh_for_every_attempt():
    vault, public = seat_vault()
    assert vault.make_sealing_key(retry()).key != public


def test_no_secret_shows():
    vault, public = seat_vault()
    vault.open_capsule(opening(public))
    summed = vault.sum_masks(summing())
    vault.keep_delta(ROUND, DELTA)
    secrets = vault._attempts[attempt_name(US.seating)]
    shown = "".join(map(repr, (vault, secrets, secrets.sealing_key, vars(vault))))
    for secret in (US.seed(INDEX, COLUMN), secrets.sealing_key.export_secret(), summed.vector):
        assert repr(secret) not in shown
        assert secret.hex() not in shown
