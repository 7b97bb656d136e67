"""Run a project's training script inside a SageMaker training job, in any framework's image.

`python3 train.py --entrypoint train.py [--torchrun N] -- WORDS`: the script lies in the channel `code` and gets the
hyperparameters as `--name value`, then WORDS. It finds the SM_* variables of AWS's training toolkit. The channel `inference`
goes into the model as code/, which is where AWS's serving containers look. A driver of our own makes that so in every image,
and needs no S3 access and no package."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import training_environment
from failures import LIMIT, StepError, Words, base, one_line, put, shortened
from training_failures import told

STEP = "train"
# What is kept of the script's output, to find the reason of a failure in.
TAIL = 64 << 10
LEFT_OUT = shutil.ignore_patterns("__pycache__", ".*")


class Tail:
    """Hands a stream on as it comes, and keeps its end."""

    def __init__(self) -> None:
        self._kept = bytearray()

    def pump(self, source: int, sink: int) -> None:
        """Copy everything from one descriptor to another, until the end."""
        while True:
            part = os.read(source, 1 << 16)
            if not part:
                return
            self._kept += part
            del self._kept[:-TAIL]
            view = memoryview(part)
            while view:
                view = view[os.write(sink, view) :]

    def text(self) -> str:
        """Give the end of the stream as text."""
        return bytes(self._kept).decode("utf-8", "replace")


class Script:
    """The process of the training script; the signals that end a job are handed on to it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self.stopped = False

    def stop(self, number: int, _: FrameType | None) -> None:
        """Hand a signal on: the script has two minutes from SageMaker to write what it has."""
        self.stopped = True
        if self._process is None:
            raise SystemExit(128 + number)
        self._process.send_signal(number)

    def run(self, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> tuple[int, str]:
        """Run a command with its output handed on; give its exit code, 128 and the signal for a killed one, and its last words."""
        tail = Tail()
        source, sink = os.pipe()
        process = subprocess.Popen(
            list(command),
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._process = process
        os.close(sink)
        pump = threading.Thread(target=tail.pump, args=(source, 1), daemon=True)
        pump.start()
        code = process.wait()
        # What the script left running would keep the job open.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        pump.join(timeout=10)
        return (128 - code if code < 0 else code), tail.text()


def arguments(words: Sequence[str]) -> argparse.Namespace:
    """Read the command line; what follows -- is the script's."""
    own = list(words)
    more: list[str] = []
    if "--" in own:
        at = own.index("--")
        own, more = own[:at], own[at + 1 :]
    parser = Words(description="Run a training script.")
    parser.add_argument("--entrypoint", required=True, help="file name of the training script, in the channel code")
    parser.add_argument("--torchrun", type=int, help="processes on each host, started through torchrun")
    parser.add_argument("--host-wait", type=float, default=120, help="seconds to wait for the first host's name")
    asked = parser.parse_args(own)
    if asked.torchrun is not None and asked.torchrun < 1:
        parser.error("--torchrun must be 1 or more")
    asked.words = more
    return asked


def check(data: Path, entrypoint: str) -> None:
    """Look before hours of training whether all that is needed is there."""
    code = data / "code"
    if Path(entrypoint).is_absolute() or ".." in Path(entrypoint).parts or not (code / entrypoint).is_file():
        held = sorted(path.name for path in code.glob("*.py")) if code.is_dir() else []
        raise StepError(
            f"the channel code holds no {entrypoint}, only {', '.join(held[:8]) or 'nothing'}: "
            "name the script in train_config.entrypoint"
        )
    if not any((data / "inference").glob("*.py")):
        raise StepError("the channel inference holds no program: name it in inference_config.entrypoint")


def command(asked: argparse.Namespace, settings: training_environment.Settings, search: str | None) -> list[str]:
    """Give the command that starts the script."""
    script = [asked.entrypoint, *settings.script_words, *asked.words]
    if asked.torchrun is None:
        return [sys.executable, *script]
    torchrun = shutil.which("torchrun", path=search)
    if torchrun is None:
        raise StepError(
            "there is no torchrun in this image: name torch in train_config.dependencies, or take train_config.distribution away"
        )
    words = [torchrun, f"--nnodes={len(settings.hosts)}", f"--nproc_per_node={asked.torchrun}"]
    if len(settings.hosts) > 1:
        training_environment.wait_for_host(settings.hosts[0], asked.host_wait)
        words += [
            f"--node_rank={settings.rank}",
            f"--master_addr={settings.hosts[0]}",
            f"--master_port={training_environment.MASTER_PORT}",
        ]
    return [*words, *script]


def finish(model: Path, inference: Path) -> None:
    """Check what the script wrote to the model folder, and put the inference program into it."""
    wrote = [path for path in model.rglob("*") if path.is_file() and path.stat().st_size]
    if (model / "code").exists() or (model / "code").is_symlink():
        raise StepError(
            "the script wrote 'code' to the model folder, which is the inference program's place: give it another name"
        )
    if not wrote:
        raise StepError(
            "the script ended well and wrote nothing to the model folder: let it save the model in the folder that "
            "SM_MODEL_DIR names"
        )
    shutil.copytree(inference, model / "code", ignore=LEFT_OUT)


def emptied(folder: Path) -> None:
    """Empty a folder; SageMaker gives an empty one, and what is there else is a former run's."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def train(words: Sequence[str], root: Path, script: Script) -> int:
    """Run the job; give the exit code of the script."""
    asked = arguments(words)
    failure = root / "output" / "failure"
    settings = training_environment.read(root)
    check(root / "input" / "data", asked.entrypoint)
    emptied(root / "model")
    (root / "output" / "data").mkdir(parents=True, exist_ok=True)
    environment = training_environment.variables(root, settings, asked.entrypoint, asked.words, os.environ)
    started = command(asked, settings, environment.get("PATH"))
    print(f"{STEP}: {one_line(' '.join(started))}", flush=True)
    code, tail = script.run(started, root / "input" / "data" / "code", environment)
    if code:
        own = failure.read_text(encoding="utf-8", errors="replace") if failure.is_file() else ""
        message = told(asked.entrypoint, code, script.stopped, own or tail, LIMIT)
        put(failure, message)
        print(f"{STEP}: {one_line(message)}", file=sys.stderr, flush=True)
        return code
    # The other hosts' model folders are put together with the first one's by SageMaker: one copy of the program is enough.
    if settings.rank == 0:
        finish(root / "model", root / "input" / "data" / "inference")
    return 0


def main(words: Sequence[str] | None = None) -> int:
    """Run the step; give the exit code."""
    root, script = base(), Script()
    failure = root / "output" / "failure"
    failure.unlink(missing_ok=True)
    former: dict[int, Any] = {number: signal.signal(number, script.stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        return train(sys.argv[1:] if words is None else words, root, script)
    except (StepError, OSError) as error:
        message = shortened(one_line(f"{STEP}: {error}"))
        put(failure, message)
        print(message, file=sys.stderr, flush=True)
        return 1
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
