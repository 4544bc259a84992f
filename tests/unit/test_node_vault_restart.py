"""A vault that is started again on the store of the one before."""

from dataclasses import replace

import numpy as np
import pytest

from flocknode.crypto.hashing import sha256
from flocknode.model.stages import ModelDelta
from flocknode.node.blobs import MemoryBlobs
from flocknode.node.memory import MemorySecrets, MemorySlots
from flocknode.node.secrets import attempt_name, delta_name
from flocknode.node.vault import AnotherDelta, SecretGone, Vault
from flocknode.protocol.effects import MaskDelta, OpenCapsule, Reseal, SumMasks
from flocknode.storage.errors import StorageError
from tests.consortium import consortium

US = consortium()
INDEX, SEAT = 1, 4
ROUND = US.seating.drawn.round
RETRY = replace(US.seating, drawn=replace(US.seating.drawn, attempt=1, ctx=sha256(b"retry")))
KEYS = tuple((1, key.public) for key in US.sealing)


class Life:
    """One process of a node; the next takes over what it stored."""

    def __init__(self, before=None):
        self.secrets = before.secrets if before else MemorySecrets()
        self.record = before.record if before else MemorySlots()
        self.vault = Vault(MemoryBlobs(), self.secrets, self.record)

    def train(self, size=0.01):
        self.vault.keep_delta(ROUND, ModelDelta(np.full(US.terms.integers.words, size)))
        return self

    def mask(self, seating=US.seating, keys=KEYS):
        return self.vault.mask_delta(MaskDelta(seating, INDEX, ROUND, keys))


def open_capsule(life):
    header = US.header(INDEX)
    commitment = header.commitments[US.seating.column_of(SEAT)]
    capsule = US.capsule(INDEX, SEAT)
    return life.vault.open_capsule(
        OpenCapsule(US.seating, sha256(b"header"), INDEX, SEAT, capsule, commitment)
    )


def test_restarted_seat_has_the_same_key():
    first = Life()
    made = first.vault.make_sealing_key(US.seating)
    assert first.vault.make_sealing_key(US.seating) == made
    assert Life(first).vault.make_sealing_key(US.seating) == made
    assert Life().vault.make_sealing_key(US.seating) != made


def test_restarted_trainer_sends_the_same_bytes_whatever_keys_it_hears_now():
    first = Life().train()
    sent = first.mask()
    second = Life(first)
    assert second.vault.holds_delta(ROUND)
    assert second.mask(keys=((0, b""), *KEYS[1:])) == sent


def test_retry_sends_the_same_delta_under_other_masks():
    first = Life().train()
    sent = first.mask()
    second = Life(first)
    again = second.mask(RETRY)
    assert again.root != sent.root
    assert not set(again.commitments) & set(sent.commitments)
    kept = first.vault._quantised[1].values
    assert (second.vault._quantised[1].values == kept).all()


def test_trainer_that_lost_the_delta_it_sent_sends_no_other_one():
    first = Life().train()
    first.mask()
    first.secrets.destroy(delta_name(ROUND))
    second = Life(first).train(size=0.02)
    with pytest.raises(AnotherDelta):
        second.mask(RETRY)


def test_what_the_disk_refuses_is_not_used():
    life = Life().train()

    def full(_name, _secret):
        raise StorageError("disk full")

    life.secrets.save = full
    with pytest.raises(StorageError):
        life.vault.make_sealing_key(US.seating)
    with pytest.raises(StorageError):
        life.mask()
    del life.secrets.save
    made = life.vault.make_sealing_key(US.seating)
    assert Life(life).vault.make_sealing_key(US.seating) == made


def test_restarted_seat_opens_capsules_with_the_stored_key():
    first = Life()
    secrets = first.vault._secrets(US.seating)
    secrets.sealing_key = US.sealing[SEAT]
    first.vault._keep(US.seating, secrets)
    assert open_capsule(Life(first)).valid
    assert not open_capsule(Life()).valid


def test_attempts_and_deltas_go_when_they_are_over_and_not_before():
    life = Life().train()
    life.mask()
    life.mask(RETRY)
    assert len(life.secrets.names()) == 3
    life.vault.destroy_before(ROUND, 1)
    assert life.secrets.names() == (attempt_name(RETRY), delta_name(ROUND))
    life.vault.destroy_before(ROUND + 1, 0)
    assert life.secrets.names() == ()


def test_attempt_that_is_over_gives_no_seed_and_no_sum():
    life = Life()
    header = sha256(b"header")
    mate = US.sealing[0].public
    assert life.vault.reseal(Reseal(US.seating, header, INDEX, 0, 1, mate)).capsule == b""
    with pytest.raises(SecretGone):
        life.vault.sum_masks(SumMasks(US.seating, sha256(b"set"), (header,)))


def test_neither_key_nor_seeds_show_in_a_text():
    life = Life().train()
    life.mask()
    life.vault.make_sealing_key(US.seating)
    secrets = life.vault._secrets(US.seating)
    for secret in (*secrets.masking.seeds, secrets.sealing_key.export_secret()):
        assert secret.hex() not in repr(secrets)
        assert repr(secret) not in repr(secrets)
