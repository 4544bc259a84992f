"""A reorganisation of a development chain that mines blocks of its own at the same time."""

import trio

from flocknode.chain.client import ChainClient
from flocknode.chain.errors import RpcFailed

BLOCK_NOT_FOUND = -32001
"""Anvil's answer while its miner has named a block and not stored it yet; nothing was undone."""


async def reorganise(client: ChainClient, depth: int) -> None:
    """Replace the last ``depth`` blocks by empty ones.

    Raises RpcFailed when the chain refuses for another reason, trio.TooSlowError after a second.
    """
    with trio.fail_after(1):
        while True:
            try:
                await client.call("anvil_reorg", depth, [])
            except RpcFailed as error:
                if error.code != BLOCK_NOT_FOUND:
                    raise
                await trio.sleep(0.02)
            else:
                return
