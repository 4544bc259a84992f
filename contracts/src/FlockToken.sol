// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// @title FlockToken: stake and rewards on development and test networks
/// @notice Anyone may draw from the faucet, so the token has no value, and the contract refuses Ethereum's main network.
contract FlockToken is ERC20, ERC20Permit {
    /// @notice What one call of the faucet mints.
    uint256 public constant FAUCET_AMOUNT = 1_000_000 ether;
    /// @notice Seconds between two calls of the faucet for one address.
    uint256 public constant FAUCET_INTERVAL = 1 days;

    mapping(address account => uint256) private _nextFaucetAt;

    /// @notice The faucet served `to`.
    event FaucetServed(address indexed to, uint256 amount);

    error FlockTokenNotForMainNetwork();
    error FlockTokenFaucetNotReady(uint256 readyAt);

    constructor() ERC20("Flock", "FLOCK") ERC20Permit("Flock") {
        if (block.chainid == 1) revert FlockTokenNotForMainNetwork();
    }

    /// @notice Mint `FAUCET_AMOUNT` to `to`, at most once a day for each address.
    function faucet(address to) external {
        uint256 readyAt = _nextFaucetAt[to];
        if (block.timestamp < readyAt) revert FlockTokenFaucetNotReady(readyAt);
        _nextFaucetAt[to] = block.timestamp + FAUCET_INTERVAL;
        _mint(to, FAUCET_AMOUNT);
        emit FaucetServed(to, FAUCET_AMOUNT);
    }
}
