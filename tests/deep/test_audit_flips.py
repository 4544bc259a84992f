"""A long campaign of flipped bytes over one kept run."""

from pathlib import Path

from tests.kept_run import KeptRun, flip_bytes

FLIPS = 1_000


def test_every_one_of_many_flips_is_found_and_its_file_named(tmp_path: Path) -> None:
    hits = flip_bytes(KeptRun(tmp_path), FLIPS, seed=1)
    assert hits.total() == FLIPS
    assert min(hits.values()) > FLIPS // 12  # six kinds of files, drawn alike
