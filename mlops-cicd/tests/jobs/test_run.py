"""run.py and buildspec.yml: a job by its name, and nothing that knows the jobs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import run
from botocore.exceptions import ClientError, EndpointConnectionError
from mlops_cicd import clients
from mlops_cicd.builds import exit_code
from mlops_cicd.errors import CicdError
from ruamel.yaml import YAML
from tests.jobs.aws import Refused, Service
from tests.jobs.making import environment, write_project

ROOT = Path(run.__file__).parent


def test_the_folders_are_the_jobs() -> None:
    assert run.names() == ["push_image", "sm_pipeline", "validate"]


@pytest.mark.parametrize("arguments", [[], [""], ["nothing"], ["validate", "more"], ["../validate"]])
def test_another_name_is_refused_with_the_names_that_there_are(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.main(arguments, {}) == 2
    assert "one of: push_image, sm_pipeline, validate" in capsys.readouterr().out


@pytest.mark.parametrize("broken", [False, True])
def test_a_job_runs_as_the_buildspec_runs_it(tmp_path: Path, broken: bool) -> None:
    write_project(tmp_path)
    if broken:
        (tmp_path / "model_config.yaml").unlink()
    done = subprocess.run(
        [sys.executable, "run.py", "validate"],
        cwd=ROOT,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == (1 if broken else 0), done
    assert ("model_config.yaml:1" if broken else "model_config.yaml: right") in done.stdout
    assert done.stderr == ""


def test_the_buildspec_installs_what_is_locked_and_runs_the_job_that_is_named() -> None:
    spec: Any = YAML(typ="safe").load((ROOT / "buildspec.yml").read_text(encoding="utf-8"))
    assert spec["version"] == 0.2
    install, build = spec["phases"]["install"]["commands"], spec["phases"]["build"]["commands"]
    assert build == ['.venv/bin/python run.py "$JOB"']
    assert all(isinstance(command, str) for command in [*install, *build])
    assert any("--require-hashes -r requirements.txt" in command for command in install)
    for phase in (install, build):
        for command in phase:
            assert subprocess.run(["bash", "-n", "-c", command], check=False).returncode == 0
    text = (ROOT / "buildspec.yml").read_text(encoding="utf-8")
    assert not [name for name in run.names() if name in text]


@pytest.mark.parametrize(
    ("domain", "logged"), [("none", ""), ("mlops", "codeartifact login --tool pip --domain mlops --repository pypi\n")]
)
def test_the_buildspec_signs_in_at_the_package_index_where_there_is_one(
    tmp_path: Path, domain: str, logged: str
) -> None:
    spec: Any = YAML(typ="safe").load((ROOT / "buildspec.yml").read_text(encoding="utf-8"))
    aws = tmp_path / "aws"
    aws.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n')
    aws.chmod(0o755)
    values = {"PATH": f"{tmp_path}:/usr/bin:/bin", "PYPI_DOMAIN": domain, "PYPI_REPOSITORY": "pypi"}
    subprocess.run(["bash", "-c", spec["phases"]["install"]["commands"][0]], env=values, check=True)
    calls = tmp_path / "calls"
    assert (calls.read_text() if calls.exists() else "") == logged


def test_exit_codes_tell_the_projects_faults_from_the_platforms(capsys: pytest.CaptureFixture[str]) -> None:
    def raising(error: Exception) -> int:
        def work() -> int:
            raise error

        return exit_code(work)

    answer: Any = {"Error": {"Code": "AccessDenied", "Message": "no", "Service": "s3"}}
    denied = ClientError(answer, "ListObjectsV2")
    assert raising(CicdError("Mend the file.")) == 1
    assert raising(clients.PlatformError("Ask the admin.")) == 2
    assert raising(denied) == 2
    assert raising(EndpointConnectionError(endpoint_url="https://ecr")) == 2
    text = capsys.readouterr().out
    assert "Mend the file." in text
    assert "s3:ListBucket was denied (AccessDenied: no)" in text
    assert "AWS can't be reached" in text
    with pytest.raises(ZeroDivisionError):
        raising(ZeroDivisionError())


def test_clients_give_up_soon_and_try_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    config = clients.client("ecr", "eu-central-1").meta.config
    assert config.connect_timeout <= 10
    assert config.retries["mode"] == "standard"
    assert config.retries["total_max_attempts"] > 2


def test_an_error_knows_its_service_and_action() -> None:
    def refuse(operation: str, params: dict[str, Any]) -> dict[str, Any]:
        raise Refused("AccessDeniedException", "no")

    with pytest.raises(ClientError) as raised:
        Service("codeartifact", refuse).client.get_authorization_token(domain="mlops")
    assert clients.action_of(raised.value) == "codeartifact:GetAuthorizationToken"
    assert "codeartifact:GetAuthorizationToken was denied" in clients.explain(raised.value)
