"""Start an emulated account for the length of a `with` block and talk to it with boto3.

Needs no ministack in this interpreter: the server runs in the one that has it."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from rehearsal.errors import MissingPackage, Refused, ServerDidNotStart

ROOT = Path(__file__).resolve().parents[1]
ACCOUNT = "111111111111"


@dataclass(frozen=True)
class Session:
    """Somebody's credentials at a running server."""

    endpoint: str
    access_key: str
    secret_key: str
    token: str = ""

    def client(self, service: str, region: str = "us-east-1") -> Any:
        """Give a boto3 client with these credentials."""
        return _client(self.endpoint, service, region, self.access_key, self.secret_key, self.token)

    def as_role(self, role_arn: str, session_name: str, **more: Any) -> Session:
        """Take a role, as far as its trust policy lets these credentials; `more` goes to AssumeRole."""
        taken = self.client("sts").assume_role(RoleArn=role_arn, RoleSessionName=session_name, **more)["Credentials"]
        return Session(self.endpoint, taken["AccessKeyId"], taken["SecretAccessKey"], taken["SessionToken"])


@dataclass(frozen=True)
class Emulator:
    """A running server."""

    endpoint: str
    pid: int

    def client(self, service: str, region: str = "us-east-1", account: str = ACCOUNT) -> Any:
        """Give a boto3 client; the access key is the account id, by which the emulator tells accounts apart."""
        return client(self.endpoint, service, region, account)

    def user(self, name: str, account: str = ACCOUNT) -> Session:
        """Give the credentials of an IAM user who may take any role that trusts users; made when there is none."""
        iam = self.client("iam", account=account)
        if name not in {user["UserName"] for user in iam.list_users()["Users"]}:
            iam.create_user(UserName=name)
            allowed = {"Effect": "Allow", "Action": ["sts:AssumeRole", "sts:TagSession"], "Resource": "*"}
            policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
            iam.put_user_policy(UserName=name, PolicyName="roles", PolicyDocument=policy)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return Session(self.endpoint, key["AccessKeyId"], key["SecretAccessKey"])

    def as_role(self, role_arn: str, session_name: str) -> Session:
        """Let the IAM user `session_name` take a role under the user's own name."""
        return self.user(session_name, role_arn.split(":")[4]).as_role(role_arn, session_name)

    def studio(self, who: Session, domain: str, profile: str, region: str = "us-east-1") -> Session:
        """Open a profile in Studio, when `who` may: give the credentials that its spaces have."""
        given = {"DomainId": domain, "UserProfileName": profile}
        link = who.client("sagemaker", region).create_presigned_domain_url(**given)["AuthorizedUrl"]
        return Session(self.endpoint, **fetch(self.endpoint, link.partition("/_rehearsal/")[2]))

    def hold(self, arn: str, is_held: bool = True) -> None:
        """Keep a Studio app from ending when it is deleted, or let it end."""
        fetch(self.endpoint, f"{'hold' if is_held else 'release'}?{urlencode({'arn': arn})}")

    def ledger(self) -> dict[str, Any]:
        """Give what every stack operation did, live and recorded counted, and what was ignored (nothing)."""
        return dict(fetch(self.endpoint, "ledger"))

    def resources(self) -> list[dict[str, Any]]:
        """List every resource that stacks made and that still exists."""
        return list(fetch(self.endpoint, "resources"))


def client(endpoint: str, service: str, region: str, account: str = ACCOUNT) -> Any:
    """Give a boto3 client of an emulated account and region, with the rights of its administrator."""
    return _client(endpoint, service, region, account, "rehearsal", "")


@cache  # making one takes a moment, and they are safe to share
def _client(endpoint: str, service: str, region: str, access_key: str, secret_key: str, token: str) -> Any:
    keys = {"aws_access_key_id": access_key, "aws_secret_access_key": secret_key, "aws_session_token": token or None}
    core, loader = import_module("botocore.session").get_session(), _loader()
    core.register_component("data_loader", loader)
    made = import_module("boto3").session.Session(botocore_session=core, region_name=region, **keys)
    loader.search_paths[:] = dict.fromkeys(loader.search_paths)  # each session adds boto3's own once more
    return made.client(service, endpoint_url=endpoint)


@cache
def _loader() -> Any:
    """Give the one reader of service models: they are large, and the same for everybody."""
    return import_module("botocore.session").get_session().get_component("data_loader")


def fetch(endpoint: str, view: str) -> Any:
    """Ask for one of the server's own views, such as "ledger" or "resources", past any proxy of the environment."""
    connection = http.client.HTTPConnection(urlsplit(endpoint).netloc, timeout=30)
    try:
        connection.request("GET", f"/_rehearsal/{view}")
        answer = connection.getresponse()
        told = json.load(answer)
        if answer.status != 200:
            raise Refused(told)
        return told
    finally:
        connection.close()


@contextmanager
def emulator(state_dir: Path | None = None, python: Path | None = None, port: int = 0) -> Iterator[Emulator]:
    """Run the server until the block ends; without a state folder nothing outlives it.

    Its standard input is a pipe from here, so it ends as well when this process is killed. Without `python` it runs in
    this interpreter, or in the rehearsal environment when this one has no ministack."""
    python = python or (Path(sys.executable) if find_spec("ministack") else ROOT / ".venvs/rehearsal/bin/python")
    if not python.exists():
        raise MissingPackage(python, "ministack")
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as scratch:
        log, state = Path(scratch) / "server.log", state_dir or Path(scratch) / "state"
        command = [str(python), "-m", "rehearsal.server", "--until-stdin-closes", f"--port={port}", f"--state={state}"]
        pipe = subprocess.PIPE
        with log.open("w") as told, subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=told) as server:
            try:
                line = server.stdout.readline() if server.stdout else b""
                if not line:
                    raise ServerDidNotStart(server.wait(), log.read_text(encoding="utf-8")[-2000:])
                yield Emulator(**json.loads(line))
            finally:
                server.terminate()
                try:
                    server.wait(timeout=20)
                except subprocess.TimeoutExpired:
                    server.kill()
