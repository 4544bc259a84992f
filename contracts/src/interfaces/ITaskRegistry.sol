// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {TaskSpecification, TaskTerms} from "./Types.sol";

interface ITaskRegistry {
    event TaskCreated(uint256 indexed task, address indexed creator, TaskSpecification specification);
    event TaskFunded(uint256 indexed task, uint256 rewards, uint256 gasPool);

    /// Ids count from 1. Refuses: mode != 0, width not 8/16/32, trainers > 256, trainers * Q >= 2^(width-1), tau outside 1..Q,
    /// L < 1 at the smallest D, 2 num D_max tau + den D_max >= 2^62, scaleBits > 24, den == 0, zero windows or columns, ...
    function createTask(TaskSpecification calldata specification) external returns (uint256 task);
    function specificationOf(uint256 task) external view returns (TaskSpecification memory);
    function creatorOf(uint256 task) external view returns (address);
}
