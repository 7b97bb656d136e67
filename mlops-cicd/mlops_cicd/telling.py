"""What a person reads while a pipeline runs on this machine, and what came of it at the end."""

from __future__ import annotations

import json
import re
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from mlops_cicd.local import Execution, FolderStore, StepRecord
from mlops_cicd.project import Project


def step(name: str, status: str, seconds: float, detail: str) -> None:
    """Tell how a step ended; on a terminal also which one is under way, in a line that the next one takes the place of."""
    if status == "Executing" and sys.stdout.isatty():
        print(f"  {name:12} running ...", end="", flush=True)
    elif status not in ("Executing", "Starting", "NotRun"):
        # A failure is told whole at the end.
        say(f"  {name:12} {status:10} {seconds:6.1f} s  {detail if status == 'Succeeded' else ''}".rstrip(), indent=35)


def say(text: str, indent: int = 2, to: TextIO | None = None) -> None:
    """Print a line, on a terminal broken between words; anywhere else it stays whole, to be searched."""
    to = to or sys.stdout
    if to.isatty():
        width = max(60, shutil.get_terminal_size().columns - 1)
        whole = textwrap.TextWrapper(
            width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
        )
        text = "\r\033[K" + whole.fill(text)
    print(text, file=to, flush=True)


def result(execution: Execution, project: Project, store: FolderStore, reasons: Mapping[str, str]) -> None:
    """Say what came of it and where it lies."""
    place = f"s3://{project.bucket}/pipelines/{execution.id}/"
    written = store.list(place)
    for uri in (uri for uri in written if uri.endswith("/evaluation.json")):
        say(f"  {_measured(json.loads(store.path(uri).read_text(encoding='utf-8')))}")
    for record in execution.steps:
        if record.type == "RegisterModel" and record.status == "Succeeded":
            name = record.output["ModelPackageArn"].rpartition(":model-package/")[2]
            say(f"Registered {name} as {record.output['ModelApprovalStatus']}.")
        elif record.status in ("Failed", "Stopped"):
            _failure(record, reasons.get(record.name, record.failure or ""), store)
    if written:
        print(f"Reports: {store.path(place)}")
    print(f"Logs: {execution.folder / 'steps'}", flush=True)


def _failure(record: StepRecord, reason: str, store: FolderStore) -> None:
    """Say why a step failed, once, and what its log says more."""
    # An object of S3 is a file here, and looked for as one.
    lines = re.sub(r"s3://(?=[a-z0-9])", lambda _: f"{store.root}/", reason).splitlines()
    for line in [f"{record.status}: Step {record.name}: {lines[0] if lines else ''}", *lines[1:]]:
        say(line, to=sys.stderr)
    for line in _news((record.failure or "").removeprefix(reason).strip("\n").splitlines(), reason):
        say(f"  | {line}", indent=4, to=sys.stderr)
    if record.log:
        print(f"Its log: {record.log}", file=sys.stderr, flush=True)


def _measured(evaluation: Mapping[str, Any]) -> str:
    """Write the metrics of an evaluation in one line, with the class that counts as positive."""
    measured: Mapping[str, Any] = next((value for key, value in evaluation.items() if key.endswith("_metrics")), {})
    values = {name: found["value"] for name, found in measured.items() if isinstance(found, dict) and "value" in found}
    line = ", ".join(f"{name} {value:.4f}" for name, value in values.items() if isinstance(value, int | float))
    return line + (f"; positive class: {evaluation['positive_class']}" if "positive_class" in evaluation else "")


def _news(log: Sequence[str], reason: str) -> Sequence[str]:
    """Leave out the end of a log that the reason repeats: jobs print why they fail, and write it down for their description."""
    known, lines = " ".join(reason.split()), list(log)
    while lines and " ".join(re.sub(r"^\w+: ", "", lines[-1]).split()) in known:
        lines.pop()
    return lines
