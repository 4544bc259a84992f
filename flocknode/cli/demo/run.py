"""The demo from the first line to the closing table."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import trio

from flocknode.chain.follower import Follower
from flocknode.cli.demo import report, slashes
from flocknode.cli.demo.pay import claim_all, count_pay, stakes_of
from flocknode.cli.demo.plan import REWARD_PER_ROUND, DemoOptions
from flocknode.cli.demo.stage import Stage, open_grounds, set_stage, start_nodes
from flocknode.cli.demo.verify import Verifier
from flocknode.cli.demo.watch import RoundRecord, RoundWatcher
from flocknode.cli.output import Output
from flocknode.learning.jobs import EvaluateJob, SoloJob
from flocknode.learning.pool import Baselines, TrainerPool
from flocknode.messages.verdict import Verdict
from flocknode.node.blobs import MemoryBlobs
from flocknode.node.service import TOPIC
from flocknode.p2p.network import Network
from flocknode.protocol.ledger import OpenRound

PUNISH_SECONDS = 10.0
"""Time for the convictions of the last round to be carried out."""


@dataclass(slots=True)
class Progress:
    """What the rounds have come to so far."""

    records: list[RoundRecord] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)
    verified: int = 0
    baselines: Baselines | None = None
    measured: trio.Event = field(default_factory=trio.Event)


async def play(
    directory: Path, pool: TrainerPool, options: DemoOptions, output: Output, started: float
) -> Callable[[], int]:
    """Run the demo; return what prints the closing table once everything has ended."""
    async with (
        open_grounds(directory, pool, options.chain) as grounds,
        trio.open_nursery() as nursery,
    ):
        output.progress("deploying contracts, enrolling validators, dividing data")
        stage = await set_stage(grounds, options)
        output.progress("connecting the nodes")
        await start_nodes(stage, nursery)
        report.start(output, stage, time.monotonic() - started)
        progress = Progress()
        stakes = await stakes_of(stage)
        nursery.start_soon(_measure_baselines, stage, progress)
        watcher = await watch(stage)
        await _follow_rounds(stage, watcher, progress, output)
        with trio.move_on_after(PUNISH_SECONDS):
            await watcher.punished()
        slashes.report(output, watcher.verdicts, stakes, await stakes_of(stage))
        traffic = report.count_traffic(stage)
        output.progress("recomputing every round from public data")
        verifier = await _verify(stage, watcher, progress, nursery)
        output.progress("claiming pay")
        await claim_all(stage, verifier, progress.records)
        convicted = watcher.verdicts.convicted
        pay = await count_pay(stage, stakes, convicted, REWARD_PER_ROUND * options.rounds)
        await progress.measured.wait()
        nursery.cancel_scope.cancel()
    return partial(report.finish, output, stage, progress, watcher.attempts, traffic, pay, started)


async def watch(stage: Stage) -> RoundWatcher:
    """Open the first round and follow the task from here."""
    follower = Follower(
        stage.client,
        stage.heads,
        list(stage.deployment.addresses.values()),
        stage.bindings.decode,
        stage.deployment.block,
    )
    watcher = RoundWatcher(stage.client, stage.bindings, follower, stage.task)
    watcher.start(stage.heads.newest.number)
    await stage.creator.transact(stage.bindings.encode(OpenRound(stage.task)))
    return watcher


async def _follow_rounds(
    stage: Stage, watcher: RoundWatcher, progress: Progress, output: Output
) -> None:
    """Report each round as it settles."""
    while len(progress.records) < stage.options.rounds:
        record = await watcher.settled()
        progress.records.append(record)
        progress.accuracies.append(await _accuracy(stage, record))
        report.round_line(output, stage, record, progress.accuracies[-1])


async def _accuracy(stage: Stage, record: RoundRecord) -> float:
    root = record.settled.model_root
    model = next(data for node in stage.nodes if (data := node.blobs.get(root)))
    return await stage.pool.evaluate(EvaluateJob(stage.options.task, stage.held_out, model))


async def _measure_baselines(stage: Stage, progress: Progress) -> None:
    progress.baselines = await stage.pool.baselines(
        SoloJob(
            stage.options.task,
            stage.shards,
            stage.held_out,
            stage.initial_model,
            stage.options.seed,
            stage.options.rounds,
        )
    )
    progress.measured.set()


async def _verify(
    stage: Stage, watcher: RoundWatcher, progress: Progress, nursery: trio.Nursery
) -> Verifier:
    """Join as a stranger with a key of its own, and recompute each round from public bytes."""
    network = Network(
        os.urandom(32),
        f"/ip4/127.0.0.1/tcp/{stage.stranger_port}",
        validate=lambda _author, _topic, _payload: Verdict.IGNORE,
        may_link=lambda _peer: False,
        blobs=MemoryBlobs(),
        topics=(TOPIC,),
    )
    await nursery.start(network.run)
    network.know({one.member.peer: one.member.address for one in stage.validators})
    domain, task = stage.deployment.domain, stage.task_file
    verifier = Verifier(network, domain, task.terms, task.roster, stage.initial_model)
    for record in progress.records:
        await verifier.verify(record, watcher.fold.tip)
        progress.verified += 1
    return verifier
