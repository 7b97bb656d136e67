"""One emulator for most tests, with a published zip and seed in two regions; stacks keep apart by name or region."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ministack", reason="these tests run in the rehearsal environment")

from rehearsal.client import Emulator, emulator
from tests.rehearsal.small import ROUTER, SEED

# Two modules, as our own zips have; answers with what a function finds around itself.
GREETER = {
    "handler.py": """
import json, os, sys, urllib.request
import boto3
from topic import greet

def handle(event, context):
    answer = {key: event[key] for key in ("StackId", "RequestId", "LogicalResourceId")}
    word = event["ResourceProperties"]["Greeting"]
    if word == "raise":
        raise ValueError("nothing to say")
    failed = event["RequestType"] != "Delete" and word == "fail"
    account = boto3.client("sts").get_caller_identity()["Account"]
    data = {"Greeting": greet(word), "Account": account, "Python": "%d.%d" % sys.version_info[:2],
            "Region": os.environ["AWS_REGION"], "Stack": os.environ["STACK"]}
    answer |= {"Status": "FAILED" if failed else "SUCCESS", "Reason": "asked to fail", "Data": data,
               "PhysicalResourceId": "greeting"}
    body = json.dumps(answer).encode()
    urllib.request.urlopen(urllib.request.Request(event["ResponseURL"], body, method="PUT")).close()
""",
    "topic.py": "def greet(word):\n    return word + ', world'\n",
}

# Hands the answer on to a state machine, which asks it again and again; says in SSM what it was asked.
LATE = {
    "late.py": """
import json, urllib.request
import boto3

def answer(event, status, reason=""):
    told = {key: event[key] for key in ("StackId", "RequestId", "LogicalResourceId")}
    body = json.dumps(told | {"Status": status, "Reason": reason, "PhysicalResourceId": "late"}).encode()
    urllib.request.urlopen(urllib.request.Request(event["ResponseURL"], body, method="PUT")).close()

def handle(event, context):
    if "attempt" in event:
        if event["attempt"] == 4:
            answer(event["event"], "SUCCESS")
        return {"answered": event["attempt"] == 4, "attempt": event["attempt"] + 1}
    if "detail" in event:
        return boto3.client("ssm").put_parameter(Name=event["detail"]["name"], Type="String", Value="told")
    if "give_up" in event:
        return answer(event["event"], "FAILED", event["give_up"])
    given = event["ResourceProperties"]
    if "Note" in given:
        boto3.client("ssm").put_parameter(Name=given["Note"], Type="String", Value=event["RequestType"], Overwrite=True)
    if "Loop" in given:
        state = json.dumps({"event": event, "attempt": 0})
        boto3.client("stepfunctions").start_execution(stateMachineArn=given["Loop"], name=event["RequestId"], input=state)
    elif given.get("Refuse") == event["RequestType"]:
        answer(event, "FAILED", "asked to refuse " + event["RequestType"])
    else:
        answer(event, "SUCCESS")
""",
}


def zipped(files: Mapping[str, str]) -> bytes:
    """Make a zip file of texts."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


@pytest.fixture(scope="session")
def account() -> Iterator[Emulator]:
    """Give an emulated account in which `mixed.yaml` and what it needs are published."""
    objects = {
        "v1/mixed.yaml": (Path(__file__).parent / "templates/mixed.yaml").read_bytes(),
        "zips/greeter.zip": zipped(GREETER),
        "zips/late.zip": zipped(LATE),
        "zips/router.zip": zipped(ROUTER),
        "seeds/seed.zip": zipped({"README.md": "seed"}),
        "seeds/push.zip": zipped(SEED),
        "seeds/empty.zip": zipped({"README.md": "seed", "package/__init__.py": ""}),
    }
    with emulator() as running:
        for region in ("us-east-1", "eu-south-1"):
            s3, place = running.client("s3", region), {"LocationConstraint": region}
            given: dict[str, Any] = {} if region == "us-east-1" else {"CreateBucketConfiguration": place}
            s3.create_bucket(Bucket=f"assets-{region}", **given)
            for key, body in objects.items():
                s3.put_object(Bucket=f"assets-{region}", Key=key, Body=body)
        yield running
