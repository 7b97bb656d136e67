"""Seeds: the project's own files, within what CodeCommit takes for a first commit."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from generators.kit import publishing
from generators.kit.publishing import ROOT
from generators.kit.registry import rendered
from tools.publish.assets import collect
from tools.publish.errors import BadAssets
from tools.publish.seeds import MOST_BYTES, SEEDS, project_files, seed_zips, untracked

FILES = {
    ".gitignore": "/.venv/\n__pycache__/\n*.log\n",
    "README.md": "Read me.\n",
    "generators/one.py": '"""One."""\n',
    "inv": "#!/bin/sh\n",
    "mlops-cicd/buildspec.yml": "version: 0.2\n",
    "lambdas/one/handler.py": '"""A function that templates name."""\n',
    "lambdas/one/topic.py": '"""Published as a zip."""\n',
    "rehearsal/server.py": '"""Not for the seed."""\n',
    "requirements/lint.txt": "cfn-lint\n",
    "requirements/main.txt": "troposphere\n",
    "seedcode-repo/README.md": "Read me.\n",
    **{
        f"seedcode-repo/sklearn/{name}": (ROOT / "seedcode-repo" / "sklearn" / name).read_text()
        for name in ("model_config.yaml", "preprocess/preprocess.py", "train/train.py", "inference/inference.py")
    },
}
CONFIG = FILES["seedcode-repo/sklearn/model_config.yaml"]
IGNORED = {".venv/lib/x.py": "x", "generators/__pycache__/one.pyc": "x", "debug.log": "x"}


def write(root: Path, files: dict[str, str]) -> None:
    """Write files below a folder."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def names(data: bytes) -> list[str]:
    """List the members of a zip."""
    with zipfile.ZipFile(io.BytesIO(data)) as found:
        return found.namelist()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Make a small project without git."""
    write(tmp_path, {**FILES, **IGNORED})
    (tmp_path / "inv").chmod(0o755)
    return tmp_path


def git(project: Path, *words: str) -> None:
    """Run git in a project, past the settings of the person who runs the tests."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(project), "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", *words], cwd=project, check=True, capture_output=True, env=environment)


def test_without_git_the_folder_minus_what_is_ignored(project: Path) -> None:
    assert project_files(project) == sorted(FILES)


def test_with_git_what_it_tracks(project: Path) -> None:
    git(project, "init")
    git(project, "add", ".")
    write(project, {"generators/scratch.py": "x = 1\n", "rehearsal/scratch.py": "x = 1\n"})
    assert project_files(project) == sorted(FILES)
    assert untracked(project) == ["generators/scratch.py"]


def test_each_seed_holds_its_part(project: Path) -> None:
    problems: list[str] = []
    zips = seed_zips(problems, project)
    assert problems == []
    # Of what is left out stays what templates are rendered from.
    assert names(zips["mlops-cfn"]) == [
        ".gitignore",
        "README.md",
        "generators/one.py",
        "inv",
        "lambdas/one/handler.py",
        "requirements/main.txt",
        "seedcode-repo/sklearn/model_config.yaml",
    ]
    assert names(zips["mlops-cicd"]) == ["buildspec.yml"]
    sklearn = ["inference/inference.py", "model_config.yaml", "preprocess/preprocess.py", "train/train.py"]
    assert names(zips["seedcode-repo"]) == ["README.md", *(f"sklearn/{name}" for name in sklearn)]
    assert names(zips["project-sklearn"]) == sklearn
    assert zips.keys() == {seed.name for seed in SEEDS} | {"project-sklearn"}
    with zipfile.ZipFile(io.BytesIO(zips["mlops-cfn"])) as found:
        assert found.getinfo("inv").external_attr >> 16 & 0o777 == 0o755
        assert not [info for info in found.infolist() if info.is_dir()]


def test_each_framework_is_a_seed_of_its_own(project: Path) -> None:
    write(
        project,
        {
            **{name.replace("/sklearn/", "/xgboost/"): text for name, text in FILES.items() if "/sklearn/" in name},
            "seedcode-repo/drafts/notes.md": "Later.\n",
        },
    )
    problems: list[str] = []
    zips = seed_zips(problems, project)
    assert problems == []
    assert {name for name in zips if name.startswith("project-")} == {"project-sklearn", "project-xgboost"}
    assert names(zips["project-xgboost"]) == names(zips["project-sklearn"])


def test_a_framework_that_is_offered_but_not_tracked_is_refused(project: Path) -> None:
    git(project, "init")
    git(project, "add", ".")
    write(project, {"seedcode-repo/xgboost/model_config.yaml": "a: 1\n"})
    problems: list[str] = []
    seed_zips(problems, project)
    assert problems[0] == (
        "seedcode-repo/xgboost/model_config.yaml is not tracked by git, so no seed holds it: git add seedcode-repo/xgboost"
    )


