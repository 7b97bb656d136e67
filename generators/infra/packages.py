"""Private package index: CodeArtifact between pip and the public Python Package Index, safe from dependency confusion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from troposphere import Equals, GetAtt, If, Sub
from troposphere.codeartifact import (
    Domain,
    OriginConfiguration,
    PackageGroup,
    Repository,
    Restrictions,
    RestrictionType,
)

from generators.infra import questions
from generators.infra.encryption import Keys
from generators.infra.questions import Asked
from generators.kit import contracts
from generators.kit.builder import Builder
from generators.kit.naming import unique


@dataclass(frozen=True)
class PackageIndex:
    """The index: its condition and its domain."""

    condition: str
    domain: Domain


def build(b: Builder, asked: Asked, keys: Keys) -> PackageIndex:
    """Add domain, upstream, repository and origin controls."""
    has = b.when(
        "HasPackageIndex",
        Equals(asked[questions.PACKAGE_INDEX], "yes"),
    )
    reason = {
        "MLOPS015": "CodeArtifact asks for a name; it ends in the stack's own id: another stack's retained one never collides."
    }
    domain = b.add(
        Domain("PypiDomain", DomainName=unique("mlops"), EncryptionKey=keys.arn),
        when=has,
        holds_data=True,
        accept=reason,
    )
    name = GetAtt(domain, "Name")
    # One repository holds the connection to the public index, as AWS advises; others take it as upstream:
    # https://docs.aws.amazon.com/codeartifact/latest/ug/external-connection.html
    store = b.add(
        Repository("PypiStoreRepository", DomainName=name, RepositoryName="pypi-store", ExternalConnections=["public:pypi"],
                   Description="Copies of packages of the public index"),
        when=has, holds_data=True, accept=reason,
    )  # fmt: skip
    ours = b.add(
        Repository("PypiRepository", DomainName=name, RepositoryName="pypi", Upstreams=[GetAtt(store, "Name")],
                   Description="What pip installs from: your own packages and the public index"),
        when=has, holds_data=True, accept=reason,
    )  # fmt: skip
    _origin_controls(b, has, name, ours)
    b.publish(contracts.PYPI_DOMAIN_NAME, If(has, name, "none"))
    b.publish(contracts.PYPI_REPOSITORY_NAME, If(has, GetAtt(ours, "Name"), "none"))
    return PackageIndex(has, domain)


def _origin_controls(b: Builder, has: str, domain: Any, ours: Repository) -> None:
    """Public names come from outside and are never published here; our own names the other way round.

    The pattern of the second ends in `~`, a prefix up to the end of a word; Python names have no namespace, hence `//`:
    https://docs.aws.amazon.com/codeartifact/latest/ug/package-group-definition-syntax-matching-behavior.html"""
    here = RestrictionType(RestrictionMode="ALLOW_SPECIFIC_REPOSITORIES", Repositories=[GetAtt(ours, "Name")])
    never, always = RestrictionType(RestrictionMode="BLOCK"), RestrictionType(RestrictionMode="ALLOW")
    public = b.add(
        PackageGroup("PublicPackages", DomainName=domain, Pattern="/pypi/*",
                     Description="Packages of the public index: never published here",
                     OriginConfiguration=OriginConfiguration(
                         Restrictions=Restrictions(Publish=never, ExternalUpstream=always, InternalUpstream=always))),
        when=has, holds_data=True,  # an index that is kept keeps its guards
    )  # fmt: skip
    b.add(
        PackageGroup("InternalPackages", DomainName=domain, Pattern=Sub("/pypi//${InternalPackagePrefix}~"),
                     Description="Your own packages: never taken from outside",
                     OriginConfiguration=OriginConfiguration(
                         Restrictions=Restrictions(Publish=here, ExternalUpstream=never, InternalUpstream=always))),
        when=has, after=[public], holds_data=True,
    )  # fmt: skip
