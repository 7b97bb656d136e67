"""A definition of any project and configuration, and its requests as SageMaker would get them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from mlops_cicd import config as configs
from mlops_cicd.definition import Code, Images, build
from mlops_cicd.project import Project
from tests.jobs.making import REGISTRY, SETTINGS, config_text

CODE = Code(
    *(
        f"s3://churn-p-abc123/build/code/{name}/0123456789abcdef/"
        for name in ("preprocess", "train", "inference", "steps")
    )
)
IMAGES = Images(
    *(f"{REGISTRY}/churn-p-abc123-{name}@sha256:{'a' * 64}" for name in ("preprocessing", "training", "inference"))
)

Build = Callable[..., dict[str, Any]]


@pytest.fixture
def made() -> Build:
    """Build a definition: settings and configuration differ from the sample's by what is given."""

    def make(settings: dict[str, str] | None = None, commit: str = "0123abcd", **changes: Any) -> dict[str, Any]:
        named = {place.replace("__", "."): value for place, value in changes.items()}
        project = Project.from_settings({**SETTINGS, **(settings or {})})
        return build(configs.parse(config_text(named)), project, CODE, IMAGES, commit)

    return make
