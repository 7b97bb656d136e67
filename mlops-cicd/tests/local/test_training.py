"""Training jobs: the container's files, the artifact, the metrics, both SDKs' ways to start, several hosts."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from typing import Any

import pytest
from mlops_cicd.local import DefinitionError, JobFailed, PlaceError, run_training
from tests.local.support import BASE, Bench, training_request

CHANNEL = {"S3DataType": "S3Prefix", "S3Uri": "s3://b/data/train/", "S3DataDistributionType": "FullyReplicated"}


def model(bench: Bench, uri: str) -> dict[str, str]:
    with tarfile.open(bench.store.path(uri)) as archive:
        return {item.name: archive.extractfile(item).read().decode() for item in archive if item.isfile()}  # type: ignore[union-attr]


def sourcedir(**files: str) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name.replace("__", "."))
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return raw.getvalue()


def test_a_container_gets_its_channels_and_configuration(anywhere: Bench) -> None:
    anywhere.put("s3://b/data/train/deep/train.csv", "1,2")
    script = """
import json
config = {p.name: json.loads(p.read_text()) for p in (base / "input/config").iterdir()}
config["name"] = os.environ["TRAINING_JOB_NAME"]
config["files"] = sorted(p.relative_to(base).as_posix() for p in (base / "input/data").rglob("*") if p.is_file())
(base / "model/config.json").write_text(json.dumps(config))
(base / "output/data/report.txt").write_text("report")
"""
    anywhere.put("s3://b/code/train.py", BASE + script)
    request = training_request(HyperParameters={"depth": "3", "rate": "0.1"})
    request["InputDataConfig"].append(
        {"ChannelName": "train", "ContentType": "text/csv", "DataSource": {"S3DataSource": CHANNEL}}
    )
    described = run_training(request, anywhere.job("churn--train-1"))
    assert described["TrainingJobStatus"] == "Completed"
    assert described["ModelArtifacts"]["S3ModelArtifacts"] == "s3://b/models/churn--train-1/output/model.tar.gz"
    config = json.loads(model(anywhere, described["ModelArtifacts"]["S3ModelArtifacts"])["config.json"])
    assert config["hyperparameters.json"] == {"depth": "3", "rate": "0.1"}
    assert config["inputdataconfig.json"]["train"] == {
        "ContentType": "text/csv", "TrainingInputMode": "File", "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"
    }  # fmt: skip
    assert config["resourceconfig.json"]["hosts"] == ["algo-1"]
    assert config["resourceconfig.json"]["current_instance_type"] == "ml.m5.large"
    assert config["files"] == ["input/data/code/train.py", "input/data/train/deep/train.csv"]
    assert config["name"] == "churn--train-1"
    assert model(anywhere, "s3://b/models/churn--train-1/output/output.tar.gz") == {"report.txt": "report"}


def test_the_artifact_has_the_same_bytes_for_the_same_files(bench: Bench) -> None:
    bench.put(
        "s3://b/code/train.py",
        BASE
        + "(base / 'model/code').mkdir()\n(base / 'model/code/x').write_text('x')\n(base / 'model/a').write_text('a')",
    )
    digests = set()
    for name in ("one", "two"):
        uri = run_training(training_request(), bench.job(name))["ModelArtifacts"]["S3ModelArtifacts"]
        digests.add(hashlib.sha256(bench.store.path(uri).read_bytes()).hexdigest())
    assert len(digests) == 1


def test_metrics_are_read_from_the_log(bench: Bench) -> None:
    bench.put(
        "s3://b/code/train.py",
        "print('auc=0.5;')\nimport sys\nprint('auc=0.91; loss=1e-3', file=sys.stderr)\nprint('auc=none;')",
    )
    request = training_request()
    request["AlgorithmSpecification"]["MetricDefinitions"] = [
        {"Name": "auc", "Regex": "auc=([0-9.]+);"},
        {"Name": "loss", "Regex": "loss=([-+.0-9e]+)"},
        {"Name": "none", "Regex": "none=(.*)"},
    ]
    described = run_training(request, bench.job())
    assert {item["MetricName"]: item["Value"] for item in described["FinalMetricDataList"]} == {
        "auc": 0.91,
        "loss": 0.001,
    }
    assert any("wrote nothing to /opt/ml/model" in line for line in bench.said)


def test_the_failure_file_says_why(anywhere: Bench) -> None:
    anywhere.put(
        "s3://b/code/train.py",
        BASE
        + "(base / 'output/failure').write_text('The target has one class only.' + ' ' * 2000)\nraise SystemExit(3)",
    )
    with pytest.raises(JobFailed) as caught:
        run_training(training_request(), anywhere.job())
    assert caught.value.reason == "AlgorithmError: The target has one class only. (exit code 3)"
    assert caught.value.status == "Failed"
    assert anywhere.store.list("s3://b/models") == []


def test_version_2_of_the_sdk_starts_a_script_by_hyperparameters(anywhere: Bench) -> None:
    script = """
