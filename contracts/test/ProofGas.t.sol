// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ISlashingManager} from "../src/interfaces/ISlashingManager.sol";
import {Conviction, Offence, ProposalStatement} from "../src/interfaces/Types.sol";
import {Metered} from "./Metered.sol";
import {ProofFixture} from "./ProofFixture.sol";

/// @notice What proofs cost as whole transactions: cold storage, intrinsic gas, and the floor of calldata (EIP-7623).
/// forge-config: default.isolate = true
contract ProofGasTest is ProofFixture, Metered {
    uint256 private constant SIX = 0x3f;
    uint256 private constant CALLDATA_MAX = 128 * 1024;
    uint256 private constant GAS_MAX = 16_700_000; // below the 2^24 of EIP-7825

    uint8 private _measured;

    function test_an_equivocation_stays_below_its_limit() public {
        _set(32, 10_000);
        assertTrue(_equivocate() <= 220_000, "equivocation is too dear");
    }

    function test_a_wrong_aggregate_of_32_trainers_stays_below_its_limit() public {
        _set(32, 10_000);
        assertTrue(_aggregate(5) <= 2_300_000, "aggregate is too dear");
    }

    function test_a_wrong_step_stays_below_its_limit() public {
        _set(32, 10_000);
        assertTrue(_step() <= 200_000, "step is too dear");
    }

    function test_a_wrong_mask_sum_of_32_trainers_stays_below_its_limit() public {
        _set(32, 10_000);
        assertTrue(_mask() <= 600_000, "mask is too dear");
    }

    function test_a_wrong_aggregate_of_256_trainers_and_a_million_words_fits_transactions_and_pools() public {
        _set(256, 1_000_000);
        _aggregate(6);
    }

    function test_a_wrong_mask_sum_of_256_trainers_and_a_million_words_fits_transactions_and_pools() public {
        _set(256, 1_000_000);
        _mask();
    }

    function test_a_wrong_step_of_a_million_words_fits_transactions_and_pools() public {
        _set(3, 1_000_000);
        _step();
    }

    function test_a_wrong_weight_of_256_trainers_fits_transactions_and_pools() public {
        excess = 1;
        _set(256, 10_000);
        _measure("weight", abi.encodeCall(slashing.proveWeight, (task, setStatement(), rosterBytes())));
    }

    /// @dev Look into whole leaves, unlike the last ones.
    function _set(uint256 trainers_, uint256 words_) private {
        setUpProofs(trainers_, words_, 1000);
        includeTruth();
    }

    function _equivocate() private returns (uint256 gas) {
        ISlashingManager.Equivocation memory e = _equivocation(8);
        gas = _measure("equivocation", abi.encodeCall(slashing.proveEquivocation, (e)));
        _punish(_equivocator(e, committeeOf(task)[8]));
    }

    function _aggregate(uint256 level) private returns (uint256 gas) {
        ProposalStatement memory p = statement(Lie.Aggregate, SIX, 0);
        submit(p);
        for (uint256 first = 0; first < trainers; first += 1 << level) {
            gas += _measure("aggregate", abi.encodeCall(slashing.proveAggregate, (batch(p, first, level))));
        }
        _punish(conviction(Offence.WrongAggregate, SIX));
    }

    function _step() private returns (uint256 gas) {
        ProposalStatement memory p = statement(Lie.Step, SIX, 0);
        submit(p);
        gas = _measure("step", abi.encodeCall(slashing.proveStep, (stepProof(p))));
        _punish(conviction(Offence.WrongStep, SIX));
    }

    function _mask() private returns (uint256 gas) {
        ProposalStatement memory p = statement(Lie.Mask, SIX, 0);
        submit(p);
        bytes32 own = plantMask(1, false);
        bytes memory own_ = maskRootSignature(7, own);
        address signer = signerAt(committeeOf(task)[7]);
        vm.deal(signer, 1 ether);
        vm.prank(signer);
        slashing.openChallenge{value: CHALLENGE_BOND}(p, 7, own, own_);
        log("  challenge", vm.lastCallGas().gasTotalUsed);
        skip(5);
        ISlashingManager.SeedOpening memory o = seedOpening(p, 1);
        o.own = "";
        gas = _measure("mask", abi.encodeCall(slashing.openSeeds, (o)));
    }

    function _punish(Conviction memory c) private {
        uint256 gas = _measure(
            c.validators.length == 1 ? "punish a seat" : "punish six seats", abi.encodeCall(slashing.punish, (c))
        );
        log("    a seat", gas / c.validators.length);
        assertTrue(registry.stakeOf(c.validators[0]) < 50 ether, "nobody was punished");
    }

    function _measure(string memory name, bytes memory data) private returns (uint256 gas) {
        (bool done, bytes memory why) = address(slashing).call(data);
        gas = vm.lastCallGas().gasTotalUsed;
        if (!done) {
            assembly ("memory-safe") {
                revert(add(why, 32), mload(why))
            }
        }
        uint256 floor = floorOf(data);
        if (gas < floor) gas = floor;
        log(string.concat("  ", name), gas);
        log("    bytes", data.length);
        vm.snapshotValue("proofs", _place(name), gas);
        assertTrue(data.length <= CALLDATA_MAX && gas <= GAS_MAX, "too large for a transaction");
    }

    /// @dev Name a transaction by the size of its round and its number there.
    function _place(string memory name) private returns (string memory) {
        string memory size = trainers == 256 ? ", 256 trainers, 1,000,000 words, " : ", 32 trainers, 10,000 words, ";
        if (trainers == 3) size = ", 3 trainers, 1,000,000 words, ";
        return string.concat(name, size, "transaction ", string(abi.encodePacked(uint8(0x31 + _measured++))));
    }

    receive() external payable {}
}
