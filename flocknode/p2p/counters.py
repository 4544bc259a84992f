"""What one node has sent and dropped since it started."""

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    gossip_messages: int = 0
    """Messages that this node published."""
    bytes_gossiped: int = 0
    """Gossip payload bytes written to peers, once per peer, forwarded ones included."""
    bytes_links: int = 0
    """Bytes written to links, length prefixes included."""
    bytes_blobs: int = 0
    """Blob bytes served to peers."""
    frames_dropped: int = 0
    """Gossip frames lost because nobody drained ``incoming``."""
