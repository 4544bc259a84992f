"""A peer-to-peer node that trains models together across institutions."""

__version__ = "0.1.0"
