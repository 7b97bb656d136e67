"""Processing, training and transform jobs: held against the caller's policies when they are made, then really run.

Condition keys: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsagemaker.html"""

from __future__ import annotations

import contextlib
import json
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from rehearsal.acting import Acting, Place, now
from rehearsal.builds.logs import LogStream
from rehearsal.errors import Refused, RehearsalError
from rehearsal.sagemaker import playing
from rehearsal.sagemaker.service import Part, SageMaker
from rehearsal.services import Call, Json, ServiceError, page, shaped, tags_of

ENDED = ("Completed", "Failed", "Stopped")


@dataclass(frozen=True)
class Kind:
    """A kind of job: its word, what its ARN says, and where its request has what policies look at."""

    word: str
    arn: str
    instance: tuple[str, ...]
    volume_key: tuple[str, ...]
    output_key: tuple[str, ...]
    network: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.word}JobName"


_PROCESSING = ("ProcessingResources", "ClusterConfig")
KINDS = {
    "Processing": Kind("Processing", "processing-job", (*_PROCESSING, "InstanceType"), (*_PROCESSING, "VolumeKmsKeyId"),
                       ("ProcessingOutputConfig", "KmsKeyId"), ("NetworkConfig",)),
    "Training": Kind("Training", "training-job", ("ResourceConfig", "InstanceType"), ("ResourceConfig", "VolumeKmsKeyId"),
                     ("OutputDataConfig", "KmsKeyId")),
    "Transform": Kind("Transform", "transform-job", ("TransformResources", "InstanceType"),
                      ("TransformResources", "VolumeKmsKeyId"), ("TransformOutput", "KmsKeyId")),
}  # fmt: skip


