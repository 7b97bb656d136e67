"""Bring a template up, change it and take it away again: `python -m rehearsal.stack_trial TEMPLATE --region R --parameter K=V`.

TEMPLATE is a file or the URL of one published to the emulator (with --state or --endpoint, which say where). Exit code 1 and the
first failed resource on anything but: created, updated, deleted, and nothing left but what the template retains."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rehearsal import client
from rehearsal.errors import RehearsalError, TrialFailed

CAPABILITIES = ["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]


@dataclass(frozen=True)
class Row:
    """One resource of the stack once it was created."""

    logical_id: str
    type: str
    status: str
    kind: str


@dataclass(frozen=True)
class Trial:
    """A stack that came, changed and went; `retained` is what its template left behind on purpose."""

    region: str
    rows: tuple[Row, ...]
    outputs: Mapping[str, str]
    retained: tuple[str, ...]
    seconds: float

    def __str__(self) -> str:
        kinds = Counter(row.kind for row in self.rows)
        lines = [f"  {row.kind:9} {row.status:16} {row.logical_id} ({row.type})" for row in self.rows]
        lines.append(f"{self.region}: created, updated and deleted in {self.seconds:.1f} s; {kinds['live']} live, "
                     f"{kinds['recorded']} recorded, 0 ignored; retained: {', '.join(self.retained) or 'nothing'}")  # fmt: skip
        return "\n".join(lines)


def trial(
    endpoint: str, template_url: str, parameters: Mapping[str, str], changed_parameters: Mapping[str, str], region: str,
    account: str = client.ACCOUNT,
) -> Trial:  # fmt: skip
    """Create, update and delete a stack from a published template; raise TrialFailed at the first thing that is wrong.

    Start with an emulator in which the stack's retained names are free: as on AWS, they are taken afterwards."""
    started = time.monotonic()
    cloudformation = client.client(endpoint, "cloudformation", region, account)
    request = {"StackName": f"trial-{time.time_ns():x}", "TemplateURL": template_url, "Capabilities": CAPABILITIES}
    stack_id = cloudformation.create_stack(**request, Parameters=_listed(parameters))["StackId"]
    created = _settled(cloudformation, stack_id, "create", "CREATE_COMPLETE")
    rows = _rows(endpoint, cloudformation, stack_id)
    cloudformation.update_stack(**request, Parameters=_listed({**parameters, **changed_parameters}))
    _settled(cloudformation, stack_id, "update", "UPDATE_COMPLETE")
    _rows(endpoint, cloudformation, stack_id)
    cloudformation.delete_stack(StackName=stack_id)
    _settled(cloudformation, stack_id, "delete", "DELETE_COMPLETE")
    retained = {e["LogicalResourceId"] for e in _events(cloudformation, stack_id) if e["ResourceStatus"] == "DELETE_SKIPPED"}
    left = {r["logical_id"] for r in client.fetch(endpoint, "resources") if r["stack_id"] == stack_id}
    if left != retained:
        raise TrialFailed("delete", f"left behind or lost: {', '.join(sorted(left ^ retained))}")
    outputs = {output["OutputKey"]: output["OutputValue"] for output in created.get("Outputs", [])}
    return Trial(region, rows, outputs, tuple(sorted(retained)), time.monotonic() - started)


def _listed(parameters: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]


def _settled(cloudformation: Any, stack_id: str, step: str, wanted: str) -> dict[str, Any]:
    """Wait for an operation to end; raise with the first resource that failed when it did not end as wanted."""
    while True:
        stack: dict[str, Any] = cloudformation.describe_stacks(StackName=stack_id)["Stacks"][0]
        if not stack["StackStatus"].endswith("_IN_PROGRESS"):
            break
        time.sleep(0.05)
    failures = [e for e in _events(cloudformation, stack_id) if e["ResourceStatus"].endswith("_FAILED")]
    if stack["StackStatus"] != wanted or failures:
        first = failures[0] if failures else stack
        where = first.get("LogicalResourceId", stack["StackName"])
        reason = first.get("ResourceStatusReason") or first.get("StackStatusReason") or "no reason given"
        raise TrialFailed(step, f"{stack['StackStatus']} because of {where}: {reason}")
    return stack


def _events(cloudformation: Any, stack_id: str) -> list[dict[str, Any]]:
    pages = cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack_id)
    return [event for page in pages for event in page["StackEvents"]][::-1]


def _rows(endpoint: str, cloudformation: Any, stack_id: str) -> tuple[Row, ...]:
    """List what the stack says it has, each with what stands behind it; nothing may stand behind nothing."""
    if ignored := client.fetch(endpoint, "ledger")["ignored"]:
        raise TrialFailed("ledger", f"ignored by the emulator: {', '.join(ignored)}")
    kinds = {r["logical_id"]: r["kind"] for r in client.fetch(endpoint, "resources") if r["stack_id"] == stack_id}
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack_id)
    return tuple(
        Row(r["LogicalResourceId"], r["ResourceType"], r["ResourceStatus"], kinds[r["LogicalResourceId"]])
        for page in pages
        for r in page["StackResourceSummaries"]
    )


def upload(endpoint: str, template: Path, region: str) -> str:
    """Put a template file into a bucket of the emulator, since larger ones are accepted by URL only; give the URL."""
    s3, bucket = client.client(endpoint, "s3", region), f"rehearsal-trial-{region}"
    place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    s3.create_bucket(Bucket=bucket, **place)
    s3.put_object(Bucket=bucket, Key=template.name, Body=template.read_bytes())
    return f"https://{bucket}.s3.{region}.amazonaws.com/{template.name}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Try a template in one region after the other."""
    parser = argparse.ArgumentParser(prog="python -m rehearsal.stack_trial", description=__doc__)
    parser.add_argument("template", help="file, or URL with {region} where the region stands")
    parser.add_argument("--region", action="append", help="may be given several times; us-east-1 when not given")
    parser.add_argument("--parameter", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--change", action="append", default=[], metavar="KEY=VALUE", help="parameter of the update")
    parser.add_argument("--endpoint", help="a running emulator; one is started when not given")
    parser.add_argument("--state", type=Path, help="state folder that was published to")
    given = parser.parse_args(arguments)
    parameters, changes = (dict(pair.split("=", 1) for pair in pairs) for pairs in (given.parameter, given.change))
    running = nullcontext(client.Emulator(given.endpoint, 0)) if given.endpoint else client.emulator(given.state)
    try:
        with running as emulator:
            for region in given.region or ["us-east-1"]:
                is_url = given.template.startswith("http")
                url = given.template if is_url else upload(emulator.endpoint, Path(given.template), region)
                print(trial(emulator.endpoint, url.replace("{region}", region), parameters, changes, region))
    except RehearsalError as error:
        print(f"{region if 'region' in locals() else ''} {error}".strip(), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
