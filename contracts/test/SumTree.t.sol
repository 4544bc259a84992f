// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Committee} from "../src/libraries/Committee.sol";
import {SumTree} from "../src/libraries/SumTree.sol";
import {Test} from "./Vm.sol";

contract SumTreeTest is Test {
    using Committee for uint256[2];
    using SumTree for SumTree.Tree;

    SumTree.Tree private _tree;
    mapping(uint256 index => uint256) private _weights;
    uint256[2] private _words;

    function testFuzz_find_agrees_with_a_scan(uint48[] memory weights, uint256 point) public {
        uint256 total = 0;
        for (uint256 i = 0; i < weights.length; ++i) {
            _tree.set(i, weights[i]);
            total += weights[i];
        }
        assertEq(_tree.total(), total);
        if (total == 0) return;
        point %= total;
        uint256 index = 0;
        uint256 rest = point;
        for (; rest >= weights[index]; ++index) {
            rest -= weights[index];
        }
        assertEq(_tree.find(_tree.height, point), index);
    }

    function testFuzz_weights_can_be_replaced_in_any_order(uint16[24] memory indices, uint32[24] memory weights)
        public
    {
        uint256 total = 0;
        for (uint256 i = 0; i < 24; ++i) {
            total = total + weights[i] - _weights[indices[i]];
            _weights[indices[i]] = weights[i];
            _tree.set(indices[i], weights[i]);
        }
        assertEq(_tree.total(), total);
        for (uint256 i = 0; i < 24; ++i) {
            assertEq(_tree.weightAt(indices[i]), _weights[indices[i]]);
        }
    }

    function test_the_last_id_of_sixteen_bits_has_a_place() public {
        _tree.set(65_535, 7);
        _tree.set(0, 5);
        assertEq(_tree.find(_tree.height, 4), 0);
        assertEq(_tree.find(_tree.height, 5), 65_535);
    }

    function testFuzz_bits_are_counted(uint256 bitmap) public pure {
        uint256 bits = 0;
        for (uint256 i = 0; i < 256; ++i) {
            bits += (bitmap >> i) & 1;
        }
        assertEq(Committee.count(bitmap), bits);
    }

    function test_a_full_word_has_256_bits() public pure {
        assertEq(Committee.count(type(uint256).max), 256);
        assertEq(Committee.count(0), 0);
    }

    function testFuzz_packed_committees_come_back(uint16[32] memory ids, uint256 length, uint32 chosen) public {
        length = length % 33;
        uint256[] memory list = new uint256[](length);
        for (uint256 i = 0; i < length; ++i) {
            list[i] = ids[i];
        }
        (_words[0], _words[1]) = Committee.pack(list);
        for (uint256 i = 0; i < length; ++i) {
            assertEq(_words.at(i), list[i]);
        }
        uint256 bits = uint256(chosen) & Committee.all(length);
        uint256[] memory selected = _words.select(bits);
        (uint256[] memory rest, uint256[] memory taken) = Committee.split(list, bits);
        assertEq(selected.length, Committee.count(bits));
        assertEq(rest.length + taken.length, length);
        for (uint256 i = 0; i < selected.length; ++i) {
            assertEq(selected[i], taken[i]);
        }
    }

    function test_a_majority_is_needed_in_every_column() public pure {
        // 3 x 3: seat p sits in column p mod 3.
        assertTrue(Committee.isMajority(63, 3, 3), "two in each column");
        assertTrue(Committee.isMajority(511, 3, 3), "all");
        assertTrue(!Committee.isMajority(511 - 1 - 8, 3, 3), "one in column 0");
        assertTrue(!Committee.isMajority(511 - 4 - 256, 3, 3), "one in column 2");
        assertTrue(Committee.isMajority(15, 2, 2), "all of 2 x 2");
        assertTrue(!Committee.isMajority(7, 2, 2), "half is no majority");
    }

    function testFuzz_a_shuffle_keeps_the_members(bytes32 seed) public pure {
        uint256[] memory ids = new uint256[](9);
        for (uint256 i = 0; i < 9; ++i) {
            ids[i] = i;
        }
        Committee.shuffle(ids, seed);
        uint256 seen = 0;
        for (uint256 i = 0; i < 9; ++i) {
            seen |= 1 << ids[i];
        }
        assertEq(seen, 511);
    }
}
