"""Nodes and a chain as processes of their own, which a test may kill and start again."""

import os
import re
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from flocknode.chain import devchain
from flocknode.chain.devchain import DevChain
from flocknode.chain.errors import FinalityBroken
from flocknode.chain.follower import Follower
from flocknode.chain.heads import connected
from flocknode.cli.demo.plan import BLOCK_SECONDS, FINALITY_BLOCKS, DemoOptions
from flocknode.cli.demo.run import watch
from flocknode.cli.demo.stage import Grounds, Stage, configure_nodes, set_stage
from flocknode.cli.demo.watch import RoundRecord, RoundWatcher
from flocknode.learning.pool import TrainerPool

ROOT = Path(__file__).resolve().parents[2]
SIGNS = re.compile(r"signs (\w+) (\S+/\d+) (\w+)$")


class Process:
    """A program that starts again by itself when it ends, as a service manager would do."""

    def __init__(self, *command: str) -> None:
        self.command = command
        self.lines: list[str] = []
        self.starts = 0
        self.process: trio.Process | None = None
        self._more = trio.Event()
        self._may_start = trio.Event()
        self._may_start.set()

    async def run(self) -> None:
        """Keep it running until cancelled, and then end it."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        while True:
            await self._may_start.wait()
            self.process = await trio.lowlevel.open_process(
                self.command,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=environment,
            )
            self.starts += 1
            try:
                await self._read(self.process.stdout)
            finally:
                with trio.CancelScope(shield=True):
                    self.process.kill()
                    await self.process.wait()
                    await self.process.stdout.aclose()

    async def ready(self, nodes: int) -> None:
        """Wait until that many nodes run."""
        place = 0
        for _ in range(nodes):
            place = await self.says('"event": "node"', place)

    def kill(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)

    def hold(self) -> None:
        """Do not start again until released."""
        self._may_start = trio.Event()

    def release(self) -> None:
        self._may_start.set()

    async def says(self, pattern: str, since: int) -> int:
        """Wait for a line after the first ``since`` and return how many there are with it."""
        while True:
            for place in range(since, len(self.lines)):
                if re.search(pattern, self.lines[place]):
                    return place + 1
            since = len(self.lines)
            await self._more.wait()

    async def _read(self, stream: trio.abc.ReceiveStream) -> None:
        rest = b""
        async for data in stream:
            *lines, rest = (rest + data).split(b"\n")
            self.lines += [line.decode(errors="replace") for line in lines]
            self._more.set()
            self._more = trio.Event()


class Chain:
    """A development chain that can be killed and comes back on its port with what it kept."""

    def __init__(self, kind: str, directory: Path) -> None:
        self.port = devchain._free_port(0)
        build = {"anvil": devchain.anvil_command, "pyevm": devchain.pyevm_command}[kind]
        self.command = build(directory, BLOCK_SECONDS, self.port, FINALITY_BLOCKS)
        if kind == "anvil":
            self.command += ["--state", str(directory / "state.json"), "--state-interval", "1"]
        self.log = directory / f"{kind}.log"
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    async def start(self) -> DevChain:
        self.process = devchain.launch(self.command, self.log)
        return await devchain._ready(self.process, self.url, self.log)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class Field:
    """One victim in a process of its own, all other nodes in another, and a chain."""

    def __init__(self, stage: Stage, chain: Chain, victim: Process, others: Process) -> None:
        self.stage = stage
        self.chain = chain
        self.victim = victim
        self.others = others
        self.watcher: RoundWatcher

    async def settled(self, rounds: int = 1) -> RoundRecord:
        """Wait for the next rounds, also across a chain that came back shorter."""
        while True:
            try:
                record = await self.watcher.settled()
            except FinalityBroken:
                self._follow_anew()
                continue
            rounds -= 1
            if not rounds:
                return record

    def _follow_anew(self) -> None:
        stage, before = self.stage, self.watcher
        follower = Follower(
            stage.client, stage.heads, stage.connection.logs, stage.heads.newest.number
        )
        self.watcher = RoundWatcher(stage.client, stage.bindings, follower, stage.task)
        self.watcher._seen = before._seen
        self.watcher.start(stage.heads.newest.number)

    def statements(self) -> dict[tuple[str, str], set[str]]:
        """Return the digests that the victim signed by kind and slot, over all its lives."""
        found = defaultdict(set)
        for line in self.victim.lines:
            if match := SIGNS.search(line):
                kind, slot, digest = match.groups()
                found[kind, slot].add(digest)
        return found


@asynccontextmanager
async def opened_field(directory: Path, options: DemoOptions, victim: int) -> AsyncIterator[Field]:
    """Stage the task, start every node, and open its first round; ``victim`` is a node's place."""
    chain = Chain(options.chain, directory / "chain")
    try:
        running = await chain.start()
        async with connected(running.url) as (client, heads):
            async with TrainerPool.open() as pool:
                grounds = Grounds(directory, pool, running, client, heads)
                stage = await set_stage(grounds, options)
            directories = [str(member.directory) for member in configure_nodes(stage)]
            alone = _node(directories.pop(victim))
            field = Field(stage, chain, alone, _node(*directories))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(field.victim.run)
                nursery.start_soon(field.others.run)
                # Who is not there when the beacon asks loses its bond.
                await field.victim.ready(1)
                await field.others.ready(len(directories))
                field.watcher = await watch(stage)
                yield field
                nursery.cancel_scope.cancel()
    finally:
        chain.kill()


def _node(*directories: str) -> Process:
    return Process(sys.executable, "-m", "flocknode", "run", "--json", *directories)
