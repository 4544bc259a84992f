"""web3: bindings, event follower, transaction sender, development chain, key store."""
