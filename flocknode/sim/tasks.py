"""TaskRegistry: what a task may agree on, checked once."""

from dataclasses import astuple

from flocknode.model.terms import IntegerTerms, TaskTerms, Windows
from flocknode.protocol.ledger import TaskCreated
from flocknode.sim.abi import require
from flocknode.sim.state import Pool, Round, Task, TaskSpecification, Transaction

TRAINERS_MAX = 256
SEATS_MAX = 32
WINDOW_MAX = 30 * 86400


def create_task(tx: Transaction, specification: TaskSpecification) -> int:
    """Publish a task; whatever could overflow or stall later is refused now."""
    require(specification.mode == 0, "TaskRegistryMode")
    digests = (specification.configuration, specification.model_root, specification.roster_root)
    require(all(map(any, digests)), "TaskRegistryZeroDigest")
    require(specification.trainer_share_bps <= 10_000, "TaskRegistryShare")
    check_shape(specification.terms)
    check_windows(specification.terms.windows)
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
    """Refuse a roster, committee or count under which no round can end."""
    # A set of one trainer would publish that trainer's delta.
    is_roster = 2 <= terms.trainers_min <= terms.trainers <= TRAINERS_MAX
    require(is_roster, "TaskRegistryTrainers")
    require(0 < terms.seats <= SEATS_MAX, "TaskRegistryCommittee")
    counts = (terms.epoch_rounds, terms.attempts_max, terms.rounds)
    require(all(counts), "TaskRegistryRounds")


def check_windows(windows: Windows) -> None:
    """Refuse a phase without time or without end, and what must outlast finality but does not.

    A view outlasts the chain's delay, the set is final before the demand ends, a proposal before
    its window closes. Only finality may take no time.
    """
    lengths = astuple(windows)
    require(all(lengths[:-1]) and max(lengths) <= WINDOW_MAX, "TaskRegistryWindow")
    outlasting = (windows.view, windows.demand, windows.challenge)
    require(min(outlasting) > windows.finality, "TaskRegistryWindow")


def check_integers(terms: TaskTerms) -> None:
    """Refuse integers whose sums leave the ring or whose step leaves 62 bits."""
    integers = terms.integers
    require(integers.words > 0, "TaskRegistryWords")
    require(integers.width in {8, 16, 32}, "TaskRegistryWidth")
    require(2 <= integers.bits <= integers.width, "TaskRegistryBits")
    largest_sum = terms.trainers * integers.quantised_max
    require(largest_sum < 1 << (integers.width - 1), "TaskRegistryRingTooSmall")
    require(1 <= integers.tau <= integers.quantised_max, "TaskRegistryTau")
    # L is at least 1 at the smallest D: the smallest set, all of weight 1.
    is_weight = 0 < integers.weight_max <= terms.trainers_min * integers.tau
    require(is_weight, "TaskRegistryWeightMax")
    require(integers.scale_bits <= 24, "TaskRegistryScaleBits")
    require(integers.numerator > 0 and integers.denominator > 0, "TaskRegistryRate")
    require(_step_bound(integers, terms.trainers) < 1 << 62, "TaskRegistryStepOverflow")


def _step_bound(integers: IntegerTerms, trainers: int) -> int:
    """Return 2 num D_max tau + den D_max, the largest magnitude inside a step."""
    weight = trainers * integers.weight_max
    return 2 * integers.numerator * weight * integers.tau + integers.denominator * weight
