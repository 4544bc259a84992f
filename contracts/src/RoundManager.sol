// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IRandomnessBeacon} from "./interfaces/IRandomnessBeacon.sol";
import {IRoundManager} from "./interfaces/IRoundManager.sol";
import {IStakeRegistry} from "./interfaces/IStakeRegistry.sol";
import {ITaskRegistry} from "./interfaces/ITaskRegistry.sol";
import {Attempt, Consequence, Phase, Plan, Settlement} from "./interfaces/Types.sol";
import {Committee} from "./libraries/Committee.sol";
import {GasTable} from "./libraries/GasTable.sol";
import {Plans} from "./libraries/Plans.sol";
import {Signatures} from "./libraries/Signatures.sol";
import {Statements} from "./libraries/Statements.sol";
import {RoundSeating} from "./RoundSeating.sol";
import {TaskPurse} from "./TaskPurse.sol";

/// @title RoundManager: rounds from the draw to the settled model
/// @notice Every step is open to anyone: signatures of seats and deadlines decide, never the caller.
contract RoundManager is RoundSeating {
    using Committee for uint256[2];
    using Plans for Plan;

    /// @dev Proposals of one attempt that may fall; the next one that does spends it.
    uint256 private constant STRIKES_MAX = 7;

    /// @notice Who convicts seats.
    address public immutable slashingManager;
    /// @notice Who watches over duties.
    address public immutable dutyManager;

    modifier onlyJudge() {
        if (msg.sender != slashingManager && msg.sender != dutyManager) revert RoundManagerNotJudge(msg.sender);
        _;
    }

    constructor(
        IERC20 token_,
        IStakeRegistry registry_,
        IRandomnessBeacon beacon_,
        ITaskRegistry tasks_,
        address slashingManager_,
        address dutyManager_,
        address roundPay_,
        uint256 gasPriceMax_
    ) TaskPurse(token_, registry_, tasks_, roundPay_, gasPriceMax_) RoundSeating(beacon_) {
        // Both name their round manager for good, so a wrong address shows at once.
        if (registry_.roundManager() != address(this)) revert RoundManagerWrongPeer(address(registry_));
        if (beacon_.consumer() != address(this)) revert RoundManagerWrongPeer(address(beacon_));
        slashingManager = slashingManager_;
        dutyManager = dutyManager_;
    }

    /// @inheritdoc IRoundManager
    function openRound(uint256 task) external {
        Attempt storage a = _attempts[task];
        if (_plans[task].shape == 0) _adopt(task, a);
        Plan memory p = _plans[task];
        _requirePhase(task, a, Phase.Idle);
        if (a.round >= p.rounds()) revert RoundManagerTaskOver(task);
        if (!_isFunded(task, p, 1)) revert RoundManagerUnfunded(purseOf(task).rewards, p.rewardPerRound());
        uint256 eligible = registry.eligibleOrganisations();
        if (eligible < p.seats()) revert RoundManagerTooFewOrganisations(eligible, p.seats());
        _open(task, p, a);
        if (a.phase == Phase.Idle) revert RoundManagerBeaconRefused(task);
        _creditRefund(task, GasTable.OPEN);
    }

    /// @inheritdoc IRoundManager
    function draw(uint256 task) external {
        Attempt storage a = _attempts[task];
        _requirePhase(task, a, Phase.Drawing);
        Plan memory p = _plans[task];
        if (!_tryDraw(task, p, a)) revert RoundManagerBeaconNotReady(a.request);
        _creditRefund(task, GasTable.DRAW + p.seats() * GasTable.DRAW_SEAT);
    }

    /// @inheritdoc IRoundManager
    function include(InclusionArgs calldata args) external {
        Attempt storage a = _attempts[args.task];
        Plan memory p = _plans[args.task];
        _requireAttempt(args.task, a, Phase.Collecting, args.round, args.attempt);
        uint256 included = _checkTrainers(p, a, args);
        _checkInclusionView(p, a, args.view_, included);
        _checkInclusionSeats(p, a, args);

        a.phase = Phase.Included;
        a.acceptedAt = uint40(block.timestamp);
        a.includeSeats = uint32(args.seats);
        a.included = uint16(included);
        a.strikes = 0;
        a.holds = 0;
        a.trainers = args.trainers;
        a.setHash = keccak256(
            abi.encode(
                args.view_,
                args.inclusionRoot,
                args.trainers,
                args.weight,
                args.seats,
                keccak256(abi.encodePacked(args.commitments))
            )
        );
        _settlements[args.task][args.round].inclusionRoot = args.inclusionRoot;
        emit SetAccepted(
            args.task,
            args.round,
            args.attempt,
            args.view_,
            args.inclusionRoot,
            args.trainers,
            args.weight,
            args.seats,
            args.commitments,
            block.timestamp
        );
        _creditRefund(args.task, GasTable.INCLUDE + args.commitments.length * GasTable.INCLUDE_SEAT);
    }

    /// @inheritdoc IRoundManager
    function answerRollCall(RollCallArgs calldata args) external {
        Attempt storage a = _attempts[args.task];
        Plan memory p = _plans[args.task];
        _requireAttempt(args.task, a, Phase.Collecting, args.round, args.attempt);
        (uint256 start, uint256 end) = p.rollCall(a.drawnAt);
        _requireNow(start, end);
        if (args.seat >= p.seats()) revert RoundManagerUnknownSeat(args.seat);
        uint256 bit = 1 << args.seat;
        if (a.rollCalled & bit != 0) revert RoundManagerAlreadyRecorded(args.seat);
        Signatures.checkLength(args.signature, 1);
        bytes32 digest = _digest(
            Statements.Include(a.ctx, args.view_, args.inclusionRoot, args.trainers, args.weight, args.commitment)
        );
        address signer = registry.signerAt(_committees[args.task][a.draw].at(args.seat), a.drawnAt);
        Signatures.check(args.signature, 0, digest, signer);

        a.rollCalled |= uint32(bit);
        emit RollCalled(args.task, args.round, args.attempt, args.seat);
        _creditRefund(args.task, GasTable.ROLL_CALL);
    }

    /// @inheritdoc IRoundManager
    function propose(ProposalArgs calldata args) external {
        Attempt storage a = _attempts[args.task];
        Plan memory p = _plans[args.task];
        _requireAttempt(args.task, a, Phase.Included, args.round, args.attempt);
        uint256 first = a.strikes * p.views();
        if (args.view_ < first || args.view_ >= first + p.views()) revert RoundManagerUnknownView(args.view_);
        (uint256 start, uint256 end) = p.proposalView(a.acceptedAt, a.strikes, a.proposedAt, args.view_);
        _requireNow(start, end);
        _checkProposal(p, a, args);

        a.phase = Phase.Proposed;
        a.proposedAt = uint40(block.timestamp);
        a.proposeSeats = uint32(args.seats);
        _proposedRoots[args.task] = args.modelRoot;
        emit ProposalAccepted(
            args.task,
            args.round,
            args.attempt,
            args.view_,
            args.maskRoots,
            args.aggregateRoot,
            args.modelRoot,
            args.seats,
            block.timestamp
        );
        uint256 before = a.nextRequest;
        _askAhead(args.task, p, a);
        uint256 asked = a.nextRequest == before ? 0 : GasTable.ASK;
        _creditRefund(args.task, GasTable.PROPOSE + asked + Committee.count(args.seats) * GasTable.PROPOSE_SEAT);
    }

    /// @inheritdoc IRoundManager
    function settle(uint256 task) external {
        Attempt storage a = _attempts[task];
        Plan memory p = _plans[task];
        _requirePhase(task, a, Phase.Proposed);
        uint256 windowEnd = p.windowEnd(a.proposedAt);
        if (block.timestamp < windowEnd) revert RoundManagerTooEarly(windowEnd);

        uint256 round = a.round;
        bytes32 modelRoot = _proposedRoots[task];
        _recordSettlement(task, p, a);
        emit RoundSettled(task, round, a.attempt, modelRoot, block.timestamp);
        a.modelRoot = modelRoot;
        a.phase = Phase.Idle;
        a.round = uint32(round + 1);
        a.attempt = 0;
        a.spent = false;
        if (round + 1 < p.rounds() && _isFunded(task, p, 1)) _open(task, p, a);
        uint256 seated = a.phase == Phase.Collecting ? p.seats() : 0;
        _creditRefund(task, GasTable.SETTLE + seated * GasTable.SEAT);
    }

    /// @inheritdoc IRoundManager
    function poke(uint256 task) external {
        Attempt storage a = _attempts[task];
        Plan memory p = _plans[task];
        if (a.phase == Phase.Drawing) _askAgain(task, p, a);
        else if (a.phase == Phase.Collecting) _abort(task, p, a);
        else if (a.phase == Phase.Included) _spend(task, p, a);
        else revert RoundManagerNothingDue(task);
        _creditRefund(task, GasTable.POKE);
    }

    /// @inheritdoc IRoundManager
    function resume(uint256 task) external onlyCreator(task) {
        Attempt storage a = _attempts[task];
        _requirePhase(task, a, Phase.Paused);
        a.phase = Phase.Idle;
        a.attempt += 1;
        emit TaskResumed(task, a.round);
        _open(task, _plans[task], a);
    }

    /// @inheritdoc IRoundManager
    function judge(uint256 task, uint256 slashed, uint256 absent, Consequence consequence) external onlyJudge {
        Attempt storage a = _attempts[task];
        uint32 out = uint32(slashed | absent);
        a.slashed |= uint32(slashed);
        a.noShows |= out;
        a.includeSeats &= ~out;
        a.proposeSeats &= ~out;
        if (out != 0) emit SeatsJudged(task, a.round, a.attempt, slashed, absent);
        if (consequence == Consequence.None) return;
        if (consequence == Consequence.Strike && a.strikes != STRIKES_MAX) return _strike(task, a);
        _giveUp(task, _plans[task], a, consequence);
    }

    /// @inheritdoc IRoundManager
    function hold(uint256 task) external onlyJudge {
        Attempt storage a = _attempts[task];
        if (a.holds++ != 0) return;
        if (a.phase == Phase.Included) {
            a.phase = Phase.Demanded;
        } else {
            _requirePhase(task, a, Phase.Proposed);
            a.phase = Phase.Disputed;
            a.proposedAt = uint40(block.timestamp) - a.proposedAt;
        }
        emit AttemptHeld(task, a.round, a.attempt);
    }

    /// @inheritdoc IRoundManager
    function release(uint256 task) external onlyJudge {
        Attempt storage a = _attempts[task];
        if (--a.holds != 0) return;
        uint256 windowEnd = 0;
        if (a.phase == Phase.Demanded) {
            a.phase = Phase.Included;
        } else {
            a.phase = Phase.Proposed;
            a.proposedAt = uint40(block.timestamp) - a.proposedAt;
            windowEnd = _plans[task].windowEnd(a.proposedAt);
        }
        emit AttemptReleased(task, a.round, a.attempt, windowEnd);
    }

    /// @inheritdoc IRoundManager
    function evidenceOf(uint256 task)
        external
        view
        returns (Attempt memory attempt, Plan memory plan, bytes32 inclusionRoot, uint256[2] memory committee)
    {
        attempt = _attempts[task];
        plan = _shapeOf(task);
        inclusionRoot = _settlements[task][attempt.round].inclusionRoot;
        uint256[2] storage words = _committees[task][attempt.draw];
        committee[0] = words[0];
        if (plan.seats() > 16) committee[1] = words[1];
    }

    /// @inheritdoc IRoundManager
    function attemptOf(uint256 task) external view returns (Attempt memory) {
        return _attempts[task];
    }

    /// @inheritdoc IRoundManager
    function committeeAt(uint256 task, uint256 draw_) external view returns (uint256[2] memory) {
        return _committees[task][draw_];
    }

    /// @inheritdoc IRoundManager
    function domainSeparator() external view returns (bytes32) {
        return _separator();
    }

    function _recordSettlement(uint256 task, Plan memory p, Attempt storage a) private {
        Settlement storage s = _settlements[task][a.round];
        Settlement memory settled = Settlement({
            inclusionRoot: s.inclusionRoot,
            reward: 0,
            includeSeats: a.includeSeats,
            proposeSeats: a.proposeSeats,
            draw: a.draw,
            included: a.included
        });
        _reserveReward(task, p, settled);
        _settlements[task][a.round] = settled;
    }

    /// @dev A plan without its roster root, to spare a read.
    function _shapeOf(uint256 task) private view returns (Plan memory p) {
        p.windows = _plans[task].windows;
        p.shape = _plans[task].shape;
    }

    /// @dev The next turn of views proposes over the same set once the strike is final.
    function _strike(uint256 task, Attempt storage a) private {
        Plan memory p = _shapeOf(task);
        uint256 strikes = uint256(a.strikes) + 1;
        a.phase = Phase.Included;
        a.strikes = uint8(strikes);
        a.holds = 0;
        a.proposedAt = uint40(block.timestamp);
        (uint256 opensAt,) = p.proposalView(0, strikes, block.timestamp, strikes * p.views());
        emit ProposalStruck(
            task, a.round, a.attempt, strikes * p.views(), opensAt, p.voidDeadline(0, strikes, block.timestamp)
        );
    }

    function _requirePhase(uint256 task, Attempt storage a, Phase phase) private view {
        if (a.phase != phase) revert RoundManagerWrongPhase(task, uint256(a.phase));
    }

    function _requireAttempt(uint256 task, Attempt storage a, Phase phase, uint256 round, uint256 attempt)
        private
        view
    {
        _requirePhase(task, a, phase);
        if (round != a.round || attempt != a.attempt) revert RoundManagerWrongAttempt(a.round, a.attempt);
    }

    /// @dev A set holds roster members only, enough of them, and after a spent attempt exactly its trainers.
    function _checkTrainers(Plan memory p, Attempt storage a, InclusionArgs calldata args)
        private
        view
        returns (uint256 included)
    {
        if (p.trainers() < 256 && args.trainers >> p.trainers() != 0) revert RoundManagerRoster(args.trainers);
        included = Committee.count(args.trainers);
        if (included < p.trainersMin()) revert RoundManagerTooFewTrainers(included, p.trainersMin());
        if (a.spent && args.trainers != a.trainers) revert RoundManagerFrozenSet(args.trainers, a.trainers);
        bool possible = args.weight >= included && args.weight <= included * p.weightMax();
        if (!possible) revert RoundManagerWeight(args.weight);
        if (args.inclusionRoot == 0) revert RoundManagerZeroRoot();
    }

    function _checkInclusionView(Plan memory p, Attempt storage a, uint256 view_, uint256 included) private view {
        if (view_ >= p.views()) revert RoundManagerUnknownView(view_);
        (uint256 start, uint256 end) = p.inclusionView(a.drawnAt, view_, included == p.trainers());
        _requireNow(start, end);
    }

    function _checkInclusionSeats(Plan memory p, Attempt storage a, InclusionArgs calldata args) private view {
        if (args.seats >> p.seats() != 0) revert RoundManagerUnknownSeat(args.seats);
        if (!Committee.isMajority(args.seats, p.columns(), p.seatsPerColumn())) {
            revert RoundManagerNoMajority(args.seats);
        }
        uint256[] memory ids = _committees[args.task][a.draw].select(args.seats);
        if (args.commitments.length != ids.length) revert RoundManagerLength(args.commitments.length, ids.length);
        Signatures.checkLength(args.signatures, ids.length);
        address[] memory signers = registry.signersAt(ids, a.drawnAt);
        Statements.Include memory s =
            Statements.Include(a.ctx, args.view_, args.inclusionRoot, args.trainers, args.weight, 0);
        for (uint256 i = 0; i < signers.length; ++i) {
            s.commitment = args.commitments[i];
            Signatures.check(args.signatures, i, _digest(s), signers[i]);
        }
    }

    /// @dev Check quorum and signatures, and keep what proofs will need.
    function _checkProposal(Plan memory p, Attempt storage a, ProposalArgs calldata args) private {
        if (args.maskRoots.length != p.columns()) revert RoundManagerLength(args.maskRoots.length, p.columns());
        if (args.modelRoot == 0) revert RoundManagerZeroRoot();
        if (args.seats >> p.seats() != 0) revert RoundManagerUnknownSeat(args.seats);
        uint256[] memory ids = _committees[args.task][a.draw].select(args.seats);
        if (args.seats & a.slashed != 0) revert RoundManagerSlashedSeat(args.seats & a.slashed);
        if (ids.length < p.quorum(Committee.count(a.slashed))) revert RoundManagerNoQuorum(args.seats);
        Signatures.checkLength(args.signatures, ids.length);
        Statements.Propose memory s = Statements.Propose({
            ctx: a.ctx,
            view_: args.view_,
            inclusionRoot: _settlements[args.task][args.round].inclusionRoot,
            maskRootsHash: keccak256(abi.encodePacked(args.maskRoots)),
            aggregateRoot: args.aggregateRoot,
            modelRoot: args.modelRoot
        });
        bytes32 digest = _typedDigest(Statements.hash(s));
        address[] memory signers = registry.signersAt(ids, a.drawnAt);
        for (uint256 i = 0; i < signers.length; ++i) {
            Signatures.check(args.signatures, i, digest, signers[i]);
        }
        a.proposalHash = keccak256(abi.encode(digest, args.seats));
    }

    function _digest(Statements.Include memory s) private view returns (bytes32) {
        return _typedDigest(Statements.hash(s));
    }
}
