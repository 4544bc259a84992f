"""``flocknode audit verify``: what it asks of a chain, and what it prints."""

from pathlib import Path

from flocknode.chain.archive import ArchivedBlock, fetch_blocks
from flocknode.chain.client import ChainClient
from flocknode.chain.deployment import verify as verify_deployment
from flocknode.chain.heads import read_header
from flocknode.cli.audit.directory import MANIFEST, FileFault, RunDirectory
from flocknode.cli.audit.manifest import Manifest, load_manifest
from flocknode.cli.audit.verify import Report, verify_run
from flocknode.cli.output import Output
from flocknode.errors import UnavailableError, UsageError

UNIT = 10**18
TRUSTED = "convictions, as the chain's events tell them: the proofs are in no kept file"
"""What changes majorities and pay, and is not recomputed: transactions are not kept."""


def open_run(path: Path) -> RunDirectory:
    """Return the run kept in ``path``; raise ``UsageError`` if none was."""
    try:
        is_run = (path / MANIFEST).is_file()
    except OSError:
        # It is closed to this user, or has a name that no file can have.
        is_run = False
    if not is_run:
        raise UsageError(
            f"{path} holds no {MANIFEST}",
            "name a directory that `flocknode demo --keep` has left",
        )
    return RunDirectory(path)


async def verify_with_chain(run: RunDirectory, rpc: str) -> Report:
    """Check a run against blocks that an endpoint gives; its files of the chain are not read.

    Raises ``OperatorError`` where the endpoint fails, or serves another chain or other contracts.
    """
    try:
        manifest = load_manifest(run)
    except FileFault as fault:
        return Report(faults=[fault])
    async with ChainClient(rpc) as client:
        await verify_deployment(client, manifest.deployment)
        blocks = await _fetch(client, manifest)
    if blocks[-1].digest != manifest.anchor:
        what = f"is anchored in another block {manifest.last} than {client.name} has"
        return Report(manifest, faults=[FileFault(MANIFEST, what)])
    return verify_run(run, blocks)


async def _fetch(client: ChainClient, manifest: Manifest) -> list[ArchivedBlock]:
    final = read_header(await client.call("eth_getBlockByNumber", "finalized", False))
    if final.number < manifest.last:
        raise UnavailableError(
            f"block {manifest.last} is not final at {client.name}, which is at {final.number}",
            "try again later, or name an endpoint of the chain that the run was on",
        )
    return await fetch_blocks(client, manifest.blocks.start, manifest.last)


def tell(report: Report, output: Output, rpc: str | None) -> int:
    """Print what held and what is wrong; return the exit code."""
    manifest = report.manifest
    if manifest:
        anchor = "0x" + manifest.anchor.hex()
        chain = manifest.deployment.chain_id
        where = f"block {manifest.last} of chain {chain}, {anchor}"
        known = "as the endpoint has it" if rpc else "compare it with a node that you trust"
        output.line("anchor", f"{where}: {known}")
        output.event("anchor", chain_id=chain, block=manifest.last, hash=anchor, rpc=rpc)
    for fault in report.faults:
        output.line("WRONG", str(fault))
        output.event("fault", file=fault.file, what=fault.what)
    verified, settled = report.rounds_verified, report.rounds_settled
    proven, expected = report.receipts_verified, report.receipts_expected
    output.line("rounds", f"{verified}/{settled} recomputed: set, roots, sum, model")
    output.line("receipts", f"{proven}/{expected} contributions proven under the chain's roots")
    claimed, due = report.pay_claimed / UNIT, report.pay_due / UNIT
    output.line("pay", f"{claimed:.2f} of {due:.2f} tokens claimed")
    output.line("trusted", TRUSTED)
    output.event(
        "summary",
        rounds_settled=settled,
        rounds_verified=verified,
        receipts_expected=expected,
        receipts_verified=proven,
        pay_due=str(report.pay_due),
        pay_claimed=str(report.pay_claimed),
        faults=len(report.faults),
        trusted=[TRUSTED],
    )
    return 1 if report.faults else 0
