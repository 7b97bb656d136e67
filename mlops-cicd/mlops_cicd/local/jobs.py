"""Runs one processing or training job from the body of its Create...Job call. Times in what they give are ISO 8601, UTC."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import legacy
from .archives import pack
from .errors import DefinitionError, JobFailed, PlaceError, StoreError
from .needs import look
from .packages import Tools, tell, tools
from .place import Job
from .requests import dig
from .sandbox import Host, Sandbox, isolation, tail

EXIT_MESSAGE_BYTES = 1024  # docs/sagemaker/latest/dg/byoc-metadata.md, your-algorithms-training-algo-output.md
CONFIG = "/opt/ml/input/config"


def now() -> str:
    """Give the time."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def run_processing(request: Mapping[str, Any], job: Job) -> dict[str, Any]:
    """Check and run a processing job; gives what DescribeProcessingJob would say. DefinitionError, JobFailed, PlaceError."""
    check("Processing", request, job, dig(request, "AppSpecification", "ImageUri"))
    return play_processing(request, job)


def run_training(request: Mapping[str, Any], job: Job) -> dict[str, Any]:
    """Check and run a training job; gives what DescribeTrainingJob would say. DefinitionError, JobFailed, PlaceError."""
    check("Training", request, job, dig(request, "AlgorithmSpecification", "TrainingImage"))
    return play_training(request, job)


def check(kind: str, request: Mapping[str, Any], job: Job, image: Any) -> None:
    """Refuse what is not played of a request, and tell what is left out of it."""
    verdict = look(kind, request, job.name, hosts_possible=not isolation(job.mode).mapped)
    if verdict.problems:
        raise DefinitionError(verdict.problems)
    for line in verdict.told:
        job.say(line)
    if isinstance(image, str):
        tell([image], job.image_of, job.python, job.say)


def ready(job: Job, image: str) -> Tools:
    """Make the job's folder and what its image's jobs run with."""
    job.folder.mkdir(parents=True, exist_ok=True)
    if any(job.folder.iterdir()):
        raise PlaceError(f"The folder {job.folder} of job {job.name} is not empty. Give each job a new one.")
    return tools(image, job.image_of(image), job.python, job.cache or job.folder.parent / "cache", job.say)


def limit(request: Mapping[str, Any], job: Job) -> float | None:
    """Give the seconds that the job may take: the shorter of the request's and the caller's."""
    both = [
        item for item in (dig(request, "StoppingCondition", "MaxRuntimeInSeconds"), job.timeout) if item is not None
    ]
    return min(both) if both else None


def fetch(job: Job, uri: str, folder: Path) -> None:
    """Copy an input into the sandbox; JobFailed when there is none."""
    try:
        job.store.download(uri, folder)
    except StoreError as error:
        raise JobFailed(f"ClientError: {error}") from error


def send(job: Job, path: Path, uri: str) -> Sequence[str]:
    """Copy an output out of the sandbox; JobFailed when that cannot be."""
    try:
        return job.store.upload(path, uri)
    except StoreError as error:
        raise JobFailed(f"ClientError: {error}") from error


