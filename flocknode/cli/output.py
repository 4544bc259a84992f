"""What a verb prints: lines for people on stdout, or JSON lines there and everything else aside."""

import json
import sys

from rich.console import Console

from flocknode.errors import OperatorError

INTERRUPTED = 130
"""Exit code of a verb that Ctrl-C ended."""


class Output:
    """One verb's output."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._people = Console(stderr=as_json, highlight=False, soft_wrap=True)

    def line(self, label: str, text: str) -> None:
        """Print a line for people."""
        if not self.as_json:
            self._people.print(f" {label:<9} {_printable(text)}", markup=False)

    def progress(self, text: str) -> None:
        """Say what takes long. On a terminal only: a log has no use for it."""
        if self._people.is_terminal:
            self._people.print(f" {'':<9} {text} ...", style="dim", markup=False)

    def event(self, event: str, **fields: object) -> None:
        """Print one JSON object on a line of its own."""
        if self.as_json:
            sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
            sys.stdout.flush()

    def error(self, error: OperatorError) -> None:
        """Print one line of cause and one of remedy."""
        self.event("error", code=error.exit_code, cause=error.cause, remedy=error.remedy)
        if not self.as_json:
            stderr = Console(stderr=True, highlight=False, soft_wrap=True)
            stderr.print(f" error     {_printable(error.cause)}", markup=False)
            stderr.print(f" remedy    {_printable(error.remedy)}", markup=False)


def _printable(text: str) -> str:
    """Show what could steer a terminal, or split the line: names of files may be anybody's."""
    return "".join(it if it.isprintable() else repr(it)[1:-1] for it in text)
