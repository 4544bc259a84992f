"""The contracts' events as the core's events, and the core's calls as call data."""

from collections.abc import Mapping
from typing import Any

from flocknode.chain.abi import Artifact, load_artifact, read_address
from flocknode.chain.client import Json
from flocknode.chain.deployment import Deployment
from flocknode.chain.sender import NOTHING, Request
from flocknode.chain.verdicts import (
    DUTY_GAS,
    PROOF_GAS_MAX,
    bond_of,
    duty_call,
    slashing_call,
    verdict_event,
)
from flocknode.model.terms import IntegerTerms, TaskTerms, Windows
from flocknode.primitives import Address, Digest, PeerId, Wei
from flocknode.protocol.ledger import (
    AnswerRollCall,
    AttemptAborted,
    BeaconClockStarted,
    BeaconRequested,
    BeaconRevealed,
    Call,
    CommitteeDrawn,
    Draw,
    IncludeSet,
    LedgerEvent,
    OpenRound,
    Poke,
    ProposalAccepted,
    ProposeModel,
    Reveal,
    RollCalled,
    RoundCall,
    RoundOpened,
    RoundSettled,
    SetAccepted,
    Settle,
    TaskCreated,
    TaskPaused,
    TaskResumed,
    ValidatorKeysSet,
    ValidatorRegistered,
)
from flocknode.protocol.proofs import DutyCall, SlashingCall

Arguments = Mapping[str, Any]

GAS = {
    "openRound": 1_500_000,
    "reveal": 200_000,
    "draw": 3_000_000,
    "include": 1_500_000,
    "answerRollCall": 400_000,
    "propose": 1_500_000,
    "settle": 3_000_000,
    "poke": 3_000_000,
}
"""Limits by function; what is left is not paid. Nine seats use 0.62 M for a whole round's include,
propose and settle together."""


class Bindings:
    """Reads and writes for one deployment."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self._by_address: dict[Address, Artifact] = {
            address: load_artifact(name) for name, address in deployment.addresses.items()
        }
        self.artifacts = tuple(self._by_address.values())

    def decode(self, log: Json) -> LedgerEvent | None:
        """Return the event behind a log, or None for one that the core has no use for."""
        named = self.read(log)
        return None if named is None else ledger_event(*named)

    def read(self, log: Json) -> tuple[str, Arguments] | None:
        """Return the name and arguments of a log of this deployment's, or None."""
        artifact = self._by_address.get(read_address(log["address"]))
        return None if artifact is None else artifact.read_log(log)

    def request(
        self, contract: str, function: str, *arguments: object, gas: int, value: Wei = NOTHING
    ) -> Request:
        data = load_artifact(contract).call_data(function, arguments)
        return Request(self.deployment.addresses[contract], data, gas, value)

    def encode(self, call: Call, validator: int = 0, preimage: Digest | None = None) -> Request:
        """Return the transaction of a call; a reveal needs to know whose onion and which layer."""
        if isinstance(call, Reveal):
            assert preimage is not None
            reveal = (call.request, validator, preimage)
            return self.request("CommitRevealBeacon", "reveal", *reveal, gas=GAS["reveal"])
        if isinstance(call, SlashingCall):
            function, arguments = slashing_call(call)
            value = bond_of(call)
            return self.request(
                "SlashingManager", function, *arguments, gas=PROOF_GAS_MAX, value=value
            )
        if isinstance(call, DutyCall):
            function, arguments = duty_call(call)
            value = bond_of(call)
            return self.request("DutyManager", function, *arguments, gas=DUTY_GAS, value=value)
        function, arguments = _round_call(call)
        return self.request("RoundManager", function, *arguments, gas=GAS[function])


def _round_call(call: RoundCall) -> tuple[str, tuple[object, ...]]:
    match call:
        case OpenRound(task):
            return "openRound", (task,)
        case Draw(task):
            return "draw", (task,)
        case Settle(task):
            return "settle", (task,)
        case Poke(task):
            return "poke", (task,)
        case IncludeSet():
            return "include", (_include_arguments(call),)
        case AnswerRollCall():
            return "answerRollCall", (_roll_call_arguments(call),)
        case ProposeModel():
            return "propose", (_propose_arguments(call),)


def _include_arguments(call: IncludeSet) -> tuple[object, ...]:
    return (
        *(call.task, call.round, call.attempt, call.view, call.inclusion_root, call.trainers),
        *(call.weight, call.seats, call.commitments, b"".join(call.signatures)),
    )


