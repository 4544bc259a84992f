"""What a round's cost is set against."""

import pytest

import flocknode.p2p  # noqa: F401  # before anything imports libp2p
from flocknode.aggregation.step import check_terms
from flocknode.cli.bench.rounds import (
    MEMORY_GIB_MAX,
    ROUNDS,
    TRAINERS,
    DummyPool,
    RoundCost,
    figures_of,
)
from flocknode.learning.jobs import PrepareJob, TrainJob
from flocknode.privacy.clipping import clip_l2


def cost(words: int) -> RoundCost:
    return RoundCost(
        words, seconds=6.0, cpu_seconds=5.0, sent_bytes=210, needed_bytes=200, peak_bytes=2**32
    )


def test_seconds_are_set_against_the_time_that_the_needed_bytes_take():
    pulls, seconds, _, sent, peak = figures_of(cost(max(ROUNDS)), bytes_per_second=100)
    assert (pulls.value, pulls.unit) == (1e-4, "MB/s")
    assert (seconds.value, seconds.limit, seconds.ratio) == (6.0, 6.0, 3.0)
    assert (sent.value, sent.limit, sent.ratio) == (210, pytest.approx(220), 1.05)
    assert (peak.value, peak.limit, peak.ratio) == (4.0, MEMORY_GIB_MAX, 0.5)


def test_shorter_models_are_reported_without_limits():
    assert {one.limit for one in figures_of(cost(min(ROUNDS)), bytes_per_second=100)} == {None}


@pytest.mark.parametrize("words", sorted(ROUNDS)[:2])
async def test_dummy_training_is_within_the_terms_that_it_proposes(words):
    pool = DummyPool(words)
    prepared = await pool.prepare(PrepareJob("dummy", ("",) * TRAINERS, "", 0))
    check_terms(prepared.terms, TRAINERS, TRAINERS)
    trained = await pool.train(TrainJob("dummy", "", b"", 0, TRAINERS - 1, 0))
    clipped = clip_l2(trained.delta, 2.0**prepared.terms.clip_norm_log2)
    assert clipped.values is trained.delta.values
