"""What a job may import: the standard library, its own files, what the image holds, and what `dependencies` names."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from mlops_cicd.local import Image, JobFailed, PlaceError, packages, run_training
from mlops_cicd.local import requirement_files as requirements
from tests.local.support import BASE, Bench, pipeline, processing, training_request

# botocore brings dateutil, jmespath and urllib3 with it; ruamel.yaml is in the interpreter and in no image of these tests.
IMAGE = Image(purpose="preprocessing", packages={"boto3": "1.0.0", "scikit-learn": "1.4.2"})


def fails(bench: Bench, script: str) -> str:
    bench.image = IMAGE if bench.image.packages == {"pytest": "1.2.3"} else bench.image
    bench.put("s3://b/code/A.py", script)
    return str(bench.run(pipeline(processing("A"))).failure)


@pytest.mark.parametrize(
    "script",
    [
        "import ruamel.yaml",
        "from ruamel.yaml import YAML",
        "import importlib\nimportlib.import_module('ruamel.yaml')",
        "__import__('ruamel.yaml')",
        "def work():\n    import ruamel\nwork()",
        "import boto3\nexec('import ruamel.yaml')",
        "import subprocess, sys\nsys.exit(subprocess.call([sys.executable, '-c', 'import ruamel.yaml']))",
    ],
)
def test_a_package_that_the_image_does_not_hold_fails_the_run(anywhere: Bench, script: str) -> None:
    failure = fails(anywhere, script)
    assert "imports ruamel, but the image image:1 does not hold ruamel-yaml" in failure
    assert "`dependencies` of preprocess_config" in failure
    assert "leave the import out. (exit code 1)" in failure
    assert "A.py" in failure or "<string>" in failure


def test_a_package_that_is_not_on_this_machine_either_fails_the_same_way(bench: Bench) -> None:
    assert "A.py imports mlflow, but the image image:1 does not hold mlflow" in fails(bench, "import mlflow.sklearn")


def test_a_package_that_the_image_holds_and_this_machine_lacks_says_so(bench: Bench) -> None:
    failure = fails(bench, "from sklearn.linear_model import LogisticRegression")
    assert "imports sklearn; the image image:1 holds it, but" in failure
    assert "Install it there for the local run." in failure


def test_an_import_error_that_is_caught_does_not_fail_the_run(anywhere: Bench) -> None:
    script = """
        for name in ("mlflow", "ruamel.yaml"):
            try:
                __import__(name)
            except ImportError as error:
                assert isinstance(error, ModuleNotFoundError) and error.name == name.split(".")[0]
            else:
                raise SystemExit(f"{name} was found")
        try:
            import mlflow
        except ImportError:
            mlflow = None
        import importlib
        try:
            importlib.import_module("ruamel")
        except ImportError:
            pass
    """
    assert fails(anywhere, "if True:\n" + script) == "None"


def test_local_modules_the_standard_library_and_what_the_image_needs_itself_pass(anywhere: Bench) -> None:
    anywhere.put(
        "s3://b/code/folder/A.py",
        "import json, helper, part.inner\nimport boto3, botocore, dateutil, jmespath\nfrom part import inner",
    )
    anywhere.put(
        "s3://b/code/folder/helper.py",
        "from importlib import import_module\nimport_module('part.inner')\nimport_module('.inner', 'part')",
    )
    anywhere.put("s3://b/code/folder/part/inner.py", "from . import sister\nimport sqlite3")
    anywhere.put("s3://b/code/folder/part/sister.py", "x = 1")
    step = processing("A")
    step["Arguments"]["ProcessingInputs"][0]["S3Input"]["S3Uri"] = "s3://b/code/folder/"
    anywhere.image = IMAGE
    assert anywhere.run(pipeline(step)).failure is None


def test_a_local_module_is_named_when_it_imports_what_is_missing(bench: Bench) -> None:
    bench.put("s3://b/code/folder/A.py", "import helper")
    bench.put("s3://b/code/folder/helper.py", "import pydantic")
    step = processing("A")
    step["Arguments"]["ProcessingInputs"][0]["S3Input"]["S3Uri"] = "s3://b/code/folder/"
    bench.image = IMAGE
    assert "code/helper.py imports pydantic, but the image" in str(bench.run(pipeline(step)).failure)


def test_code_that_a_job_unpacks_for_itself_is_its_own(anywhere: Bench) -> None:
    """The model's code is unpacked into a temporary folder by scripts that look at a model."""
    script = """
import importlib, pathlib, sys, tempfile
folder = pathlib.Path(tempfile.mkdtemp())
(folder / "inference.py").write_text("import ruamel.yaml" if len(sys.argv) > 1 else "import json")
sys.path.insert(0, str(folder))
importlib.import_module("inference")
"""
    assert fails(anywhere, script) == "None"
    anywhere.put("s3://b/code/A.py", script)
    step = processing("A")
    step["Arguments"]["AppSpecification"]["ContainerArguments"] = ["broken"]
    assert "inference.py imports ruamel, but the image" in str(anywhere.run(pipeline(step)).failure)


