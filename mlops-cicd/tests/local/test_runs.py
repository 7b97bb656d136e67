"""Whole runs: order, branches, names, state on disk, and how they end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from mlops_cicd.local import DefinitionError, JobFailed
from tests.local.support import OUT, Bench, pipeline, processing, training_request


def gate(mse: float, *, then: list[dict[str, Any]], otherwise: list[dict[str, Any]]) -> dict[str, Any]:
    left = {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Eval.PropertyFiles.Report"}, "Path": "metrics.mse.value"}}
    condition = {"Type": "LessThanOrEqualTo", "LeftValue": left, "RightValue": mse}
    return {
        "Name": "Gate",
        "Type": "Condition",
        "Arguments": {"Conditions": [condition], "IfSteps": then, "ElseSteps": otherwise},
    }


def story(mse: float = 5.0) -> dict[str, Any]:
    """Train, evaluate, and register behind a gate, written by hand from AWS's pages."""
    train: dict[str, Any] = {
        "Name": "Train",
        "Type": "Training",
        "Arguments": training_request(TrainingJobName="churn--train"),
    }
    output = {"Std:Join": {"On": "/", "Values": ["s3://b/models", {"Get": "Execution.PipelineExecutionId"}]}}
    train["Arguments"]["OutputDataConfig"]["S3OutputPath"] = output
    artifact = {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}
    evaluate = processing(
        "Eval", PropertyFiles=[{"PropertyFileName": "Report", "OutputName": "out", "FilePath": "r.json"}]
    )
    model = {
        "S3Uri": artifact,
        "LocalPath": "/opt/ml/processing/model",
        "S3DataType": "S3Prefix",
        "S3InputMode": "File",
    }
    evaluate["Arguments"]["ProcessingInputs"].append({"InputName": "model", "S3Input": model})
    register = {
        "Name": "Register-RegisterModel",
        "Type": "RegisterModel",
        "Arguments": {
            "ModelPackageGroupName": "churn",
            "ModelApprovalStatus": {"Get": "Parameters.Status"},
            "InferenceSpecification": {"Containers": [{"Image": "i", "ModelDataUrl": artifact}]},
            "ModelPackageDescription": None,
        },
    }
    message = {"Std:Join": {"On": " ", "Values": ["MSE above", {"Get": "Parameters.Status"}]}}
    stop = {"Name": "TooHigh", "Type": "Fail", "Arguments": {"ErrorMessage": message}}
    status = {"Name": "Status", "Type": "String", "DefaultValue": "PendingManualApproval"}
    return pipeline(gate(mse, then=[register], otherwise=[stop]), evaluate, train, Parameters=[status])


def put_story(bench: Bench, mse: float = 4.0) -> None:
    bench.put("s3://b/code/train.py", OUT + "(base / 'model/m.txt').write_text('model')\nprint('trained')\n")
    bench.put(
        "s3://b/code/Eval.py",
        OUT
        + f"import json, tarfile\nassert tarfile.open(base / 'processing/model/model.tar.gz').getnames() == ['m.txt']\n"
        f"(out / 'r.json').write_text(json.dumps({{'metrics': {{'mse': {{'value': {mse}}}}}}}))\n"
        "(base / 'output/message').write_text('mse written')\n",
    )


