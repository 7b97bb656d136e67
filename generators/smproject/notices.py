"""What tells people, and what keeps a project from going while it has users."""

from __future__ import annotations

from typing import Any

from troposphere import And, Equals, GetAtt, If, Not, NoValue, Ref, Sub
from troposphere.cloudformation import CustomResource
from troposphere.cloudformation import Stack as NestedStack
from troposphere.codecommit import Repository
from troposphere.kms import Key
from troposphere.sns import Topic

from generators.kit import contracts, messages, parameters, publishing, regions
from generators.kit.builder import Builder
from generators.smproject import questions
from generators.smproject.questions import Asked, Project


def topic(b: Builder, key: Key) -> Topic:
    """Add the project's topic."""
    name = Sub("MLOps ${SageMakerProjectName}")
    return messages.topic(b, "Project", name, GetAtt(key, "Arn"), questions.EMAIL)


def budget(b: Builder, asked: Asked, project: Project, told: Topic) -> None:
    """Add a budget for what carries the project's tag, once the payer's tags make it work."""
    has = b.when(
        "HasBudget",
        And(
            regions.offers("AWS::Budgets::Budget"),
            Not(Equals(asked[parameters.MONTHLY_BUDGET], "0")),
            Equals(asked[parameters.TAGS_ACTIVE], "yes"),
        ),
    )
    b.add(
        NestedStack(
            "Budget",
            TemplateURL=publishing.nested_url("budget", project.prefix),
            Parameters={
                "MonthlyBudgetInUsd": asked[parameters.MONTHLY_BUDGET],
                "TagKey": "mlops:project",
                "TagValue": project.name,
                "TopicArn": Ref(told),
            },
        ),
        when=has,
        holds_data=False,
    )


def check(b: Builder, asked: Asked, project: Project) -> CustomResource:
    """Refuse a name that lives, and accounts that the platform does not trust, before anything is made."""
    targets = (
        questions.STAGING_ACCOUNTS,
        questions.STAGING_UNITS,
        questions.PRODUCTION_ACCOUNTS,
        questions.PRODUCTION_UNITS,
    )
    given: dict[str, Any] = {question.name: asked[question] for question in targets}
    given |= {"TrustedAccounts": asked.trusted, "OrganizationId": b.consume(contracts.ORGANIZATION_ID)}
    return b.add(_asks(b, project, "ProjectCheck", "check", **given))


def guard(b: Builder, project: Project) -> None:
    """Refuse to delete the project while it has users. It is made after every other resource: CloudFormation deletes what the
    guard does not depend on while it is still asking."""
    everything, maybe = _made(b)
    b.add(_asks(b, project, "ProjectGuard", "guard", After=maybe), after=everything)


def _asks(b: Builder, project: Project, name: str, action: str, **more: Any) -> CustomResource:
    """Make a question to the function that knows Studio's users and the projects that live."""
    return CustomResource(
        name,
        ServiceToken=b.consume(contracts.STUDIO_USER_FUNCTION_ARN),
        ServiceTimeout=180,
        Action=action,
        DomainId=project.domain,
        ProjectName=project.name,
        ProjectId=Ref(questions.ID.name),
        **more,
    )


def _made(b: Builder) -> tuple[list[str], list[If]]:
    """Give what there is so far: names to depend on, and references to what conditions may leave out, which nothing can
    depend on by name."""
    resources = b.template.resources.items()
    maybe = [
        If(made.resource["Condition"], Ref(made), NoValue) for _, made in resources if "Condition" in made.resource
    ]
    return [name for name, made in resources if "Condition" not in made.resource], maybe


def ready(b: Builder, asked: Asked, project: Project, code: Repository, topic: Topic) -> CustomResource:
    """Tell people once everything is there but what runs by itself, and say where to go next."""
    console = "https://${AWS::Region}.console.aws.amazon.com"
    studio = Sub(f"{console}/sagemaker/home?region=${{AWS::Region}}#/studio-landing")
    everything, maybe = _made(b)
    told = b.add(
        CustomResource(
            "ProjectReady",
            ServiceToken=b.consume(contracts.PROJECT_READY_FUNCTION_ARN),
            ServiceTimeout=120,
            ProjectName=project.name,
            ProjectId=Ref(questions.ID.name),
            Framework=asked.answers["Framework"],
            RepositoryUrl=GetAtt(code, "CloneUrlHttp"),
            StudioLink=studio,
            Version=publishing.version(),
            TopicArn=Ref(topic),
            After=maybe,
        ),
        after=[name for name in everything if name not in (code.title, topic.title)],
    )
    b.output("RepositoryUrl", "Repository of the project.", GetAtt(code, "CloneUrlHttp"))
    b.output("StudioLink", "Studio in the console.", studio)
    b.output("Bucket", "Bucket of the project.", Ref("ProjectBucket"))
    b.output("RoleArn", "Role of the project's people in Studio, and of its jobs.", GetAtt("ProjectRole", "Arn"))
    b.output("Notified", "Whether people were told that the project is ready.", GetAtt(told, "Notified"))
    return told
