"""Which image a purpose runs with, and what its tag depends on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mlops_cicd import config as configs
from mlops_cicd.project import Project
from mlops_cicd.recipes import RecipeError, base_image, recipe, recipes
from tests.jobs.making import REGISTRY, SETTINGS, config_text, write_project

PROJECT = Project.from_settings(SETTINGS)
DOCKERFILE = "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nCOPY data/words.txt extra*.txt /opt/\n"


def of(folder: Path, purpose: str = "training", changes: dict[str, Any] | None = None) -> Any:
    return recipe(configs.parse(config_text(changes)), PROJECT, folder, purpose)


def test_without_anything_awss_own_image_serves(tmp_path: Path) -> None:
    write_project(tmp_path)
    assert recipes(configs.parse(config_text()), PROJECT, tmp_path) == dict.fromkeys(
        ("preprocessing", "training", "inference")
    )
    assert base_image(configs.parse(config_text()), PROJECT, "inference").endswith(
        "/sagemaker-scikit-learn:1.4-2-py312-cpu-py3"
    )


def test_dependencies_give_a_dockerfile_and_a_tag_of_their_content(tmp_path: Path) -> None:
    changes = {"train_config.dependencies": "train/more.txt"}
    write_project(tmp_path, changes, {"train/more.txt": "shap==0.46\n"})
    made = of(tmp_path, changes=changes)
    assert made.files == {"requirements.txt": b"shap==0.46\n"}
    assert made.uri == f"{REGISTRY}/churn-p-abc123-training:{made.tag}"
    assert made.tag == of(tmp_path, changes=changes).tag
    assert of(tmp_path, "inference", changes) is None
    (tmp_path / "train/more.txt").write_text("shap==0.47\n")
    assert of(tmp_path, changes=changes).tag != made.tag


def test_a_dockerfile_takes_what_it_copies_and_nothing_else(tmp_path: Path) -> None:
    files = {
        "train/Dockerfile": DOCKERFILE,
        "train/data/words.txt": "a",
        "train/extra1.txt": "b",
        "train/other.txt": "c",
    }
    made = of(write_project(tmp_path, files=files))
    assert made.files == {"data/words.txt": b"a", "extra1.txt": b"b"}
    (tmp_path / "train/train.py").write_text("print('another')\n")
    (tmp_path / "train/other.txt").write_text("changed")
    assert of(tmp_path).tag == made.tag
    (tmp_path / "train/extra1.txt").write_text("changed")
    assert of(tmp_path).tag != made.tag


def test_a_folder_that_is_copied_comes_whole(tmp_path: Path) -> None:
    files = {
        "train/Dockerfile": "ARG BASE_IMAGE\nFROM $BASE_IMAGE\nCOPY data/ /opt/\n",
        "train/data/a": "1",
        "train/data/b/c": "2",
    }
    assert of(write_project(tmp_path, files=files)).files == {"data/a": b"1", "data/b/c": b"2"}


def test_another_base_is_another_image(tmp_path: Path) -> None:
    changes = {"train_config.dependencies": "train/r.txt"}
    write_project(tmp_path, changes, {"train/r.txt": "shap\n"})
    other = {**changes, "train_config.framework": "xgboost", "train_config.framework_version": "3.0-5"}
    assert of(tmp_path, changes=changes).tag != of(tmp_path, changes=other).tag


@pytest.mark.parametrize(
    ("dockerfile", "finding"),
    [
        ("COPY . /opt/", "train/Dockerfile:3: it copies the whole folder (.)"),
        ("COPY * /opt/", "it copies the whole folder (*)"),
        ("COPY ../inference/inference.py /opt/", "../inference/inference.py is outside of train/"),
        ("COPY nothing.txt /opt/", "train/nothing.txt is not there"),
        ("COPY link.txt /opt/", "link.txt is a link out of train/"),
        ("RUN yum install x", "yum reaches"),
    ],
)
def test_what_cannot_be_built_is_said(tmp_path: Path, dockerfile: str, finding: str) -> None:
    write_project(tmp_path, files={"train/Dockerfile": f"ARG BASE_IMAGE\nFROM $BASE_IMAGE\n{dockerfile}\n"})
    (tmp_path / "train/link.txt").symlink_to("/etc/hostname")
    with pytest.raises(RecipeError) as raised:
        of(tmp_path)
    assert finding in str(raised.value)


def test_a_dockerfile_beside_dependencies_installs_them(tmp_path: Path) -> None:
    changes = {"train_config.dependencies": "train/r.txt"}
    start = "ARG BASE_IMAGE\nFROM $BASE_IMAGE\n"
    write_project(tmp_path, changes, {"train/r.txt": "shap\n", "train/Dockerfile": start})
    with pytest.raises(RecipeError, match=r"it does not copy r\.txt"):
        of(tmp_path, changes=changes)
    (tmp_path / "train/Dockerfile").write_text(f"{start}COPY r.txt /tmp/\n")
    assert of(tmp_path, changes=changes).files == {"r.txt": b"shap\n"}


def test_the_findings_of_all_purposes_come_together(tmp_path: Path) -> None:
    files = {f"{folder}/Dockerfile": "FROM python:3\n" for folder in ("preprocess", "train", "inference")}
    write_project(tmp_path, files={**files, "train/Dockerfile": b"\xff\xfe".decode("latin-1")})
    (tmp_path / "train/Dockerfile").write_bytes(b"\xff\xfe")
    with pytest.raises(RecipeError) as raised:
        recipes(configs.parse(config_text()), PROJECT, tmp_path)
    assert [each.file for each in raised.value.findings] == [
        "preprocess/Dockerfile",
        "train/Dockerfile",
        "inference/Dockerfile",
    ]
    assert "no UTF-8 text" in str(raised.value)


def test_a_link_out_of_the_repository_is_no_dockerfile(tmp_path: Path) -> None:
    write_project(tmp_path)
    (tmp_path / "train/Dockerfile").symlink_to("/etc/hostname")
    with pytest.raises(RecipeError, match="a link out of the repository"):
        of(tmp_path)


def test_the_registries_to_sign_in_at_are_those_of_base_and_repository(tmp_path: Path) -> None:
    changes = {"train_config.dependencies": "train/r.txt"}
    made = of(write_project(tmp_path, changes, {"train/r.txt": "shap\n"}), changes=changes)
    assert made.hosts == [made.base.split("/")[0], REGISTRY]
