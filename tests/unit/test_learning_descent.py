"""The descent of the built-in recipe is torch's, and costs no compiler."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from flocknode.learning.descent import MomentumSgd

ONE_ROUND = """
import sys
import tempfile
from flocknode.learning import training
from flocknode.learning.jobs import PrepareJob
from flocknode.learning.worker import perform
training.make_deterministic()
with tempfile.TemporaryDirectory() as folder:
    perform(PrepareJob("breast-cancer", (f"{folder}/0", f"{folder}/1"), f"{folder}/held", 0))
print(sorted({"torch._dynamo", "torch._inductor"} & sys.modules.keys()))
"""


def _model():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))


@pytest.mark.parametrize(("momentum", "decay"), [(0.9, 0.0), (0.0, 0.0), (0.5, 0.01)])
def test_steps_are_those_of_torchs_optimiser_bit_for_bit(momentum, decay):
    ours, theirs = _model(), _model()
    descent = MomentumSgd(ours, 0.05, momentum, decay)
    optimiser = torch.optim.SGD(theirs.parameters(), 0.05, momentum, weight_decay=decay, fused=True)
    for number in range(20):
        torch.manual_seed(number)
        inputs, labels = torch.randn(4, 6), torch.randint(3, (4,))
        descent.step(nn.functional.cross_entropy(ours(inputs), labels))
        optimiser.zero_grad()
        torch.autograd.backward(nn.functional.cross_entropy(theirs(inputs), labels))
        optimiser.step()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, other)


def test_what_the_loss_does_not_reach_and_what_is_frozen_stays_as_it_is():
    model = _model()
    model[0].weight.requires_grad_(requires_grad=False)
    before = [parameter.clone() for parameter in model.parameters()]
    descent = MomentumSgd(model, 0.05, 0.9, 0.0)
    descent.step(model[2].bias.sum())
    moved = [
        not torch.equal(one, other) for one, other in zip(before, model.parameters(), strict=True)
    ]
    assert moved == [False, False, False, True]


def test_a_training_process_does_not_load_torchs_compiler():
    command = [sys.executable, "-c", ONE_ROUND]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
