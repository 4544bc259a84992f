// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IStakeRegistry} from "../src/interfaces/IStakeRegistry.sol";
import {Fixture} from "./Fixture.sol";

contract ValidatorKeysTest is Fixture {
    uint256 private constant NEW = KEY + 100;

    function setUp() public {
        deploy();
        addValidator("hospital", 50 ether);
    }

    function test_nobody_registers_a_key_that_has_not_consented() public {
        address owner = ownerAt(0);
        bytes memory ofAnotherOwner = consentOf(NEW, address(this), "hospital");
        bytes memory ofAnotherPlace = consentOf(NEW, owner, "another hospital");
        bytes memory ofAnotherKey = consentOf(KEY, owner, "hospital");
        bytes memory consent = consentOf(NEW, owner, "hospital");
        vm.startPrank(owner);
        _refused(ofAnotherOwner);
        _refused(ofAnotherPlace);
        _refused(ofAnotherKey);
        _refused("");
        vm.expectPartialRevert(IStakeRegistry.StakeRegistryNoConsent.selector);
        registry.register("hospital", vm.addr(NEW), "another peer", consent);
        assertEq(registry.register("hospital", vm.addr(NEW), "peer", consent), 1);
        vm.stopPrank();
    }

    function test_only_the_owner_rotates_and_only_to_a_new_key_that_consents() public {
        bytes memory consent = consentOf(NEW, ownerAt(0), "hospital");
        vm.expectPartialRevert(IStakeRegistry.StakeRegistryNotOwner.selector);
        registry.rotateKeys(0, vm.addr(NEW), "peer", consent);
        vm.startPrank(ownerAt(0));
        vm.expectPartialRevert(IStakeRegistry.StakeRegistryNoConsent.selector);
        registry.rotateKeys(0, vm.addr(NEW + 1), "peer", consent);
        registry.rotateKeys(0, vm.addr(NEW), "peer", consent);
        consent = consentOf(KEY, ownerAt(0), "hospital");
        skip(1);
        // The old key has signed for this validator: it can never sign for anything else.
        vm.expectPartialRevert(IStakeRegistry.StakeRegistrySignerKnown.selector);
        registry.rotateKeys(0, signerAt(0), "peer", consent);
        vm.expectRevert(IStakeRegistry.StakeRegistryZero.selector);
        registry.rotateKeys(0, address(0), "peer", consent);
        vm.stopPrank();
    }

    function test_a_rotation_counts_from_the_next_second() public {
        uint256 time = block.timestamp;
        _rotate(NEW);
        assertEq(registry.signerOf(0), signerAt(0));
        bytes memory consent = consentOf(NEW + 1, ownerAt(0), "hospital");
        vm.prank(ownerAt(0));
        vm.expectPartialRevert(IStakeRegistry.StakeRegistryRotating.selector);
        registry.rotateKeys(0, vm.addr(NEW + 1), "peer", consent);
        skip(1);
        assertEq(registry.signerOf(0), vm.addr(NEW));
        assertEq(registry.signerAt(0, time), signerAt(0));
        assertEq(registry.signerAt(0, time + 1), vm.addr(NEW));
    }

    function test_a_new_peer_id_leaves_the_key_as_it_is() public {
        uint256 time = block.timestamp;
        bytes32 digest = registry.consentDigest(ownerAt(0), "hospital", "other");
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(KEY, digest);
        vm.prank(ownerAt(0));
        registry.rotateKeys(0, signerAt(0), "other", abi.encodePacked(r, s, v));
        assertEq(registry.signerAt(0, time), signerAt(0));
        assertEq(registry.signerOf(0), signerAt(0));
    }

    function testFuzz_every_signer_of_the_past_is_found(uint8 rotations, uint32 gap, uint256 asked) public {
        uint256 count = 1 + rotations % 12;
        uint256 start = block.timestamp;
        uint256[] memory since = new uint256[](count);
        for (uint256 i = 0; i < count; ++i) {
            skip(1 + gap % (i + 7));
            _rotate(NEW + i);
            since[i] = block.timestamp + 1;
        }
        skip(2);
        uint256 time = start + asked % (block.timestamp - start + 1);
        address expected = signerAt(0);
        for (uint256 i = 0; i < count && since[i] <= time; ++i) {
            expected = vm.addr(NEW + i);
        }
        assertEq(registry.signerAt(0, time), expected);
        uint256[] memory ids = new uint256[](1);
        assertEq(registry.signersAt(ids, time)[0], expected);
        // Evidence finds its validator, whichever of its keys signed it.
        assertEq(registry.validatorOf(expected), 0);
        assertEq(registry.validatorOf(signerAt(0)), 0);
    }

    function _rotate(uint256 key) private {
        bytes memory consent = consentOf(key, ownerAt(0), "hospital");
        vm.prank(ownerAt(0));
        registry.rotateKeys(0, vm.addr(key), "peer", consent);
    }

    function _refused(bytes memory consent) private {
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.StakeRegistryNoConsent.selector, vm.addr(NEW)));
        registry.register("hospital", vm.addr(NEW), "peer", consent);
    }
}
