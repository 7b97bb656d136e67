"""One emulator for most tests, with a published zip and seed in two regions; stacks keep apart by name or region."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("ministack", reason="these tests run in the rehearsal environment")

from rehearsal.client import Emulator, emulator  # noqa: E402
from tests.rehearsal.published import GREETER, REGIONS, TEMPLATES, publish, zipped  # noqa: E402


@pytest.fixture(scope="session")
def account() -> Iterator[Emulator]:
    """Give an emulated account in which `mixed.yaml` and what it needs are published."""
    objects = {
        "v1/mixed.yaml": (TEMPLATES / "mixed.yaml").read_bytes(),
        "zips/greeter.zip": zipped(GREETER),
        "seeds/seed.zip": zipped({"README.md": "seed"}),
    }
    with emulator() as running:
        for region in REGIONS:
            publish(running, region, objects)
        yield running
