// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {CommitRevealBeacon} from "../src/CommitRevealBeacon.sol";
import {ICommitRevealBeacon} from "../src/interfaces/IRandomnessBeacon.sol";
import {Fixture} from "./Fixture.sol";

contract CommitRevealBeaconTest is Fixture {
    uint256 private constant FEE = 1 gwei;

    uint256 private _requests;

    function setUp() public {
        deploy();
        addValidators(20);
        joinBeacon(6);
        vm.deal(address(manager), 1 ether);
    }

    function test_configurations_without_a_treasury_time_or_members_are_refused() public {
        vm.expectRevert(ICommitRevealBeacon.CommitRevealBeaconConfiguration.selector);
        new CommitRevealBeacon(registry, address(manager), address(0), BOND, REVEAL, 1);
        vm.expectRevert(ICommitRevealBeacon.CommitRevealBeaconConfiguration.selector);
        new CommitRevealBeacon(registry, address(manager), TREASURY, BOND, 0, 1);
        vm.expectRevert(ICommitRevealBeacon.CommitRevealBeaconConfiguration.selector);
        new CommitRevealBeacon(registry, address(manager), TREASURY, BOND, REVEAL, 0);
        vm.expectRevert(ICommitRevealBeacon.CommitRevealBeaconConfiguration.selector);
        new CommitRevealBeacon(registry, address(manager), TREASURY, BOND, REVEAL, 17);
    }

    // Membership.

    function test_only_the_signer_of_a_validator_with_weight_joins_with_the_bond() public {
        vm.expectPartialRevert(ICommitRevealBeacon.CommitRevealBeaconNotSigner.selector);
        beacon.commit(6, "tip");
        vm.deal(signerAt(6), 2 * BOND);
        vm.startPrank(signerAt(6));
        vm.expectPartialRevert(ICommitRevealBeacon.CommitRevealBeaconWrongBond.selector);
        beacon.commit{value: BOND - 1}(6, "tip");
        beacon.commit{value: BOND}(6, "tip");
        vm.stopPrank();
        vm.prank(ownerAt(7));
        registry.requestUnstake(7, 50 ether);
        vm.deal(signerAt(7), BOND);
        vm.prank(signerAt(7));
        vm.expectPartialRevert(ICommitRevealBeacon.CommitRevealBeaconNoWeight.selector);
        beacon.commit{value: BOND}(7, "tip");
    }

    function test_an_organisation_has_one_member() public {
        vm.startPrank(ownerAt(0));
        registry.register(organisationAt(0), signerAt(20), "peer", consentOf(KEY + 20, ownerAt(0), organisationAt(0)));
        registry.stake(20, 20 ether);
        vm.stopPrank();
        vm.deal(signerAt(20), BOND);
        vm.prank(signerAt(20));
        vm.expectPartialRevert(ICommitRevealBeacon.CommitRevealBeaconOrganisationPresent.selector);
        beacon.commit{value: BOND}(20, "tip");
    }

    function test_an_onion_is_replaced_without_a_bond_but_never_while_an_answer_is_due() public {
        vm.startPrank(signerAt(0));
        beacon.commit(0, "new tip");
        vm.stopPrank();
        uint256 id = _request();
        vm.startPrank(signerAt(1));
        vm.expectRevert(abi.encodeWithSelector(ICommitRevealBeacon.CommitRevealBeaconOnDuty.selector, id, 1));
        beacon.commit(1, "new tip");
        vm.stopPrank();
        revealAs(id, 1);
        vm.prank(signerAt(1));
        beacon.commit(1, "new tip");
    }

    function test_a_member_leaves_with_its_bond_but_never_while_an_answer_is_due() public {
        uint256 id = _request();
        vm.startPrank(ownerAt(0));
        vm.expectPartialRevert(ICommitRevealBeacon.CommitRevealBeaconOnDuty.selector);
        beacon.leave(0);
        vm.stopPrank();
        revealAs(id, 0);
        vm.expectPartialRevert(ICommitRevealBeacon.CommitRevealBeaconNotOwner.selector);
        beacon.leave(0);
        vm.startPrank(ownerAt(0));
        beacon.leave(0);
        assertEq(ownerAt(0).balance, BOND);
        vm.expectPartialRevert(ICommitRevealBeacon.CommitRevealBeaconNotMember.selector);
        beacon.leave(0);
        vm.stopPrank();
        assertEq(beacon.memberCount(), 5);
        joinBeaconAs(0);
        assertEq(beacon.memberCount(), 6);
    }

    // Requests.

    function test_only_the_consumer_asks() public {
        vm.expectPartialRevert(ICommitRevealBeacon.CommitRevealBeaconNotConsumer.selector);
        beacon.request("context");
    }

    function test_too_few_members_cannot_be_asked() public {
        for (uint256 i = 0; i < 5; ++i) {
            vm.prank(ownerAt(i));
            beacon.leave(i);
        }
        vm.prank(address(manager));
        vm.expectRevert(abi.encodeWithSelector(ICommitRevealBeacon.CommitRevealBeaconTooFewMembers.selector, 1, 2));
        beacon.request("context");
    }

    function test_all_members_up_to_16_are_on_duty_and_more_take_turns() public {
        (uint256[] memory ids,,,) = beacon.requestOf(_request());
        assertEq(ids.length, 6);
        for (uint256 i = 6; i < 20; ++i) {
            joinBeaconAs(i);
        }
        uint256 seen = 0;
        for (uint256 n = 0; n < 2; ++n) {
            (ids,,,) = beacon.requestOf(_request());
            assertEq(ids.length, 16);
            for (uint256 i = 0; i < 16; ++i) {
                seen |= 1 << ids[i];
            }
        }
        assertEq(seen, (1 << 20) - 1);
    }

    function test_a_request_is_ready_when_all_have_answered() public {
        uint256 id = _request();
        for (uint256 i = 0; i < 5; ++i) {
            revealAs(id, i);
        }
        (bool ready, bool failed, bytes32 value) = beacon.seed(id);
        assertTrue(!ready && !failed && value == 0, "one answer is missing");
        revealAs(id, 5);
        (ready, failed, value) = beacon.seed(id);
        assertTrue(ready && !failed && value != 0, "all answers are there");
    }

    function test_one_withheld_answer_fails_the_request_at_the_deadline_and_not_before() public {
        uint256 id = _request();
        _answer(id, 5);
        skip(REVEAL - 1);
        (bool ready, bool failed,) = beacon.seed(id);
        assertTrue(!ready && !failed, "the last may still answer");
        skip(1);
        bytes32 value;
        (ready, failed, value) = beacon.seed(id);
        assertTrue(!ready && failed && value == 0, "five of six");
    }

    function test_the_order_of_answers_says_nothing() public {
        uint256 id = _request();
        uint256[6] memory order = [uint256(3), 0, 5, 1, 4, 2];
        for (uint256 i = 0; i < 6; ++i) {
            revealAs(id, order[i]);
        }
        uint256 entropy = uint160(uint256(keccak256(abi.encode(id))));
        for (uint256 i = 0; i < 6; ++i) {
            entropy ^= uint160(uint256(keccak256(abi.encode(i, onions[i][ONION - 1]))));
        }
        (,, bytes32 value) = beacon.seed(id);
        assertEq(value, keccak256(abi.encode(block.chainid, address(beacon), id, uint160(entropy))));
    }

    function test_unknown_requests_have_no_seed() public {
        vm.expectPartialRevert(ICommitRevealBeacon.CommitRevealBeaconUnknownRequest.selector);
        beacon.seed(1);
        vm.expectPartialRevert(ICommitRevealBeacon.CommitRevealBeaconUnknownRequest.selector);
        beacon.reveal(1, 0, "preimage");
    }

    // Answers.

    function test_only_the_next_layer_counts_once_from_those_on_duty_in_time() public {
        uint256 id = _request();
        vm.expectPartialRevert(ICommitRevealBeacon.CommitRevealBeaconWrongPreimage.selector);
        beacon.reveal(id, 0, bytes32(onions[0][ONION - 2]));
        vm.expectPartialRevert(ICommitRevealBeacon.CommitRevealBeaconNotOnDuty.selector);
        beacon.reveal(id, 6, "preimage");
        _answer(id, 3);
        vm.expectPartialRevert(ICommitRevealBeacon.CommitRevealBeaconOutOfOrder.selector);
        beacon.reveal(id, 0, bytes32(onions[0][ONION - 2]));
        skip(REVEAL);
        vm.expectPartialRevert(ICommitRevealBeacon.CommitRevealBeaconClosed.selector);
        beacon.reveal(id, 3, bytes32(onions[3][ONION - 1]));
    }

    function test_answers_follow_the_order_of_requests() public {
        uint256 first = _request();
        uint256 second = _request();
        revealAs(second, 0);
        vm.expectRevert(
            abi.encodeWithSelector(ICommitRevealBeacon.CommitRevealBeaconOutOfOrder.selector, first, second)
        );
        beacon.reveal(first, 0, bytes32(onions[0][ONION - 2]));
    }

    // Forfeits.

    function test_a_missing_answer_costs_bond_and_membership() public {
        uint256 id = _request();
        _answer(id, 4);
        vm.expectRevert(ICommitRevealBeacon.CommitRevealBeaconNothingDue.selector);
        beacon.close(8);
        skip(REVEAL);
        beacon.close(8);
        assertEq(beacon.memberCount(), 4);
        assertTrue(!beacon.isMember(4) && !beacon.isMember(5), "the silent are out");
        beacon.payTreasury();
        assertEq(TREASURY.balance, 2 * BOND + 2 * FEE);
        vm.expectRevert(ICommitRevealBeacon.CommitRevealBeaconNothingDue.selector);
        beacon.payTreasury();
    }

    function test_the_next_request_leaves_the_silent_out() public {
        uint256 id = _request();
        for (uint256 i = 1; i < 6; ++i) {
            revealAs(id, i);
        }
        skip(REVEAL);
        (uint256[] memory ids,,,) = beacon.requestOf(_request());
        assertEq(ids.length, 5);
        for (uint256 i = 0; i < 5; ++i) {
            assertTrue(ids[i] != 0, "the silent member is asked again");
        }
    }

    function test_a_new_membership_does_not_answer_for_the_old_one() public {
        uint256 first = _request();
        uint256 second = _request();
        for (uint256 i = 1; i < 6; ++i) {
            revealAs(first, i);
        }
        skip(1);
        for (uint256 i = 1; i < 6; ++i) {
            revealAs(second, i);
        }
        skip(REVEAL - 1);
        beacon.close(8);
        joinBeaconAs(0);
        // The second request is still open, but the new onion was chosen after it.
        vm.expectPartialRevert(ICommitRevealBeacon.CommitRevealBeaconOutOfOrder.selector);
        beacon.reveal(second, 0, bytes32(onions[0][ONION - 1]));
        skip(1);
        beacon.close(8);
        assertTrue(beacon.isMember(0), "the new bond answers for new requests only");
        revealAs(_request(), 0);
    }

    function test_silence_in_many_requests_costs_one_bond() public {
        for (uint256 id = 1; id < 7; ++id) {
            _request();
            _answer(id, 3);
        }
        skip(REVEAL);
        beacon.close(100);
        assertEq(beacon.memberCount(), 3);
        beacon.payTreasury();
        assertEq(TREASURY.balance, 3 * BOND + 18 * FEE);
    }

    function test_an_open_request_holds_up_none_behind_it() public {
        uint256 first = _request();
        uint256 second = _request();
        _answer(second, 5);
        skip(REVEAL);
        beacon.close(2);
        assertTrue(beacon.memberCount() == 5 && !beacon.isMember(5), "silent in the second request");
        vm.expectRevert(ICommitRevealBeacon.CommitRevealBeaconNothingDue.selector);
        beacon.close(2);
        beacon.payTreasury();
        assertEq(TREASURY.balance, BOND + FEE);
        // Members that answered the second cannot go back to the first: it ends after a day, and closes once.
        skip(beacon.STALL_SECONDS());
        (, bool failed,) = beacon.seed(first);
        assertTrue(failed, "nobody answered the first");
        beacon.close(2);
        beacon.payTreasury();
        assertEq(TREASURY.balance, BOND + 7 * FEE);
        assertEq(address(beacon).balance, 5 * BOND + 5 * FEE);
    }

    // Stalls.

    function test_a_stalled_finality_slashes_nobody() public {
        uint256 id = _request();
        _answer(id, 2);
        skip(20 * REVEAL);
        (, bool failed,) = beacon.seed(id);
        assertTrue(!failed, "most members cannot answer yet");
        vm.expectRevert(ICommitRevealBeacon.CommitRevealBeaconNothingDue.selector);
        beacon.close(8);
        for (uint256 i = 2; i < 6; ++i) {
            revealAs(id, i);
        }
        (bool ready,,) = beacon.seed(id);
        assertTrue(ready, "the same request goes on");
        assertEq(beacon.memberCount(), 6);
    }

    function test_the_answer_that_makes_the_half_starts_the_clock() public {
        uint256 id = _request();
        skip(10 * REVEAL);
        _answer(id, 2);
        (,, uint256 deadline,) = beacon.requestOf(id);
        assertTrue(deadline > block.timestamp + REVEAL, "two of six");
        skip(1);
        revealAs(id, 2);
        (,, deadline,) = beacon.requestOf(id);
        assertEq(deadline, block.timestamp + REVEAL);
        skip(REVEAL - 1);
        revealAs(id, 3);
        (,, uint256 after_,) = beacon.requestOf(id);
        assertEq(after_, deadline);
        skip(1);
        beacon.close(1);
        assertTrue(!beacon.isMember(4) && !beacon.isMember(5), "four of six have seen the request in time");
        beacon.payTreasury();
        assertEq(TREASURY.balance, 2 * BOND + 2 * FEE);
    }

    function test_half_of_an_odd_number_is_rounded_up() public {
        vm.prank(ownerAt(5));
        beacon.leave(5);
        uint256 id = _request();
        _answer(id, 2);
        (,, uint256 deadline,) = beacon.requestOf(id);
        assertTrue(deadline > block.timestamp + REVEAL, "two of five");
        revealAs(id, 2);
        (,, deadline,) = beacon.requestOf(id);
        assertEq(deadline, block.timestamp + REVEAL);
    }

    function test_after_a_day_of_silence_most_members_are_dismissed_with_their_bonds() public {
        uint256 id = _request();
        _answer(id, 2);
        skip(beacon.STALL_SECONDS());
        (, bool failed,) = beacon.seed(id);
        assertTrue(failed, "a day");
        vm.expectPartialRevert(ICommitRevealBeacon.CommitRevealBeaconClosed.selector);
        beacon.reveal(id, 2, bytes32(onions[2][ONION - 1]));
        beacon.close(1);
        assertEq(beacon.memberCount(), 2);
        beacon.payTreasury();
        assertEq(TREASURY.balance, 4 * FEE);
        assertTrue(beacon.isDismissed(2) && beacon.isDismissed(5) && !beacon.isDismissed(0), "who was silent");
        assertEq(address(beacon).balance, 6 * BOND + 2 * FEE);
    }

    function test_a_dismissed_member_joins_again_or_leaves_with_the_bond_that_is_here() public {
        _request();
        skip(beacon.STALL_SECONDS());
        beacon.close(1);
        assertEq(beacon.memberCount(), 0);
        vm.deal(signerAt(0), BOND);
        vm.startPrank(signerAt(0));
        vm.expectPartialRevert(ICommitRevealBeacon.CommitRevealBeaconWrongBond.selector);
        beacon.commit{value: BOND}(0, "tip");
        beacon.commit(0, "tip");
        vm.stopPrank();
        assertTrue(beacon.isMember(0) && !beacon.isDismissed(0), "a member again");
        vm.startPrank(ownerAt(1));
        beacon.leave(1);
        assertEq(ownerAt(1).balance, BOND);
        vm.expectPartialRevert(ICommitRevealBeacon.CommitRevealBeaconNotMember.selector);
        beacon.leave(1);
        vm.stopPrank();
        joinBeaconAs(1);
        assertEq(address(beacon).balance - 6 * FEE, 6 * BOND);
    }

    // Fees.

    function test_answers_are_paid_once_to_the_owner() public {
        uint256 id = _request();
        uint256[] memory ids = new uint256[](1);
        ids[0] = id;
        vm.expectRevert(ICommitRevealBeacon.CommitRevealBeaconNothingDue.selector);
        beacon.claimReveals(0, ids);
        revealAs(id, 0);
        beacon.claimReveals(0, ids);
        assertEq(ownerAt(0).balance, FEE);
        vm.expectRevert(ICommitRevealBeacon.CommitRevealBeaconNothingDue.selector);
        beacon.claimReveals(0, ids);
        vm.expectRevert(ICommitRevealBeacon.CommitRevealBeaconNothingDue.selector);
        beacon.claimReveals(6, ids);
    }

    function test_what_does_not_divide_goes_to_the_treasury() public {
        vm.prank(address(manager));
        beacon.request{value: 6 * FEE + 5}("context");
        beacon.payTreasury();
        assertEq(TREASURY.balance, 5);
    }

    /// @dev The first `count` members answer.
    function _answer(uint256 id, uint256 count) private {
        for (uint256 i = 0; i < count; ++i) {
            revealAs(id, i);
        }
    }

    function _request() private returns (uint256 id) {
        uint256 next = _requests++ + 1;
        uint256 value = beacon.duties() * FEE;
        vm.prank(address(manager));
        id = beacon.request{value: value}(keccak256(abi.encode(next)));
        assertEq(id, next);
    }
}
