// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IDutyManager} from "../src/interfaces/IDutyManager.sol";
import {ProposalStatement} from "../src/interfaces/Types.sol";
import {ProofFixture} from "./ProofFixture.sol";
import {Vm} from "./Vm.sol";

/// @notice The code of an account with a key (EIP-7702): when it is paid, an accomplice makes the call it has been given.
contract Accomplice {
    Vm private constant VM = Vm(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);
    address private _caller;
    address private _target;
    bytes private _data;

    function wait(address caller, address target, bytes calldata data) external payable {
        (_caller, _target, _data) = (caller, target, data);
    }

    receive() external payable {
        VM.prank(_caller);
        (bool done,) = _target.call{value: 0.01 ether}(_data);
        done;
    }
}

/// @notice Who is paid back cannot come in between.
contract ReentrancyTest is ProofFixture {
    uint256 private constant SIX = 0x3f;

    function test_a_stale_bond_that_is_paid_back_opens_no_second_lock() public {
        setUpProofs(5, 600);
        includeTruth();
        ProposalStatement memory p = statement(Lie.None, SIX, 0);
        submit(p);
        bytes32 own = plantMask(1, true);
        _challenge(p, 7, own);
        _strike(p);
        skip(5);
        p = statement(Lie.None, SIX, 4);
        submit(p);
        bytes memory signature_ = maskRootSignature(1, own);
        address first = signerAt(committeeOf(task)[7]);
        vm.etch(first, address(new Accomplice()).code);
        address second = signerAt(committeeOf(task)[1]);
        vm.deal(second, 1 ether);
        bytes memory data = abi.encodeCall(slashing.openChallenge, (p, 1, own, signature_));
        Accomplice(payable(first)).wait(second, address(slashing), data);
        _challenge(p, 4, own);
        assertEq(manager.attemptOf(task).holds, 1);
        assertEq(address(slashing).balance, CHALLENGE_BOND);
    }

    function _challenge(ProposalStatement memory p, uint256 seat, bytes32 own) private {
        bytes memory signature_ = maskRootSignature(seat, own);
        address signer = signerAt(committeeOf(task)[seat]);
        vm.deal(signer, 1 ether);
        vm.prank(signer);
        slashing.openChallenge{value: CHALLENGE_BOND}(p, seat, own, signature_);
    }

    /// @dev A question that nobody answers.
    function _strike(ProposalStatement memory p) private {
        IDutyManager.TreeQuestion memory q;
        (q.proposal, q.tree, q.level) = (p, 0, 1);
        bytes32 question = duties.askTree{value: CHALLENGE_BOND}(q);
        skip(15);
        duties.closeQuestion(question);
    }

    receive() external payable {}
}
