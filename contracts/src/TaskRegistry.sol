// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ITaskRegistry} from "./interfaces/ITaskRegistry.sol";
import {IntegerTerms, Plan, TaskSpecification, TaskTerms, Windows} from "./interfaces/Types.sol";
import {Committee} from "./libraries/Committee.sol";
import {Plans} from "./libraries/Plans.sol";

/// @title TaskRegistry: what the members of a task agreed on, checked once and then fixed
contract TaskRegistry is ITaskRegistry {
    /// @notice Most trainers of a task: the bits of one word.
    uint256 public constant TRAINERS_MAX = 256;
    /// @notice Longest window, so that deadlines stay far below 2^40.
    uint256 public constant WINDOW_MAX = 30 days;
    /// @dev Bound of every intermediate of the integer step.
    uint256 private constant STEP_MAX = 1 << 62;

    uint256 private _count;
    mapping(uint256 task => TaskSpecification) private _specifications;
    mapping(uint256 task => address) private _creators;

    /// @inheritdoc ITaskRegistry
    function createTask(TaskSpecification calldata specification) external returns (uint256 task) {
        _checkSpecification(specification);
        _checkShape(specification.terms);
        _checkWindows(specification.terms.windows);
        _checkIntegers(specification.terms);
        task = ++_count;
        _specifications[task] = specification;
        _creators[task] = msg.sender;
        emit TaskCreated(task, msg.sender, specification);
    }

    /// @inheritdoc ITaskRegistry
    function specificationOf(uint256 task) external view returns (TaskSpecification memory) {
        if (_creators[task] == address(0)) revert TaskRegistryUnknownTask(task);
        return _specifications[task];
    }

    /// @inheritdoc ITaskRegistry
    function integersOf(uint256 task) external view returns (IntegerTerms memory) {
        return _specifications[task].terms.integers;
    }

    /// @inheritdoc ITaskRegistry
    function planOf(uint256 task) external view returns (Plan memory plan, bytes32 modelRoot) {
        if (_creators[task] == address(0)) revert TaskRegistryUnknownTask(task);
        return (Plans.pack(_specifications[task]), _specifications[task].modelRoot);
    }

    /// @inheritdoc ITaskRegistry
    function creatorOf(uint256 task) external view returns (address creator) {
        creator = _creators[task];
        if (creator == address(0)) revert TaskRegistryUnknownTask(task);
    }

    /// @inheritdoc ITaskRegistry
    function taskCount() external view returns (uint256) {
        return _count;
    }

    function _checkSpecification(TaskSpecification calldata s) private pure {
        if (s.mode != 0) revert TaskRegistryMode(s.mode);
        if (s.configuration == 0 || s.modelRoot == 0 || s.rosterRoot == 0) revert TaskRegistryZeroDigest();
        if (s.trainerShareBps > 10_000) revert TaskRegistryShare(s.trainerShareBps);
    }

    function _checkShape(TaskTerms calldata t) private pure {
        // A set of one trainer would publish that trainer's delta.
        bool trainers = t.trainersMin >= 2 && t.trainersMin <= t.trainers && t.trainers <= TRAINERS_MAX;
        if (!trainers) revert TaskRegistryTrainers(t.trainers, t.trainersMin);
        uint256 seats = uint256(t.columns) * t.seatsPerColumn;
        if (seats == 0 || seats > Committee.SEATS_MAX) revert TaskRegistryCommittee(t.columns, t.seatsPerColumn);
        if (t.epochRounds == 0 || t.attemptsMax == 0 || t.rounds == 0) {
            revert TaskRegistryRounds(t.epochRounds, t.attemptsMax, t.rounds);
        }
    }

    /// @dev Only the finality allowance may be zero: a chain may be final at once.
    function _checkWindows(Windows calldata w) private pure {
        uint32[8] memory lengths = [w.collect, w.settle, w.view_, w.demand, w.roots, w.challenge, w.abort, w.finality];
        for (uint256 i = 0; i < 8; ++i) {
            if ((lengths[i] == 0 && i != 7) || lengths[i] > WINDOW_MAX) revert TaskRegistryWindow(i, lengths[i]);
        }
        if (w.challenge <= w.finality) revert TaskRegistryWindow(5, w.challenge);
    }

    function _checkIntegers(TaskTerms calldata t) private pure {
        IntegerTerms calldata n = t.integers;
        if (n.words == 0) revert TaskRegistryWords();
        if (n.width != 8 && n.width != 16 && n.width != 32) revert TaskRegistryWidth(n.width);
        if (n.bits < 2 || n.bits > n.width) revert TaskRegistryBits(n.bits);
        uint256 quantisedMax = (1 << (n.bits - 1)) - 1;
        if (t.trainers * quantisedMax >= 1 << (n.width - 1)) revert TaskRegistryRingTooSmall(t.trainers, quantisedMax);
        if (n.tau == 0 || n.tau > quantisedMax) revert TaskRegistryTau(n.tau, quantisedMax);
        // L = floor(D tau / weightMax) at the smallest D, trainersMin trainers of weight 1.
        if (n.weightMax == 0 || uint256(t.trainersMin) * n.tau < n.weightMax) {
            revert TaskRegistryWeightMax(n.weightMax);
        }
        if (n.scaleBits > 24) revert TaskRegistryScaleBits(n.scaleBits);
        if (n.numerator == 0 || n.denominator == 0) revert TaskRegistryRate(n.numerator, n.denominator);
        uint256 weight = uint256(t.trainers) * n.weightMax;
        uint256 largest = 2 * uint256(n.numerator) * weight * n.tau + n.denominator * weight;
        if (largest >= STEP_MAX) revert TaskRegistryStepOverflow(largest);
    }
}
