"""The lint of Dockerfiles and requirement files: each rule with what breaks it, and with what looks alike and is fine."""

from __future__ import annotations

import pytest
from mlops_cicd.dockerfiles import MOUNT, Allowed, generated, lint, lint_requirements, parents, sources

HOST = "492215442770.dkr.ecr.eu-central-1.amazonaws.com"
BASE = f"{HOST}/sagemaker-scikit-learn:1.4-2-py312"
OWN = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/churn-p-abc123-training"
ALLOWED = Allowed(frozenset([HOST]), frozenset([OWN]))
START = "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\n"


def said(text: str) -> list[str]:
    return [str(each) for each in lint("train/Dockerfile", text, ALLOWED, BASE)]


@pytest.mark.parametrize(
    ("line", "finding"),
    [
        ("RUN apt-get update && apt-get install -y gcc", "apt-get reaches no package server"),
        ("RUN DEBIAN_FRONTEND=noninteractive apt install -y gcc", "apt reaches"),
        ("RUN yum install -y gcc", "yum reaches"),
        ("RUN dnf -y install gcc", "dnf reaches"),
        ("RUN apk add gcc", "apk reaches"),
        ("RUN set -e; if true; then conda install x; fi", "conda reaches"),
        ('RUN ["/usr/bin/apt-get", "install", "gcc"]', "apt-get reaches"),
        ('RUN bash -lc "sudo yum install gcc"', "yum reaches"),
        ("RUN curl -O https://a/b", "curl can't download"),
        ("RUN cd /tmp && wget https://a/b", "wget can't download"),
        ('RUN x="$(curl https://a/b)"', "curl can't download"),
        ("RUN x=`wget https://a/b`", "wget can't download"),
        ("RUN git clone https://a/b", "git clone can't download"),
        ("RUN echo 'unfinished && curl https://a/b", "curl can't download"),
        ("ADD https://a/b.tar /b/", "ADD can't download https://a/b.tar"),
        ("ADD git@github.com:a/b.git /b/", "ADD can't download"),
        ('ADD ["https://a/b", "/b"]', "ADD can't download"),
        ("RUN pip install pandas", "pip install has no access to the package index"),
        ("RUN python3 -m pip install pandas", "pip install has no access"),
        ("RUN --mount=type=secret,id=other,target=/etc/pip.conf pip install pandas", "pip install has no access"),
        ("RUN --mount=type=secret,id=pip_config pip install pandas", "pip install has no access"),
        ("RUN --mount=type=cache,target=/root/.cache pip3 install pandas", "pip install has no access"),
        (f"RUN {MOUNT} pip install -i https://pypi.org/simple pandas", "pip install with -i leaves"),
        (f"RUN {MOUNT} pip install --extra-index-url=https://a pandas", "with --extra-index-url=https://a leaves"),
        (f"RUN {MOUNT} pip install git+https://a/b", "with git+https://a/b leaves"),
        (f"RUN {MOUNT} PIP_INDEX_URL=https://a pip install pandas", "with PIP_INDEX_URL leaves"),
        ("ENV PIP_INDEX_URL=https://a/simple", "PIP_INDEX_URL leads pip away"),
        ("RUN pip config set global.index-url https://a", "pip config stays in the image"),
        ("RUN uv pip install pandas", "uv reaches no package index"),
        ("ENV API_TOKEN=abc", "ENV API_TOKEN would keep a secret"),
        ("ENV DB_PASSWORD abc", "ENV DB_PASSWORD would keep a secret"),
        ("ARG AWS_SECRET_ACCESS_KEY", "ARG AWS_SECRET_ACCESS_KEY would keep a secret"),
        ("ENV PLACE=https://me:pass@host/", "ENV PLACE would keep a secret"),
        ("COPY .netrc /root/", "COPY would keep .netrc"),
        ("COPY --from=alpine:3 /bin/x /bin/x", "the image alpine:3 is in no registry"),
        ("RUN --mount=type=bind,from=alpine,target=/x ls", "the image alpine is in no registry"),
        ("FROM python:3.12", "the image python:3.12 is in no registry"),
        ("FROM public.ecr.aws/lambda/python:3.12", "is in no registry"),
        ("FROM 111122223333.dkr.ecr.eu-central-1.amazonaws.com/others:1", "is in no registry"),
        (f"FROM {OWN}-x:1", "is in no registry"),
        (f"FROM {HOST.replace('eu-central-1', 'us-east-1')}/sagemaker-scikit-learn:1", "is in no registry"),
        ("FROM scratch", "the image scratch is in no registry"),
        ("ONBUILD RUN yum install gcc", "yum reaches"),
        ("RUN cat <<EOF\nanything\nEOF", "a here-document can't be checked"),
        ("RUN yum install \\", "the last line goes on into nothing"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_found_at_its_line_with_a_mend(line: str, finding: str) -> None:
    found = said(START + line + "\n")
    assert len(found) == 1, found
    assert found[0].startswith("train/Dockerfile:3: ")
    assert finding in found[0]
    assert found[0].endswith(".") or "..." in found[0]


@pytest.mark.parametrize(
    "line",
    [
        f"FROM {OWN}@sha256:{'a' * 64}",
        f"FROM --platform=linux/amd64 {HOST}/sagemaker-xgboost:3.0-5 AS other\nCOPY --from=other /a /b",
        "FROM ${BASE_IMAGE} AS first\nFROM first\nCOPY --from=0 /a /b",
        f"RUN {MOUNT} \\\n    pip install --no-cache-dir curl wget",
        "RUN --mount=type=secret,id=pip_config PIP_CONFIG_FILE=/run/secrets/pip_config pip install pandas",
        "RUN pip install --no-index ./wheels/a.whl",
        "RUN pip list && python3 -m pip check",
        "RUN echo apt-get && rm -rf /var/lib/apt",
        "RUN git config --global user.name me",
        "ENV TOKENIZERS_PARALLELISM=false MAX_TOKENS=5",
        "# apt-get install gcc",
        "RUN echo one \\\n  # yum install\n  && echo two",
        "COPY requirements.txt /tmp/",
        "RUN python3 -m compileall /opt",
        "USER root",
    ],
)
def test_what_works_is_left_alone(line: str) -> None:
    assert said(START + line + "\n") == []


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        (
            "# syntax=docker/dockerfile:1\n" + START,
            "train/Dockerfile:1: the line `# syntax=` fetches a parser from Docker Hub.",
        ),
        ("# escape=`\n" + START, "train/Dockerfile:1: the line `# escape=` changes how lines end."),
        ("# hello\n#Syntax = a/b\n" + START, "train/Dockerfile:2: the line `# syntax=`"),
        ("", "train/Dockerfile:1: there is no FROM."),
    ],
)
def test_lines_at_the_top(text: str, finding: str) -> None:
    assert any(each.startswith(finding) for each in said(text))


def test_a_finding_in_a_long_instruction_names_its_own_line() -> None:
    found = said(START + "RUN true \\\n # a comment\n && true \\\n && wget x\n")
    assert [each.split(": ")[0] for each in found] == ["train/Dockerfile:6"]


def test_images_are_named_by_arguments_with_defaults_too() -> None:
    text = f"ARG VERSION=3.0-5\nARG HOST={HOST}\nFROM ${{HOST}}/sagemaker-xgboost:$VERSION\nFROM ${{UNKNOWN}}\n"
    assert parents(text, BASE) == [f"{HOST}/sagemaker-xgboost:3.0-5", "${UNKNOWN}"]
    assert said(text)[0].startswith("train/Dockerfile:4: the image ${UNKNOWN} is in no registry")


def test_the_written_dockerfile_is_clean_and_takes_only_the_requirement_file() -> None:
    text = generated(BASE)
    assert said(text) == []
    assert [source for _, source in sources(text)] == ["requirements.txt"]
    assert parents(text, BASE) == [BASE]


@pytest.mark.parametrize(
    ("line", "finding"),
    [
        ("--index-url https://pypi.org/simple", "points out of the platform's package index"),
        ("-i https://pypi.org/simple", "points out of"),
        ("--extra-index-url=https://a", "points out of"),
        ("git+https://github.com/a/b", "points out of"),
        ("a @ https://a/b.whl", "points out of"),
        ("-r other.txt", "names a further file"),
        ("-c constraints.txt", "names a further file"),
        ("-e .", "installs from a folder"),
        ("./wheels/a.whl", "installs from a folder"),
        ("a @ file:///tmp/a", "installs from a folder"),
    ],
)
def test_requirements_that_an_image_cannot_have(line: str, finding: str) -> None:
    found = [str(each) for each in lint_requirements("train/requirements.txt", f"# mine\npandas\n{line}\n")]
    assert len(found) == 1, found
    assert found[0].startswith("train/requirements.txt:3: ")
    assert finding in found[0]


@pytest.mark.parametrize(
    "text",
    [
        "pandas==2.2\n",
        "shap>=0.46 ; python_version >= '3.11'  # why\n",
        "a==1 \\\n    --hash=sha256:00\n",
        "x[y]~=1.0\n",
    ],
)
def test_requirements_that_are_fine(text: str) -> None:
    assert lint_requirements("requirements.txt", text) == []


def test_a_requirement_file_names_something() -> None:
    assert "names no package" in str(lint_requirements("requirements.txt", "# nothing\n\n")[0])
