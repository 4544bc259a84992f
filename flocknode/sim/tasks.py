"""TaskRegistry: what a task may agree on, checked once."""

from dataclasses import astuple

from flocknode.model.terms import IntegerTerms, TaskTerms
from flocknode.protocol.ledger import TaskCreated
from flocknode.sim.abi import require
from flocknode.sim.state import Pool, Round, Task, TaskSpecification, Transaction

TRAINERS_MAX = 256
SEATS_MAX = 256


def create_task(tx: Transaction, specification: TaskSpecification) -> int:
    """Publish a task; whatever could overflow or stall later is refused now."""
    require(specification.mode == 0, "TaskRegistryUnknownMode")
    require(any(specification.model_root), "TaskRegistryZeroRoot")
    require(any(specification.roster_root), "TaskRegistryZeroRoot")
    require(specification.trainer_share_bps <= 10_000, "TaskRegistryShareTooLarge")
    check_shape(specification.terms)
    check_integers(specification.terms)
    number = len(tx.state.tasks) + 1
    tx.state.tasks[number] = Task(tx.sender, specification)
    tx.state.rounds[number] = Round(model_root=specification.model_root)
    tx.state.pools[number] = Pool()
    tx.emit(
        TaskCreated(
            task=number,
            terms=specification.terms,
            configuration=specification.configuration,
            model_root=specification.model_root,
            roster_root=specification.roster_root,
        )
    )
    return number


def check_shape(terms: TaskTerms) -> None:
    """Refuse a committee, roster or clock under which no round can end."""
    require(0 < terms.trainers <= TRAINERS_MAX, "TaskRegistryTrainers")
    require(0 < terms.trainers_min <= terms.trainers, "TaskRegistryTrainersMin")
    require(0 < terms.seats <= SEATS_MAX, "TaskRegistryCommittee")
    require(terms.epoch_rounds > 0, "TaskRegistryEpoch")
    require(terms.attempts_max > 0, "TaskRegistryAttempts")
    require(terms.rounds > 0, "TaskRegistryRounds")
    require(all(seconds > 0 for seconds in astuple(terms.windows)), "TaskRegistryWindows")


def check_integers(terms: TaskTerms) -> None:
    """Refuse integers whose sums leave the ring or whose step leaves 62 bits."""
    integers = terms.integers
    require(integers.words > 0, "TaskRegistryWords")
    require(integers.width in {8, 16, 32}, "TaskRegistryWidth")
    require(2 <= integers.bits <= integers.width, "TaskRegistryBits")
    require(integers.weight_max > 0, "TaskRegistryWeightMax")
    require(integers.scale_bits <= 24, "TaskRegistryScale")
    require(integers.numerator > 0 and integers.denominator > 0, "TaskRegistryFraction")
    require(terms.trainers * integers.quantised_max < 1 << (integers.width - 1), "TaskRegistryRing")
    require(1 <= integers.tau <= integers.quantised_max, "TaskRegistryTau")
    require(terms.trainers_min * integers.tau >= integers.weight_max, "TaskRegistryClamp")
    require(_step_bound(integers, terms.trainers) < 1 << 62, "TaskRegistryStep")


def _step_bound(integers: IntegerTerms, trainers: int) -> int:
    """Return 2 num D_max tau + den D_max, the largest magnitude inside a step."""
    weight = trainers * integers.weight_max
    return 2 * integers.numerator * weight * integers.tau + integers.denominator * weight
