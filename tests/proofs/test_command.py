"""What `inv prove` prints and how it ends: 0 proved, 1 disproved, 3 not run, and the JSON document alone on stdout."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import proofs.__main__ as command
from generators.kit.publishing import ROOT
from proofs import launch_permissions, limits, scene
from proofs.errors import MissingData, NothingToProve
from proofs.listing import proofs
from proofs.report import Finding, Outcome, Report
from rehearsal import schemas
from tools import prove
from tools.environments import EnvironmentFailed

HELD = Outcome(5, 2)
BROKEN = Outcome(5, 2, (Finding("t:R", "something", "mend it"),))
LEFT = Outcome(reason="no data")


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [((HELD,), 0), ((HELD, BROKEN), 1), ((HELD, LEFT), 3), ((BROKEN, LEFT), 1), ((LEFT,), 3), ((), 0)],
)
def test_exit_codes(outcomes: tuple[Outcome, ...], code: int) -> None:
    assert Report(tuple((str(index), outcome) for index, outcome in enumerate(outcomes))).code == code


def test_the_document_has_the_form_that_is_promised() -> None:
    written = json.loads(Report((("a", HELD), ("b", BROKEN), ("c", LEFT))).as_json())
    assert written == {
        "proofs": [
            {"name": "a", "status": "proved", "count": 5, "not_from_aws": 2},
            {"name": "b", "status": "disproved", "count": 5, "not_from_aws": 2},
            {"name": "c", "status": "not-run", "count": 0, "not_from_aws": 0},
        ]
    }


def test_the_text_has_a_line_for_each_proof_then_the_findings_with_their_mend() -> None:
    first, second, third, _, title, finding, mend = (
        Report((("a", HELD), ("b", BROKEN), ("c", LEFT))).as_text().splitlines()
    )
    assert first.split()[:4] == ["a", "proved,", "5", "checks,"]
    assert "disproved" in second
    assert third.endswith("not run: no data")
    assert (title, finding, mend) == ("b: 1 finding", "  t:R: something", "      -> mend it")


def test_the_folder_is_the_list(tmp_path: Path) -> None:
    assert proofs() == {"launch-permissions": "proofs.launch_permissions", "limits": "proofs.limits"}
    assert (launch_permissions.NAME, limits.NAME) == ("launch-permissions", "limits")
    (tmp_path / "more.py").write_text('NAME = "more"\n\ndef run(): ...\n')
    (tmp_path / "helper.py").write_text('NAME = "no proof: it has no run"\n')
    assert proofs(tmp_path) == {"more": f"{tmp_path.name}.more"}


def test_nothing_but_the_document_is_on_stdout(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "outcome", lambda module: LEFT if "limits" in module else HELD)
    assert command.main(["--json"]) == 3
    out, err = capsys.readouterr()
    assert [row["status"] for row in json.loads(out)["proofs"]] == ["proved", "not-run"]
    assert "limits was not run: no data" in err


def test_one_proof_can_be_asked_for(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "outcome", lambda module: HELD)
    assert command.main(["--only", "limits", "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)["proofs"]] == ["limits"]
    with pytest.raises(SystemExit) as ended:
        command.main(["--only", "gravity"])
    assert ended.value.code == 2
    assert "Name one of: launch-permissions, limits." in capsys.readouterr().err


def test_without_the_data_of_cfn_lint_nothing_is_proved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schemas, "find_spec", lambda name: None)
    for module in proofs().values():
        found = command.outcome(module)
        assert (found.status, found.count) == ("not-run", 0)
        assert "cfn-lint" in found.reason
        assert found.reason.endswith("run `./inv prove`.")


def test_data_that_is_only_half_there_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Spec:
        submodule_search_locations = [str(tmp_path)]

    monkeypatch.setattr(schemas, "find_spec", lambda name: Spec())
    with pytest.raises(MissingData):
        scene.library()


@pytest.mark.parametrize("error", [NothingToProve("There is nothing. Add it."), ModuleNotFoundError("x", name="regex")])
def test_what_keeps_a_proof_from_running_is_a_reason(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Outcome:
        raise error

    monkeypatch.setattr(limits, "run", fail)
    found = command.outcome("proofs.limits")
    assert found.status == "not-run"
    assert found.reason


def test_a_proof_that_goes_wrong_is_not_proved(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "run", lambda: 1 / 0)
    assert command.outcome("proofs.limits").status == "not-run"
    assert "ZeroDivisionError" in capsys.readouterr().err


@pytest.mark.parametrize(("code", "ends"), [(0, None), (1, 1), (3, 3), (-9, 3)])
def test_the_task_ends_with_the_code_of_the_proofs(
    code: int, ends: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prove, "run_module", lambda *words: code)
    if ends is None:
        prove.run()
        return
    with pytest.raises(SystemExit) as ended:
        prove.run("limits")
    assert ended.value.code == ends


def test_without_the_environment_nothing_is_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*words: str) -> int:
        raise EnvironmentFailed("lint", "no index")

    monkeypatch.setattr(prove, "run_module", fail)
    with pytest.raises(SystemExit) as ended:
        prove.run(as_json=True)
    out, err = capsys.readouterr()
    assert ended.value.code == 3
    assert {row["status"] for row in json.loads(out)["proofs"]} == {"not-run"}
    assert "inv: Not run" in err


def test_an_unknown_proof_is_a_mistake_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        prove.run("gravity")
    assert ended.value.code == 2
    assert "Name one of" in capsys.readouterr().err


def test_a_copy_without_proofs_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(prove, "ROOT", tmp_path)
    with pytest.raises(prove.NoProofs):
        prove.run()


def test_the_command_as_a_person_runs_it() -> None:
    done = subprocess.run([sys.executable, "-m", "proofs", "--json"], cwd=ROOT, capture_output=True, text=True)
    rows = json.loads(done.stdout)["proofs"]
    assert [row["name"] for row in rows] == ["launch-permissions", "limits"]
    statuses = {row["status"] for row in rows}
    assert done.returncode == (1 if "disproved" in statuses else 3 if "not-run" in statuses else 0)
    assert all(row["count"] > 500 for row in rows)
