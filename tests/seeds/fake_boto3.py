"""A stand-in for boto3 in the notebooks' kernel: S3 is a folder, and a job runs its script in a process of its own.

Every request is held against botocore's model of the service, and against what the platform's guard rails ask of a job. The test
writes it as `boto3.py` into a folder that the kernel looks into first."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import botocore.session
from botocore.validate import ParamValidator

PLACE = Path(os.environ["FAKE_AWS"])
SETTINGS = json.loads((PLACE / "settings.json").read_text())
STORE, JOBS = PLACE / "s3", PLACE / "jobs"
REGION = "eu-south-1"
SESSION = botocore.session.get_session()
session = SimpleNamespace(Session=lambda: SimpleNamespace(region_name=REGION))


class Refused(Exception):
    """A request that AWS, or the platform's guard rails, would refuse."""


def client(service: str) -> Any:
    return {"s3": S3, "ssm": Parameters, "sagemaker": Jobs}[service]()


def valid(service: str, operation: str, request: dict[str, Any]) -> None:
    """Refuse a request that the service's model doesn't allow."""
    shape = SESSION.get_service_model(service).operation_model(operation).input_shape
    if shape is None:
        raise Refused(f"{operation} takes nothing")
    report = ParamValidator().validate(request, shape)
    if report.has_errors():
        raise Refused(f"{operation}: {report.generate_report()}")


def local(uri: str) -> Path:
    """Give the folder that stands for an address."""
    bucket, key = uri.removeprefix("s3://").split("/", 1)
    if bucket != SETTINGS["project_bucket"]:
        raise Refused(f"{uri} is not in the project's bucket")
    return STORE / bucket / key


class Parameters:
    def get_parameter(self, **request: Any) -> dict[str, Any]:
        valid("ssm", "GetParameter", request)
        if request["Name"] != f"/mlops/projects/{SETTINGS['project_name']}/settings":
            raise Refused(f"there is no {request['Name']}")
        return {"Parameter": {"Value": json.dumps(SETTINGS)}}


class S3:
    def upload_file(self, path: str, bucket: str, key: str) -> None:
        target = local(f"s3://{bucket}/{key}")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)

    def download_file(self, bucket: str, key: str, path: str) -> None:
        shutil.copy(local(f"s3://{bucket}/{key}"), path)

    def list_objects_v2(self, **request: Any) -> dict[str, Any]:
        valid("s3", "ListObjectsV2", request)
        root = STORE / request["Bucket"]
        files = [
            (path.relative_to(root).as_posix(), path.stat().st_size)
            for path in sorted(root.rglob("*"))
            if path.is_file()
        ]
        found = [{"Key": key, "Size": size} for key, size in files if key.startswith(request.get("Prefix", ""))]
        # Without any, S3 leaves the list out.
        return {"Contents": found} if found else {}

    def get_paginator(self, operation: str) -> Any:
        return SimpleNamespace(paginate=lambda **request: [getattr(self, operation)(**request)])


