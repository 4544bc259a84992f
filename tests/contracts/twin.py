"""The reference ledger and the bytecode, called alike: they must say and leave the same.

A chain of its own mines one block for each call, stamped with the reference's time, and takes
calls from any address. Whatever differs fails the test at the call that brought it.
"""

import http.client
import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flocknode.chain.abi import Artifact, load_artifact, read_address, read_revert
from flocknode.chain.bindings import Bindings
from flocknode.chain.deploy import NetworkTerms, constructor_arguments
from flocknode.chain.deployment import Deployment as Contracts
from flocknode.chain.deployment import contract_names
from flocknode.chain.devchain import bounded_history, find_anvil, launch, stop
from flocknode.chain.sender import Request
from flocknode.chain.transaction import created_address
from flocknode.crypto.signing import SigningKey
from flocknode.messages.statements import consent_digest
from flocknode.primitives import Address, Digest, PeerId, Wei
from flocknode.protocol.ledger import Call, LedgerEvent
from flocknode.sim.abi import CallReverted
from flocknode.sim.ledger import SimulatedLedger
from flocknode.sim.pay import ContributionClaim
from flocknode.sim.stakes import validator_of
from flocknode.sim.state import Deployment, Phase, TaskSpecification

CHAIN_ID = 31337
DEPLOYER = Address(b"\xde" * 20)
RICH = 10**30
FAUCET = 10**24
GAS = 15_000_000
PHASES = tuple(Phase)


class Anvil:
    """JSON-RPC to a chain that mines each transaction at once, from whatever address."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
        self._funded: set[Address] = set()

    def rpc(self, method: str, *parameters: object) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters})
        self._connection.request("POST", "/", body, {"Content-Type": "application/json"})
        answer = json.loads(self._connection.getresponse().read())
        if "error" in answer:
            raise RpcError(answer["error"])
        return answer["result"]

    def close(self) -> None:
        self._connection.close()

    @property
    def newest(self) -> int:
        return int(self.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    def send(self, sender: Address, request: Request, at: int, gas_price: int) -> dict[str, Any]:
        """Mine a transaction at the time ``at`` and return its receipt."""
        if sender not in self._funded:
            self._funded.add(sender)
            self.rpc("anvil_setBalance", "0x" + sender.hex(), hex(RICH))
        self.rpc("evm_setNextBlockTimestamp", at)
        transaction = _fields(sender, request) | {"gasPrice": hex(gas_price)}
        digest = self.rpc("eth_sendTransaction", transaction)
        while (receipt := self.rpc("eth_getTransactionReceipt", digest)) is None:
            time.sleep(0.001)
        return receipt

    def revert_of(self, sender: Address, request: Request, artifacts: Sequence[Artifact]) -> str:
        """Return the error of a call that was just refused: it has changed nothing."""
        try:
            self.rpc("eth_call", _fields(sender, request), "latest")
        except RpcError as error:
            data = error.args[0].get("data", "0x")
            return read_revert(bytes.fromhex(data.removeprefix("0x")), artifacts).error
        raise AssertionError("refused when mined, and not when called")


class RpcError(Exception):
    """The endpoint answered with an error."""


@contextmanager
def running(directory: Path) -> Iterator[Anvil]:
    """Run a chain until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process: subprocess.Popen[bytes] = launch(
        [
            *(str(find_anvil()), "--host", "127.0.0.1", "--port", str(port), "--quiet"),
            *("--chain-id", str(CHAIN_ID), "--hardfork", "prague", "--accounts", "0"),
            *("--gas-limit", "60000000", "--base-fee", "0", "--timestamp", "1000"),
            *("--auto-impersonate", *bounded_history(directory)),
        ],
        directory / "anvil.log",
    )
    anvil = Anvil(f"http://127.0.0.1:{port}")
    try:
        _wait(anvil, process)
        yield anvil
    finally:
        anvil.close()
        stop(process)


