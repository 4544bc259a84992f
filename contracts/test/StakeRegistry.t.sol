// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {Authorities, IStakeRegistry, StakeTerms} from "../src/interfaces/IStakeRegistry.sol";
import {Committee} from "../src/libraries/Committee.sol";
import {Seating} from "../src/libraries/Seating.sol";
import {StakeRegistry} from "../src/StakeRegistry.sol";
import {Fixture} from "./Fixture.sol";

/// @notice A token that keeps one unit of every transfer.
contract FeeToken is ERC20 {
    constructor() ERC20("Fee", "FEE") {
        _mint(msg.sender, 1e30);
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (from != address(0) && to != address(0)) super._update(to, address(1), 1);
    }
}

contract StakeRegistryTest is Fixture {
    bytes32 private constant DRAWN = 0x9d9033e6a5caf31ab7a700e66920bc6b3dae8811d6621ddb1b5845f1de25bb41;

    uint256 private constant NOBODY = 999;

    function setUp() public {
        deploy();
    }

    function test_bounds_of_stake_are_sound() public {
        _boundsRefused(StakeTerms(1 ether - 1, 10 ether, 1, 1));
        _boundsRefused(StakeTerms(2 ether, 2 ether - 1, 1, 1));
        _boundsRefused(StakeTerms(1 ether, (1 << 47) * 1 ether, 1, 1));
        _boundsRefused(StakeTerms(1 ether, 10 ether, 1, 0));
        _boundsRefused(StakeTerms(1 ether, 10 ether, 1, 10_001));
        Authorities memory by = authorities(address(this));
        by.treasury = address(0);
        vm.expectRevert(IStakeRegistry.StakeRegistryZero.selector);
        new StakeRegistry(token, by, stakeTerms());
    }

    // Admission.

    function test_only_the_registrar_admits_organisations() public {
        vm.expectPartialRevert(IStakeRegistry.StakeRegistryNotRegistrar.selector);
        registry.admitOrganisation("hospital", address(1));
    }

    function test_without_a_registrar_anybody_admits() public {
        registry = _openToAll(token);
        registry.admitOrganisation("hospital", address(1));
    }

    function test_an_organisation_is_admitted_once_and_never_without_a_name_or_owner() public {
        vm.startPrank(REGISTRAR);
        vm.expectRevert(IStakeRegistry.StakeRegistryZero.selector);
        registry.admitOrganisation(0, address(1));
        vm.expectRevert(IStakeRegistry.StakeRegistryZero.selector);
        registry.admitOrganisation("hospital", address(0));
        registry.admitOrganisation("hospital", address(1));
        vm.expectPartialRevert(IStakeRegistry.StakeRegistryOrganisationKnown.selector);
        registry.admitOrganisation("hospital", address(2));
        vm.stopPrank();
    }

    function test_only_the_owner_of_an_admitted_organisation_registers() public {
        vm.expectPartialRevert(IStakeRegistry.StakeRegistryNotOrganisationOwner.selector);
        registry.register("hospital", signerAt(0), "peer", "");
        vm.prank(REGISTRAR);
        registry.admitOrganisation("hospital", address(1));
        vm.expectPartialRevert(IStakeRegistry.StakeRegistryNotOrganisationOwner.selector);
        registry.register("hospital", signerAt(0), "peer", "");
    }

    function test_keys_are_whole_and_serve_one_validator() public {
        addValidator("hospital", 50 ether);
        vm.startPrank(ownerAt(0));
        vm.expectPartialRevert(IStakeRegistry.StakeRegistrySignerKnown.selector);
        registry.register("hospital", signerAt(0), "peer", "");
        vm.expectRevert(IStakeRegistry.StakeRegistryZero.selector);
        registry.register("hospital", address(0), "peer", "");
        vm.expectPartialRevert(IStakeRegistry.StakeRegistryPeerLength.selector);
        registry.register("hospital", signerAt(1), "", "");
        vm.expectPartialRevert(IStakeRegistry.StakeRegistryPeerLength.selector);
        registry.register("hospital", signerAt(1), new bytes(65), "");
        vm.stopPrank();
        assertEq(registry.validatorOf(signerAt(0)), 0);
        assertEq(registry.signerOf(0), signerAt(0));
        assertEq(registry.organisationOf(0), "hospital");
        vm.expectPartialRevert(IStakeRegistry.StakeRegistryUnknownSigner.selector);
        registry.validatorOf(signerAt(1));
    }

    // Stake and weight.

    function test_weight_is_stake_in_whole_tokens() public {
        addValidator("hospital", 50.9 ether);
        assertEq(registry.weightOf(0), 50);
        assertEq(registry.totalWeight(), 50);
        assertEq(registry.stakeOf(0), 50.9 ether);
        assertEq(registry.eligibleOrganisations(), 1);
    }

    function test_stake_below_the_minimum_has_no_weight() public {
        addValidator("hospital", STAKE_MIN - 1);
        assertEq(registry.weightOf(0), 0);
        assertEq(registry.eligibleOrganisations(), 0);
        vm.prank(ownerAt(0));
        registry.stake(0, 1);
        assertEq(registry.weightOf(0), 10);
        assertEq(registry.eligibleOrganisations(), 1);
    }

    function test_weight_is_capped_for_an_organisation_as_a_whole() public {
        addValidator("hospital", 80 ether);
        vm.startPrank(ownerAt(0));
        registry.register("hospital", signerAt(1), "peer", consentOf(KEY + 1, ownerAt(0), "hospital"));
        registry.stake(1, 80 ether);
        assertEq(registry.weightOf(1), 20);
        registry.requestUnstake(0, 80 ether);
        assertEq(registry.weightOf(1), 20);
        vm.stopPrank();
        registry.refreshWeight(1);
        assertEq(registry.weightOf(1), 80);
        assertEq(registry.eligibleOrganisations(), 1);
    }

    function test_only_the_owner_moves_stake() public {
        addValidator("hospital", 50 ether);
        bytes memory refusal = abi.encodeWithSelector(IStakeRegistry.StakeRegistryNotOwner.selector, 0, address(this));
        vm.expectRevert(refusal);
        registry.stake(0, 1);
        // Who is not the owner has only its own stake to take.
        vm.expectPartialRevert(IStakeRegistry.StakeRegistryAmount.selector);
        registry.requestUnstake(0, 1);
        vm.expectPartialRevert(IStakeRegistry.StakeRegistryAmount.selector);
        registry.withdraw(0);
        vm.expectPartialRevert(IStakeRegistry.StakeRegistryNotOwner.selector);
        registry.stake(NOBODY, 1);
    }

    function test_amounts_are_positive_and_covered() public {
        addValidator("hospital", 50 ether);
        vm.startPrank(ownerAt(0));
        vm.expectPartialRevert(IStakeRegistry.StakeRegistryAmount.selector);
        registry.stake(0, 0);
        vm.expectPartialRevert(IStakeRegistry.StakeRegistryAmount.selector);
        registry.stake(0, uint256(type(uint96).max) + 1);
        vm.expectPartialRevert(IStakeRegistry.StakeRegistryAmount.selector);
        registry.requestUnstake(0, 0);
        vm.expectPartialRevert(IStakeRegistry.StakeRegistryAmount.selector);
        registry.requestUnstake(0, 50 ether + 1);
        vm.expectPartialRevert(IStakeRegistry.StakeRegistryAmount.selector);
        registry.withdraw(0);
        vm.stopPrank();
    }

    function test_unbonding_stake_waits_out_its_delay() public {
        addValidator("hospital", 50 ether);
        uint256 before = token.balanceOf(ownerAt(0));
        vm.startPrank(ownerAt(0));
        registry.requestUnstake(0, 45 ether);
        assertEq(registry.weightOf(0), 0);
        skip(UNBONDING - 1);
        vm.expectRevert(
            abi.encodeWithSelector(IStakeRegistry.StakeRegistryUnbondingNotElapsed.selector, block.timestamp + 1)
        );
        registry.withdraw(0);
        skip(1);
        assertEq(registry.withdraw(0), 45 ether);
        vm.stopPrank();
        assertEq(token.balanceOf(ownerAt(0)), before + 45 ether);
        assertEq(registry.stakeOf(0), 5 ether);
        assertEq(token.balanceOf(address(registry)), 5 ether);
    }

    function test_each_request_waits_out_its_own_delay() public {
        addValidator("hospital", 50 ether);
        vm.startPrank(ownerAt(0));
        registry.requestUnstake(0, 10 ether);
        skip(UNBONDING - 1);
        registry.requestUnstake(0, 5 ether);
        skip(1);
        assertEq(registry.withdraw(0), 10 ether);
        vm.expectPartialRevert(IStakeRegistry.StakeRegistryUnbondingNotElapsed.selector);
        registry.withdraw(0);
        skip(UNBONDING);
        assertEq(registry.withdraw(0), 5 ether);
        vm.stopPrank();
    }

    function test_a_token_that_keeps_a_fee_is_refused() public {
        FeeToken fee = new FeeToken();
        registry = _openToAll(fee);
        registry.admitOrganisation("hospital", address(this));
        registry.register("hospital", signerAt(0), "peer", consentOf(KEY, address(this), "hospital"));
        fee.approve(address(registry), 1 ether);
        vm.expectPartialRevert(IStakeRegistry.StakeRegistryAmount.selector);
        registry.stake(0, 1 ether);
    }

    // Freezing.

    function test_only_the_round_manager_freezes_and_thaws() public {
        vm.expectPartialRevert(IStakeRegistry.StakeRegistryNotRoundManager.selector);
        registry.freeze();
        vm.expectPartialRevert(IStakeRegistry.StakeRegistryNotRoundManager.selector);
        registry.thaw();
    }

    function test_frozen_weights_do_not_follow_stake() public {
        addValidator("hospital", 50 ether);
        vm.startPrank(address(manager));
        registry.freeze();
        registry.freeze();
        registry.thaw();
        vm.stopPrank();
        vm.prank(ownerAt(0));
        registry.requestUnstake(0, 50 ether);
        assertEq(registry.weightOf(0), 50);
        vm.expectPartialRevert(IStakeRegistry.StakeRegistryFrozen.selector);
        registry.refreshWeight(0);
        vm.prank(address(manager));
        registry.thaw();
        registry.refreshWeight(0);
        assertEq(registry.weightOf(0), 0);
        vm.expectPartialRevert(IStakeRegistry.StakeRegistryUnknownValidator.selector);
        registry.refreshWeight(1);
    }

    // The draw.

    function testFuzz_a_draw_agrees_with_its_definition(bytes32 seed, uint256 count, uint256 seats_, uint256 out)
        public
    {
        count = 1 + count % 14;
        seats_ = seats_ % (count + 1);
        for (uint256 i = 0; i < count; ++i) {
            addValidator(organisationAt(i), (10 + 13 * i % 90) * 1 ether);
        }
        _secondOfFirstOrganisation();
        uint256[] memory excluded = new uint256[](seats_ < count ? 1 : 0);
        if (excluded.length == 1) excluded[0] = out % (count + 1);
        uint256[] memory ids = registry.draw(seed, seats_, excluded);
        uint256[] memory expected = _reference(seed, seats_, excluded);
        for (uint256 i = 0; i < seats_; ++i) {
            assertEq(ids[i], expected[i]);
        }
    }

    function test_too_few_organisations_cannot_be_drawn() public {
        addValidators(3);
        _secondOfFirstOrganisation();
        uint256[] memory excluded = new uint256[](1);
        excluded[0] = 1;
        vm.expectRevert(abi.encodeWithSelector(Seating.StakeRegistryTooFewOrganisations.selector, 3, 4));
        registry.draw("seed", 4, new uint256[](0));
        vm.expectRevert(abi.encodeWithSelector(Seating.StakeRegistryTooFewOrganisations.selector, 2, 3));
        registry.draw("seed", 3, excluded);
        assertEq(registry.eligibleOrganisationsWithout(excluded), 2);
    }

    /// @dev Of two seats each ordered pair has the chance of drawing one after the other without replacement.
    function test_pairs_of_seats_follow_the_weights_and_are_those_of_the_reference() public {
        for (uint256 i = 0; i < 6; ++i) {
            addValidator(organisationAt(i), 10 * (i + 1) * 1 ether);
        }
        uint256[36] memory found;
        bytes32 digest;
        for (uint256 i = 0; i < 2000; ++i) {
            uint256[] memory ids = registry.draw(keccak256(abi.encode(i)), 2, new uint256[](0));
            ++found[6 * ids[0] + ids[1]];
            digest = keccak256(abi.encode(digest, ids[0], ids[1]));
        }
        // The same in tests/simulation/test_ledger_draw.py.
        assertEq(digest, DRAWN);
        uint256 chiSquare = 0; // in millionths
        for (uint256 cell = 0; cell < 36; ++cell) {
            (uint256 first, uint256 second) = (10 * (cell / 6 + 1), 10 * (cell % 6 + 1));
            if (first == second) continue;
            uint256 expected = 1e6 * 2000 * first * second / (210 * (210 - first));
            uint256 distance = 1e6 * found[cell] > expected ? 1e6 * found[cell] - expected : expected - 1e6 * found[cell];
            chiSquare += distance * distance / expected;
        }
        // 30 cells: in one of a thousand such samples it is above 58.3.
        assertTrue(chiSquare < 58.3e6, "chi-square");
    }

    // After an abort.

    function testFuzz_the_present_stay_and_others_fill_the_gaps(bytes32 seed, uint256 noShows) public {
        addValidators(12);
        uint256[] memory committee = registry.draw(seed, 9, new uint256[](0));
        noShows &= 511;
        uint256 absent = countBits(noShows);
        uint256[] memory ids = registry.redraw(seed, committee, noShows, true);
        uint256 seated = _bitmap(ids);
        assertEq(countBits(seated), 9);
        for (uint256 seat = 0; seat < 9; ++seat) {
            bool present = (noShows >> seat) & 1 == 0;
            if (present) assertTrue((seated >> committee[seat]) & 1 == 1, "the present stay");
        }
        // Three others exist; whoever is left comes from the absent.
        uint256 others = countBits(seated & ~_bitmap(committee));
        assertEq(others, absent < 3 ? absent : 3);
    }

    function testFuzz_a_fresh_draw_leaves_the_absent_out_while_enough_are_left(bytes32 seed, uint256 noShows) public {
        addValidators(12);
        uint256[] memory committee = registry.draw(seed, 9, new uint256[](0));
        noShows &= 511;
        (, uint256[] memory absent) = Committee.split(committee, noShows);
        uint256[] memory ids = registry.redraw(seed, committee, noShows, false);
        assertEq(countBits(_bitmap(ids)), 9);
        if (absent.length <= 3) assertEq(_bitmap(ids) & _bitmap(absent), 0);
        else assertEq(_bitmap(ids), _bitmap(registry.draw(seed, 9, new uint256[](0))));
    }

    function _boundsRefused(StakeTerms memory terms) private {
        vm.expectPartialRevert(IStakeRegistry.StakeRegistryBounds.selector);
        new StakeRegistry(token, authorities(address(this)), terms);
    }

    function _openToAll(IERC20 stakeToken) private returns (StakeRegistry) {
        Authorities memory by = authorities(address(this));
        by.registrar = address(0);
        return new StakeRegistry(stakeToken, by, stakeTerms());
    }

    function _secondOfFirstOrganisation() private {
        uint256 validator = registry.validatorCount();
        vm.startPrank(ownerAt(0));
        registry.register(
            organisationAt(0), signerAt(validator), "peer", consentOf(KEY + validator, ownerAt(0), organisationAt(0))
        );
        registry.stake(validator, 20 ether);
        vm.stopPrank();
    }

    function _bitmap(uint256[] memory ids) private pure returns (uint256 bitmap) {
        for (uint256 i = 0; i < ids.length; ++i) {
            bitmap |= 1 << ids[i];
        }
    }

    /// @dev The text of IStakeRegistry.draw, without a tree.
    function _reference(bytes32 seed, uint256 seats_, uint256[] memory excluded)
        private
        view
        returns (uint256[] memory ids)
    {
        ids = new uint256[](seats_);
        uint256 found = 0;
        uint256 count = registry.validatorCount();
        for (uint256 i = 0; i < 8 * seats_ + count && found < seats_; ++i) {
            uint256 id;
            if (i < 8 * seats_) {
                uint256 x = uint256(keccak256(abi.encode(seed, i))) % registry.totalWeight();
                for (; x >= registry.weightOf(id); ++id) {
                    x -= registry.weightOf(id);
                }
            } else {
                id = (uint256(keccak256(abi.encode(seed, "fill"))) % count + i - 8 * seats_) % count;
                if (registry.weightOf(id) == 0) continue;
            }
            bool closed = excluded.length == 1 && registry.organisationOf(id) == registry.organisationOf(excluded[0]);
            for (uint256 j = 0; j < found && !closed; ++j) {
                closed = registry.organisationOf(id) == registry.organisationOf(ids[j]);
            }
            if (!closed) ids[found++] = id;
        }
    }
}