class Jobs:
    def create_processing_job(self, **request: Any) -> None:
        valid("sagemaker", "CreateProcessingJob", request)
        cluster = request["ProcessingResources"]["ClusterConfig"]
        railed(
            request,
            request["ProcessingJobName"],
            request["NetworkConfig"]["VpcConfig"],
            cluster,
            request["ProcessingOutputConfig"],
        )
        name, app = request["ProcessingJobName"], request["AppSpecification"]
        base = started(name)
        for one in request["ProcessingInputs"]:
            shutil.copytree(local(one["S3Input"]["S3Uri"]), inside(base, one["S3Input"]["LocalPath"]))
        done = ran(base, [*app["ContainerEntrypoint"], *app["ContainerArguments"]])
        message = base / "output" / "message"
        said = {"ExitMessage": message.read_text()} if message.exists() else {}
        if done.returncode == 0:
            for one in request["ProcessingOutputConfig"]["Outputs"]:
                out = one["S3Output"]
                shutil.copytree(inside(base, out["LocalPath"]), local(out["S3Uri"]), dirs_exist_ok=True)
        ended(name, {"ProcessingJobStatus": status(done), "FailureReason": done.stderr[-800:], **said})

    def create_training_job(self, **request: Any) -> None:
        valid("sagemaker", "CreateTrainingJob", request)
        railed(
            request,
            request["TrainingJobName"],
            request["VpcConfig"],
            request["ResourceConfig"],
            request["OutputDataConfig"],
        )
        name, app = request["TrainingJobName"], request["AlgorithmSpecification"]
        base = started(name)
        for one in request["InputDataConfig"]:
            shutil.copytree(
                local(one["DataSource"]["S3DataSource"]["S3Uri"]), base / "input" / "data" / one["ChannelName"]
            )
        done = ran(base, [*app["ContainerEntrypoint"], *app["ContainerArguments"]])
        found: dict[str, Any] = {"TrainingJobStatus": status(done), "FailureReason": done.stderr[-800:]}
        if done.returncode == 0:
            archive = local(f"{request['OutputDataConfig']['S3OutputPath']}/{name}/output/model.tar.gz")
            archive.parent.mkdir(parents=True)
            with tarfile.open(archive, "w:gz") as packed:
                for path in sorted((base / "model").iterdir()):
                    packed.add(path, path.name)
            uri = f"{request['OutputDataConfig']['S3OutputPath']}/{name}/output/model.tar.gz"
            found["ModelArtifacts"] = {"S3ModelArtifacts": uri}
            found["FinalMetricDataList"] = [
                {"MetricName": one["Name"], "Value": float(values[-1])}
                for one in app["MetricDefinitions"]
                if (values := re.findall(one["Regex"], done.stdout))
            ]
        ended(name, found)

    def describe_processing_job(self, **request: Any) -> dict[str, Any]:
        return described(request["ProcessingJobName"], "ProcessingJobStatus")

    def describe_training_job(self, **request: Any) -> dict[str, Any]:
        return described(request["TrainingJobName"], "TrainingJobStatus")


def railed(
    request: dict[str, Any], name: str, vpc: dict[str, Any], cluster: dict[str, Any], output: dict[str, Any]
) -> None:
    """Refuse a job that the project's guard rails would refuse."""
    wanted = {
        "name": name.startswith(f"{SETTINGS['project_name']}--"),
        "subnets": vpc["Subnets"] == SETTINGS["private_subnets"].split(","),
        "group": vpc["SecurityGroupIds"] == [SETTINGS["sg_compute"]],
        "volume key": cluster["VolumeKmsKeyId"] == SETTINGS["project_kms"],
        "output key": output["KmsKeyId"] == SETTINGS["project_kms"],
        "role": request["RoleArn"] == SETTINGS["project_role_arn"],
        "time": request["StoppingCondition"]["MaxRuntimeInSeconds"] <= int(SETTINGS["max_runtime_seconds"]),
        "tags": {one["Key"]: one["Value"] for one in request["Tags"]}
        == {
            "CostCenter": SETTINGS["cost_center"],
            "mlops:project": SETTINGS["project_name"],
            "sagemaker:project-name": SETTINGS["project_name"],
            "sagemaker:project-id": SETTINGS["project_id"],
        },
    }
    wrong = [what for what, held in wanted.items() if not held]
    if wrong:
        raise Refused(f"{name}: the guard rails refuse {', '.join(wrong)}")


def started(name: str) -> Path:
    """Make what is /opt/ml in a job."""
    base = JOBS / name / "ml"
    (base / "output").mkdir(parents=True)
    return base


def inside(base: Path, path: str) -> Path:
    return base / path.removeprefix("/opt/ml/")


def ran(base: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run what the job runs, with this interpreter and the job's own folder in the place of /opt/ml."""
    words = [str(inside(base, word)) if word.startswith("/opt/ml/") else word for word in command]
    if words[0] != "python3":
        raise Refused(f"{words[0]} is not in the image")
    environment = {"SAGEMAKER_BASE_DIR": str(base), "PATH": os.environ["PATH"], "HOME": str(base)}
    environment |= {name: os.environ[name] for name in ("PYTHONPYCACHEPREFIX",) if name in os.environ}
    return subprocess.run([sys.executable, *words[1:]], env=environment, cwd=base, capture_output=True, text=True)


def status(done: subprocess.CompletedProcess[str]) -> str:
    return "Completed" if done.returncode == 0 else "Failed"


def ended(name: str, found: dict[str, Any]) -> None:
    """Keep how a job ended; the first who asks is told that it is still under way."""
    (JOBS / name / "description.json").write_text(json.dumps(found))


def described(name: str, field: str) -> dict[str, Any]:
    asked = JOBS / name / "asked"
    if not asked.exists():
        asked.touch()
        return {field: "InProgress"}
    return dict(json.loads((JOBS / name / "description.json").read_text()))
