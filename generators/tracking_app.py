"""MLflow App. Nested in 1-infra: some regions don't have its type, and the console refuses a template that names a type
the region lacks, whatever its conditions say."""

from __future__ import annotations

from troposphere import GetAtt
from troposphere.sagemaker import MlflowApp

from generators.kit import parameters
from generators.kit.builder import Builder
from generators.kit.naming import unique
from generators.kit.parameters import Question
from generators.kit.stack import Stack, Trial

STACK = Stack(
    name="tracking-app",
    title="MLOps experiment tracking",
    summary="an MLflow App that keeps its artifacts in a bucket of the platform",
    account="data-science",
    groups=("General",),
    nested_in="1-infra",
    trial=Trial(
        {
            "CostCenter": "12345",
            "ArtifactStoreUri": "s3://example/mlflow",
            "RoleArn": "arn:aws:iam::111111111111:role/mlops/platform/tracking",
        }
    ),
)
STORE = Question("ArtifactStoreUri", "Artifact store", "General", "Place in S3 where MLflow keeps artifacts.")
ROLE = Question("RoleArn", "Role", "General", "Role that MLflow uses to keep artifacts.")


def build(b: Builder) -> None:
    """Build the template."""
    b.ask(parameters.COST_CENTER)
    store, role = b.ask(STORE), b.ask(ROLE)
    app = b.add(
        MlflowApp(
            "TrackingApp",
            Name=unique("mlops"),
            ArtifactStoreUri=store,
            RoleArn=role,
            # A registered model would be a way around the approval.
            ModelRegistrationMode="AutoModelRegistrationDisabled",
        ),
        holds_data=True,
        accept={
            "MLOPS015": "MLflow asks for a name; it ends in the stack's own id: another stack's retained one never collides."
        },
    )
    b.output("TrackingArn", "The MLflow App.", GetAtt(app, "Arn"))
