"""What can go wrong while training, and whose fault it is."""

from flocknode.errors import FlockError, UnavailableError


class TrainingError(FlockError):
    """A job that could not be done; the worker goes on. Fault: the task, its data or its words."""


class WorkerDied(TrainingError):
    """The worker ended during a job, or answered nonsense; another takes its place."""

    def __init__(self, job: str, detail: str) -> None:
        super().__init__(f"the training process ended during '{job}': {detail or 'no last words'}")
        self.job = job
        self.detail = detail


class TrainingTooSlow(TrainingError):
    """A job passed its deadline and was ended with its worker; another takes its place."""

    def __init__(self, job: str, seconds_max: float) -> None:
        super().__init__(f"'{job}' took longer than {seconds_max:g} s")
        self.job = job
        self.seconds_max = seconds_max


class NoWorkers(UnavailableError):
    """No worker starts any more."""

    def __init__(self, detail: str) -> None:
        super().__init__(
            f"the training processes do not start: {detail or 'no last words'}",
            "check the installation of torch with `python -m flocknode.learning.worker`,"
            " which waits for input when it is well",
        )
        self.detail = detail
