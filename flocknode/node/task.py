"""Whether the chain's task is the one that this node's operator agreed to."""

from flocknode.errors import ConfigurationError
from flocknode.protocol.ledger import TaskCreated


class AnotherTask(ConfigurationError):
    """The chain's task is another one."""

    def __init__(self, task: int) -> None:
        super().__init__(
            f"task {task} on the chain has another configuration, model, roster or other terms than"
            " this node's file of the task",
            "take number and file from the task's creator again; agree to what has changed, or not",
        )


def require_agreed(told: TaskCreated | None, agreed: TaskCreated) -> None:
    """Raise AnotherTask for a task that the final chain tells otherwise."""
    if told not in (None, agreed):
        raise AnotherTask(agreed.task)
