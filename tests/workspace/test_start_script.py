"""The start script, run in a home of its own with real git and a stand-in for the AWS CLI: what it sets up, what it leaves
alone, and that nothing in a project's settings is ever run."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from generators.kit.publishing import ROOT
from rehearsal.builds.machine import pip_wheel

START = ROOT / "workspace" / "start.sh"
LOADER = ROOT / "workspace" / "loader.sh"
URL = "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/churn-p-abc123"
CICD_URL = "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/mlops-cicd"
HOST = "https://git-codecommit.eu-west-1.amazonaws.com"
ROLE = "arn:aws:iam::111111111111:role/mlops/churn/mlops-churn-ProjectRole-1A2B"
KEY = "arn:aws:kms:eu-west-1:111111111111:key/1234abcd-12ab-34cd-56ef-1234567890ab"
TRACKING = "arn:aws:sagemaker:eu-west-1:111111111111:mlflow-app/app-ABC123"
SETTINGS: dict[str, str] = {
    "project_name": "churn",
    "project_id": "p-abc123",
    "cost_center": "CC 47/11",
    "problem_type": "binary_classification",
    "inference_type": "realtime",
    "framework": "sklearn",
    "region": "eu-west-1",
    "account_id": "111111111111",
    "project_role_arn": ROLE,
    "project_kms": KEY,
    "project_bucket": "churn-p-abc123",
    "artifact_bucket": "mlops-infra-artifacts-1a2b",
    "vpc": "vpc-0a1b2c3d4e5f60718",
    "private_subnets": "subnet-0a1b2c3d4e5f60718,subnet-0a1b2c3d4e5f60719",
    "sg_compute": "sg-0a1b2c3d4e5f60718",
    "sg_vpce": "sg-0a1b2c3d4e5f60719",
    "repository_name": "churn-p-abc123",
    "repository_arn": "arn:aws:codecommit:eu-west-1:111111111111:churn-p-abc123",
    "repository_url": URL,
    "cicd_repository_url": CICD_URL,
    "model_package_group": "churn-p-abc123",
    "pypi_domain": "mlops-1a2b3c4d",
    "pypi_repository": "pypi",
    "tracking_arn": TRACKING,
    "topic_arn": "arn:aws:sns:eu-west-1:111111111111:churn",
}
SUBNETS = SETTINGS["private_subnets"].split(",")
ENDPOINT = "https://mlops-1a2b3c4d-111111111111.d.codeartifact.eu-west-1.amazonaws.com/pypi/pypi/"
TOKEN = "eyJ2ZXIiOjEsImlzdSI6MTYw.c0RTJ7-_w.Zzz"
# Stands in for the AWS CLI: answers what SSM, CodeArtifact and S3 would, from files in the home.
AWS = """#!/bin/bash
echo "$*" >>"$HOME/calls"
case "$1 $2 $4" in
"ssm get-parameter /mlops/projects/churn/settings") echo "a warning of the CLI" >&2; cat "$HOME/settings.json" ;;
"ssm get-parameter /mlops/projects/churn/start-script") cat "$HOME/start-script" ;;
"codeartifact get-repository-endpoint "*) cat "$HOME/endpoint" ;;
"codeartifact get-authorization-token "*) cat "$HOME/token" ;;
"s3 cp "*) cp "$HOME/published.sh" "${@: -1}" ;;
*) echo "no answer for $*" >&2; exit 254 ;;
esac
"""
# Stands for the command behind inv local.
LOCAL = "import pathlib, sys\nprint(pathlib.Path.cwd().name, sys.argv[1:])\nsys.exit(3)\n"
IDENTITY = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
STEPS = ["settings", "parameters", "sagemaker", "environment", "identity", "pip", "repository", "jobs"]


class Space:
    """One space: its home, the repositories behind it (the project's and the one of the jobs), and what AWS would answer."""

    def __init__(self, folder: Path, template: Path | None = None) -> None:
        self.home, self.bare, self.cicd = folder / "o'hara home", folder / "bare.git", folder / "cicd.git"
        tools = self.home / "bin"
        tools.mkdir(parents=True)
        for name, text in {
            "aws": AWS,
            "python3": f'#!/bin/bash\nexec {shlex.quote(sys.executable)} -S -E "$@"\n',
        }.items():
            (tools / name).write_text(text)
            (tools / name).chmod(0o755)
        self.answer(SETTINGS)
        (self.home / "token").write_text(f"{TOKEN}\n")
        (self.home / "endpoint").write_text(f"{ENDPOINT}\n")
        (self.home / "metadata.json").write_text(json.dumps({"UserProfileName": "ada-churn", "DomainId": "d-1"}))
        self.script = self.home / ".mlops" / "start.sh"
        self.script.parent.mkdir()
        self.script.write_bytes(START.read_bytes())
        self.environment = {
            "HOME": str(self.home),
            "PATH": f"{tools}:/usr/bin:/bin",
            "GIT_CONFIG_NOSYSTEM": "1",
            "MLOPS_RESOURCE_METADATA": str(self.home / "metadata.json"),
        }
        # What git takes for the repositories at CodeCommit.
        if template is None:
            for bare in (self.bare, self.cicd):
                self.git("init", "--quiet", "--bare", "--initial-branch=main", str(bare))
            self.push(folder, "README.md", "Read me.\n")
            self.push(folder, "local.py", LOCAL, self.cicd)
        else:
            for bare in (self.bare, self.cicd):
                shutil.copytree(template / bare.name, bare)
        instead = [
            f'[url "file://{bare}"]\n\tinsteadOf = {url}\n' for bare, url in ((self.bare, URL), (self.cicd, CICD_URL))
        ]
        (self.home / ".gitconfig").write_text("".join(instead))

    def push(self, folder: Path, name: str, text: str, bare: Path | None = None) -> str:
        """Push a file to the project's repository or another one, as somebody else; give the commit."""
        work = folder / f"work-{name}"
        self.git("clone", "--quiet", str(bare or self.bare), str(work))
        commit = self.commit(work, name, text)
        self.git("-C", str(work), "push", "--quiet", "origin", "HEAD:main")
        return commit

    def git(self, *words: str) -> str:
        """Run git as the person does."""
        done = subprocess.run(["git", *words], env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(self, clone: Path, name: str, text: str) -> str:
        """Commit a file in a clone, and give the commit."""
        (clone / name).write_text(text)
        self.git("-C", str(clone), "add", name)
        self.git("-C", str(clone), *IDENTITY, "commit", "--quiet", "-m", name)
        return self.git("-C", str(clone), "rev-parse", "HEAD")

    def answer(self, settings: Mapping[str, Any]) -> None:
        """Have SSM hold these settings."""
        (self.home / "settings.json").write_text(json.dumps(settings, indent=1))

    def start(self, **environment: str) -> tuple[int, str]:
        """Run the start script; give its exit code and what it logged."""
        done = subprocess.run(
            ["bash", str(self.script), "churn"],
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        if "get-authorization-token" in self.calls():
            self.renewer()  # it writes its pid a moment later
        return done.returncode, done.stdout

    def calls(self) -> str:
        """Give the AWS CLI's calls."""
        path = self.home / "calls"
        return path.read_text() if path.is_file() else ""

    def file(self, name: str) -> Path:
        """Give a file of the home."""
        return self.home / name

    def files(self) -> dict[str, tuple[bytes, int]]:
        """Give bytes and mode of all that the script set up, but for git's own book-keeping, the log and the renewer's."""
        left_out = re.compile(r"\.mlops/(start\.log|renewer\.\w+)$|(churn|cicd)/\.git/|calls$")
        return {
            name: (path.read_bytes(), path.stat().st_mode & 0o777)
            for path in sorted(self.home.rglob("*"))
            if path.is_file() and not left_out.search(name := path.relative_to(self.home).as_posix())
        }

    def renewer(self) -> int:
        """Give the process that renews pip's token, once it says which it is."""
        pid = wait_for(lambda: int((self.home / ".mlops" / "renewer.pid").read_text() or 0))
        return int(pid)

    def renewers(self) -> list[int]:
        """List all processes that run this home's start script."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().split(b"\0")
            except OSError:
                continue
            if str(self.script).encode() in words:
                found.append(int(path.parent.name))
        return found

    def end_renewer(self) -> None:
        """End this home's renewer, by its pid, and see it gone."""
        for pid in self.renewers():
            with suppress(ProcessLookupError):  # one too many has gone by itself
                os.kill(pid, signal.SIGTERM)
        wait_for(lambda: not self.renewers())


def wait_for(what: Any) -> Any:
    """Wait until something is so; a file that is not there yet is not."""
    deadline = time.monotonic() + 15
    while True:
        try:
            found = what()
        except (OSError, ValueError):
            found = None
        if found:
            return found
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with both repositories, each with one commit, to copy."""
    return Space(tmp_path_factory.mktemp("repository")).bare.parent


@pytest.fixture
def space(tmp_path: Path, repositories: Path) -> Iterator[Space]:
    """Give a space, and end what it left running."""
    made = Space(tmp_path, repositories)
    yield made
    made.end_renewer()


def failed(log: str) -> list[str]:
    """Give the steps that a run says have failed."""
    return re.findall(r"mlops-start: (\w+) FAILED: ", log)


def defaults(volume_key: bool) -> dict[str, Any]:
    """Say what the SageMaker SDK must find. A path that its schema does not know, in versions 2 and 3, breaks every session."""
    vpc = {"SecurityGroupIds": [SETTINGS["sg_compute"]], "Subnets": SUBNETS}
    volume = {"VolumeKmsKeyId": KEY} if volume_key else {}
    tags = [
        {"Key": "CostCenter", "Value": "CC 47/11"},
        {"Key": "mlops:project", "Value": "churn"},
        {"Key": "sagemaker:project-name", "Value": "churn"},
        {"Key": "sagemaker:project-id", "Value": "p-abc123"},
    ]
    environment = {
        "AWS_DEFAULTS_MODE": "in-region",
        "AWS_STS_REGIONAL_ENDPOINTS": "regional",
        "SAGEMAKER_VALIDATE_ROLE": "false",
        "MLFLOW_EXPERIMENT_NAME": "churn",
        "MLFLOW_TRACKING_URI": TRACKING,
    }
    networking = {
        "subnets": SUBNETS,
        "security_group_ids": [SETTINGS["sg_compute"]],
        "enable_inter_container_traffic_encryption": True,
    }
    place = "s3://churn-p-abc123/experiments"
    found: dict[str, Any] = {
        "PythonSDK": {
            "Modules": {
                "TelemetryOptOut": True,
                "Session": {"DefaultS3Bucket": "churn-p-abc123", "DefaultS3ObjectKeyPrefix": "experiments"},
                "ModelTrainer": {"networking": networking},
                "RemoteFunction": {
                    "RoleArn": ROLE,
                    "S3RootUri": place,
                    "S3KmsKeyId": KEY,
                    **volume,
                    "VpcConfig": vpc,
                    "EnableInterContainerTrafficEncryption": True,
                    "Tags": tags,
                },
                "Serve": {"RoleArn": ROLE, "S3ModelDataUri": place},
            }
        },
        "TrainingJob": {
            "RoleArn": ROLE,
            "VpcConfig": vpc,
            "EnableInterContainerTrafficEncryption": True,
            "OutputDataConfig": {"KmsKeyId": KEY},
            "Environment": environment,
            "Tags": tags,
        },
        "ProcessingJob": {
            "RoleArn": ROLE,
            "NetworkConfig": {"VpcConfig": vpc, "EnableInterContainerTrafficEncryption": True},
            "ProcessingOutputConfig": {"KmsKeyId": KEY},
            "Environment": environment,
            "Tags": tags,
        },
        "TransformJob": {"TransformOutput": {"KmsKeyId": KEY}, "Tags": tags},
        "Model": {"ExecutionRoleArn": ROLE, "VpcConfig": vpc, "Tags": tags},
        "Pipeline": {"RoleArn": ROLE, "Tags": tags},
    }
    if volume_key:
        found["TrainingJob"]["ResourceConfig"] = volume
        found["ProcessingJob"]["ProcessingResources"] = {"ClusterConfig": volume}
        found["TransformJob"]["TransformResources"] = volume
    return {"SchemaVersion": "1.0", "SageMaker": found}


def test_a_first_start_sets_up_everything(space: Space) -> None:
    code, log = space.start()
    assert code == 0, log
    assert re.findall(r"mlops-start: (\w+): ", log) == STEPS
    assert re.search(r"mlops-start: all done for project churn in \d+ s\n$", log)
    assert yaml.safe_load(space.file(".project_params.yaml").read_text()) == {
        "artifact_bucket": "mlops-infra-artifacts-1a2b",
        "framework": "sklearn",
        "inference_type": "realtime",
        "private_subnets": SUBNETS,
        "problem_type": "binary_classification",
        "project_bucket": "churn-p-abc123",
        "project_kms": KEY,
        "project_name": "churn",
        "project_role_arn": ROLE,
        "sg_compute": "sg-0a1b2c3d4e5f60718",
        "sg_vpce": "sg-0a1b2c3d4e5f60719",
        "vpc": "vpc-0a1b2c3d4e5f60718",
    }
    assert yaml.safe_load(space.file(".config/sagemaker/config.yaml").read_text()) == defaults(volume_key=True)
    # For instance types with local storage, which SageMaker refuses a volume key for.
    assert yaml.safe_load(space.file(".mlops/sagemaker-local-storage.yaml").read_text()) == defaults(volume_key=False)
    assert space.file("churn/README.md").read_text() == "Read me.\n"


def test_git_is_told_who_and_how_to_sign_in_at_the_one_host(space: Space) -> None:
    space.start()
    assert space.git("config", "--global", f"credential.{HOST}.helper") == "!aws codecommit credential-helper $@"
    assert space.git("config", "--global", f"credential.{HOST}.UseHttpPath") == "true"
    assert space.git("config", "--global", "user.name") == "ada-churn"
    assert space.git("config", "--global", "user.email") == "ada-churn@studio.invalid"
    helpers = ["config", "--get-urlmatch", "credential.helper"]
    assert space.git(*helpers, f"{URL}/any").startswith("!aws codecommit")
    done = subprocess.run(["git", *helpers, "https://example.com/x"], env=space.environment, capture_output=True)
    assert done.returncode == 1 and not done.stdout


def test_pip_reads_the_index_with_its_token_and_nobody_else_does(space: Space) -> None:
    space.start()
    found = space.file(".config/pip/pip.conf")
    assert found.stat().st_mode & 0o777 == 0o600
    host = ENDPOINT.removeprefix("https://")
    assert f"[global]\nindex-url = https://aws:{TOKEN}@{host}simple/\n" in found.read_text()
    names = "--domain mlops-1a2b3c4d --domain-owner 111111111111"
    assert f"codeartifact get-repository-endpoint {names} --repository pypi --format pypi" in space.calls()
    assert f"codeartifact get-authorization-token {names} --query authorizationToken" in space.calls()
    # Neither a command line nor the log shows it.
    assert TOKEN not in space.calls()
    asked = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.index-url"],
        env=space.environment | {"PYTHONPATH": str(pip_wheel())},
        capture_output=True,
        text=True,
    )
    assert asked.stdout.strip() == f"https://aws:{TOKEN}@{host}simple/"


def test_no_log_shows_the_token(space: Space) -> None:
    _, log = space.start(MLOPS_RENEW_SECONDS="1")
    wait_for(lambda: "pip again:" in space.file(".mlops/start.log").read_text())
    assert TOKEN not in log + space.file(".mlops/start.log").read_text()


SHOWN = (
    "AWS_DEFAULTS_MODE AWS_STS_REGIONAL_ENDPOINTS MLFLOW_EXPERIMENT_NAME MLFLOW_TRACKING_URI SAGEMAKER_VALIDATE_ROLE"
)
VALUES = f"in-region regional churn {TRACKING} false"


@pytest.mark.parametrize("shell", ["-lc", "-ic"])
def test_terminals_have_the_environment(space: Space, shell: str) -> None:
    space.start()
    show = "echo " + " ".join(f"${name}" for name in SHOWN.split())
    done = subprocess.run(["bash", shell, show], env=space.environment, capture_output=True, text=True)
    assert done.stdout.strip() == VALUES


def test_kernels_have_the_environment_and_no_name_of_ours(space: Space) -> None:
    space.start()
    startup = space.file(".ipython/profile_default/startup/00-mlops.py")
    run = (
        "import sys; names = {}; exec(open(sys.argv[1]).read(), names); import os\n"
        "print(*(os.environ[name] for name in sys.argv[2:]))\n"
        "print(sorted(set(names) - {'__builtins__'}))\n"
    )
    command = [sys.executable, "-c", run, str(startup), *SHOWN.split()]
    done = subprocess.run(command, env=space.environment, capture_output=True, text=True)
    assert done.stdout.splitlines() == [VALUES, "[]"], done.stderr
    space.file(".mlops/environment").unlink()
    assert subprocess.run([sys.executable, str(startup)], env=space.environment).returncode == 0


def test_without_tracking_no_tracking_uri(space: Space) -> None:
    space.answer(SETTINGS | {"tracking_arn": "none"})
    assert space.start()[0] == 0
    assert "MLFLOW_TRACKING_URI" not in space.file(".mlops/environment").read_text()
    assert "MLFLOW_TRACKING_URI" not in space.file(".config/sagemaker/config.yaml").read_text()


def test_a_second_start_changes_nothing_but_what_git_fetched(space: Space, tmp_path: Path) -> None:
    space.start()
    clone = space.file("churn")
    own = space.commit(clone, "notes.md", "Mine.\n")
    (clone / "README.md").write_text("Edited.\n")
    (clone / "scratch.txt").write_text("Untracked.\n")
    before = space.files()
    theirs = space.push(tmp_path, "theirs.md", "Theirs.\n")
    code, log = space.start()
    assert code == 0, log
    assert space.files() == before
    assert space.git("-C", str(clone), "rev-parse", "HEAD") == own
    assert space.git("-C", str(clone), "rev-parse", "origin/main") == theirs
    assert space.git("-C", str(clone), "status", "--porcelain").splitlines() == ["M README.md", "?? scratch.txt"]
    assert space.file(".bashrc").read_text().count("# >>> mlops >>>") == 1


def test_without_settings_nothing_is_done(space: Space) -> None:
    space.file("settings.json").unlink()
    before = space.files()
    code, log = space.start()
    assert code == 1
    assert "settings FAILED: project churn has none, its role may not read them, or SSM can't be reached" in log
    assert "aws ssm get-parameter failed or did not answer" in log
    assert space.files() == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "can't be read"),
        ("", "can't be read"),
        ("[]", "these settings are not those of the project churn"),
        (json.dumps(SETTINGS | {"project_name": "churn-eu"}), "these settings are not those of the project churn"),
    ],
)
def test_settings_that_are_not_the_projects_are_refused(space: Space, text: str, said: str) -> None:
    space.file("settings.json").write_text(text)
    before = space.files()
    code, log = space.start()
    assert code == 1
    assert failed(log) == ["settings"] and said in log
    assert "ask the data science admin to update the project" in log
    assert space.files() == before


@pytest.mark.parametrize("name", ["pypi_domain", "pypi_repository"])
def test_without_an_index_pip_is_left_alone(space: Space, name: str) -> None:
    space.answer(SETTINGS | {name: "none"})
    code, log = space.start()
    assert code == 0
    assert "pip: the platform has no package index: pip is left alone" in log
    assert "codeartifact" not in space.calls()
    assert not space.file(".config/pip").exists()
    assert not space.renewers()


def test_a_clone_that_fails_stops_nothing_else_and_is_made_up_for(space: Space) -> None:
    away = space.bare.rename(space.bare.with_suffix(".away"))
    (space.file(".mlops") / "clone").mkdir()  # what a clone that was cut off left behind
    code, log = space.start()
    assert code == 1
    assert failed(log) == ["repository"]
    assert f"could not clone {URL}: may the role pull from it" in log
    # However many lines git has to say, each line of the log says when and who.
    assert all(re.match(r"20\S+Z mlops-start: ", line) for line in log.splitlines()[1:])
    assert "done: settings parameters sagemaker environment identity pip jobs; FAILED: repository." in log
    assert not space.file("churn").exists()
    away.rename(space.bare)
    assert space.start()[0] == 0
    assert space.file("churn/README.md").is_file()


def test_a_fetch_that_fails_touches_nothing(space: Space) -> None:
    space.start()
    before = space.files()
    space.bare.rename(space.bare.with_suffix(".away"))
    code, log = space.start()
    assert code == 1 and failed(log) == ["repository"]
    assert f"could not fetch from {URL}" in log
    assert space.files() == before


@pytest.mark.parametrize("kind", ["folder", "file", "clone of another", "link"])
def test_what_stands_in_the_clones_place_is_left_alone(space: Space, kind: str, tmp_path: Path) -> None:
    place = space.file("churn")
    if kind == "folder":
        place.mkdir()
        (place / "mine.txt").write_text("Mine.\n")
    elif kind == "file":
        place.write_text("Mine.\n")
    elif kind == "link":
        place.symlink_to(tmp_path / "nowhere")
    else:
        space.git("clone", "--quiet", str(space.bare), str(place))  # another URL than the project's
    before = space.files()
    code, log = space.start()
    assert code == 1 and failed(log) == ["repository"]
    assert "is left alone: move it away, then run this again" in log
    before.pop(".gitconfig")  # where the helper of the platform's host is added
    assert before.items() <= space.files().items()
    assert place.is_symlink() == (kind == "link")


HOSTILE = [
    "$(touch owned)",
    "`touch owned`",
    "x; touch owned",
    "x\ntouch owned",
    "'; touch owned; '",
    '"$(touch owned)"',
    "--upload-pack=touch owned",
    "../../owned",
    "",
    "\x1b[2Jx",
]
# Settings by the steps that read them, and that can't be done when one is not what it must be.
READ_BY = {
    ("settings",): ["project_name"],
    ("parameters",): ["artifact_bucket", "framework", "inference_type", "problem_type", "sg_vpce", "vpc"],
    ("sagemaker",): ["cost_center", "project_id"],
    ("parameters", "sagemaker"): ["private_subnets", "project_bucket", "project_kms", "project_role_arn", "sg_compute"],
    ("sagemaker", "environment"): ["tracking_arn"],
    ("pip",): ["account_id", "pypi_domain", "pypi_repository"],
    ("repository",): ["repository_url"],
    ("jobs",): ["cicd_repository_url"],
    (): ["topic_arn"],
}
CASES = [(name, steps) for steps, names in READ_BY.items() for name in names]


def clean(space: Space, log: str) -> None:
    """See that nothing of a hostile value was run, written or shown raw."""
    assert not [path for path in (*space.home.rglob("owned*"), *Path.cwd().glob("owned*")) if path.exists()]
    assert not re.search(r"[^\n -~]", log)
    ours = {name: data for name, (data, _) in space.files().items() if name not in ("settings.json", "metadata.json")}
    assert not [name for name, data in ours.items() if b"owned" in data or b"\x1b" in data]
    # The shells that read what was written run nothing of it either.
    subprocess.run(["bash", "-lic", ":"], env=space.environment, cwd=space.home, capture_output=True)
    assert not space.file("owned").exists()


@pytest.mark.parametrize(("number", "name", "steps"), [(number, *case) for number, case in enumerate(CASES)])
def test_a_setting_of_the_wrong_form_is_refused_and_never_run(
    space: Space, number: int, name: str, steps: tuple[str, ...]
) -> None:
    space.answer(SETTINGS | {name: HOSTILE[number % len(HOSTILE)]})
    code, log = space.start()
    assert failed(log) == list(steps)
    assert code == (1 if steps else 0)
    if steps and name != "project_name":
        assert f"the setting {name} of the project is" in log
        assert "can't be used: ask the data science admin to update the project" in log
    clean(space, log)


@pytest.mark.parametrize("value", HOSTILE[:4])
def test_everything_hostile_at_once_does_nothing(space: Space, value: str) -> None:
    space.answer({**dict.fromkeys(SETTINGS, value), "project_name": "churn"})
    code, log = space.start()
    assert code == 1
    assert failed(log) == ["parameters", "sagemaker", "environment", "pip", "repository", "jobs"]
    assert "codeartifact" not in space.calls()
    clean(space, log)


@pytest.mark.parametrize("value", ["$(touch owned)", "x\ntouch owned", "--global", None])
def test_a_hostile_profile_is_no_identity(space: Space, value: object) -> None:
    space.file("metadata.json").write_text(json.dumps({"UserProfileName": value}))
    _, log = space.start()
    assert failed(log) == ["identity"]
    assert "tell git yourself" in log
    clean(space, log)


@pytest.mark.parametrize("text", [None, "[]"])
def test_without_metadata_git_asks_for_a_name(space: Space, text: str | None) -> None:
    path = space.file("metadata.json")
    path.unlink() if text is None else path.write_text(text)
    _, log = space.start()
    assert failed(log) == ["identity"]
    assert "git config --global user.name and user.email" in log


@pytest.mark.parametrize(
    ("file", "value"),
    [("token", "short"), ("token", "x" * 40 + "\n[global]"), ("endpoint", "http://example.com/"), ("endpoint", "None")],
)
def test_an_answer_that_is_no_token_or_endpoint_is_not_written(space: Space, file: str, value: str) -> None:
    space.file(file).write_text(f"{value}\n")
    _, log = space.start()
    assert failed(log) == ["pip"] and "run this again" in log
    assert not space.file(".config/pip/pip.conf").exists()


def test_which_project_must_be_said(space: Space) -> None:
    for words in ([], ["$(touch owned)"], ["../infra"], ["-x"]):
        done = subprocess.run(["bash", str(START), *words], env=space.environment, capture_output=True, text=True)
        assert done.returncode == 2 and "Usage: bash start.sh PROJECT" in done.stdout
    assert not space.calls()


def test_a_persons_own_git_identity_stays(space: Space) -> None:
    space.git("config", "--global", "user.name", "Ada Lovelace")
    _, log = space.start()
    assert "git calls you Ada Lovelace <ada-churn@studio.invalid>" in log
    space.git("config", "--global", "user.email", "ada@example.com")
    space.file("metadata.json").unlink()  # which is then not asked
    code, log = space.start()
    assert code == 0 and "git calls you Ada Lovelace <ada@example.com>" in log


def test_a_persons_own_index_stays(space: Space) -> None:
    path = space.file(".config/pip/pip.conf")
    path.parent.mkdir(parents=True)
    path.write_text("[global]\nindex-url = https://pypi.example.com/simple\ntimeout = 60\n")
    before = path.read_bytes()
    code, log = space.start()
    assert code == 0 and "names an index of yours, which is kept" in log
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "# mine\n[install]\nno-cache-dir = true",
            "# mine\n[install]\nno-cache-dir = true\n[global]\nindex-url = URL\n",
        ),
        ("[global]\ntimeout = 60\n", "[global]\nindex-url = URL\ntimeout = 60\n"),
        (
            "[global]\nindex-url = URL-old\n[install]\nindex-url = x\n",
            "[global]\nindex-url = URL\n[install]\nindex-url = x\n",
        ),
        ("[global]\nindex_url: URL-old\ntimeout = 60\n", "[global]\nindex-url = URL\ntimeout = 60\n"),
    ],
)
def test_a_persons_other_lines_for_pip_stay(space: Space, before: str, after: str) -> None:
    path = space.file(".config/pip/pip.conf")
    path.parent.mkdir(parents=True)
    host = ENDPOINT.removeprefix("https://")
    path.write_text(before.replace("URL-old", f"https://aws:old-token@{host}simple/"))
    path.chmod(0o644)
    code, log = space.start()
    assert code == 0, log
    assert path.read_text() == after.replace("URL", f"https://aws:{TOKEN}@{host}simple/")
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["index-url = x\n", "[global]\nindex-url = a\nindex-url = b\n"])
def test_a_configuration_that_pip_would_not_read_is_not_changed(space: Space, text: str) -> None:
    path = space.file(".config/pip/pip.conf")
    path.parent.mkdir(parents=True)
    path.write_text(text)
    _, log = space.start()
    assert failed(log) == ["pip"] and "mend or remove it" in log
    assert path.read_text() == text


def test_a_configuration_behind_a_link_stays_there(space: Space) -> None:
    path, real = space.file(".config/pip/pip.conf"), space.file("dotfiles/pip.conf")
    for one in (path, real):
        one.parent.mkdir(parents=True)
    real.write_text("[global]\ntimeout = 60\n")
    path.symlink_to(real)
    space.start()
    assert path.is_symlink() and TOKEN in real.read_text()


def test_a_persons_own_sdk_defaults_stay_and_win(space: Space) -> None:
    path = space.file(".config/sagemaker/config.yaml")
    path.parent.mkdir(parents=True)
    path.write_text("SchemaVersion: '1.0'\n")
    assert space.start()[0] == 0
    assert path.read_text() == "SchemaVersion: '1.0'\n"
    beside = space.file(".mlops/sagemaker.yaml")
    assert yaml.safe_load(beside.read_text()) == defaults(volume_key=True)
    # The SDK reads the administrator's file first and the person's after it.
    show = ["bash", "-lc", "echo $SAGEMAKER_ADMIN_CONFIG_OVERRIDE"]
    done = subprocess.run(show, env=space.environment, capture_output=True, text=True)
    assert done.stdout == f"{beside}\n" and not done.stderr
    path.unlink()
    space.start()
    assert yaml.safe_load(path.read_text()) == defaults(volume_key=True)
    assert "SAGEMAKER_ADMIN_CONFIG_OVERRIDE" not in space.file(".mlops/environment").read_text()


def test_a_persons_own_shell_files_stay(space: Space) -> None:
    space.file(".bashrc").write_text("alias ll='ls -l'")
    space.file(".bash_login").write_text("export EDITOR=nano\n")
    space.start()
    assert space.file(".bashrc").read_text().startswith("alias ll='ls -l'\n# >>> mlops >>>\n")
    assert space.file(".bash_login").read_text().startswith("export EDITOR=nano\n# >>> mlops >>>\n")
    # Bash reads one of them alone: a new one would hide the person's.
    assert not space.file(".bash_profile").exists() and not space.file(".profile").exists()
    off = space.file(".bashrc").read_text().replace("    . ~", "    : # . ~")
    space.file(".bashrc").write_text(off)
    space.start()
    assert space.file(".bashrc").read_text() == off


def test_a_file_that_cannot_be_written_stops_nothing_else(space: Space) -> None:
    space.file(".ipython").write_text("in the way")
    code, log = space.start()
    assert code == 1 and failed(log) == ["environment"]
    assert "look at the file and its folder" in log


def test_one_process_renews_the_token_and_ends_when_told(space: Space) -> None:
    space.start(MLOPS_RENEW_SECONDS="1")
    first = space.renewer()
    assert space.renewers() == [first]
    space.start(MLOPS_RENEW_SECONDS="1")
    wait_for(lambda: space.renewers() == [first])
    assert space.renewer() == first
    # It is no child of what started it: the loader's time limit ends the script's whole process group.
    assert os.getsid(first) == first
    path = space.file(".config/pip/pip.conf")
    space.file("token").write_text("renewed-" + TOKEN)
    wait_for(lambda: f"aws:renewed-{TOKEN}@" in path.read_text())
    assert path.stat().st_mode & 0o777 == 0o600
    os.kill(first, signal.SIGTERM)
    wait_for(lambda: not space.renewers())
    space.start(MLOPS_RENEW_SECONDS="600")
    second = wait_for(lambda: space.renewers())
    assert second == [space.renewer()] and second != [first]


def test_a_token_that_was_not_to_be_had_is_asked_for_again(space: Space) -> None:
    token = space.file("token").rename(space.file("token.away"))
    code, log = space.start(MLOPS_RENEW_SECONDS="600", MLOPS_RETRY_SECONDS="1")
    assert code == 1 and failed(log) == ["pip"]
    assert "aws codeartifact get-authorization-token failed or did not answer" in log
    wait_for(lambda: "pip again FAILED, next in 1 s" in space.file(".mlops/start.log").read_text())
    token.rename(space.file("token"))
    wait_for(lambda: TOKEN in space.file(".config/pip/pip.conf").read_text())


def inv(space: Space, *words: str, shell: str = "-lc") -> tuple[int, str]:
    """Type inv in a terminal, in the project's clone; give its exit code and what it said."""
    command = ["bash", shell, shlex.join(["inv", *words])]
    done = subprocess.run(command, env=space.environment, cwd=space.file("churn"), capture_output=True, text=True)
    said = (done.stdout + done.stderr).splitlines(keepends=True)
    return done.returncode, "".join(line for line in said if not line.startswith("bash: "))  # that it has no terminal


def kept(space: Space) -> list[Path]:
    """List what was kept of the jobs' places."""
    return sorted(space.file(".mlops").glob("cicd-kept-*"))


def standing(space: Space) -> tuple[str, str]:
    """Give commit and changes of the jobs' clone."""
    clone = str(space.file(".mlops/cicd"))
    return space.git("-C", clone, "rev-parse", "HEAD"), space.git("-C", clone, "status", "--porcelain")


@pytest.mark.parametrize("shell", ["-lc", "-ic"])
def test_inv_local_runs_the_jobs_command_where_it_is_typed(space: Space, shell: str) -> None:
    assert space.start()[0] == 0
    assert inv(space, "local", "--data", "my data", "$(x)", shell=shell) == (3, "churn ['--data', 'my data', '$(x)']\n")
    for words in ([], ["lint"], ["--help"]):
        code, said = inv(space, *words, shell=shell)
        assert code == 2 and said.startswith("Usage: inv local [OPTIONS], in a checkout of your project;")


def test_a_command_of_the_space_is_not_hidden(space: Space) -> None:
    space.start()
    for folder in ("bin", ".local/bin"):
        space.file(f"{folder}/tool").write_text(f"#!/bin/sh\necho {folder}\n")
        space.file(f"{folder}/tool").chmod(0o755)
    show = ["bash", "-c", ". ~/.mlops/environment; . ~/.mlops/environment; tool; echo $PATH"]
    done = subprocess.run(show, env=space.environment, capture_output=True, text=True)
    first, path = done.stdout.splitlines()
    assert first == "bin" and path.split(":").count(str(space.file(".local/bin"))) == 1


def test_kernels_keep_their_path(space: Space) -> None:
    space.start()
    run = "import os, sys; exec(open(sys.argv[1]).read()); print(os.environ['PATH'])"
    command = [sys.executable, "-c", run, str(space.file(".ipython/profile_default/startup/00-mlops.py"))]
    done = subprocess.run(command, env=space.environment, capture_output=True, text=True)
    assert done.stdout == space.environment["PATH"] + "\n"


def test_a_project_of_an_older_platform_is_told_so(space: Space) -> None:
    names = ("cicd_repository_url", "problem_type", "inference_type", "framework")
    space.answer({name: value for name, value in SETTINGS.items() if name not in names})
    code, log = space.start()
    assert code == 0, log
    assert "jobs: the project is of a platform without inv local: the next update of the project brings it" in log
    assert not space.file(".mlops/cicd").exists() and not space.file(".local").exists()
    assert "problem_type" not in space.file(".project_params.yaml").read_text()


def test_the_jobs_follow_main(space: Space, tmp_path: Path) -> None:
    space.start()
    assert inv(space, "local")[0] == 3
    place = space.file(".mlops/cicd")
    for cache in (place / "__pycache__", place / "mlops_cicd" / "__pycache__", place / ".ipynb_checkpoints"):
        cache.mkdir(parents=True)
        (cache / "local.pyc").write_text("Python's, or Jupyter's.")
    theirs = space.push(tmp_path, "more.py", "More.\n", space.cicd)
    code, log = space.start()
    assert code == 0 and f"jobs: {place} is main of {CICD_URL}" in log
    assert (place / "more.py").read_text() == "More.\n" and standing(space)[0] == theirs
    # Main that is not what it was is followed as well.
    work = tmp_path / "work-more.py"
    space.git("-C", str(work), "reset", "--quiet", "--hard", "HEAD~1")
    rewritten = space.commit(work, "other.py", "Other.\n")
    space.git("-C", str(work), "push", "--quiet", "--force", "origin", "HEAD:main")
    assert space.start()[0] == 0
    assert standing(space)[0] == rewritten and not (place / "more.py").exists()
    assert not kept(space)


CHANGES = ["edited", "new file", "commit", "branch", "stash", "no git", "file", "link", "cut off"]


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_person_did_to_the_jobs_is_kept_aside(space: Space, change: str, tmp_path: Path) -> None:
    space.start()
    place = space.file(".mlops/cicd")
    theirs = space.push(tmp_path, "more.py", "More.\n", space.cicd)
    if change in ("edited", "stash"):
        (place / "local.py").write_text("Mine.\n")
    if change == "stash":
        space.git("-C", str(place), *IDENTITY, "stash", "--quiet")
    elif change == "new file":
        (place / "mine.py").write_text("Mine.\n")
    elif change == "commit":
        space.commit(place, "mine.py", "Mine.\n")
    elif change == "branch":
        space.git("-C", str(place), "checkout", "--quiet", "-b", "mine")
        space.commit(place, "mine.py", "Mine.\n")
        space.git("-C", str(place), "checkout", "--quiet", "main")
    elif change == "no git":
        shutil.rmtree(place / ".git")
    elif change == "cut off":
        (place / ".git" / "index.lock").touch()
    elif change in ("file", "link"):
        place.rename(tmp_path / "elsewhere")
        place.write_text("Mine.\n") if change == "file" else place.symlink_to(tmp_path / "elsewhere")
    before = {name: data for name, data in space.files().items() if name.startswith(".mlops/cicd/")}
    code, log = space.start()
    assert code == 0, log
    (aside,) = kept(space)
    assert f"{place} was not as the last start left it; what was there is kept in {aside};" in log
    after = space.files()
    assert all(after[name.replace("/cicd/", f"/{aside.name}/")] == data for name, data in before.items())
    assert standing(space) == (theirs, "")
    if change == "link":
        assert aside.readlink() == tmp_path / "elsewhere" and not (tmp_path / "elsewhere" / "more.py").exists()
    elif change == "file":
        assert aside.read_text() == "Mine.\n"
    elif change == "branch":
        assert space.git("-C", str(aside), "show", "mine:mine.py") == "Mine."
    elif change == "stash":
        assert "+Mine." in space.git("-C", str(aside), "stash", "show", "-p")
    assert inv(space, "local")[0] == 3
    assert space.start()[0] == 0 and kept(space) == [aside]


def test_jobs_of_another_repository_are_not_taken_for_these(space: Space) -> None:
    other = space.cicd.with_name("other.git")
    shutil.copytree(space.cicd, other)
    space.git("clone", "--quiet", str(other), str(space.file(".mlops/cicd")))
    assert space.start()[0] == 0
    assert space.git("-C", str(space.file(".mlops/cicd")), "config", "remote.origin.url") == CICD_URL
    assert len(kept(space)) == 1


def test_jobs_that_cannot_be_had_are_said_and_made_up_for(space: Space) -> None:
    away = space.cicd.rename(space.cicd.with_suffix(".away"))
    code, log = space.start()
    assert code == 1 and failed(log) == ["jobs"]
    assert f"could not clone main of {CICD_URL}: may the role pull from it" in log
    code, said = inv(space, "local")
    assert code == 1 and said.startswith("inv local: there is no ") and "~/.mlops/start.log says why" in said
    away.rename(space.cicd)
    assert space.start()[0] == 0 and inv(space, "local")[0] == 3
    space.cicd.rename(away)
    before = space.files()
    code, log = space.start()
    assert code == 1 and failed(log) == ["jobs"] and f"could not fetch from {CICD_URL}" in log
    assert space.files() == before and inv(space, "local")[0] == 3
    # Nor is what a person changed lost for nothing.
    (space.file(".mlops/cicd") / "local.py").write_text("Mine.\n")
    assert failed(space.start()[1]) == ["jobs"]
    assert (space.file(".mlops/cicd") / "local.py").read_text() == "Mine.\n" and not kept(space)


def test_jobs_from_before_inv_local_wait_for_the_ml_engineer(space: Space, tmp_path: Path) -> None:
    work = tmp_path / "work"
    space.git("clone", "--quiet", str(space.cicd), str(work))
    space.git("-C", str(work), "mv", "local.py", "run.py")
    space.git("-C", str(work), *IDENTITY, "commit", "--quiet", "-m", "older")
    space.git("-C", str(work), "push", "--quiet", "origin", "HEAD:main")
    code, log = space.start()
    assert code == 0 and "has no local.py yet: the ML engineer merges the platform's pull request there" in log
    assert inv(space, "local")[0] == 1


@pytest.mark.parametrize("kind", ["text", "bytes", "link", "folder"])
def test_a_persons_own_inv_stays(space: Space, kind: str, tmp_path: Path) -> None:
    path = space.file(".local/bin/inv")
    path.parent.mkdir(parents=True)
    if kind == "text":
        path.write_text("#!/bin/sh\necho mine\n")
    elif kind == "bytes":
        path.write_bytes(b"\x7fELF\xff")
    elif kind == "link":
        path.symlink_to(tmp_path / "nowhere")
    else:
        path.mkdir()
    before = path.read_bytes() if kind in ("text", "bytes") else b""
    code, log = space.start()
    assert code == 0, log
    assert f"jobs: {path} is your own and is kept; python3 ~/.mlops/cicd/local.py does what inv local would;" in log
    assert (path.read_bytes() if before else b"") == before
    assert path.is_dir() == (kind == "folder") and path.is_symlink() == (kind == "link")
    assert not (tmp_path / "nowhere").exists()


def test_an_older_inv_of_ours_is_brought_up_to_date(space: Space) -> None:
    space.start()
    path = space.file(".local/bin/inv")
    now = path.read_text()
    path.write_text("".join(now.splitlines(keepends=True)[:2]) + "exit 9\n")
    path.chmod(0o644)
    space.start()
    assert path.read_text() == now and path.stat().st_mode & 0o777 == 0o755
    done = (
        subprocess.run(["shellcheck", str(path)], capture_output=True, text=True)
        if shutil.which("shellcheck")
        else None
    )
    assert done is None or done.returncode == 0, done


def test_the_loader_fetches_checks_and_runs_it(space: Space) -> None:
    space.script.unlink()
    space.file("published.sh").write_bytes(START.read_bytes())
    digest = hashlib.sha256(START.read_bytes()).hexdigest()
    space.file("start-script").write_text(f"{digest} s3://churn-p-abc123/workspace/start.sh\n")
    load = ["bash", str(LOADER)]
    environment = space.environment | {"MLOPS_EXECUTION_ROLE_ARN": ROLE}
    assert subprocess.run(load, env=environment, capture_output=True, timeout=30).returncode == 0
    log = space.file(".mlops/start.log")
    wait_for(lambda: "all done for project churn" in log.read_text())
    assert "mlops-loader: running the start script of project churn" in log.read_text()
    assert space.script.read_bytes() == START.read_bytes()
    assert space.file("churn/README.md").is_file() and space.file(".config/pip/pip.conf").is_file()
    assert space.renewers() == [space.renewer()]
    space.file("published.sh").write_text("echo stolen\n")
    subprocess.run(load, env=environment, capture_output=True, timeout=30)
    wait_for(lambda: "is not what was published" in log.read_text())
    assert "stolen" not in log.read_text() and space.script.read_bytes() == START.read_bytes()


def test_it_ends_before_the_loader_ends_it() -> None:
    limits = [int(extra) + int(limit) for extra, limit in re.findall(r"--kill-after=(\d+) (\d+)", START.read_text())]
    a_call, clone, fetch, fetch_jobs, clone_jobs = limits
    longest = int(re.search(r"^LIMIT=(\d+)", LOADER.read_text(), re.MULTILINE)[1])  # type: ignore[index]
    # Settings, endpoint, token; then a clone or a fetch; then one of the jobs; and time for the rest.
    assert 3 * a_call + max(clone, fetch) + max(fetch_jobs, clone_jobs) + 30 < longest


def test_the_python_inside_is_as_tidy_as_the_rest(tmp_path: Path) -> None:
    (inside,) = re.findall(r"<<'PY'\n(.*?)\nPY\n", START.read_text(), re.DOTALL)
    path = tmp_path / "inside.py"
    path.write_text(inside + "\n")
    for words in (["check"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *words, "--config", str(ROOT / "pyproject.toml"), str(path)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
