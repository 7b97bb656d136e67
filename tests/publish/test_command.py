"""`./inv publish` and `./inv serve` as a person sees them: what they print, what they refuse, what they leave."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from generators.kit import publishing, regions
from generators.kit.publishing import ROOT, release_prefix, version
from tools.errors import MlopsError
from tools.publish import command, embedded
from tools.publish.aws import EMBEDDED_ACCOUNT, connect, connect_embedded
from tools.publish.errors import (
    BadReaders,
    BadRegions,
    EmbeddedInUse,
    EndpointWithoutPrefix,
    NoCredentials,
    PortTaken,
    ReadBackDiffers,
    Unreachable,
)
from tools.publish.manifest import Release, release
from tools.publish.plan import examine
from tools.publish.publisher import Order
from tools.publish.publisher import publish as carry_out
from tools.publish.readers import Readers
from tools.publish.serve import serve

from .conftest import OBJECTS, OURS, Cloud

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Publish a small release, keep the embedded state in a folder of the test's own, and never a configured prefix."""
    monkeypatch.setattr(command, "release", lambda: release(OBJECTS))
    monkeypatch.setattr(publishing, "configured_prefix", lambda: "")
    monkeypatch.setattr(embedded, "FOLDER", tmp_path / "embedded")
    monkeypatch.setattr(embedded, "STATE", tmp_path / "embedded" / "state")


def publish(**options: Any) -> None:
    """Call what the task calls, with the task's defaults."""
    defaults: dict[str, Any] = {"bucket_prefix": "", "regions": "", "org_id": "", "accounts": "", "endpoint_url": ""}
    command.publish(**{**defaults, "public": False, "dry_run": False, **options})


def sign_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put our account's credentials into the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", OURS)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")


def test_publish_prints_progress_and_how_to_go_on(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sign_in(monkeypatch)
    publish(bucket_prefix=cloud.prefix, regions="us-east-1, eu-west-1", endpoint_url=cloud.endpoint)
    lines = capsys.readouterr().out.splitlines()
    lines = [line for line in lines if not line.startswith("note: ")]
    assert f"to {cloud.prefix}-REGION in 2 regions of account {OURS}" in lines[0]
    assert "eu-west-1       4 objects, 4 sent, 0 unchanged" in lines
    assert f"Published {release_prefix()}manifest.json in 2 regions: 14 objects sent, 0 unchanged." in lines
    assert lines[-1] == f"Launch links: ./inv links --bucket-prefix {cloud.prefix}"


def test_dry_run_says_what_would_be_done_and_writes_nothing(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sign_in(monkeypatch)
    publish(bucket_prefix=cloud.prefix, endpoint_url=cloud.endpoint, dry_run=True)
    out = capsys.readouterr().out
    assert cloud.buckets() == set()
    assert f"eu-west-1       set up: bucket {cloud.prefix}-eu-west-1" in out
    assert out.count("send 4 of 4 objects") == len(regions.names())
    assert out.splitlines()[-1] == "Dry run: nothing was written."


def test_missing_credentials_are_named_with_the_way_to_try_without(cloud: Cloud) -> None:
    with pytest.raises(NoCredentials) as caught:
        publish(bucket_prefix=cloud.prefix, endpoint_url=cloud.endpoint)
    assert "none are in the environment" in str(caught.value)
    assert str(caught.value).endswith("publish to the embedded S3 of this machine: ./inv publish")
    assert cloud.buckets() == set()


def test_a_missing_profile_and_half_credentials_are_missing_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "gone")
    with pytest.raises(NoCredentials, match="gone"):
        publish(bucket_prefix="acme", endpoint_url=NOWHERE)
    monkeypatch.delenv("AWS_PROFILE")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", OURS)
    with pytest.raises(NoCredentials, match="Partial credentials"):
        publish(bucket_prefix="acme", endpoint_url=NOWHERE)


def test_credentials_that_aws_rejects_are_missing_credentials(cloud: Cloud) -> None:
    aws = cloud.aws()

    def reject(http_response: Any, parsed: Any, **_: Any) -> None:
        http_response.status_code = 403
        parsed["Error"] = {"Code": "ExpiredToken", "Message": "The security token included in the request is expired"}

    aws.session.events.register("after-call.sts", reject)
    with pytest.raises(NoCredentials, match="token included in the request is expired"):
        examine(aws, cloud.prefix, ["us-east-1"], Readers(), release(OBJECTS), replace=False)


def test_an_endpoint_that_does_not_answer_is_a_network_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    sign_in(monkeypatch)
    with pytest.raises(Unreachable, match="Nothing was written: the network failed"):
        publish(bucket_prefix="acme", endpoint_url=NOWHERE)


def test_wrong_options_are_refused_before_anything_is_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "release", lambda: pytest.fail("put together"))
    sign_in(monkeypatch)
    for options, error in (
        ({"endpoint_url": NOWHERE}, EndpointWithoutPrefix),
        ({"regions": "eu-west-1,mars-north-1"}, BadRegions),
        ({"org_id": "acme"}, BadReaders),
        ({"bucket_prefix": "Acme"}, MlopsError),
    ):
        with pytest.raises(error):
            publish(**options)


