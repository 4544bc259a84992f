"""The node's ledger over the real contracts: set up, drawn, refused, paid."""

import os
from dataclasses import dataclass, replace

import pytest
import trio

from flocknode.chain.abi import load_artifact
from flocknode.chain.bindings import Bindings
from flocknode.chain.claims import ContributionClaim, claim_seats, claim_trainer, withdraw_refund
from flocknode.chain.client import ChainClient
from flocknode.chain.connection import Connection
from flocknode.chain.deploy import (
    COIN,
    DrandTerms,
    Enrolment,
    NetworkTerms,
    TaskPlan,
    admit,
    create_task,
    deploy_contracts,
    enrol,
    fund,
)
from flocknode.chain.deployment import Deployment, load_deployment, verify
from flocknode.chain.endpoints import Endpoints
from flocknode.chain.errors import CallReverted, WrongContract
from flocknode.chain.ledger import ChainLedger
from flocknode.chain.onion import Onion, create_onion, load_onion
from flocknode.chain.reader import Reader
from flocknode.chain.sender import Sender
from flocknode.crypto.hashing import keccak256
from flocknode.crypto.merkle import TreeKind, tree_path, tree_root
from flocknode.crypto.signing import SigningKey, new_signing_key
from flocknode.errors import ConfigurationError
from flocknode.messages.statements import (
    RECORD_BYTES,
    Header,
    Include,
    Propose,
    statement_digest,
)
from flocknode.model.terms import IntegerTerms, TaskTerms, Windows
from flocknode.primitives import Address, Digest, PeerId, Wei
from flocknode.protocol.ledger import (
    BeaconRequested,
    BeaconRevealed,
    CommitteeDrawn,
    Draw,
    IncludeSet,
    OpenRound,
    ProposalAccepted,
    ProposeModel,
    Reveal,
    RoundOpened,
    RoundSettled,
    SetAccepted,
    Settle,
    TaskCreated,
    ValidatorKeysSet,
)
from tests.contracts.rpc_proxy import proxy

VALIDATORS = 12
ALL_SEATS = (1 << 9) - 1
TERMS = TaskTerms(
    integers=IntegerTerms(
        words=1000,
        width=16,
        bits=12,
        weight_max=16,
        tau=511,
        scale_bits=11,
        numerator=8192,
        denominator=1,
        clip_norm_log2=0,
    ),
    windows=Windows(
        collect=30, settle=2, view=5, demand=2, roots=5, challenge=10, abort=10, finality=1
    ),
    trainers=12,
    trainers_min=8,
    columns=3,
    seats_per_column=3,
    epoch_rounds=10,
    attempts_max=3,
    rounds=10,
)
PLAN = TaskPlan(
    terms=TERMS,
    configuration=Digest(b"\x01" * 32),
    model_root=Digest(b"\x02" * 32),
    roster_root=Digest(b"\x03" * 32),
    reward_per_round=Wei(100 * COIN),
    trainer_share_bps=5000,
    gas_pool=Wei(10 * COIN),
)


@dataclass(frozen=True)
class Member:
    owner: Address
    key: SigningKey
    peer: PeerId
    onion: Onion
    validator: int


@dataclass(frozen=True)
class Network:
    deployment: Deployment
    bindings: Bindings
    task: int
    members: list[Member]
    seconds: float

    def seated(self, validator: int) -> Member:
        return next(member for member in self.members if member.validator == validator)


@dataclass(frozen=True)
class Round:
    committee: CommitteeDrawn
    trainers: list[Address]
    records: bytes
    include: IncludeSet
    propose: ProposeModel
    gas: int


_stages: dict[str, object] = {}
"""Each stage is reached once, by the first test that needs it."""


@pytest.fixture
async def network(bench) -> Network:
    if "network" not in _stages:
        _stages["network"] = await set_up(bench)
    return _stages["network"]


@pytest.fixture
async def drawn(bench, network) -> tuple[Network, CommitteeDrawn]:
    if "drawn" not in _stages:
        _stages["drawn"] = await draw(bench, network)
    return network, _stages["drawn"]


@pytest.fixture
async def settled(bench, drawn) -> tuple[Network, Round]:
    if "settled" not in _stages:
        _stages["settled"] = await settle(bench, *drawn)
    return drawn[0], _stages["settled"]


