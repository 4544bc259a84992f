// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Authorities, StakeTerms} from "../src/interfaces/IStakeRegistry.sol";
import {StakeRegistry} from "../src/StakeRegistry.sol";

/// @notice The registry, with one validator whose pool holds whatever is wanted.
contract OpenRegistry is StakeRegistry {
    constructor(Authorities memory by, StakeTerms memory terms) StakeRegistry(IERC20(address(1)), by, terms) {}

    function fill(uint128 assets, uint128 price) external {
        _totals.validators = 1;
        _totals.freezes = 1; // a slash ejects: weights are another claim
        (_pools[0].assets, _pools[0].price) = (assets, price);
    }
}

/// @notice Claims about all values of these widths, for halmos; wider divisions exceed its solver.
contract SymbolicTest {
    address private constant TREASURY = address(0x7EA);
    address private constant FINDER = address(0xF1D);

    OpenRegistry private _registry;

    function setUp() public {
        Authorities memory by;
        (by.slashingManager, by.treasury) = (address(this), TREASURY);
        _registry = new OpenRegistry(by, StakeTerms(10 ether, 100 ether, 7 days, 5000));
    }

    /// @dev What a pool loses is what the finder and the treasury are owed, to the unit.
    function check_a_slash_is_conserved(uint16 assets, uint16 amount, bytes32 scope) public {
        _registry.fill(assets, 1e28);
        uint256 taken = _registry.slash(0, amount, scope, FINDER);
        assert(_registry.assetsOf(0) + taken == assets);
        assert(_registry.owed() == taken);
        assert(_registry.creditOf(FINDER) + _registry.creditOf(TREASURY) == taken);
        assert(10 * _registry.creditOf(FINDER) <= taken);
    }

    /// @dev A slash takes at most what was asked for and what is there.
    function check_a_slash_is_at_most_the_stake(uint96 assets, uint128 amount, bytes32 scope) public {
        _registry.fill(assets, 1e28);
        uint256 taken = _registry.slash(0, amount, scope, FINDER);
        assert(taken <= amount && taken <= assets);
    }
}
