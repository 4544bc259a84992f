"""The EVM chain: bindings, event follower, transaction sender, development chain, key store."""

import sys
from importlib import import_module
from types import ModuleType


class _Unused(ModuleType):
    """Stands for a module that others import and nobody here uses: all in it is ``object``."""

    def __getattr__(self, name: str) -> type[object]:
        if name.startswith("__"):
            raise AttributeError(name)
        return object


# web3 brings a reader of key files, which works out pairings as it is imported: 0.6 s of every
# start. Keys here are in files of another form.
for _name in ("eth_keyfile", "eth_keyfile.keyfile"):
    sys.modules.setdefault(_name, _Unused(_name))

# py_ecc, which verifies drand's rounds, lets Python recurse a hundred thousand calls deep. An
# endpoint's answer of as many brackets then overflows the stack and ends the process; below it is
# an error.
_recursion_limit = sys.getrecursionlimit()
import_module("py_ecc")
sys.setrecursionlimit(_recursion_limit)