def test_a_definition_written_by_hand_registers_a_model(anywhere: Bench) -> None:
    put_story(anywhere)
    execution = anywhere.run(story())
    assert (execution.status, execution.failure) == ("Succeeded", None)
    assert [item.name for item in execution.steps if item.status == "Succeeded"] == [
        "Train",
        "Eval",
        "Gate",
        "Register-RegisterModel",
    ]
    assert execution.step("TooHigh").status == "NotRun"
    version = anywhere.registry.list_model_packages("churn")[0]
    assert version["ModelApprovalStatus"] == "PendingManualApproval"
    assert "ModelPackageDescription" not in version
    artifact = version["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
    job = execution.step("Train").output["TrainingJobName"]
    assert artifact == f"s3://b/models/{execution.id}/{job}/output/model.tar.gz"
    assert job.startswith(f"churn--train-{execution.id}-")
    assert execution.step("Eval").output["ExitMessage"] == "mse written"
    assert execution.step("Gate").detail == "4.0 LessThanOrEqualTo 5.0: met"
    assert ("Eval", "Executing", "") in anywhere.reported
    assert ("Eval", "Succeeded", "mse written") in anywhere.reported
    assert ("TooHigh", "NotRun", "another branch was taken") in anywhere.reported


def test_state_is_on_disk_while_it_runs_and_when_it_has_ended(bench: Bench) -> None:
    put_story(bench)
    seen: list[dict[str, Any]] = []

    def authorize(operation: str, request: Any) -> None:
        state = next((bench.root / "runs").glob("*/execution.json"))
        seen.append({item["StepName"]: item["StepStatus"] for item in json.loads(state.read_text())["Steps"]})

    execution = bench.run(story(), authorize=authorize, parameters={"Status": "Approved"}, execution_id="abcdefghij12")
    assert seen[1] == {
        "Train": "Succeeded", "Eval": "Executing", "Gate": "Starting", "TooHigh": "Starting", "Register-RegisterModel": "Starting"
    }  # fmt: skip
    state = json.loads((execution.folder / "execution.json").read_text())
    assert state["PipelineExecutionStatus"] == "Succeeded"
    assert (
        state["PipelineExecutionArn"]
        == "arn:aws:sagemaker:eu-central-1:111122223333:pipeline/churn-p1/execution/abcdefghij12"
    )
    assert state["PipelineParameters"] == {"Status": "Approved"}
    assert state["StartTime"] < state["EndTime"]
    assert bench.registry.list_model_packages("churn")[0]["ModelApprovalStatus"] == "Approved"
    with pytest.raises(DefinitionError, match="has run already"):
        bench.run(story(), execution_id="abcdefghij12")


def test_a_gate_that_is_not_met_ends_with_the_fail_steps_message(bench: Bench) -> None:
    put_story(bench, mse=9.0)
    execution = bench.run(story())
    assert execution.status == "Failed"
    assert execution.failure == "Step TooHigh: MSE above PendingManualApproval"
    assert execution.step("Register-RegisterModel").status == "NotRun"
    assert bench.registry.list_model_packages("churn") == []


def test_a_report_without_the_metric_fails_the_gate_and_says_where(bench: Bench) -> None:
    put_story(bench)
    bench.put("s3://b/code/Eval.py", OUT + "(out / 'r.json').write_text('{\"metrics\": {\"rmse\": 1}}')\n")
    execution = bench.run(story())
    assert execution.step("Gate").status == "Failed"
    assert "metrics.mse.value in property file Report of step Eval: there is no 'mse' (there is: rmse)" in str(
        execution.failure
    )


@pytest.mark.parametrize(
    ("script", "message"),
    [("pass", "is not there: let the step write it"), ("(out / 'r.json').write_text('{')", "is no JSON")],
)
def test_a_report_that_is_not_there_or_broken_is_named(bench: Bench, script: str, message: str) -> None:
    put_story(bench)
    bench.put("s3://b/code/Eval.py", OUT + script)
    assert message in str(bench.run(story()).failure)


def test_a_failing_script_ends_the_run_with_its_last_words(anywhere: Bench) -> None:
    anywhere.put("s3://b/code/A.py", "print('reading')\nraise ValueError('The column target is not there.')\n")
    execution = anywhere.run(pipeline(processing("A"), processing("B")))
    assert execution.status == "Failed"
    assert str(execution.failure).startswith(
        "Step A: AlgorithmError: ValueError: The column target is not there. (exit code 1)\nreading"
    )
    assert (execution.step("B").status, execution.step("B").detail) == ("NotRun", "the run ended before")
    assert anywhere.reported[-1][2] == "AlgorithmError: ValueError: The column target is not there. (exit code 1)"
    log = execution.step("A").log
    assert log is not None
    assert log.read_text().startswith("reading\nTraceback")
    assert anywhere.store.list("s3://b/out") == []


def test_a_program_that_is_not_there_is_named(anywhere: Bench) -> None:
    step = processing("A")
    step["Arguments"]["AppSpecification"]["ContainerEntrypoint"] = ["r-script", "x"]
    anywhere.put("s3://b/code/A.py", "")
    assert "r-script" in str(anywhere.run(pipeline(step)).failure)


def test_missing_input_is_named(bench: Bench) -> None:
    failure = str(bench.run(pipeline(processing("A"))).failure)
    assert (
        failure
        == "Step A: ClientError: No object is under s3://b/code/A.py. Write the data there first, or mend the URI."
    )


def test_a_step_that_is_refused_does_not_run(bench: Bench) -> None:
    bench.put("s3://b/code/A.py", OUT + "(out / 'x').write_text('x')")

    def authorize(operation: str, request: Any) -> None:
        assert operation == "CreateProcessingJob"
        assert request["ProcessingJobName"].startswith("pipelines-")
        raise JobFailed("AccessDeniedException: not you")

    execution = bench.run(pipeline(processing("A")), authorize=authorize)
    assert execution.failure == "Step A: AccessDeniedException: not you"
    assert bench.store.list("s3://b/out") == []


def test_steps_that_need_a_branch_not_taken_do_not_run(bench: Bench) -> None:
    for name in ("In", "After", "Free"):
        bench.put(f"s3://b/code/{name}.py", "")
    condition = {"Type": "Equals", "LeftValue": 1, "RightValue": 2}
    inner = {
        "Name": "Inner",
        "Type": "Condition",
        "Arguments": {"Conditions": [condition], "IfSteps": [processing("In")]},
    }
    outer = {
        "Name": "Outer",
        "Type": "Condition",
        "Arguments": {"Conditions": [condition], "IfSteps": [inner], "ElseSteps": []},
    }
    execution = bench.run(
        pipeline(processing("After", DependsOn=["In"]), outer, processing("Free", DependsOn=["Outer"]))
    )
    status = {item.name: item.status for item in execution.steps}
    assert status == {"Outer": "Succeeded", "Inner": "NotRun", "In": "NotRun", "After": "NotRun", "Free": "Succeeded"}
    assert execution.status == "Succeeded"


def test_an_output_that_stays_empty_is_told_and_no_error(bench: Bench) -> None:
    bench.put("s3://b/code/A.py", "")
    execution = bench.run(pipeline(processing("A")))
    assert execution.status == "Succeeded"
    assert any("the output out stayed empty" in line for line in bench.said)


MARK = str(800_000 + os.getpid())  # other test runs have sleepers of their own
SLEEPER = f"""{OUT}
import time, subprocess
subprocess.Popen(['sleep', '{MARK}'])
print('asleep', flush=True)
time.sleep(60)
"""


def sleepers() -> list[str]:
    found = []
    for item in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if MARK.encode() in item.read_bytes().split(b"\0"):
                found.append(item.parent.name)
        except OSError:
            continue
    return found


def test_the_time_limit_ends_the_job_and_its_children(anywhere: Bench) -> None:
    anywhere.put("s3://b/code/A.py", SLEEPER)
    step = processing("A")
    step["Arguments"]["StoppingCondition"]["MaxRuntimeInSeconds"] = 1
    execution = anywhere.run(pipeline(step))
    assert execution.status == "Failed"
    assert "MaxRuntimeExceeded: the job ran longer than 1 seconds" in str(execution.failure)
    assert "asleep" in str(execution.failure)
    assert sleepers() == []


def test_stop_from_another_thread_ends_the_job(anywhere: Bench) -> None:
    anywhere.put("s3://b/code/A.py", SLEEPER)
    stop = threading.Event()
    threading.Timer(0.8, stop.set).start()
    execution = anywhere.run(pipeline(processing("A"), processing("B")), stop=stop)
    assert (execution.status, execution.step("A").status, execution.step("B").status) == (
        "Stopped",
        "Stopped",
        "NotRun",
    )
    assert json.loads((execution.folder / "execution.json").read_text())["PipelineExecutionStatus"] == "Stopped"
    assert sleepers() == []


def test_the_keyboard_stops_the_run_and_leaves_nothing_behind(bench: Bench) -> None:
    bench.put("s3://b/code/A.py", SLEEPER)
    program = textwrap.dedent(f"""
        from pathlib import Path
        from tests.local.support import Bench, pipeline, processing
        print(Bench(Path({str(bench.root)!r})).run(pipeline(processing("A"))).status)
    """)
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=root, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(root)}
    )
    deadline = time.monotonic() + 20
    while not sleepers() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20)[0].strip() == b"Stopped"
    state = json.loads(next((bench.root / "runs").glob("*/execution.json")).read_text())
    assert (state["PipelineExecutionStatus"], state["Steps"][0]["StepStatus"]) == ("Stopped", "Stopped")
    assert sleepers() == []
