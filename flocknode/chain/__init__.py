"""The EVM chain: bindings, event follower, transaction sender, development chain, key store."""

import sys
from importlib import import_module

# py_ecc, which web3 brings, lets Python recurse a hundred thousand calls deep. An endpoint's answer
# of as many brackets then overflows the stack and ends the process; below it is an error.
_recursion_limit = sys.getrecursionlimit()
import_module("py_ecc")
sys.setrecursionlimit(_recursion_limit)
