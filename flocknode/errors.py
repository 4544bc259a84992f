"""Root of the exception tree; each layer derives its own branch."""


class FlockError(Exception):
    """Anything raised on purpose."""


class OperatorError(FlockError):
    """Something the operator can put right: one line of cause, one of remedy, an exit code."""

    exit_code = 1

    def __init__(self, cause: str, remedy: str) -> None:
        super().__init__(cause)
        self.cause = cause
        self.remedy = remedy


class UsageError(OperatorError):
    exit_code = 2


class UnavailableError(OperatorError):
    exit_code = 69


class ConfigurationError(OperatorError):
    exit_code = 78
