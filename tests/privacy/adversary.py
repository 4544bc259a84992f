"""What colluders see of a real round, and the best guess that a fitted classifier makes of it."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from flocknode.aggregation.ring import centred_words
from flocknode.crypto.errors import CapsuleError
from flocknode.crypto.hashing import seed_commitment
from flocknode.crypto.masks import add_masks
from flocknode.crypto.merkle import TreeKind, tree_root
from flocknode.messages.codec import decode
from flocknode.messages.wire import Contribution, MaskRootMessage
from flocknode.model.stages import ModelDelta
from flocknode.model.words import ring_words
from flocknode.protocol.effects import MakeSealingKey, MaskDelta, Publish, Send
from tests.builders import integer_terms
from tests.simulation.round_world import LIMIT_SECONDS, calm_world, settled_rounds

COLUMNS, SEATS_PER_COLUMN, TRAINERS, WORDS = 2, 3, 4, 40
VICTIMS = (0, 1)
DELTAS = np.random.default_rng(2026).normal(0, 0.05, (2, WORDS))
"""The two deltas that the worlds swap. The adversary knows both, and asks who sent which."""


@dataclass
class Wiretap:
    """Everything that left a machine or a vault in one run; a view is a part of it."""

    sent: list = field(default_factory=list)
    """(seconds, sender, receivers or None for gossip, message)."""
    sealing_keys: dict = field(default_factory=dict)
    masked: dict = field(default_factory=dict)
    """(quantised words, seeds) by trainer."""

    def attach(self, world):
        started = world.now

        def note(node, effect):
            at = world.now - started
            match effect:
                case Send(peers, message):
                    self.sent.append((at, node.peer, frozenset(peers), message))
                case Publish(message):
                    self.sent.append((at, node.peer, None, message))
                case MakeSealingKey(seating):
                    self.sealing_keys[node.peer] = node.vault._secrets(seating).sealing_key
                case MaskDelta(seating):
                    seeds = node.vault._secrets(seating).masking.seeds
                    self.masked[node.name] = node.vault._quantised[1].values, seeds
            return False

        world.after_effect = note


def play(swapped, seed):
    """Run a round in which the victims send ``DELTAS``, in this or in the other order."""
    world = calm_world(
        seed,
        COLUMNS,
        SEATS_PER_COLUMN,
        COLUMNS * SEATS_PER_COLUMN + 1,
        trainers=TRAINERS,
        # Equal weights: else the sum itself, which is public, would tell the two apart.
        integers=integer_terms(tau=2047, words=WORDS, weight_max=1, numerator=256),
    )
    ordered = DELTAS[::-1] if swapped else DELTAS
    others = np.random.default_rng(seed).normal(0, 0.05, (TRAINERS, WORDS))
    for node in world.trainers:
        values = ordered[node.name] if node.name in VICTIMS else others[node.name]
        node.vault.keep_delta(0, ModelDelta(values))
    tap = Wiretap()
    tap.attach(world)
    world.run(seconds=LIMIT_SECONDS)
    return world, tap


class View:
    """What these seats and these trainers know together."""

    def __init__(self, world, tap, seats, trainers):
        self._world, self._tap = world, tap
        self.seats, self.trainers = seats, trainers
        self.victims = [node.name for node in world.trainers if node.name not in trainers]
        members = [world.committee[seat] for seat in seats]
        members += [world.trainers[trainer] for trainer in trainers]
        self._peers = {node.peer for node in members}
        self.heard = [
            one
            for one in tap.sent
            if one[2] is None or one[1] in self._peers or one[2] & self._peers
        ]
        ((_, self._proposal),) = settled_rounds(world)
        self._seated = members[: len(seats)]
        self._seeds = self._open_capsules()

    def features(self):
        """Return all that the view computes about the victims, as one vector of floats."""
        vectors = [self.unmasked(victim) for victim in self.victims]
        vectors += [self._residual(), *self._victims_masks()]
        words = [centred_words(vector) * 2.0**-16 for vector in vectors]
        direction = DELTAS[0] - DELTAS[1]
        return np.concatenate([*words, [w @ direction for w in words], self._traffic()])

    def unmasked(self, trainer):
        """Take off every mask whose seed the view has."""
        words = self._ring(self._contribution(trainer)[1])
        opened = [seed for (one, _), seed in self._seeds.items() if one == trainer]
        add_masks(words, opened, subtract=True)
        return words

    def _residual(self):
        """Return the published sum without the deltas that the view knows."""
        aggregate = self._blob(self._proposal.aggregate_root, TreeKind.AGGREGATE)
        for trainer in self.trainers:
            aggregate -= self._tap.masked[trainer][0].astype(aggregate.dtype)
        return aggregate

    def _victims_masks(self):
        """Return each column's sum without the masks that the view's trainers drew."""
        sums = self._mask_sums()
        for column, total in sums.items():
            seeds = [self._tap.masked[trainer][1][column] for trainer in self.trainers]
            add_masks(total, seeds, subtract=True)
        return [sums[column] for column in sorted(sums)]

    def _mask_sums(self):
        return {
            self._world.committee.index(self._node(sender)) % COLUMNS: self._ring(message.vector)
            for _, sender, _, message in self.heard
            if isinstance(message, MaskRootMessage) and message.vector
        }

    def _traffic(self):
        """Return when each victim spoke first, how often and how much."""
        values = []
        for victim in self.victims:
            peer = self._world.trainers[victim].peer
            said = [(at, message) for at, sender, _, message in self.heard if sender == peer]
            kinds = Counter(type(message).__name__ for _, message in said)
            header, vector = self._contribution(victim)
            capsules = sum(map(len, header.capsules))
            values += [said[0][0], len(said), len(kinds), capsules, len(vector)]
        return values

    def _open_capsules(self):
        """Open what was sealed to the view's seats, as they do."""
        seeds = {}
        for trainer in range(TRAINERS):
            header, _ = self._contribution(trainer)
            for seat, node in zip(self.seats, self._seated, strict=True):
                column = seat % COLUMNS
                try:
                    seed = self._tap.sealing_keys[node.peer].open(header.capsules[seat])
                except CapsuleError:
                    continue
                commitment = seed_commitment(header.ctx, header.trainer, column, seed)
                assert commitment == header.commitments[column]
                seeds[trainer, column] = seed
        return seeds

    def _contribution(self, trainer):
        peer = self._world.trainers[trainer].peer
        message = next(
            message
            for _, sender, _, message in self.heard
            if sender == peer and isinstance(message, Contribution)
        )
        return decode(message.header), message.vector

    def _blob(self, root, kind):
        data = self._seated[0].blobs.get(root)
        assert tree_root(kind, data) == root
        return self._ring(data)

    def _ring(self, data):
        integers = self._world.terms.integers
        return ring_words(data, integers.words, integers.width).copy()

    def _node(self, peer):
        return next(node for node in self._world.nodes if node.peer == peer)


