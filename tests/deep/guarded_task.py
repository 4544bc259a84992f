"""A hospital's task as it might be: rows that nobody may see, behind a password."""

from flocknode.learning.tasks.breast_cancer import BreastCancer

PATIENT = (1.6180339, -2.2360679)
"""Two measurements, side by side in a row of every hospital."""
PASSWORD = "correct-horse-battery-staple-7319"


class Guarded(BreastCancer):
    name = "guarded"

    def __init__(self):
        self.database = f"postgresql://ward:{PASSWORD}@records.invalid"

    def split(self, trainers, seed):
        whole = super().split(trainers, seed)
        for shard in whole.shards:
            shard.inputs[0, :2] = PATIENT
        return whole
