"""What the tests publish to the emulated account."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rehearsal.client import Emulator

REGIONS = ("us-east-1", "eu-south-1")
TEMPLATES = Path(__file__).parent / "templates"

# Two modules, as in our own zips; answers with what a Lambda function finds around itself.
GREETER = {
    "handler.py": """
import json, os, sys, urllib.request
import boto3
from topic import greet

def handle(event, context):
    answer = {key: event[key] for key in ("StackId", "RequestId", "LogicalResourceId")}
    if event["ResourceProperties"]["Greeting"] == "raise":
        raise ValueError("nothing to say")
    failed = event["RequestType"] != "Delete" and event["ResourceProperties"]["Greeting"] == "fail"
    account = boto3.client("sts").get_caller_identity()["Account"]
    data = {"Greeting": greet(event["ResourceProperties"]["Greeting"]), "Account": account,
            "Python": "%d.%d" % sys.version_info[:2], "Region": os.environ["AWS_REGION"], "Stack": os.environ["STACK"]}
    answer |= {"Status": "FAILED" if failed else "SUCCESS", "Reason": "asked to fail", "Data": data,
               "PhysicalResourceId": "greeting"}
    body = json.dumps(answer).encode()
    urllib.request.urlopen(urllib.request.Request(event["ResponseURL"], body, method="PUT")).close()
""",
    "topic.py": "def greet(word):\n    return word + ', world'\n",
}


def zipped(files: Mapping[str, str]) -> bytes:
    """Make a zip file of texts."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def publish(account: Emulator, region: str, objects: Mapping[str, bytes]) -> str:
    """Make the region's bucket when it is missing, put objects into it, and give its name."""
    s3, bucket = account.client("s3", region), f"assets-{region}"
    place: dict[str, Any] = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    s3.create_bucket(Bucket=bucket, **place)
    for key, body in objects.items():
        s3.put_object(Bucket=bucket, Key=key, Body=body)
    return bucket
