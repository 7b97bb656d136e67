"""Transform jobs and the model server behind them."""

from __future__ import annotations

import io
import json
import tarfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from mlops_cicd.local import DefinitionError, Execution, Image, JobFailed, run_transform, serve
from tests.local.support import INFERENCE, Bench, pipeline

MODEL = {
    "PrimaryContainer": {
        "Image": "registry/serve:1",
        "ModelDataUrl": "s3://b/m/model.tar.gz",
        "Environment": {"SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code"},
    },
    "ExecutionRoleArn": "r",
    "EnableNetworkIsolation": True,
}


def put_model(bench: Bench, program: str = INFERENCE, name: str = "code/inference.py") -> None:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as archive:
        for path, text in {"model.json": json.dumps({"factor": 10}), name: program}.items():
            info = tarfile.TarInfo(path)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    bench.put("s3://b/m/model.tar.gz", raw.getvalue())


def request(**more: Any) -> dict[str, Any]:
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/batch"}}
    given = {"DataSource": source, "ContentType": "text/csv", "SplitType": "Line"}
    return {
        "ModelName": "m",
        "BatchStrategy": "MultiRecord",
        "TransformInput": given | more.pop("given", {}),
        "TransformOutput": {"S3OutputPath": "s3://b/scores", "Accept": "text/csv", "AssembleWith": "Line"}
        | more.pop("wanted", {}),
        "TransformResources": {"InstanceCount": 1, "InstanceType": "ml.m5.large"},
        **more,
    }


def test_every_object_becomes_an_out_file(anywhere: Bench) -> None:
    put_model(anywhere)
    anywhere.put("s3://b/batch/batch.csv", "1,2\n3,4\n")
    anywhere.put("s3://b/batch/deep/more.csv", "5,6")
    described = run_transform(request(), MODEL, anywhere.job())
    assert described["TransformJobStatus"] == "Completed"
    assert anywhere.store.list("s3://b/scores") == ["s3://b/scores/batch.csv.out", "s3://b/scores/deep/more.csv.out"]
    assert anywhere.read("s3://b/scores/batch.csv.out") == "30.0\n70.0\n"
    assert anywhere.read("s3://b/scores/deep/more.csv.out") == "110.0\n"


ECHO = """
import os
def model_fn(folder): return os.environ
def transform_fn(model, body, content_type, accept):
    return f"[{len(body.splitlines())} {model['SAGEMAKER_BATCH_STRATEGY']} {content_type} {accept}]", accept
"""


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, "[3 MULTI_RECORD text/csv text/csv]\n"),
        ({"BatchStrategy": "SingleRecord"}, "[1 SINGLE_RECORD text/csv text/csv]\n" * 3),
        (
            {"wanted": {"AssembleWith": "None"}, "BatchStrategy": "SingleRecord"},
            "[1 SINGLE_RECORD text/csv text/csv]" * 3,
        ),
        ({"given": {"SplitType": "None"}, "wanted": {"AssembleWith": "None"}}, "[3 MULTI_RECORD text/csv text/csv]"),
    ],
)
def test_records_are_split_and_assembled_as_asked(bench: Bench, more: dict[str, Any], expected: str) -> None:
    put_model(bench, ECHO)
    bench.put("s3://b/batch/x.csv", "1\n2\n3\n")
    run_transform(request(**more), MODEL, bench.job())
    assert bench.read("s3://b/scores/x.csv.out") == expected


def test_requests_stay_below_the_payload_limit(bench: Bench) -> None:
    put_model(bench, ECHO)
    bench.put("s3://b/batch/x.csv", f"{'1' * 400_000}\n" * 5)
    run_transform(request(MaxPayloadInMB=1), MODEL, bench.job())
    assert [line[1] for line in bench.read("s3://b/scores/x.csv.out").splitlines()] == ["2", "2", "1"]
    bench.put("s3://b/batch/x.csv", "1" * 1_200_000)
    with pytest.raises(JobFailed, match="Raise MaxPayloadInMB"):
        run_transform(request(MaxPayloadInMB=1), MODEL, bench.job("churn--again"))


def test_rows_that_get_lost_are_told(bench: Bench) -> None:
    put_model(bench, INFERENCE.replace("for row in data]", "for row in data[1:]]"))
    bench.put("s3://b/batch/x.csv", "1\n2\n3\n")
    run_transform(request(), MODEL, bench.job())
    assert any("3 lines went in, 2 came out" in line for line in bench.said)


@pytest.mark.parametrize(
    ("program", "data", "message"),
    [
        (INFERENCE, "a,b\n1,2\n", "x.csv: the model answered 400: The first line is text. Send rows without a header."),
        (INFERENCE, "", "x.csv is empty"),
        (INFERENCE.replace("sum(row)", "row['x']"), "1,2\n", "the model answered 500: TypeError"),
        (INFERENCE.partition("def output_fn")[0] + "output_fn = lambda data, accept: data", "1\n", "output_fn gave list"),
        ("import json\n", "1\n", "inference.py does not define model_fn, input_fn, predict_fn, output_fn. Write them"),
        (INFERENCE.replace("return json.loads", "return open('no model')"), "1\n", "No such file or directory: 'no model'"),
        (INFERENCE.replace("    rows =", "    __import__('os')._exit(4)\n    rows ="), "1\n", "model server ended"),
        ("import ruamel.yaml", "1\n", "imports ruamel, but the image serve:1 does not hold ruamel-yaml"),
    ],
)  # fmt: skip
def test_what_the_model_says_fails_the_job(anywhere: Bench, program: str, data: str, message: str) -> None:
    put_model(anywhere, program)
    anywhere.put("s3://b/batch/x.csv", data)
    anywhere.image = Image(purpose="inference", packages={})
    with pytest.raises(JobFailed) as caught:
        run_transform(request(), MODEL, anywhere.job())
    assert message in caught.value.reason
    assert anywhere.store.list("s3://b/scores") == []


