"""The ``flocknode`` command. Heavy parts are imported by the verb that needs them."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flocknode import __version__
from flocknode.cli.output import Output
from flocknode.errors import FlockError, OperatorError

if TYPE_CHECKING:
    from flocknode.cli.demo.plan import DemoOptions

INTERRUPTED = 130

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Train a model together without sharing data: peers, masks, contracts.",
)


@app.callback()
def _flocknode() -> None:
    """Train a model together without sharing data."""


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


@app.command()
def demo(
    task: Annotated[str, typer.Option(help="What to train: breast-cancer.")] = "breast-cancer",
    rounds: Annotated[int, typer.Option(help="Rounds to settle.")] = 10,
    trainers: Annotated[int, typer.Option(help="Hospitals.")] = 12,
    validators: Annotated[int | None, typer.Option(help="Default: all seats and three.")] = None,
    columns: Annotated[int, typer.Option(help="Columns of the committee.")] = 3,
    seats: Annotated[int, typer.Option(help="Seats in each column.")] = 3,
    chain: Annotated[str, typer.Option(help="Development chain: anvil or pyevm.")] = "anvil",
    seed: Annotated[int, typer.Option(help="Fixes split, model, training, rounding.")] = 0,
    timeout: Annotated[float, typer.Option(help="Seconds in all.")] = 300.0,
    keep: Annotated[Path | None, typer.Option(help="Keep all nodes' directories here.")] = None,
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
        liar,
        colluding,
    )
    output = Output(as_json=as_json)
    _exit(_demo(options, output, debug=debug))


def _demo(options: "DemoOptions", output: Output, *, debug: bool) -> int:
    try:
        options.check()
        return _run_demo(options, output, debug=debug)
    except BaseException as error:
        if debug:
            raise
        return _explain(error, output)


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
