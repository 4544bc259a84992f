"""Where the demo starts: its directory, its deadline, its training processes. Cheap to import."""

import signal
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import trio

from flocknode.cli.demo.plan import DemoOptions
from flocknode.cli.output import INTERRUPTED, Output
from flocknode.cli.process import tune_process
from flocknode.cli.stopping import until_stopped
from flocknode.errors import UnavailableError
from flocknode.learning.pool import TrainerPool


async def run_demo(options: DemoOptions, output: Output) -> int:
    """Run the demo; return the exit code: 0 if every round settled and was verified."""
    code = await until_stopped(partial(_run, options, output))
    return INTERRUPTED if isinstance(code, signal.Signals) else code


async def _run(options: DemoOptions, output: Output) -> int:
    started = time.monotonic()
    with trio.move_on_after(options.timeout):
        async with _directory(options.keep) as directory:
            output.progress("starting a development chain and training processes")
            async with TrainerPool.open() as pool:
                # The processes load torch while this one loads the rest.
                tune_process()
                from flocknode.cli.demo.run import play

                tune_process()
                finish = await play(directory, pool, options, output, started)
            return finish()
    raise UnavailableError(
        f"not done after {options.timeout:g} s", "give it more time with --timeout"
    )


@asynccontextmanager
async def _directory(keep: Path | None) -> AsyncIterator[Path]:
    if keep is not None:
        yield _own_directory(keep)
        return
    with tempfile.TemporaryDirectory(prefix="flocknode-demo-") as name:
        yield Path(name)


def _own_directory(keep: Path) -> Path:
    """Make the directory to keep; one that holds something is not touched."""
    try:
        keep.mkdir(parents=True, exist_ok=True)
        if any(keep.iterdir()):
            raise UnavailableError(f"{keep} is not empty", "name a new directory")
    except OSError as error:
        raise UnavailableError(
            f"cannot use {keep}: {error.strerror}", "name a directory that you may write"
        ) from error
    return keep.resolve()
