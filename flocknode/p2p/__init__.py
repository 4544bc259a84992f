"""One node's place in the network. libp2p lives here and nowhere else."""

import logging
import warnings

with warnings.catch_warnings():
    # libp2p imports a transport that is never used here, from a deprecated module.
    warnings.simplefilter("ignore", DeprecationWarning)
    import libp2p  # noqa: F401

from flocknode.p2p.counters import Counters
from flocknode.p2p.faults import (
    BlobUnavailableError,
    NetworkError,
    OversizedError,
    PeerUnreachableError,
    StreamLostError,
)
from flocknode.p2p.identity import parse_address
from flocknode.p2p.network import Frame, Network
from flocknode.p2p.serving import BlobSource

# It calls an error what this package expects, translates and tries again.
logging.getLogger("libp2p").addHandler(logging.NullHandler())

__all__ = [
    "BlobSource",
    "BlobUnavailableError",
    "Counters",
    "Frame",
    "Network",
    "NetworkError",
    "OversizedError",
    "PeerUnreachableError",
    "StreamLostError",
    "parse_address",
]
