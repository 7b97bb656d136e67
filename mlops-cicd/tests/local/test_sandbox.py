"""What a job sees: its own /opt/ml, /tmp and home, no network, and nothing of the caller's."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlops_cicd.local import Image, PlaceError, sandbox
from tests.local.support import OUT, Bench, pipeline, processing

SEEN = (
    OUT
    + """
import json, socket, sys, tempfile
seen = {"environment": dict(os.environ), "arguments": sys.argv[1:], "python": sys.executable, "home": os.path.expanduser("~"),
        "cwd": os.getcwd(), "temporary": tempfile.gettempdir()}
listening = socket.create_server(("127.0.0.1", 0))
socket.create_connection(listening.getsockname()).close()
seen["self"] = socket.gethostbyname("algo-1") if "SAGEMAKER_BASE_DIR" not in os.environ else None
probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
try:
    probe.connect(("192.0.2.1", 9))
    seen["network"] = True
except OSError:
    seen["network"] = False
seen["aws"] = os.path.exists(os.environ["CALLERS_HOME"] + "/.aws/credentials")
seen["leak"] = os.path.exists("/tmp/of-another-step")
open("/tmp/of-another-step" if seen["home"] == "/tmp/home" else tempfile.gettempdir() + "/x", "w").close()
seen["config"] = json.loads((base / "config/processingjobconfig.json").read_text())
seen["hosts"] = json.loads((base / "config/resourceconfig.json").read_text())
(out / "seen.json").write_text(json.dumps(seen))
"""
)


def look(bench: Bench, home: Path, **environment: str) -> dict[str, Any]:
    names = ["A", "B"]
    steps = []
    for name in names:
        step = processing(name)
        bench.put(f"s3://b/code/{name}.py", SEEN)
        step["Arguments"]["Environment"] = {
            "MINE": "at /opt/ml/model and /opt/mlx",
            "CALLERS_HOME": str(home),
            **environment,
        }
        step["Arguments"]["AppSpecification"]["ContainerArguments"] = ["--data", "/opt/ml/processing/input"]
        steps.append(step)
    steps[0]["Arguments"]["AppSpecification"]["ContainerEntrypoint"][0] = "/miniconda3/bin/python"
    execution = bench.run(pipeline(*steps))
    assert execution.status == "Succeeded", execution.failure
    return json.loads(bench.read("s3://b/out/B/seen.json"))  # type: ignore[no-any-return]


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home with credentials, outside of /tmp (which a job does not see anyway)."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        (Path(folder) / ".aws").mkdir()
        (Path(folder) / ".aws/credentials").write_text("secret")
        monkeypatch.setenv("HOME", folder)
        yield Path(folder)


def test_a_job_is_on_its_own(anywhere: Bench, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_PROFILE", "mine")
    Path("/tmp/of-another-step").unlink(missing_ok=True)
    seen = look(anywhere, home)
    environment = seen["environment"]
    assert not [key for key in environment if key.startswith("AWS_") and key != "AWS_REGION"]
    assert environment["AWS_REGION"] == "eu-central-1"
    assert "secret" not in json.dumps(environment)
    allowed = {"PATH", "HOME", "LANG", "TMPDIR", "PWD", "LC_CTYPE", "MINE", "CALLERS_HOME", "AWS_REGION", "PROCESSING_JOB_ARN",
               "PYTHONPATH", "PYTHONPYCACHEPREFIX", "PYTHONUNBUFFERED", "SAGEMAKER_BASE_DIR", "SHLVL", "_", "OLDPWD"}  # fmt: skip
    assert set(environment) <= allowed
    assert Path(seen["python"]) == Path(os.path.abspath(anywhere.place.python))  # noqa: PTH100
    assert seen["hosts"] == {"current_host": "algo-1", "hosts": ["algo-1"]}
    assert seen["config"]["ProcessingJobName"] in seen["config"]["ProcessingJobArn"]
    if anywhere.mode == "namespaces":
        assert (seen["network"], seen["aws"], seen["leak"], seen["self"]) == (False, False, False, "127.0.0.1")
        assert (seen["cwd"], seen["home"], seen["temporary"]) == ("/opt/ml", "/tmp/home", "/tmp")
        assert (environment["MINE"], seen["arguments"]) == (
            "at /opt/ml/model and /opt/mlx",
            ["--data", "/opt/ml/processing/input"],
        )
        assert not [line for line in anywhere.said if "namespaces" in line]
    else:
        ml = seen["cwd"]
        assert environment["SAGEMAKER_BASE_DIR"] == ml
        assert (environment["MINE"], seen["arguments"]) == (
            f"at {ml}/model and /opt/mlx",
            ["--data", f"{ml}/processing/input"],
        )
        assert Path(seen["home"]).is_relative_to(anywhere.root)
        assert len([line for line in anywhere.said if "SAGEMAKER_BASE_DIR" in line]) == 1
    assert not Path("/tmp/of-another-step").exists()


def test_the_machine_keeps_its_opt(bench: Bench) -> None:
    bench.mode = "namespaces"
    bench.put("s3://b/code/A.py", OUT + "print(sorted(os.listdir('/opt')), os.path.ismount('/opt/ml'))")
    execution = bench.run(pipeline(processing("A")))
    log = execution.step("A").log
    assert log is not None
    assert log.read_text().strip() == f"{sorted({*(item.name for item in Path('/opt').iterdir()), 'ml'})} True"


def test_where_namespaces_are_refused_auto_maps_and_namespaces_refuses(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.isolation.cache_clear()
    monkeypatch.setattr(sandbox, "_FLAGS", (("false",), ("sh", "-c", "echo unshare: not permitted >&2; exit 1")))
    try:
        assert sandbox.isolation("auto").mapped
        assert sandbox.isolation("auto").why == "unshare: not permitted"
        with pytest.raises(PlaceError, match=r"unshare: not permitted.*use the mode mapped"):
            sandbox.isolation("namespaces")
    finally:
        sandbox.isolation.cache_clear()


def test_without_the_unshare_program_auto_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox.isolation.cache_clear()
    monkeypatch.setattr("shutil.which", lambda name: None)
    try:
        assert sandbox.isolation("auto").why == "there is no unshare program"
    finally:
        sandbox.isolation.cache_clear()


def test_packages_are_compiled_once_and_a_jobs_own_files_never(anywhere: Bench) -> None:
    """Two steps may have different code at the same path, of the same size and in the same second."""
    for name in ("A", "B"):
        anywhere.put(
            f"s3://b/code/{name}/main.py", OUT + "import helper, jmespath\n(out / 'x').write_text(helper.name)"
        )
        anywhere.put(f"s3://b/code/{name}/helper.py", f"name = '{name}'")
    steps = []
    for name in ("A", "B"):
        step = processing(name)
        step["Arguments"]["ProcessingInputs"][0]["S3Input"]["S3Uri"] = f"s3://b/code/{name}/"
        step["Arguments"]["AppSpecification"]["ContainerEntrypoint"][1] = "/opt/ml/processing/input/code/main.py"
        steps.append(step)
    anywhere.image = Image()
    assert anywhere.run(pipeline(*steps)).failure is None
    assert [anywhere.read(f"s3://b/out/{name}/x") for name in "AB"] == ["A", "B"]
    compiled = [item.name for item in (anywhere.root / "runs/cache/bytecode").rglob("*.pyc")]
    assert [item for item in compiled if item.startswith("lexer.")]
    assert not [item for item in compiled if item.startswith("helper.")]
    assert list(anywhere.root.rglob("__pycache__")) == []


def test_spark_jobs_go_to_the_spark_of_this_machine(bench: Bench) -> None:
    bench.mode = "mapped"
    bench.put("s3://b/code/A.py", "")
    step = processing("A")
    app = step["Arguments"]["AppSpecification"]
    app["ContainerEntrypoint"] = [
        "smspark-submit",
        "--local-spark-event-logs-dir",
        "/x",
        "/opt/ml/processing/input/code/A.py",
    ]
    app["ContainerArguments"] = ["--target", "a b"]
    assert "Install pyspark for the jobs, and Java" in str(bench.run(pipeline(step)).failure)
    program = bench.root / "bin/spark-submit"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nfor word in "$@"; do echo "<$word>"; done\n')
    program.chmod(0o755)
    step["Arguments"]["Environment"] = {"PATH": f"{program.parent}:/usr/bin:/bin"}
    log = bench.run(pipeline(step)).step("A").log
    assert log is not None
    words = log.read_text().split("\n")
    assert words[:2] == ["<--master>", "<local[*]>"]
    assert words[2].endswith("/processing/input/code/A.py>")
    assert words[3:5] == ["<--target>", "<a b>"]
