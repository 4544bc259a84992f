"""One training process, seen from the node. Free of torch."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Final, Self

import trio

from flocknode.learning import jobs
from flocknode.learning.errors import WorkerDied

START_SECONDS_MAX: Final = 60.0
"""Importing torch: 1 to 2 s, more on a machine that is busy starting."""
_LAST_WORDS_BYTES: Final = 2_000
_LAST_WORDS_SECONDS: Final = 0.5
"""Output and error end together, in either order."""
_READ_BYTES: Final = 1 << 16
_INHERITED: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
"""A task's code sees no other variable: some hold keys."""
_ONE_THREAD: Final = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class WorkerProcess:
    """A running worker; one frame goes in, one comes out."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self.retired = trio.Event()
        """Set by whoever may not use the worker again; its owner then stops it."""
        self._last_words = bytearray()
        self._silent = trio.Event()

    @classmethod
    async def start(cls) -> Self:
        """Start a worker, not yet ready, in a session of its own: Ctrl-C is for the node."""
        return cls(
            await trio.lowlevel.open_process(
                [sys.executable, "-P", "-m", "flocknode.learning.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=_environment(),
                start_new_session=True,
            )
        )

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    @property
    def last_words(self) -> str:
        """What the worker wrote last to standard error, as one line."""
        lines = self._last_words.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    async def listen(self) -> None:
        """Keep the end of what the worker writes to standard error, until it closes."""
        assert self._process.stderr is not None
        async for chunk in self._process.stderr:
            self._last_words += chunk
            del self._last_words[:-_LAST_WORDS_BYTES]
        self._silent.set()

    async def ready(self) -> None:
        """Wait until the worker takes jobs. Raises ``WorkerDied`` and ``trio.TooSlowError``."""
        with trio.fail_after(START_SECONDS_MAX):
            if await self._receive("start", jobs.HEAD_BYTES + len(jobs.READY)) != (jobs.READY,):
                raise WorkerDied("start", "it did not greet")

    async def ask(self, job: jobs.Job, answer_bytes_max: int) -> tuple[Any, ...]:
        """Send ``job`` and return its answer. Raises ``WorkerDied``."""
        assert self._process.stdin is not None
        try:
            await self._process.stdin.send_all(jobs.pack_job(job))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise WorkerDied(job.KIND, self.last_words) from error
        return await self._receive(job.KIND, answer_bytes_max)

    async def stop(self) -> None:
        """Kill the worker with all that it started, and reap it; even when cancelled."""
        if self.is_running:
            os.killpg(self._process.pid, signal.SIGKILL)
        with trio.CancelScope(shield=True):
            await self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                await trio.aclose_forcefully(pipe)

    async def _receive(self, job: str, bytes_max: int) -> tuple[Any, ...]:
        size = int.from_bytes(await self._read(job, jobs.HEAD_BYTES), "big")
        if size > bytes_max:
            raise WorkerDied(job, f"it answered with {size} bytes")
        try:
            return jobs.unpack_body(await self._read(job, size))
        except ValueError as error:
            raise WorkerDied(job, f"it answered nonsense: {error}") from error

    async def _read(self, job: str, size: int) -> bytes:
        assert self._process.stdout is not None
        data = bytearray()
        while len(data) < size:
            chunk = await self._process.stdout.receive_some(min(size - len(data), _READ_BYTES))
            if not chunk:
                with trio.move_on_after(_LAST_WORDS_SECONDS):
                    await self._silent.wait()
                raise WorkerDied(job, self.last_words)
            data += chunk
        return bytes(data)


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    package_root = str(Path(__file__).parents[2])
    return {**kept, **_ONE_THREAD, "PYTHONPATH": package_root}
