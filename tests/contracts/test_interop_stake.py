"""The bytecode and the reference agree, call by call, on who holds what."""

import random

import trio

from flocknode.chain.abi import load_artifact
from flocknode.chain.deploy import COIN
from flocknode.chain.errors import CallReverted
from flocknode.chain.sender import Request, Sender
from flocknode.chain.transaction import created_address
from flocknode.crypto.eip712 import Domain
from flocknode.crypto.hashing import keccak256
from flocknode.crypto.signing import new_signing_key
from flocknode.messages.statements import consent_digest
from flocknode.primitives import Address, PeerId
from flocknode.sim.abi import CallReverted as ReferenceReverted
from flocknode.sim.ledger import SimulatedLedger
from flocknode.sim.state import Deployment

CALLS = 28
UNBONDING = 2
GAS = 600_000
HOSPITAL, PEER = keccak256(b"hospital"), PeerId(b"peer")


async def test_bytecode_and_reference_agree_on_a_random_sequence_of_stake_calls(bench) -> None:
    world = await build(bench)
    rng = random.Random(11)
    refusals = 0
    for _ in range(CALLS):
        refusals += await world.step(rng)
    assert 0 < refusals < CALLS


class Both:
    """One registry on the chain and one in the reference, with the same callers."""

    def __init__(self, bench, registry: Address, token: Address, senders: dict, ledger) -> None:
        self.bench, self.registry, self.token = bench, registry, token
        self.senders, self.ledger = senders, ledger
        self.artifact = load_artifact("StakeRegistry")

    async def step(self, rng: random.Random) -> bool:
        """Make one call on both sides, compare what it says and what it leaves."""
        who = rng.choice(["owner", "ann", "ben"])
        amount = rng.choice([1, COIN // 3, rng.randrange(1, 40 * COIN)])
        scope, finder = keccak256(bytes([rng.randrange(3)])), self.senders["ben"].address
        me = self.senders[who].address
        choices = {
            "stake": (who, (0, amount), lambda: self.ledger.stake(0, amount, sender=me)),
            "delegate": (who, (0, amount), lambda: self.ledger.delegate(0, amount, sender=me)),
            "requestUnstake": (
                who,
                (0, amount),
                lambda: self.ledger.request_unstake(0, amount, sender=me),
            ),
            "withdraw": (who, (0,), lambda: self.ledger.withdraw(0, sender=me)),
            "setCommission": (
                who,
                (0, amount % 10_001),
                lambda: self.ledger.set_commission(0, amount % 10_001, sender=me),
            ),
            "payOut": (who, (me,), lambda: self.ledger.pay_out(me, sender=me)),
            "slash": (
                "slasher",
                (0, amount, scope, finder),
                lambda: self.ledger.slash(
                    0, amount, scope, finder, sender=self.senders["slasher"].address
                ),
            ),
        }
        name = rng.choice(list(choices))
        caller, arguments, reference = choices[name]
        found, time = await self._on_chain(caller, name, arguments)
        self.ledger.mine(max(time, self.ledger.now))
        try:
            reference()
            expected = None
        except ReferenceReverted as reverted:
            expected = reverted.reason
        assert found == expected, name
        await self._compare()
        return found is not None

    async def _on_chain(self, caller: str, name: str, arguments) -> tuple[str | None, int]:
        data = self.artifact.call_data(name, arguments)
        sender = self.senders[caller]
        pending = await sender.send(Request(self.registry, data, GAS))
        try:
            number = (await sender.confirm(pending)).block
            refusal = None
        except CallReverted as reverted:
            number, refusal = await self.bench.client.call("eth_blockNumber"), reverted.error
        block = await self.bench.client.call(
            "eth_getBlockByNumber", number if refusal else hex(number), False
        )
        return refusal, int(block["timestamp"], 16)

    async def view(self, function: str, *arguments) -> tuple:
        call = {
            "to": "0x" + self.registry.hex(),
            "data": "0x" + self.artifact.call_data(function, arguments).hex(),
        }
        answer = await self.bench.client.call("eth_call", call, "latest")
        return self.artifact.results(function, bytes.fromhex(answer[2:]))

    async def _compare(self) -> None:
        entry, state = self.ledger.validator(0), self.ledger.state
        assert await self.view("stakeOf", 0) == (entry.stake,)
        assert await self.view("assetsOf", 0) == (entry.pool.assets,)
        assert await self.view("unbondingOf", 0) == (entry.unbonding, entry.pool.release_at)
        assert await self.view("weightOf", 0) == (entry.weight,)
        assert await self.view("owed") == (state.owed,)
        for sender in self.senders.values():
            position = state.positions.get((0, sender.address))
            shares = position.shares if position else 0
            leaving = position.leaving if position else ()
            amount, unbonding, _earned = await self.view("positionOf", 0, sender.address)
            assert amount == entry.pool.value_of(shares)
            assert [tuple(one) for one in unbonding] == [
                (entry.pool.value_of(one.shares), one.release_at) for one in leaving
            ]
            assert await self.view("creditOf", sender.address) == (
                state.credits.get(sender.address, 0),
            )


async def build(bench) -> Both:
    senders = {name: await _sender(bench) for name in ("owner", "ann", "ben", "slasher")}
    deployer, hot = senders["slasher"], new_signing_key()
    nonce = await deployer.next_nonce()
    token, registry = (created_address(deployer.address, nonce + i) for i in range(2))
    by = (bytes(20), *[deployer.address] * 4, bytes(20))
    terms = (100 * COIN, 1_000 * COIN, UNBONDING, 5_000)
    for name, arguments in (("FlockToken", ()), ("StakeRegistry", (token, by, terms))):
        data = load_artifact(name).creation_data(arguments)
        await deployer.transact(Request(None, data, 6_000_000))
    ledger = SimulatedLedger(
        Deployment(
            chain_id=bench.chain.chain_id,
            stake_registry=registry,
            registrar=Address(bytes(20)),
            slashing_manager=deployer.address,
            treasury=deployer.address,
            stake_min=100 * COIN,
            stake_cap=1_000 * COIN,
            unbonding_seconds=UNBONDING,
        )
    )
    owner = senders["owner"].address
    domain = Domain(bench.chain.chain_id, registry)
    consent = hot.sign_digest(consent_digest(domain, owner, HOSPITAL, PEER))
    stake_token, artifact = load_artifact("FlockToken"), load_artifact("StakeRegistry")
    async with trio.open_nursery() as nursery:
        for sender in senders.values():
            nursery.start_soon(_endow, sender, stake_token, token, registry)
    for function, arguments in (
        ("admitOrganisation", (HOSPITAL, owner)),
        ("register", (HOSPITAL, hot.address, PEER, consent)),
        ("stake", (0, 150 * COIN)),
    ):
        data = artifact.call_data(function, arguments)
        await senders["owner"].transact(Request(registry, data, GAS))
    for sender in senders.values():
        ledger.mint(sender.address, 10**6 * COIN)
    ledger.admit_organisation(HOSPITAL, owner, sender=owner)
    ledger.register(HOSPITAL, hot, PEER, sender=owner)
    ledger.stake(0, 150 * COIN, sender=owner)
    return Both(bench, registry, token, senders, ledger)


async def _sender(bench) -> Sender:
    """A funded sender that can name the contracts' errors."""
    key, artifacts = (
        new_signing_key(),
        [load_artifact(it) for it in ("StakeRegistry", "FlockToken")],
    )
    await bench.fund(key)
    return Sender(bench.client, bench.heads, key, bench.chain.chain_id, artifacts)


async def _endow(sender: Sender, artifact, token: Address, registry: Address) -> None:
    for function, arguments in (
        ("faucet", (sender.address,)),
        ("approve", (registry, 10**6 * COIN)),
    ):
        await sender.transact(Request(token, artifact.call_data(function, arguments), GAS))
