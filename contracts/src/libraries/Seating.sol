// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {SumTree} from "./SumTree.sol";

/// @title Seating: a draw without replacement, weighted, with one seat for each organisation
/// @dev Rejecting duplicates gives the distribution of sequential sampling without replacement. A draw ends after
/// 8 * seats attempts; the seats left are filled in index order from a start that the seed names, last by the ejected.
library Seating {
    using SumTree for SumTree.Tree;

    /// @dev What a draw reads of a validator, in one word.
    struct Seat {
        address signer;
        uint32 organisation;
        uint40 since; // from when on `signer` signs
        bool ejected; // slashed while weights were frozen
    }

    /// @dev A draw in progress. Taken organisations are a list, since at most a few dozen seats exist.
    struct Draw {
        uint256[] ids;
        uint256 found;
        uint256[] taken; // organisations of excluded and of drawn validators
        uint256 takenCount;
    }

    error StakeRegistryTooFewOrganisations(uint256 found, uint256 wanted);

    function draw(
        SumTree.Tree storage tree,
        mapping(uint256 => Seat) storage seats,
        uint256 validators,
        bytes32 seed,
        uint256 wanted,
        uint256[] memory excluded
    ) internal view returns (uint256[] memory) {
        Draw memory d;
        d.ids = new uint256[](wanted);
        d.taken = new uint256[](excluded.length + wanted);
        for (uint256 i = 0; i < excluded.length; ++i) {
            d.taken[d.takenCount++] = seats[excluded[i]].organisation;
        }
        _sample(d, tree, seats, seed);
        if (d.found < wanted) _fill(d, tree, seats, seed, validators, false);
        // Weights are frozen, so whoever is slashed now would block the draw for all where nobody else is left.
        if (d.found < wanted) _fill(d, tree, seats, seed, validators, true);
        if (d.found < wanted) revert StakeRegistryTooFewOrganisations(d.found, wanted);
        return d.ids;
    }

    function _sample(Draw memory d, SumTree.Tree storage tree, mapping(uint256 => Seat) storage seats, bytes32 seed)
        private
        view
    {
        uint256 total = tree.total();
        if (total == 0) return;
        uint256 height = tree.height;
        uint256 wanted = d.ids.length;
        for (uint256 i = 0; i < 8 * wanted && d.found < wanted; ++i) {
            uint256 id = tree.find(height, uint256(keccak256(abi.encode(seed, i))) % total);
            if (!seats[id].ejected) _take(d, id, seats[id].organisation);
        }
    }

    function _fill(
        Draw memory d,
        SumTree.Tree storage tree,
        mapping(uint256 => Seat) storage seats,
        bytes32 seed,
        uint256 validators,
        bool ejected
    ) private view {
        if (validators == 0) return;
        uint256 start = uint256(keccak256(abi.encode(seed, "fill"))) % validators;
        for (uint256 j = 0; j < validators && d.found < d.ids.length; ++j) {
            uint256 id = (start + j) % validators;
            if (seats[id].ejected == ejected && tree.weightAt(id) != 0) _take(d, id, seats[id].organisation);
        }
    }

    function _take(Draw memory d, uint256 id, uint256 organisation) private pure {
        for (uint256 i = 0; i < d.takenCount; ++i) {
            if (d.taken[i] == organisation) return;
        }
        d.taken[d.takenCount++] = organisation;
        d.ids[d.found++] = id;
    }
}
