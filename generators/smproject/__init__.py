"""SageMaker project: key, bucket, repositories, role, registry and workspace of one team.

Launched once for each project by the data science admin, from Studio or Service Catalog. Needs 1-infra in the same account and
region."""

from __future__ import annotations

from generators.kit.builder import Builder
from generators.kit.stack import Product, Stack, Trial
from generators.smproject import (
    access,
    builds,
    encryption,
    launching,
    notices,
    pipelines,
    questions,
    registry,
    storage,
    workspace,
)

STACK = Stack(
    name="2-smproject",
    title="MLOps project",
    summary="key, bucket, repositories, roles, model registry and build pipeline of one team, apart from every other",
    account="data-science",
    groups=questions.GROUPS,
    needs=("1-infra",),
    product=Product(
        title="MLOps project",
        description="A SageMaker project with its own key, bucket, repositories, roles, model registry and build pipeline",
        role="ProjectLaunchRole",
        may=launching.statements,
        also=launching.more,
        in_studio=True,
        accept=launching.ACCEPTED,
    ),
    trial=Trial(
        {"SageMakerProjectName": "churn", "SageMakerProjectId": "p-abcdefghijkl", "CostCenter": "12345"},
        changes={"SageMakerJobsMaxRuntimeInSeconds": "3600", "NotificationEmail": "churn@example.com"},
        fail={"SageMakerProjectName": "platform"},
    ),
)


def build(b: Builder) -> None:
    """Build the template, from what is asked to what is published."""
    asked = questions.ask(b)
    project = questions.project(b)
    shared = access.partners(b, asked)
    checked = notices.check(b, asked, project)
    key = encryption.key(b, shared, after=checked)
    bucket = storage.bucket_of(b, project, key, shared)
    images = storage.images(b, key, shared)
    code = registry.repository(b, asked, project, key)
    registry.models(b, shared, after=checked)
    runs_as = access.role_of(b, asked, project, key, bucket, images, code, after=checked)
    topic = notices.topic(b, key)
    settings = workspace.settings(b, asked, project, key, bucket, images, code, runs_as, topic)
    workspace.start_script(b, project, key, bucket)
    builders = builds.build(b, asked, key, bucket, images, runs_as, settings)
    notices.budget(b, asked, project, topic)
    told = notices.ready(b, asked, project, code, topic)
    pipelines.build(b, key, bucket, code, builders, after=told)
    notices.guard(b, project)
