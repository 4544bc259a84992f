"""The development chain as a process: how it starts, whom it serves, when it ends."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from flocknode.chain import devchain
from flocknode.chain import heads as heads_module
from flocknode.chain.client import ChainClient
from flocknode.chain.devchain import development_chain
from flocknode.chain.errors import EndpointUnreachable, RpcFailed
from flocknode.chain.heads import Heads
from flocknode.errors import UnavailableError

KINDS = pytest.mark.parametrize("kind", ["anvil", "pyevm"])
OWNER = """
import sys, trio
from pathlib import Path
from flocknode.chain.devchain import development_chain

async def main():
    async with development_chain(Path(sys.argv[1]), kind=sys.argv[2]) as chain:
        print(chain.url, flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def port_of(url: str) -> int:
    return int(url.rsplit(":", 1)[1])


@KINDS
async def test_only_the_faucet_has_funds(tmp_path, kind):
    async with development_chain(tmp_path, kind=kind) as chain, ChainClient(chain.url) as client:
        assert await client.call("eth_accounts") == []
        first_of_the_public_mnemonic = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
        balances = [
            int(await client.call("eth_getBalance", address, "latest"), 16)
            for address in (first_of_the_public_mnemonic, "0x" + chain.faucet.address.hex())
        ]
        assert balances == [0, devchain.FAUCET_BALANCE]
        assert int(await client.call("eth_chainId"), 16) == chain.chain_id


@KINDS
async def test_it_ends_with_its_block(tmp_path, kind):
    async with development_chain(tmp_path, kind=kind) as chain:
        assert answers(port_of(chain.url))
    assert not answers(port_of(chain.url))


@pytest.mark.skipif(sys.platform != "linux", reason="the tether is a feature of Linux")
@KINDS
def test_it_ends_with_its_owner_even_if_that_is_killed(tmp_path, kind):
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path), kind], stdout=subprocess.PIPE, text=True
    )
    port = port_of(owner.stdout.readline().strip())
    assert answers(port)
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    deadline = time.monotonic() + 5
    while answers(port) and time.monotonic() < deadline:
        time.sleep(0.02)
    outlived = answers(port)
    end_chain_at(port)
    assert not outlived


def end_chain_at(port: int) -> None:
    """End what outlived its owner: nobody else would."""
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if f"--port\0{port}\0".encode() in command.read_bytes():
                os.kill(int(command.parent.name), signal.SIGKILL)


async def test_ctrl_c_in_the_terminal_does_not_reach_it(tmp_path):
    command = devchain.anvil_command(tmp_path, 0.2, devchain._free_port(0), 2)
    process = devchain.launch(command, tmp_path / "log")
    try:
        assert os.getpgid(process.pid) != os.getpgid(0)
    finally:
        devchain.stop(process)


async def test_anvil_keeps_every_block_few_states_and_no_file(tmp_path, monkeypatch):
    monkeypatch.setenv("FLOCKNODE_ANVIL", str(devchain.find_anvil()))
    monkeypatch.setenv("HOME", str(tmp_path))
    opening = development_chain(tmp_path, block_seconds=1000)
    async with opening as chain, ChainClient(chain.url) as client:
        # Without a limit anvil writes states from the three hundredth on.
        await client.call("anvil_mine", hex(600))
        newest = int(await client.call("eth_blockNumber"), 16)
        faucet = "0x" + chain.faucet.address.hex()
        for number in (newest, newest - devchain.STATES_MAX + 1):
            assert int(await client.call("eth_getBalance", faucet, hex(number)), 16) > 0
        with pytest.raises(RpcFailed):
            await client.call("eth_getBalance", faucet, "0x1")
        assert await client.call("eth_getBlockReceipts", "0x1") == []
        await client.call("anvil_reorg", 64, [])
        assert int(await client.call("eth_getBalance", faucet, "latest"), 16) > 0
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["anvil.log"]


@KINDS
async def test_a_taken_port_is_one_clear_sentence(tmp_path, kind):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(UnavailableError, match=f"port {port} is in use"):
            async with development_chain(tmp_path, port=port, kind=kind):
                pass


async def test_what_anvil_says_when_it_does_not_start_is_shown(tmp_path, monkeypatch):
    refusing = tmp_path / "anvil"
    refusing.write_text("#!/bin/sh\necho no room on this machine\nexit 1\n")
    refusing.chmod(0o755)
    monkeypatch.setenv("FLOCKNODE_ANVIL", str(refusing))
    with pytest.raises(UnavailableError, match="no room on this machine"):
        async with development_chain(tmp_path):
            pass


def test_a_wrong_path_to_anvil_is_named(monkeypatch):
    monkeypatch.setenv("FLOCKNODE_ANVIL", "/nowhere/anvil")
    with pytest.raises(UnavailableError, match="/nowhere/anvil"):
        devchain.find_anvil()


def test_an_archive_that_is_not_the_pinned_one_is_refused(tmp_path):
    archive = tmp_path / "anvil.tgz"
    archive.write_bytes(b"something else")
    with pytest.raises(UnavailableError, match="not the pinned anvil"):
        devchain._check_integrity(archive, devchain.INTEGRITY["linux-amd64"])


def test_an_unpinned_platform_is_told_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(devchain, "_platform_name", lambda: "plan9-mips")
    with pytest.raises(UnavailableError, match="plan9-mips") as caught:
        devchain._fetch_anvil(tmp_path / "anvil")
    assert "FLOCKNODE_ANVIL" in caught.value.remedy


def test_npm_that_fails_is_answered_with_the_package_that_brings_another(tmp_path, monkeypatch):
    failing = tmp_path / "npm"
    failing.write_text("#!/bin/sh\nexit 1\n")
    failing.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(devchain, "_has_npm_package", lambda: False)
    with pytest.raises(UnavailableError, match="npm did not fetch") as caught:
        devchain._npm_pack("anvil", tmp_path)
    assert "pip install flocknode[devchain]" in caught.value.remedy


async def test_an_endpoint_that_stays_silent_ends_the_watch(tmp_path, monkeypatch):
    monkeypatch.setattr(heads_module, "OUTAGE_SECONDS_MAX", 0.5)
    async with development_chain(tmp_path) as chain:
        client = ChainClient(chain.url)
        heads = Heads(client)
        await heads.poll()
    with trio.fail_after(10), pytest.raises(EndpointUnreachable):
        await heads.run()
    client.close()


def test_npm_of_the_python_package_runs_where_there_is_no_other(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    command = devchain._npm_command()
    assert command[0] == sys.executable
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout.strip()[0].isdigit()