def test_a_program_that_is_not_in_the_model_is_named(bench: Bench) -> None:
    put_model(bench, name="code/other.py")
    bench.put("s3://b/batch/x.csv", "1")
    with pytest.raises(
        JobFailed, match=r"SAGEMAKER_PROGRAM inference.py is not in /opt/ml/model/code \(it holds: other.py\)"
    ):
        run_transform(request(), MODEL, bench.job())


def test_no_input_and_no_model_are_named(bench: Bench) -> None:
    with pytest.raises(JobFailed, match=r"No object is under s3://b/m/model\.tar\.gz"):
        run_transform(request(), MODEL, bench.job("one"))
    put_model(bench)
    with pytest.raises(JobFailed, match="No object is under s3://b/batch"):
        run_transform(request(), MODEL, bench.job("two"))


def test_a_slow_model_meets_the_jobs_limits(bench: Bench) -> None:
    put_model(bench, INFERENCE.replace("return [sum", "import time; time.sleep(30); return [sum"))
    bench.put("s3://b/batch/x.csv", "1")
    with pytest.raises(JobFailed, match="no answer within 1 seconds"):
        run_transform(request(ModelClientConfig={"InvocationsTimeoutInSeconds": 1}), MODEL, bench.job("one"))
    with pytest.raises(JobFailed, match="MaxRuntimeExceeded"):
        run_transform(request(), MODEL, bench.job("two", timeout=1.5))
    stop = threading.Event()
    threading.Timer(1.0, stop.set).start()
    with pytest.raises(JobFailed) as caught:
        run_transform(request(), MODEL, bench.job("three", stop=stop))
    assert caught.value.status == "Stopped"


def call(url: str, body: bytes, **headers: str) -> tuple[int, str, str]:
    asked = urllib.request.Request(url, body, {key.replace("_", "-"): value for key, value in headers.items()})
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return answer.status, answer.read().decode(), answer.headers["Content-Type"]
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(), error.headers["Content-Type"]


def test_a_server_answers_pings_and_invocations_on_this_machine_only(anywhere: Bench) -> None:
    program = INFERENCE + "\nimport socket\nprobe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
    if anywhere.mode == "namespaces":  # the server has no network, and answers all the same
        program += (
            "try:\n    probe.connect(('192.0.2.1', 9))\n    raise SystemExit('a network')\nexcept OSError:\n    pass\n"
        )
    put_model(anywhere, program + "probe.close()\n")
    with serve(MODEL, anywhere.job()) as server:
        assert server.url == f"http://127.0.0.1:{server.port}"
        with urllib.request.urlopen(f"{server.url}/ping", timeout=5) as answer:
            assert (answer.status, answer.read()) == (200, b"")
        url = f"{server.url}/invocations"
        assert call(url, b"1,2\n", Content_Type="text/csv", Accept="text/csv") == (200, "30.0\n", "text/csv")
        assert call(url, b"1,2\n", Content_Type="text/csv")[2] == "application/json"
        assert call(url, b"{}", Content_Type="application/json") == (
            400, "application/json is not read. Send text/csv.", "text/plain; charset=utf-8"
        )  # fmt: skip
        assert call(f"{server.url}/other", b"", Content_Type="text/csv")[0] == 404
        assert server.invoke(b"1", "text/csv")[0] == 200
        process = server.process
    assert process.poll() is not None
    with pytest.raises(urllib.error.URLError):
        call(url, b"")


def test_many_calls_at_once(bench: Bench) -> None:
    put_model(bench, INFERENCE.replace("return [sum", "import time; time.sleep(0.3); return [sum"))
    with serve(MODEL, bench.job()) as server:
        statuses: list[int] = []
        threads = [
            threading.Thread(target=lambda: statuses.append(server.invoke(b"1", "text/csv")[0])) for _ in range(8)
        ]
        started = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert statuses == [200] * 8
        assert time.monotonic() - started < 2


def test_a_model_that_cannot_be_served_is_refused(bench: Bench) -> None:
    with pytest.raises(DefinitionError, match="0 containers"):
        serve({"ExecutionRoleArn": "r"}, bench.job())


def test_a_pipeline_makes_a_model_and_scores_with_it(anywhere: Bench) -> None:
    put_model(anywhere)
    anywhere.put("s3://b/batch/x.csv", "1,2\n")
    model = {"Name": "Model", "Type": "Model", "Arguments": MODEL | {"ModelName": "churn--model"}}
    arguments = request(TransformJobName="churn--batch") | {"ModelName": {"Get": "Steps.Model.ModelName"}}
    execution: Execution = anywhere.run(pipeline({"Name": "Score", "Type": "Transform", "Arguments": arguments}, model))
    assert execution.failure is None
    name = execution.step("Model").output["ModelName"]
    assert name.startswith(f"churn--model-{execution.id}-")
    assert anywhere.registry.describe_model(name)["EnableNetworkIsolation"] is True
    assert anywhere.read("s3://b/scores/x.csv.out") == "30.0\n"
    assert execution.step("Score").detail == "1 records"
    assert Path(str(execution.step("Score").log)).is_file()


def test_a_model_without_data_is_not_made(bench: Bench) -> None:
    execution = bench.run(pipeline({"Name": "Model", "Type": "Model", "Arguments": MODEL}))
    assert "there is no model data at s3://b/m/model.tar.gz" in str(execution.failure)
