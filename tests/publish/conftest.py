"""A local S3 to publish to, and small releases; only the packing of zips is tested on the project's own files."""

from __future__ import annotations

import itertools
import json
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.loaders import Loader

from rehearsal.client import emulator
from tools import environments
from tools.publish.aws import Aws
from tools.publish.manifest import Release, release
from tools.publish.publisher import Order
from tools.publish.readers import Readers

OURS, THEIRS = "111122223333", "999988887777"
REGIONS = ("eu-south-1", "us-east-1", "us-west-2")
OBJECTS = {
    "templates/1-infra.yaml": b"Resources: {}\n",
    "functions/one.zip": b"one" * 1000,
    "functions/two.zip": b"two" * 1000,
    "seeds/mlops-cfn.zip": b"seed",
}
_numbers = itertools.count()
# Service models are large; parsing them once, and not once a session, is most of what these tests would take.
MODELS = Loader()


@pytest.fixture(scope="session")
def emulated() -> Iterator[str]:
    """Give the endpoint of an emulator that nothing else uses."""
    with emulator(python=environments.ensure("rehearsal")) as server:
        yield server.endpoint


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away whatever AWS settings the person who runs the tests has."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    # A fault that a test makes lasts until the test mends it: no use to repeat.
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr("botocore.session.create_loader", lambda *_: MODELS)


def session_of(account: str) -> boto3.Session:
    """Give a new session of an account."""
    return boto3.Session(account, "any", region_name="us-east-1")


@cache
def looking(endpoint: str, account: str, region: str) -> Any:
    """Give a client to look with, beside what is tested."""
    return Aws(session_of(account), endpoint).client("s3", region)


@dataclass
class Cloud:
    """An account at an endpoint, and a bucket prefix of the test's own. `writes` are the writing S3 calls that were made."""

    endpoint: str
    account: str
    prefix: str
    writes: list[str] = field(default_factory=list)

    def aws(self, endpoint: str | None = None) -> Aws:
        """Connect; each connection is a session of its own."""
        session = session_of(self.account)
        session.events.register("before-call.s3", self._note)
        return Aws(session, endpoint or self.endpoint)

    def other(self, account: str) -> Cloud:
        """Be somebody else, with the same prefix in mind."""
        return Cloud(self.endpoint, account, self.prefix)

    def s3(self, region: str) -> Any:
        """Give a client to look with."""
        return looking(self.endpoint, self.account, region)

    def bucket(self, region: str) -> str:
        """Name the bucket of a region."""
        return f"{self.prefix}-{region}"

    def buckets(self) -> set[str]:
        """Name every bucket that this account has under the prefix."""
        found = self.s3("us-east-1").list_buckets()["Buckets"]
        return {row["Name"] for row in found if row["Name"].startswith(f"{self.prefix}-")}

    def content(self, region: str) -> dict[str, bytes]:
        """Read every object of a region's bucket."""
        s3, bucket = self.s3(region), self.bucket(region)
        if bucket not in self.buckets():
            return {}
        keys = [row["Key"] for row in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
        return {key: s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}

    def everything(self) -> dict[str, Any]:
        """Give all that is in the buckets, with version ids: equal means that nothing was written."""
        found: dict[str, Any] = {}
        for region in REGIONS:
            s3, bucket = self.s3(region), self.bucket(region)
            if bucket in self.buckets():
                rows = s3.list_object_versions(Bucket=bucket).get("Versions", [])
                found[bucket] = sorted((row["Key"], row["VersionId"], row["ETag"]) for row in rows)
        return found

    def policy(self, region: str) -> dict[str, dict[str, Any]]:
        """Give the statements of a bucket's policy by Sid."""
        text = self.s3(region).get_bucket_policy(Bucket=self.bucket(region))["Policy"]
        return {row["Sid"]: row for row in json.loads(text)["Statement"]}

    def block(self, region: str) -> dict[str, bool]:
        """Give the public access block of a bucket."""
        answer = self.s3(region).get_public_access_block(Bucket=self.bucket(region))
        return dict(answer["PublicAccessBlockConfiguration"])

    def _note(self, model: Any, params: Any, **_: Any) -> None:
        if params["method"] not in ("GET", "HEAD"):
            self.writes.append(f"{model.name} {urlsplit(params['url']).path}")


@pytest.fixture
def cloud(emulated: str) -> Cloud:
    """Give our account, with a prefix that no other test uses."""
    return Cloud(emulated, OURS, f"test-{next(_numbers)}")


@pytest.fixture
def order(cloud: Cloud) -> Callable[..., Order]:
    """Give a maker of orders: a small release to three regions unless the test says otherwise."""

    def make(
        objects: dict[str, bytes] | None = None,
        regions: tuple[str, ...] = REGIONS,
        readers: Readers | None = None,
        replace: bool = False,
        version: str | None = None,
    ) -> Order:
        found = release(objects or OBJECTS)
        if version:
            stable = re.fullmatch(r"[\d.]+", version) is not None
            found = Release(version, f"v{version}/", found.assets, stable)
        return Order(found, cloud.prefix, regions, readers or Readers(), replace)

    return make


class CuttingProxy:
    """Hands everything on to the emulator until so many objects are on their way, then drops every connection."""

    def __init__(self, endpoint: str, puts: int) -> None:
        self.target = ("127.0.0.1", int(endpoint.rsplit(":", 1)[1]))
        self.left = puts
        self.cut = threading.Event()
        self.counting = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._hand_on, args=(client,), daemon=True).start()

    def _hand_on(self, client: socket.socket) -> None:
        with closing(client), socket.create_connection(self.target) as server:
            answers = threading.Thread(target=self._pump, args=(server, client, False), daemon=True)
            answers.start()
            self._pump(client, server, True)
            answers.join()

    def _pump(self, source: socket.socket, target: socket.socket, requests: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                # An object's request begins a chunk: the client sends headers and body apart and waits for answers.
                if requests and re.match(rb"PUT /[^/ ?]+/[^ ?]+ HTTP", data):
                    with self.counting:
                        self.left -= 1
                        if self.left < 0:
                            self.cut.set()
                if self.cut.is_set():
                    break
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def cutting_proxy(emulated: str) -> Iterator[Callable[[int], CuttingProxy]]:
    """Give a maker of proxies that cut the network once so many objects were sent."""
    made: list[CuttingProxy] = []

    def make(puts: int) -> CuttingProxy:
        made.append(CuttingProxy(emulated, puts))
        return made[-1]

    yield make
    for proxy in made:
        proxy.cut.set()
        proxy.listener.close()
