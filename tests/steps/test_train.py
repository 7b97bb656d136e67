"""train.py, the training driver: what a script finds, what the model gets, and what a failure says."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .conftest import STEPS

# Writes down what it was given, and a model.
TELLS = """
import json, os, sys
model = os.environ["SM_MODEL_DIR"]
found = {"words": sys.argv[1:], "environment": dict(os.environ), "folder": os.getcwd(), "helper": __import__("helper").VALUE}
open(os.path.join(model, "found.json"), "w").write(json.dumps(found))
print("said")
print("loss: 0.5", file=sys.stderr)
"""
WRITES = "import os; open(os.environ['SM_MODEL_DIR'] + '/model.bin', 'w').write('m')\n"


@dataclass
class Training:
    """A training job's folder."""

    root: Path

    def lay(
        self,
        script: str,
        hyperparameters: Mapping[str, str] | None = None,
        hosts: Sequence[str] = ("algo-1",),
        host: str = "algo-1",
    ) -> None:
        """Write what SageMaker writes before a job."""
        resources = {"current_host": host, "hosts": list(hosts), "network_interface_name": "eth7"}
        resources["current_instance_type"] = "ml.m5.large"
        channels = {
            name: {"TrainingInputMode": "File"} for name in ("train", "validation", "code", "inference", "steps")
        }
        documents = {"resourceconfig": resources, "hyperparameters": hyperparameters or {}, "inputdataconfig": channels}
        for name, document in documents.items():
            self.put(f"config/{name}.json", json.dumps(document))
        self.put("data/code/train.py", script)
        self.put("data/code/helper.py", "VALUE = 7")
        self.put("data/inference/inference.py", "def model_fn(d): pass")
        self.put("data/inference/own/part.py", "X = 1")
        self.put("data/inference/__pycache__/x.pyc", "x")
        self.put("data/inference/.hidden", "x")
        (self.root / "model").mkdir(exist_ok=True)

    def put(self, path: str, text: str) -> None:
        """Write an input file."""
        where = self.root / "input" / path
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_text(text)

    def start(self, *words: str, path: str = "") -> subprocess.Popen[str]:
        """Start the driver as SageMaker does."""
        environment = {**os.environ, "SAGEMAKER_BASE_DIR": str(self.root), "TRAINING_JOB_NAME": "churn--train-1"}
        environment["PATH"] = f"{path}{os.pathsep}{environment['PATH']}" if path else environment["PATH"]
        command = [sys.executable, "-W", "error", str(STEPS / "train.py"), "--entrypoint", "train.py", *words]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, cwd="/", env=environment, stdout=pipe, stderr=pipe, text=True, errors="replace"
        )

    def run(self, *words: str, path: str = "") -> tuple[int, str, str]:
        """Run the driver to its end; give exit code, output, errors."""
        process = self.start(*words, path=path)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def failed(self, *words: str, path: str = "", code: int = 1) -> str:
        """Run a driver that must fail; give its message."""
        ended, out, err = self.run(*words, path=path)
        message = (self.root / "output/failure").read_text()
        assert ended == code, (ended, out, err)
        assert len(message.encode()) <= 1024 and err.splitlines()[-1].startswith("train: ")
        assert not (self.root / "model/code").exists()
        return message

    def found(self) -> Any:
        """Read what the script was given."""
        return json.loads((self.root / "model/found.json").read_text())


@pytest.fixture
def training(tmp_path: Path) -> Training:
    return Training(tmp_path)


