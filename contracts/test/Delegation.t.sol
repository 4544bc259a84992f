// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IStakeRegistry, Unbonding} from "../src/interfaces/IStakeRegistry.sol";

import {Fixture} from "./Fixture.sol";

contract DelegationTest is Fixture {
    address private constant ANN = address(0xA11);
    address private constant BEN = address(0xBE11);
    address private constant FINDER = address(0xF1D);
    bytes32 private constant SCOPE = keccak256(abi.encode(1, 2));

    function setUp() public {
        deploy();
        addValidator("hospital", 50 ether);
        _endow(ANN);
        _endow(BEN);
    }

    // Delegating.

    function test_delegated_stake_counts_for_the_draw() public {
        _delegate(ANN, 20 ether);
        assertEq(registry.weightOf(0), 70);
        assertEq(registry.stakeOf(0), 70 ether);
        (uint256 amount,,) = registry.positionOf(0, ANN);
        assertEq(amount, 20 ether);
    }

    function test_delegation_needs_a_validator_of_somebody_else_with_stake_of_its_own() public {
        vm.startPrank(ANN);
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.StakeRegistryUnknownValidator.selector, 1));
        registry.delegate(1, 1);
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.StakeRegistryAmount.selector, 0));
        registry.delegate(0, 0);
        vm.stopPrank();
        vm.startPrank(ownerAt(0));
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.StakeRegistryOwnStake.selector, 0));
        registry.delegate(0, 1);
        registry.requestUnstake(0, 41 ether);
        vm.stopPrank();
        vm.prank(ANN);
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.StakeRegistryNotBacked.selector, 0));
        registry.delegate(0, 1);
    }

    function test_a_validator_without_stake_of_its_own_has_no_weight_however_much_is_delegated() public {
        _delegate(ANN, 500 ether);
        assertEq(registry.weightOf(0), 100);
        vm.prank(ownerAt(0));
        registry.requestUnstake(0, 40 ether + 1);
        assertEq(registry.weightOf(0), 0);
    }

    function test_a_delegator_leaves_without_asking_anyone() public {
        _delegate(ANN, 20 ether);
        vm.prank(GUARDIAN);
        registry.pauseEntries(true);
        vm.startPrank(ANN);
        registry.requestUnstake(0, 20 ether);
        skip(UNBONDING);
        assertEq(registry.withdraw(0), 20 ether);
        vm.stopPrank();
        assertEq(registry.weightOf(0), 50);
        assertEq(registry.assetsOf(0), 50 ether);
    }

    function test_a_ninth_request_joins_the_eighth_and_no_exit_is_refused() public {
        _delegate(ANN, 20 ether);
        vm.startPrank(ANN);
        for (uint256 i = 0; i < 9; ++i) {
            registry.requestUnstake(0, 1 ether);
            skip(1);
        }
        (uint256 amount, Unbonding[] memory unbonding,) = registry.positionOf(0, ANN);
        assertEq(amount, 11 ether);
        assertEq(unbonding.length, 8);
        assertEq(unbonding[7].amount, 2 ether);
        assertEq(unbonding[7].releaseAt, block.timestamp - 1 + UNBONDING);
        // The first seven are released in turn, the two last together.
        skip(UNBONDING - 3);
        assertEq(registry.withdraw(0), 7 ether);
        skip(2);
        assertEq(registry.withdraw(0), 2 ether);
        vm.stopPrank();
    }

    function test_entries_can_be_paused_by_the_guardian_alone_and_nothing_else() public {
        vm.expectPartialRevert(IStakeRegistry.StakeRegistryNotGuardian.selector);
        registry.pauseEntries(true);
        vm.prank(GUARDIAN);
        registry.pauseEntries(true);
        vm.prank(ANN);
        vm.expectRevert(IStakeRegistry.StakeRegistryEntriesPaused.selector);
        registry.delegate(0, 1 ether);
        vm.startPrank(ownerAt(0));
        vm.expectRevert(IStakeRegistry.StakeRegistryEntriesPaused.selector);
        registry.stake(0, 1 ether);
        vm.expectRevert(IStakeRegistry.StakeRegistryEntriesPaused.selector);
        registry.register("hospital", signerAt(1), "peer", "");
        registry.rotateKeys(0, signerAt(1), "peer", consentOf(KEY + 1, ownerAt(0), "hospital"));
        registry.requestUnstake(0, 1 ether);
        vm.stopPrank();
        assertEq(_slash(1 ether), 1 ether);
        vm.prank(GUARDIAN);
        registry.pauseEntries(false);
        _delegate(ANN, 1 ether);
    }

    // Pay.

    function test_pay_reaches_delegators_by_their_shares_less_commission() public {
        _commission(1000);
        _delegate(ANN, 30 ether);
        _delegate(BEN, 20 ether);
        // Of 1000: 500 is the owner's stake's; of ANN's 300 and BEN's 200 a tenth is commission.
        assertEq(_reward(1000), 550);
        assertEq(_claim(ANN), 270);
        assertEq(_claim(BEN), 180);
        assertEq(registry.owed(), 0);
    }

    function test_pay_without_delegators_is_the_owners() public {
        assertEq(_reward(1000), 1000);
        assertEq(registry.owed(), 0);
    }

    function test_who_comes_later_has_no_part_in_what_was_earned_before() public {
        _delegate(ANN, 50 ether);
        _reward(1000);
        _delegate(BEN, 100 ether);
        (,, uint256 earned) = registry.positionOf(0, BEN);
        assertEq(earned, 0);
        vm.prank(ANN);
        registry.requestUnstake(0, 50 ether);
        _reward(1500);
        assertEq(_claim(ANN), 500);
        assertEq(_claim(BEN), 1000);
        vm.prank(ANN);
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.StakeRegistryAmount.selector, 0));
        registry.claimRewards(0);
    }

    function test_a_raise_of_the_commission_waits_until_delegators_can_have_left() public {
        _delegate(ANN, 50 ether);
        vm.expectPartialRevert(IStakeRegistry.StakeRegistryNotOwner.selector);
        registry.setCommission(0, 1);
        vm.startPrank(ownerAt(0));
        vm.expectPartialRevert(IStakeRegistry.StakeRegistryCommission.selector);
        registry.setCommission(0, 10_001);
        registry.setCommission(0, 10_000);
        vm.stopPrank();
        skip(UNBONDING - 1);
        assertEq(registry.commissionOf(0), 0);
        assertEq(_reward(1000), 500);
        skip(1);
        assertEq(registry.commissionOf(0), 10_000);
        assertEq(_reward(1000), 1000);
        vm.prank(ownerAt(0));
        registry.setCommission(0, 100);
        assertEq(registry.commissionOf(0), 100);
    }

    function test_only_the_paymaster_credits_pay() public {
        vm.expectPartialRevert(IStakeRegistry.StakeRegistryNotPaymaster.selector);
        registry.creditReward(0, 1);
    }

    // Slashing.

    function test_only_the_slashing_manager_slashes() public {
        vm.expectPartialRevert(IStakeRegistry.StakeRegistryNotSlashingManager.selector);
        registry.slash(0, 1, SCOPE, FINDER);
        vm.prank(registry.slashingManager());
        vm.expectPartialRevert(IStakeRegistry.StakeRegistryUnknownValidator.selector);
        registry.slash(1, 1, SCOPE, FINDER);
    }

    function test_a_slash_takes_own_delegated_and_unbonding_stake_alike() public {
        _delegate(ANN, 30 ether);
        _delegate(BEN, 20 ether);
        vm.prank(BEN);
        registry.requestUnstake(0, 20 ether);
        assertEq(_slash(10 ether), 10 ether);
        assertEq(_worth(ownerAt(0)), 45 ether);
        assertEq(_worth(ANN), 27 ether);
        (uint256 unbonding,) = registry.unbondingOf(0);
        assertEq(unbonding, 18 ether);
        assertEq(registry.weightOf(0), 72);
        skip(UNBONDING);
        vm.prank(BEN);
        assertEq(registry.withdraw(0), 18 ether);
    }

    function test_at_most_a_tenth_is_the_finders_and_the_rest_the_treasurys() public {
        _slash(10 ether + 9);
        assertEq(registry.creditOf(FINDER), 1 ether);
        assertEq(registry.creditOf(TREASURY), 9 ether + 9);
        vm.prank(registry.slashingManager());
        registry.slash(0, 1 ether, "another round", address(0));
        assertEq(registry.creditOf(TREASURY), 10 ether + 9);
        assertEq(registry.payOut(FINDER), 1 ether);
        assertEq(token.balanceOf(FINDER), 1 ether);
        assertEq(registry.payOut(TREASURY), 10 ether + 9);
        assertEq(registry.owed(), 0);
        assertEq(token.balanceOf(address(registry)), registry.assetsOf(0));
    }

    function test_one_round_takes_at_most_its_cap() public {
        assertEq(_slash(20 ether), 20 ether);
        assertEq(_slash(20 ether), 5 ether);
        assertEq(_slash(20 ether), 0);
        vm.prank(registry.slashingManager());
        assertEq(registry.slash(0, 100 ether, "another round", FINDER), 12.5 ether);
        assertEq(registry.stakeOf(0), 12.5 ether);
    }

    function test_stake_that_left_before_its_release_is_slashed_and_after_it_is_gone() public {
        vm.startPrank(ownerAt(0));
        registry.requestUnstake(0, 50 ether);
        vm.stopPrank();
        skip(UNBONDING - 1);
        assertEq(_slash(10 ether), 10 ether);
        skip(1);
        vm.prank(ownerAt(0));
        assertEq(registry.withdraw(0), 40 ether);
        vm.prank(registry.slashingManager());
        assertEq(registry.slash(0, 10 ether, "another round", FINDER), 0);
    }

    function test_weight_follows_a_slash_at_once() public {
        _slash(20.5 ether);
        assertEq(registry.weightOf(0), 29);
        vm.prank(registry.slashingManager());
        registry.slash(0, 14.75 ether, "another round", FINDER);
        vm.prank(registry.slashingManager());
        registry.slash(0, 5 ether, "a third round", FINDER);
        assertEq(registry.stakeOf(0), 9.75 ether);
        assertEq(registry.weightOf(0), 0);
        assertEq(registry.eligibleOrganisations(), 0);
    }

    function test_while_frozen_a_slash_only_ejects() public {
        addValidators(3);
        _freeze();
        _slash(20 ether);
        assertEq(registry.weightOf(0), 50);
        assertTrue(registry.isEjected(0), "slashed between request and draw");
        for (uint256 i = 0; i < 50; ++i) {
            uint256[] memory ids = registry.draw(keccak256(abi.encode(i)), 3, new uint256[](0));
            assertEq(ids[0] * ids[1] * ids[2], 6);
        }
        // Nobody else is left for the fourth seat, and a draw never blocks.
        assertEq(registry.draw("seed", 4, new uint256[](0))[3], 0);
        vm.prank(address(manager));
        registry.thaw();
        registry.refreshWeight(0);
        assertTrue(!registry.isEjected(0), "lighter, and back");
        assertEq(registry.weightOf(0), 30);
    }

    function test_who_is_slashed_or_has_left_does_not_stay_in_a_committee_after_an_abort() public {
        addValidators(3);
        uint256[] memory committee = new uint256[](2);
        committee[1] = 1;
        vm.prank(ownerAt(1));
        registry.requestUnstake(1, 50 ether);
        _freeze();
        _slash(1 ether);
        for (uint256 i = 0; i < 20; ++i) {
            uint256[] memory ids = registry.redraw(keccak256(abi.encode(i)), committee, 0, true);
            assertEq(ids[0] * ids[1], 6);
        }
    }

    // Shares.

    function test_a_validator_that_lost_nearly_all_takes_no_new_stake_and_lets_the_old_out() public {
        for (uint256 i = 0; i < 26; ++i) {
            vm.prank(registry.slashingManager());
            registry.slash(0, 100 ether, keccak256(abi.encode(i)), FINDER);
        }
        uint256 left = _worth(ownerAt(0));
        vm.startPrank(ownerAt(0));
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.StakeRegistryWornOut.selector, 0));
        registry.stake(0, 1 ether);
        registry.requestUnstake(0, left);
        vm.stopPrank();
    }

    /// @dev Whatever others do before, a deposit is worth what was put in, less at most one unit.
    function testFuzz_nobody_can_dilute_a_deposit(uint96 first, uint96 gift, uint16 slashed, uint96 amount) public {
        vm.prank(ANN);
        registry.delegate(0, 1 + first % 1000 ether);
        // A gift to the contract is nobody's.
        vm.prank(ANN);
        token.transfer(address(registry), gift % 1000 ether);
        _slash(registry.assetsOf(0) * (slashed % 5000) / 10_000);
        uint256 all = _worth(ANN);
        if (all != 0) {
            vm.prank(ANN);
            registry.requestUnstake(0, all);
        }
        uint256 put = 1 + amount % 1000 ether;
        vm.prank(ownerAt(0));
        registry.stake(0, 100 ether);
        vm.prank(BEN);
        registry.delegate(0, put);
        assertTrue(_worth(BEN) + 1 >= put && _worth(BEN) <= put, "worth what was put in");
    }

    /// @dev Splitting a position into many requests gains nothing.
    function testFuzz_rounding_never_favours_the_holder(uint96 amount, uint16 slashed, uint96[4] memory parts) public {
        uint256 put = 1 + amount % 1000 ether;
        _delegate(ANN, put);
        uint256 before = registry.assetsOf(0);
        uint256 taken = _slash(before * (slashed % 5000) / 10_000);
        uint256 fair = put * (before - taken) / before;
        vm.startPrank(ANN);
        uint256 got = 0;
        for (uint256 i = 0; i < 4; ++i) {
            uint256 worth = _worth(ANN);
            if (worth == 0) break;
            registry.requestUnstake(0, i == 3 ? worth : 1 + parts[i] % worth);
        }
        if (before != 0 && _leaving(ANN)) {
            skip(UNBONDING);
            got = registry.withdraw(0);
        }
        vm.stopPrank();
        assertTrue(got <= fair, "more than a fair part");
        assertTrue(got + 8 >= fair || _worth(ANN) != 0, "much less than a fair part");
        assertTrue(registry.assetsOf(0) >= registry.stakeOf(0), "shares are covered");
    }

    function _leaving(address holder) private view returns (bool) {
        (, Unbonding[] memory unbonding,) = registry.positionOf(0, holder);
        return unbonding.length != 0;
    }

    function _endow(address account) private {
        token.faucet(account);
        vm.prank(account);
        token.approve(address(registry), type(uint256).max);
    }

    function _delegate(address holder, uint256 amount) private {
        vm.prank(holder);
        registry.delegate(0, amount);
    }

    function _commission(uint256 bps) private {
        vm.prank(ownerAt(0));
        registry.setCommission(0, bps);
        skip(UNBONDING);
    }

    /// @dev Pay the validator as the paymaster does; return the owner's part.
    function _reward(uint256 amount) private returns (uint256 due) {
        vm.prank(registry.paymaster());
        (, due) = registry.creditReward(0, amount);
        vm.prank(CREATOR);
        token.transfer(address(registry), amount - due);
    }

    function _claim(address holder) private returns (uint256) {
        vm.prank(holder);
        return registry.claimRewards(0);
    }

    function _slash(uint256 amount) private returns (uint256) {
        vm.prank(registry.slashingManager());
        return registry.slash(0, amount, SCOPE, FINDER);
    }

    function _worth(address holder) private view returns (uint256 amount) {
        (amount,,) = registry.positionOf(0, holder);
    }

    function _freeze() private {
        vm.prank(address(manager));
        registry.freeze();
    }
}
