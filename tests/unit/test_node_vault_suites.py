"""The vault under the second sealing suite: slips out, slices in, and all of it after a restart."""

import numpy as np
import pytest

from flocknode.crypto.hashing import sha256
from flocknode.crypto.merkle import TreeKind, tree_root
from flocknode.crypto.suites import MLKEM768_X25519, X25519, open_capsule
from flocknode.model.stages import ModelDelta
from flocknode.node.blobs import MemoryBlobs
from flocknode.node.memory import MemorySecrets, MemorySlots
from flocknode.node.vault import Vault
from flocknode.protocol.capsule_slips import read_slip
from flocknode.protocol.effects import CapsuleSlice, MaskDelta, OpenCapsule, Reseal, SumMasks
from tests.consortium import consortium

US = consortium(suite=MLKEM768_X25519)
SEATING = US.seating
ROUND = SEATING.drawn.round
INDEX, SEAT, MATE, COLUMN = 2, 4, 7, 1
KEYS = tuple((2, key.public) for key in US.sealing)
HEADER = sha256(b"header")


class Life:
    """One process of a node; the next takes over what it stored, but no blob."""

    def __init__(self, before=None):
        self.blobs = MemoryBlobs()
        self.secrets = before.secrets if before else MemorySecrets()
        self.record = before.record if before else MemorySlots()
        self.vault = Vault(self.blobs, self.secrets, self.record)

    def mask(self, keys=KEYS):
        self.vault.keep_delta(ROUND, ModelDelta(np.full(US.terms.integers.words, 0.01)))
        return self.vault.mask_delta(MaskDelta(SEATING, INDEX, ROUND, keys))


def slip_of(made, column=COLUMN):
    return read_slip(made.capsules[column], column, SEATING)


def piece(data, place):
    size = MLKEM768_X25519.capsule_bytes
    return data[place * size : (place + 1) * size]


def test_header_gets_slips_and_the_slices_are_served():
    life = Life()
    made = life.mask()
    assert [len(slip) for slip in made.capsules] == [33] * 3
    for column in range(3):
        slip = slip_of(made, column)
        data = life.blobs.get(slip.root)
        assert tree_root(TreeKind.CAPSULES, data) == slip.root
        seeds = {
            open_capsule(US.sealing[seat], piece(data, place), SEATING.capsule_place(INDEX, seat))
            for place, seat in enumerate(slip.seats)
        }
        assert len(seeds) == 1


def test_restarted_trainer_sends_and_serves_the_same():
    first = Life()
    made = first.mask()
    second = Life(first)
    assert second.mask(keys=((0, b""), *KEYS[1:])) == made
    root = slip_of(made).root
    assert second.blobs.get(root) == first.blobs.get(root)


def test_restarted_seat_has_the_same_key_of_its_suite():
    first = Life()
    made = first.vault.make_sealing_key(SEATING)
    assert (made.suite, len(made.key)) == (2, 1216)
    assert Life(first).vault.make_sealing_key(SEATING) == made


@pytest.mark.parametrize("key", [(1, bytes(32)), (2, bytes(1216)), (0, b"")], ids=str)
def test_key_that_is_none_gets_no_capsule(key):
    made = Life().mask(keys=(*KEYS[:SEAT], key, *KEYS[SEAT + 1 :]))
    assert slip_of(made).seats == (1, 7)


def seat_with_slice():
    """Return a seat that pulled its column's slice, and the order to open its piece."""
    seat = Life()
    public = seat.vault.make_sealing_key(SEATING).key
    trainer = Life()
    made = trainer.mask(keys=(*KEYS[:SEAT], (2, public), *KEYS[SEAT + 1 :]))
    slip = slip_of(made)
    seat.blobs.put(slip.root, trainer.blobs.get(slip.root))
    place = CapsuleSlice(slip.root, slip.seats.index(SEAT))
    commitment = made.commitments[COLUMN]
    return seat, OpenCapsule(SEATING, HEADER, INDEX, SEAT, b"", commitment, place)


def test_seat_opens_its_piece_and_reseals_the_seed_to_a_mate():
    seat, opening = seat_with_slice()
    assert seat.vault.open_capsule(opening).valid
    order = Reseal(SEATING, HEADER, INDEX, MATE, 2, US.sealing[MATE].public)
    capsule = seat.vault.reseal(order).capsule
    seed = open_capsule(US.sealing[MATE], capsule, SEATING.capsule_place(INDEX, MATE))
    summed = seat.vault.sum_masks(SumMasks(SEATING, sha256(b"set"), (HEADER,)))
    assert len(seed) == 32
    assert summed.root


@pytest.mark.parametrize("place", [0, 2, 3], ids=["a mate's", "another mate's", "none"])
def test_piece_of_another_seat_does_not_open(place):
    seat, opening = seat_with_slice()
    wrong = OpenCapsule(
        *(SEATING, HEADER, INDEX, SEAT, b"", opening.commitment),
        CapsuleSlice(opening.slice.root, place),
    )
    assert not seat.vault.open_capsule(wrong).valid


def test_slice_that_is_gone_does_not_open():
    seat, opening = seat_with_slice()
    seat.blobs.discard(opening.slice.root)
    assert not seat.vault.open_capsule(opening).valid


def test_reseal_to_a_key_of_the_other_suite_gives_nothing():
    seat, opening = seat_with_slice()
    seat.vault.open_capsule(opening)
    order = Reseal(SEATING, HEADER, INDEX, MATE, X25519.number, bytes(range(32)))
    assert seat.vault.reseal(order).capsule == b""
