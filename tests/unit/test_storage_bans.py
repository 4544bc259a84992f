"""The file of bans."""

from flocknode.ports import Ban
from flocknode.primitives import PeerId, Seconds
from flocknode.storage.bans import FILE_NAME, BanFile

BANS = [Ban(PeerId(b"\x00\x24"), Seconds(12.5), 2)]


def test_bans_are_read_back_as_written(tmp_path):
    BanFile(tmp_path).save(BANS)
    assert BanFile(tmp_path).load() == BANS
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600


def test_unreadable_file_bans_nobody(tmp_path):
    assert BanFile(tmp_path).load() == []
    for junk in (
        b"{",
        b"[1]",
        b'[["zz", 1, 1]]',
        b"\xff",
        b'[["00", "x", 1]]',
        b'[["00", 1, 1e999]]',
    ):
        (tmp_path / FILE_NAME).write_bytes(junk)
        assert BanFile(tmp_path).load() == []