def test_regions_of_another_partition_are_told_apart(cloud: Cloud) -> None:
    with pytest.raises(MlopsError, match="the region is not in aws, the partition of these credentials"):
        examine(cloud.aws(), cloud.prefix, ["cn-north-1", "us-east-1"], Readers(), release(OBJECTS), replace=False)
    assert cloud.buckets() == set()


def test_the_embedded_account_reads_nothing_of_the_person(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(
        "[default]\naws_session_token = secret\nendpoint_url = http://elsewhere\nuse_fips_endpoint = true\n"
    )
    for name, value in {
        "AWS_CONFIG_FILE": str(config),
        "AWS_PROFILE": "gone",
        "AWS_SESSION_TOKEN": "secret",
        "AWS_ENDPOINT_URL": "http://elsewhere",
        "AWS_USE_FIPS_ENDPOINT": "true",
        "HTTP_PROXY": NOWHERE,
    }.items():
        monkeypatch.setenv(name, value)
    aws = connect_embedded("http://127.0.0.1:1")
    credentials = aws.session.get_credentials()
    assert credentials is not None
    assert (credentials.access_key, credentials.token) == (EMBEDDED_ACCOUNT, None)
    client = aws.client("s3", "eu-west-1")
    assert client.meta.endpoint_url == "http://127.0.0.1:1"
    assert client.meta.config.proxies == {}


def test_credentials_of_the_person_are_used_for_real_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    sign_in(monkeypatch)
    credentials = connect().session.get_credentials()
    assert credentials is not None and credentials.access_key == OURS


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `./inv serve` beside the test, over the test's own state, and give its first line."""
    script = f"""
        import pathlib
        from tools.publish import embedded
        from tools.publish.serve import serve
        embedded.FOLDER = pathlib.Path({str(tmp_path / "embedded")!r})
        embedded.STATE = embedded.FOLDER / "state"
        serve(0)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # As a terminal does, so that Ctrl-C reaches it and not this test.
        start_new_session=True,
    )
    with process:
        assert process.stdout
        yield process, process.stdout.readline()
        process.terminate()


def test_without_a_bucket_it_publishes_to_this_machine_and_reads_back(capsys: pytest.CaptureFixture[str]) -> None:
    publish()
    out, count = capsys.readouterr().out, len(regions.names())
    assert count >= 13
    assert (
        f"Published {release_prefix()}manifest.json in {count} regions: {count * 7} objects sent, 0 unchanged." in out
    )
    assert f"Read back over HTTP: {count * 7} objects in {count} regions, every checksum as in the manifest." in out
    assert "./inv serve" in out and "./inv links --bucket-prefix PREFIX" in out
    assert not (embedded.FOLDER / "server.json").exists()
    assert embedded.STATE.is_dir()

    # Another process, another emulator: what the first one kept is all there.
    publish()
    out = capsys.readouterr().out
    assert f"manifest.json in {count} regions: 0 objects sent, {count * 5} unchanged." in out
    assert "was replaced" not in out


def test_serve_publish_to_it_replace_and_stop(
    served: tuple[subprocess.Popen[str], str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    process, line = served
    note = json.loads((embedded.FOLDER / "server.json").read_text())
    assert note["endpoint"] in line

    publish(regions="us-east-1,eu-west-1")
    out = capsys.readouterr().out
    assert f"Served at {note['endpoint']}." in out
    stored = Cloud(note["endpoint"], EMBEDDED_ACCOUNT, embedded.PREFIX).content("eu-west-1")
    assert stored[f"{release_prefix()}seeds/mlops-cfn.zip"] == OBJECTS["seeds/mlops-cfn.zip"]

    monkeypatch.setattr(command, "release", lambda: release({**OBJECTS, "seeds/mlops-cfn.zip": b"changed"}))
    publish(regions="us-east-1,eu-west-1")
    assert f"{release_prefix()} held other content there and was replaced" in capsys.readouterr().out
    stored = Cloud(note["endpoint"], EMBEDDED_ACCOUNT, embedded.PREFIX).content("eu-west-1")
    assert stored[f"{release_prefix()}seeds/mlops-cfn.zip"] == b"changed"

    with pytest.raises(EmbeddedInUse, match=note["endpoint"]):
        serve(0)
    with pytest.raises(EmbeddedInUse), embedded.running():
        pytest.fail("two emulators over one state")

    process.send_signal(signal.SIGINT)
    assert process.stdout
    rest = process.stdout.read()
    assert process.wait(timeout=20) == 0
    assert "aws cloudformation validate-template --template-url" in rest and "Stopped" in rest
    assert not (embedded.FOLDER / "server.json").exists()
    assert not embedded.answers(note["endpoint"])


def test_bytes_that_come_back_changed_are_noticed(cloud: Cloud) -> None:
    found = release(OBJECTS)
    placed = Order(found, cloud.prefix, ("us-east-1",), Readers())
    plans = carry_out(cloud.aws(), placed, lambda _: None).plans
    assert embedded.read_back(cloud.aws(), plans, found) == 7
    key = f"{found.prefix}functions/one.zip"
    cloud.s3("us-east-1").put_object(Bucket=cloud.bucket("us-east-1"), Key=key, Body=b"rotten")
    with pytest.raises(ReadBackDiffers) as caught:
        embedded.read_back(cloud.aws(), plans, found)
    assert caught.value.problems == [f"us-east-1: {key} has another checksum"]


def test_a_note_of_a_server_that_is_gone_is_not_believed() -> None:
    embedded.FOLDER.mkdir()
    for note in ('{"endpoint": "http://127.0.0.1:9", "pid": 1}', '{"endpoint"', "{}"):
        (embedded.FOLDER / "server.json").write_text(note)
        assert embedded.served() is None


def test_a_taken_port_is_told_before_anything_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(PortTaken, match="--port 0"):
        serve(taken.getsockname()[1])
    assert not embedded.FOLDER.exists()


def test_an_unstable_version_says_that_latest_stays(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sign_in(monkeypatch)
    assets = release(OBJECTS).assets
    monkeypatch.setattr(command, "release", lambda: Release("0.2.0rc1", "v0.2.0rc1/", assets, stable=False))
    publish(bucket_prefix=cloud.prefix, regions="us-east-1", endpoint_url=cloud.endpoint)
    assert "latest/ stays where it is: 0.2.0rc1 is no stable version." in capsys.readouterr().out
    assert not any(key.startswith("latest/") for key in cloud.content("us-east-1"))
    assert version() != "0.2.0rc1"