def _roll_call_arguments(call: AnswerRollCall) -> tuple[object, ...]:
    return (
        *(call.task, call.round, call.attempt, call.seat, call.view, call.inclusion_root),
        *(call.trainers, call.weight, call.commitment, call.signature),
    )


def _propose_arguments(call: ProposeModel) -> tuple[object, ...]:
    return (
        *(call.task, call.round, call.attempt, call.view, call.mask_roots, call.aggregate_root),
        *(call.model_root, call.seats, b"".join(call.signatures)),
    )


def ledger_event(name: str, it: Arguments) -> LedgerEvent | None:
    """Build the core's event from a contract event's name and arguments."""
    match name:
        case "ValidatorRegistered":
            owner = read_address(it["owner"])
            return ValidatorRegistered(it["validator"], owner, Digest(it["organisation"]))
        case "ValidatorKeysSet":
            return ValidatorKeysSet(it["validator"], read_address(it["signer"]), PeerId(it["peer"]))
        case "BeaconRequested":
            return BeaconRequested(it["request"], tuple(it["members"]), it["deadline"])
        case "BeaconRevealed":
            return BeaconRevealed(it["request"], it["member"])
        case "BeaconClockStarted":
            return BeaconClockStarted(it["request"], it["deadline"])
        case "TaskCreated":
            return _task_created(it["task"], it["specification"])
        case _:
            return _round_event(name, it)


def _round_event(name: str, it: Arguments) -> LedgerEvent | None:
    if name not in {"TaskPaused", "TaskResumed"} and "attempt" not in it:
        return verdict_event(name, it)
    match name:
        case "RoundOpened":
            return RoundOpened(*_attempt(it), Digest(it["modelRoot"]), it["request"])
        case "CommitteeDrawn":
            return _committee_drawn(it)
        case "SetAccepted":
            return _set_accepted(it)
        case "RollCalled":
            return RollCalled(*_attempt(it), it["seat"])
        case "ProposalAccepted":
            return _proposal_accepted(it)
        case "RoundSettled":
            return RoundSettled(*_attempt(it), Digest(it["modelRoot"]), it["settledAt"])
        case "AttemptAborted":
            return AttemptAborted(*_attempt(it), it["spent"], it["noShows"])
        case "TaskPaused":
            return TaskPaused(it["task"], it["round"])
        case "TaskResumed":
            return TaskResumed(it["task"], it["round"])
        case _:
            return verdict_event(name, it)


def _attempt(it: Arguments) -> tuple[int, int, int]:
    return it["task"], it["round"], it["attempt"]


def _committee_drawn(it: Arguments) -> CommitteeDrawn:
    return CommitteeDrawn(
        *_attempt(it),
        model_root=Digest(it["modelRoot"]),
        seed=Digest(it["seed"]),
        ctx=Digest(it["ctx"]),
        committee=tuple(it["committee"]),
        signers=tuple(read_address(signer) for signer in it["signers"]),
        drawn_at=it["drawnAt"],
        frozen_trainers=it["frozenTrainers"],
    )


def _set_accepted(it: Arguments) -> SetAccepted:
    return SetAccepted(
        *_attempt(it),
        view=it["view_"],
        inclusion_root=Digest(it["inclusionRoot"]),
        trainers=it["trainers"],
        weight=it["weight"],
        seats=it["seats"],
        commitments=tuple(map(Digest, it["commitments"])),
        accepted_at=it["acceptedAt"],
    )


def _proposal_accepted(it: Arguments) -> ProposalAccepted:
    return ProposalAccepted(
        *_attempt(it),
        view=it["view_"],
        mask_roots=tuple(map(Digest, it["maskRoots"])),
        aggregate_root=Digest(it["aggregateRoot"]),
        model_root=Digest(it["modelRoot"]),
        seats=it["seats"],
        accepted_at=it["acceptedAt"],
    )


def _task_created(task: int, specification: Json) -> TaskCreated:
    terms, _mode, configuration, model_root, roster_root, *_pay = specification
    integers, windows, *shape = terms
    return TaskCreated(
        task=task,
        terms=TaskTerms(IntegerTerms(*integers), Windows(*windows), *shape),
        configuration=Digest(configuration),
        model_root=Digest(model_root),
        roster_root=Digest(roster_root),
    )
