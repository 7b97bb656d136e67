"""The bridge to `mlops-cicd`: jobs and definitions are run by the very code that runs them on a laptop.

Jobs run with the interpreter of .venvs/seeds and reach S3 with the rights of their own role."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from rehearsal.acting import Acting
from rehearsal.client import ROOT
from rehearsal.services import Json

CODE, PYTHON = ROOT / "mlops-cicd", ROOT / ".venvs/seeds/bin/python"


@cache
def module(name: str) -> Any:
    """Import a module of mlops_cicd."""
    if str(CODE) not in sys.path:
        sys.path.append(str(CODE))
    return import_module(f"mlops_cicd.{name}")


class Objects:
    """S3 with the rights of the role that is at work; `now` is set before each job."""

    def __init__(self, acting: Acting, key: str = "") -> None:
        self.now(acting, key)

    def now(self, acting: Acting, key: str = "") -> None:
        """Go on in a role, with a key that outputs are encrypted with."""
        self._store = module("local").S3Store(acting.client("s3"), key or None)

    def list(self, uri: str) -> Any:
        return self._store.list(uri)

    def download(self, uri: str, folder: Path) -> Any:
        return self._store.download(uri, folder)

    def upload(self, path: Path, uri: str) -> Any:
        return self._store.upload(path, uri)


@dataclass(frozen=True)
class Facts:
    """What a run has to know of its pipeline."""

    pipeline_name: str
    region: str
    account_id: str
    partition: str = "aws"


def job(kind: str, request: Mapping[str, Any], model: Json | None, name: str, folder: Path, acting: Acting, key: str,
        say: Callable[[str], None], stop: threading.Event) -> Json:  # fmt: skip
    """Run one job to its end; give what describes it. Raises mlops_cicd's errors."""
    local = module("local")
    made = local.Job(
        name,
        folder,
        Objects(acting, key),
        PYTHON,
        acting.place.region,
        account_id=acting.place.account,
        say=say,
        stop=stop,
    )
    if kind == "Transform":
        return dict(local.run_transform(request, model, made))
    return dict({"Processing": local.run_processing, "Training": local.run_training}[kind](request, made))


def failure(error: Exception) -> tuple[str, str]:
    """Give status and reason of a job that an error ended, as the service writes them."""
    status = getattr(error, "status", "Failed")
    reason = getattr(error, "reason", "") or f"ClientError: {error}"
    return status, reason[:1024]


def described(told: Mapping[str, Any]) -> Json:
    """Give what a run says of a job, times as times."""
    return {
        name: datetime.fromisoformat(value) if name.endswith("Time") and isinstance(value, str) else value
        for name, value in told.items()
    }
