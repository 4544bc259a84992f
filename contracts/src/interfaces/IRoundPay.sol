// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ContributionClaim} from "./Types.sol";

interface IRoundPay {
    event TrainerPaid(uint256 indexed task, uint256 indexed round, address indexed trainer, uint256 amount);
    event SeatPaid(uint256 indexed task, uint256 indexed round, uint256 indexed validator, uint256 amount);

    error RoundPayNotSettled(uint256 task, uint256 round);
    error RoundPayAlreadyClaimed(uint256 task, uint256 round);
    error RoundPayWrongRecord(uint256 task, uint256 round, uint256 position);
    error RoundPayNotSeated(uint256 round, uint256 validator);

    /// @notice Pay trainers for their settled contributions. Anyone; the trainers receive it.
    function claimTrainer(uint256 task, ContributionClaim[] calldata claims) external;

    /// @notice Pay a validator's seats of settled rounds to its owner. Anyone.
    function claimSeats(uint256 task, uint256 validator, uint256[] calldata rounds) external;
}