class TwinLedger(SimulatedLedger):
    """A reference ledger each of whose calls is made on the chain, too."""

    def __init__(self, anvil: Anvil, finality_depth: int = 4) -> None:
        self.anvil = anvil
        start = anvil.newest + 1
        rules = Deployment()
        at = self._deploy(rules, start)
        rules = replace(
            rules,
            round_manager=at["RoundManager"],
            beacon=at["CommitRevealBeacon"],
            stake_registry=at["StakeRegistry"],
            slashing_manager=at["SlashingManager"],
        )
        super().__init__(rules, genesis=start, finality_depth=finality_depth)
        self.at = at
        self.bindings = Bindings(Contracts(CHAIN_ID, 0, at, {}))
        self.calls = 0
        self.refusals: set[str] = set()
        self._accounts: set[Address] = set()

    def _deploy(self, rules: Deployment, start: int) -> dict[str, Address]:
        names = contract_names("CommitRevealBeacon")
        nonce = int(self.anvil.rpc("eth_getTransactionCount", "0x" + DEPLOYER.hex(), "latest"), 16)
        at = {name: created_address(DEPLOYER, nonce + i) for i, name in enumerate(names)}
        terms = NetworkTerms(
            registrar=rules.registrar,
            treasury=rules.treasury,
            guardian=rules.guardian,
            stake_min=Wei(rules.stake_min),
            stake_cap=Wei(rules.stake_cap),
            unbonding_seconds=rules.unbonding_seconds,
            slash_cap_bps=rules.slash_cap_bps,
            bond=Wei(rules.bond),
            challenge_bond=Wei(rules.challenge_bond),
            reveal_seconds=rules.reveal_seconds,
            members_min=rules.members_min,
            gas_price_max=Wei(rules.gas_price_max),
        )
        arguments = constructor_arguments(terms, at)
        for name in names:
            data = load_artifact(name).creation_data(arguments[name])
            receipt = self.anvil.send(DEPLOYER, Request(None, data, GAS), start, 0)
            assert read_address(receipt["contractAddress"]) == at[name]
        return at

    def apply(
        self, call: Call, sender: Address, preimage: Digest | None = None
    ) -> tuple[LedgerEvent, ...]:
        validator = 0 if preimage is None else validator_of(self.state, sender)
        request = self.bindings.encode(call, validator, preimage)
        reference = super().apply
        return self.both(sender, request, lambda: reference(call, sender, preimage))

    def mint(self, account: Address, amount: int) -> None:
        """Give what one call of the faucet gives, once, and let the contracts take it."""
        assert amount <= FAUCET
        if account in self._accounts:
            return
        self._accounts.add(account)
        self._on_chain(account, self._request("FlockToken", "faucet", account))
        for spender in ("StakeRegistry", "RoundManager"):
            self._on_chain(account, self._request("FlockToken", "approve", self.at[spender], RICH))
        super().mint(account, FAUCET)

    def both(self, sender: Address, request: Request, reference: Callable[[], Any]) -> Any:
        """Make a call on the chain and in the reference, and compare what they say and leave."""
        found, logs = self._on_chain(sender, request)
        before = len(self._events)
        self.calls += 1
        result, refusal = _outcome(reference)
        assert found == (refusal and refusal.reason)
        if refusal:
            self.refusals.add(refusal.reason)
            raise refusal
        told = [event for log in logs if (event := self.bindings.decode(log)) is not None]
        assert told == self._events[before:]
        self.compare()
        return result

    def _on_chain(self, sender: Address, request: Request) -> tuple[str | None, list[Any]]:
        receipt = self.anvil.send(sender, request, self.now, self.rules.gas_price)
        if int(receipt["status"], 16) == 1:
            return None, receipt["logs"]
        return self.anvil.revert_of(sender, request, self.bindings.artifacts), []

    def _request(self, contract: str, function: str, *arguments: object, value: int = 0) -> Request:
        return self.bindings.request(contract, function, *arguments, gas=GAS, value=Wei(value))

    def view(self, contract: str, function: str, *arguments: object) -> tuple[Any, ...]:
        request = self._request(contract, function, *arguments)
        answer = self.anvil.rpc("eth_call", _fields(DEPLOYER, request), "latest")
        return load_artifact(contract).results(function, bytes.fromhex(answer[2:]))

    def compare(self) -> None:
        """Compare what both remember of the tasks, after each call."""
        state = self._state
        assert self.view("StakeRegistry", "freezes") == (state.freezes,)
        for task in state.rounds:
            self._compare_round(task)

    def compare_holdings(self) -> None:
        """Compare who holds what: stake, bonds, tokens and refunds."""
        state = self._state
        assert self.view("StakeRegistry", "owed") == (state.owed,)
        assert self.view("CommitRevealBeacon", "memberCount") == (len(state.members),)
        for validator, entry in state.validators.items():
            assert self.view("StakeRegistry", "assetsOf", validator) == (entry.pool.assets,)
            assert self.view("StakeRegistry", "weightOf", validator) == (entry.weight,)
            dismissed = validator in state.dismissed
            assert self.view("CommitRevealBeacon", "isDismissed", validator) == (dismissed,)
        for account in self._accounts:
            found = self.view("FlockToken", "balanceOf", account)
            assert found == (state.tokens.get(account, 0),)
        for relayer in (*self._accounts, *state.refunds):
            found = self.view("RoundManager", "refundOf", relayer)
            assert found == (state.refunds.get(relayer, 0),)

    def _compare_round(self, task: int) -> None:
        it, state = self._state.rounds[task], self._state
        (found,) = self.view("RoundManager", "attemptOf", task)
        phase, attempt, round_, drawn_at = found[:4]
        assert (PHASES[phase], attempt, round_) == (it.phase, it.attempt, it.round)
        (purse,) = self.view("RoundManager", "purseOf", task)
        assert purse == (state.pools[task].rewards, state.pools[task].gas), purse
        if it.phase in {Phase.IDLE, Phase.DRAWING, Phase.PAUSED}:
            return
        assert (drawn_at, found[18], found[19]) == (it.drawn_at, it.model_root, it.ctx)
        assert (found[10], found[15], found[16], found[17]) == (
            *(it.roll, it.strikes, it.holds, it.slashed),
        )
        if it.accepted is not None and it.phase is not Phase.COLLECTING:
            assert found[8] == it.include_seats