async def draw(bench, network: Network) -> CommitteeDrawn:
    ledgers = [ledger_of(bench, network, member) for member in network.members]
    await ledgers[0].submit(OpenRound(network.task))
    events = await events_until(ledgers[0], RoundOpened)
    request = next(event for event in events if isinstance(event, BeaconRequested))
    assert sorted(request.members) == list(range(VALIDATORS))
    async with trio.open_nursery() as nursery:
        for ledger in ledgers:
            nursery.start_soon(ledger.submit, Reveal(request.request))
    await ledgers[0].submit(Draw(network.task))
    events = await events_until(ledgers[0], CommitteeDrawn)
    assert sum(isinstance(event, BeaconRevealed) for event in events) == VALIDATORS
    return events[-1]


async def settle(bench, network: Network, committee: CommitteeDrawn) -> Round:
    """Play the seats' part with statements that are signed as they sign them."""
    ledger = ledger_of(bench, network, network.members[0])
    seats = [network.seated(validator).key for validator in committee.committee]
    trainers, records = contributions(network, committee.ctx)
    weight = TERMS.trainers * TERMS.integers.weight_max
    root = tree_root(TreeKind.INCLUSION, records, RECORD_BYTES)
    commitments = tuple(Digest(os.urandom(32)) for _ in seats)
    everybody = (1 << TERMS.trainers) - 1
    attempt = (network.task, 0, 0)
    includes = [Include(committee.ctx, 0, root, everybody, weight, it) for it in commitments]
    include = IncludeSet(
        *(*attempt, 0, root, everybody, weight, ALL_SEATS, commitments),
        signatures=tuple(
            key.sign_digest(statement_digest(network.deployment.domain, statement))
            for key, statement in zip(seats, includes, strict=True)
        ),
    )
    included = await ledger.transact(include)

    await pass_time(bench, TERMS.windows.demand + TERMS.windows.finality)
    mask_roots = tuple(Digest(os.urandom(32)) for _ in range(TERMS.columns))
    aggregate, model = Digest(os.urandom(32)), Digest(os.urandom(32))
    statement = Propose(committee.ctx, 0, root, keccak256(b"".join(mask_roots)), aggregate, model)
    digest = statement_digest(network.deployment.domain, statement)
    propose = ProposeModel(
        *(*attempt, 0, mask_roots, aggregate, model, ALL_SEATS),
        signatures=tuple(key.sign_digest(digest) for key in seats),
    )
    proposed = await ledger.transact(propose)
    await pass_time(bench, TERMS.windows.challenge)
    done = await ledger.transact(Settle(network.task))
    gas = included.gas_used + proposed.gas_used + done.gas_used
    return Round(committee, trainers, records, include, propose, gas)


def contributions(network: Network, ctx: Digest) -> tuple[list[Address], bytes]:
    keys = [new_signing_key() for _ in range(TERMS.trainers)]
    records = b""
    for index, key in enumerate(keys):
        root, seeds, capsules = (Digest(os.urandom(32)) for _ in range(3))
        words, width = TERMS.integers.words, TERMS.integers.width
        header = Header(ctx, index, key.address, root, words, width, seeds, capsules)
        digest = statement_digest(network.deployment.domain, header)
        records += header.record(key.sign_digest(digest))
    return [key.address for key in keys], records


async def pass_time(bench, seconds: int) -> None:
    await bench.client.call("evm_increaseTime", seconds)
    await bench.heads.beyond((await bench.heads.beyond(bench.heads.newest.digest)).digest)


async def set_up(bench, drand: DrandTerms | None = None, plan: TaskPlan = PLAN) -> Network:
    keys = [new_signing_key() for _ in range(2 * VALIDATORS)]
    started = trio.current_time()
    faucet = Sender(bench.client, bench.heads, bench.chain.faucet, bench.chain.chain_id)
    creator = await bench.sender()
    terms = NetworkTerms(registrar=faucet.address, treasury=faucet.address, drand=drand)
    deployment = await deploy_contracts(bench.client, faucet, bench.chain.chain_id, terms)
    await fund(faucet, [key.address for key in keys], Wei(100 * COIN))
    bindings = Bindings(deployment)
    senders = [Sender(bench.client, bench.heads, key, bench.chain.chain_id) for key in keys]
    onions = [Onion(os.urandom(32), 64) for _ in range(VALIDATORS)]
    peers = [PeerId(b"\x00\x24" + os.urandom(36)) for _ in range(VALIDATORS)]
    enrolments = [
        Enrolment(
            owner=senders[2 * i],
            signer=senders[2 * i + 1],
            organisation=keccak256(b"organisation %d" % i),
            peer=peers[i],
            stake=Wei(5_000 * COIN),
            onion_tip=None if drand else onions[i].tip,
        )
        for i in range(VALIDATORS)
    ]
    await admit(bindings, faucet, enrolments)
    ids = await enrol(bindings, terms.bond, enrolments)
    task = await create_task(bindings, creator, plan)
    seconds = trio.current_time() - started
    members = [
        Member(keys[2 * i].address, keys[2 * i + 1], peers[i], onions[i], ids[i])
        for i in range(VALIDATORS)
    ]
    return Network(deployment, bindings, task, members, seconds)


