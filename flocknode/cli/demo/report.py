"""What the demo prints: one line per round, a closing table, and the same as JSON."""

import os
import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flocknode import __version__
from flocknode.cli.demo.pay import Pay
from flocknode.cli.demo.plan import BLOCK_SECONDS, FINALITY_BLOCKS
from flocknode.cli.demo.stage import Stage
from flocknode.cli.demo.watch import RoundRecord
from flocknode.cli.output import Output
from flocknode.learning.pool import Baselines

if TYPE_CHECKING:
    from flocknode.cli.demo.evidence import AuditFigures
    from flocknode.cli.demo.run import Progress


@dataclass(frozen=True, slots=True)
class Traffic:
    """What all nodes sent during the rounds."""

    gossip_messages: int
    bytes_gossiped: int
    bytes_bulk: int
    bytes_needed: int


def count_children() -> int:
    """Return how many processes this one has started and not ended."""
    me, count = str(os.getpid()), 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name in parentheses may hold anything; state and parent follow it.
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        count += parent == me and state != "Z"
    return count


def count_traffic(stage: Stage) -> Traffic:
    counters = [node.network.counters for node in stage.nodes]
    return Traffic(
        sum(one.gossip_messages for one in counters),
        sum(one.bytes_gossiped for one in counters),
        sum(one.bytes_links + one.bytes_blobs for one in counters),
        stage.options.rounds * bytes_needed(stage),
    )


def bytes_needed(stage: Stage) -> int:
    """Return a round's vector bytes: N n B + k (n - m) B + (N + V - n) 4 d.

    Each of n seats receives N deltas of B = d w / 8 bytes and the mask sums of the other columns;
    each trainer and each validator without a seat receives the model of d int32 words.
    """
    terms = stage.task_file.terms
    vector = terms.integers.words * terms.integers.width // 8
    deltas = terms.trainers * terms.seats * vector
    sums = terms.columns * (terms.seats - terms.seats_per_column) * vector
    unseated = terms.trainers + len(stage.validators) - terms.seats
    return deltas + sums + unseated * 4 * terms.integers.words


def start(output: Output, stage: Stage, seconds: float) -> None:
    """Tell what stands: chain, contracts, peers, and the terms of the task."""
    options, terms = stage.options, stage.task_file.terms
    contracts = {name: "0x" + it.hex() for name, it in stage.deployment.addresses.items()}
    count = len(contracts)
    joined = sum(node.has_joined for node in stage.nodes)
    output.line(
        "chain",
        f"development chain ready, contracts {count}/{count}"
        f"        peers  {joined}/{len(stage.nodes)} connected  {seconds:.1f} s",
    )
    output.line(
        "terms",
        f"{BLOCK_SECONDS} s blocks, finality {FINALITY_BLOCKS} blocks, challenge "
        f"{terms.windows.challenge} s, demand {terms.windows.demand} s, "
        f"epoch {terms.epoch_rounds} rounds, "
        f"{terms.columns} columns of {terms.seats_per_column} seats, w {terms.integers.width}, "
        f"b {terms.integers.bits}, sealed with {stage.task_file.suite.name}",
    )
    output.line("privacy", "no differential privacy: the sums of each round are public")
    output.event(
        "start",
        seed=options.seed,
        version=__version__,
        chain=options.chain,
        chain_id=stage.chain.chain_id,
        rpc=stage.chain.url,
        contracts=contracts,
        task=options.task,
        trainers=options.trainers,
        validators=options.validators,
        columns=options.columns,
        seats=options.seats,
        n_min=terms.trainers_min,
        w=terms.integers.width,
        b=terms.integers.bits,
        suite=stage.task_file.suite.name,
        parameters=terms.integers.words,
        terms=asdict(terms),
        block_seconds=BLOCK_SECONDS,
        finality_blocks=FINALITY_BLOCKS,
    )