def test_a_script_gets_hyperparameters_words_and_variables(training: Training) -> None:
    training.lay(
        TELLS, {"max-depth": "3", "name": '"quoted"', "rate": "0.10", "sagemaker_program": "x", "flag": "true"}
    )
    code, out, _ = training.run("--", "--problem-type", "regression", "--", "--target", "y")
    assert code == 0
    found = training.found()
    words = ["--flag", "true", "--max-depth", "3", "--name", "quoted", "--rate", "0.10"]
    assert found["words"] == [*words, "--problem-type", "regression", "--", "--target", "y"]
    root = str(training.root)
    expected = {
        "SM_MODEL_DIR": f"{root}/model",
        "SM_OUTPUT_DATA_DIR": f"{root}/output/data",
        "SM_OUTPUT_DIR": f"{root}/output",
        "SM_INPUT_DIR": f"{root}/input",
        "SM_INPUT_CONFIG_DIR": f"{root}/input/config",
        "SM_CHANNELS": '["code","inference","steps","train","validation"]',
        "SM_CHANNEL_TRAIN": f"{root}/input/data/train",
        "SM_CHANNEL_VALIDATION": f"{root}/input/data/validation",
        "SM_HOSTS": '["algo-1"]',
        "SM_CURRENT_HOST": "algo-1",
        "SM_HPS": '{"flag":true,"max-depth":3,"name":"quoted","rate":0.1}',
        "SM_HP_MAX-DEPTH": "3",
        "SM_HP_MAX_DEPTH": "3",
        "SM_HP_NAME": "quoted",
        "SM_NETWORK_INTERFACE_NAME": "eth7",
        "SM_NUM_GPUS": "0",
        "SM_LOG_LEVEL": "20",
        "SM_USER_ENTRY_POINT": "train.py",
        "SM_MODULE_NAME": "train",
        "SM_FRAMEWORK_PARAMS": '{"sagemaker_program":"x"}',
        "SM_CURRENT_INSTANCE_TYPE": "ml.m5.large",
    }
    assert {name: found["environment"].get(name) for name in expected} == expected
    assert int(found["environment"]["SM_NUM_CPUS"]) >= 1
    assert json.loads(found["environment"]["SM_USER_ARGS"]) == found["words"]
    assert json.loads(found["environment"]["SM_TRAINING_ENV"])["job_name"] == "churn--train-1"
    assert found["folder"] == f"{root}/input/data/code" and found["helper"] == 7
    assert "said" in out and "loss: 0.5" in out, "both streams reach the log, where metrics are read from"
    assert not (training.root / "output/failure").exists()


def test_the_model_gets_the_inference_program_and_a_second_run_does_the_same(training: Training) -> None:
    training.lay(TELLS)
    for _ in range(2):
        assert training.run()[0] == 0
        model = training.root / "model"
        held = sorted(path.relative_to(model).as_posix() for path in model.rglob("*") if path.is_file())
        assert held == ["code/inference.py", "code/own/part.py", "found.json"]


def test_only_the_first_host_adds_the_program_and_must_write_a_model(training: Training) -> None:
    hosts = ("algo-2", "algo-1")
    training.lay("pass", hosts=hosts, host="algo-2")
    assert training.run()[0] == 0
    assert list((training.root / "model").iterdir()) == []
    training.lay("pass", hosts=hosts, host="algo-1")
    assert "wrote nothing" in training.failed()


def test_output_streams_while_the_script_runs(training: Training) -> None:
    go = training.root / "go"
    script = "import os, time\nprint('epoch 1', end='')\n"
    training.lay(f"{script}\nwhile not os.path.exists({str(go)!r}): time.sleep(0.02)\n{WRITES}")
    process = training.start()
    assert process.stdout is not None
    seen = ""
    while "epoch 1" not in seen:
        seen += process.stdout.read(1)
    go.touch()
    assert process.communicate(timeout=60)[1] == "" and process.returncode == 0


