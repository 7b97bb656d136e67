"""A bench for each test; `anywhere` plays it in both modes."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.local.support import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture(params=["namespaces", "mapped"])
def anywhere(tmp_path: Path, request: pytest.FixtureRequest) -> Bench:
    return Bench(tmp_path, mode=request.param)
