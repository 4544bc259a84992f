"""Which rule of the slashing and the duty manager a call goes to."""

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
    OpenSeeds,
    ProveAggregate,
    ProveBadInclusion,
    ProveEquivocation,
    ProveStep,
    ProveWeight,
    Punish,
    SlashingCall,
)
from flocknode.sim import challenges, duties, questions, slashing
from flocknode.sim.state import Transaction


def apply(tx: Transaction, call: SlashingCall | DutyCall) -> None:
    """Execute a call about an offence or a duty."""
    match call:
        case ProveEquivocation():
            slashing.prove_equivocation(tx, call)
        case ProveBadInclusion():
            slashing.prove_bad_inclusion(tx, call)
        case ProveWeight():
            slashing.prove_weight(tx, call)
        case ProveAggregate():
            slashing.prove_aggregate(tx, call)
        case ProveStep():
            slashing.prove_step(tx, call)
        case Punish():
            slashing.punish(tx, call)
        case OpenChallenge():
            challenges.open_challenge(tx, call)
        case OpenSeeds():
            challenges.open_seeds(tx, call)
        case CloseChallenge():
            challenges.close_challenge(tx, call)
        case DemandSeed():
            duties.demand_seed(tx, call)
        case AnswerDemand():
            duties.answer_demand(tx, call)
        case CloseDemand():
            duties.close_demand(tx, call)
        case Accuse():
            duties.accuse(tx, call)
        case OpenCommitment():
            duties.open_commitment(tx, call)
        case CloseAccusation():
            duties.close_accusation(tx, call)
        case AskTree():
            questions.ask_tree(tx, call)
        case AnswerTree():
            questions.answer_tree(tx, call)
        case CloseQuestion():
            questions.close_question(tx, call)
