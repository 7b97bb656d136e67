"""The services behind the interface endpoints, as data. `core` is what the default features call from inside the VPC."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Endpoint:
    """One interface endpoint. `core`: default features call it. `policy`: whether the service takes one."""

    name: str
    service: str
    why: str
    core: bool = False
    policy: bool = True

    @property
    def switch(self) -> str:
        """Give the name of the switch that makes it."""
        return f"Enable{self.name}"

    @property
    def label(self) -> str:
        """Give the service's name as a person reads it."""
        return f"Endpoint {self.service.replace('${AWS::Region}', 'REGION')}"

    @property
    def actions(self) -> str:
        """Give the service prefix of the actions that it carries."""
        return ACTIONS.get(self.name, self.name.lower())

    @property
    def condition(self) -> str:
        """Give the condition under which it is made."""
        return f"Creates{self.name}Endpoint"


def aws(service: str) -> str:
    """Give the usual name of an endpoint service, for `Sub`."""
    return f"com.amazonaws.${{AWS::Region}}.{service}"


def sagemaker(service: str) -> str:
    """Give the name of an endpoint service that SageMaker names its own way, for `Sub`."""
    return f"aws.sagemaker.${{AWS::Region}}.{service}"


ENDPOINTS = (
    Endpoint("SageMakerApi", aws("sagemaker.api"), "Studio and jobs", core=True),
    Endpoint("SageMakerRuntime", aws("sagemaker.runtime"), "calls of deployed models", core=True),
    Endpoint("Studio", sagemaker("studio"), "the Studio pages and apps", core=True),
    Endpoint("Sts", aws("sts"), "credentials of SDKs", core=True),
    Endpoint("Logs", aws("logs"), "logs of apps, jobs and builds", core=True),
    Endpoint("Monitoring", aws("monitoring"), "metrics of jobs", core=True),
    Endpoint("Kms", aws("kms"), "encryption by clients", core=True),
    Endpoint("Ssm", aws("ssm"), "the parameters the platform publishes", core=True),
    Endpoint("EcrApi", aws("ecr.api"), "container images", core=True),
    Endpoint("EcrDkr", aws("ecr.dkr"), "container images", core=True),
    Endpoint("CodeArtifactApi", aws("codeartifact.api"), "tokens of the private package index", core=True),
    Endpoint("CodeArtifactRepositories", aws("codeartifact.repositories"), "packages of the private index", core=True),
    Endpoint("CodeCommit", aws("codecommit"), "repositories", core=True),
    Endpoint("GitCodeCommit", aws("git-codecommit"), "git clone and push", core=True),
    Endpoint("ServiceCatalog", aws("servicecatalog"), "Projects in Studio", core=True, policy=False),
    Endpoint("Mlflow", sagemaker("mlflow"), "the MLflow App"),
    Endpoint("Experiments", sagemaker("experiments"), "the MLflow tracking server"),
    Endpoint("FeatureStoreRuntime", aws("sagemaker.featurestore-runtime"), "Feature Store", policy=False),
    Endpoint("SageMakerMetrics", aws("sagemaker.metrics"), "training metrics written by jobs", policy=False),
    Endpoint("SecretsManager", aws("secretsmanager"), "secrets read by code"),
    Endpoint("CodeBuild", aws("codebuild"), "builds started by code"),
    Endpoint("CodePipeline", aws("codepipeline"), "pipelines read by code", policy=False),
    Endpoint("CloudFormation", aws("cloudformation"), "stacks read by code"),
    Endpoint("Events", aws("events"), "events sent by code"),
    Endpoint("Scheduler", aws("scheduler"), "schedules made by code"),
    Endpoint("Lambda", aws("lambda"), "functions called by code"),
    Endpoint("States", aws("states"), "state machines started by code"),
    Endpoint("Sns", aws("sns"), "notifications sent by code"),
    Endpoint("Sqs", aws("sqs"), "queues used by code"),
    Endpoint("Athena", aws("athena"), "queries of company data"),
    Endpoint("Glue", aws("glue"), "the data catalogue", policy=False),
    Endpoint("Ec2", aws("ec2"), "network look-ups by code"),
)
# Service prefix of the actions, where it is not the endpoint's own name.
ACTIONS = {
    "SageMakerApi": "sagemaker", "SageMakerRuntime": "sagemaker", "Studio": "sagemaker", "Monitoring": "cloudwatch",
    "EcrApi": "ecr", "EcrDkr": "ecr", "CodeArtifactApi": "codeartifact", "CodeArtifactRepositories": "codeartifact",
    "GitCodeCommit": "codecommit", "Mlflow": "sagemaker", "Experiments": "sagemaker-mlflow",
}  # fmt: skip
