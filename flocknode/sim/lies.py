"""What may be lied about, and by how many. Cheap to import."""

from enum import StrEnum


class Lie(StrEnum):
    EQUIVOCATE = "equivocate"
    INCLUSION = "inclusion"
    MASK = "mask"
    AGGREGATE = "aggregate"
    STEP = "step"
    TREE = "tree"
    SILENT = "silent"
    WITHHOLD = "withhold"


class Colluding(StrEnum):
    MINORITY = "minority"
    MAJORITY = "majority"
