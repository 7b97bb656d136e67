"""Run a project's inference program in a process of its own: `python serving_child.py MODEL_DIR PROGRAM`.

Standard input and output carry frames of eight bytes of length and as many of JSON. What the program prints goes to stderr,
so that no print of it is taken for an answer. Standard library only, and nothing of the other steps: the program's own
modules come first."""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

FUNCTIONS = ("model_fn", "input_fn", "predict_fn", "output_fn")


class Refused(Exception):
    """A function of the program raised, or its answer is not what the contract says."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(why)
        self.where, self.why = where, why


def send(pipe: BinaryIO, document: Any) -> None:
    """Write one frame."""
    content = json.dumps(document).encode()
    pipe.write(len(content).to_bytes(8, "big") + content)
    pipe.flush()


def receive(pipe: BinaryIO) -> Any:
    """Read one frame; None at the end."""
    head = pipe.read(8)
    return json.loads(pipe.read(int.from_bytes(head, "big"))) if len(head) == 8 else None


def call(program: ModuleType, name: str, *arguments: Any) -> Any:
    """Call a function of the program; whatever ends it, even sys.exit, becomes a Refused."""
    try:
        return getattr(program, name)(*arguments)
    except BaseException as error:
        traceback.print_exc()
        raise Refused(name, f"{type(error).__name__}: {error}") from error


def load(code: Path, file: str) -> ModuleType:
    """Import the program from the model's code folder, as AWS's containers do: by its name, with its folder on the path."""
    # The first entry is the folder of this script, and the project may name its modules as it likes.
    sys.path[0] = str(code)
    try:
        program = importlib.import_module(Path(file).stem)
    except BaseException as error:
        traceback.print_exc()
        raise Refused("import", f"{type(error).__name__}: {error}") from error
    missing = [name for name in FUNCTIONS if not callable(getattr(program, name, None))]
    if missing:
        raise Refused("import", f"it has no function {', '.join(missing)}")
    return program


def answer(program: ModuleType, model: Any, asked: Any) -> str:
    """Give the program's answer to one request, as text."""
    data = call(program, "input_fn", asked["body"], asked["content_type"])
    prediction = call(program, "predict_fn", data, model)
    given = call(program, "output_fn", prediction, asked["accept"])
    # AWS's containers take (body, content type) as well.
    body = given[0] if isinstance(given, tuple) and given else given
    if isinstance(body, (bytes, bytearray)):
        body = bytes(body).decode("utf-8", "replace")
    if not isinstance(body, str):
        raise Refused("output_fn", f"it gave {type(body).__name__}, not text")
    return body


def main(words: list[str]) -> int:
    """Load the model, then answer requests until there are no more."""
    folder, file = Path(words[0]), words[1]
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - a descriptor is what is needed
        os.dup2(nothing.fileno(), 0)
    try:
        program = load(folder / "code", file)
        model = call(program, "model_fn", str(folder))
        send(answers, {"ready": True})
        while True:
            asked = receive(requests)
            if asked is None:
                return 0
            send(answers, {"body": answer(program, model, asked)})
    except Refused as refused:
        send(answers, {"where": refused.where, "why": refused.why})
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
