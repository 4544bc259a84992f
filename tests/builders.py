"""Small valid values for tests."""

from flocknode.model.terms import IntegerTerms, TaskTerms, Windows


def integer_terms(**changes: int) -> IntegerTerms:
    """b = 12, Q = 2047, tau = Q // 4, eta = 1: num / den = 16 * 2^(20 - 12)."""
    values = {
        "words": 40,
        "width": 16,
        "bits": 12,
        "weight_max": 16,
        "tau": 511,
        "scale_bits": 12,
        "numerator": 4096,
        "denominator": 1,
        "clip_norm_log2": 0,
    }
    return IntegerTerms(**{**values, **changes})


def windows(**changes: int) -> Windows:
    values = {
        "collect": 4,
        "settle": 1,
        "view": 3,
        "demand": 1,
        "roots": 3,
        "challenge": 1,
        "abort": 3,
        "finality": 0,
    }
    return Windows(**{**values, **changes})


def task_terms(**changes: object) -> TaskTerms:
    values: dict[str, object] = {
        "integers": integer_terms(),
        "windows": windows(),
        "trainers": 5,
        "trainers_min": 3,
        "columns": 3,
        "seats_per_column": 3,
        "epoch_rounds": 3,
        "attempts_max": 3,
        "rounds": 2,
    }
    return TaskTerms(**{**values, **changes})


def patient_windows(**changes: int) -> Windows:
    """Windows that are long against RESEND_SECONDS, for a network that loses messages."""
    return windows(**{"collect": 10, "settle": 3, "view": 8, "roots": 8, "abort": 6, **changes})
