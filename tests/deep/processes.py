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
        self.lives: list[int] = []
        """How many lines there were at each start."""
        self.process: trio.Process | None = None
        self._more = trio.Event()

    async def run(self) -> None:
        """Keep it running until cancelled, and then end it."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        while True:
            self.process = await trio.lowlevel.open_process(
                self.command,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=environment,
            )
            self.lives.append(len(self.lines))
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

    async def says(self, pattern: str, since: int) -> int:
        """Wait for a line after the first ``since`` and return how many there are with it."""
        while True:
            for place in range(since, len(self.lines)):
                if re.search(pattern, self.lines[place]):
                    return place + 1
            since = len(self.lines)
            await self._more.wait()

    def statements(self) -> dict[tuple[str, str], set[str]]:
        """Return the digests that a single node signed by kind and slot, over all its lives."""
        found = defaultdict(set)
        for line in self.lines:
            if match := SIGNS.search(line):
                kind, slot, digest = match.groups()
                found[kind, slot].add(digest)
        return found

    async def restarted(self, lives: int) -> int:
        """Wait until it was started more than ``lives`` times; return its lines before that."""
        while len(self.lives) <= lives:
            await self._more.wait()
        return self.lives[lives]

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
    """Some nodes in processes of their own, all others together in another, and a chain."""

    def __init__(self, stage: Stage, chain: Chain, victims: list[Process], others: Process) -> None:
        self.stage = stage
        self.chain = chain
        self.victims = victims
        self.others = others
        self.records: list[RoundRecord] = []
        """Rounds that settled, as they did."""
        self._more = trio.Event()

    async def settled(self, rounds: int) -> RoundRecord:
        """Wait for that many rounds more and return the first of them."""
        first = len(self.records)
        while len(self.records) < first + rounds:
            await self._more.wait()
        return self.records[first]

    async def follow(self) -> None:
        """Note what settles, also across a chain that came back shorter."""
        watcher = await watch(self.stage)
        while True:
            try:
                self.records.append(await watcher.settled())
            except FinalityBroken:
                watcher = self._follow_anew(watcher)
                continue
            self._more.set()
            self._more = trio.Event()

    def _follow_anew(self, before: RoundWatcher) -> RoundWatcher:
        stage = self.stage
        follower = Follower(
            stage.client, stage.heads, stage.connection.logs, stage.heads.newest.number
        )
        watcher = RoundWatcher(stage.client, stage.bindings, follower, stage.task)
        watcher._seen = before._seen
        watcher.start(stage.heads.newest.number)
        return watcher


@asynccontextmanager
async def opened_field(
    directory: Path, options: DemoOptions, *victims: int
) -> AsyncIterator[Field]:
    """Stage the task, start every node, and open its first round; ``victims`` are nodes' places."""
    chain = Chain(options.chain, directory / "chain")
    try:
        running = await chain.start()
        async with connected(running.url) as (client, heads):
            async with TrainerPool.open() as pool:
                grounds = Grounds(directory, pool, running, client, heads)
                stage = await set_stage(grounds, options)
            directories = [str(member.directory) for member in configure_nodes(stage)]
            alone = [directories[place] for place in victims]
            together = [each for each in directories if each not in alone]
            field = Field(stage, chain, [_node(each) for each in alone], _node(*together))
            async with trio.open_nursery() as nursery:
                for process in (*field.victims, field.others):
                    nursery.start_soon(process.run)
                # Who is not there when the beacon asks loses its bond.
                for victim in field.victims:
                    await victim.ready(1)
                await field.others.ready(len(together))
                nursery.start_soon(field.follow)
                yield field
                nursery.cancel_scope.cancel()
    finally:
        chain.kill()


def _node(*directories: str) -> Process:
    return Process(sys.executable, "-m", "flocknode", "run", "--json", *directories)
