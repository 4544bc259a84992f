// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Test, Vm} from "./Vm.sol";

/// @notice Sends calls at a price of gas. In isolation every call of a test is a transaction of its own, but at no price, so
/// that nothing is refunded and the beacon is asked for nothing: the price is set within the transaction.
contract Relay {
    Vm private immutable _vm;

    constructor(Vm vm_) {
        _vm = vm_;
    }

    /// @return gas what the call used, before intrinsic gas
    function send(address target, bytes calldata data, uint256 price) external returns (uint256 gas, uint256 refunded) {
        _vm.txGasPrice(price);
        (bool done, bytes memory why) = target.call(data);
        Vm.Gas memory used = _vm.lastCallGas();
        if (!done) {
            assembly ("memory-safe") {
                revert(add(why, 32), mload(why))
            }
        }
        return (used.gasTotalUsed, used.gasRefunded > 0 ? uint64(used.gasRefunded) : 0);
    }

    receive() external payable {}
}

/// @notice What calls cost as whole transactions: cold storage, intrinsic gas, and the floor of calldata (EIP-7623).
abstract contract Metered is Test {
    uint256 internal constant PRICE = 1 gwei;

    Relay internal relay;

    /// @dev Return the gas of a transaction of just this call.
    function transact(address target, bytes memory data) internal returns (uint256 gas) {
        if (address(relay) == address(0)) relay = new Relay(vm);
        (uint256 used, uint256 refunded) = relay.send(target, data, PRICE);
        gas = 21_000 + 16 * data.length - 12 * zeros(data) + used;
        // EIP-3529: a fifth at most comes back.
        gas -= refunded < gas / 5 ? refunded : gas / 5;
        uint256 least = floorOf(data);
        if (gas < least) gas = least;
    }

    /// @dev EIP-7623: at least ten gas for a zero byte, forty for another.
    function floorOf(bytes memory data) internal pure returns (uint256) {
        return 21_000 + 40 * data.length - 30 * zeros(data);
    }

    function zeros(bytes memory data) internal pure returns (uint256 count) {
        for (uint256 i = 0; i < data.length; ++i) {
            if (data[i] == 0) ++count;
        }
    }
}
