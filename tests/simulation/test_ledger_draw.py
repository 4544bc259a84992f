"""The draw as pure functions, against the encoding of Solidity and against chance."""

from collections import Counter
from itertools import permutations

import pytest
from eth_abi import encode
from ledger_world import World, digest

from flocknode.crypto.hashing import keccak256
from flocknode.sim.abi import CallReverted, keccak_labelled, keccak_words
from flocknode.sim.draw import draw_committee, permute

DRAWS = 4_000


def organisations(*names):
    return [digest(str(name)) for name in names]


def chi_square(counts, expected):
    return sum((counts[k] - e) ** 2 / e for k, e in expected.items())


def test_words_are_those_of_abi_encode():
    seed, address = digest("seed"), b"\x07" * 20
    encoded = encode(["bytes32", "uint256", "address"], [seed, 5, address])
    assert keccak_words(seed, 5, address) == keccak256(encoded)


@pytest.mark.parametrize("label", ["fill", "", "x" * 32, "x" * 33])
def test_a_label_is_encoded_as_a_string(label):
    seed = digest("seed")
    assert keccak_labelled(seed, label) == keccak256(encode(["bytes32", "string"], [seed, label]))


def test_first_seat_follows_the_weight_intervals():
    weights = [5, 0, 7, 3]
    seed = digest("seed")
    x = int.from_bytes(keccak_words(seed, 0), "big") % 15
    expected = 0 if x < 5 else 2 if x < 12 else 3
    assert draw_committee(seed, weights, organisations(0, 1, 2, 3), 1) == (expected,)


def test_an_organisation_has_one_seat():
    for i in range(50):
        drawn = draw_committee(digest(f"{i}"), [9, 9, 1, 1], organisations("a", "a", "b", "c"), 3)
        assert len({0, 1} & set(drawn)) == 1


def test_an_excluded_validator_excludes_its_organisation():
    for i in range(50):
        drawn = draw_committee(
            digest(f"{i}"), [9, 9, 1, 1], organisations("a", "a", "b", "c"), 2, [0]
        )
        assert set(drawn) == {2, 3}


def test_too_few_organisations_are_refused():
    for weights, excluded in (([1, 1, 1, 0], []), ([1, 1, 1, 1], [0]), ([0] * 4, []), ([], [])):
        names = organisations(*range(len(weights)))
        with pytest.raises(CallReverted, match="StakeRegistryTooFewOrganisations"):
            draw_committee(digest("seed"), weights, names, 4, excluded)


def test_a_whale_cannot_stall_the_draw():
    """After eight draws a seat, the rest is filled in index order from a start of the seed."""
    weights = [1 << 60, 1, 0, 1, 1]
    seed = digest("whale")
    drawn = draw_committee(seed, weights, organisations(*range(5)), 4)
    start = int.from_bytes(keccak256(encode(["bytes32", "string"], [seed, "fill"])), "big") % 5
    order = [(start + j) % 5 for j in range(5)]
    assert drawn == (0, *(i for i in order if i in {1, 3, 4}))


def test_pairs_are_drawn_as_by_sequential_sampling_without_replacement():
    weights = [1, 2, 3, 4]
    expected = {
        (a, b): DRAWS * weights[a] / 10 * weights[b] / (10 - weights[a])
        for a, b in permutations(range(4), 2)
    }
    names = organisations(*range(4))
    counts = Counter(draw_committee(digest(f"{i}"), weights, names, 2) for i in range(DRAWS))
    assert chi_square(counts, expected) < 31.3  # 11 degrees of freedom, 0.1 %.


def test_a_permutation_keeps_its_seats_and_every_order_is_as_likely():
    expected = dict.fromkeys(permutations((3, 5, 7, 9)), DRAWS / 24)
    counts = Counter(permute(digest(f"{i}"), (3, 5, 7, 9)) for i in range(DRAWS))
    assert chi_square(counts, expected) < 49.7  # 23 degrees of freedom, 0.1 %.


def test_permute_is_fisher_and_yates_from_the_last_seat_down():
    seed = digest("seed")
    seats = [10, 11, 12]
    for i in (2, 1):
        j = int.from_bytes(keccak256(encode(["bytes32", "uint256"], [seed, i])), "big") % (i + 1)
        seats[i], seats[j] = seats[j], seats[i]
    assert permute(seed, (10, 11, 12)) == tuple(seats)
    assert permute(seed, ()) == ()


def test_anyone_can_repeat_the_ledgers_draw():
    world = World().drawn()
    state = world.ledger.state
    weights = [v.weight for v in state.validators.values()]
    names = [v.organisation for v in state.validators.values()]
    assert draw_committee(world.attempt.seed, weights, names, 9) == world.attempt.committee


def test_the_ejected_sit_only_if_nobody_else_is_left():
    weights, names = [50, 1, 1, 1, 1, 50], organisations(*range(6))
    for i in range(50):
        drawn = draw_committee(digest(f"{i}"), weights, names, 4, ejected=(0, 5))
        assert sorted(drawn) == [1, 2, 3, 4]
        drawn = draw_committee(digest(f"{i}"), weights, names, 5, ejected=(0, 5))
        assert sorted(drawn[:4]) == [1, 2, 3, 4]
        assert drawn[4] in {0, 5}


def test_pairs_of_seats_are_those_that_the_bytecode_draws():
    weights, names = [10, 20, 30, 40, 50, 60], organisations(*range(6))
    drawn = bytes(32)
    for i in range(2_000):
        drawn = keccak_words(drawn, *draw_committee(keccak_words(i), weights, names, 2))
    # The same in contracts/test/StakeRegistry.t.sol, where chi-square is measured as well.
    assert drawn.hex() == "9d9033e6a5caf31ab7a700e66920bc6b3dae8811d6621ddb1b5845f1de25bb41"
