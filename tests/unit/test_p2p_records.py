"""Peer records and the table that keeps them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flocknode.p2p  # noqa: F401  # the node imports libp2p through it
from flocknode.crypto.peer_id import peer_of
from flocknode.p2p.identity import key_pair_of
from flocknode.p2p.records import (
    _TAG,
    ADDRESSES_MAX,
    RECORD_BYTES_MAX,
    PeerRecord,
    RecordError,
    _body,
    is_address,
    key_of,
)
from flocknode.p2p.table import RECORDS_MAX, RecordTable, distance
from flocknode.primitives import Digest, PeerId

SEED, OTHER = bytes(32), bytes([1]) * 32
ADDRESSES = ("/ip4/10.0.0.1/tcp/4001", "/dns4/node.example/tcp/4001")


def signed(seed=SEED, sequence=1, addresses=ADDRESSES):
    return PeerRecord.sign(seed, sequence, addresses)


def forged(addresses, signer=SEED, peer=None):
    peer = peer or peer_of(SEED)
    body = _body(peer, 1, addresses)
    return body + key_pair_of(signer).private_key.sign(_TAG + body)


def test_record_is_read_back_as_signed():
    record = signed()
    assert PeerRecord.from_bytes(record.to_bytes()) == record
    assert record.peer == peer_of(SEED)


def test_longest_record_fits_its_limit():
    name = "a" * 50 + "." + "b" * (96 - len("/dns4//tcp/65535") - 51)
    longest = f"/dns4/{name}/tcp/65535"
    assert is_address(longest)
    assert not is_address(longest.replace("/tcp", "b/tcp"))
    assert len(signed(addresses=[longest] * ADDRESSES_MAX).to_bytes()) == RECORD_BYTES_MAX


@pytest.mark.parametrize(
    "data",
    [
        forged(ADDRESSES, signer=OTHER),
        forged(()),
        forged(("/ip4/10.0.0.1/tcp/1",) * (ADDRESSES_MAX + 1)),
        forged(("/ip4/10.0.0.1/udp/1/quic-v1",)),
        forged(("/ip4/10.0.0.1/tcp/1/p2p/12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5",)),
        forged(("not an address",)),
        forged(("/ip4/0.0.0.0/tcp/4001",)),
        forged(ADDRESSES, peer=PeerId(bytes(38))),
        signed().to_bytes() + b"\0",
        signed().to_bytes()[:-1],
        b"",
    ],
)
def test_record_that_its_peer_did_not_sign_so_is_refused(data):
    with pytest.raises(RecordError):
        PeerRecord.from_bytes(data)


@given(st.binary(max_size=600))
def test_any_other_bytes_are_refused_and_nothing_else_happens(data):
    with pytest.raises(RecordError):
        PeerRecord.from_bytes(data)


@given(st.integers(0, len(signed().to_bytes()) * 8 - 1))
def test_one_flipped_bit_is_noticed(bit):
    data = bytearray(signed().to_bytes())
    data[bit // 8] ^= 1 << bit % 8
    with pytest.raises(RecordError):
        PeerRecord.from_bytes(bytes(data))


def test_newer_record_replaces_an_older_one_and_never_the_other_way():
    table = RecordTable(peer_of(OTHER))
    assert table.add(signed(sequence=2))
    assert not table.add(signed(sequence=2))
    assert not table.add(signed(sequence=1))
    assert table.add(signed(sequence=3, addresses=ADDRESSES[:1]))
    (kept,) = table.closest(key_of(peer_of(SEED)))
    assert kept.addresses == ADDRESSES[:1]
    assert not RecordTable(peer_of(SEED)).add(signed())


def unsigned(number):
    return PeerRecord(PeerId(number.to_bytes(4)), 1, ADDRESSES, b"")


def test_nearest_come_first_and_a_full_table_forgets_the_farthest():
    owner = PeerId(b"owner")
    table = RecordTable(owner)
    everyone = [unsigned(i) for i in range(RECORDS_MAX + 20)]
    for record in everyone:
        table.add(record)
    assert len(table.peers()) == RECORDS_MAX
    by_distance = sorted(everyone, key=lambda r: distance(r.key, key_of(owner)))
    assert set(table.peers()) == {r.peer for r in by_distance[:RECORDS_MAX]}
    key = Digest(bytes(32))
    nearest = table.closest(key, 5)
    assert nearest == sorted(nearest, key=lambda r: r.key)
    table.keep(lambda peer: peer == nearest[0].peer)
    assert table.peers() == (nearest[0].peer,)
