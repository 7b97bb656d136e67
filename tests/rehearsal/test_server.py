"""The server's life: what outlives it, and that it outlives nobody."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rehearsal.client import ROOT, emulator
from rehearsal.errors import ServerDidNotStart

POLICY = json.dumps({"Version": "2012-10-17", "Statement": []})


def is_gone(pid: int) -> bool:
    """Wait up to ten seconds for a process to end."""
    for _ in range(200):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_published_objects_and_bucket_settings_survive_a_restart(tmp_path: Path) -> None:
    block = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
    rule = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
    place = {"LocationConstraint": "eu-west-1"}
    with emulator(tmp_path) as first:
        s3 = first.client("s3", "eu-west-1")
        s3.create_bucket(Bucket="kept", CreateBucketConfiguration=place)
        s3.put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
        s3.put_public_access_block(Bucket="kept", PublicAccessBlockConfiguration=block)
        s3.put_bucket_encryption(Bucket="kept", ServerSideEncryptionConfiguration=rule)
        s3.put_bucket_policy(Bucket="kept", Policy=POLICY)
        s3.put_object(Bucket="kept", Key="v1/a.yaml", Body=b"Resources: {}", Metadata={"sha": "1"})
        version = s3.put_object(Bucket="kept", Key="v1/a.yaml", Body=b"new", Metadata={"sha": "2"})["VersionId"]
        first.client("ssm").put_parameter(Name="/gone", Type="String", Value="x")
    assert is_gone(first.pid)
    with emulator(tmp_path) as second:
        s3 = second.client("s3", "eu-west-1")
        assert s3.get_bucket_location(Bucket="kept")["LocationConstraint"] == "eu-west-1"
        assert s3.get_bucket_versioning(Bucket="kept")["Status"] == "Enabled"
        assert s3.get_public_access_block(Bucket="kept")["PublicAccessBlockConfiguration"] == block
        encryption = s3.get_bucket_encryption(Bucket="kept")["ServerSideEncryptionConfiguration"]["Rules"][0]
        assert encryption["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
        assert json.loads(s3.get_bucket_policy(Bucket="kept")["Policy"]) == json.loads(POLICY)
        kept = s3.get_object(Bucket="kept", Key="v1/a.yaml")
        assert (kept["Body"].read(), kept["Metadata"], kept["VersionId"]) == (b"new", {"sha": "2"}, version)
        assert second.client("ssm").describe_parameters()["Parameters"] == []


def test_server_ends_when_its_client_is_killed(tmp_path: Path) -> None:
    program = "from rehearsal.client import emulator\nwith emulator() as e:\n    print(e.pid, flush=True)\n    input()"
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as client:
        assert client.stdout
        pid = int(client.stdout.readline())
        os.kill(pid, 0)
        client.send_signal(signal.SIGKILL)
    assert is_gone(pid)


def test_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with emulator(tmp_path / "a") as first:
        port = int(first.endpoint.rpartition(":")[2])
        with pytest.raises(ServerDidNotStart, match="Address already in use"), emulator(tmp_path / "b", port=port):
            pass
