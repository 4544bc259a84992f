// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICommitRevealBeacon, IRandomnessBeacon} from "./interfaces/IRandomnessBeacon.sol";
import {IStakeRegistry} from "./interfaces/IStakeRegistry.sol";
import {Committee} from "./libraries/Committee.sol";

/// @title CommitRevealBeacon: entropy from the hash onions of bonded members
/// @notice A request asks up to 16 members for the next layer of their onion and is ready when all have answered. Its clock
/// starts when half have: whoever is missing `revealSeconds` later loses bond and membership, to the treasury. While fewer have
/// answered it waits, a day at most, and then the silent lose their membership only: a chain that does not finalise takes no bond.
/// @dev Members fix their answers before a request exists. Whoever withholds one gets the draw repeated, without itself and from
/// layers that it does not know, at the price of its bond; were the request to stand without the answer, the last member would
/// choose between two values that it knows. Answers are combined by exclusive or, so that their order says nothing. Late answers
/// complete the same request, so a majority that keeps silent gains delay, and another draw a day, not a choice.
contract CommitRevealBeacon is ICommitRevealBeacon {
    /// @notice Most members on duty for one request.
    uint256 public constant DUTIES_MAX = 16;
    /// @notice How long a request waits for half of the answers.
    uint256 public constant STALL_SECONDS = 1 days;
    /// @dev A request closes at most this many older ones, so that its cost is bounded.
    uint256 private constant CLOSE_WITH_REQUEST = 4;

    IStakeRegistry public immutable registry;
    /// @notice Who may ask: the round manager.
    address public immutable consumer;
    /// @notice Who receives forfeited bonds.
    address public immutable treasury;
    uint256 public immutable bond;
    uint256 public immutable revealSeconds;
    uint256 public immutable membersMin;

    struct Member {
        bytes26 tip;
        uint48 answered; // the newest request that needs no answer any more; all of them once the member is gone
        uint16 index;
        uint48 joined; // the first request that may ask this member; 0 if it is none
        bool bonded; // no member any more, but the bond is still here
        bytes32 organisation;
    }

    struct Request {
        uint160 entropy;
        uint16 revealed;
        uint8 duties;
        uint32 feeGwei; // per answer
        uint40 deadline;
        uint256 members; // ids of 16 bits, the first in the lowest bits
    }

    struct Counters {
        uint48 next;
        uint48 firstOpen;
    }

    Counters private _counters = Counters({next: 1, firstOpen: 1});
    uint16[] private _members;
    uint256 private _treasuryDue;
    mapping(uint256 validator => Member) private _memberOf;
    mapping(bytes32 organisation => bool) private _organisationPresent;
    mapping(uint256 id => Request) private _requests;
    mapping(uint256 id => uint256 bitmap) private _paid; // places whose fee was paid, to owners or the treasury

    constructor(
        IStakeRegistry registry_,
        address consumer_,
        address treasury_,
        uint256 bond_,
        uint256 revealSeconds_,
        uint256 membersMin_
    ) {
        bool sound = treasury_ != address(0) && revealSeconds_ != 0 && membersMin_ != 0 && membersMin_ <= DUTIES_MAX;
        if (!sound) revert CommitRevealBeaconConfiguration();
        registry = registry_;
        consumer = consumer_;
        treasury = treasury_;
        bond = bond_;
        revealSeconds = revealSeconds_;
        membersMin = membersMin_;
    }

    /// @inheritdoc ICommitRevealBeacon
    function commit(uint256 validator, bytes32 tip) external payable {
        if (msg.sender != registry.signerOf(validator)) revert CommitRevealBeaconNotSigner(validator, msg.sender);
        Member storage m = _memberOf[validator];
        uint256 due = m.joined == 0 && !m.bonded ? bond : 0;
        if (msg.value != due) revert CommitRevealBeaconWrongBond(msg.value, due);
        if (m.joined == 0) _join(m, validator);
        else _refuseOnDuty(validator, m.joined);
        m.tip = bytes26(tip);
        m.answered = _counters.next - 1;
        emit OnionCommitted(validator, tip);
    }

    /// @inheritdoc ICommitRevealBeacon
    function leave(uint256 validator) external {
        if (msg.sender != registry.ownerOf(validator)) revert CommitRevealBeaconNotOwner(validator, msg.sender);
        Member storage m = _memberOf[validator];
        uint256 joined = m.joined;
        if (joined != 0) {
            _refuseOnDuty(validator, joined);
            _remove(validator);
        } else {
            if (!m.bonded) revert CommitRevealBeaconNotMember(validator);
            m.bonded = false;
        }
        emit MemberLeft(validator, msg.sender, bond);
        _pay(msg.sender, bond);
    }

    /// @inheritdoc IRandomnessBeacon
    function request(bytes32 context) external payable returns (uint256 id) {
        if (msg.sender != consumer) revert CommitRevealBeaconNotConsumer(msg.sender);
        _close(CLOSE_WITH_REQUEST);
        uint256 count = duties();
        if (count < membersMin) revert CommitRevealBeaconTooFewMembers(count, membersMin);
        id = _counters.next++;
        (uint256 packed, uint256[] memory ids) = _onDuty(id, count);
        uint256 feeGwei = msg.value / count / 1 gwei;
        if (feeGwei > type(uint32).max) feeGwei = type(uint32).max;
        uint256 deadline = block.timestamp + STALL_SECONDS;
        _requests[id] = Request({
            entropy: uint160(uint256(context)),
            revealed: 0,
            duties: uint8(count),
            feeGwei: uint32(feeGwei),
            deadline: uint40(deadline),
            members: packed
        });
        uint256 rest = msg.value - feeGwei * 1 gwei * count;
        if (rest != 0) _treasuryDue += rest;
        emit BeaconRequested(id, context, ids, deadline);
    }

    /// @inheritdoc ICommitRevealBeacon
    function reveal(uint256 id, uint256 validator, bytes32 preimage) external {
        Request storage r = _requests[id];
        Member storage m = _memberOf[validator];
        if (r.duties == 0) revert CommitRevealBeaconUnknownRequest(id);
        if (block.timestamp >= r.deadline) revert CommitRevealBeaconClosed(id);
        uint256 place = _placeOf(r.members, r.duties, validator);
        if (place == DUTIES_MAX) revert CommitRevealBeaconNotOnDuty(id, validator);
        // Preimages are fixed, but with two open requests their order would be a choice.
        if (id <= m.answered) revert CommitRevealBeaconOutOfOrder(id, m.answered);
        if (bytes26(keccak256(abi.encode(preimage))) != m.tip) revert CommitRevealBeaconWrongPreimage(validator);
        m.tip = bytes26(preimage);
        m.answered = uint48(id);
        r.entropy ^= uint160(uint256(keccak256(abi.encode(validator, preimage))));
        r.revealed |= uint16(1 << place);
        emit BeaconRevealed(id, validator);
        uint256 twice = 2 * Committee.count(r.revealed);
        if (twice == r.duties || twice == uint256(r.duties) + 1) _startClock(id, r);
    }

    /// @inheritdoc ICommitRevealBeacon
    function close(uint256 limit) external {
        if (_close(limit) == 0) revert CommitRevealBeaconNothingDue();
    }

    /// @inheritdoc ICommitRevealBeacon
    function claimReveals(uint256 validator, uint256[] calldata ids) external {
        uint256 amount = 0;
        for (uint256 i = 0; i < ids.length; ++i) {
            amount += _takeFee(validator, ids[i]);
        }
        if (amount == 0) revert CommitRevealBeaconNothingDue();
        address owner = registry.ownerOf(validator);
        emit RevealsPaid(validator, owner, amount);
        _pay(owner, amount);
    }

    /// @inheritdoc ICommitRevealBeacon
    function payTreasury() external {
        uint256 amount = _treasuryDue;
        if (amount == 0) revert CommitRevealBeaconNothingDue();
        _treasuryDue = 0;
        emit TreasuryPaid(amount);
        _pay(treasury, amount);
    }

    /// @inheritdoc IRandomnessBeacon
    function duties() public view returns (uint256) {
        uint256 count = _members.length;
        return count < DUTIES_MAX ? count : DUTIES_MAX;
    }

    /// @inheritdoc IRandomnessBeacon
    function seed(uint256 id) external view returns (bool ready, bool failed, bytes32 value) {
        Request storage r = _requests[id];
        uint256 asked = r.duties;
        if (asked == 0) revert CommitRevealBeaconUnknownRequest(id);
        uint256 answers = Committee.count(r.revealed);
        ready = answers == asked;
        failed = !ready && block.timestamp >= r.deadline;
        if (ready) value = keccak256(abi.encode(block.chainid, address(this), id, r.entropy));
    }

    /// @inheritdoc ICommitRevealBeacon
    function isMember(uint256 validator) external view returns (bool) {
        return _memberOf[validator].joined != 0;
    }

    /// @inheritdoc ICommitRevealBeacon
    function isDismissed(uint256 validator) external view returns (bool) {
        return _memberOf[validator].bonded;
    }

    /// @inheritdoc ICommitRevealBeacon
    function onionOf(uint256 validator) external view returns (bytes26 tip, uint256 answered) {
        Member storage m = _memberOf[validator];
        return (m.tip, m.answered);
    }

    /// @inheritdoc ICommitRevealBeacon
    function memberCount() external view returns (uint256) {
        return _members.length;
    }

    /// @inheritdoc ICommitRevealBeacon
    function requestOf(uint256 id)
        external
        view
        returns (uint256[] memory members, uint256 revealed, uint256 deadline, uint256 feePerReveal)
    {
        Request storage r = _requests[id];
        members = new uint256[](r.duties);
        for (uint256 i = 0; i < members.length; ++i) {
            members[i] = (r.members >> (i << 4)) & 0xffff;
        }
        return (members, r.revealed, r.deadline, uint256(r.feeGwei) * 1 gwei);
    }

    function _join(Member storage m, uint256 validator) private {
        if (registry.weightOf(validator) == 0) revert CommitRevealBeaconNoWeight(validator);
        bytes32 organisation = registry.organisationOf(validator);
        if (_organisationPresent[organisation]) revert CommitRevealBeaconOrganisationPresent(organisation);
        _organisationPresent[organisation] = true;
        m.joined = _counters.next;
        m.bonded = false;
        m.index = uint16(_members.length);
        m.organisation = organisation;
        _members.push(uint16(validator));
    }

    function _remove(uint256 validator) private {
        Member storage m = _memberOf[validator];
        uint16 last = _members[_members.length - 1];
        _members[m.index] = last;
        _memberOf[last].index = m.index;
        _members.pop();
        delete _organisationPresent[m.organisation];
        m.joined = 0;
        m.answered = type(uint48).max;
    }

    /// @dev More members than places take turns, from one that the request's number names.
    function _onDuty(uint256 id, uint256 count) private view returns (uint256 packed, uint256[] memory ids) {
        uint256 total = _members.length;
        uint256 start = total > DUTIES_MAX ? id * DUTIES_MAX % total : 0;
        ids = new uint256[](count);
        for (uint256 i = 0; i < count; ++i) {
            ids[i] = _members[(start + i) % total];
            packed |= ids[i] << (i << 4);
        }
    }

    /// @dev From the answer that makes the half on, the others have as long as after a request that everybody saw at once.
    function _startClock(uint256 id, Request storage r) private {
        uint256 deadline = block.timestamp + revealSeconds;
        r.deadline = uint40(deadline);
        emit BeaconClockStarted(id, deadline);
    }

    /// @dev Look at the oldest requests; one that still waits holds up none behind it.
    function _close(uint256 limit) private returns (uint256 closed) {
        uint256 first = _counters.firstOpen;
        uint256 end = _counters.next;
        if (limit < end - first) end = first + limit;
        bool leads = true;
        for (uint256 id = first; id < end; ++id) {
            Request storage r = _requests[id];
            uint256 missing = Committee.all(r.duties) & ~uint256(r.revealed);
            if (missing != 0 && block.timestamp < r.deadline) {
                leads = false;
                continue;
            }
            bool ended = _end(id, r, missing & ~_paid[id]);
            if (leads) ++first;
            if (leads || ended) ++closed;
        }
        if (closed != 0) _counters.firstOpen = uint48(first);
    }

    /// @dev End a request, once, that `missing` did not answer.
    function _end(uint256 id, Request storage r, uint256 missing) private returns (bool) {
        if (missing == 0) return false;
        _paid[id] |= missing;
        _treasuryDue += Committee.count(missing) * uint256(r.feeGwei) * 1 gwei;
        bool stalled = 2 * Committee.count(missing) > r.duties;
        for (uint256 members = r.members; missing != 0; missing >>= 1) {
            if (missing & 1 == 1 && _wasAsked(members & 0xffff, id)) _dismiss(id, members & 0xffff, stalled);
            members >>= 16;
        }
        return true;
    }

    /// @dev End a membership; where most were silent the bond stays its owner's.
    function _dismiss(uint256 id, uint256 validator, bool stalled) private {
        _remove(validator);
        if (stalled) {
            _memberOf[validator].bonded = true;
            emit MemberDismissed(id, validator);
        } else {
            _treasuryDue += bond;
            emit BondForfeited(id, validator, bond);
        }
    }

    function _takeFee(uint256 validator, uint256 id) private returns (uint256) {
        Request storage r = _requests[id];
        uint256 place = _placeOf(r.members, r.duties, validator);
        uint256 paid = _paid[id];
        if (place == DUTIES_MAX || (r.revealed >> place) & 1 == 0 || (paid >> place) & 1 == 1) {
            revert CommitRevealBeaconNothingDue();
        }
        _paid[id] = paid | (1 << place);
        return uint256(r.feeGwei) * 1 gwei;
    }

    /// @dev A membership answers only for requests that were made while it lasted.
    function _wasAsked(uint256 validator, uint256 id) private view returns (bool) {
        uint256 joined = _memberOf[validator].joined;
        return joined != 0 && joined <= id;
    }

    function _refuseOnDuty(uint256 validator, uint256 joined) private view {
        uint256 next = _counters.next;
        uint256 id = _counters.firstOpen;
        for (id = id < joined ? joined : id; id < next; ++id) {
            Request storage r = _requests[id];
            uint256 place = _placeOf(r.members, r.duties, validator);
            if (place != DUTIES_MAX && (r.revealed >> place) & 1 == 0) revert CommitRevealBeaconOnDuty(id, validator);
        }
    }

    /// @dev Return the place of `validator` among those on duty, or DUTIES_MAX.
    function _placeOf(uint256 members, uint256 count, uint256 validator) private pure returns (uint256) {
        for (uint256 place = 0; place < count; ++place) {
            if (members & 0xffff == validator) return place;
            members >>= 16;
        }
        return DUTIES_MAX;
    }

    function _pay(address to, uint256 amount) private {
        (bool sent,) = to.call{value: amount}("");
        if (!sent) revert CommitRevealBeaconPaymentFailed();
    }
}
