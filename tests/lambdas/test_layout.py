"""Every folder in lambdas/ can become a flat zip and says what its policy needs."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

LAMBDAS = Path(__file__).parents[2] / "lambdas"
SHARED = {path.stem for path in (LAMBDAS / "_shared").glob("*.py")}
FUNCTIONS = sorted(path.name for path in LAMBDAS.iterdir() if (path / "handler.py").is_file())
# What else lies at the root of a zip, or comes with the runtime.
TAKEN = sys.stdlib_module_names | {"aws_lambda_powertools", "boto3", "botocore", "jmespath", "typing_extensions"}


@pytest.mark.parametrize("name", ["_shared", *FUNCTIONS])
def test_no_module_hides_another(name: str) -> None:
    own = {path.stem for path in (LAMBDAS / name).glob("*.py")}
    assert own
    assert not own & TAKEN
    assert name == "_shared" or not own & SHARED


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_handler_says_who_calls_it_and_names_every_action(name: str) -> None:
    text = (LAMBDAS / name / "handler.py").read_text()
    told = ast.get_docstring(ast.parse(text)) or ""
    for heading in ("Called by:", "Environment:", "IAM:"):
        assert heading in told, f"the docstring of lambdas/{name}/handler.py lacks a line '{heading}'"
    code = "\n".join(path.read_text() for path in (LAMBDAS / name).glob("*.py"))
    # Calls on a client, names of paginators, and names of calls in a table.
    verbs = r"(?:get|list|describe|add)_[a-z_]+"
    calls = set(re.findall(rf"(?:client|_sagemaker|_iam)\.({verbs})\(", code)) - {"get_paginator"}
    calls |= set(re.findall(rf'"({verbs})"', code))
    spelled = told.lower().replace("_", "")
    assert [call for call in sorted(calls) if call.replace("_", "") not in spelled] == []


@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_module_makes_rules_or_takes_permissions_at_run_time(name: str) -> None:
    # Helpers of custom resources that poll create EventBridge rules; ours must need no such right.
    code = "\n".join(path.read_text() for folder in (name, "_shared") for path in (LAMBDAS / folder).glob("*.py"))
    assert not re.search(r"put_rule|put_targets|add_permission", code)
