"""libp2p: host, hardened gossip, persistent links, blob exchange."""
