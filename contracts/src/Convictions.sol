// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Evidence} from "./Evidence.sol";
import {ISlashingManager} from "./interfaces/ISlashingManager.sol";
import {Attempt, Consequence, Conviction, Offence} from "./interfaces/Types.sol";

/// @title Convictions: what was proven, and the stake that it costs
/// @dev A proof convicts, `punish` takes the stake: so the gas of a proof does not grow with the number of the convicted. Every
/// conviction is under a hash of its words, counts once and is punished once.
abstract contract Convictions is Evidence, ISlashingManager {
    uint256 private constant BPS = 10_000;
    /// @notice What one of the five lies costs: a tenth of the stake, unbonding stake included.
    uint256 public constant LIE_BPS = 1000;
    /// @notice What the second missed duty costs.
    uint256 public constant ABSENCE_BPS = 50;

    struct Finding {
        address finder;
        bool punished;
    }

    /// @notice Who watches over duties.
    address public immutable dutyManager;

    mapping(bytes32 conviction => Finding) private _findings;

    constructor(address dutyManager_) {
        dutyManager = dutyManager_;
    }

    /// @inheritdoc ISlashingManager
    function punish(Conviction calldata c) external {
        bytes32 id = keccak256(abi.encode(c));
        Finding storage finding = _findings[id];
        address finder = finding.finder;
        if (finder == address(0)) revert SlashingManagerNotConvicted(id);
        if (finding.punished) revert SlashingManagerAlreadyPunished(id);
        finding.punished = true;
        bytes32 scope = keccak256(abi.encode(c.task, c.round));
        uint256 bps = c.offence == Offence.MissedDuty ? ABSENCE_BPS : LIE_BPS;
        for (uint256 i = 0; i < c.validators.length; ++i) {
            uint256 validator = c.validators[i];
            uint256 amount = registry.assetsOf(validator) * bps / BPS;
            uint256 taken = registry.slash(validator, amount, scope, finder);
            emit ValidatorSlashed(id, validator, finder, c.offence, taken);
        }
    }

    /// @inheritdoc ISlashingManager
    function convictAbsent(Conviction calldata c, address finder) external {
        if (msg.sender != dutyManager) revert SlashingManagerNotDutyManager(msg.sender);
        _record(c, 0, finder);
    }

    /// @inheritdoc ISlashingManager
    function findingOf(bytes32 id) external view returns (address finder, bool punished) {
        Finding storage finding = _findings[id];
        return (finding.finder, finding.punished);
    }

    /// @dev Convict those of the seats that were not yet in this attempt, and carry out what follows.
    function _convict(
        Case memory c,
        uint256 task,
        Offence offence,
        uint256 seats,
        Consequence consequence,
        address finder
    ) internal {
        Attempt memory a = c.attempt;
        seats &= ~uint256(a.slashed);
        if (seats == 0 && consequence == Consequence.None) revert SlashingManagerNothingNew(seats);
        if (seats != 0) {
            _record(Conviction(task, a.round, a.attempt, offence, a.ctx, _idsOf(c, seats)), seats, finder);
        }
        manager.judge(task, seats, 0, consequence);
    }

    function _record(Conviction memory c, uint256 seats, address finder) internal {
        bytes32 id = keccak256(abi.encode(c));
        if (_findings[id].finder != address(0)) revert SlashingManagerAlreadyConvicted(id);
        _findings[id].finder = finder;
        emit OffenceProven(id, c.task, c.round, c.attempt, c.offence, c.ctx, seats, c.validators, finder);
    }
}
