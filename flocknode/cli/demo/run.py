"""The demo from the first line to the closing table."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from flocknode.cli.demo import report, slashes
from flocknode.cli.demo.pay import claim_all, count_pay, stakes_of
from flocknode.cli.demo.plan import REWARD_PER_ROUND, DemoOptions
from flocknode.cli.demo.stage import Grounds, Stage, open_grounds, set_stage, start_nodes
from flocknode.cli.demo.watch import RoundRecord, RoundWatcher
from flocknode.cli.output import Output
from flocknode.cli.process import tune_process
from flocknode.learning.jobs import EvaluateJob, SoloJob
from flocknode.learning.pool import Baselines, TrainerPool
from flocknode.protocol.ledger import OpenRound

if TYPE_CHECKING:
    from flocknode.cli.demo.evidence import AuditFigures

PUNISH_SECONDS = 10.0
"""Time for the convictions of the last round to be carried out."""


@dataclass(slots=True)
class Progress:
    """What the rounds have come to so far."""

    records: list[RoundRecord] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)
    audit: "AuditFigures | None" = None
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
        stage = await _prepare(grounds, options)
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
        from flocknode.cli.demo.evidence import audit, collect_rounds

        output.progress("pulling the public bytes of every round")
        collector = await collect_rounds(stage, progress.records, watcher.fold.tip, nursery)
        output.progress("claiming pay")
        await claim_all(stage, collector.records, progress.records)
        convicted = watcher.verdicts.convicted
        pay = await count_pay(stage, stakes, convicted, REWARD_PER_ROUND * options.rounds)
        output.progress("recomputing every round in another process")
        progress.audit = await audit(stage, collector)
        await progress.measured.wait()
        nursery.cancel_scope.cancel()
    return partial(report.finish, output, stage, progress, watcher.attempts, traffic, pay, started)


async def _prepare(grounds: Grounds, options: DemoOptions) -> Stage:
    """Set the stage; load what nodes need in the time that goes by between blocks."""
    async with trio.open_nursery() as together:
        together.start_soon(trio.to_thread.run_sync, import_module, "flocknode.cli.assembly")
        stage = await set_stage(grounds, options)
    tune_process()
    return stage


async def watch(stage: Stage) -> RoundWatcher:
    """Open the first round and follow the task from here."""
    watcher = RoundWatcher(stage.client, stage.bindings, stage.connection.follow(), stage.task)
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
    return await stage.pool.evaluate(EvaluateJob(stage.options.task, stage.held_out, bytes(model)))


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
