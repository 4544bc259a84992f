"""What storage raises while a node runs; what is amiss at start is a ``ConfigurationError``."""

from flocknode.errors import FlockError


class StorageError(FlockError):
    """The disk did not take what had to be kept. Fault: this machine."""
