"""The committed artifacts are what the contracts' sources compile to."""

import importlib.util
import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
spec = importlib.util.spec_from_file_location(
    "build_contracts", ROOT / "scripts" / "build_contracts.py"
)
assert spec is not None
assert spec.loader is not None
build_contracts = importlib.util.module_from_spec(spec)
spec.loader.exec_module(build_contracts)


def artifact(name: str) -> dict[str, Any]:
    return json.loads((build_contracts.ARTIFACTS / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture(params=build_contracts.NAMES)
def built(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    return artifact(request.param)


def test_no_source_has_changed_since_the_build(built: dict[str, Any]) -> None:
    present = {path: ROOT / path for path in built["sources"] if (ROOT / path).is_file()}
    assert f"contracts/src/{built['contractName']}.sol" in present
    for path, file in present.items():
        assert sha256(file.read_bytes()).hexdigest() == built["sources"][path], path


def test_every_source_of_ours_is_still_there(built: dict[str, Any]) -> None:
    ours = [path for path in built["sources"] if path.startswith("contracts/src/")]
    assert all((ROOT / path).is_file() for path in ours)


def test_settings_are_those_of_the_build(built: dict[str, Any]) -> None:
    assert built["settings"] == build_contracts.SETTINGS
    assert built["solc"].startswith("0.8.30+")


def test_a_contract_fits_the_code_limit(built: dict[str, Any]) -> None:
    code = bytes.fromhex(built["deployedBytecode"].removeprefix("0x"))
    assert 0 < len(code) <= build_contracts.CODE_BYTES_MAX


def test_no_library_is_left_to_link(built: dict[str, Any]) -> None:
    assert "__" not in built["bytecode"]


def test_there_is_one_artifact_for_each_contract() -> None:
    files = {path.stem for path in build_contracts.ARTIFACTS.glob("*.json")}
    assert files == set(build_contracts.NAMES)


def test_the_lock_file_names_no_host() -> None:
    lock = json.loads((build_contracts.CONTRACTS / "package-lock.json").read_text(encoding="utf-8"))
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert all("resolved" not in entry and "integrity" in entry for entry in packages.values())


def test_every_function_of_an_interface_says_what_it_is_for():
    for path in sorted((ROOT / "contracts" / "src" / "interfaces").glob("*.sol")):
        lines = path.read_text(encoding="utf-8").splitlines()
        functions = [i for i, line in enumerate(lines) if line.startswith("    function ")]
        silent = [lines[i].strip() for i in functions if not lines[i - 1].startswith("    ///")]
        assert not silent, (path.name, silent)
