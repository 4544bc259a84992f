"""The development chain in Python: what nodes do on anvil they do on it unchanged."""

from collections.abc import Iterator

import pytest

from flocknode.chain.devchain import DevChain
from flocknode.chain.reader import Reader
from flocknode.protocol.ledger import RoundSettled
from tests.contracts.conftest import running
from tests.contracts.test_chain_ledger import draw, events_until, ledger_of, set_up, settle


@pytest.fixture(scope="module")
def chain(tmp_path_factory) -> Iterator[DevChain]:
    with running(tmp_path_factory.mktemp("chain"), "pyevm", finality_blocks=2) as chain:
        yield chain


async def test_a_round_is_set_up_drawn_and_settled_on_it(bench):
    import time
    t=time.time()
    network = await set_up(bench)
    print("setup", time.time()-t); t=time.time()
    committee = await draw(bench, network)
    print("draw", time.time()-t); t=time.time()
    done = await settle(bench, network, committee)
    print("settle", time.time()-t); t=time.time()
    ledger = ledger_of(bench, network, network.members[2])
    events = await events_until(ledger, RoundSettled)
    assert events[-1].model_root == done.propose.model_root
