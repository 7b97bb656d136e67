"""Who publishes and where: one session, its account, and clients for each region."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)

from generators.kit import publishing, regions
from tools.publish.errors import BadRegions, NoCredentials, Unreachable

EMBEDDED_ACCOUNT = "111111111111"
EMBEDDED_PARTITION = "aws"
EMBEDDED_SECRET = "embedded"  # noqa: S105 - the emulator takes any
# What AWS answers to credentials that are wrong, over, or of another partition.
REJECTED = {"AuthFailure", "ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId", "InvalidClientTokenId",
            "InvalidToken", "SignatureDoesNotMatch", "UnrecognizedClientException"}  # fmt: skip
SIGN_IN = (CredentialRetrievalError, NoCredentialsError, PartialCredentialsError, SSOError, TokenRetrievalError)
NETWORK = (ConnectionError, HTTPClientError)


@dataclass(frozen=True)
class Caller:
    """The account that the credentials belong to, and its partition."""

    account: str
    partition: str


@dataclass(frozen=True)
class Aws:
    """A session, and the endpoint that stands in for AWS where one is given."""

    session: boto3.Session
    endpoint_url: str | None = None
    embedded: bool = False

    def client(self, service: str, region: str) -> Any:
        """Make a client. Not safe in threads: make clients first, then use each from any thread."""
        config: dict[str, Any] = {
            "retries": {"mode": "standard"},
            "connect_timeout": 10,
            "signature_version": "s3v4" if service == "s3" else None,
            # Behind an endpoint of one's own there are no host names of buckets.
            "s3": {"addressing_style": "path"} if self.endpoint_url else None,
        }
        if self.embedded:
            # The person's proxy and endpoint variants lead away from this machine.
            config |= {"proxies": {}, "use_fips_endpoint": False, "use_dualstack_endpoint": False}
        make: Any = self.session.client
        return make(service, region_name=region, endpoint_url=self.endpoint_url, config=Config(**config))

    @cached_property
    def caller(self) -> Caller:
        """Ask who publishes. Raises when there are no credentials, when AWS rejects them, or is not reached."""
        offered = regions.names()
        home = self.session.region_name if self.session.region_name in offered else offered[0]
        try:
            if self.session.get_credentials() is None:
                raise NoCredentials("none are in the environment, the AWS configuration files or the metadata service.")
            answer = self.client("sts", home).get_caller_identity()
        except SIGN_IN as error:
            raise NoCredentials(str(error)) from error
        except ClientError as error:
            if error.response["Error"]["Code"] in REJECTED:
                raise NoCredentials(explain(error)) from error
            raise Unreachable(explain(error)) from error
        except BotoCoreError as error:
            raise Unreachable(explain(error)) from error
        return Caller(answer["Account"], answer["Arn"].split(":")[1])

    def not_enabled(self, names: Sequence[str]) -> set[str]:
        """Tell which regions the account has not switched on; none where it may not ask (S3 itself then refuses)."""
        try:
            answer = self.client("ec2", names[0]).describe_regions(AllRegions=True)
        except (BotoCoreError, ClientError):
            return set()
        status = {row["RegionName"]: row.get("OptInStatus") for row in answer["Regions"]}
        return {name for name in names if status.get(name) == "not-opted-in"}


def connect(endpoint_url: str | None = None) -> Aws:
    """Use the person's own credentials. Raises when their profile is missing."""
    try:
        return Aws(boto3.Session(), endpoint_url)
    except ProfileNotFound as error:
        raise NoCredentials(str(error)) from error


def connect_embedded(endpoint_url: str) -> Aws:
    """Use the embedded account alone: the person's profile, keys and configuration files are not read."""
    nothing: dict[str, Any] = {
        "profile": (None, None, None, None),
        "config_file": (None, None, os.devnull, None),
        "credentials_file": (None, None, os.devnull, None),
    }
    session = boto3.Session(
        aws_access_key_id=EMBEDDED_ACCOUNT,
        aws_secret_access_key=EMBEDDED_SECRET,
        botocore_session=botocore.session.Session(session_vars=nothing),
    )
    return Aws(session, endpoint_url, embedded=True)


def chosen_regions(wanted: str, partition: str) -> tuple[str, ...]:
    """Give the regions of a comma-separated list; without one, every launch region of the partition."""
    offered = regions.names()
    named = list(dict.fromkeys(name.strip() for name in wanted.split(",") if name.strip()))
    unknown = [name for name in named if name not in offered]
    if unknown:
        raise BadRegions(unknown, offered)
    return tuple(named or (name for name in offered if publishing.partition(name) == partition))


def explain(error: Exception) -> str:
    """Say in one line what AWS or the network answered."""
    if isinstance(error, ClientError):
        told = error.response.get("Error", {})
        line = f"{error.operation_name} was answered {told.get('Code', '?')}: {told.get('Message', 'no message')}"
        blocked = error.operation_name == "PutBucketPolicy" and told.get("Code") == "AccessDenied"
        return line + (" (does the account itself block public policies?)" if blocked else "")
    if isinstance(error, NETWORK):
        return f"the network failed: {' '.join(str(error).split())}"
    return " ".join(str(error).split())
