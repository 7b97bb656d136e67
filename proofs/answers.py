"""What our own functions answer to CloudFormation, as their docstrings in lambdas/ promise it. The longest they may answer,
where the length depends on the account."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from proofs.arns import mark
from proofs.errors import Unresolved
from proofs.resolver import Call, World

Answer = Callable[[World, Call], Mapping[str, Any]]


def _network_facts(world: World, call: Call) -> Mapping[str, Any]:
    zones = str(call.properties.get("ZonesPreferred", "")).split(",") if call.properties.get("ZonesPreferred") else []
    found = call.properties["ZonesPreferred"] if isinstance(call.properties.get("ZonesPreferred"), list) else zones
    a, b, c = (*found, "", "", "")[:3]
    return {"ZoneA": a, "ZoneB": b, "ZoneC": c, "ZoneIds": ",".join(filter(None, (a, b, c))),
            "S3PrefixListId": f"pl-{mark('s3', world.place.region)[:8]}", "MissingServices": "none", "VpcCheck": "ok"}  # fmt: skip


def _quota_check(world: World, call: Call) -> Mapping[str, Any]:
    return {"Result": "ok", "Summary": "All quotas are high enough.", "RequestLinks": "none", "Checked": "15"}


def _studio_user(world: World, call: Call) -> Mapping[str, Any]:
    if call.properties.get("Action") != "name":
        return {}
    project = str(call.properties["ProjectName"])
    path = f"/mlops/projects/{project}/settings"
    if path not in world.facts:
        raise Unresolved(
            "lambdas/studio_user", f"no project is called {project}", f"Have something publish {path} first."
        )
    facts = json.loads(world.facts[path])
    alias = str(call.properties.get("UserAlias") or call.properties["UserEmail"].partition("@")[0].lower())
    # SageMaker takes 63 characters; lambdas/studio_user/names.py keeps the alias to what the project leaves of them.
    return {"UserProfileName": f"{alias[: 62 - len(project)]}-{project}", "Owner": call.properties["UserEmail"],
            "ProjectRoleArn": facts["project_role_arn"], "ProjectId": facts["project_id"]}  # fmt: skip


def _project_ready(world: World, call: Call) -> Mapping[str, Any]:
    return {"Notified": "yes"}


def _platform_code(world: World, call: Call) -> Mapping[str, Any]:
    return {"Told": "nothing done: CloudFormation fills a repository when it makes it"}


def _release_files(world: World, call: Call) -> Mapping[str, Any]:
    return {"Count": str(len(call.properties.get("Files", ())))}


FUNCTIONS: Mapping[str, Answer] = {
    "NetworkFacts": _network_facts,
    "PlatformCode": _platform_code,
    "ProjectReady": _project_ready,
    "QuotaCheck": _quota_check,
    "ReleaseFiles": _release_files,
    "StudioUser": _studio_user,
}


def answers(world: World, call: Call) -> Mapping[str, Any]:
    """Give what a function answers, nothing for one that is not known."""
    known = FUNCTIONS.get(call.function)
    return known(world, call) if known else {}
