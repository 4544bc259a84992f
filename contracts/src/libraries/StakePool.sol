// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title StakePool: what one validator's owner and delegators hold together, in shares of one price
/// @dev Own, delegated and unbonding stake are shares at the same price, so a slash lowers all of them alike. The price starts
/// at ONE and only a slash changes it, downwards: there is no way to raise it for others, by a gift or by rounding. All
/// divisions round against the holder, so `assets` always cover the value of all shares.
library StakePool {
    /// @dev The price of a share in units of the token, with 28 decimals: a slash of some percent is exact.
    uint256 internal constant ONE = 1e28;
    /// @dev Below it the pool takes no new stake: shares would outgrow 128 bits, and rounding would matter.
    uint256 internal constant PRICE_MIN = 1e21;

    struct Pool {
        uint128 assets;
        uint128 price;
        uint128 bonded; // shares, the owner's included
        uint128 unbonding; // shares
        uint128 own; // the owner's bonded shares
        uint40 releaseAt; // of the newest request to unbond
        uint256 accrued; // reward for each delegated share so far, in units of 1 / ONE
    }

    function open(Pool storage pool) internal {
        pool.price = uint128(ONE);
    }

    /// @dev Take in `amount` and return its shares; it is worth less than one unit less than `amount`.
    function enter(Pool storage pool, uint256 amount) internal returns (uint128 shares) {
        // Amounts stay below 2^96 and the price above ONE / 10^7, so shares stay below 2^120.
        shares = uint128(amount * ONE / pool.price);
        pool.assets += uint128(amount);
        pool.bonded += shares;
    }

    /// @dev Return the shares to give up for `amount`, at most all of `held`.
    function sharesFor(Pool storage pool, uint256 amount, uint256 held) internal view returns (uint128) {
        uint256 worth = valueOf(pool, held);
        // All that a holder has leaves no dust behind.
        if (amount == worth) return uint128(held);
        uint256 price = pool.price;
        return uint128((amount * ONE + price - 1) / price);
    }

    /// @dev Pay out unbonding `shares`.
    function leave(Pool storage pool, uint256 shares) internal returns (uint256 amount) {
        amount = valueOf(pool, shares);
        pool.unbonding -= uint128(shares);
        pool.assets -= uint128(amount);
    }

    /// @dev Take `amount` out of everybody's shares alike.
    function slash(Pool storage pool, uint256 amount) internal {
        uint256 assets = pool.assets;
        if (amount == 0) return;
        // Rounded down: the assets that are left cover all shares at the new price.
        pool.price = uint128(uint256(pool.price) * (assets - amount) / assets);
        pool.assets = uint128(assets - amount);
    }

    function valueOf(Pool storage pool, uint256 shares) internal view returns (uint256) {
        return shares * pool.price / ONE;
    }
}