def _outcome(reference: Callable[[], Any]) -> tuple[Any, CallReverted | None]:
    try:
        return reference(), None
    except CallReverted as reverted:
        return None, reverted


def _twin(name: str, contract: str, function: str, encode: Callable[..., tuple[Any, ...]]) -> Any:
    """Return the method ``name`` of the reference, made on the chain at the same time.

    ``encode`` turns its arguments into those of the contract, and the value that it is paid.
    """
    reference = getattr(SimulatedLedger, name)

    def method(self: TwinLedger, *arguments: Any, sender: Address) -> Any:
        value, words = encode(self, sender, *arguments)
        request = self._request(contract, function, *words, value=value)
        return self.both(sender, request, lambda: reference(self, *arguments, sender=sender))

    return method


def _same(_ledger: TwinLedger, _sender: Address, *arguments: Any) -> tuple[int, tuple[Any, ...]]:
    return 0, arguments


def _registration(
    ledger: TwinLedger, sender: Address, organisation: Digest, signer: SigningKey, peer: PeerId
) -> tuple[int, tuple[Any, ...]]:
    digest = consent_digest(ledger.rules.stake_domain, sender, organisation, peer)
    return 0, (organisation, signer.address, peer, signer.sign_digest(digest))


def _task(
    _ledger: TwinLedger, _sender: Address, it: TaskSpecification
) -> tuple[int, tuple[Any, ...]]:
    roots = (0, it.configuration, it.model_root, it.roster_root)
    return 0, ((astuple(it.terms), *roots, it.reward_per_round, it.trainer_share_bps),)


def _claims(
    _ledger: TwinLedger, _sender: Address, task: int, claims: Sequence[ContributionClaim]
) -> tuple[int, tuple[Any, ...]]:
    return 0, (task, [(it.round, it.position, it.record, it.path) for it in claims])


for _name, _contract, _function in (
    ("admit_organisation", "StakeRegistry", "admitOrganisation"),
    ("stake", "StakeRegistry", "stake"),
    ("request_unstake", "StakeRegistry", "requestUnstake"),
    ("withdraw", "StakeRegistry", "withdraw"),
    ("refresh_weight", "StakeRegistry", "refreshWeight"),
    ("pay_out", "StakeRegistry", "payOut"),
    ("reveal", "CommitRevealBeacon", "reveal"),
    ("leave", "CommitRevealBeacon", "leave"),
    ("close_requests", "CommitRevealBeacon", "close"),
    ("claim_reveals", "CommitRevealBeacon", "claimReveals"),
    ("pay_treasury", "CommitRevealBeacon", "payTreasury"),
    ("resume", "RoundManager", "resume"),
    ("withdraw_purse", "RoundManager", "withdrawPurse"),
    ("withdraw_refund", "RoundManager", "withdrawRefund"),
    ("claim_seats", "RoundPay", "claimSeats"),
):
    setattr(TwinLedger, _name, _twin(_name, _contract, _function, _same))
for _name, _contract, _function, _encode in (
    ("register", "StakeRegistry", "register", _registration),
    ("create_task", "TaskRegistry", "createTask", _task),
    ("claim_trainer", "RoundPay", "claimTrainer", _claims),
    ("commit", "CommitRevealBeacon", "commit", lambda _l, _s, v, tip, value: (value, (v, tip))),
    ("fund", "RoundManager", "fund", lambda _l, _s, task, rewards, gas: (gas, (task, rewards))),
):
    setattr(TwinLedger, _name, _twin(_name, _contract, _function, _encode))


def _fields(sender: Address, request: Request) -> dict[str, str]:
    fields = {
        "from": "0x" + sender.hex(),
        "data": "0x" + request.data.hex(),
        "gas": hex(GAS),
        "value": hex(request.value),
    }
    return fields if request.to is None else fields | {"to": "0x" + request.to.hex()}


def _wait(anvil: Anvil, process: subprocess.Popen[bytes]) -> None:
    for _ in range(500):
        try:
            anvil.rpc("eth_chainId")
        except OSError:
            anvil.close()
            assert process.poll() is None
            time.sleep(0.02)
        else:
            return
    raise AssertionError("the chain does not start")
