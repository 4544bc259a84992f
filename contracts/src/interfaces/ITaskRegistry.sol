// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IntegerTerms, Plan, TaskSpecification} from "./Types.sol";

interface ITaskRegistry {
    event TaskCreated(uint256 indexed task, address indexed creator, TaskSpecification specification);

    error TaskRegistryUnknownTask(uint256 task);
    error TaskRegistryMode(uint256 mode);
    error TaskRegistryZeroDigest();
    error TaskRegistryShare(uint256 trainerShareBps);
    error TaskRegistryTrainers(uint256 trainers, uint256 trainersMin);
    error TaskRegistryCommittee(uint256 columns, uint256 seatsPerColumn);
    error TaskRegistryRounds(uint256 epochRounds, uint256 attemptsMax, uint256 rounds);
    error TaskRegistryWindow(uint256 index, uint256 length);
    error TaskRegistryWords();
    error TaskRegistryWidth(uint256 width);
    error TaskRegistryBits(uint256 bits);
    error TaskRegistryRingTooSmall(uint256 trainers, uint256 quantisedMax);
    error TaskRegistryTau(uint256 tau, uint256 quantisedMax);
    error TaskRegistryWeightMax(uint256 weightMax);
    error TaskRegistryScaleBits(uint256 scaleBits);
    error TaskRegistryRate(uint256 numerator, uint256 denominator);
    error TaskRegistryStepOverflow(uint256 largest);

    /// @notice Publish a task. The caller becomes its creator; nothing of it changes later.
    /// @dev Ids count from 1. Refuses: mode other than 0, zero digests, a share above 10,000 bps, trainersMin below 2 or above
    /// trainers, trainers above 256, no or more than 32 seats, zero epochRounds, attemptsMax or rounds, zero windows (finality may
    /// be), windows above 30 days, view, demand or challenge not above finality, zero words, width not 8, 16 or 32, bits outside 2..width,
    /// trainers * Q >= 2^(width - 1), tau outside 1..Q, L < 1 at the smallest D, scaleBits > 24, zero numerator or denominator,
    /// 2 num D_max tau + den D_max >= 2^62.
    function createTask(TaskSpecification calldata specification) external returns (uint256 task);
    /// @notice All terms of a task as they were created.
    function specificationOf(uint256 task) external view returns (TaskSpecification memory);
    /// @notice How the task's deltas become integers, and what their sum does to the model.
    function integersOf(uint256 task) external view returns (IntegerTerms memory);
    /// @notice What rounds go by, packed, and the root of the initial model.
    function planOf(uint256 task) external view returns (Plan memory plan, bytes32 modelRoot);
    /// @notice Who created and funds a task.
    function creatorOf(uint256 task) external view returns (address);
    /// @notice How many tasks there are.
    function taskCount() external view returns (uint256);
}
