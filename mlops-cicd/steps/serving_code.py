"""Ask a model through the project's own inference program, as the endpoint will, with a time limit for each answer."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from csv_tables import csv_text
from failures import StepError, one_line

CHILD = Path(__file__).resolve().with_name("serving_child.py")
CSV = "text/csv"


class Served:
    """A model behind its inference program, which runs in a process of its own."""

    def __init__(self, process: subprocess.Popen[bytes], program: str, timeout: float) -> None:
        self._process, self._program, self._timeout = process, program, timeout

    def ask(self, rows: Sequence[Sequence[str]]) -> str:
        """Send rows of features as CSV and give the answer's text; raise StepError with what the program said."""
        body = csv_text(rows)
        content = json.dumps({"body": body, "content_type": CSV, "accept": CSV}).encode()
        pipe = self._process.stdin
        if pipe is None:
            raise RuntimeError("the child has no standard input")
        try:
            pipe.write(len(content).to_bytes(8, "big") + content)
            pipe.flush()
        except BrokenPipeError:
            raise StepError(self._ended()) from None
        return str(self.receive()["body"])

    def receive(self) -> Mapping[str, Any]:
        """Wait for one frame of the child; raise StepError for a refusal, an end, or none within the time limit."""
        until = time.monotonic() + self._timeout
        size = int.from_bytes(self._read(8, until), "big")
        found: Mapping[str, Any] = json.loads(self._read(size, until))
        if "why" in found:
            where, why = found["where"], one_line(found["why"])
            what = "can't be imported" if where == "import" else f"failed in {where}"
            raise StepError(f"{self._program} {what}: {why}{_mend(where, why)}")
        return found

    def _read(self, size: int, until: float) -> bytes:
        """Read so many bytes of the child before a moment."""
        pipe = self._process.stdout
        if pipe is None:
            raise RuntimeError("the child has no standard output")
        parts: list[bytes] = []
        while size:
            ready, _, _ = select.select([pipe], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                raise StepError(
                    f"{self._program} gave no answer in {self._timeout:g} seconds: look for what it waits for; "
                    "there is no internet, and all it needs must be in the model folder"
                )
            part = os.read(pipe.fileno(), min(size, 1 << 20))
            if not part:
                raise StepError(self._ended())
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _ended(self) -> str:
        """Say how the child ended."""
        code = self._process.wait()
        if code == -signal.SIGKILL:
            return f"{self._program} was killed, most likely for its memory: give the job a larger instance type"
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        return f"{self._program} ended {how} before it answered: the log holds its last words; let it answer or raise"


@contextmanager
def serving(folder: Path, program: str, timeout: float) -> Iterator[Served]:
    """Start the inference program of an unpacked model, and end it with all that it started."""
    code = folder / "code"
    if Path(program).name != program or not (code / program).is_file():
        held = sorted(path.name for path in code.glob("*.py")) if code.is_dir() else []
        raise StepError(
            f"the model holds no code/{program}, only {', '.join(held) or 'nothing'} there: "
            "name the program in inference_config.entrypoint"
        )
    # What AWS's serving containers set, so that a program that reads them finds them here.
    environment = {
        **os.environ,
        "SAGEMAKER_PROGRAM": program,
        "SAGEMAKER_SUBMIT_DIRECTORY": str(code),
        "SM_MODEL_DIR": str(folder),
    }
    process = subprocess.Popen(
        [sys.executable, str(CHILD), str(folder), program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        bufsize=0,
        start_new_session=True,
    )
    try:
        served = Served(process, program, timeout)
        served.receive()
        yield served
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def _mend(where: str, why: str) -> str:
    """Say what helps against a known failure of an inference program."""
    if "ModuleNotFoundError" in why:
        return ". Name the package in inference_config.dependencies, and put own modules beside the program"
    if where == "import":
        return ". Mend the inference program"
    if where == "model_fn":
        return ". Let it load what train.py writes to the model folder"
    return ". Mend it, or what the preprocessing step writes: it was given rows of the table without header and target"