@pytest.mark.parametrize(
    ("script", "code", "says"),
    [
        ("raise ValueError('the target is gone')", 1, "ValueError: the target is gone"),
        ("import a_package_nobody_has", 1, "Name the package of a_package_nobody_has in train_config.dependencies"),
        ("import sys; sys.exit(7)", 7, "It printed nothing"),
        ("import sys; sys.exit('no rows of class 1')", 1, "no rows of class 1"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 137, "larger train_config.instance_type"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", 139, "SIGSEGV"),
        ("raise OSError(28, 'No space left on device')", 1, "train_config.volume_size_gb"),
        ("raise MemoryError", 1, "larger train_config.instance_type"),
        ("import socket; socket.getaddrinfo('pypi.invalid', 443)", 1, "there is no internet"),
        ("import argparse; argparse.ArgumentParser().parse_args()", 2, "does not take --depth 3"),
        ("import os; open(os.environ['SM_OUTPUT_FAILURE'], 'w').write('my own words'); exit(4)", 4, "my own words"),
        ("import sys; sys.stdout.buffer.write(b'\\xff\\xfe last \\x1b[31m\\n'); sys.exit(3)", 3, "last"),
    ],
)
def test_a_failure_tells_why_and_keeps_the_exit_code(training: Training, script: str, code: int, says: str) -> None:
    training.lay(script, {"depth": "3"})
    message = training.failed(code=code)
    assert says.lower() in message.lower() and message.startswith("train.py ")


def test_a_failure_keeps_the_last_words_of_many(training: Training) -> None:
    training.lay(
        "for at in range(20000): print(f'line {at} ' + '\u00e9' * 30)\nraise RuntimeError('the end ' + 'x' * 50)"
    )
    message = training.failed()
    assert message.endswith("RuntimeError: the end " + "x" * 50) and "line 19999" in message
    assert "line 19000 " not in message and len(message.encode()) > 700
    training.lay("raise RuntimeError('begins ' + '\u00e9' * 5000)")
    assert "RuntimeError: begins" in training.failed()


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("pass", "wrote nothing to the model folder"),
        ("import os; open(os.environ['SM_MODEL_DIR'] + '/empty', 'w')", "wrote nothing to the model folder"),
        ("import os; os.mkdir(os.environ['SM_MODEL_DIR'] + '/sub')", "wrote nothing to the model folder"),
    ],
)
def test_a_script_that_leaves_no_model_fails(training: Training, script: str, says: str) -> None:
    training.lay(script)
    (training.root / "model/former.bin").write_text("of a former run")
    assert says in training.failed()


@pytest.mark.parametrize(
    "how", ["os.mkdir(m + '/code')", "open(m + '/code', 'w').write('x')", "os.symlink('nowhere', m + '/code')"]
)
def test_a_script_that_takes_the_programs_place_fails(training: Training, how: str) -> None:
    training.lay(f"{WRITES}\nm = os.environ['SM_MODEL_DIR']\n{how}")
    code, _, err = training.run()
    assert code == 1 and "wrote 'code' to the model folder" in err
    assert not (training.root / "model/code/inference.py").exists()


def test_sigterm_reaches_the_script_which_may_still_save(training: Training) -> None:
    saves = "import signal, sys, time\n" + WRITES.replace("\n", "") + "\n"
    saves += "signal.signal(signal.SIGTERM, lambda *_: (print('saving', flush=True), sys.exit(CODE)))\n"
    saves += "print('up')\ntime.sleep(60)\n"
    for code in (0, 9):
        training.lay(saves.replace("CODE", str(code)))
        process = training.start()
        assert process.stdout is not None
        while process.stdout.readline() != "up\n":
            pass
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=30)
        assert "saving" in out and process.returncode == code
        assert (training.root / "model/code/inference.py").exists() == (code == 0)
    assert "maximum runtime" in (training.root / "output/failure").read_text()


def test_a_script_that_ignores_nothing_ends_by_sigterm(training: Training) -> None:
    training.lay("import time; print('up', flush=True); time.sleep(60)")
    process = training.start()
    assert process.stdout is not None
    while process.stdout.readline() != "up\n":
        pass
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 143 and time.monotonic() - began < 10
    assert "was stopped" in (training.root / "output/failure").read_text()


def test_what_a_script_leaves_running_does_not_keep_the_job_open(training: Training) -> None:
    training.lay(f"import subprocess; subprocess.Popen(['sleep', '62.75'])\n{WRITES}")
    assert training.run()[0] == 0
    running = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert b"sleep\x0062.75\x00" not in running


# --- bad input before the script runs ---------------------------------------------------------------------------------------


def test_what_is_missing_is_told_before_training(training: Training) -> None:
    training.lay("raise SystemExit('ran')")
    (training.root / "input/data/inference/inference.py").unlink()
    assert "inference_config.entrypoint" in training.failed()
    (training.root / "input/data/code/train.py").rename(training.root / "input/data/code/fit.py")
    message = training.failed()
    assert "fit.py" in message and "train_config.entrypoint" in message