def test_an_interpreter_below_tmp_is_still_seen_and_still_foreign(bench: Bench, tmp_path: Path) -> None:
    """Its packages import what they like, and /tmp is the job's own all the same."""
    bench.mode = "namespaces"
    python = tmp_path / "environment/bin/python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", python.parent.parent], check=True)
    site = next((tmp_path / "environment/lib").glob("python*/site-packages"))
    (site / "held.py").write_text("import other")
    (site / "other.py").write_text("")
    (site / "held-1.0.dist-info").mkdir()
    (site / "held-1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: held\nVersion: 1.0\n")
    (site / "held-1.0.dist-info/RECORD").write_text("held.py,,\n")
    image = Image(packages={"held": "1.0"})
    bench.put("s3://b/code/train.py", "import held")
    run_training(training_request(), bench.job("one", python=python, image_of=lambda uri: image))
    bench.put("s3://b/code/train.py", "import other")
    with pytest.raises(JobFailed, match="imports other, but the image"):
        run_training(training_request(), bench.job("two", python=python, image_of=lambda uri: image))


def test_without_facts_about_the_image_nothing_is_checked_and_that_is_told_once(bench: Bench) -> None:
    bench.image = Image()
    for name in "AB":
        bench.put(f"s3://b/code/{name}.py", "import ruamel.yaml")
    assert bench.run(pipeline(processing("A"), processing("B"))).status == "Succeeded"
    assert len([line for line in bench.said if "nothing is known of the image registry/image:1" in line]) == 1


def test_versions_that_differ_from_the_image_are_told_once(bench: Bench) -> None:
    held = packages.inventory(Path(sys.executable))
    bench.image = Image(packages={"boto3": "1.0.0", "Pydantic": held.versions["pydantic"], "torch": "2.0"})
    for name in "AB":
        bench.put(f"s3://b/code/{name}.py", "")
    bench.run(pipeline(processing("A"), processing("B")))
    assert [line for line in bench.said if "in the image" in line] == [
        f"image:1: boto3 {held.versions['boto3']} here, 1.0.0 in the image"
    ]


def test_another_distribution_of_the_same_package_counts() -> None:
    held = packages.Inventory("3.12.1", {"xgboost-cpu": "3.2.0"}, {}, {"xgboost": ["xgboost-cpu"]}, (), ())
    assert packages.differences({"xgboost": "1.7.6"}, held) == ["xgboost 3.2.0 here, 1.7.6 in the image"]
    plan = packages._imports("i", Image(packages={"xgboost": "1.7.6"}), held, Path("python"))
    assert "xgboost" in plan["allowed"]


