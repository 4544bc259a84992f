"""Any message of the wire, drawn by hypothesis from the shapes that its fields declare."""

from hypothesis import strategies as st

from flocknode.messages import limits
from flocknode.messages.codec import encode
from flocknode.messages.wire import (
    AttestationBundle,
    AttestationMessage,
    Contribution,
    ContributionHeader,
    IncludeOffer,
    IncludeVote,
    MaskRootMessage,
    ModelWords,
    Outcome,
    ProposeOffer,
    ProposeVote,
    SeatKeyBundle,
    SeatKeyMessage,
    SeedMessage,
    WantContributions,
    WantKeys,
)

DIGESTS = st.binary(min_size=32, max_size=32)
SIGNATURES = st.binary(min_size=65, max_size=65)
SEATS = st.integers(0, limits.SEATS_MAX - 1)
VIEWS = st.integers(0, 255)
VECTORS = st.binary(max_size=200)


def several(items, most):
    """Lists stay short: their bounds have tests of their own."""
    return st.lists(items, max_size=min(most, 4)).map(tuple)


FIELDS = {
    SeatKeyMessage: (DIGESTS, SEATS, st.integers(0, 255), st.binary(max_size=64), SIGNATURES),
    SeatKeyBundle: (DIGESTS, several(st.binary(max_size=64), limits.SEATS_MAX)),
    ContributionHeader: (
        DIGESTS,
        st.integers(0, limits.TRAINERS_MAX - 1),
        st.binary(min_size=20, max_size=20),
        DIGESTS,
        st.integers(0, limits.MODEL_WORDS_MAX),
        st.integers(0, 32),
        several(DIGESTS, limits.COLUMNS_MAX),
        several(st.binary(max_size=80), limits.SEATS_MAX),
        SIGNATURES,
    ),
    Contribution: (VECTORS, VECTORS),
    AttestationBundle: (DIGESTS, several(st.binary(max_size=64), limits.SEATS_MAX)),
    AttestationMessage: (
        DIGESTS,
        SEATS,
        st.integers(0, 0xFFFFFFFF),
        several(DIGESTS, limits.TRAINERS_MAX),
        SIGNATURES,
    ),
    IncludeOffer: (DIGESTS, VIEWS, several(DIGESTS, limits.TRAINERS_MAX)),
    IncludeVote: (
        DIGESTS,
        VIEWS,
        SEATS,
        DIGESTS,
        st.binary(max_size=32),
        st.integers(0, 1 << 32),
        DIGESTS,
        SIGNATURES,
    ),
    MaskRootMessage: (
        DIGESTS,
        SEATS,
        DIGESTS,
        DIGESTS,
        st.integers(0, limits.MODEL_WORDS_MAX),
        SIGNATURES,
        VECTORS,
    ),
    ProposeOffer: (DIGESTS, VIEWS, several(DIGESTS, limits.COLUMNS_MAX), DIGESTS, DIGESTS),
    ProposeVote: (DIGESTS, VIEWS, SEATS, DIGESTS, DIGESTS, DIGESTS, DIGESTS, SIGNATURES),
    ModelWords: (DIGESTS, VECTORS),
    Outcome: (DIGESTS, st.integers(0, 1 << 63), DIGESTS, DIGESTS, DIGESTS),
    WantKeys: (DIGESTS,),
    WantContributions: (DIGESTS, several(DIGESTS, limits.TRAINERS_MAX)),
    SeedMessage: (DIGESTS, DIGESTS, st.binary(max_size=80)),
}


def of_kind(kind):
    return st.builds(kind, *FIELDS[kind])


messages = st.sampled_from(sorted(FIELDS, key=lambda kind: kind.KIND)).flatmap(of_kind)
frames = messages.map(encode)
