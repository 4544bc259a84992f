"""A reorganisation of a development chain that mines blocks of its own at the same time."""

import trio

from flocknode.chain.client import ChainClient
from flocknode.chain.errors import RpcFailed

BLOCK_NOT_FOUND = -32001
"""What anvil answers when its miner is between naming a block and storing it; nothing was undone."""


async def reorganise(client: ChainClient, depth: int) -> None:
    """Replace the last ``depth`` blocks by empty ones.

    Raises RpcFailed when the chain refuses for another reason, or a second long.
    """
    for _ in range(50):
        try:
            return await client.call("anvil_reorg", depth, [])
        except RpcFailed as error:
            if error.code != BLOCK_NOT_FOUND:
                raise
        await trio.sleep(0.02)
    await client.call("anvil_reorg", depth, [])
