"""Base stack: a VPC without internet, SageMaker Studio, a private package index, repositories, boundary, tracking.

Launched once per account and region by the full stack developer. Needs a published release, nothing else."""

from __future__ import annotations

from generators.infra import (
    access,
    encryption,
    endpoints,
    network,
    operations,
    packages,
    projects,
    questions,
    repositories,
    studio,
    tracking,
)
from generators.kit.builder import Builder
from generators.kit.publishing import PREFIX
from generators.kit.stack import Launch, Stack, Trial

STACK = Stack(
    name="1-infra",
    title="MLOps base",
    summary="Studio in a VPC without internet, private package index, repositories and roles",
    account="data-science",
    groups=questions.GROUPS,
    launch=Launch(stack_name="mlops-infra", prefill={"AssetsBucketPrefix": PREFIX}),
    trial=Trial(
        {"CostCenter": "12345", "AssetsBucketPrefix": "mlops-local"},
        changes={
            "SubnetCount": "3",
            "ExperimentTracking": "MlflowApp",
            "IdleTimeoutInMinutes": "90",
            "GlueEndpointMode": "create",
            "NotificationEmail": "platform@example.com",
        },
        fail={"AvailabilityZoneIds": "use1-az98,use1-az99"},
    ),
)


def build(b: Builder) -> None:
    """Build the template, from what is asked to what is published."""
    asked = questions.ask(b)
    keys = encryption.key(b, asked)
    boundary = access.boundary(b, asked, keys)
    around = operations.surroundings(asked, keys, boundary)
    store = encryption.buckets(b, keys)
    net = network.build(b, asked, keys, boundary, around)
    index = packages.build(b, asked, keys)
    repositories_ = repositories.build(b, keys)
    repositories.versions(b, keys, around, repositories_)
    home = studio.build(b, asked, keys, boundary, net)
    people = access.personas(b, asked, keys, boundary, net, home, repositories_)
    tracked = tracking.build(b, asked, store, boundary, keys)
    endpoints.build(b, asked, net, index)
    topic = operations.events(b, around)
    commons = projects.commons(b, asked, around, store, net, home, topic)
    projects.catalogue(b, asked, boundary, people["DataScienceAdmin"], home, commons)
    operations.quotas(b, around)
    operations.budget(b, asked, around)
    studio.links(b, home, tracked)
