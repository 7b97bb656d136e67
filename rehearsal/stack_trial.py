"""Bring a published template up, change it and take it away again: `python -m rehearsal.stack_trial URL --state DIR`.

Exit code 1 and the first failed resource on anything but: created, updated, deleted, every type live or recorded, and
nothing left but what the template retains."""

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

NESTED = "AWS::CloudFormation::Stack"
CAPABILITIES = ["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]


@dataclass(frozen=True)
class Row:
    """One resource of the created stack."""

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
        rows = [f"  {row.kind:9} {row.status:16} {row.logical_id} ({row.type})\n" for row in self.rows]
        counts = f"{kinds['live']} live, {kinds['recorded']} recorded, 0 ignored"
        kept = ", ".join(self.retained) or "nothing"
        return f"{''.join(rows)}{self.region}: came, changed, went in {self.seconds:.1f} s; {counts}; retained: {kept}"


def trial(
    endpoint: str,
    template_url: str,
    parameters: Mapping[str, str],
    changed_parameters: Mapping[str, str],
    region: str,
    account: str = client.ACCOUNT,
) -> Trial:
    """Create, update and delete a stack from a published template; raise TrialFailed at the first thing that is wrong.

    The account must be the one that holds the buckets, and names that the template retains must be free in it: as on
    AWS, they are taken afterwards."""
    started = time.monotonic()
    cloudformation = client.client(endpoint, "cloudformation", region, account)
    stack = {"StackName": f"trial-{time.time_ns():x}", "TemplateURL": template_url, "Capabilities": CAPABILITIES}
    stack_id = _asked("create", cloudformation.create_stack, **stack, Parameters=_listed(parameters))["StackId"]
    created = _settled("create", cloudformation, stack_id)
    ids = _stacks(cloudformation, stack_id)
    rows = _rows(endpoint, cloudformation, ids)
    changed = _listed({**parameters, **changed_parameters})
    _asked("update", cloudformation.update_stack, **stack, Parameters=changed)
    _settled("update", cloudformation, stack_id)
    ids |= _stacks(cloudformation, stack_id)
    _rows(endpoint, cloudformation, _stacks(cloudformation, stack_id))
    _asked("delete", cloudformation.delete_stack, StackName=stack_id)
    _settled("delete", cloudformation, stack_id)
    events = [event for one in ids for event in _events(cloudformation, one)]
    retained = {event["LogicalResourceId"] for event in events if event["ResourceStatus"] == "DELETE_SKIPPED"}
    left = {r["logical_id"] for r in client.fetch(endpoint, "resources") if r["stack_id"] in ids}
    if left != retained:
        raise TrialFailed("delete", f"left behind or lost: {', '.join(sorted(left ^ retained))}")
    outputs = {output["OutputKey"]: output["OutputValue"] for output in created.get("Outputs", [])}
    return Trial(region, rows, outputs, tuple(sorted(retained)), time.monotonic() - started)


def rolled_back(
    endpoint: str, template_url: str, parameters: Mapping[str, str], region: str, account: str = client.ACCOUNT
) -> str:
    """Create a stack with values that must fail once it began, and give the reason; raise when it did not fail, or when
    its rollback left anything."""
    cloudformation = client.client(endpoint, "cloudformation", region, account)
    stack = {"StackName": f"trial-{time.time_ns():x}", "TemplateURL": template_url, "Capabilities": CAPABILITIES}
    stack_id = _asked("fail", cloudformation.create_stack, **stack, Parameters=_listed(parameters))["StackId"]
    status = _ended(cloudformation, stack_id)["StackStatus"]
    left = sorted(r["logical_id"] for r in client.fetch(endpoint, "resources") if r["stack_id"] == stack_id)
    if status != "ROLLBACK_COMPLETE" or left:
        raise TrialFailed("fail", f"{status}, left behind: {', '.join(left) or 'nothing'}")
    failed = next(event for event in _events(cloudformation, stack_id) if event["ResourceStatus"] == "CREATE_FAILED")
    return f"{region}: {failed['LogicalResourceId']} failed as it had to, and all was rolled back: {failed['ResourceStatusReason']}"


def _listed(parameters: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]


def _asked(step: str, call: Any, **request: Any) -> Any:
    """Make a call that the service may refuse outright."""
    try:
        return call(**request)
    except call.__self__.exceptions.ClientError as error:
        raise TrialFailed(step, str(error)) from error


def _ended(cloudformation: Any, stack_id: str) -> dict[str, Any]:
    """Wait for an operation to end, and give the stack."""
    while True:
        stack: dict[str, Any] = cloudformation.describe_stacks(StackName=stack_id)["Stacks"][0]
        if not stack["StackStatus"].endswith("_IN_PROGRESS"):
            return stack
        time.sleep(0.05)


def _settled(step: str, cloudformation: Any, stack_id: str) -> dict[str, Any]:
    """Wait for an operation to end; raise with the first resource that failed when it did not end as wanted."""
    stack = _ended(cloudformation, stack_id)
    failures = [event for event in _events(cloudformation, stack_id) if event["ResourceStatus"].endswith("_FAILED")]
    if stack["StackStatus"] != f"{step.upper()}_COMPLETE" or failures:
        first = {"LogicalResourceId": stack["StackName"], **(failures[0] if failures else {})}
        reason = first.get("ResourceStatusReason") or stack.get("StackStatusReason") or "no reason given"
        raise TrialFailed(step, f"{stack['StackStatus']} because of {first['LogicalResourceId']}: {reason}")
    return stack


def _events(cloudformation: Any, stack_id: str) -> list[dict[str, Any]]:
    pages = cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack_id)
    return [event for page in pages for event in page["StackEvents"]][::-1]


