"""Simulated worlds: network, ledger (the reference of the contracts), checkers."""
