"""What the default terms keep of plain averaging, on the built-in tasks."""

import numpy as np
import pytest
import torch

from flocknode.aggregation.ring import unmask
from flocknode.aggregation.step import check_terms, error_bound, server_step
from flocknode.learning import training
from flocknode.learning.modules import read_parameters, write_parameters
from flocknode.learning.recipe import default_terms, roster_weights
from flocknode.learning.seeds import derive
from flocknode.learning.shards import join
from flocknode.learning.task import load_task
from flocknode.learning.words import from_words
from flocknode.model.stages import ModelDelta
from flocknode.privacy.clipping import clip_l2
from flocknode.privacy.masking import mask, sum_masks
from flocknode.privacy.quantisation import dither_stream, quantise

ROUNDS = 10
TRAINERS = 12
SEED = 2  # The split, of twenty, that falls furthest below pooled training.


@pytest.fixture(scope="module")
def start():
    training.make_deterministic()
    task = load_task("breast-cancer")
    split = task.split(TRAINERS, derive(SEED, "split"))
    words = training.initial_words(task, SEED)
    terms = default_terms(len(words), TRAINERS, training.dry_run(task, words))
    return task, split, words, terms


def _round(task, split, words, terms, weights, round_id, seed=SEED):
    """Run one round in integers; return the next words and the float average of the deltas."""
    masked, seeds, deltas = [], [], []
    for trainer, shard in enumerate(split.shards):
        update = training.local_update(task, words, shard, seed, trainer, round_id)
        seeds.append(bytes([round_id, trainer]) * 16)
        clipped = clip_l2(ModelDelta(update.delta), 2.0**terms.clip_norm_log2)
        dither = dither_stream(bytes([trainer, round_id]) * 16, terms.words)
        quantised = quantise(clipped, weights[trainer], terms, dither)
        assert quantised.saturated == 0
        masked.append(mask(quantised, seeds[-1:], terms.width))
        deltas.append(clipped.values)
    aggregate = unmask(masked, [sum_masks(seeds, terms.words, terms.width)])
    average = np.average(deltas, axis=0, weights=weights)
    return server_step(words, aggregate, sum(weights), terms), average


def test_ten_rounds_reach_pooled_training_and_pass_training_alone(start):
    task, split, words, terms = start
    weights = roster_weights(tuple(len(shard) for shard in split.shards))
    check_terms(terms, TRAINERS, 3)
    bound = error_bound(terms, TRAINERS, sum(weights)).max
    federated = words
    for round_id in range(ROUNDS):
        stepped, average = _round(task, split, federated, terms, weights, round_id)
        error = from_words(stepped) - (from_words(federated) + average)
        assert np.max(np.abs(error)) <= bound
        federated = stepped

    reached = training.accuracy(task, federated, split.held_out)
    pooled, *alone = [
        training.solo_accuracy(task, words, shard, split.held_out, SEED, ROUNDS)
        for shard in (join(list(split.shards)), *split.shards)
    ]
    assert reached >= pooled - 0.02
    assert reached > np.mean(alone)


def test_equal_seeds_give_equal_deltas_and_others_do_not(start):
    task, split, words, _ = start
    shard = split.shards[0]
    calls = [(SEED, 0, 0), (SEED, 0, 0), (SEED, 0, 1), (SEED, 1, 0), (SEED + 1, 0, 0)]
    deltas = [training.local_update(task, words, shard, *call).delta.tobytes() for call in calls]
    assert deltas[0] == deltas[1]
    assert len(set(deltas)) == 4


DIGITS_SEED = 4
ROWS_BY_TRAINER = [39, 107, 218, 77, 126, 203, 132, 163, 128, 112, 57, 75]


def _plain_average(task, split, start, round_id):
    """Train every shard from ``start`` in floats; average by exact numbers of rows."""
    trained = []
    for trainer, shard in enumerate(split.shards):
        model = task.model()
        write_parameters(model, start)
        seed = derive(DIGITS_SEED, "train", trainer, round_id)
        torch.manual_seed(seed)
        task.train(model, shard, torch.Generator().manual_seed(seed))
        trained.append(read_parameters(model))
    return np.average(trained, axis=0, weights=[len(shard) for shard in split.shards])


def test_ten_rounds_of_digits_stay_within_a_point_of_plain_averaging():
    training.make_deterministic()
    task = load_task("digits")
    split = task.split(TRAINERS, 0)
    assert [len(shard) for shard in split.shards] == ROWS_BY_TRAINER
    words = training.initial_words(task, DIGITS_SEED)
    assert len(words) == 64 * 128 + 128 + 128 * 10 + 10
    terms = default_terms(len(words), TRAINERS, training.dry_run(task, words))
    weights = roster_weights(tuple(ROWS_BY_TRAINER))
    plain = from_words(words)
    for round_id in range(ROUNDS):
        plain = _plain_average(task, split, plain, round_id)
        words, _ = _round(task, split, words, terms, weights, round_id, DIGITS_SEED)
    model = task.model()
    write_parameters(model, plain)
    reference = task.evaluate(model, split.held_out)
    assert reference >= 0.97
    assert abs(training.accuracy(task, words, split.held_out) - reference) <= 0.01
