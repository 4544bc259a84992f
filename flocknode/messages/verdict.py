"""What a rule says about something that a peer sent."""

from enum import Enum, auto


class Verdict(Enum):
    """ACCEPT: use and forward. IGNORE: drop, nobody's fault. REJECT: drop, the sender's fault."""

    ACCEPT = auto()
    IGNORE = auto()
    REJECT = auto()
