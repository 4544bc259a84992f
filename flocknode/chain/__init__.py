"""The EVM chain: bindings, event follower, transaction sender, development chain, key store."""
