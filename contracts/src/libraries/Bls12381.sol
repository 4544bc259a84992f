// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title Bls12381: BLS signatures in G1 under keys in G2, by the precompiles of EIP-2537
/// @dev Hash to the curve as in RFC 9380, suite BLS12381G1_XMD:SHA-256_SSWU_RO_. Field elements are 64 bytes here, the upper 16
/// of them zero. The precompiles refuse coordinates that are not reduced, and the pairing points outside the subgroup.
library Bls12381 {
    address private constant MODEXP = address(0x05);
    address private constant G1_ADD = address(0x0b);
    address private constant PAIRING = address(0x0f);
    address private constant MAP_TO_G1 = address(0x10);

    /// @dev The field's modulus p, and (p - 1) / 2, each as the upper 16 and the lower 32 bytes of 48.
    uint256 private constant P_HIGH = 0x1a0111ea397fe69a4b1ba7b6434bacd7;
    uint256 private constant P_LOW = 0x64774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab;
    uint256 private constant HALF_HIGH = 0x0d0088f51cbff34d258dd3db21a5d66b;
    uint256 private constant HALF_LOW = 0xb23ba5c279c2895fb39869507b587b120f55ffff58a9ffffdcff7fffffffd555;

    /// @dev The negated generator of G2: x.c0, x.c1, y.c0, y.c1.
    bytes private constant MINUS_G2 = hex"00000000000000000000000000000000024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8"
        hex"0000000000000000000000000000000013e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e"
        hex"000000000000000000000000000000000d1b3cc2c7027888be51d9ef691d77bcb679afda66c73f17f9ee3837a55024f78c71363275a75d75d86bab79f74782aa"
        hex"0000000000000000000000000000000013fa4d4a0ad8b1ce186ed5061789213d993923066dddaf1040bc3ff59f825c78df74f2d75467e25e0f55f8a00fa030ed";

    error Bls12381Length(uint256 length);
    error Bls12381Infinity();
    error Bls12381Refused(address precompile);

    /// @dev Tell whether `signature` (x and y, 48 bytes each) is that of `message` under `key` (256 bytes). Reverts for bytes
    /// that are no point of G1.
    function verify(bytes memory key, bytes memory dst, bytes32 message, bytes calldata signature)
        internal
        view
        returns (bool)
    {
        bytes memory point = hashToG1(message, dst);
        bytes memory answer =
            _call(PAIRING, bytes.concat(_unpack(signature), MINUS_G2, point, key), 32);
        return abi.decode(answer, (uint256)) == 1;
    }

    /// @dev Refuse a key that is the point at infinity or no point of G2. With it, every signature but infinity would fail.
    function checkKey(bytes memory key) internal view {
        if (key.length != 256) revert Bls12381Length(key.length);
        if (keccak256(key) == keccak256(new bytes(256))) revert Bls12381Infinity();
        // A pair with infinity gives one for every point that the precompile accepts.
        _call(PAIRING, bytes.concat(new bytes(128), key), 32);
    }

    /// @dev Compress a point of G1 as Zcash and drand do: the largest bits say compressed, and whether y is the larger root.
    function compress(bytes calldata point) internal pure returns (bytes memory compressed) {
        uint256 high = uint256(uint128(bytes16(point[48:64])));
        uint256 low = uint256(bytes32(point[64:96]));
        bool larger = high > HALF_HIGH || (high == HALF_HIGH && low > HALF_LOW);
        compressed = point[0:48];
        compressed[0] |= larger ? bytes1(0xa0) : bytes1(0x80);
    }

    function _unpack(bytes calldata point) private pure returns (bytes memory) {
        if (point.length != 96) revert Bls12381Length(point.length);
        if (keccak256(point) == keccak256(new bytes(96))) revert Bls12381Infinity();
        return abi.encodePacked(bytes16(0), point[0:48], bytes16(0), point[48:96]);
    }

    /// @dev hash_to_curve of RFC 9380, section 3: two field elements, mapped and added. The map clears the cofactor, which is
    /// linear, so that clearing before the sum gives the same point.
    function hashToG1(bytes32 message, bytes memory dst) internal view returns (bytes memory) {
        bytes32[4] memory uniform = _expand(message, dst);
        return _call(
            G1_ADD,
            bytes.concat(
                _call(MAP_TO_G1, _reduce(uniform[0], uniform[1]), 128),
                _call(MAP_TO_G1, _reduce(uniform[2], uniform[3]), 128)
            ),
            128
        );
    }

    /// @dev expand_message_xmd of RFC 9380, section 5.3.1, with SHA-256, for 128 bytes.
    function _expand(bytes32 message, bytes memory dst) private pure returns (bytes32[4] memory uniform) {
        // forge-lint: disable-next-line(unsafe-typecast)
        bytes memory suffix = abi.encodePacked(dst, uint8(dst.length));
        bytes32 b0 = sha256(abi.encodePacked(new bytes(64), message, uint16(128), uint8(0), suffix));
        bytes32 b = 0;
        for (uint8 i = 1; i <= 4; ++i) {
            b = sha256(abi.encodePacked(b0 ^ b, i, suffix));
            uniform[i - 1] = b;
        }
    }

    /// @dev Return 64 bytes modulo p, as a power of one.
    function _reduce(bytes32 high, bytes32 low) private view returns (bytes memory) {
        bytes memory input = abi.encodePacked(
            uint256(64), uint256(1), uint256(48), high, low, uint8(1), bytes16(uint128(P_HIGH)), bytes32(P_LOW)
        );
        return bytes.concat(bytes16(0), _call(MODEXP, input, 48));
    }

    function _call(address precompile, bytes memory input, uint256 length) private view returns (bytes memory) {
        (bool done, bytes memory output) = precompile.staticcall(input);
        if (!done || output.length != length) revert Bls12381Refused(precompile);
        return output;
    }
}
