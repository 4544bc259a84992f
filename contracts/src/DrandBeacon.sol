// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {DrandNetwork, IDrandBeacon, IRandomnessBeacon} from "./interfaces/IRandomnessBeacon.sol";
import {Bls12381} from "./libraries/Bls12381.sol";

/// @title DrandBeacon: entropy from a drand network, or from whoever holds a key of its shape
/// @notice A request names a round that is not published yet; anyone brings its signature, which is unique, so nobody can choose.
/// @dev Scheme bls-unchained-g1-rfc9380: the key signs SHA-256 of the round's number. Needs the precompiles of EIP-2537.
contract DrandBeacon is IDrandBeacon {
    /// @notice What the task pays for a proof, in answers of a member: four are below what a proof costs.
    uint256 public constant DUTIES = 4;
    /// @notice Most requests that wait for one round, since each is told of its proof.
    uint256 public constant REQUESTS_MAX = 32;

    /// @notice Who may ask: the round manager.
    address public immutable consumer;
    /// @notice Who receives fees that nobody earned.
    address public immutable treasury;
    uint64 public immutable genesis;
    uint64 public immutable period;
    /// @notice A request names a round that is published at least so long after it: more than clocks can differ.
    uint256 public immutable leadSeconds;
    /// @notice A request fails if its round is not proven so long after it was published.
    uint256 public immutable proveSeconds;
    // The key and the tag, word by word: reading them from storage would cost 27,000 gas a proof.
    bytes32 private immutable _key0;
    bytes32 private immutable _key1;
    bytes32 private immutable _key2;
    bytes32 private immutable _key3;
    bytes32 private immutable _key4;
    bytes32 private immutable _key5;
    bytes32 private immutable _key6;
    bytes32 private immutable _key7;
    bytes32 private immutable _dst0;
    bytes32 private immutable _dst1;
    uint256 private immutable _dstLength;

    struct Request {
        uint64 round;
        uint160 context;
    }

    /// @dev Rounds only grow, so the requests of one have consecutive ids.
    struct Waiting {
        uint48 first;
        uint16 count;
        uint128 fee;
    }

    uint48 private _next = 1;
    uint64 private _newestRound;
    mapping(uint256 id => Request) private _requests;
    mapping(uint64 round => Waiting) private _waiting;
    mapping(uint64 round => bytes32) private _randomness;
    mapping(address account => uint256) private _credits;

    constructor(
        address consumer_,
        address treasury_,
        DrandNetwork memory network,
        uint256 leadSeconds_,
        uint256 proveSeconds_
    ) {
        bool sound = treasury_ != address(0) && network.genesis != 0 && network.period != 0 && network.dst.length != 0
            && network.dst.length <= 64 && leadSeconds_ >= network.period && proveSeconds_ != 0;
        if (!sound) revert DrandBeaconConfiguration();
        Bls12381.checkKey(network.publicKey);
        consumer = consumer_;
        treasury = treasury_;
        genesis = network.genesis;
        period = network.period;
        leadSeconds = leadSeconds_;
        proveSeconds = proveSeconds_;
        (_key0, _key1, _key2, _key3, _key4, _key5, _key6, _key7) = abi.decode(
            network.publicKey, (bytes32, bytes32, bytes32, bytes32, bytes32, bytes32, bytes32, bytes32)
        );
        _dstLength = network.dst.length;
        (_dst0, _dst1) = abi.decode(bytes.concat(network.dst, new bytes(64)), (bytes32, bytes32));
    }

    /// @inheritdoc IRandomnessBeacon
    function request(bytes32 context) external payable returns (uint256 id) {
        if (msg.sender != consumer) revert DrandBeaconNotConsumer(msg.sender);
        uint64 round = nextRound();
        _newestRound = round;
        id = _next++;
        _requests[id] = Request({round: round, context: uint160(uint256(context))});
        Waiting storage w = _waiting[round];
        if (w.count == 0) {
            (w.first, w.fee) = (uint48(id), uint128(msg.value));
        } else if (msg.value != 0) {
            // One proof serves all requests of a round, and is paid once.
            _credits[treasury] += msg.value;
        }
        ++w.count;
        emit DrandRoundNamed(id, round);
        emit BeaconRequested(id, context, new uint256[](0), timeOf(round) + proveSeconds);
    }

    /// @inheritdoc IDrandBeacon
    function prove(uint64 round, bytes calldata signature) external {
        Waiting memory w = _waiting[round];
        if (w.count == 0 || _randomness[round] != 0) revert DrandBeaconNothingDue();
        bytes32 randomness = verify(round, signature);
        _randomness[round] = randomness;
        if (w.fee != 0) _credits[msg.sender] += w.fee;
        emit DrandRoundProven(round, msg.sender, randomness);
        for (uint256 i = 0; i < w.count; ++i) {
            emit BeaconRevealed(w.first + i, 0);
        }
    }

    /// @inheritdoc IDrandBeacon
    function payOut(address account) external {
        uint256 amount = _credits[account];
        if (amount == 0) revert DrandBeaconNothingDue();
        _credits[account] = 0;
        emit FeePaid(account, amount);
        (bool sent,) = account.call{value: amount}("");
        if (!sent) revert DrandBeaconPaymentFailed();
    }

    /// @inheritdoc IRandomnessBeacon
    function duties() external pure returns (uint256) {
        return DUTIES;
    }

    /// @inheritdoc IRandomnessBeacon
    function seed(uint256 id) external view returns (bool ready, bool failed, bytes32 value) {
        Request memory r = _known(id);
        bytes32 randomness = _randomness[r.round];
        ready = randomness != 0;
        failed = !ready && block.timestamp >= timeOf(r.round) + proveSeconds;
        if (ready) {
            bytes32 entropy = keccak256(abi.encode(r.context, randomness));
            value = keccak256(abi.encode(block.chainid, address(this), id, entropy));
        }
    }

    /// @inheritdoc IDrandBeacon
    function verify(uint64 round, bytes calldata signature) public view returns (bytes32) {
        bytes memory key = abi.encode(_key0, _key1, _key2, _key3, _key4, _key5, _key6, _key7);
        bytes memory dst = abi.encode(_dst0, _dst1);
        uint256 length = _dstLength;
        assembly ("memory-safe") {
            mstore(dst, length) // at most the 64 bytes that it has
        }
        bytes32 message = sha256(abi.encodePacked(round));
        if (!Bls12381.verify(key, dst, message, signature)) revert DrandBeaconWrongSignature(round);
        return sha256(Bls12381.compress(signature));
    }

    /// @inheritdoc IDrandBeacon
    function timeOf(uint64 round) public view returns (uint256) {
        return uint256(genesis) + (uint256(round) - 1) * period;
    }

    /// @inheritdoc IDrandBeacon
    function nextRound() public view returns (uint64 round) {
        uint256 from = block.timestamp + leadSeconds;
        round = from <= genesis ? 1 : uint64((from - genesis + period - 1) / period + 1);
        if (round < _newestRound) round = _newestRound;
        if (_waiting[round].count == REQUESTS_MAX) ++round;
    }

    /// @inheritdoc IDrandBeacon
    function requestOf(uint256 id) external view returns (uint64 round, uint256 deadline) {
        round = _known(id).round;
        deadline = timeOf(round) + proveSeconds;
    }

    /// @inheritdoc IDrandBeacon
    function randomnessOf(uint64 round) external view returns (bytes32) {
        return _randomness[round];
    }

    /// @inheritdoc IDrandBeacon
    function creditOf(address account) external view returns (uint256) {
        return _credits[account];
    }

    function _known(uint256 id) private view returns (Request memory r) {
        r = _requests[id];
        if (r.round == 0) revert DrandBeaconUnknownRequest(id);
    }
}
