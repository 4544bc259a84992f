"""Questions to the contracts that cost nothing."""

from flocknode.chain.abi import load_artifact, read_revert
from flocknode.chain.client import Json, Rpc
from flocknode.chain.deployment import Deployment
from flocknode.chain.errors import RpcFailed, reading
from flocknode.primitives import Address, Wei


class Reader:
    """Views of one deployment's contracts, by default at the newest block."""

    def __init__(self, client: Rpc, deployment: Deployment) -> None:
        self._client = client
        self._deployment = deployment

    async def view(
        self, contract: str, function: str, *arguments: object, block: str = "latest"
    ) -> tuple[Json, ...]:
        """Return a view's results; raises CallReverted or EndpointUnreachable."""
        artifact = load_artifact(contract)
        call = {
            "to": "0x" + self._deployment.addresses[contract].hex(),
            "data": "0x" + artifact.call_data(function, arguments).hex(),
        }
        try:
            answer = await self._client.call("eth_call", call, block)
        except RpcFailed as error:
            if error.data is not None:
                artifacts = [load_artifact(name) for name in self._deployment.addresses]
                raise read_revert(bytes.fromhex(error.data[2:]), artifacts) from error
            raise
        with reading(f"the answer to {function}"):
            return artifact.results(function, bytes.fromhex(answer[2:]))

    async def validator_of(self, signer: Address) -> int:
        (validator,) = await self.view("StakeRegistry", "validatorOf", signer)
        return int(validator)

    async def onion_tip(self, validator: int) -> bytes:
        """Return the first 26 bytes of the present tip."""
        tip, _answered = await self.view("CommitRevealBeacon", "onionOf", validator)
        return bytes(tip)

    async def token_balance(self, account: Address) -> Wei:
        (balance,) = await self.view("FlockToken", "balanceOf", account)
        return Wei(balance)

    async def native_balance(self, account: Address) -> Wei:
        answer = await self._client.call("eth_getBalance", "0x" + account.hex(), "latest")
        with reading("a balance"):
            return Wei(int(answer, 16))

    async def refund_of(self, relayer: Address) -> Wei:
        (refund,) = await self.view("RoundManager", "refundOf", relayer)
        return Wei(refund)