def dig(request: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    """Give what a request has at a path, None when it has nothing there."""
    value: Any = request
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def network_keys(given: Mapping[str, Any]) -> Json:
    """Give the condition keys of a network."""
    vpc = given.get("VpcConfig") or {}
    keys = {"sagemaker:VpcSubnets": vpc.get("Subnets"), "sagemaker:VpcSecurityGroupIds": vpc.get("SecurityGroupIds")}
    for switch in ("EnableNetworkIsolation", "EnableInterContainerTrafficEncryption"):
        if switch in given:
            keys[f"sagemaker:{switch.removeprefix('Enable')}"] = str(given[switch]).lower()
    return {name: value for name, value in keys.items() if value}


def keys_of(kind: Kind, request: Mapping[str, Any]) -> Json:
    """Give the condition keys that the creation of a job sends."""
    instance = dig(request, kind.instance)
    longest = dig(request, ("StoppingCondition", "MaxRuntimeInSeconds"))
    keys = {
        "sagemaker:InstanceTypes": [instance] if instance else None,
        "sagemaker:VolumeKmsKey": dig(request, kind.volume_key),
        "sagemaker:OutputKmsKey": dig(request, kind.output_key),
        "sagemaker:MaxRuntimeInSeconds": str(longest) if longest and kind.word != "Transform" else None,
    }
    if kind.word != "Transform":
        keys |= network_keys(dig(request, kind.network) or {} if kind.network else request)
    return {name: value for name, value in keys.items() if value}


class Jobs(Part):
    """Create, describe, list and stop jobs."""

    def __init__(self, service: SageMaker) -> None:
        super().__init__(service)
        self._folder = Path(tempfile.mkdtemp(prefix="jobs-"))
        self._stops: dict[str, threading.Event] = {}

    def create_processing_job(self, call: Call) -> Json:
        return self._create(call, KINDS["Processing"])

    def create_training_job(self, call: Call) -> Json:
        return self._create(call, KINDS["Training"])

    def create_transform_job(self, call: Call) -> Json:
        return self._create(call, KINDS["Transform"])

    def describe_processing_job(self, call: Call) -> Json:
        return self._describe(call, KINDS["Processing"])

    def describe_training_job(self, call: Call) -> Json:
        return self._describe(call, KINDS["Training"])

    def describe_transform_job(self, call: Call) -> Json:
        return self._describe(call, KINDS["Transform"])

    def list_processing_jobs(self, call: Call) -> Json:
        return self._list(call, KINDS["Processing"])

    def list_training_jobs(self, call: Call) -> Json:
        return self._list(call, KINDS["Training"])

    def list_transform_jobs(self, call: Call) -> Json:
        return self._list(call, KINDS["Transform"])

    def stop_processing_job(self, call: Call) -> None:
        self._stop(call, KINDS["Processing"])

    def stop_training_job(self, call: Call) -> None:
        self._stop(call, KINDS["Training"])

    def stop_transform_job(self, call: Call) -> None:
        self._stop(call, KINDS["Transform"])

    def admit(self, call: Call, kind: Kind) -> Json:
        """Hold a creation against the caller's policies and the service's own rules, and write the job down."""
        request, name = call.request, call.request[kind.name]
        arn, keys = call.arn("sagemaker", f"{kind.arn}/{name}"), keys_of(kind, request)
        model: Json = {}
        if kind.word == "Transform":
            model_arn = call.arn("sagemaker", f"model/{request['ModelName']}")
            keys["sagemaker:ModelArn"] = model_arn
            model = self.service.made.get(model_arn, {})
        self.service.allow_new(call, arn, tags_of(request.get("Tags")), **keys)
        if kind.word == "Transform" and not model:
            raise ServiceError("ValidationException", f'Could not find model "{request["ModelName"]}". Make it first.')
        role = request.get("RoleArn") or model["ExecutionRoleArn"]
        if kind.word != "Transform":
            call.allow("iam:PassRole", role, **{"iam:PassedToService": "sagemaker.amazonaws.com"})
        if arn in self.service.made:
            raise ServiceError(
                "ResourceInUse", f"Job name must be unique within an AWS account and region: {name} is taken."
            )
        instance, key = dig(request, kind.instance), dig(request, kind.volume_key)
        if key and playing.module("images").has_local_storage(instance):
            raise ServiceError(
                "ValidationException",
                f"VolumeKmsKeyId can't be given for the instance type {instance}, which has local storage. Leave it out.",
            )
        self.service.make(call, arn, f"{kind.word}JobArn", "", tags_of(request.get("Tags")))
        record = self.service.made[arn]
        del record["Status"]
        record |= {f"{kind.word}JobStatus": "InProgress", "_role": role, "_model": model, "_kind": kind.word}
        if kind.word == "Training":
            record |= {"SecondaryStatus": "Starting", "ModelArtifacts": {"S3ModelArtifacts": ""}}
        self.tell(record, call)
        return record

    def taking(self, record: Json, place: Place) -> Acting:
        """Take a job's role. Raises Refused."""
        return place.taking(record["_role"], record[f"{record['_kind']}JobArn"], "SageMaker")

    def finish(self, record: Json, status: str, reason: str, told: Mapping[str, Any], call: Call, log: Path) -> None:
        """Write down how a job ended, with its log lines in CloudWatch Logs, as the job's role may write them."""
        kind = KINDS[record["_kind"]]
        with contextlib.suppress(Refused):
            write_log(self.taking(record, self.place(call)), kind, record[kind.name], log)
        known = set(self.service.model.operation_model(f"Describe{kind.word}Job").output_shape.members)
        record |= {name: value for name, value in playing.described(told).items() if name in known}
        record |= {f"{kind.word}JobStatus": status, "LastModifiedTime": now()}
        record.setdefault(f"{kind.word}StartTime", record["CreationTime"])
        record.setdefault(f"{kind.word}EndTime", now())
        if reason:
            record["FailureReason"] = reason
        if kind.word == "Training":
            record["SecondaryStatus"] = "Completed" if status == "Completed" else status
        self.tell(record, call)

    def tell(self, record: Json, call: Call) -> None:
        """Send the event of a job's state."""
        kind = KINDS[record["_kind"]]
        shape = self.service.model.operation_model(f"Describe{kind.word}Job").output_shape
        shown = shaped({key: value for key, value in record.items() if not key.startswith("_")}, shape, strict=False)
        times = {
            key: int(value * 1000) for key, value in shown.items() if key.endswith("Time") and isinstance(value, float)
        }
        detail = json.loads(json.dumps({**shown, **times, "Tags": record["_Tags"]}, default=str))
        title = f"SageMaker {kind.word} Job State Change"
        self.place(call).tell("aws.sagemaker", title, [record[f"{kind.word}JobArn"]], detail)

    def place(self, call: Call) -> Place:
        """Give the place of a call."""
        return Place(self.service.endpoint, call.account, call.region)

    def _create(self, call: Call, kind: Kind) -> Json:
        record = self.admit(call, kind)
        arn = record[f"{kind.word}JobArn"]
        stop = self._stops[arn] = threading.Event()
        self.place(call).apart(lambda: self._play(record, call, kind, stop), f"job {record[kind.name]}")
        return {f"{kind.word}JobArn": arn}

    def _play(self, record: Json, call: Call, kind: Kind, stop: threading.Event) -> None:
        folder = self._folder / record[kind.name]
        status, reason, told = "Completed", "", {}
        request = {key: value for key, value in call.request.items() if key != "Tags"}
        try:
            acting = self.taking(record, self.place(call))
            name, key = record[kind.name], dig(request, kind.output_key) or ""
            told = playing.job(kind.word, request, record["_model"], name, folder, acting, key, lambda line: None, stop)
        except RehearsalError as error:
            status, reason = "Failed", f"ClientError: {error}"
        except Exception as error:  # a job that cannot be played must end too
            status, reason = playing.failure(error)
        self.finish(record, status, reason, told, call, folder / "job.log")

    def _describe(self, call: Call, kind: Kind) -> Json:
        record = self._record(call, kind)
        return self.service.fitting(call, record)

    def _stop(self, call: Call, kind: Kind) -> None:
        record = self._record(call, kind)
        if record[f"{kind.word}JobStatus"] in ENDED:
            raise ServiceError("ValidationException", f"The job is {record[f'{kind.word}JobStatus']} already.")
        record[f"{kind.word}JobStatus"] = "Stopping"
        stop = self._stops.get(record[f"{kind.word}JobArn"])
        if stop:
            stop.set()

    def _record(self, call: Call, kind: Kind) -> Json:
        name = call.request[kind.name]
        arn = call.arn("sagemaker", f"{kind.arn}/{name}")
        self.service.allow(call, arn)
        record = self.service.made.get(arn)
        if record is None:
            code = "ResourceNotFound" if kind.word != "Training" else "ValidationException"
            raise ServiceError(code, f"Could not find requested job with name: {name}. List them.")
        return record

    def _list(self, call: Call, kind: Kind) -> Json:
        call.allow(f"sagemaker:List{kind.word}Jobs")
        given, status = call.request, f"{kind.word}JobStatus"
        found = [
            one
            for one in self.service.mine(*call.place, kind.arn)
            if given.get("NameContains", "") in one[kind.name] and given.get("StatusEquals", one[status]) == one[status]
        ]
        found.sort(key=_created, reverse=given.get("SortOrder", "Descending") == "Descending")
        rows, token = page(found, given.get("MaxResults", 10), given.get("NextToken"))
        shape = self.service.model.shape_for(f"{kind.word}JobSummary")
        return {f"{kind.word}JobSummaries": [shaped(row, shape, strict=False) for row in rows], "NextToken": token}


def _created(record: Json) -> datetime:
    made: datetime = record["CreationTime"]
    return made


def write_log(acting: Acting, kind: Kind, name: str, log: Path) -> None:
    """Put a job's log where SageMaker does; a role that may not write logs has none, and its job goes on."""
    if log.is_file():
        stream = f"{name}/algo-1-{int(time.time())}"
        with contextlib.suppress(ClientError):
            told = LogStream(acting.client("logs"), f"/aws/sagemaker/{kind.word}Jobs", stream)
            for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
                told.write(line)
            told.flush()
