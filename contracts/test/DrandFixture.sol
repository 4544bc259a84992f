// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {DrandBeacon} from "../src/DrandBeacon.sol";
import {DrandNetwork, IRandomnessBeacon} from "../src/interfaces/IRandomnessBeacon.sol";
import {Bls12381} from "../src/libraries/Bls12381.sol";
import {Fixture} from "./Fixture.sol";

/// @notice Networks that draw by drand: quicknet's constants, and a consortium's own key that can sign.
abstract contract DrandFixture is Fixture {
    bytes internal constant DST = "BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_";
    uint256 internal constant SECRET = 0x5EC2E7;
    uint256 internal constant LEAD = 30;
    uint256 internal constant PROVE = 600;
    uint64 internal constant PERIOD = 3;
    uint64 internal constant GENESIS = 1_692_803_367;

    DrandBeacon internal drand;

    function newBeacon(address manager_) internal virtual override returns (IRandomnessBeacon) {
        drand = new DrandBeacon(manager_, TREASURY, consortium(), LEAD, PROVE);
        return drand;
    }

    function quicknet() internal pure returns (DrandNetwork memory) {
        return DrandNetwork(
            hex"000000000000000000000000000000000d1fec758c921cc22b0e17e63aaf4bcb5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8991ef5ece45a"
            hex"0000000000000000000000000000000003cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c8c4b450b6a0a6c3ac6a5776a2d106451"
            hex"000000000000000000000000000000000e5db2b6bfbb01c867749cadffca88b36c24f3012ba09fc4d3022c5c37dce0f977d3adb5d183c7477c442b1f04515273"
            hex"0000000000000000000000000000000001a714f2edb74119a2f2b0d5a7c75ba902d163700a61bc224ededd8e63aef7be1aaf8e93d7a9718b047ccddb3eb5d68b",
            DST,
            GENESIS,
            PERIOD
        );
    }

    function consortium() internal view returns (DrandNetwork memory) {
        return DrandNetwork(publicKey(SECRET), DST, GENESIS, PERIOD);
    }

    /// @dev The generator of G2 times `secret`, by the precompile for sums of multiples.
    function publicKey(uint256 secret) internal view returns (bytes memory key) {
        bytes memory generator = hex"00000000000000000000000000000000024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8"
            hex"0000000000000000000000000000000013e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e"
            hex"000000000000000000000000000000000ce5d527727d6e118cc9cdc6da2e351aadfd9baa8cbdd3a76d429a695160d12c923ac9cc3baca289e193548608b82801"
            hex"000000000000000000000000000000000606c4a02ea734cc32acd2b02bc28b99cb3e287e85a763af267492ab572e99ab3f370d275cec1da1aaa9075ff05f79be";
        return precompile(0x0e, bytes.concat(generator, bytes32(secret)));
    }

    /// @dev The round's signature under `secret`, as DrandBeacon takes it.
    function signRound(uint256 secret, uint64 round) internal view returns (bytes memory) {
        bytes memory message = Bls12381.hashToG1(sha256(abi.encodePacked(round)), DST);
        bytes memory point = precompile(0x0c, bytes.concat(message, bytes32(secret)));
        return bytes.concat(slice(point, 16), slice(point, 80));
    }

    function precompile(uint160 at, bytes memory input) internal view returns (bytes memory) {
        (bool done, bytes memory output) = address(at).staticcall(input);
        assertTrue(done, "a precompile refuses");
        return output;
    }

    /// @dev 48 bytes from `start` on.
    function slice(bytes memory data, uint256 start) internal pure returns (bytes memory part) {
        part = new bytes(48);
        for (uint256 i = 0; i < 48; ++i) {
            part[i] = data[start + i];
        }
    }

    function proveRequest(uint256 id) internal {
        (uint64 round,) = drand.requestOf(id);
        bytes memory signature = signRound(SECRET, round);
        vm.prank(RELAYER);
        drand.prove(round, signature);
    }
}
