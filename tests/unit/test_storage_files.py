"""Secrets, blobs and the journal on real files."""

import os
import stat

import pytest

from flocknode.crypto.hashing import sha256
from flocknode.crypto.merkle import TreeKind, tree_root
from flocknode.errors import ConfigurationError
from flocknode.messages.statements import RECORD_BYTES
from flocknode.ports import Heard
from flocknode.primitives import Address, PeerId
from flocknode.storage.blobs import MAPPED_BYTES_MIN, DiskBlobs
from flocknode.storage.consent import ConsentFile
from flocknode.storage.database import FORMAT
from flocknode.storage.directory import Storage
from flocknode.storage.drafts import DRAFTS_MAX, DraftError
from flocknode.storage.errors import StorageError
from flocknode.storage.journal import JOURNAL, MESSAGES_MAX, MessageJournal
from flocknode.storage.secrets import KEY, SecretFiles

NAME = "attempt-3-0-" + "ab" * 32
SECRET = b"a sealing key that nobody may read"


def sealed_file(tmp_path):
    (path,) = (tmp_path / "secrets").iterdir()
    return path


def test_secret_outlives_the_process_and_is_not_readable_on_disk(tmp_path):
    SecretFiles(tmp_path).save(NAME, SECRET)
    assert SecretFiles(tmp_path).load(NAME) == SECRET
    assert SECRET not in sealed_file(tmp_path).read_bytes()
    for path in (sealed_file(tmp_path), tmp_path / KEY):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_unknown_secret_is_none(tmp_path):
    assert SecretFiles(tmp_path).load(NAME) is None


def test_destroyed_secret_is_overwritten_before_it_is_unlinked(tmp_path):
    secrets = SecretFiles(tmp_path)
    secrets.save(NAME, SECRET)
    other_name = tmp_path / "kept"
    os.link(sealed_file(tmp_path), other_name)
    secrets.destroy(NAME)
    assert secrets.names() == ()
    assert secrets.load(NAME) is None
    assert set(other_name.read_bytes()) == {0}


class KilledError(Exception):
    """The process ends here."""


@pytest.mark.parametrize("step", ["os.open", "os.fsync", "pathlib.Path.unlink"])
def test_node_that_is_killed_while_it_destroys_a_secret_starts_again(tmp_path, monkeypatch, step):
    secrets = SecretFiles(tmp_path)
    secrets.save(NAME, SECRET)

    def die(*_arguments, **_options):
        raise KilledError

    with monkeypatch.context() as now:
        now.setattr(step, die)
        with pytest.raises(KilledError):
            secrets.destroy(NAME)
    again = SecretFiles(tmp_path)
    assert again.load(NAME) in (None, SECRET)
    again.destroy(NAME)
    assert list((tmp_path / "secrets").iterdir()) == []


def test_file_among_the_secrets_that_is_none_is_refused_with_a_sentence(tmp_path):
    SecretFiles(tmp_path).save(NAME, SECRET)
    sealed_file(tmp_path).rename(tmp_path / "secrets" / "Copy of it.sealed")
    with pytest.raises(ConfigurationError, match="Copy of it"):
        SecretFiles(tmp_path)


@pytest.mark.parametrize("damage", [lambda b: b[:20], lambda b: b[:-1] + bytes([b[-1] ^ 1])])
def test_damaged_secret_refuses_the_start_and_is_left_alone(tmp_path, damage):
    SecretFiles(tmp_path).save(NAME, SECRET)
    path = sealed_file(tmp_path)
    path.write_bytes(damaged := damage(path.read_bytes()))
    with pytest.raises(ConfigurationError, match="damaged or of another key"):
        SecretFiles(tmp_path)
    assert path.read_bytes() == damaged


def test_secret_under_another_name_is_refused(tmp_path):
    SecretFiles(tmp_path).save(NAME, SECRET)
    path = sealed_file(tmp_path)
    path.rename(path.with_name("delta-3.sealed"))
    with pytest.raises(ConfigurationError, match="renamed"):
        SecretFiles(tmp_path)


