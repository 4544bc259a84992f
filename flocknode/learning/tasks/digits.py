"""Which digit, from 8x8 counts of ink: Optical Recognition of Handwritten Digits.

1797 rows, the data set's test half. Alpaydin and Kaynak 1998; UCI, CC BY 4.0.
"""

from typing import Final

import numpy as np
from torch import nn

from flocknode.learning.shards import Shard, Split
from flocknode.learning.splits import dirichlet
from flocknode.learning.task import Task
from flocknode.learning.tasks.bundled import read_table

TRAINING_SHARE: Final = 0.8
ROWS_MIN: Final = 8
"""Of the smallest institution."""
SKEW: Final = 0.5
"""Of the Dirichlet deal: most institutions are short of some digits."""
SHUFFLE_SEED, DEAL_SEED = 0, 1
HIDDEN: Final = 128


class Digits(Task):
    """A perceptron of one hidden layer, 9,610 words, one epoch a round.

    The same rows go to the same places in every run, so that figures of different runs, seeds and
    frameworks compare.
    """

    name = "digits"
    input_shape = (64,)
    classes = 10
    epochs = 1

    def model(self) -> nn.Module:
        hidden, output = nn.Linear(64, HIDDEN), nn.Linear(HIDDEN, self.classes)
        for layer in (hidden, output):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        return nn.Sequential(hidden, nn.ReLU(), output)

    def split(self, trainers: int, seed: int) -> Split:
        """Hold out a fifth; deal the rest by Dirichlet(1/2) over the digit, whatever ``seed``."""
        del seed
        table = read_table("digits.csv.gz")
        assert table.shape == (1797, 65)
        table = np.random.default_rng(SHUFFLE_SEED).permutation(table)
        training = int(TRAINING_SHARE * len(table))
        inputs, labels = table[:, :64].astype(np.float32), table[:, 64].astype(np.int64)
        # Sums over all rows give nothing away here, for the data are public. Patients' would.
        mean, deviation = inputs[:training].mean(axis=0), inputs[:training].std(axis=0)
        rows = Shard((inputs - mean) / (deviation + np.float32(1e-6)), labels)
        generator = np.random.default_rng(DEAL_SEED)
        hands = dirichlet(labels[:training], trainers, SKEW, ROWS_MIN, generator)
        held_out = rows.take(np.arange(training, len(table)))
        return Split(tuple(rows.take(hand) for hand in hands), held_out)
