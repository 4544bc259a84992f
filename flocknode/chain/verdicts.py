"""Calls and events about offences and duties, as the contracts encode them."""

from collections.abc import Mapping
from typing import Any

from flocknode.chain.abi import read_address
from flocknode.crypto.hashing import mask_roots_hash
from flocknode.messages.statements import members_of
from flocknode.primitives import Digest, Wei
from flocknode.protocol.ledger import LedgerEvent
from flocknode.protocol.proofs import (
    Accuse,
    AnswerDemand,
    AnswerTree,
    AskTree,
    CloseAccusation,
    CloseChallenge,
    CloseDemand,
    CloseQuestion,
    DemandSeed,
    DutyCall,
    OpenChallenge,
    OpenCommitment,
    OpenedContribution,
    OpenSeeds,
    ProposalStatement,
    ProveAggregate,
    ProveBadInclusion,
    ProveEquivocation,
    ProveStep,
    ProveWeight,
    Punish,
    SetStatement,
    SlashingCall,
    SummedHeader,
)
from flocknode.protocol.verdicts import (
    AttemptHeld,
    AttemptReleased,
    ChallengeClosed,
    ChallengeOpened,
    ColumnOpened,
    CommitmentOpened,
    DemandUnanswered,
    DutyMissed,
    Offence,
    OffenceProven,
    ProposalStruck,
    QuestionUnanswered,
    SeatAccused,
    SeatsJudged,
    SeedAnswered,
    SeedDemanded,
    TreeAnswered,
    TreeQuestioned,
    ValidatorSlashed,
)

Arguments = Mapping[str, Any]
Encoded = tuple[str, tuple[object, ...]]

PROOF_GAS_MAX = 16_000_000
"""Below what one transaction may use (EIP-7825); what is left is not paid."""
DUTY_GAS = 4_000_000

NOTHING = Wei(0)


def bond_of(call: SlashingCall | DutyCall) -> Wei:
    """Return what a call is paid with."""
    match call:
        case OpenChallenge() | DemandSeed() | Accuse() | AskTree():
            return call.bond
        case _:
            return NOTHING


def slashing_call(call: SlashingCall) -> Encoded:
    """Return function and arguments of a call to the slashing manager."""
    match call:
        case ProveEquivocation(context, slot):
            rest = (call.first, call.second, call.first_signature, call.second_signature)
            return "proveEquivocation", ((members_of(context), int(slot), *rest),)
        case ProveBadInclusion():
            words = (call.task, call.count, call.position, call.opening, call.roster)
            return "proveBadInclusion", (words,)
        case ProveWeight(task, set_, roster):
            return "proveWeight", (task, _set(set_), roster)
        case OpenChallenge(proposal, seat, root, signature):
            return "openChallenge", (_proposal(proposal), seat, root, signature)
        case OpenSeeds():
            return "openSeeds", (_seeds(call),)
        case CloseChallenge(task, ctx):
            return "closeChallenge", (task, ctx)
        case ProveAggregate():
            return "proveAggregate", (_batch(call),)
        case ProveStep(proposal, set_, coordinate):
            openings = (call.model, call.aggregate, call.next)
            return "proveStep", ((_proposal(proposal), _set(set_), coordinate, *openings),)
        case Punish():
            act = (call.task, call.round, call.attempt, int(call.offence), call.ctx)
            return "punish", ((*act, call.validators),)


def duty_call(call: DutyCall) -> Encoded:
    """Return function and arguments of a call to the duty manager."""
    match call:
        case DemandSeed(task, seat, position):
            return "demandSeed", (task, seat, position)
        case AnswerDemand():
            others = b"".join(call.others)
            return "answerDemand", ((call.task, call.position, call.opening, others, call.seed),)
        case CloseDemand(task, ctx, position):
            return "closeDemand", (task, ctx, position)
        case Accuse(task, seat):
            return "accuse", (task, seat)
        case OpenCommitment(task, seat, root, signature):
            return "openCommitment", (task, seat, root, signature)
        case CloseAccusation(task, ctx, seat):
            return "closeAccusation", (task, ctx, seat)
        case AskTree():
            place = (call.tree, call.level, call.index, call.node, b"".join(call.path))
            return "askTree", ((_proposal(call.proposal), *place),)
        case AnswerTree(question, answer):
            return "answerTree", (question, answer)
        case CloseQuestion(question):
            return "closeQuestion", (question,)