def write_json(path: Path, document: Any) -> None:
    """Write a configuration file of the container."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1), encoding="utf-8")


def play_processing(request: Mapping[str, Any], job: Job) -> dict[str, Any]:
    """Run a processing job that was checked."""
    app, started = request["AppSpecification"], now()
    sandbox = Sandbox(job, ready(job, app["ImageUri"]))
    for item in request.get("ProcessingInputs") or ():
        fetch(job, item["S3Input"]["S3Uri"], sandbox.path(item["S3Input"]["LocalPath"]))
    outputs = [
        item["S3Output"] | {"Name": item["OutputName"]}
        for item in dig(request, "ProcessingOutputConfig", "Outputs") or ()
    ]
    for output in outputs:
        sandbox.path(output["LocalPath"]).mkdir(parents=True, exist_ok=True)
    host = sandbox.hosts[0].name
    write_json(sandbox.path("/opt/ml/config/resourceconfig.json"), {"current_host": host, "hosts": [host]})
    arn = job.arn("processing-job")
    described = {**request, "ProcessingJobName": job.name, "ProcessingJobArn": arn}
    write_json(sandbox.path("/opt/ml/config/processingjobconfig.json"), described)
    command = [*app["ContainerEntrypoint"], *(app.get("ContainerArguments") or ())]
    given = {**(request.get("Environment") or {}), "PROCESSING_JOB_ARN": arn}
    code = sandbox.start(command, lambda _: given).wait(limit(request, job), job.stop)
    message = _read_message(sandbox.path("/opt/ml/output/message"))
    if code:
        raise failed(sandbox, code, message, message)
    for output in outputs:
        folder = sandbox.path(output["LocalPath"])
        if not send(job, folder, output["S3Uri"]):
            job.say(f"{job.name}: the output {output['Name']} stayed empty ({output['LocalPath']})")
    ended = {"ProcessingStartTime": started, "ProcessingEndTime": now(), "ProcessingJobStatus": "Completed"}
    return described | ended | ({"ExitMessage": message} if message else {})


def _read_message(path: Path) -> str:
    """Read what a job leaves for its description; JobFailed when it is no UTF-8, as in the service."""
    if not path.is_file():
        return ""
    try:
        return path.read_bytes()[:EXIT_MESSAGE_BYTES].decode(
            "utf-8", errors="strict" if path.stat().st_size <= 1024 else "ignore"
        )
    except UnicodeDecodeError:
        raise JobFailed(f"ClientError: {path.name} in /opt/ml/output is not UTF-8 text. Write it as UTF-8.") from None


def failed(sandbox: Sandbox, code: int, said: str, exit_message: str | None = None) -> JobFailed:
    """Say why a job failed: what it wrote itself, else the refused import or the last line of its log."""
    logs = [tail(host.log) for host in sandbox.hosts]
    refused = re.findall(
        r"^(?:ModuleNotFoundError|ImportError): (.+ leave the import out\.)$", "\n".join(logs), re.MULTILINE
    )
    last = next(
        (line.strip() for log in logs for line in reversed(log.splitlines()) if line.strip()),
        "it wrote nothing to its log",
    )
    return JobFailed(
        f"AlgorithmError: {said.strip() or (refused[-1] if refused else last)} (exit code {code})",
        "\n".join(
            f"[{host.name}] {log}" if len(logs) > 1 else log for host, log in zip(sandbox.hosts, logs, strict=True)
        ),
        exit_message=exit_message or None,
    )


def play_training(request: Mapping[str, Any], job: Job) -> dict[str, Any]:
    """Run a training job that was checked, on as many hosts as it asks for."""
    algorithm, started, clock = request["AlgorithmSpecification"], now(), time.monotonic()
    sandbox = Sandbox(job, ready(job, algorithm["TrainingImage"]), request["ResourceConfig"].get("InstanceCount") or 1)
    for host in sandbox.hosts:
        _training_inputs(request, sandbox, host)
    given = {
        **(request.get("Environment") or {}),
        "TRAINING_JOB_NAME": job.name,
        "TRAINING_JOB_ARN": job.arn("training-job"),
    }
    if algorithm.get("ContainerEntrypoint"):
        command = [*algorithm["ContainerEntrypoint"], *(algorithm.get("ContainerArguments") or ())]
        running = sandbox.start(command, lambda _: given)
    else:
        running = legacy.start(request, sandbox, given)
    code = running.wait(limit(request, job), job.stop)
    if code:
        said = [_read_message(host.ml / "output" / "failure") for host in sandbox.hosts]
        raise failed(sandbox, code, next(filter(None, said), ""))
    artifact = _artifacts(request, sandbox)
    return {
        **request,
        "TrainingJobName": job.name,
        "TrainingJobArn": job.arn("training-job"),
        "TrainingJobStatus": "Completed",
        "SecondaryStatus": "Completed",
        "ModelArtifacts": {"S3ModelArtifacts": artifact},
        "FinalMetricDataList": metrics(algorithm.get("MetricDefinitions") or (), sandbox.hosts),
        "TrainingStartTime": started,
        "TrainingEndTime": now(),
        "TrainingTimeInSeconds": round(time.monotonic() - clock),
    }


def _training_inputs(request: Mapping[str, Any], sandbox: Sandbox, host: Host) -> None:
    """Write what the service gives a training container: channels and configuration files.

    docs/sagemaker/latest/dg/your-algorithms-training-algo-running-container.md
    """
    channels = {}
    for channel in request.get("InputDataConfig") or ():
        name = channel["ChannelName"]
        folder = host.ml / "input" / "data" / name
        fetch(sandbox.job, channel["DataSource"]["S3DataSource"]["S3Uri"], folder)
        if name == "sm_drivers" and sandbox.isolation.mapped:
            legacy.map_drivers(folder, host)
        channels[name] = {
            "TrainingInputMode": "File",
            "S3DistributionType": "FullyReplicated",
            "RecordWrapperType": "None",
        }
        if channel.get("ContentType"):
            channels[name]["ContentType"] = channel["ContentType"]
    names = [item.name for item in sandbox.hosts]
    kind, group = request["ResourceConfig"].get("InstanceType"), "homogeneousCluster"
    resources = {
        "current_host": host.name,
        "current_instance_type": kind,
        "current_group_name": group,
        "hosts": names,
        "instance_groups": [{"instance_group_name": group, "instance_type": kind, "hosts": names}],
        "network_interface_name": "lo",
    }
    config = sandbox.path(CONFIG, host)
    write_json(
        config / "hyperparameters.json",
        {key: str(item) for key, item in (request.get("HyperParameters") or {}).items()},
    )
    write_json(config / "inputdataconfig.json", channels)
    write_json(config / "resourceconfig.json", resources)
    for folder in ("model", "output/data"):
        (host.ml / folder).mkdir(parents=True, exist_ok=True)


def _artifacts(request: Mapping[str, Any], sandbox: Sandbox) -> str:
    """Pack and store the model and the other outputs; gives the URI of model.tar.gz."""
    job = sandbox.job
    prefix = f"{request['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{job.name}/output"
    model, output = job.folder / "model.tar.gz", job.folder / "output.tar.gz"
    if not pack([host.ml / "model" for host in sandbox.hosts], model):
        job.say(f"{job.name}: the training script wrote nothing to /opt/ml/model, so model.tar.gz is empty")
    if pack([host.ml / "output" / "data" for host in sandbox.hosts], output):
        send(job, output, f"{prefix}/output.tar.gz")
    send(job, model, f"{prefix}/model.tar.gz")
    return f"{prefix}/model.tar.gz"


def metrics(definitions: Sequence[Mapping[str, str]], hosts: Sequence[Host]) -> list[dict[str, Any]]:
    """Read the last value of each metric from the logs, by its regular expression, as the service does."""
    found = []
    for definition in definitions:
        regex = re.compile(definition["Regex"])
        value = None
        for host in hosts:
            with host.log.open(encoding="utf-8", errors="replace") as log:
                for match in filter(None, map(regex.search, log)):
                    value = _number(match[1], value)
        if value is not None:
            found.append({"MetricName": definition["Name"], "Value": value, "Timestamp": now()})
    return found


def _number(text: str, otherwise: float | None) -> float | None:
    try:
        return float(text)
    except (TypeError, ValueError):
        return otherwise
