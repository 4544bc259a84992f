"""The verbs of ``flocknode chain``."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from flocknode.cli.output import Output
from flocknode.errors import OperatorError, UnavailableError, UsageError

app = typer.Typer(no_args_is_help=True, help="The chain, and the randomness that draws need.")

AsJson = Annotated[bool, typer.Option("--json", help="JSON lines on stdout.")]
Round = Annotated[int, typer.Option("--round", help="The round's number; they count from 1.")]


class TooEarly(UnavailableError):
    """A round is not due yet; try again."""

    exit_code = 75


@app.command()
def drand(
    number: Round,
    signature: Annotated[str, typer.Option(help="48 bytes in hexadecimal, as published.")],
    key: Annotated[str | None, typer.Option(help="Another key than quicknet's, 96 bytes.")] = None,
    as_json: AsJson = False,
) -> None:
    """Verify a published drand round: quicknet's, or one of a consortium's own key."""

    def verify(output: Output) -> None:
        from dataclasses import replace

        from flocknode.chain.drand import QUICKNET, verify_round

        network = replace(QUICKNET, public_key=_hex("key", key)) if key else QUICKNET
        randomness = verify_round(network, number, _hex("signature", signature))
        output.event("drand", round=number, verified=True, randomness="0x" + randomness.hex())
        output.line("drand", f"round {number} verifies, randomness {randomness.hex()}")

    _report(verify, as_json=as_json)


@app.command("drand-key")
def drand_key(
    file: Annotated[Path, typer.Argument(help="A new file for the key.")],
    as_json: AsJson = False,
) -> None:
    """Draw a consortium's own key for rounds into a file and print its public half."""

    def create(output: Output) -> None:
        from flocknode.chain.drand import create_round_key

        public = create_round_key(file)
        output.event("drand_key", file=str(file), public_key="0x" + public.hex())
        output.line("key", public.hex())

    _report(create, as_json=as_json)


@app.command("drand-sign")
def drand_sign(
    file: Annotated[Path, typer.Argument(help="The file of the consortium's key.")],
    number: Round,
    genesis: Annotated[int, typer.Option(help="When round 1 was due, in Unix seconds.")],
    period: Annotated[int, typer.Option(help="Seconds from one round to the next.")],
    as_json: AsJson = False,
) -> None:
    """Sign a round that is due with a consortium's own key; a round to come stays unknown."""

    def sign(output: Output) -> None:
        from flocknode.chain.drand import DrandNetwork, load_round_key, proof_bytes, sign_round

        scalar, public = load_round_key(file)
        due = DrandNetwork(public, genesis, period).published_at(number)
        if due > time.time():
            raise TooEarly(f"round {number} is due at {due}", "sign it then, and not before")
        signature = sign_round(scalar, number)
        proof = proof_bytes(number, signature)
        output.event(
            "drand_signature",
            round=number,
            signature="0x" + signature.hex(),
            proof="0x" + proof.hex(),
            public_key="0x" + public.hex(),
        )
        output.line("signature", signature.hex())
        output.line("proof", f"{proof.hex()} for DrandBeacon.prove")

    _report(sign, as_json=as_json)


def _report(act: Callable[[Output], None], *, as_json: bool) -> None:
    """Act and end with the exit code; what an operator can mend is one line and its remedy."""
    output = Output(as_json=as_json)
    try:
        act(output)
    except OperatorError as error:
        output.error(error)
        raise typer.Exit(error.exit_code) from None


def _hex(name: str, text: str) -> bytes:
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise UsageError(f"--{name} is not hexadecimal", "copy it again, without spaces") from None
