"""What can go wrong between a node and its chain, and whose fault it is."""

from collections.abc import Iterator
from contextlib import contextmanager

from eth_abi.exceptions import DecodingError

from flocknode.errors import FlockError, OperatorError, UnavailableError

ENDPOINT_CODES = frozenset({0, 429, -32001, -32002, -32004, -32005, -32601, -32603, -32700})
"""No or no usable answer, too many requests, resource not found or unavailable, method or limit
not supported, internal error, parse error."""


class EndpointUnreachable(UnavailableError):
    """The endpoint did not answer within its attempts and deadline."""

    def __init__(self, url: str, detail: str) -> None:
        super().__init__(
            f"the chain endpoint {url} does not answer: {detail}",
            "start the chain, or correct its URL: rpc in the node's file",
        )
        self.url = url


class RpcFailed(FlockError):
    """The endpoint answered with a JSON-RPC error."""

    def __init__(self, method: str, code: int, message: str, data: str | None = None) -> None:
        super().__init__(f"{method}: {message} ({code})")
        self.method = method
        self.code = code
        self.message = message
        self.data = data

    @property
    def blames_endpoint(self) -> bool:
        """Tell whether another endpoint may well answer what this one did not.

        Codes of JSON-RPC 2.0 and EIP-1474, and 0 for what no server said. A revert is none of them:
        every endpoint would answer it.
        """
        is_revert = self.data is not None or "revert" in self.message
        return self.code in ENDPOINT_CODES and not is_revert


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


class HeadBehind(UnavailableError):
    """An endpoint lacks a block that was called final: it is slow, or its chain was reset."""

    def __init__(self, final: int) -> None:
        super().__init__(
            f"the chain endpoint has no block {final}, which was final",
            "wait for the endpoint to catch up; check that its chain was not reset",
        )


class WrongContract(UnavailableError):
    """The code at a deployed address is not the code that this release was built with."""

    def __init__(self, name: str, address: str) -> None:
        super().__init__(
            f"the code of {name} at {address} is not the one this release knows",
            "use the deployment file of this network, or the release that it was deployed with",
        )
        self.name = name
        self.address = address


class RoundNotVerified(OperatorError):
    """A signature is not the one that the network's key gives a round."""

    def __init__(self, round_number: int, why: str) -> None:
        super().__init__(
            f"round {round_number} does not verify: {why}",
            "fetch round and signature again, and compare the key with the network's",
        )
        self.round_number = round_number


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
    except (LookupError, TypeError, ValueError, AttributeError, DecodingError) as error:
        raise MalformedAnswer(f"{what} is malformed: {error}") from error
