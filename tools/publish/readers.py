"""Who may read a published bucket: nobody else, an organization, accounts, or all. And that only TLS is spoken."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from tools.publish.errors import BadReaders

TLS_ONLY = "TlsOnly"
# Releases and `latest/` alone: whatever else lies in the bucket stays its owner's.
PUBLISHED = ("v*.*.*/*", "latest/*")
READ = ["s3:GetObject", "s3:GetObjectVersion"]
Policy = dict[str, Any]


@dataclass(frozen=True)
class Readers:
    """Readers as they were asked for; when none are, an existing bucket keeps those it has."""

    organization: str = ""
    accounts: tuple[str, ...] = ()
    public: bool = False

    @property
    def given(self) -> bool:
        """Tell whether readers were asked for."""
        return bool(self.organization or self.accounts or self.public)

    def statements(self, bucket: str, partition: str) -> list[Policy]:
        """Give the policy statements that let these readers in."""
        base: Policy = {
            "Effect": "Allow",
            "Action": READ,
            "Resource": [f"arn:{partition}:s3:::{bucket}/{objects}" for objects in PUBLISHED],
        }
        found = []
        if self.public:
            found.append({"Sid": "ReadByAll", "Principal": "*", **base})
        if self.organization:
            # S3 takes a policy with a fixed organization for one that is not public:
            # https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html
            member = {"StringEquals": {"aws:PrincipalOrgID": self.organization}}
            found.append({"Sid": "ReadByOrganization", "Principal": "*", **base, "Condition": member})
        if self.accounts:
            roots = [f"arn:{partition}:iam::{account}:root" for account in self.accounts]
            found.append({"Sid": "ReadByAccounts", "Principal": {"AWS": roots}, **base})
        return found


READER_SIDS = {"ReadByAll", "ReadByOrganization", "ReadByAccounts"}


def readers(org_id: str, accounts: str, public: bool) -> Readers:
    """Read the options; raises with everything that is wrong with them."""
    listed = tuple(sorted({account.strip() for account in accounts.split(",") if account.strip()}))
    wrong = [account for account in listed if not re.fullmatch(r"\d{12}", account)]
    problems = [f"'{account}' is no account id: twelve digits" for account in wrong]
    # https://docs.aws.amazon.com/organizations/latest/APIReference/API_Organization.html
    if org_id and not re.fullmatch(r"o-[a-z0-9]{10,32}", org_id):
        problems.append(f"'{org_id}' is no organization id: o- and 10 to 32 lower-case letters or digits")
    if accounts and not listed:
        problems.append(f"'{accounts}' names no account")
    if public and (org_id or listed):
        problems.append("--public lets everybody read, so --org-id and --accounts would be without effect")
    if problems:
        raise BadReaders(problems)
    return Readers(org_id, listed, public)


def bucket_policy(current: Policy | None, bucket: str, partition: str, wanted: Readers) -> Policy:
    """Give the policy a bucket should have: TLS only, the readers, and every statement that others put there."""
    ours = {TLS_ONLY, *(READER_SIDS if wanted.given else ())}
    kept = [row for row in _listed((current or {}).get("Statement")) if row.get("Sid") not in ours]
    tls = {
        "Sid": TLS_ONLY,
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [f"arn:{partition}:s3:::{bucket}", f"arn:{partition}:s3:::{bucket}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return {"Version": "2012-10-17", "Statement": [tls, *kept, *wanted.statements(bucket, partition)]}


def same_policy(one: Policy | None, other: Policy | None) -> bool:
    """Compare two policies by meaning: IAM takes a single value for a list of one, and keeps no order."""
    return bool(_normal(one) == _normal(other))


def _normal(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _normal(inner) for key, inner in sorted(value.items())}
    if isinstance(value, list):
        items = sorted((_normal(inner) for inner in value), key=lambda item: json.dumps(item, sort_keys=True))
        return items[0] if len(items) == 1 else items
    return value


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
