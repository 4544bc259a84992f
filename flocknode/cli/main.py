"""The ``flocknode`` command. Heavy parts are imported by the verb that needs them."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flocknode import __version__
from flocknode.cli.chain import app as chain_app
from flocknode.cli.output import INTERRUPTED, Output
from flocknode.errors import ConfigurationError, FlockError, OperatorError

if TYPE_CHECKING:
    from flocknode.cli.demo.plan import DemoOptions

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Train a model together without sharing data: peers, masks, contracts.",
)
app.add_typer(chain_app, name="chain")


@app.callback()
def _flocknode() -> None:
    """Train a model together without sharing data."""


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


@app.command()
def demo(
    task: Annotated[
        str, typer.Option(help="What to train: breast-cancer, digits.")
    ] = "breast-cancer",
    rounds: Annotated[int, typer.Option(help="Rounds to settle.")] = 10,
    trainers: Annotated[int, typer.Option(help="Hospitals.")] = 12,
    validators: Annotated[int | None, typer.Option(help="Default: all seats and three.")] = None,
    columns: Annotated[int, typer.Option(help="Columns of the committee.")] = 3,
    seats: Annotated[int, typer.Option(help="Seats in each column.")] = 3,
    chain: Annotated[str, typer.Option(help="Development chain: anvil or pyevm.")] = "anvil",
    seed: Annotated[int, typer.Option(help="Fixes split, model, training, rounding.")] = 0,
    timeout: Annotated[float, typer.Option(help="Seconds in all.")] = 300.0,
    keep: Annotated[Path | None, typer.Option(help="Keep the run, for audits, here.")] = None,
    suite: Annotated[str, typer.Option(help="Seals seeds: x25519, mlkem768-x25519.")] = "x25519",
    port: Annotated[int, typer.Option(help="First port; 0 takes free ones.")] = 0,
    liar: Annotated[
        str | None,
        typer.Option(
            help="A lie to be told: equivocate, inclusion, mask, aggregate, step, tree, silent "
            "or withhold."
        ),
    ] = None,
    colluding: Annotated[str, typer.Option(help="Liars: minority or majority.")] = "minority",
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines on stdout.")] = False,
    debug: Annotated[bool, typer.Option(help="Show tracebacks and log lines.")] = False,
) -> None:
    """Run hospitals, validators and a chain on this machine and train one model together."""
    from flocknode.cli.demo.plan import DemoOptions

    options = DemoOptions(
        task,
        rounds,
        trainers,
        columns * seats + 3 if validators is None else validators,
        columns,
        seats,
        chain,
        seed,
        timeout,
        keep,
        port,
        suite,
        liar,
        colluding,
    )
    output = Output(as_json=as_json)
    _exit(_guarded(partial(_demo, options, output, debug=debug), output, debug=debug))


@app.command()
def run(
    directories: Annotated[list[Path], typer.Argument(help="Data directories, one a node.")],
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines on stdout.")] = False,
    debug: Annotated[bool, typer.Option(help="Show tracebacks.")] = False,
) -> None:
    """Run the nodes of data directories until SIGTERM or Ctrl-C; log lines go to stderr."""
    output = Output(as_json=as_json)
    _exit(_guarded(partial(_run_nodes, directories, output), output, debug=debug))


@app.command()
def consent(
    directory: Annotated[Path, typer.Argument(help="A trainer's data directory.")],
    round_: Annotated[int, typer.Argument(metavar="ROUND", min=1, help="The paused round.")],
    pause: Annotated[int, typer.Option(min=1, help="Which pause of this round.")] = 1,
) -> None:
    """Let a trainer's delta of a round be sent again after the task paused.

    Its sum counts as known to somebody. The same delta sent again tells nothing more.
    """
    output = Output(as_json=False)
    _exit(_guarded(partial(_consent, directory, round_, pause), output, debug=False))


audit = typer.Typer(no_args_is_help=True, help="Check what others say that they computed.")
app.add_typer(audit, name="audit")


@audit.command()
def verify(
    directory: Annotated[Path, typer.Argument(help="What `flocknode demo --keep` left.")],
    rpc: Annotated[str | None, typer.Option(help="Ask this chain instead of chain/.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines on stdout.")] = False,
    debug: Annotated[bool, typer.Option(help="Show tracebacks.")] = False,
) -> None:
    """Recompute every round, receipt and payment of a kept run; name the files that are wrong."""
    output = Output(as_json=as_json)
    _exit(_guarded(partial(_verify, directory, rpc, output), output, debug=debug))


def _verify(directory: Path, rpc: str | None, output: Output) -> int:
    from flocknode.cli.audit.command import open_run, tell, verify_with_chain
    from flocknode.cli.audit.verify import verify_run

    run = open_run(directory)
    if rpc is None:
        return tell(verify_run(run), output, None)
    import trio

    return tell(trio.run(verify_with_chain, run, rpc), output, rpc)


@app.command()
def bench(
    names: Annotated[list[str] | None, typer.Argument(help="Which; all without.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the ratios into this SVG.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines on stdout.")] = False,
    debug: Annotated[bool, typer.Option(help="Show tracebacks.")] = False,
) -> None:
    """Measure this machine: each figure beside a limit that was measured in the same run."""
    output = Output(as_json=as_json)
    _exit(_guarded(partial(_bench, names or [], plot, output), output, debug=debug))


def _bench(names: list[str], plot: Path | None, output: Output) -> int:
    from flocknode.cli.bench.command import run_benches

    return run_benches(names, output, plot)


def _guarded(verb: Callable[[], int], output: Output, *, debug: bool) -> int:
    try:
        return verb()
    except BaseException as error:
        if debug:
            raise
        return _explain(error, output)


def _demo(options: "DemoOptions", output: Output, *, debug: bool) -> int:
    options.check()
    return _run_demo(options, output, debug=debug)


def _run_nodes(directories: list[Path], output: Output) -> int:
    import logging

    import trio

    from flocknode.cli.run import run_nodes

    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s %(message)s"
    )
    # It logs each failed dial as an error; the node dials again and says what matters.
    logging.getLogger("libp2p").setLevel(logging.CRITICAL)
    return trio.run(run_nodes, directories, output)


def _consent(directory: Path, round_: int, pause: int) -> int:
    from flocknode.storage.consent import ConsentFile

    try:
        # Rounds count from 1 where people read, from 0 on the chain.
        ConsentFile(directory).give(round_ - 1, pause)
    except OSError as error:
        raise ConfigurationError(
            f"cannot write to {directory}: {error.strerror}", "name a node's data directory"
        ) from error
    return 0


def _run_demo(options: "DemoOptions", output: Output, *, debug: bool) -> int:
    import logging

    import trio

    from flocknode.cli.demo.entry import run_demo

    logging.basicConfig(level=logging.INFO if debug else logging.CRITICAL, stream=sys.stderr)
    return trio.run(run_demo, options, output)


def _explain(error: BaseException, output: Output) -> int:
    """Print what went wrong in one line of cause and one of remedy; return the exit code."""
    first = _first(error)
    if isinstance(first, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(first, OperatorError):
        output.error(first)
        return first.exit_code
    if isinstance(first, FlockError):
        output.error(OperatorError(str(first), "run again with --debug to see where"))
        return 1
    raise error


def _first(error: BaseException) -> BaseException:
    """Return the error that matters in a group: what the operator can mend comes first."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    inner = [_first(one) for one in error.exceptions]
    order = (KeyboardInterrupt, OperatorError, FlockError)
    for kind in order:
        for one in inner:
            if isinstance(one, kind):
                return one
    return inner[0]


def _exit(code: int) -> None:
    raise typer.Exit(code)


def main() -> None:
    """Run the command line."""
    app()