WHOLE_COLUMN = tuple(range(0, COLUMNS * SEATS_PER_COLUMN, COLUMNS))
VIEWS = {
    "all columns but one": (WHOLE_COLUMN, (2, 3)),
    "and one seat of the last": ((*WHOLE_COLUMN, 1), (2, 3)),
    "all other trainers": (WHOLE_COLUMN, (1, 2, 3)),
}
"""(seats, trainers) that collude: k - 1 columns with N - 2 trainers, and two who see more."""


@dataclass(frozen=True)
class Observation:
    """One run as each view sees it."""

    swapped: bool
    features: dict
    masked: np.ndarray
    """The first victim's masked delta without the masks of the colluding column."""


def observe(seed):
    """Toss for the order of the deltas, run a round and look at it from every view."""
    swapped = bool(np.random.default_rng((1, seed)).integers(2))
    world, tap = play(swapped, seed)
    views = {name: View(world, tap, *members) for name, members in VIEWS.items()}
    victim = views["all columns but one"].unmasked(0)
    return Observation(swapped, {name: v.features() for name, v in views.items()}, victim)


def accuracy(observations, view, fitted):
    """Fit a classifier to the first ``fitted`` runs; return how often it is right in the others."""
    features = np.array([one.features[view] for one in observations])
    labels = np.array([one.swapped for one in observations])
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.05, max_iter=1000))
    model.fit(features[:fitted], labels[:fitted])
    return model.score(features[fitted:], labels[fitted:])


def three_sigma(judged):
    """Return how far from one half a coin strays in ``judged`` tosses."""
    return 3 * 0.5 / judged**0.5