def wheel(folder: Path, name: str, version: str, source: str, requires: str = "") -> Path:
    """Write a wheel by hand, so that pip needs no index."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    needs = f"Requires-Dist: {requires}\n" if requires else ""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}/__init__.py", source)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


def test_a_declared_dependency_is_installed_once_and_may_be_imported(anywhere: Bench) -> None:
    wheel(anywhere.root / "wheels", "tinyhelp", "1.0", "value = 41")
    wheel(
        anywhere.root / "wheels", "tinypack", "2.0", "import tinyhelp, jmespath\nvalue = tinyhelp.value + 1", "tinyhelp"
    )
    file = anywhere.root / "requirements.txt"
    file.write_text("--no-index\n--find-links ./wheels\ntinypack==2.0  # ours\nboto3\n")
    anywhere.image = Image(purpose="preprocessing", packages={"boto3": "1.0.0"}, dependencies=file)
    script = BASE + "import tinypack, tinyhelp, boto3\nassert tinypack.value == 42\nprint(boto3.__file__)"
    assert fails(anywhere, script) == "None"
    installs = [line for line in anywhere.said if line.startswith("Installing")]
    assert len(installs) == 1
    kept = next((anywhere.root / "runs/cache").glob("dependencies-*/lib/python*/site-packages"))
    assert {item.name for item in kept.iterdir() if item.suffix != ".dist-info"} == {"tinypack", "tinyhelp"}
    assert fails(anywhere, script) == "None"
    assert [line for line in anywhere.said if line.startswith("Installing")] == installs
    failure = fails(anywhere, "import ruamel.yaml")
    assert "requirements.txt does not name it. Write ruamel-yaml into requirements.txt" in failure
    anywhere.image = Image(purpose="preprocessing", packages={"boto3": "1.0.0"})
    assert "does not hold tinypack" in fails(anywhere, "import tinypack")


def test_a_dependency_that_the_interpreter_has_is_not_installed(bench: Bench) -> None:
    file = bench.root / "requirements.txt"
    file.write_text("ruamel.yaml>=0.1,!=0.5\n")
    bench.image = Image(packages={}, dependencies=file)
    assert fails(bench, "import ruamel.yaml") == "None"
    assert not [line for line in bench.said if line.startswith("Installing")]


def test_pips_failure_ends_the_run_before_anything_runs(bench: Bench) -> None:
    file = bench.root / "requirements.txt"
    file.write_text("--no-index\nno-such-thing==1.0\n")
    bench.image = Image(packages={}, dependencies=file)
    bench.put("s3://b/code/A.py", "")
    with pytest.raises(PlaceError, match=r"(?s)requirements.txt: pip cannot install it:.*no-such-thing.*Mend the line"):
        bench.run(pipeline(processing("A")))
    assert not list((bench.root / "runs").glob("*/execution.json"))
    assert list((bench.root / "runs/cache").glob("dependencies-*")) == []


@pytest.mark.parametrize(
    ("line", "versions", "met"),
    [
        ("pandas", {"pandas": "3.0"}, True),
        ("Ruamel_YAML", {"ruamel-yaml": "1"}, True),
        ("pandas==3.0", {"pandas": "3.0.0"}, True),
        ("pandas==2.2", {"pandas": "3.0"}, False),
        ("pandas>=2,<4", {"pandas": "3.0"}, True),
        ("pandas < 3", {"pandas": "3.0"}, False),
        ("pandas~=3.0", {"pandas": "3.0"}, False),  # left to pip
        ("pandas==3.*", {"pandas": "3.0"}, False),  # left to pip
        ("pandas[all]", {"pandas": "3.0"}, False),  # left to pip
        ("pandas; python_version < '3'", {"pandas": "3.0"}, False),  # left to pip
        ("pandas==3.0 --hash=sha256:abc", {"pandas": "3.0"}, True),
        ("pandas", {"pandas": "3.0rc1"}, True),
        ("pandas>2", {"pandas": "3.0rc1"}, False),
        ("pandas", {}, False),
    ],
)
def test_whether_a_requirement_is_met(tmp_path: Path, line: str, versions: dict[str, str], met: bool) -> None:
    (tmp_path / "r.txt").write_text(f"# a comment\n\n{line}  # why\n")
    (requirement,) = requirements.read(tmp_path / "r.txt")
    assert requirements.satisfied(requirement, versions) is met


def test_requirement_files_include_others(tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text(
        "-r more/s.txt\n--index-url https://x\na==1 \\\n  --hash=sha256:1\nwheels/tiny_pack-1.0-py3-none-any.whl\n"
    )
    (tmp_path / "more").mkdir()
    (tmp_path / "more/s.txt").write_text("b @ https://host/b.whl\n")
    assert [item.name for item in requirements.read(tmp_path / "r.txt")] == ["b", "a", "tiny-pack"]
    (tmp_path / "more/s.txt").write_text("-r ../more/s.txt\n")
    with pytest.raises(PlaceError):
        requirements.read(tmp_path / "r.txt")


@pytest.mark.parametrize("line", ["./folder", "==1.0", "git+https://x/y.git"])
def test_a_line_that_names_nothing_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "r.txt").write_text(line)
    with pytest.raises(PlaceError, match="names no distribution"):
        requirements.read(tmp_path / "r.txt")