@pytest.mark.parametrize("name", ["../inference/inference.py", "/etc/hostname"])
def test_a_script_outside_of_its_channel_is_refused(training: Training, name: str) -> None:
    training.lay(WRITES)
    assert "train_config.entrypoint" in training.failed("--entrypoint", name)


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("resourceconfig", "{", "resourceconfig.json is no JSON"),
        ("resourceconfig", "[]", "holds no JSON object"),
        ("resourceconfig", '{"hosts": ["a"], "current_host": "b"}', "names the host 'b'"),
        ("hyperparameters", "x", "hyperparameters.json is no JSON"),
    ],
)
def test_files_of_the_job_that_are_broken_are_told(training: Training, file: str, text: str, says: str) -> None:
    training.lay(WRITES)
    training.put(f"config/{file}.json", text)
    assert says in training.failed()


def test_outside_of_a_job_it_says_so(training: Training) -> None:
    assert "inside a SageMaker training job" in training.failed()


def test_words_that_are_wrong_are_told(training: Training) -> None:
    training.lay(WRITES)
    assert "--torchrun must be 1 or more" in training.failed("--torchrun", "0")
    assert "invalid int value" in training.failed("--torchrun", "two")


# --- torchrun ---------------------------------------------------------------------------------------------------------------

# Runs the script as torchrun would, once, and refuses words that torchrun would not take.
STAND_IN = f"""#!{sys.executable}
import os, subprocess, sys
words = sys.argv[1:]
options = dict(word[2:].split("=", 1) for word in words if word.startswith("--") and "=" in word)
script = words[len(options):]
assert set(options) <= {{"nnodes", "nproc_per_node", "node_rank", "master_addr", "master_port"}}, words
assert script[0] == "train.py", words
environment = {{**os.environ, "TORCHRUN": repr(sorted(options.items())), "RANK": options.get("node_rank", "0")}}
sys.exit(subprocess.run([sys.executable, *script], env=environment).returncode)
"""


@pytest.fixture
def torchrun(tmp_path: Path) -> str:
    """Put a torchrun on a path, and give that."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "torchrun").write_text(STAND_IN)
    (folder / "torchrun").chmod(stat.S_IRWXU)
    return str(folder)


def test_torchrun_starts_processes_on_one_host(training: Training, torchrun: str) -> None:
    training.lay(TELLS, {"epochs": "2"})
    assert training.run("--torchrun", "4", "--", "--target", "y", path=torchrun)[0] == 0
    found = training.found()
    assert found["environment"]["TORCHRUN"] == "[('nnodes', '1'), ('nproc_per_node', '4')]"
    assert found["words"] == ["--epochs", "2", "--target", "y"]
    assert "NCCL_SOCKET_IFNAME" not in found["environment"]


@pytest.mark.parametrize(("host", "rank"), [("127.0.0.1", "0"), ("localhost", "1")])
def test_torchrun_knows_all_hosts(training: Training, torchrun: str, host: str, rank: str) -> None:
    training.lay(TELLS, hosts=("localhost", "127.0.0.1"), host=host)
    assert training.run("--torchrun", "2", path=torchrun)[0] == 0
    found = training.found()["environment"]
    assert dict(eval(found["TORCHRUN"])) == {
        "nnodes": "2",
        "nproc_per_node": "2",
        "node_rank": rank,
        "master_addr": "127.0.0.1",
        "master_port": "7777",
    }
    assert found["SM_CURRENT_HOST_RANK"] == rank and found["NCCL_SOCKET_IFNAME"] == "eth7"
    assert (training.root / "model/code").exists() == (rank == "0")


def test_a_failure_below_torchrun_keeps_its_code(training: Training, torchrun: str) -> None:
    training.lay("raise SystemExit(5)")
    training.failed("--torchrun", "2", path=torchrun, code=5)


def test_a_first_host_that_does_not_come_up_is_told(training: Training, torchrun: str) -> None:
    training.lay(WRITES, hosts=("algo-1.invalid", "algo-2"), host="algo-2")
    message = training.failed("--torchrun", "2", "--host-wait", "0.3", path=torchrun)
    assert "'algo-1.invalid' was not found in 0.3 seconds" in message


def test_an_image_without_torchrun_is_told(training: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    training.lay(WRITES)
    monkeypatch.setenv("PATH", str(training.root))
    assert "there is no torchrun in this image" in training.failed("--torchrun", "2")
