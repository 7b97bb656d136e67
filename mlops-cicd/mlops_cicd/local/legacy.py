"""Training as the SDKs ask for it: version 2's script mode by hyperparameters, version 3's drivers in mapped mode.

Version 2 leaves it to the image's training toolkit to fetch the code and to call it; here the same is done from outside.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .archives import unpack
from .errors import JobFailed, StoreError
from .sandbox import Host, Running, Sandbox

CODE = "/opt/ml/code"


def decoded(value: Any) -> Any:
    """Read a hyperparameter as version 2 writes it: as JSON, or as the plain text."""
    try:
        return json.loads(value)
    except (TypeError, ValueError):
        return value


def start(request: Mapping[str, Any], sandbox: Sandbox, given: Mapping[str, Any]) -> Running:
    """Fetch the script that the hyperparameters name and start it as the training toolkit does."""
    values = {key: decoded(item) for key, item in (request.get("HyperParameters") or {}).items()}
    own = {key: item for key, item in values.items() if not key.startswith("sagemaker_")}
    submit, program = str(values["sagemaker_submit_directory"]), str(values["sagemaker_program"])
    folder = submit if submit.startswith("/opt/ml/") else CODE
    for host in sandbox.hosts:
        if submit.startswith("s3://"):
            _fetch(sandbox, submit, sandbox.path(CODE, host))
        if not (sandbox.path(folder, host) / program).exists():
            raise JobFailed(f"ClientError: {program} is not in {submit}. Mend sagemaker_program or the archive.")
    if (sandbox.path(folder) / "requirements.txt").is_file():
        sandbox.job.say(
            f"not played: pip install of requirements.txt in {submit} (name the file as `dependencies` instead)"
        )
    arguments = [word for key in sorted(own) for word in (f"-{key}" if len(key) == 1 else f"--{key}", _word(own[key]))]
    if program.endswith(".py"):
        command = ["python3", program, *arguments]
    elif program.endswith(".sh"):
        command = ["/bin/sh", program, *arguments]
    else:
        raise JobFailed(
            f"ClientError: sagemaker_program {program} is neither a .py nor a .sh file. Name the script to start."
        )
    return sandbox.start(
        command, lambda host: {**given, **variables(request, sandbox, host, own, arguments, program)}, cwd=folder
    )


def _fetch(sandbox: Sandbox, uri: str, folder: Path) -> None:
    try:
        files = sandbox.job.store.download(uri, sandbox.job.folder / "submit")
    except StoreError as error:
        raise JobFailed(f"ClientError: {error}") from error
    if len(files) != 1:
        raise JobFailed(
            f"ClientError: {uri} is not one archive. Let sagemaker_submit_directory name a sourcedir.tar.gz."
        )
    unpack(Path(files[0]), folder, uri)


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value) if isinstance(value, dict | list) else str(value)


def variables(
    request: Mapping[str, Any], sandbox: Sandbox, host: Host, own: Mapping[str, Any], arguments: list[str], program: str
) -> dict[str, str]:
    """Make the SM_... variables that the training toolkit gives a script."""
    channels = [item["ChannelName"] for item in request.get("InputDataConfig") or ()]
    hosts = [item.name for item in sandbox.hosts]
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    plain = {
        "SM_MODEL_DIR": "/opt/ml/model",
        "SM_INPUT_DIR": "/opt/ml/input",
        "SM_INPUT_CONFIG_DIR": "/opt/ml/input/config",
        "SM_OUTPUT_DIR": "/opt/ml/output",
        "SM_OUTPUT_DATA_DIR": "/opt/ml/output/data",
        "SM_CURRENT_HOST": host.name,
        "SM_CURRENT_INSTANCE_TYPE": str(request["ResourceConfig"].get("InstanceType", "")),
        "SM_NETWORK_INTERFACE_NAME": "lo",
        "SM_NUM_CPUS": str(cpus),
        "SM_NUM_GPUS": "0",
        "SM_LOG_LEVEL": "20",
        "SM_USER_ENTRY_POINT": program,
        "SM_MODULE_NAME": Path(program).stem,
        "SM_HOSTS": json.dumps(hosts),
        "SM_CHANNELS": json.dumps(sorted(channels)),
        "SM_HPS": json.dumps(own),
        "SM_USER_ARGS": json.dumps(arguments),
    }
    by_channel = {f"SM_CHANNEL_{name.upper()}": f"/opt/ml/input/data/{name}" for name in channels}
    by_value = {f"SM_HP_{name.upper().replace('-', '_')}": _word(value) for name, value in own.items()}
    return plain | by_channel | by_value


def map_drivers(folder: Path, host: Host) -> None:
    """Let version 3's own driver scripts find the sandbox, where /opt/ml cannot be put in place."""
    for item in folder.rglob("*"):
        if item.suffix in (".py", ".sh", ".json"):
            item.write_bytes(item.read_bytes().replace(b"/opt/ml", os.fsencode(host.ml)))