@pytest.mark.parametrize(("config", "told"), [
    ("preprocess_config: [\n  : x", "seedcode-repo/sklearn/model_config.yaml:2: "),
    ("foo: bar\n", "preprocess_config"),
    ("just words\n", "model_config.yaml:1: "),
    (CONFIG.replace("entrypoint: preprocess/preprocess.py", "entrypoint: preprocess/nope.py"), "preprocess/nope.py"),
    (CONFIG.replace("metric: auc", "metric: aux"), "quality_gate"),
])  # fmt: skip
def test_a_configuration_that_no_project_could_begin_with_is_refused(project: Path, config: str, told: str) -> None:
    write(project, {"seedcode-repo/sklearn/model_config.yaml": config})
    problems: list[str] = []
    seed_zips(problems, project)
    assert any(told in problem for problem in problems), problems


def test_without_git_a_file_with_secrets_stays_out(project: Path) -> None:
    write(project, {"seedcode-repo/sklearn/.env": "secret=1\n"})
    assert ".env" not in names(seed_zips([], project)["project-sklearn"])


def test_an_empty_file_in_a_framework_is_named_in_each_of_its_seeds(project: Path) -> None:
    write(project, {"seedcode-repo/sklearn/tests/__init__.py": ""})
    problems: list[str] = []
    seed_zips(problems, project)
    assert [problem.split(" is empty")[0] for problem in problems] == [
        "seedcode-repo/sklearn/tests/__init__.py in the seed seedcode-repo",
        "seedcode-repo/sklearn/tests/__init__.py in the seed project-sklearn",
    ]


def test_an_empty_file_is_named_with_its_mend(project: Path) -> None:
    write(project, {"generators/__init__.py": "", "mlops-cicd/.keep": ""})
    problems: list[str] = []
    seed_zips(problems, project)
    assert problems == [
        "generators/__init__.py in the seed mlops-cfn is empty, which CodeCommit refuses: write a docstring into it",
        "mlops-cicd/.keep in the seed mlops-cicd is empty, which CodeCommit refuses: write a line into it",
    ]


def test_too_many_files_fail_loudly(project: Path) -> None:
    write(project, {f"mlops-cicd/jobs/{number}.yml": "a: 1\n" for number in range(98)})
    problems: list[str] = []
    seed_zips(problems, project)
    assert problems == []
    write(project, {"mlops-cicd/jobs/one-more.yml": "a: 1\n"})
    seed_zips(problems, project)
    assert len(problems) == 1 and problems[0].startswith("the seed mlops-cicd has 100 files")


def test_too_many_bytes_fail_loudly(project: Path) -> None:
    write(project, {"seedcode-repo/data.csv": "1,2\n" * (MOST_BYTES // 4)})
    problems: list[str] = []
    seed_zips(problems, project)
    assert len(problems) == 1 and problems[0].startswith("the seed seedcode-repo has 5,0")


def test_an_empty_seed_and_a_link_are_refused(project: Path) -> None:
    (project / "mlops-cicd" / "buildspec.yml").unlink()
    (project / "seedcode-repo" / "link").symlink_to(project / "README.md")
    problems: list[str] = []
    seed_zips(problems, project)
    assert [problem.split(" ", 3)[:3] for problem in problems] == [
        ["the", "seed", "mlops-cicd"],
        ["seedcode-repo/link", "in", "the"],
    ]


def test_the_whole_release_can_be_put_together() -> None:
    objects = collect()
    assert {f"seeds/{seed.name}.zip" for seed in SEEDS} <= set(objects)
    assert {publishing.project_seed_key(framework) for framework in publishing.frameworks()} <= set(objects)
    assert "seeds/project-sklearn.zip" in objects
    assert {key for key in objects if key.startswith("workspace/")} == {"workspace/start.sh"}
    assert "templates/1-infra.yaml" in objects
    assert objects == collect()


def test_the_templates_can_be_rendered_from_their_seed_alone(tmp_path: Path) -> None:
    problems: list[str] = []
    with zipfile.ZipFile(io.BytesIO(seed_zips(problems)["mlops-cfn"])) as found:
        found.extractall(tmp_path)
    for path in (tmp_path / "templates").iterdir():
        path.unlink()
    render = [sys.executable, "-m", "tools.cli", "build"]
    done = subprocess.run(render, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    there = {path.name: path.read_text() for path in (tmp_path / "templates").iterdir()}
    assert there == {f"{item.stack.name}.yaml": item.text for item in rendered()}


def test_all_problems_of_a_release_are_raised_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(problems: list[str]) -> dict[str, bytes]:
        problems.append("generators/__init__.py is empty")
        return {}

    monkeypatch.setattr("tools.publish.assets.seed_zips", broken)
    fresh = {item.stack.name: item.text.encode() for item in rendered()}
    monkeypatch.setattr("tools.publish.assets.committed_templates", lambda *_: fresh)
    with pytest.raises(BadAssets) as caught:
        collect()
    assert caught.value.problems[0] == "generators/__init__.py is empty"
    # The base stack's repositories name the seeds that are now missing.
    assert any("names seeds/mlops-cfn.zip, which nothing here makes" in problem for problem in caught.value.problems)
    assert str(caught.value).endswith("then run the same command again.")