def round_line(output: Output, stage: Stage, record: RoundRecord, accuracy: float) -> None:
    """Tell of a settled round. Rounds count from 1 here, from 0 on the chain."""
    number = record.settled.round + 1
    included = record.accepted.trainers.bit_count()
    trainers = stage.options.trainers
    seats = " ".join(f"#{validator}" for validator in record.drawn.committee)
    model = record.settled.model_root.hex()
    output.line(
        "round",
        f"{number:>3}/{stage.options.rounds}  committee {seats}  contributions "
        f"{included}/{trainers}  settled {model[:8]}  accuracy {accuracy:.3f}  "
        f"{record.seconds:.1f} s  gas {record.gas / 1e6:.2f} M",
    )
    output.event(
        "round",
        round=number,
        attempt=record.settled.attempt,
        view=record.proposal.view,
        committee=list(record.drawn.committee),
        contributions=max(included, stage.contributions_seen()),
        included=included,
        accuracy=accuracy,
        gas=record.gas,
        gas_by_step=dict(record.gas_by_step),
        seconds=record.seconds,
        seconds_by_step=record.seconds_by_step,
        inclusion_root="0x" + record.accepted.inclusion_root.hex(),
        mask_roots=["0x" + root.hex() for root in record.proposal.mask_roots],
        aggregate_root="0x" + record.proposal.aggregate_root.hex(),
        model_root="0x" + model,
        include_tx=record.transactions.get("include"),
        propose_tx=record.transactions.get("propose"),
        settle_tx=record.transactions.get("settle"),
    )


def finish(
    output: Output,
    stage: Stage,
    progress: "Progress",
    attempts: int,
    traffic: Traffic,
    pay: Pay,
    started: float,
) -> int:
    """Print the closing table; return 0 if every round settled and was verified."""
    records, baselines, audit = progress.records, progress.baselines, progress.audit
    assert baselines is not None
    assert audit is not None
    rounds, alone = stage.options.rounds, baselines.alone
    federated = progress.accuracies[-1] if progress.accuracies else 0.0
    seconds = statistics.median(record.seconds for record in records[1:] or records)
    is_whole = len(records) == audit.rounds_verified == rounds and not audit.faults
    _table(output, baselines, federated, audit, pay, rounds=rounds, is_whole=is_whole)
    total = time.monotonic() - started
    output.line("time", f"{seconds:.1f} s per round, {total:.1f} s in all")
    if stage.options.keep:
        output.line("kept", str(stage.directory))
    output.event(
        "summary",
        rounds_requested=rounds,
        rounds_settled=len(records),
        rounds_verified=audit.rounds_verified,
        receipts_verified=audit.receipts_verified,
        attempts=attempts,
        committees_distinct=len({record.drawn.committee for record in records}),
        accuracy_federated=federated,
        accuracy_pooled=baselines.pooled,
        accuracy_alone_best=max(alone),
        accuracy_alone_mean=statistics.mean(alone),
        accuracy_alone_worst=min(alone),
        gas_per_round_max=max(record.gas for record in records[1:] or records),
        trainer_transactions=pay.trainer_transactions,
        rewards_funded=str(pay.funded),
        rewards_claimed=str(pay.claimed),
        rewards_left=str(pay.left),
        honest_stake_lost=str(pay.stake_lost),
        gossip_messages=traffic.gossip_messages,
        bytes_gossiped=traffic.bytes_gossiped,
        bytes_bulk=traffic.bytes_bulk,
        bytes_needed=traffic.bytes_needed,
        seconds_per_round_median=seconds,
        seconds_total=round(total, 2),
        processes_left=count_children(),
        keep=str(stage.directory) if stage.options.keep else None,
    )
    return 0 if is_whole else 1


def _table(
    output: Output,
    baselines: Baselines,
    federated: float,
    audit: "AuditFigures",
    pay: Pay,
    *,
    rounds: int,
    is_whole: bool,
) -> None:
    """Print what people read at the end."""
    alone = baselines.alone
    output.line(
        "alone",
        f"best hospital {max(alone):.3f}   mean {statistics.mean(alone):.3f}   "
        f"worst {min(alone):.3f}",
    )
    output.line(
        "together",
        f"federated {federated:.3f}       pooled data would give {baselines.pooled:.3f}",
    )
    output.line(
        "verify",
        f"{audit.rounds_verified}/{rounds} rounds and {audit.receipts_verified}/"
        f"{audit.receipts_expected} receipts recomputed by another process from public data, "
        f"{'every root matches' if is_whole else 'NOT EVERY ROOT MATCHES'} the chain",
    )
    for fault in audit.faults:
        output.line("WRONG", fault)
    output.line(
        "pay",
        f"{pay.claimed / 1e18:.2f} of {pay.funded / 1e18:.2f} tokens claimed, stake lost "
        f"{pay.stake_lost / 1e18:.2f}, transactions by trainers {pay.trainer_transactions}",
    )
