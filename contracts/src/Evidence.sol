// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Domain} from "./Domain.sol";
import {IRoundManager} from "./interfaces/IRoundManager.sol";
import {IStakeRegistry} from "./interfaces/IStakeRegistry.sol";
import {ITaskRegistry} from "./interfaces/ITaskRegistry.sol";
import {Attempt, Phase, Plan, ProposalStatement} from "./interfaces/Types.sol";
import {Committee} from "./libraries/Committee.sol";
import {Plans} from "./libraries/Plans.sol";
import {Signatures} from "./libraries/Signatures.sol";
import {Statements} from "./libraries/Statements.sol";

/// @title Evidence: what proofs rest on, read from the round manager
abstract contract Evidence is Domain {
    using Plans for Plan;

    uint256 private constant SEND_GAS = 10_000;

    IRoundManager public immutable manager;
    IStakeRegistry public immutable registry;
    ITaskRegistry public immutable tasks;

    /// @dev The attempt in progress of one task.
    struct Case {
        Attempt attempt;
        Plan plan;
        bytes32 inclusionRoot;
        uint256[2] committee;
    }

    constructor(IRoundManager manager_, IStakeRegistry registry_, ITaskRegistry tasks_) Domain(address(manager_)) {
        manager = manager_;
        registry = registry_;
        tasks = tasks_;
    }

    function _case(uint256 task) internal view returns (Case memory) {
        (Attempt memory a, Plan memory p, bytes32 root, uint256[2] memory committee) = manager.evidenceOf(task);
        return Case(a, p, root, committee);
    }

    /// @dev Whether a set was accepted in the attempt and the attempt is not over.
    function _hasSet(Case memory c) internal pure returns (bool) {
        Phase phase = c.attempt.phase;
        return phase == Phase.Included || phase == Phase.Demanded || _hasProposal(c);
    }

    function _hasProposal(Case memory c) internal pure returns (bool) {
        return c.attempt.phase == Phase.Proposed || c.attempt.phase == Phase.Disputed;
    }

    function _digestOf(Case memory c, ProposalStatement calldata s) internal view returns (bytes32) {
        return _typedDigest(
            Statements.hash(
                Statements.Propose({
                    ctx: c.attempt.ctx,
                    view_: s.view_,
                    inclusionRoot: c.inclusionRoot,
                    maskRootsHash: keccak256(abi.encodePacked(s.maskRoots)),
                    aggregateRoot: s.aggregateRoot,
                    modelRoot: s.modelRoot
                })
            )
        );
    }

    /// @dev Whether the statement, with just these seats, is the proposal that stands.
    function _isAccepted(Case memory c, ProposalStatement calldata s) internal view returns (bool) {
        if (!_hasProposal(c)) return false;
        return keccak256(abi.encode(_digestOf(c, s), s.seats)) == c.attempt.proposalHash;
    }

    /// @dev Refuse unless every seat of the bitmap signed `digest`.
    function _checkSignatures(Case memory c, uint256 seats, bytes32 digest, bytes calldata signatures) internal view {
        address[] memory signers = registry.signersAt(_idsOf(c, seats), c.attempt.drawnAt);
        Signatures.checkLength(signatures, signers.length);
        for (uint256 i = 0; i < signers.length; ++i) {
            Signatures.check(signatures, i, digest, signers[i]);
        }
    }

    function _maskRootDigest(Case memory c, uint256 column, bytes32 root, uint256 words)
        internal
        view
        returns (bytes32)
    {
        return _typedDigest(Statements.hash(Statements.MaskRoot(c.attempt.ctx, column, c.inclusionRoot, root, words)));
    }

    function _idAt(Case memory c, uint256 seat) internal pure returns (uint256) {
        return (c.committee[seat >> 4] >> ((seat & 15) << 4)) & 0xffff;
    }

    /// @dev Return the validators of the seats whose bits are set, in seat order.
    function _idsOf(Case memory c, uint256 seats) internal pure returns (uint256[] memory ids) {
        ids = new uint256[](Committee.count(seats));
        uint256 next = 0;
        unchecked {
            // `seats` has as many bits as `ids` places.
            for (uint256 seat = 0; next < ids.length; ++seat) {
                if ((seats >> seat) & 1 == 1) ids[next++] = _idAt(c, seat);
            }
        }
    }

    /// @dev Return the bitmap of a column's seats.
    function _seatsOf(Case memory c, uint256 column) internal pure returns (uint256 seats) {
        uint256 columns = c.plan.columns();
        for (uint256 place = 0; place < c.plan.seatsPerColumn(); ++place) {
            seats |= 1 << (place * columns + column);
        }
    }

    /// @dev Give a bond back; false if the receiver refuses it. Its gas suffices to receive, not to come back here.
    function _send(address to, uint256 amount) internal returns (bool sent) {
        (sent,) = to.call{value: amount, gas: SEND_GAS}("");
    }
}
