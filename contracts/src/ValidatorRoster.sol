// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {IStakeRegistry} from "./interfaces/IStakeRegistry.sol";
import {Seating} from "./libraries/Seating.sol";

/// @title ValidatorRoster: organisations, validators and their keys
/// @dev A validator's signers are kept with the time until which they signed, so that a statement stays attributable.
abstract contract ValidatorRoster is IStakeRegistry, EIP712 {
    /// @notice Ids fit 16 bits.
    uint256 public constant VALIDATORS_MAX = 65_536;
    /// @notice The longest peer id in bytes.
    uint256 public constant PEER_LENGTH_MAX = 64;
    bytes32 private constant CONSENT_TYPE = keccak256("KeyConsent(address owner,bytes32 organisation,bytes32 peerHash)");

    /// @notice Who admits organisations; the zero address lets everybody do so.
    address public immutable registrar;
    /// @notice Who may pause entries.
    address public immutable guardian;

    struct Organisation {
        address owner;
        uint32 index;
        uint64 weight;
    }

    struct Totals {
        uint32 validators;
        uint32 organisations;
        uint32 eligible;
        uint32 freezes;
        bool paused;
    }

    /// @dev A signer of the past.
    struct Tenure {
        address signer;
        uint40 until;
    }

    Totals internal _totals;
    mapping(uint256 validator => Seating.Seat) internal _seats;
    mapping(bytes32 organisation => Organisation) internal _organisations;
    mapping(uint256 index => bytes32 organisation) internal _organisationAt;
    mapping(uint256 validator => Tenure[]) private _tenures;
    mapping(address signer => uint256 validatorPlusOne) private _validatorBySigner;

    constructor(address registrar_, address guardian_) EIP712("flocknode", "1") {
        registrar = registrar_;
        guardian = guardian_;
    }

    modifier onlyOwnerOf(uint256 validator) {
        if (msg.sender != ownerOf(validator)) revert StakeRegistryNotOwner(validator, msg.sender);
        _;
    }

    modifier whileEntriesAreOpen() {
        if (_totals.paused) revert StakeRegistryEntriesPaused();
        _;
    }

    /// @inheritdoc IStakeRegistry
    function admitOrganisation(bytes32 organisation, address owner) external {
        if (registrar != address(0) && msg.sender != registrar) revert StakeRegistryNotRegistrar(msg.sender);
        if (organisation == 0 || owner == address(0)) revert StakeRegistryZero();
        Organisation storage o = _organisations[organisation];
        if (o.owner != address(0)) revert StakeRegistryOrganisationKnown(organisation);
        uint32 index = ++_totals.organisations;
        o.owner = owner;
        o.index = index;
        _organisationAt[index] = organisation;
        emit OrganisationAdmitted(organisation, owner);
    }

    /// @inheritdoc IStakeRegistry
    function register(bytes32 organisation, address signer, bytes calldata peer, bytes calldata consent)
        external
        whileEntriesAreOpen
        returns (uint256 validator)
    {
        Organisation storage o = _organisations[organisation];
        if (o.owner == address(0) || msg.sender != o.owner) {
            revert StakeRegistryNotOrganisationOwner(organisation, msg.sender);
        }
        validator = _totals.validators;
        if (validator == VALIDATORS_MAX) revert StakeRegistryFull();
        ++_totals.validators;
        _claimSigner(validator, signer);
        _seats[validator] = Seating.Seat({signer: signer, organisation: o.index, since: 0, ejected: false});
        _openPool(validator, msg.sender);
        emit ValidatorRegistered(validator, msg.sender, organisation);
        _announceKeys(validator, organisation, signer, peer, consent);
    }

    /// @inheritdoc IStakeRegistry
    function rotateKeys(uint256 validator, address signer, bytes calldata peer, bytes calldata consent)
        external
        onlyOwnerOf(validator)
    {
        Seating.Seat storage seat = _seats[validator];
        if (signer != seat.signer) {
            if (seat.since > block.timestamp) revert StakeRegistryRotating(validator);
            _claimSigner(validator, signer);
            // From the next second on: within this one it would be open whom a draw meant.
            uint40 since = uint40(block.timestamp + 1);
            _tenures[validator].push(Tenure({signer: seat.signer, until: since}));
            seat.signer = signer;
            seat.since = since;
        }
        _announceKeys(validator, organisationOf(validator), signer, peer, consent);
    }

    /// @inheritdoc IStakeRegistry
    function pauseEntries(bool paused) external {
        if (msg.sender != guardian) revert StakeRegistryNotGuardian(msg.sender);
        _totals.paused = paused;
        emit EntriesPaused(paused);
    }

    /// @inheritdoc IStakeRegistry
    function signersOf(uint256[] calldata validators) external view returns (address[] memory) {
        return signersAt(validators, block.timestamp);
    }

    /// @inheritdoc IStakeRegistry
    function signersAt(uint256[] calldata validators, uint256 time) public view returns (address[] memory signers) {
        signers = new address[](validators.length);
        for (uint256 i = 0; i < validators.length; ++i) {
            signers[i] = signerAt(validators[i], time);
        }
    }

    /// @inheritdoc IStakeRegistry
    function signerOf(uint256 validator) external view returns (address) {
        return signerAt(validator, block.timestamp);
    }

    /// @inheritdoc IStakeRegistry
    function signerAt(uint256 validator, uint256 time) public view returns (address) {
        Seating.Seat storage seat = _seats[validator];
        if (seat.since <= time) return seat.signer;
        Tenure[] storage tenures = _tenures[validator];
        // The first tenure that ended after `time`: the last one did, and they end in order.
        uint256 low = 0;
        uint256 high = tenures.length - 1;
        while (low < high) {
            uint256 middle = (low + high) >> 1;
            if (tenures[middle].until > time) high = middle;
            else low = middle + 1;
        }
        return tenures[low].signer;
    }

    /// @inheritdoc IStakeRegistry
    function validatorOf(address signer) external view returns (uint256) {
        uint256 plusOne = _validatorBySigner[signer];
        if (plusOne == 0) revert StakeRegistryUnknownSigner(signer);
        return plusOne - 1;
    }

    /// @inheritdoc IStakeRegistry
    function organisationOf(uint256 validator) public view returns (bytes32) {
        return _organisationAt[_seats[validator].organisation];
    }

    /// @inheritdoc IStakeRegistry
    function validatorCount() external view returns (uint256) {
        return _totals.validators;
    }

    /// @inheritdoc IStakeRegistry
    function entriesPaused() external view returns (bool) {
        return _totals.paused;
    }

    /// @inheritdoc IStakeRegistry
    function consentDigest(address owner, bytes32 organisation, bytes calldata peer) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(CONSENT_TYPE, owner, organisation, keccak256(peer))));
    }

    /// @dev The cold key of a validator.
    function ownerOf(uint256 validator) public view virtual returns (address);

    function _openPool(uint256 validator, address owner) internal virtual;

    /// @dev Known for ever: evidence signed by a key of the past finds its validator.
    function _claimSigner(uint256 validator, address signer) private {
        if (signer == address(0)) revert StakeRegistryZero();
        if (_validatorBySigner[signer] != 0) revert StakeRegistrySignerKnown(signer);
        _validatorBySigner[signer] = validator + 1;
    }

    function _announceKeys(
        uint256 validator,
        bytes32 organisation,
        address signer,
        bytes calldata peer,
        bytes calldata consent
    ) private {
        if (peer.length == 0 || peer.length > PEER_LENGTH_MAX) revert StakeRegistryPeerLength(peer.length);
        (address found,,) = ECDSA.tryRecoverCalldata(consentDigest(msg.sender, organisation, peer), consent);
        if (found != signer) revert StakeRegistryNoConsent(signer);
        emit ValidatorKeysSet(validator, signer, peer);
    }
}
