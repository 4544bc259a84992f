"""Signing protection on real SQLite files."""

import os
import signal
import subprocess
import sys

import pytest

from flocknode.crypto.eip712 import Domain
from flocknode.crypto.hashing import sha256
from flocknode.crypto.signing import SigningKey
from flocknode.errors import ConfigurationError
from flocknode.messages.statements import Attestation, SeatKey
from flocknode.node.signer import SlotSigner
from flocknode.primitives import Address
from flocknode.storage.errors import StorageError
from flocknode.storage.protection import MARKER, RECORD, SigningProtection

ME, OTHER = Address(b"\x01" * 20), Address(b"\x02" * 20)
SLOT = ("include", sha256(b"ctx"), 3)
ONE, TWO = sha256(b"one"), sha256(b"two")


@pytest.fixture
def protection(tmp_path):
    opened = SigningProtection(tmp_path, ME)
    yield opened
    opened.close()


def reopen(directory, address=ME):
    SigningProtection(directory, address).close()


def test_slot_takes_one_statement_and_takes_it_again(protection):
    assert protection.record(SLOT, ONE)
    assert not protection.record(SLOT, TWO)
    assert protection.record(SLOT, ONE)


@pytest.mark.parametrize(
    "other", [("propose", SLOT[1], 3), ("include", sha256(b"other"), 3), ("include", SLOT[1], 4)]
)
def test_slots_differ_in_kind_context_and_number(protection, other):
    assert protection.record(SLOT, ONE)
    assert protection.record(other, TWO)


def test_record_outlives_the_process(tmp_path):
    first = SigningProtection(tmp_path, ME)
    assert first.record(SLOT, ONE)
    first.close()
    second = SigningProtection(tmp_path, ME)
    assert not second.record(SLOT, TWO)
    second.close()


KILLED = """
import sys
from pathlib import Path
from flocknode.crypto.hashing import sha256
from flocknode.storage.protection import SigningProtection
protection = SigningProtection(Path(sys.argv[1]), bytes([1]) * 20)
number = 0
while True:
    assert protection.record(("include", sha256(b"ctx"), number), sha256(b"%d" % number))
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
    number += 1
"""


def test_every_record_that_was_acknowledged_survives_a_kill(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", KILLED, tmp_path], stdout=subprocess.PIPE)
    for _ in range(40):
        last = int(process.stdout.readline())
    os.kill(process.pid, signal.SIGKILL)
    rest = process.communicate()[0].split(b"\n")
    last = int(rest[-2]) if len(rest) > 1 else last
    protection = SigningProtection(tmp_path, ME)
    for number in range(last + 1):
        assert not protection.record(("include", sha256(b"ctx"), number), TWO)
    protection.close()


@pytest.mark.usefixtures("protection")
def test_second_process_is_told_who_holds_the_directory(tmp_path):
    with pytest.raises(ConfigurationError, match=f"in use by process {os.getpid()}") as refusal:
        SigningProtection(tmp_path, ME)
    assert "stop that process" in refusal.value.remedy


def test_closed_directory_may_be_opened_again(tmp_path):
    reopen(tmp_path)
    reopen(tmp_path)


def test_lost_record_is_noticed_and_never_made_anew(tmp_path):
    reopen(tmp_path)
    (tmp_path / RECORD).unlink()
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="missing, and this key has signed"):
            SigningProtection(tmp_path, ME)
    assert not (tmp_path / RECORD).exists()


def test_record_without_its_marker_is_kept(tmp_path):
    # A first start that ended between the two writes.
    first = SigningProtection(tmp_path, ME)
    first.record(SLOT, ONE)
    first.close()
    (tmp_path / MARKER).unlink()
    second = SigningProtection(tmp_path, ME)
    assert not second.record(SLOT, TWO)
    second.close()
    assert (tmp_path / MARKER).exists()


def test_record_of_another_key_is_refused(tmp_path):
    reopen(tmp_path)
    with pytest.raises(ConfigurationError, match="another signing key"):
        SigningProtection(tmp_path, OTHER)


@pytest.mark.parametrize("damage", [b"", b"not a database" * 400, None])
def test_damaged_record_is_refused_with_a_sentence_and_left_alone(tmp_path, damage):
    reopen(tmp_path)
    path = tmp_path / RECORD
    content = path.read_bytes() if damage is None else damage
    damaged = content[:100] + bytes(len(content) - 100) if damage is None else damage
    path.write_bytes(damaged)
    with pytest.raises(ConfigurationError, match=r"protection\.sqlite") as refusal:
        SigningProtection(tmp_path, ME)
    assert "restore it from a backup" in refusal.value.remedy
    assert path.read_bytes() == damaged


def test_record_that_cannot_be_written_gives_no_consent(tmp_path):
    protection = SigningProtection(tmp_path, ME)
    protection._database.execute("PRAGMA query_only=1")
    with pytest.raises(StorageError):
        protection.record(SLOT, ONE)
    protection.close()


async def test_signer_repeats_the_same_bytes_and_refuses_another_statement(protection):
    key, domain = SigningKey(sha256(b"key")), Domain(31337, Address(bytes(20)))
    signer = SlotSigner(key, domain, protection)
    ctx = sha256(b"ctx")
    first = await signer.sign(SeatKey(ctx, 1, ONE))
    assert first is not None
    # A crash between record and signature: the next life signs the same bytes.
    assert await SlotSigner(key, domain, protection).sign(SeatKey(ctx, 1, ONE)) == first
    assert await signer.sign(SeatKey(ctx, 1, TWO)) is None
    assert await signer.sign(Attestation(ctx, 1, 1, ONE)) is not None
    assert await signer.sign(Attestation(ctx, 1, 2, TWO)) is not None


def test_an_older_copy_of_the_record_is_refused(tmp_path):
    reopen(tmp_path)
    older = (tmp_path / RECORD).read_bytes()
    first = SigningProtection(tmp_path, ME)
    first.record(SLOT, ONE)
    first.close()
    newer = (tmp_path / RECORD).read_bytes()
    (tmp_path / RECORD).write_bytes(older)
    with pytest.raises(ConfigurationError, match="older copy"):
        SigningProtection(tmp_path, ME)
    (tmp_path / RECORD).write_bytes(newer)
    reopen(tmp_path)


def test_a_marker_of_before_the_count_is_taken(tmp_path):
    reopen(tmp_path)
    (tmp_path / MARKER).write_text(ME.hex() + "\n")
    reopen(tmp_path)


def test_the_record_tells_which_slots_it_holds(protection):
    assert not protection.holds(SLOT)
    protection.record(SLOT, ONE)
    assert protection.holds(SLOT)
    assert not protection.holds(("include", SLOT[1], 4))
