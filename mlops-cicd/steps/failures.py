"""What every step shares: where SageMaker's folders lie, and how a failure reaches the person who looks for it.

Standard library only: the training driver runs in images that hold nothing else for certain."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn

# SageMaker shows the first KB of either file: of /opt/ml/output/message as a processing job's ExitMessage (its guide's
# page byoc-metadata, which also wants UTF-8), of /opt/ml/output/failure as a training job's FailureReason (its page
# your-algorithms-training-algo-output).
LIMIT = 1024


class StepError(Exception):
    """What the project gave can't be used; the message says why, and ends with what to do."""


class Words(argparse.ArgumentParser):
    """A command line whose mistakes are told where SageMaker shows them."""

    def error(self, message: str) -> NoReturn:
        """Refuse the words."""
        raise StepError(f"{message}: change the step's arguments")


def base() -> Path:
    """Give the folder that SageMaker mounts; SAGEMAKER_BASE_DIR moves it, as in AWS's own toolkits."""
    return Path(os.environ.get("SAGEMAKER_BASE_DIR") or "/opt/ml")


def one_line(text: object) -> str:
    """Put a text on one line, without characters that a terminal or a log would act on."""
    return " ".join("".join(c if c.isprintable() or c.isspace() else "?" for c in str(text)).split())


def shortened(text: str, limit: int = LIMIT) -> str:
    """Cut a text to a number of bytes in UTF-8, so that it is within the limit however the service counts."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= limit:
        return encoded.decode("utf-8")
    return encoded[: limit - 3].decode("utf-8", "ignore") + "..."


def put(path: Path, text: str) -> None:
    """Write a file whole or not at all; make its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


def put_json(path: Path, document: Any) -> None:
    """Write a JSON document that any reader takes: NaN and infinity, which JSON has no word for, are an error of ours."""
    put(path, json.dumps(document, indent=2, allow_nan=False) + "\n")


def run(step: str, action: Callable[[], None], outputs: list[Path]) -> int:
    """Run a processing step; give its exit code.

    A StepError ends as one line on stderr and in /opt/ml/output/message, and any other exception as a traceback and
    that line. Files of a former run are removed first, and this one's when it fails, so that none is taken for a result."""
    message = base() / "output" / "message"
    _remove([message, *outputs])
    try:
        action()
    except StepError as error:
        told = shortened(one_line(f"{step}: {error}"))
    except MemoryError:
        told = f"{step}: there is not enough memory: give the job a larger instance type"
    except OSError as error:
        told = shortened(one_line(f"{step}: {error}: look whether the volume is full, or the files are readable"))
    except Exception as error:
        _remove(outputs)
        put(message, shortened(one_line(f"{step}: stopped by {type(error).__name__}: {error}; the log holds where")))
        raise
    else:
        return 0
    _remove(outputs)
    put(message, told)
    print(told, file=sys.stderr, flush=True)
    return 1


def _remove(paths: Iterable[Path]) -> None:
    """Remove files that may not be there."""
    for path in paths:
        path.unlink(missing_ok=True)
