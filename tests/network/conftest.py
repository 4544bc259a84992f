"""Imports libp2p the way the node does, before a test imports it by itself."""

import flocknode.p2p  # noqa: F401
