"""Experiment tracking: none, an MLflow App, or an MLflow tracking server. Its artifacts stay in our own bucket."""

from __future__ import annotations

from typing import Any

from troposphere import And, Condition, Equals, GetAtt, If, Not, Or, Ref, Sub
from troposphere.cloudformation import Stack as NestedStack
from troposphere.sagemaker import MlflowTrackingServer

from generators.infra import questions
from generators.infra.encryption import Keys, Store
from generators.infra.questions import Asked
from generators.kit import contracts, publishing, regions
from generators.kit.builder import Builder
from generators.kit.iam import KEY_USE, allow, arn, role, trust, via
from generators.kit.naming import unique
from generators.kit.storage import objects


def build(b: Builder, asked: Asked, store: Store, boundary: Any, keys: Keys) -> Any:
    """Add what was chosen, and give a text that says what there is."""
    choice = asked[questions.TRACKING]
    offered = regions.offers("AWS::SageMaker::MlflowApp")
    app = b.when("IsMlflowApp", And(Equals(choice, "MlflowApp"), offered))
    server = b.when("IsTrackingServer", Equals(choice, "TrackingServer"))
    lacking = b.when("IsMlflowAppMissing", And(Equals(choice, "MlflowApp"), Not(Condition(app))))
    has = b.when("HasTracking", Or(Condition(app), Condition(server)))
    runs_as = b.add(
        role(
            "TrackingRole",
            "What MLflow uses to keep artifacts",
            trust("sagemaker.amazonaws.com", source=arn("sagemaker", "*")),
            [
                allow(
                    "KeepArtifacts",
                    ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"],
                    objects(store.artifacts, "mlflow/"),
                ),
                allow(
                    "ListArtifacts",
                    "s3:ListBucket",
                    GetAtt(store.artifacts, "Arn"),
                    {"StringLike": {"s3:prefix": "mlflow/*"}},
                ),
                allow(
                    "EncryptArtifacts",
                    KEY_USE,
                    keys.arn,
                    via("s3"),
                ),
            ],
            boundary,
        ),
        when=has,
    )
    where = Sub("s3://${ArtifactsBucket}/mlflow")
    nested = b.add(
        NestedStack(
            "TrackingApp",
            TemplateURL=publishing.nested_url("tracking-app"),
            Parameters={
                "CostCenter": Ref("CostCenter"),
                "ArtifactStoreUri": where,
                "RoleArn": GetAtt(runs_as, "Arn"),
            },
        ),
        when=app,
        holds_data=False,  # what holds data inside is kept by its own policy
    )
    b.add(
        MlflowTrackingServer("TrackingServer", TrackingServerName=unique("mlops"), ArtifactStoreUri=where,
                             RoleArn=GetAtt(runs_as, "Arn"), TrackingServerSize="Small", AutomaticModelRegistration=False),
        when=server,
        holds_data=True,
        accept={"MLOPS015": "MLflow asks for a name; it ends in the stack's own id: another stack's retained one never collides."},
    )  # fmt: skip
    standing = If(server, GetAtt("TrackingServer", "TrackingServerArn"), "none")
    b.publish(contracts.TRACKING_ARN, If(app, GetAtt(nested, "Outputs.TrackingArn"), standing))
    none = If(lacking, "MLflow Apps are not offered in this region; choose TrackingServer or None.", "None")
    return If(app, GetAtt(nested, "Outputs.TrackingArn"), If(server, Ref("TrackingServer"), none))