def test_half_written_secret_of_a_crash_is_dropped_and_the_old_one_stands(tmp_path):
    SecretFiles(tmp_path).save(NAME, SECRET)
    path = sealed_file(tmp_path)
    path.with_name(path.name + ".partial").write_bytes(b"half")
    assert SecretFiles(tmp_path).load(NAME) == SECRET
    assert sealed_file(tmp_path) == path


def test_lost_or_open_key_of_the_secrets_is_refused(tmp_path):
    SecretFiles(tmp_path).save(NAME, SECRET)
    (tmp_path / KEY).chmod(0o644)
    with pytest.raises(ConfigurationError, match="others may read"):
        SecretFiles(tmp_path)
    (tmp_path / KEY).unlink()
    with pytest.raises(ConfigurationError, match="missing"):
        SecretFiles(tmp_path)


def model(number):
    data = bytes([number]) * 100
    return tree_root(TreeKind.MODEL, data), data


def test_blob_is_found_again_by_the_next_process(tmp_path):
    records = bytes(range(256)) * 2
    records = (records + records)[: 2 * RECORD_BYTES]
    blobs = [model(1), (tree_root(TreeKind.INCLUSION, records, RECORD_BYTES), records)]
    first = DiskBlobs(tmp_path)
    for root, data in blobs:
        first.put(root, data)
        assert first.get(root) == data
    first.close()
    second = DiskBlobs(tmp_path)
    for root, data in blobs:
        assert second.get(root) == data
    second.close()