def ledger_of(bench, network: Network, member: Member) -> ChainLedger:
    connection = Connection.of(bench.client, bench.heads, network.bindings)
    return ChainLedger(connection, member.key, member.onion)


async def events_until(ledger: ChainLedger, kind: type) -> list:
    """All events from the deployment on, up to the first one of ``kind``."""
    seen = []
    with trio.fail_after(20):
        async for progress in ledger.progress(0):
            for block in progress.blocks:
                seen += block.events
            if any(isinstance(event, kind) for event in seen):
                return seen
    raise AssertionError


async def test_twelve_validators_are_set_up_in_seconds(network):
    assert sorted(member.validator for member in network.members) == list(range(VALIDATORS))
    assert network.seconds < 8


async def test_the_set_up_is_told_as_events(bench, network):
    ledger = ledger_of(bench, network, network.members[0])
    events = await events_until(ledger, TaskCreated)
    keys = {e.validator: e for e in events if isinstance(e, ValidatorKeysSet)}
    for member in network.members:
        assert keys[member.validator].signer == member.key.address
        assert keys[member.validator].peer == member.peer
    created = events[-1]
    assert created == TaskCreated(
        network.task, TERMS, PLAN.configuration, PLAN.model_root, PLAN.roster_root
    )


async def test_a_round_is_drawn_from_the_members_reveals(drawn):
    network, committee = drawn
    assert committee.committee[0] in range(VALIDATORS)
    assert len(set(committee.committee)) == TERMS.seats
    signer_of = {member.validator: member.key.address for member in network.members}
    assert committee.signers == tuple(signer_of[v] for v in committee.committee)
    assert committee.model_root == PLAN.model_root


async def test_a_refusal_names_the_contracts_error(bench, drawn):
    network, _ = drawn
    with pytest.raises(CallReverted) as caught:
        await ledger_of(bench, network, network.members[1]).submit(Draw(network.task))
    assert caught.value.error == "RoundManagerWrongPhase"
    assert caught.value.arguments[0] == network.task


async def test_a_round_is_included_proposed_and_settled(bench, settled):
    network, round_ = settled
    events = await events_until(ledger_of(bench, network, network.members[2]), RoundSettled)
    accepted = next(event for event in events if isinstance(event, SetAccepted))
    assert accepted.inclusion_root == round_.include.inclusion_root
    assert accepted.commitments == round_.include.commitments
    assert accepted.seats == ALL_SEATS
    proposed = next(event for event in events if isinstance(event, ProposalAccepted))
    assert proposed.mask_roots == round_.propose.mask_roots
    outcome = next(event for event in events if isinstance(event, RoundSettled))
    assert outcome.model_root == round_.propose.model_root
    assert round_.gas < 1_000_000


async def test_trainers_and_seats_are_paid(bench, settled):
    network, round_ = settled
    reader = Reader(bench.client, network.deployment)
    sender = ledger_of(bench, network, network.members[0]).sender
    trainer = round_.trainers[5]
    claim = ContributionClaim(
        round=0,
        position=5,
        record=round_.records[5 * RECORD_BYTES : 6 * RECORD_BYTES],
        path=tree_path(round_.records, 5, RECORD_BYTES),
    )
    await claim_trainer(sender, network.bindings, network.task, [claim])
    to_trainers = PLAN.reward_per_round * PLAN.trainer_share_bps // 10_000
    assert await reader.token_balance(trainer) == to_trainers // TERMS.trainers

    member = network.seated(round_.committee.committee[0])
    before = await reader.token_balance(member.owner)
    await claim_seats(sender, network.bindings, network.task, member.validator, [0])
    paid = await reader.token_balance(member.owner) - before
    # Every seat has both its bits, so each has an equal part of what trainers do not get.
    assert paid == (PLAN.reward_per_round - to_trainers) // (2 * TERMS.seats) * 2


