"""Fuzz one target with libFuzzer, guided by the coverage of this project's bytecode.

python -m tests.fuzz.run TARGET SECONDS; needs the extra ``fuzz``. It starts from the saved corpus
and from honest messages. What reaches new lines is left in ``.fuzz/TARGET``, what breaks a claim as
``.fuzz/crash-*``: move what is worth keeping to the corpus.
"""

import os
import sys
from pathlib import Path

import atheris

# The parser in Python, so that coverage leads into it; the saved corpus meets the one in C.
os.environ["MSGPACK_PUREPYTHON"] = "1"
INSTRUMENTED = ["msgpack", "flocknode.messages", "flocknode.protocol", "flocknode.p2p.framing"]
with atheris.instrument_imports(include=[*INSTRUMENTED, "flocknode.cli.task_file"]):
    from flocknode.messages.wire import MESSAGES
    from tests.fuzz.targets import TARGETS, example_task, live_moments

CORPUS = Path(__file__).resolve().parent / "corpus"
FOUND = Path(".fuzz")
INPUT_BYTES_MAX = 4096


def seeds(target: str) -> dict[str, bytes]:
    """Return honest inputs by name, from which the fuzzer starts."""
    if target == "task":
        return {"example": example_task().to_bytes()}
    if target not in ("messages", "machine"):
        return {}
    places = [b"" if target == "messages" else bytes([i]) for i in range(len(MESSAGES))]
    heard = live_moments()
    return {
        kind.__name__: place + heard[kind].data
        for place, kind in zip(places, MESSAGES, strict=True)
    }


def main(target: str, seconds: str) -> None:
    folder = FOUND / target
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in seeds(target).items():
        (folder / name).write_bytes(data)
    limits = [f"-max_total_time={seconds}", f"-max_len={INPUT_BYTES_MAX}"]
    folders = [f"-artifact_prefix={FOUND}/", str(folder), str(CORPUS / target)]
    atheris.Setup([sys.argv[0], *limits, *folders], TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
