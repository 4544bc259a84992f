// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ISlashingManager} from "../src/interfaces/ISlashingManager.sol";
import {TaskSpecification} from "../src/interfaces/Types.sol";
import {Trees} from "../src/libraries/Trees.sol";
import {ProofFixture} from "./ProofFixture.sol";

/// @notice One word of one record is wrong, and all else is as it should be: signed by its trainer, under the root.
contract BadRecordsTest is ProofFixture {
    uint256 private constant POSITION = 2;
    uint256 private constant CTX = 0;
    uint256 private constant INDEX = 32;
    uint256 private constant TRAINER = 64;
    uint256 private constant WORDS = 128;
    uint256 private constant WIDTH = 160;

    function setUp() public {
        setUpProofs(5, 600);
    }

    function test_a_record_of_another_attempt_convicts() public {
        _includeWith(CTX, uint256(keccak256("another")), TRAINER_KEY + POSITION);
        _convicts();
    }

    function test_a_record_of_another_index_convicts() public {
        _includeWith(INDEX, 3, TRAINER_KEY + POSITION);
        _convicts();
    }

    function test_a_record_of_other_words_convicts() public {
        _includeWith(WORDS, 601, TRAINER_KEY + POSITION);
        _convicts();
    }

    function test_a_record_of_another_width_convicts() public {
        _includeWith(WIDTH, 32, TRAINER_KEY + POSITION);
        _convicts();
    }

    function test_a_record_that_its_trainer_did_not_sign_convicts() public {
        _includeWith(INDEX, POSITION, TRAINER_KEY + 7);
        _convicts();
    }

    function test_an_address_with_more_than_20_bytes_convicts() public {
        uint256 trainer = uint160(vm.addr(TRAINER_KEY + POSITION));
        _includeWith(TRAINER, trainer | 1 << 200, TRAINER_KEY + POSITION);
        _convicts();
    }

    function test_a_root_over_another_number_of_records_convicts() public {
        bytes32 ctx = manager.attemptOf(task).ctx;
        for (uint256 i = 0; i < 4; ++i) {
            records.push(recordOf(ctx, i));
        }
        includeRecords(allSeats());
        ISlashingManager.BadRecord memory r = _record();
        r.count = 4;
        slashing.proveBadInclusion(r);
        assertEq(manager.attemptOf(task).attempt, 1);
    }

    function test_a_record_of_a_trainer_that_the_roster_does_not_name_convicts() public {
        _openWithRoster(vm.addr(TRAINER_KEY + POSITION));
        includeBy(allSeats());
        ISlashingManager.BadRecord memory r = _record();
        r.roster = openings[tasks.specificationOf(task).rosterRoot];
        vm.expectPartialRevert(ISlashingManager.SlashingManagerSoundRecord.selector);
        slashing.proveBadInclusion(r);
        _openWithRoster(address(0xBAD));
        includeBy(allSeats());
        r = _record();
        r.roster = openings[tasks.specificationOf(task).rosterRoot];
        slashing.proveBadInclusion(r);
        assertEq(manager.attemptOf(task).attempt, 1);
    }

    function test_a_record_of_another_set_proves_nothing() public {
        includeBy(allSeats());
        ISlashingManager.BadRecord memory r = _record();
        r.opening[200] ^= 0x01;
        vm.expectPartialRevert(Trees.TreesWrongRoot.selector);
        slashing.proveBadInclusion(r);
    }

    /// @dev Open a task whose roster names `member` at the position: one leaf, below siblings out of nowhere.
    function _openWithRoster(address member) private {
        bytes memory opening = bytes.concat(bytes32(0), bytes32(uint256(uint160(member))), new bytes(64));
        for (uint256 i = 0; i < 3; ++i) {
            opening = bytes.concat(opening, keccak256(abi.encode("member", i)));
        }
        TaskSpecification memory s = tasks.specificationOf(task);
        s.rosterRoot = hashing.rootOf(Trees.ROSTER, 5 * 128, 128, POSITION, opening);
        openings[s.rosterRoot] = opening;
        task = createTask(s);
        openAndDraw();
    }

    /// @dev Include a set in which one word of one record is `value`, signed by `key`.
    function _includeWith(uint256 offset, uint256 value, uint256 key) private {
        bytes32 ctx = manager.attemptOf(task).ctx;
        for (uint256 i = 0; i < trainers; ++i) {
            records.push(recordOf(ctx, i));
        }
        bytes memory head = slice(records[POSITION], 0, 256);
        assembly ("memory-safe") {
            mstore(add(add(head, 32), offset), value)
        }
        records[POSITION] = signedRecord(head, key);
        includeRecords(allSeats());
    }

    /// @dev The other records are sound; this one convicts all nine seats and ends the attempt.
    function _convicts() private {
        ISlashingManager.BadRecord memory r = _record();
        (r.position, r.opening) = (1, bytes.concat(records[1], pathAbove(1, 0)));
        vm.expectPartialRevert(ISlashingManager.SlashingManagerSoundRecord.selector);
        slashing.proveBadInclusion(r);
        slashing.proveBadInclusion(_record());
        assertEq(manager.attemptOf(task).attempt, 1);
        assertEq(manager.attemptOf(task).noShows, 511);
    }

    function _record() private view returns (ISlashingManager.BadRecord memory r) {
        (r.task, r.count, r.position) = (task, 5, POSITION);
        r.opening = bytes.concat(records[POSITION], pathAbove(POSITION, 0));
    }
}
