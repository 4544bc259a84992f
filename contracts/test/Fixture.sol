// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {CommitRevealBeacon} from "../src/CommitRevealBeacon.sol";
import {FlockToken} from "../src/FlockToken.sol";
import {DutyManager} from "../src/DutyManager.sol";
import {RoundManager} from "../src/RoundManager.sol";
import {RoundPay} from "../src/RoundPay.sol";
import {SlashingManager} from "../src/SlashingManager.sol";
import {StakeRegistry} from "../src/StakeRegistry.sol";
import {TaskRegistry} from "../src/TaskRegistry.sol";
import {IRandomnessBeacon} from "../src/interfaces/IRandomnessBeacon.sol";
import {IRoundManager} from "../src/interfaces/IRoundManager.sol";
import {Authorities, StakeTerms} from "../src/interfaces/IStakeRegistry.sol";
import {
    Attempt,
    IntegerTerms,
    Phase,
    Plan,
    Settlement,
    TaskSpecification,
    TaskTerms,
    Windows
} from "../src/interfaces/Types.sol";
import {Committee} from "../src/libraries/Committee.sol";
import {Plans} from "../src/libraries/Plans.sol";
import {Statements} from "../src/libraries/Statements.sol";
import {Test} from "./Vm.sol";

/// @notice The five contracts, validators with onions, a task, and honest seats that sign.
/// @dev Validator i belongs to organisation i, is owned by `ownerAt(i)` and signs with key `KEY + i`.
abstract contract Fixture is Test {
    uint256 internal constant KEY = 0xA11CE;
    uint256 internal constant BOND = 1 ether;
    uint256 internal constant CHALLENGE_BOND = 0.01 ether;
    uint256 internal constant STAKE_MIN = 10 ether;
    uint256 internal constant STAKE_CAP = 100 ether;
    uint256 internal constant UNBONDING = 7 days;
    uint256 internal constant REVEAL = 60;
    uint256 internal constant ONION = 64;
    uint256 internal constant REWARD = 1000 ether;
    address internal constant REGISTRAR = address(0x5E6);
    address internal constant TREASURY = address(0x7EA);
    address internal constant SLASHER = address(0x51A5);
    address internal constant GUARDIAN = address(0x6DA);
    uint256 internal constant SLASH_CAP_BPS = 5000;
    address internal constant CREATOR = address(0xC4EA);
    address internal constant RELAYER = address(0x4E1A);

    FlockToken internal token;
    TaskRegistry internal tasks;
    StakeRegistry internal registry;
    CommitRevealBeacon internal beacon;
    RoundManager internal manager;
    SlashingManager internal slashing;
    DutyManager internal duties;
    RoundPay internal pay;
    uint256 internal task;
    uint256 internal members;
    mapping(uint256 validator => uint256) internal layers; // of the onion, revealed so far
    mapping(uint256 validator => uint256[]) internal onions;

    function deploy() internal {
        vm.warp(1_700_000_000);
        vm.txGasPrice(1 gwei);
        token = new FlockToken();
        tasks = new TaskRegistry();
        address manager_ = predicted(5);
        registry = new StakeRegistry(token, authorities(manager_, predicted(6), predicted(8)), stakeTerms());
        manager = new RoundManager(
            token, registry, newBeacon(manager_), tasks, predicted(6), predicted(7), predicted(8), 10 gwei
        );
        slashing = new SlashingManager(manager, registry, tasks, predicted(7), CHALLENGE_BOND);
        duties = new DutyManager(manager, registry, tasks, slashing, CHALLENGE_BOND);
        pay = new RoundPay(manager, registry, tasks);
        token.faucet(CREATOR);
        vm.deal(CREATOR, 1000 ether);
        vm.deal(RELAYER, 1 ether);
    }

    function newBeacon(address manager_) internal virtual returns (IRandomnessBeacon) {
        beacon = new CommitRevealBeacon(registry, manager_, TREASURY, BOND, REVEAL, 2);
        return beacon;
    }

    /// @dev A registry of its own, without the contracts that would slash and pay.
    function authorities(address manager_) internal pure returns (Authorities memory) {
        return authorities(manager_, SLASHER, manager_);
    }

    function authorities(address manager_, address slashing_, address pay_) internal pure returns (Authorities memory) {
        return Authorities({
            registrar: REGISTRAR,
            roundManager: manager_,
            slashingManager: slashing_,
            paymaster: pay_,
            treasury: TREASURY,
            guardian: GUARDIAN
        });
    }

    function stakeTerms() internal pure returns (StakeTerms memory) {
        return StakeTerms({
            stakeMin: STAKE_MIN, stakeCap: STAKE_CAP, unbondingSeconds: UNBONDING, slashCapBps: SLASH_CAP_BPS
        });
    }

    /// @dev The CREATE address of this contract's nonce, which counts from 1 and stays below 128 here.
    function predicted(uint256 nonce) internal view returns (address) {
        return address(uint160(uint256(keccak256(abi.encodePacked(hex"d694", address(this), uint8(nonce))))));
    }

    function addValidators(uint256 count) internal {
        for (uint256 i = 0; i < count; ++i) {
            addValidator(organisationAt(registry.validatorCount()), 50 ether);
        }
    }

    function addValidator(bytes32 organisation, uint256 amount) internal returns (uint256 validator) {
        validator = registry.validatorCount();
        address owner = ownerAt(validator);
        vm.prank(REGISTRAR);
        registry.admitOrganisation(organisation, owner);
        token.faucet(owner);
        vm.startPrank(owner);
        token.approve(address(registry), type(uint256).max);
        registry.register(organisation, signerAt(validator), "peer", consentOf(KEY + validator, owner, organisation));
        registry.stake(validator, amount);
        vm.stopPrank();
    }

    /// @dev A signing key agrees to serve `owner`'s validator.
    function consentOf(uint256 key, address owner, bytes32 organisation) internal view returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, registry.consentDigest(owner, organisation, "peer"));
        return abi.encodePacked(r, s, v);
    }

    function joinBeacon(uint256 count) internal {
        for (uint256 i = 0; i < count; ++i) {
            joinBeaconAs(i);
        }
    }

    function joinBeaconAs(uint256 validator) internal {
        bytes32 layer = keccak256(abi.encode("onion", validator));
        delete onions[validator];
        for (uint256 i = 0; i < ONION; ++i) {
            onions[validator].push(uint256(layer));
            layer = keccak256(abi.encode(layer));
        }
        uint256 due = beacon.isDismissed(validator) ? 0 : BOND;
        vm.deal(signerAt(validator), due);
        vm.prank(signerAt(validator));
        beacon.commit{value: due}(validator, layer);
        layers[validator] = 0;
    }

    function createTask(TaskSpecification memory s) internal returns (uint256 created) {
        vm.startPrank(CREATOR);
        created = tasks.createTask(s);
        token.approve(address(manager), type(uint256).max);
        manager.fund{value: 10 ether}(created, 100 * REWARD);
        vm.stopPrank();
    }

    function specification(uint256 trainers, uint256 columns, uint256 epochRounds)
        internal
        pure
        returns (TaskSpecification memory s)
    {
        s.terms.integers = IntegerTerms({
            words: 1000,
            width: 32,
            bits: 12,
            weightMax: 16,
            tau: 511,
            scaleBits: 20,
            numerator: 16,
            denominator: 1,
            clipNormLog2: 0
        });
        s.terms.windows = Windows({
            collect: 100, settle: 20, view_: 10, demand: 30, roots: 40, challenge: 200, abort: 50, finality: 5
        });
        s.terms.trainers = uint16(trainers);
        s.terms.trainersMin = 2;
        s.terms.columns = uint8(columns);
        s.terms.seatsPerColumn = 3;
        s.terms.epochRounds = uint8(epochRounds);
        s.terms.attemptsMax = 3;
        s.terms.rounds = 20;
        s.configuration = bytes32(uint256(1));
        s.modelRoot = bytes32(uint256(2));
        s.rosterRoot = bytes32(uint256(3));
        s.rewardPerRound = uint128(REWARD);
        s.trainerShareBps = 7000;
    }

    function organisationAt(uint256 i) internal pure returns (bytes32) {
        return keccak256(abi.encode("organisation", i));
    }

    function ownerAt(uint256 validator) internal pure returns (address) {
        return address(uint160(0x0117E400 + validator));
    }

    function signerAt(uint256 validator) internal pure returns (address) {
        return vm.addr(KEY + validator);
    }

    function phase() internal view returns (Phase) {
        return manager.attemptOf(task).phase;
    }

    function seats() internal view returns (uint256) {
        return committeeOf(task).length;
    }

    /// @dev Validator ids by seat of the committee drawn last.
    function committeeOf(uint256 task_) internal view returns (uint256[] memory ids) {
        (, Plan memory plan,, uint256[2] memory words) = manager.evidenceOf(task_);
        ids = new uint256[](Plans.seats(plan));
        for (uint256 seat = 0; seat < ids.length; ++seat) {
            ids[seat] = (words[seat >> 4] >> ((seat & 15) << 4)) & 0xffff;
        }
    }

    /// @dev What the ctx of the attempt in progress is made of.
    function contextOf(uint256[] memory ids) internal view returns (Statements.Context memory c) {
        Attempt memory a = manager.attemptOf(task);
        address[] memory signers = registry.signersOf(ids);
        c.task = task;
        (c.round, c.attempt, c.modelRoot) = (a.round, a.attempt, a.modelRoot);
        (,, c.seed) = beacon.seed(a.request);
        c.committeeHash = Committee.hash(ids, signers);
        c.rosterRoot = tasks.specificationOf(task).rosterRoot;
    }

    function allSeats() internal view returns (uint256) {
        return (1 << seats()) - 1;
    }

    // What honest nodes do.

    function revealAll(uint256 request) internal {
        (uint256[] memory ids,,,) = beacon.requestOf(request);
        for (uint256 i = 0; i < ids.length; ++i) {
            revealAs(request, ids[i]);
        }
    }

    function revealAs(uint256 request, uint256 validator) internal {
        uint256 layer = ONION - 1 - layers[validator]++;
        vm.prank(signerAt(validator));
        beacon.reveal(request, validator, bytes32(onions[validator][layer]));
    }

    function openAndDraw() internal {
        vm.prank(RELAYER);
        manager.openRound(task);
        drawNow();
    }

    function drawNow() internal {
        revealAll(manager.attemptOf(task).request);
        vm.prank(RELAYER);
        manager.draw(task);
    }

    function includeArgs(uint256 trainers, uint256 seatBits, uint256 view_)
        internal
        view
        returns (IRoundManager.InclusionArgs memory args)
    {
        Attempt memory a = manager.attemptOf(task);
        args.task = task;
        args.round = a.round;
        args.attempt = a.attempt;
        args.view_ = view_;
        args.inclusionRoot = keccak256(abi.encode("set", trainers));
        args.trainers = trainers;
        args.weight = countBits(trainers);
        args.seats = seatBits;
        signInclude(args);
    }

    function signInclude(IRoundManager.InclusionArgs memory args) internal view {
        Attempt memory a = manager.attemptOf(task);
        uint256[] memory committee = committeeOf(task);
        args.commitments = new bytes32[](countBits(args.seats));
        args.signatures = "";
        uint256 next = 0;
        for (uint256 seat = 0; seat < committee.length; ++seat) {
            if ((args.seats >> seat) & 1 == 0) continue;
            bytes32 commitment = keccak256(abi.encode("mask", seat));
            args.commitments[next++] = commitment;
            Statements.Include memory s =
                Statements.Include(a.ctx, args.view_, args.inclusionRoot, args.trainers, args.weight, commitment);
            args.signatures = bytes.concat(args.signatures, signature(committee[seat], Statements.hash(s)));
        }
    }

    function proposeArgs(uint256 seatBits, uint256 view_)
        internal
        view
        returns (IRoundManager.ProposalArgs memory args)
    {
        Attempt memory a = manager.attemptOf(task);
        args.task = task;
        args.round = a.round;
        args.attempt = a.attempt;
        args.view_ = view_;
        args.maskRoots = new bytes32[](seats() / 3);
        for (uint256 i = 0; i < args.maskRoots.length; ++i) {
            args.maskRoots[i] = keccak256(abi.encode("column", i));
        }
        args.aggregateRoot = keccak256("aggregate");
        args.modelRoot = keccak256(abi.encode("model", a.round));
        args.seats = seatBits;
        signPropose(args);
    }

    function signPropose(IRoundManager.ProposalArgs memory args) internal view {
        uint256[] memory committee = committeeOf(task);
        Statements.Propose memory s = Statements.Propose({
            ctx: manager.attemptOf(task).ctx,
            view_: args.view_,
            inclusionRoot: manager.settlementOf(task, args.round).inclusionRoot,
            maskRootsHash: keccak256(abi.encodePacked(args.maskRoots)),
            aggregateRoot: args.aggregateRoot,
            modelRoot: args.modelRoot
        });
        args.signatures = "";
        for (uint256 seat = 0; seat < committee.length; ++seat) {
            if ((args.seats >> seat) & 1 == 0) continue;
            args.signatures = bytes.concat(args.signatures, signature(committee[seat], Statements.hash(s)));
        }
    }

    function signature(uint256 validator, bytes32 structHash) internal view returns (bytes memory) {
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", manager.domainSeparator(), structHash));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(KEY + validator, digest);
        return abi.encodePacked(r, s, v);
    }

    function includeNow(uint256 trainers) internal {
        IRoundManager.InclusionArgs memory args = includeArgs(trainers, allSeats(), 0);
        vm.prank(RELAYER);
        manager.include(args);
    }

    function proposeNow() internal {
        IRoundManager.ProposalArgs memory args = proposeArgs(allSeats(), 0);
        vm.prank(RELAYER);
        manager.propose(args);
    }

    function settleNow() internal {
        vm.prank(RELAYER);
        manager.settle(task);
    }

    /// @dev From Collecting to the settlement, with everybody included at once.
    function finishRound(uint256 trainers) internal {
        includeNow(trainers);
        skip(35);
        proposeNow();
        uint256 ahead = manager.attemptOf(task).nextRequest;
        if (ahead != 0) revealAll(ahead);
        skip(200);
        settleNow();
    }

    function skip(uint256 elapsed) internal {
        vm.warp(block.timestamp + elapsed);
    }

    /// @dev What a settled round takes from the purse: equal shares, without what divisions leave.
    function reservedOf(Settlement memory s) internal pure returns (uint256) {
        if (s.draw == 0) return 0;
        uint256 trainers = s.reward * 7000 / 10_000;
        uint256 bits = countBits(s.includeSeats) + countBits(s.proposeSeats);
        if (bits == 0) return trainers / s.included * s.included;
        return trainers / s.included * s.included + (s.reward - trainers) / bits * bits;
    }

    function countBits(uint256 bitmap) internal pure returns (uint256 bits) {
        for (; bitmap != 0; bitmap &= bitmap - 1) {
            ++bits;
        }
    }
}
