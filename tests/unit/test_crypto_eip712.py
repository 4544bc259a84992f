from typing import get_args

import pytest
from eth_account.messages import encode_typed_data
from eth_hash.auto import keccak

from flocknode.crypto.eip712 import Domain, encode_word
from flocknode.crypto.errors import EncodingError
from flocknode.messages.statements import Statement, statement_digest
from flocknode.primitives import Address

DOMAIN = Domain(chain_id=31337, verifying_contract=Address(bytes(range(20))))


def members_of(type_string):
    inner = type_string[type_string.index("(") + 1 : -1]
    return [
        dict(zip(("type", "name"), member.split(" "), strict=True)) for member in inner.split(",")
    ]


def value_for(solidity_type, position):
    return {
        "uint256": (1 << 256) - 1 - position,
        "address": bytes([position]) * 20,
        "bytes32": bytes([position]) * 32,
    }[solidity_type]


@pytest.mark.parametrize("statement_type", get_args(Statement), ids=lambda t: t.__name__)
def test_digest_is_that_of_an_independent_implementation(statement_type):
    members = members_of(statement_type.TYPE)
    values = [value_for(member["type"], i) for i, member in enumerate(members, start=1)]
    message = encode_typed_data(
        {
            "name": "flocknode",
            "version": "1",
            "chainId": 31337,
            "verifyingContract": bytes(range(20)),
        },
        {statement_type.__name__: members},
        {member["name"]: value for member, value in zip(members, values, strict=True)},
    )
    expected = keccak(b"\x19" + message.version + message.header + message.body)
    assert statement_digest(DOMAIN, statement_type(*values)) == expected


def test_separator_binds_chain_and_contract():
    others = {
        Domain(1, DOMAIN.verifying_contract).separator,
        Domain(31337, Address(bytes(20))).separator,
        DOMAIN.separator,
    }
    assert len(others) == 3


@pytest.mark.parametrize("word", [-1, 1 << 256, b"", bytes(31), bytes(33)])
def test_what_fits_no_word_is_refused(word):
    with pytest.raises(EncodingError):
        encode_word(word)