import json, os, sys, helper
found = {"arguments": sys.argv[1:], "cwd": os.getcwd(), "environment": {k: v for k, v in os.environ.items() if k.startswith("SM_")}}
open(os.environ["SM_MODEL_DIR"] + "/found.json", "w").write(json.dumps(found))
"""
    anywhere.put("s3://b/src/sourcedir.tar.gz", sourcedir(train__py=script, helper__py="", requirements__txt="mlflow"))
    anywhere.put("s3://b/data/train/train.csv", "1,2")
    request = training_request(
        HyperParameters={
            "sagemaker_program": '"train.py"',
            "sagemaker_submit_directory": '"s3://b/src/sourcedir.tar.gz"',
            "sagemaker_container_log_level": "20",
            "n-estimators": '"40"',
            "flag": "true",
            "k": "3",
        },
        InputDataConfig=[{"ChannelName": "train", "DataSource": {"S3DataSource": CHANNEL}}],
    )
    del request["AlgorithmSpecification"]["ContainerEntrypoint"]
    described = run_training(request, anywhere.job())
    found = json.loads(model(anywhere, described["ModelArtifacts"]["S3ModelArtifacts"])["found.json"])
    assert found["arguments"] == ["--flag", "True", "-k", "3", "--n-estimators", "40"]
    ml = found["environment"]["SM_MODEL_DIR"].removesuffix("/model")
    assert found["cwd"] == f"{ml}/code"
    assert found["environment"]["SM_CHANNEL_TRAIN"] == f"{ml}/input/data/train"
    assert json.loads(found["environment"]["SM_HPS"]) == {"n-estimators": "40", "flag": True, "k": 3}
    assert found["environment"]["SM_HP_N_ESTIMATORS"] == "40"
    assert (ml == "/opt/ml") is (anywhere.mode == "namespaces")
    assert any("pip install of requirements.txt" in line for line in anywhere.said)


@pytest.mark.parametrize(
    ("archive", "program", "message"),
    [
        (sourcedir(other__py=""), "train.py", "train.py is not in s3://b/src/sourcedir.tar.gz"),
        (b"no archive", "train.py", "cannot be unpacked"),
        (sourcedir(**{"../evil__py": ""}), "train.py", "cannot be unpacked"),
        (sourcedir(train=""), "train", "neither a .py nor a .sh"),
        (None, "train.py", "No object is under"),
    ],
)
def test_a_submit_directory_that_cannot_be_used_is_named(
    bench: Bench, archive: bytes | None, program: str, message: str
) -> None:
    if archive is not None:
        bench.put("s3://b/src/sourcedir.tar.gz", archive)
    request = training_request(
        HyperParameters={"sagemaker_program": program, "sagemaker_submit_directory": "s3://b/src/sourcedir.tar.gz"},
        InputDataConfig=[],
    )
    del request["AlgorithmSpecification"]["ContainerEntrypoint"]
    with pytest.raises(JobFailed, match=message):
        run_training(request, bench.job())


def test_version_3_of_the_sdk_brings_its_drivers_in_a_channel(anywhere: Bench) -> None:
    """The shape of what ModelTrainer sends: a shell script that finds python and pip, sources variables, starts a driver."""
    drivers = "s3://b/drivers/"
    anywhere.put(
        f"{drivers}sm_train.sh",
        """#!/bin/bash
