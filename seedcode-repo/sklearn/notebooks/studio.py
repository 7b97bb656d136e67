"""What the notebooks share: where the project is, and what each of its jobs must carry.

It needs boto3 and PyYAML, which every image of Studio holds. The project's start script writes ~/.project_params.yaml and the
settings are in SSM; a job without network, keys or an allowed name is refused, so they are filled in here, in one place."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import yaml

ROOT = Path(__file__).resolve().parent.parent
PARAMETERS = Path.home() / ".project_params.yaml"
FACTS = json.loads((ROOT / "notebooks" / "aws_images.json").read_text())
# What one notebook leaves for the next; git ignores it.
NOTES = ROOT / "build" / "notebooks.json"
AGAIN = "run `bash ~/.mlops/start.sh PROJECT` in a terminal, with PROJECT for the name of your project"


class StudioError(Exception):
    """Something that a notebook needs is not there; the message ends with what to do."""


class JobFailed(Exception):
    """A job ended without success; the message says why, and where its log is."""


@dataclass(frozen=True)
class Place:
    """The project: what ~/.project_params.yaml and the project's settings say of it."""

    project: str
    bucket: str
    key: str
    role: str
    subnets: list[str]
    group: str
    region: str
    problem_type: str
    tags: list[dict[str, str]]
    longest: int

    def name(self, purpose: str) -> str:
        """Name a job: what a project makes is called PROJECT--..., or it is refused."""
        return f"{self.project}--{purpose}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}"

    def uri(self, *parts: str) -> str:
        """Give the address of something in the project's bucket."""
        return f"s3://{self.bucket}/{'/'.join(parts)}"

    def vpc(self) -> dict[str, Any]:
        """Give the network in which jobs run."""
        return {"Subnets": self.subnets, "SecurityGroupIds": [self.group]}

    def cluster(self, section: dict[str, Any]) -> dict[str, Any]:
        """Give the machines of a job, by a section of model_config.yaml."""
        kind = section["instance_type"]
        machines = {
            "InstanceType": kind,
            "InstanceCount": section.get("instance_count", 1),
            "VolumeSizeInGB": section.get("volume_size_gb", 10),
        }
        # Machines with disks of their own encrypt them themselves, and SageMaker refuses a key:
        # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ResourceConfig.html
        return machines if kind.split(".")[1] in FACTS["local_storage"] else {**machines, "VolumeKmsKeyId": self.key}

    def stopping(self) -> dict[str, int]:
        """Give the time that a job may take, in seconds: an hour, or less where the project allows less."""
        return {"MaxRuntimeInSeconds": min(3600, self.longest)}


def place() -> Place:
    """Read where this project is."""
    if not PARAMETERS.is_file():
        raise StudioError(f"There is no {PARAMETERS}: {AGAIN}")
    found = yaml.safe_load(PARAMETERS.read_text())
    # The role's path names the project: arn:aws:iam::ACCOUNT:role/mlops/PROJECT/...
    project = found.get("project_name") or found["project_role_arn"].split(":role/mlops/")[-1].split("/")[0]
    parameter = boto3.client("ssm").get_parameter(Name=f"/mlops/projects/{project}/settings")
    settings = json.loads(parameter["Parameter"]["Value"])
    tags = {
        "CostCenter": settings["cost_center"],
        "mlops:project": project,
        "sagemaker:project-name": project,
        "sagemaker:project-id": settings["project_id"],
    }
    return Place(
        project=project,
        bucket=found["project_bucket"],
        key=found["project_kms"],
        role=found["project_role_arn"],
        subnets=found["private_subnets"],
        group=found["sg_compute"],
        region=boto3.session.Session().region_name,
        problem_type=settings["problem_type"],
        tags=[{"Key": name, "Value": value} for name, value in tags.items()],
        longest=int(settings.get("max_runtime_seconds", 3600)),
    )


def config() -> dict[str, Any]:
    """Read model_config.yaml."""
    return dict(yaml.safe_load((ROOT / "model_config.yaml").read_text()))


