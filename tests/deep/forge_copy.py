"""Runs the contracts' forge tests against changed contracts, without compiling the tests again.

Forge links tests dynamically here: they deploy what stands in its output folder, so a contract is
exchanged by writing other bytes there. Libraries inside the tests stay as they are.
"""

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.build_contracts import (
    ARTIFACTS,
    CONTRACTS,
    NAMES,
    compile_contracts,
    forge_command,
    forge_environment,
)

COMPILED = {name: json.loads((ARTIFACTS / f"{name}.json").read_text()) for name in NAMES}
"""The committed artifacts."""


class ForgeCopy:
    """An output folder of forge whose contracts can be exchanged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **forge_environment(),
            "FOUNDRY_DYNAMIC_TEST_LINKING": "true",
            "FOUNDRY_OUT": str(folder / "out"),
            "FOUNDRY_CACHE_PATH": str(folder / "cache"),
        }
        self._forge("build")
        self.exchange(COMPILED)

    def exchange(self, contracts: Mapping[str, Mapping[str, Any]]) -> None:
        """Let tests deploy these artifacts from now on."""
        for name, artifact in contracts.items():
            path = self.folder / "out" / f"{name}.sol" / f"{name}.json"
            known = json.loads(path.read_text())
            known["bytecode"]["object"] = artifact["bytecode"]
            known["deployedBytecode"]["object"] = artifact["deployedBytecode"]
            path.write_text(json.dumps(known))

    def test(self, names: Sequence[str]) -> dict[str, bool]:
        """Return by ``Contract.function`` which tests passed; what did not run has not."""
        wanted = {name.split(".")[1] for name in names}
        told = self._forge("test", "--json", "--match-test", rf"^({'|'.join(wanted)})\(")
        passed = {}
        for suite, result in json.loads(told[told.index("{") :]).items():
            for signature, outcome in result["test_results"].items():
                name = f"{suite.split(':')[1]}.{signature.split('(')[0]}"
                passed[name] = outcome["status"] == "Success"
        return {name: passed.get(name, False) for name in names}

    def _forge(self, *arguments: str) -> str:
        done = subprocess.run(
            [*forge_command(), *arguments],
            cwd=CONTRACTS,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert arguments[0] == "test" or done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def compile_changed(mutant: Any, folder: Path) -> dict[str, Any]:
    """Compile the contracts that read the mutant's file, with its line changed."""
    shutil.copytree(CONTRACTS / "src", folder / "src")
    mutant.plant(folder / "src")
    source = f"contracts/src/{mutant.file}"
    names = [name for name, artifact in COMPILED.items() if source in artifact["sources"]]
    return {name: json.loads(text) for name, text in compile_contracts(names, folder).items()}
