"""Training on several hosts: two processes on this machine stand for two machines."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import inference
import numpy as np
import pandas as pd
import pytest
import train

SCRIPT = Path(train.__file__)
HOSTS = ["127.0.0.1", "localhost"]
# One thread each, so that the processes don't take turns on few cores.
ALONE = {name: value for name, value in os.environ.items() if not name.startswith(("SM_", "MLFLOW_"))} | {
    "OMP_NUM_THREADS": "1"
}


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    """Make sets whose target is the sum of two features."""
    numbers = np.random.default_rng(5).normal(size=(400, 2))
    table = pd.DataFrame({"target": numbers.sum(axis=1), "a": numbers[:, 0], "b": numbers[:, 1]})
    for name, rows in (("train", table[:300]), ("validation", table[300:])):
        (tmp_path / name).mkdir()
        rows.to_csv(tmp_path / name / f"{name}.csv", index=False)
    return tmp_path


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def start(sets: Path, host: str, port: int, *more: str) -> subprocess.Popen[str]:
    """Start a host of a training job."""
    words = [f"--{name}={sets / name}" for name in ("train", "validation")] + [f"--model-dir={sets / host}"]
    words += ["--problem-type=regression", "--num_round=20", f"--tracker-port={port}", *more]
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), *words],
        env=ALONE | {"SM_HOSTS": json.dumps(HOSTS), "SM_CURRENT_HOST": host},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_hosts_end_with_the_same_model_and_the_first_writes_it(sets: Path) -> None:
    port = free_port()
    running = {host: start(sets, host, port, "--patience=60") for host in reversed(HOSTS)}
    said = {host: one.communicate(timeout=120) for host, one in running.items()}
    assert [one.returncode for one in running.values()] == [0, 0], said
    models = {
        host: re.findall(r"^host (\S+): model sha256 ([0-9a-f]{64})$", out, re.MULTILINE)
        for host, (out, _) in said.items()
    }
    assert [name for found in models.values() for name, _ in found] == list(reversed(HOSTS))
    assert len({digest for found in models.values() for _, digest in found}) == 1
    assert (sets / HOSTS[0] / "model.ubj").is_file() and not (sets / HOSTS[1]).exists()
    # It learned from the rows of both: as good as a model of one host, which sees all rows, and not the same one.
    joint = float(re.findall(r"validation:r2=(\S+)", said[HOSTS[0]][0])[0])
    alone = subprocess.run(
        [sys.executable, str(SCRIPT), *[f"--{name}={sets / name}" for name in ("train", "validation")],
         f"--model-dir={sets / 'alone'}", "--problem-type=regression", "--num_round=20"],
        env=ALONE, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert joint == pytest.approx(float(re.findall(r"validation:r2=(\S+)", alone.stdout)[0]), abs=0.05)
    assert inference.model_fn(str(sets / HOSTS[0])).features == ("a", "b")


def test_a_host_whose_partner_never_comes_ends_with_a_message(sets: Path) -> None:
    running = start(sets, HOSTS[0], free_port(), "--patience=3")
    _, said = running.communicate(timeout=120)
    assert running.returncode != 0
    assert "The hosts 127.0.0.1, localhost lost one another" in said


def test_without_any_word_of_hosts_it_is_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SM_HOSTS", raising=False)
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tmp_path))
    assert train.hosts().first and len(train.hosts().names) == 1


def test_sagemakers_own_file_names_the_hosts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SM_HOSTS", raising=False)
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tmp_path))
    (tmp_path / "input" / "config").mkdir(parents=True)
    (tmp_path / "input" / "config" / "resourceconfig.json").write_text(
        '{"current_host": "algo-2", "hosts": ["algo-2", "algo-1"]}'
    )
    assert train.hosts() == train.Hosts(("algo-1", "algo-2"), 1)


@pytest.mark.parametrize(("hosts", "current"), [("[", "a"), ('["a"]', "b")])
def test_a_list_of_hosts_that_is_wrong_is_refused(monkeypatch: pytest.MonkeyPatch, hosts: str, current: str) -> None:
    monkeypatch.setenv("SM_HOSTS", hosts)
    monkeypatch.setenv("SM_CURRENT_HOST", current)
    with pytest.raises(train.BadData, match="SM_CURRENT_HOST"):
        train.hosts()