def _stacks(cloudformation: Any, stack_id: str, path: str = "") -> dict[str, str]:
    """Give a stack and the stacks nested in it: id, and the logical ids that lead to it, each ending in a slash."""
    found = {stack_id: path}
    for resource in _listed_resources(cloudformation, stack_id):
        if resource["ResourceType"] == NESTED:
            within = f"{path}{resource['LogicalResourceId']}/"
            found |= _stacks(cloudformation, resource["PhysicalResourceId"], within)
    return found


def _listed_resources(cloudformation: Any, stack_id: str) -> list[dict[str, Any]]:
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack_id)
    return [resource for page in pages for resource in page["StackResourceSummaries"]]


def _rows(endpoint: str, cloudformation: Any, stacks: Mapping[str, str]) -> tuple[Row, ...]:
    """List what the stacks say they have and what stands behind it, which may not be nothing."""
    ignored = [name for name in client.fetch(endpoint, "ledger")["ignored"] if name.startswith(tuple(stacks))]
    if ignored:
        raise TrialFailed("ledger", f"ignored by the emulator: {', '.join(ignored)}")
    rows = []
    for stack_id, path in stacks.items():
        kinds = {r["logical_id"]: r["kind"] for r in client.fetch(endpoint, "resources") if r["stack_id"] == stack_id}
        for resource in _listed_resources(cloudformation, stack_id):
            name = resource["LogicalResourceId"]
            rows.append(Row(path + name, resource["ResourceType"], resource["ResourceStatus"], kinds[name]))
    return tuple(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Try a template in one region after the other."""
    parser = argparse.ArgumentParser(prog="python -m rehearsal.stack_trial", description=__doc__)
    parser.add_argument("url", help="of the published template, with {region} where the region stands")
    parser.add_argument("--region", action="append", help="may be given several times; us-east-1 when not given")
    parser.add_argument("--parameter", action="append", default=[], metavar="KEY=VALUE", help="may hold {region}")
    parser.add_argument("--change", action="append", default=[], metavar="KEY=VALUE", help="parameter of the update")
    parser.add_argument(
        "--fail", action="append", default=[], metavar="KEY=VALUE", help="parameter that fails a create"
    )
    parser.add_argument("--endpoint", help="a running emulator; one is started over --state when not given")
    parser.add_argument("--state", type=Path, help="state folder that was published to")
    parser.add_argument("--account", default=client.ACCOUNT, help="account that holds the published buckets")
    given = parser.parse_args(arguments)
    running = nullcontext(client.Emulator(given.endpoint, 0)) if given.endpoint else client.emulator(given.state)
    try:
        with running as emulator:
            for region in given.region or ["us-east-1"]:
                url = given.url.replace("{region}", region)
                parameters, changes, failing = (
                    dict(pair.replace("{region}", region).split("=", 1) for pair in pairs)
                    for pairs in (given.parameter, given.change, given.fail)
                )
                print(trial(emulator.endpoint, url, parameters, changes, region, given.account))
                if failing:
                    print(rolled_back(emulator.endpoint, url, parameters | failing, region, given.account))
    except RehearsalError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