async def test_a_relayer_is_refunded(bench, settled):
    network, _ = settled
    relayer = network.members[0]
    reader = Reader(bench.client, network.deployment)
    due = await reader.refund_of(relayer.key.address)
    assert due > 0
    before = await reader.native_balance(relayer.key.address)
    sender = ledger_of(bench, network, relayer).sender
    receipt = await withdraw_refund(sender, network.bindings)
    assert receipt.gas_used > 0
    after = await reader.native_balance(relayer.key.address)
    assert before < after < before + due
    assert await reader.refund_of(relayer.key.address) == 0


async def test_a_reveal_without_the_onion_is_a_clear_error(bench, network):
    stranger = replace(network.members[0], onion=Onion(os.urandom(32), 8))
    with pytest.raises(ConfigurationError, match="no onion"):
        await ledger_of(bench, network, stranger).submit(Reveal(1))


async def test_an_endpoint_that_names_an_inner_tip_gets_no_later_answer(bench, network):
    """Who knew the next answers of a member would know the draws that rest on them."""
    member = network.members[3]
    tip = await Reader(bench.client, network.deployment).onion_tip(member.validator)
    inner = tip
    for _ in range(5):
        inner = member.onion.preimage(inner)
    question = load_artifact("CommitRevealBeacon").call_data("onionOf", (member.validator,))

    def lie(call, reply):
        if call["method"] == "eth_call" and call["params"][0]["data"] == "0x" + question.hex():
            reply["result"] = "0x" + inner[:26].hex() + reply["result"][54:]
        return reply

    async def admit(_client) -> None:
        pass

    with proxy(bench.chain.url) as liar, proxy(bench.chain.url) as honest:
        liar.alter = lie
        clients = [ChainClient(it.url, attempts=1) for it in (liar, honest)]
        endpoints = Endpoints(clients, admit)
        await endpoints.open()
        connection = Connection.of(endpoints, bench.heads, network.bindings)
        ledger = ChainLedger(connection, member.key, member.onion)
        assert await ledger._next_layer(member.validator) == member.onion.preimage(tip)
        for client in clients:
            client.close()


async def test_the_contracts_of_a_deployment_are_recognised(bench, network, tmp_path):
    path = tmp_path / "network.json"
    network.deployment.save(path)
    loaded = load_deployment(path)
    assert loaded == network.deployment
    await verify(bench.client, loaded)


async def test_other_code_at_the_address_is_refused(bench, network):
    addresses = {**network.deployment.addresses, "RoundManager": Address(b"\x09" * 20)}
    elsewhere = replace(network.deployment, addresses=addresses)
    with pytest.raises(WrongContract, match="RoundManager"):
        await verify(bench.client, elsewhere)


async def test_the_same_code_with_other_immutables_is_refused(bench, network):
    """A registry of the same code that obeys another round manager."""
    faucet = Sender(bench.client, bench.heads, bench.chain.faucet, bench.chain.chain_id)
    terms = NetworkTerms(registrar=faucet.address, treasury=faucet.address)
    other = await deploy_contracts(bench.client, faucet, bench.chain.chain_id, terms)
    addresses = {
        **network.deployment.addresses,
        "StakeRegistry": other.addresses["StakeRegistry"],
    }
    with pytest.raises(WrongContract, match="StakeRegistry"):
        await verify(bench.client, replace(network.deployment, addresses=addresses))


async def test_another_chain_is_refused(bench, network):
    with pytest.raises(ConfigurationError, match="serves chain"):
        await verify(bench.client, replace(network.deployment, chain_id=1))


def test_an_onion_is_peeled_from_its_tip(tmp_path):
    onion = create_onion(tmp_path / "onion", layers=3)
    assert (tmp_path / "onion").stat().st_mode & 0o777 == 0o600
    tip, layers = onion.tip, 0
    while (inside := load_onion(tmp_path / "onion").preimage(tip[:26])) is not None:
        assert keccak256(inside) == tip
        tip, layers = inside, layers + 1
    assert layers == 3