def packed_contribution(it: OpenedContribution) -> bytes:
    head = it.trainer + it.root + it.capsules_hash + it.signature
    return head + it.seed + b"".join(it.others)


def packed_header(it: SummedHeader) -> bytes:
    return it.trainer + it.root + it.seeds_hash + it.capsules_hash + it.signature


def _proposal(it: ProposalStatement) -> tuple[object, ...]:
    roots = (it.mask_roots, it.aggregate_root, it.model_root)
    return (it.task, it.view, *roots, it.seats, b"".join(it.signatures))


def _set(it: SetStatement) -> tuple[object, ...]:
    words = (it.view, it.inclusion_root, it.trainers, it.weight, it.seats)
    return (*words, mask_roots_hash(it.commitments))


def _seeds(it: OpenSeeds) -> tuple[object, ...]:
    return (
        *(_proposal(it.proposal), it.column, it.group),
        *(b"".join(map(packed_contribution, it.contributions)), it.used, it.own),
        *(it.accused, b"".join(it.accused_signatures)),
    )


def _batch(it: ProveAggregate) -> tuple[object, ...]:
    return (
        *(_proposal(it.proposal), it.coordinate, it.first, it.level),
        *(b"".join(map(packed_header, it.headers)), b"".join(it.path)),
        *(b"".join(it.openings), b"".join(it.closing)),
    )


def verdict_event(name: str, it: Arguments) -> LedgerEvent | None:
    """Build the core's event about an offence or a duty from a contract event."""
    match name:
        case "OffenceProven":
            return _offence_proven(it)
        case "ValidatorSlashed":
            finder = read_address(it["finder"])
            offence = Offence(it["offence"])
            words = (Digest(it["id"]), it["validator"], finder, offence, it["amount"])
            return ValidatorSlashed(*words)
        case "ChallengeClosed":
            bond_to = read_address(it["bondTo"])
            return ChallengeClosed(it["task"], Digest(it["ctx"]), it["seat"], bond_to)
        case "TreeAnswered":
            answerer = read_address(it["answerer"])
            return TreeAnswered(Digest(it["question"]), answerer, bytes(it["answer"]))
        case "QuestionUnanswered":
            return QuestionUnanswered(Digest(it["question"]))
        case _:
            return _attempt_event(name, it) if "attempt" in it else None


def _attempt_event(name: str, it: Arguments) -> LedgerEvent | None:
    at = (it["task"], it["round"], it["attempt"])
    match name:
        case "SeatsJudged":
            return SeatsJudged(*at, it["slashed"], it["absent"])
        case "ProposalStruck":
            return ProposalStruck(*at, it["nextView"], it["opensAt"], it["voidDeadline"])
        case "AttemptHeld":
            return AttemptHeld(*at)
        case "AttemptReleased":
            return AttemptReleased(*at, it["windowEnd"])
        case "ChallengeOpened":
            times = (it["opensAt"], it["deadline"])
            return ChallengeOpened(*at, it["column"], it["seat"], *times)
        case "ColumnOpened":
            return ColumnOpened(*at, it["column"])
        case _:
            return _duty_event(name, it, at)


def _duty_event(name: str, it: Arguments, at: tuple[int, int, int]) -> LedgerEvent | None:
    match name:
        case "SeedDemanded":
            place = (it["position"], it["column"], it["seat"])
            return SeedDemanded(*at, *place, it["deadline"])
        case "SeedAnswered":
            return SeedAnswered(*at, it["position"], it["column"], Digest(it["seed"]))
        case "DemandUnanswered":
            return DemandUnanswered(*at, it["position"], it["column"])
        case "SeatAccused":
            return SeatAccused(*at, it["seat"], it["deadline"])
        case "CommitmentOpened":
            return CommitmentOpened(*at, it["seat"], it["column"], Digest(it["root"]))
        case "DutyMissed":
            return DutyMissed(*at, it["validator"], it["second"])
        case "TreeQuestioned":
            place = (it["tree"], it["level"], it["index"])
            node = Digest(it["node"])
            return TreeQuestioned(Digest(it["question"]), *at, *place, node, it["deadline"])
        case _:
            return None


def _offence_proven(it: Arguments) -> OffenceProven:
    return OffenceProven(
        conviction=Digest(it["id"]),
        task=it["task"],
        round=it["round"],
        attempt=it["attempt"],
        offence=Offence(it["offence"]),
        ctx=Digest(it["ctx"]),
        seats=it["seats"],
        validators=tuple(it["validators"]),
        finder=read_address(it["finder"]),
    )