set -e
PYTHON=$(command -v python3); PIP=$(command -v pip3)
[ -n "$PYTHON" ] && [ -n "$PIP" ]
$PYTHON /opt/ml/input/data/sm_drivers/scripts/environment.py
source /opt/ml/input/sm_training.env
cd /opt/ml/input/data/code
$PYTHON $SM_ENTRY_SCRIPT
""",
    )
    anywhere.put(
        f"{drivers}scripts/environment.py",
        "import json, os\nresources = json.load(open('/opt/ml/input/config/resourceconfig.json'))\n"
        "os.environ['TRAINING_JOB_NAME'], resources['network_interface_name'], resources['current_instance_type']\n"
        "lines = ['export SM_ENTRY_SCRIPT=train.py', 'export SM_MODEL_DIR=/opt/ml/model', '']\n"
        "open('/opt/ml/input/sm_training.env', 'w').write('\\n'.join(lines))",
    )
    anywhere.put("s3://b/code/train.py", "import os\nopen(os.environ['SM_MODEL_DIR'] + '/m', 'w').write('trained')")
    request = training_request()
    source = {"S3DataType": "S3Prefix", "S3Uri": drivers}
    request["InputDataConfig"].append({"ChannelName": "sm_drivers", "DataSource": {"S3DataSource": source}})
    script = "/opt/ml/input/data/sm_drivers/sm_train.sh"
    request["AlgorithmSpecification"] |= {
        "ContainerEntrypoint": ["/bin/bash"],
        "ContainerArguments": ["-c", f"chmod +x {script} && {script}"],
    }
    described = run_training(request, anywhere.job())
    assert model(anywhere, described["ModelArtifacts"]["S3ModelArtifacts"]) == {"m": "trained"}


HOSTS = (
    BASE
    + """
import json, socket, time
config = json.loads((base / "input/config/resourceconfig.json").read_text())
me, hosts = config["current_host"], config["hosts"]
if me == hosts[0]:
    listening = socket.create_server(("", 29500))
    names = [me]
    while len(names) < len(hosts):
        names.append(listening.accept()[0].recv(100).decode())
    (base / "model/names.json").write_text(json.dumps(sorted(names)))
else:
    for _ in range(100):
        try:
            connection = socket.create_connection((hosts[0], 29500))
            break
        except OSError:
            time.sleep(0.05)
    connection.sendall(me.encode())
    (base / "model" / me).write_text(me)
print("score=%d;" % len(hosts))
"""
)


def test_several_hosts_are_as_many_processes_that_reach_each_other(bench: Bench) -> None:
    bench.mode = "namespaces"
    bench.put("s3://b/code/train.py", HOSTS)
    request = training_request()
    request["ResourceConfig"]["InstanceCount"] = 3
    request["AlgorithmSpecification"]["MetricDefinitions"] = [{"Name": "score", "Regex": "score=(.*?);"}]
    described = run_training(request, bench.job())
    held = model(bench, described["ModelArtifacts"]["S3ModelArtifacts"])
    assert held == {"names.json": '["algo-1", "algo-2", "algo-3"]', "algo-2": "algo-2", "algo-3": "algo-3"}
    assert described["FinalMetricDataList"][0]["Value"] == 3
    assert sorted(item.name for item in (bench.root / "jobs/churn--job").glob("*.log")) == [
        "job-algo-2.log",
        "job-algo-3.log",
        "job.log",
    ]


def test_one_host_that_fails_ends_the_others(bench: Bench) -> None:
    bench.mode = "namespaces"
    bench.put(
        "s3://b/code/train.py",
        BASE
        + "import json, time\nif 'algo-2' == json.loads((base / 'input/config/resourceconfig.json').read_text())['current_host']:\n"
        "    raise ValueError('algo-2 broke')\ntime.sleep(50)",
    )
    request = training_request(StoppingCondition={"MaxRuntimeInSeconds": 30})
    request["ResourceConfig"]["InstanceCount"] = 2
    with pytest.raises(JobFailed) as caught:
        run_training(request, bench.job())
    assert "ValueError: algo-2 broke" in caught.value.reason
    assert "MaxRuntimeExceeded" not in str(caught.value)


def test_hosts_that_write_the_same_file_differently_are_refused(bench: Bench) -> None:
    bench.mode = "namespaces"
    bench.put(
        "s3://b/code/train.py",
        BASE + "(base / 'model/m').write_text((base / 'input/config/resourceconfig.json').read_text())",
    )
    request = training_request()
    request["ResourceConfig"]["InstanceCount"] = 2
    with pytest.raises(JobFailed, match="two hosts wrote different files m"):
        run_training(request, bench.job())


def test_a_request_alone_is_checked_too(bench: Bench) -> None:
    with pytest.raises(DefinitionError, match="use File"):
        request: dict[str, Any] = training_request()
        request["AlgorithmSpecification"]["TrainingInputMode"] = "Pipe"
        run_training(request, bench.job())


def test_a_job_needs_a_new_folder(bench: Bench) -> None:
    bench.put("s3://b/code/train.py", "")
    run_training(training_request(), bench.job())
    with pytest.raises(PlaceError, match="is not empty"):
        run_training(training_request(), bench.job())