def image(section: dict[str, Any], region: str) -> str:
    """Give AWS's image for a section of model_config.yaml."""
    framework, version = section["framework"], section["framework_version"]
    known = FACTS["frameworks"].get(framework, {"tags": {}})
    if version not in known["tags"] or region not in FACTS["registries"]:
        raise StudioError(
            f"aws_images.json has no image of {framework} {version} in {region}: give the job an image's address yourself"
        )
    if "dependencies" in section:
        print(
            f"Note: {section['dependencies']} is not in AWS's image. The build pipeline makes one with it, in the project's ECR."
        )
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"{FACTS['registries'][region]}.dkr.ecr.{region}.{domain}/{known['repository']}:{known['tags'][version]}"


def upload(folder: Path, where: Place, *parts: str) -> str:
    """Put the files of a folder into the project's bucket, and give their address."""
    client = boto3.client("s3")
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]
    if not files:
        raise StudioError(f"{folder} holds no files: look for where they are")
    for path in files:
        # The bucket encrypts with the project's key by itself.
        client.upload_file(str(path), where.bucket, "/".join([*parts, path.relative_to(folder).as_posix()]))
    return where.uri(*parts) + "/"


def download(uri: str, folder: Path) -> Path:
    """Fetch all that lies below an address into a folder, which holds nothing else afterwards."""
    bucket, prefix = uri.removeprefix("s3://").split("/", 1)
    prefix = prefix.rstrip("/")
    client = boto3.client("s3")
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [one["Key"] for page in pages for one in page.get("Contents", [])]
    keys = [key for key in keys if key == prefix or key.startswith(f"{prefix}/")]
    if not keys:
        raise StudioError(f"There is nothing at {uri}: run the notebook that makes it")
    shutil.rmtree(folder, ignore_errors=True)
    for key in keys:
        path = folder / (key[len(prefix) + 1 :] or Path(key).name)
        path.parent.mkdir(parents=True, exist_ok=True)
        client.download_file(bucket, key, str(path))
    return folder


def unpack(archive: Path, folder: Path) -> list[str]:
    """Unpack an archive into a folder, and name what is in it; one that would write elsewhere is refused."""
    with tarfile.open(archive) as packed:
        for one in packed.getmembers():
            path = Path(one.name)
            if not (one.isfile() or one.isdir()) or path.is_absolute() or ".." in path.parts:
                raise StudioError(
                    f"{archive} holds {one.name!r}, which is no plain file inside it: train the model again"
                )
        # Python's own check as well, where this Python has it: https://docs.python.org/3/library/tarfile.html
        packed.extraction_filter = getattr(tarfile, "data_filter", lambda member, _path: member)
        packed.extractall(folder)  # noqa: S202 (each member was looked at)
    return sorted(path.name for path in folder.iterdir())


def wait(kind: str, name: str, limit: float = 4200) -> dict[str, Any]:
    """Wait until a job ended (`kind` is processing or training), and give its description. JobFailed says why it failed."""
    client = boto3.client("sagemaker")
    describe = client.describe_processing_job if kind == "processing" else client.describe_training_job
    field = f"{kind.capitalize()}JobName"
    pause = float(os.environ.get("NOTEBOOK_POLL_SECONDS", "5"))
    until, status = time.monotonic() + limit, ""
    while True:
        found = dict(describe(**{field: name}))
        if found[f"{kind.capitalize()}JobStatus"] != status:
            status = found[f"{kind.capitalize()}JobStatus"]
            print(f"{time.strftime('%H:%M:%S')}  {name}: {status}")
        if status == "Completed":
            return found
        if status in ("Failed", "Stopped"):
            reason = found.get("ExitMessage") or found.get("FailureReason") or "no reason given"
            raise JobFailed(
                f"{name} {status.lower()}: {reason}\nIts log: CloudWatch, /aws/sagemaker/{kind.capitalize()}Jobs, {name}"
            )
        if time.monotonic() > until:
            raise JobFailed(
                f"{name} is {status} after {limit:.0f} s: look at it in Studio under Jobs, then run this cell again"
            )
        time.sleep(pause)


def note(**facts: str) -> None:
    """Leave something for the next notebook."""
    NOTES.parent.mkdir(parents=True, exist_ok=True)
    NOTES.write_text(
        json.dumps({**(json.loads(NOTES.read_text()) if NOTES.exists() else {}), **facts}, indent=2) + "\n"
    )


def noted(name: str, made_by: str) -> str:
    """Read what an earlier notebook left."""
    found = json.loads(NOTES.read_text()) if NOTES.exists() else {}
    if name not in found:
        raise StudioError(f"Nothing is known of {name}: run {made_by} first, from top to bottom")
    return str(found[name])
