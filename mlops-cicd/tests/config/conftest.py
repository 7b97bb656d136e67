"""The configurations that the tests begin with: version 1 as a seed has it, and version 0 as it was before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from mlops_cicd.config import ConfigError, parse

HERE = Path(__file__).parent


@pytest.fixture
def seed() -> str:
    """Give the text of a file of version 1."""
    return (HERE / "version_1.yaml").read_text(encoding="utf-8")


@pytest.fixture
def before() -> str:
    """Give the text of a file of version 0."""
    return (HERE / "version_0.yaml").read_text(encoding="utf-8")


@pytest.fixture
def changed(seed: str) -> Callable[[str, str], str]:
    """Give what puts a text in the place of another one, which the seed must have."""

    def change(old: str, new: str) -> str:
        assert old in seed
        return seed.replace(old, new)

    return change


@pytest.fixture
def refusal() -> Callable[[str], list[str]]:
    """Give what returns the rows of a refused text's message."""

    def rows(text: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            parse(text)
        return str(caught.value).splitlines()

    return rows
