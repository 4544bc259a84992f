"""What can go wrong between a node and its chain, and whose fault it is."""

from collections.abc import Iterator
from contextlib import contextmanager

from eth_abi.exceptions import DecodingError

from flocknode.errors import FlockError, UnavailableError


class EndpointUnreachable(UnavailableError):
    """The endpoint did not answer within its attempts and deadline."""

    def __init__(self, url: str, detail: str) -> None:
        super().__init__(
            f"the chain endpoint {url} does not answer: {detail}",
            "start the chain or correct its URL; `flocknode doctor` tries it",
        )
        self.url = url


class RpcFailed(FlockError):
    """The endpoint answered with a JSON-RPC error."""

    def __init__(self, method: str, code: int, message: str, data: object = None) -> None:
        super().__init__(f"{method}: {message} ({code})")
        self.method = method
        self.code = code
        self.message = message
        self.data = data


class MalformedAnswer(FlockError):
    """The endpoint answered with something other than what was asked for."""


class MalformedBlock(FlockError):
    """Bytes that were kept of a block are not the block's."""


class FinalityBroken(UnavailableError):
    """The chain replaced a block that it had called final: nothing built on it can be trusted."""

    def __init__(self, final: int) -> None:
        super().__init__(
            f"the chain no longer holds its own final block {final}",
            "check that the endpoint serves the network of the deployment and was not reset",
        )
        self.final = final


class WrongContract(UnavailableError):
    """The code at a deployed address is not the code that this release was built with."""

    def __init__(self, name: str, address: str) -> None:
        super().__init__(
            f"the code of {name} at {address} is not the one this release knows",
            "use the deployment file of this network, or the release that it was deployed with",
        )
        self.name = name
        self.address = address


class CallReverted(FlockError):
    """A contract refused a call by a custom error, ``Error`` or ``Panic``."""

    def __init__(self, error: str, arguments: tuple[object, ...] = ()) -> None:
        super().__init__(f"{error}({', '.join(map(str, arguments))})")
        self.error = error
        self.arguments = arguments


class TransactionRefused(FlockError):
    """The endpoint did not take a transaction into its pool."""


class TransactionLost(FlockError):
    """A transaction is in no block: none took it in time, or another one took its nonce."""


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turn whatever an endpoint's malformed answer raises while it is read into MalformedAnswer."""
    try:
        yield
    except (LookupError, TypeError, ValueError, DecodingError) as error:
        raise MalformedAnswer(f"{what} is malformed: {error}") from error
