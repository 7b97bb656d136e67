"""Models, and the versions of model package groups with their approval."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from rehearsal.acting import Place, moment, now
from rehearsal.errors import Refused
from rehearsal.ledger import Request
from rehearsal.sagemaker.jobs import network_keys
from rehearsal.sagemaker.service import Part
from rehearsal.services import Call, Json, ServiceError, page, shaped, tags_of

GROUP = "AWS::SageMaker::ModelPackageGroup"
UPDATES = ("ModelApprovalStatus", "ApprovalDescription", "CustomerMetadataProperties", "InferenceSpecification", "SourceUri",
           "ModelLifeCycle")  # fmt: skip


class Models(Part):
    """Create, describe and delete models; register, describe, approve and list versions."""

    def checks(self) -> dict[tuple[str, str], Callable[[Request], None]]:
        """Give what the registry has against changes that stacks make."""
        return {(GROUP, "delete"): self._group_is_empty}

    def create_model(self, call: Call) -> Json:
        arn, tags = call.arn("sagemaker", f"model/{call.request['ModelName']}"), tags_of(call.request.get("Tags"))
        self.service.allow_new(call, arn, tags, **network_keys(call.request))
        role = call.request.get("ExecutionRoleArn")
        if role:
            call.allow("iam:PassRole", role, **{"iam:PassedToService": "sagemaker.amazonaws.com"})
        if arn in self.service.made:
            raise ServiceError(
                "ValidationException", f'Cannot create already existing model "{arn}". Give another name.'
            )
        self.service.make(call, arn, "ModelArn", "", tags)
        return {"ModelArn": arn}

    def describe_model(self, call: Call) -> Json:
        return self.service.fitting(call, self._model(call))

    def delete_model(self, call: Call) -> None:
        del self.service.made[self._model(call)["ModelArn"]]

    def create_model_package(self, call: Call) -> Json:
        request = call.request
        group = request.get("ModelPackageGroupName", "").rpartition("/")[2]
        if not group:
            raise ServiceError(
                "ValidationException", "The rehearsal keeps versions of groups: name a ModelPackageGroupName."
            )
        known = self._versions(call.place, group)
        number = 1 + max((one["ModelPackageVersion"] for one in known), default=0)
        arn, tags = call.arn("sagemaker", f"model-package/{group}/{number}"), tags_of(request.get("Tags"))
        status = request.get("ModelApprovalStatus", "PendingManualApproval")
        asked = (
            {"sagemaker:ModelApprovalStatus": request["ModelApprovalStatus"]}
            if "ModelApprovalStatus" in request
            else {}
        )
        self.service.allow_new(call, arn, tags, **asked, **_metadata(request))
        self._group(call.place, group)
        token = request.get("ClientToken")
        same = next((one for one in known if token and one.get("ClientToken") == token), None)
        if same:
            return {"ModelPackageArn": same["ModelPackageArn"]}
        self.service.make(call, arn, "ModelPackageArn", "", tags)
        self.service.made[arn] |= {
            "ModelPackageGroupName": group,
            "ModelPackageName": f"{group}/{number}",
            "ModelPackageVersion": number,
            "ModelPackageStatus": "Completed",
            "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
            "ModelApprovalStatus": status,
        }
        self._tell(call, arn, [])
        return {"ModelPackageArn": arn}

    def describe_model_package(self, call: Call) -> Json:
        arn = self._arn(call, call.request["ModelPackageName"])
        self.service.allow(call, arn)
        return self.service.fitting(call, self._version(arn))

    def update_model_package(self, call: Call) -> Json:
        arn, request = self._arn(call, call.request["ModelPackageArn"]), call.request
        asked = (
            {"sagemaker:ModelApprovalStatus": request["ModelApprovalStatus"]}
            if "ModelApprovalStatus" in request
            else {}
        )
        self.service.allow(call, arn, **asked, **_metadata(request))
        version = self._version(arn)
        if unplayed := sorted(set(request) - {*UPDATES, "ModelPackageArn"}):
            raise ServiceError(
                "ValidationException", f"The rehearsal does not change {', '.join(unplayed)}: leave it out."
            )
        changed = [name for name in UPDATES if name in request]
        for name in changed:
            is_map = name == "CustomerMetadataProperties"
            version[name] = {**version.get(name, {}), **request[name]} if is_map else request[name]
        version["LastModifiedTime"] = now()
        self._tell(call, arn, changed)
        return {"ModelPackageArn": arn}

    def delete_model_package(self, call: Call) -> None:
        arn = self._arn(call, call.request["ModelPackageName"])
        self.service.allow(call, arn)
        self._version(arn)
        del self.service.made[arn]

    def list_model_packages(self, call: Call) -> Json:
        call.allow("sagemaker:ListModelPackages")
        given = call.request
        group, status = given.get("ModelPackageGroupName", "").rpartition("/")[2], given.get("ModelApprovalStatus")
        found = [one for one in self._versions(call.place, group) if status in (None, one["ModelApprovalStatus"])]
        is_down = given.get("SortOrder", "Descending") == "Descending"
        found.sort(key=lambda one: (one["CreationTime"], one["ModelPackageVersion"]), reverse=is_down)
        rows, token = page(found, given.get("MaxResults", 10), given.get("NextToken"))
        shape = self.service.model.shape_for("ModelPackageSummary")
        return {"ModelPackageSummaryList": [shaped(row, shape, strict=False) for row in rows], "NextToken": token}

    def describe_model_package_group(self, call: Call) -> Json:
        name = call.request["ModelPackageGroupName"].rpartition("/")[2]
        self.service.allow(call, call.arn("sagemaker", f"model-package-group/{name}"))
        properties, made = self._group(call.place, name)
        facts = {"CreationTime": self.service.born, "CreatedBy": {}, "ModelPackageGroupStatus": "Completed"}
        arn = {"ModelPackageGroupArn": made.physical_id}
        return self.service.fitting(call, {**properties, **facts, **arn})

    # What there is

    def _model(self, call: Call) -> Json:
        name = call.request["ModelName"]
        arn = call.arn("sagemaker", f"model/{name}")
        self.service.allow(call, arn)
        if arn not in self.service.made:
            raise ServiceError("ValidationException", f'Could not find model "{arn}". Look at its name.')
        return self.service.made[arn]

    def _versions(self, place: tuple[str, str], group: str) -> list[Json]:
        known = self.service.mine(*place, "model-package")
        return [one for one in known if group in ("", one["ModelPackageGroupName"])]

    def _version(self, arn: str) -> Json:
        if arn not in self.service.made:
            raise ServiceError("ValidationException", f"ModelPackage {arn} does not exist. List the group's versions.")
        return self.service.made[arn]

    def _arn(self, call: Call, name: str) -> str:
        return name if name.startswith("arn:") else call.arn("sagemaker", f"model-package/{name}")

    def _group(self, place: tuple[str, str], name: str) -> tuple[Any, Any]:
        for request, made in self.service.ledger.of(GROUP, *place):
            if request.properties["ModelPackageGroupName"] == name:
                return request.properties, made
        raise ServiceError("ValidationException", f"ModelPackageGroup {name} does not exist. Make it first.")

    def _group_is_empty(self, request: Request) -> None:
        name = request.properties["ModelPackageGroupName"]
        if known := self._versions((request.account, request.region), name):
            raise Refused(
                f"ModelPackageGroup {name} cannot be deleted: it has {len(known)} versions. Delete these first."
            )

    def _tell(self, call: Call, arn: str, fields: list[str]) -> None:
        """https://docs.aws.amazon.com/sagemaker/latest/dg/automating-sagemaker-with-eventbridge.html"""
        version = self.service.made[arn]
        names = ("ModelPackageGroupName", "ModelPackageVersion", "ModelPackageArn", "InferenceSpecification",
                 "ModelPackageStatus", "ModelPackageStatusDetails", "ModelApprovalStatus", "MetadataProperties", "ModelMetrics",
                 "CustomerMetadataProperties", "ApprovalDescription")  # fmt: skip
        detail = {name: version[name] for name in names if name in version}
        times = {name: moment(version[name]) for name in ("CreationTime", "LastModifiedTime")}
        told = json.loads(json.dumps({**detail, **times, "UpdatedModelPackageFields": fields}, default=str))
        place = Place(self.service.endpoint, call.account, call.region)
        place.tell("aws.sagemaker", "SageMaker Model Package State Change", [arn], told)


def _metadata(request: Any) -> Json:
    given = request.get("CustomerMetadataProperties") or {}
    return {f"sagemaker:CustomerMetadataProperties/{key}": text for key, text in given.items()}
