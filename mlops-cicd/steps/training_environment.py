"""What a training script finds in its environment: the SM_* variables of AWS's training toolkit, from SageMaker's files.

Names and forms: aws/sagemaker-training-toolkit, ENVIRONMENT_VARIABLES.md and src/sagemaker_training/environment.py; those on
hosts and the port are of the SageMaker SDK's drivers (sagemaker/core/modules/train/container_drivers)."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from failures import StepError

MASTER_PORT = 7777
# Hyperparameters that SageMaker's SDK adds for its own drivers; scripts are not given them.
OF_SDK = "sagemaker_"


@dataclass(frozen=True)
class Settings:
    """What SageMaker says of a job: hyperparameters as given, channels, and the hosts, sorted as all of them see them."""

    hyperparameters: Mapping[str, str]
    channels: Mapping[str, Any]
    resources: Mapping[str, Any]
    hosts: tuple[str, ...]
    host: str

    @property
    def rank(self) -> int:
        """Give this host's place among the hosts."""
        return self.hosts.index(self.host)

    @property
    def script_words(self) -> list[str]:
        """Give the hyperparameters as words for the script, by name."""
        found = self.own_hyperparameters()
        return [word for name in sorted(found) for word in (f"--{name}", _plain(found[name]))]

    def own_hyperparameters(self) -> dict[str, str]:
        """Give the hyperparameters that the project named."""
        return {name: value for name, value in self.hyperparameters.items() if not name.startswith(OF_SDK)}


def read(root: Path) -> Settings:
    """Read the three files that SageMaker writes before a training job; raise StepError when one can't be used."""
    config = root / "input" / "config"
    resources = _document(config / "resourceconfig.json")
    hosts = tuple(sorted(str(host) for host in resources.get("hosts", [])))
    host = str(resources.get("current_host", ""))
    if host not in hosts:
        raise StepError(
            f"resourceconfig.json names the host {host!r} and the hosts {list(hosts)}: run it as a training job"
        )
    hyperparameters = _document(config / "hyperparameters.json", needed=False)
    return Settings(
        hyperparameters={name: _text(value) for name, value in hyperparameters.items()},
        channels=_document(config / "inputdataconfig.json", needed=False),
        resources=resources,
        hosts=hosts,
        host=host,
    )


def variables(
    root: Path, settings: Settings, entrypoint: str, words: Sequence[str], inherited: Mapping[str, str]
) -> dict[str, str]:
    """Give the environment of the script: what the job has, and the SM_* variables."""
    data = root / "input" / "data"
    code = str(data / "code")
    given = settings.own_hyperparameters()
    interface = str(settings.resources.get("network_interface_name", "eth0"))
    hyperparameters = {name: _decoded(value) for name, value in given.items()}
    channels = {name: str(data / name) for name in sorted(settings.channels)}
    facts: dict[str, Any] = {
        "channel_input_dirs": channels,
        "current_host": settings.host,
        "current_instance_group": settings.resources.get("current_group_name", "homogeneousCluster"),
        "current_instance_type": settings.resources.get("current_instance_type", "local"),
        "hosts": list(settings.hosts),
        "hyperparameters": hyperparameters,
        "input_config_dir": str(root / "input" / "config"),
        "input_data_config": settings.channels,
        "input_dir": str(root / "input"),
        "job_name": inherited.get("TRAINING_JOB_NAME", ""),
        "log_level": inherited.get("SM_LOG_LEVEL", "20"),
        "model_dir": str(root / "model"),
        "module_dir": code,
        "module_name": Path(entrypoint).stem,
        "network_interface_name": interface,
        "num_cpus": _cpus(),
        "num_gpus": _gpus(),
        "output_data_dir": str(root / "output" / "data"),
        "output_dir": str(root / "output"),
        "output_intermediate_dir": str(root / "output" / "intermediate"),
        "resource_config": settings.resources,
        "user_entry_point": entrypoint,
    }
    renamed = {"hyperparameters": "hps", "channel_input_dirs": ""}
    found = {f"SM_{renamed.get(name, name).upper()}": value for name, value in facts.items() if renamed.get(name, name)}
    found.update(
        SM_CHANNELS=list(channels),
        SM_CURRENT_HOST_RANK=settings.rank,
        SM_FRAMEWORK_PARAMS={name: value for name, value in settings.hyperparameters.items() if name not in given},
        SM_HOST_COUNT=len(settings.hosts),
        SM_INPUT_DATA_DIR=str(data),
        SM_MASTER_ADDR=settings.hosts[0],
        SM_MASTER_PORT=MASTER_PORT,
        SM_OUTPUT_FAILURE=str(root / "output" / "failure"),
        SM_TRAINING_ENV=facts,
        SM_USER_ARGS=[*settings.script_words, *words],
    )
    found.update({f"SM_CHANNEL_{name.upper()}": path for name, path in channels.items()})
    for name, value in hyperparameters.items():
        # The toolkit keeps a dash; the SDK's drivers put an underscore, which a shell can read.
        found[f"SM_HP_{name.upper()}"] = found[f"SM_HP_{name.upper().replace('-', '_')}"] = value
    path = [code, inherited.get("PYTHONPATH", "")]
    whole = {
        **inherited,
        **{name: _text(value) for name, value in found.items()},
        "PYTHONPATH": os.pathsep.join(part for part in path if part),
        "PYTHONUNBUFFERED": "1",
    }
    if len(settings.hosts) > 1:
        for backend in ("NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME"):
            whole.setdefault(backend, interface)
    return whole


def wait_for_host(host: str, seconds: float) -> None:
    """Wait until a host's name is known: SageMaker's guide says that it may take a while, and to ask again."""
    until = time.monotonic() + seconds
    while True:
        try:
            socket.getaddrinfo(host, MASTER_PORT)
        except OSError as error:
            if time.monotonic() >= until:
                raise StepError(
                    f"the first host {host!r} was not found in {seconds:g} seconds ({error}): look at its log, and start again"
                ) from error
            time.sleep(min(1.0, seconds / 4))
        else:
            return


def _document(path: Path, needed: bool = True) -> dict[str, Any]:
    """Read a JSON object."""
    if not path.is_file():
        if needed:
            raise StepError(f"there is no {path}: run this inside a SageMaker training job, or by inv local")
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise StepError(f"{path.name} is no JSON ({error}): start the job again") from error
    if not isinstance(found, dict):
        raise StepError(f"{path.name} holds no JSON object: start the job again")
    return found


def _text(value: Any) -> str:
    """Give a value as an environment variable holds it."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, sort_keys=True, separators=(",", ":"))


def _decoded(value: str) -> Any:
    """Give a hyperparameter with the type that its text has as JSON, as the toolkit does."""
    try:
        return json.loads(value)
    except ValueError:
        return value


def _plain(value: str) -> str:
    """Give a hyperparameter as a word: its text, without the quotes that SageMaker's SDK puts around strings."""
    decoded = _decoded(value)
    return decoded if isinstance(decoded, str) else value


def _cpus() -> int:
    """Count the CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _gpus() -> int:
    """Count the GPUs by the tool that images for them hold."""
    try:
        listed = subprocess.run(
            ["nvidia-smi", "--list-gpus"], capture_output=True, text=True, timeout=60, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return 0
    return sum(line.startswith("GPU ") for line in listed.splitlines())
