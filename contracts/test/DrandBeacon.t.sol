// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {DrandBeacon} from "../src/DrandBeacon.sol";
import {DrandNetwork, IDrandBeacon} from "../src/interfaces/IRandomnessBeacon.sol";
import {Bls12381} from "../src/libraries/Bls12381.sol";
import {Phase} from "../src/interfaces/Types.sol";
import {DrandFixture} from "./DrandFixture.sol";

contract DrandBeaconTest is DrandFixture {
    uint256 private constant FEE = 1 gwei;
    /// @dev Published by quicknet; y is the root that the compressed form names.
    bytes private constant ROUND_1000 = hex"144679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125e342b73a8dd2bacbe47e4b6b63ed5e39"
        hex"11f92e4521ef54f047b64b85fa98db2d46f0f44add1f60b93f8a0dbddd63b34f238657c2d93aed18b90bddd60a01b6d2";
    /// @dev On the curve and not in the group: x = 4.
    bytes private constant OUTSIDE = hex"000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000004"
        hex"0a989badd40d6212b33cffc3f3763e9bc760f988c9926b26da9dd85e928483446346b8ed00e1de5d5ea93e354abe706c";

    DrandBeacon private _quicknet;

    function setUp() public {
        deploy();
        vm.deal(address(manager), 1 ether);
        _quicknet = new DrandBeacon(address(manager), TREASURY, quicknet(), LEAD, PROVE);
    }

    function test_configurations_without_a_clock_a_tag_or_a_key_are_refused() public {
        DrandNetwork memory n = consortium();
        n.genesis = 0;
        _configurationRefused(n, TREASURY, LEAD, PROVE);
        n = consortium();
        n.period = 0;
        _configurationRefused(n, TREASURY, LEAD, PROVE);
        n = consortium();
        n.dst = "";
        _configurationRefused(n, TREASURY, LEAD, PROVE);
        n.dst = new bytes(65);
        _configurationRefused(n, TREASURY, LEAD, PROVE);
        n = consortium();
        _configurationRefused(n, address(0), LEAD, PROVE);
        _configurationRefused(n, TREASURY, PERIOD - 1, PROVE);
        _configurationRefused(n, TREASURY, LEAD, 0);
    }

    function test_keys_that_are_infinity_too_short_or_outside_the_group_are_refused() public {
        DrandNetwork memory n = consortium();
        n.publicKey = new bytes(256);
        vm.expectRevert(Bls12381.Bls12381Infinity.selector);
        new DrandBeacon(address(manager), TREASURY, n, LEAD, PROVE);
        n.publicKey = new bytes(255);
        vm.expectRevert(abi.encodeWithSelector(Bls12381.Bls12381Length.selector, 255));
        new DrandBeacon(address(manager), TREASURY, n, LEAD, PROVE);
        n = consortium();
        n.publicKey[200] ^= 0x01;
        vm.expectPartialRevert(Bls12381.Bls12381Refused.selector);
        new DrandBeacon(address(manager), TREASURY, n, LEAD, PROVE);
    }

    // Signatures.

    function test_round_1000_of_quicknet_verifies() public view {
        bytes32 randomness = _quicknet.verify(1000, ROUND_1000);
        assertEq(randomness, 0xfe290beca10872ef2fb164d2aa4442de4566183ec51c56ff3cd603d930e54fdd);
    }

    function test_wrong_rounds_and_other_keys_are_refused() public {
        vm.expectRevert(abi.encodeWithSelector(IDrandBeacon.DrandBeaconWrongSignature.selector, 999));
        _quicknet.verify(999, ROUND_1000);
        vm.expectRevert(abi.encodeWithSelector(IDrandBeacon.DrandBeaconWrongSignature.selector, 1001));
        _quicknet.verify(1001, ROUND_1000);
        vm.expectRevert(abi.encodeWithSelector(IDrandBeacon.DrandBeaconWrongSignature.selector, 1000));
        drand.verify(1000, ROUND_1000);
    }

    function test_the_other_root_of_y_is_refused() public {
        // p - y: the signature with the opposite sign.
        bytes memory minusY =
            hex"0807e3a5179091aa03655c3048b2d1aa1d86573a1665b20627a6c4e3194d42d4fb25a83bd81912e700f32229f5fdf3d9";
        bytes memory other = bytes.concat(slice(ROUND_1000, 0), minusY);
        vm.expectRevert(abi.encodeWithSelector(IDrandBeacon.DrandBeaconWrongSignature.selector, 1000));
        _quicknet.verify(1000, other);
    }

    function testFuzz_a_flipped_bit_is_refused(uint256 bit) public {
        bit = bit % 768;
        bytes memory signature = ROUND_1000;
        signature[bit / 8] ^= bytes1(uint8(1 << (bit % 8)));
        vm.expectPartialRevert(Bls12381.Bls12381Refused.selector);
        _quicknet.verify(1000, signature);
    }

    function test_infinity_other_lengths_and_points_outside_the_group_are_refused() public {
        vm.expectRevert(Bls12381.Bls12381Infinity.selector);
        _quicknet.verify(1000, new bytes(96));
        vm.expectRevert(abi.encodeWithSelector(Bls12381.Bls12381Length.selector, 48));
        _quicknet.verify(1000, slice(ROUND_1000, 0));
        vm.expectRevert(abi.encodeWithSelector(Bls12381.Bls12381Length.selector, 97));
        _quicknet.verify(1000, bytes.concat(ROUND_1000, hex"00"));
        vm.expectPartialRevert(Bls12381.Bls12381Refused.selector);
        _quicknet.verify(1000, OUTSIDE);
    }

    function testFuzz_rounds_of_an_own_key_verify(uint64 round, uint64 other) public {
        bytes memory signature = signRound(SECRET, round);
        assertTrue(drand.verify(round, signature) != 0, "the key's own signature");
        if (other == round) return;
        vm.expectRevert(abi.encodeWithSelector(IDrandBeacon.DrandBeaconWrongSignature.selector, other));
        drand.verify(other, signature);
    }

    // Requests.

    function test_only_the_consumer_asks() public {
        vm.expectPartialRevert(IDrandBeacon.DrandBeaconNotConsumer.selector);
        drand.request("context");
    }

    function testFuzz_a_request_names_a_round_that_is_not_published_yet(uint32 elapsed) public {
        skip(elapsed);
        (uint64 round, uint256 deadline) = drand.requestOf(_request());
        uint256 time = drand.timeOf(round);
        assertTrue(time >= block.timestamp + LEAD && time < block.timestamp + LEAD + PERIOD, "the next after the lead");
        assertEq(deadline, time + PROVE);
    }

    function test_before_the_genesis_the_first_round_is_named() public {
        vm.warp(GENESIS - 1 days);
        assertEq(drand.nextRound(), 1);
        assertEq(drand.timeOf(1), GENESIS);
    }

    function test_a_request_is_ready_with_its_round_and_binds_its_context() public {
        uint256 first = _request();
        uint256 second = _request();
        (bool ready, bool failed, bytes32 value) = drand.seed(first);
        assertTrue(!ready && !failed && value == 0, "nobody knows the round");
        proveRequest(first);
        (uint64 round,) = drand.requestOf(first);
        bytes32 randomness = drand.randomnessOf(round);
        (ready, failed, value) = drand.seed(first);
        assertTrue(ready && !failed, "the round is known");
        bytes32 entropy = keccak256(abi.encode(uint160(uint256(bytes32("context"))), randomness));
        assertEq(value, keccak256(abi.encode(block.chainid, address(drand), first, entropy)));
        (ready,, entropy) = drand.seed(second);
        assertTrue(ready && entropy != value, "one round, another value for each request");
    }

    function test_a_request_without_a_proof_fails_at_its_deadline_and_not_before() public {
        uint256 id = _request();
        (uint64 round, uint256 deadline) = drand.requestOf(id);
        vm.warp(deadline - 1);
        (, bool failed,) = drand.seed(id);
        assertTrue(!failed, "a proof may still come");
        vm.warp(deadline);
        (, failed,) = drand.seed(id);
        assertTrue(failed, "asked again");
        drand.prove(round, signRound(SECRET, round));
        (, failed,) = drand.seed(id);
        assertTrue(!failed, "late, and not asked again yet");
    }

    function test_unknown_requests_have_no_seed() public {
        vm.expectPartialRevert(IDrandBeacon.DrandBeaconUnknownRequest.selector);
        drand.seed(1);
        vm.expectPartialRevert(IDrandBeacon.DrandBeaconUnknownRequest.selector);
        drand.requestOf(1);
    }

    function test_a_round_takes_so_many_requests_and_the_next_takes_more() public {
        uint64 round = drand.nextRound();
        for (uint256 i = 0; i < 32; ++i) {
            (uint64 named,) = drand.requestOf(_request());
            assertEq(named, round);
        }
        (uint64 following,) = drand.requestOf(_request());
        assertEq(following, round + 1);
        assertEq(drand.nextRound(), round + 1);
    }

    // Proofs.

    function test_only_rounds_that_are_waited_for_are_proven_and_once() public {
        uint256 id = _request();
        (uint64 round,) = drand.requestOf(id);
        bytes memory signature = signRound(SECRET, round + 1);
        vm.expectRevert(IDrandBeacon.DrandBeaconNothingDue.selector);
        drand.prove(round + 1, signature);
        vm.expectPartialRevert(IDrandBeacon.DrandBeaconWrongSignature.selector);
        drand.prove(round, signature);
        proveRequest(id);
        signature = signRound(SECRET, round);
        vm.expectRevert(IDrandBeacon.DrandBeaconNothingDue.selector);
        drand.prove(round, signature);
    }

    function test_the_first_proof_earns_the_rounds_fee_and_the_rest_is_the_treasurys() public {
        uint256 id = _request();
        _request();
        proveRequest(id);
        assertEq(drand.creditOf(RELAYER), FEE);
        assertEq(drand.creditOf(TREASURY), FEE);
        uint256 before = RELAYER.balance;
        drand.payOut(RELAYER);
        assertEq(RELAYER.balance, before + FEE);
        drand.payOut(TREASURY);
        assertEq(TREASURY.balance, FEE);
        assertEq(address(drand).balance, 0);
        vm.expectRevert(IDrandBeacon.DrandBeaconNothingDue.selector);
        drand.payOut(RELAYER);
    }

    // Rounds.

    function test_a_task_is_drawn_by_drand_and_asked_again_where_nobody_proves() public {
        addValidators(12);
        task = createTask(specification(12, 3, 1));
        manager.openRound(task);
        skip(LEAD + PERIOD + PROVE);
        manager.poke(task);
        uint256 request = manager.attemptOf(task).request;
        assertEq(request, 2);
        proveRequest(request);
        manager.draw(task);
        assertEq(uint256(phase()), uint256(Phase.Collecting));
        assertEq(registry.freezes(), 0);
    }

    function _request() private returns (uint256 id) {
        vm.prank(address(manager));
        id = drand.request{value: FEE}("context");
    }

    function _configurationRefused(DrandNetwork memory n, address treasury, uint256 lead, uint256 prove) private {
        vm.expectRevert(IDrandBeacon.DrandBeaconConfiguration.selector);
        new DrandBeacon(address(manager), treasury, n, lead, prove);
    }
}