def test_only_a_model_waits_for_the_disk_and_nothing_is_hashed_again(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr("os.fsync", synced.append)
    monkeypatch.setattr("flocknode.storage.blobs.tree_root", None)
    blobs = DiskBlobs(tmp_path)
    blobs.put(*model(1))
    blobs.close()
    assert synced == []
    blobs.put(*model(2), sync=True)
    blobs.close()
    assert len(synced) == 2  # the file and its folder


def test_damaged_blob_counts_as_absent_and_may_come_again(tmp_path):
    root, data = model(1)
    first = DiskBlobs(tmp_path)
    first.put(root, data)
    first.close()
    (tmp_path / "blobs" / root.hex()).write_bytes(data[:-1])
    second = DiskBlobs(tmp_path)
    assert second.get(root) is None
    second.put(root, data)
    second.close()
    third = DiskBlobs(tmp_path)
    assert third.get(root) == data
    third.close()


def test_blobs_stay_within_their_bound_and_the_oldest_go(tmp_path):
    blobs = DiskBlobs(tmp_path, disk_bytes_max=350, memory_bytes_max=100)
    for number in range(8):
        blobs.put(*model(number))
    blobs.close()
    kept = {path.name for path in (tmp_path / "blobs").iterdir()}
    assert kept == {model(number)[0].hex() for number in (5, 6, 7)}


def test_draft_whose_file_made_room_for_others_is_given_up_not_gone_on_with(tmp_path):
    blobs = DiskBlobs(tmp_path)
    data = bytes(range(256)) * (MAPPED_BYTES_MIN // 256)
    root = tree_root(TreeKind.MODEL, data)
    draft = blobs.draft(root, len(data))
    draft.append(data[:1024])
    for number in range(DRAFTS_MAX + 1):
        blobs.draft(sha256(bytes([number])), len(data)).append(b"x")
        if draft.path.exists():
            os.utime(draft.path, ns=(0, 0))
    with pytest.raises(DraftError, match="gone"):
        draft.append(data[1024:])
    again = blobs.draft(root, len(data))
    again.append(data)
    blobs.finish(root, again, sync=False)
    assert blobs.get(root) == data
    blobs.close()


def test_draft_that_goes_while_others_are_counted_is_no_harm(tmp_path):
    blobs = DiskBlobs(tmp_path)
    # Listed, and gone when its age is asked for, as one that another thread has just finished.
    (tmp_path / "blobs" / "finished.draft").symlink_to(tmp_path / "nowhere")
    blobs.draft(sha256(b"root"), MAPPED_BYTES_MIN).append(b"x")
    blobs.close()


def test_disk_that_refuses_a_pulled_blob_costs_the_pull_only(tmp_path):
    blobs = DiskBlobs(tmp_path)
    draft = blobs.draft(sha256(b"root"), MAPPED_BYTES_MIN)
    draft.append(b"x")
    draft.path.unlink()
    for sync in (False, True):
        with pytest.raises(DraftError, match="No such file"):
            blobs.finish(sha256(b"root"), draft, sync=sync)
    blobs.close()


def test_discarded_blob_is_gone_from_the_disk(tmp_path):
    root, data = model(1)
    blobs = DiskBlobs(tmp_path)
    blobs.put(root, data)
    blobs.discard(root)
    blobs.close()
    assert blobs.get(root) is None
    assert not list((tmp_path / "blobs").iterdir())


PEER, CTX = PeerId(b"p" * 34), sha256(b"ctx")


def test_journal_gives_messages_back_in_order_and_once(tmp_path):
    first = MessageJournal(tmp_path)
    for payload in (b"b", b"a", b"b"):
        first.remember([Heard((3, 0), CTX, PEER, payload)])
    first.close()
    second = MessageJournal(tmp_path)
    assert second.recall(CTX) == [(PEER, b"b"), (PEER, b"a")]
    assert second.recall(sha256(b"other")) == []
    second.close()


def test_journal_forgets_earlier_attempts_only(tmp_path):
    journal = MessageJournal(tmp_path)
    names = {at: sha256(bytes(at)) for at in ((2, 1), (3, 0), (3, 1))}
    for at, ctx in names.items():
        journal.remember([Heard(at, ctx, PEER, b"message")])
    journal.forget_before((3, 1))
    assert [at for at, ctx in names.items() if journal.recall(ctx)] == [(3, 1)]
    journal.close()


def test_journal_of_an_attempt_is_bounded(tmp_path):
    journal = MessageJournal(tmp_path, synchronous="OFF")
    payloads = [number.to_bytes(2, "big") for number in range(MESSAGES_MAX + 3)]
    journal.remember([Heard((3, 0), CTX, PEER, payload) for payload in payloads])
    assert len(journal.recall(CTX)) == MESSAGES_MAX
    journal.close()


def test_damaged_or_newer_journal_is_refused_with_a_sentence(tmp_path):
    journal = MessageJournal(tmp_path)
    journal._database.execute(f"PRAGMA user_version={FORMAT + 1}")
    journal.close()
    with pytest.raises(ConfigurationError, match="newer flocknode"):
        MessageJournal(tmp_path)
    (tmp_path / JOURNAL).write_bytes(b"nonsense" * 1000)
    with pytest.raises(ConfigurationError, match="damaged") as refusal:
        MessageJournal(tmp_path)
    assert "move" in refusal.value.remedy


def test_what_a_node_remembers_is_for_its_user_alone(tmp_path):
    storage = Storage.open(tmp_path, Address(b"\x01" * 20))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert {"outbox.sqlite-wal", "protection.sqlite-wal", JOURNAL + "-wal"} <= modes.keys()
    assert {mode & 0o077 for mode in modes.values()} == {0}
    storage.close()


def test_refused_part_leaves_the_directory_unlocked(tmp_path):
    me = Address(b"\x01" * 20)
    Storage.open(tmp_path, me).close()
    (tmp_path / JOURNAL).write_bytes(b"nonsense" * 1000)
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="damaged"):
            Storage.open(tmp_path, me)
    (tmp_path / JOURNAL).unlink()
    Storage.open(tmp_path, me).close()


def test_consent_outlives_the_process_and_names_round_and_pause(tmp_path):
    ConsentFile(tmp_path).give(3, 1)
    ConsentFile(tmp_path).give(4, 1)
    consent = ConsentFile(tmp_path)
    assert consent.given(3, 1)
    assert consent.given(4, 1)
    assert not consent.given(3, 2)
    assert not consent.given(1, 3)


def test_consent_that_cannot_be_read_is_an_error_of_the_disk(tmp_path):
    (tmp_path / "consent").mkdir()
    with pytest.raises(StorageError, match="consent"):
        ConsentFile(tmp_path).given(3, 1)
